//! Settings as the core takes them, and the grammars of their values.

pub mod duration;

pub use duration::{DurationError, GoDuration};
