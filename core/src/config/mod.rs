//! Settings, validated once: a [`Config`] that exists is a valid one (A12).

pub mod settings;

pub use settings::{Config, ConfigError, Settings};
