//! The production driver.

pub mod args;
pub mod telemetry;
pub mod version;
