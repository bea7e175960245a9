//! What the tests at the boundaries share.

pub mod vectors;
