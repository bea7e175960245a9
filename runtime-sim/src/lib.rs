//! Placeholder.

pub mod wire;
