//! Settings, validated once: a [`Config`] that exists is a valid one (A12).

pub mod duration;
pub mod settings;

pub use duration::{DurationError, GoDuration};
pub use settings::{Config, ConfigError, Settings};
