//! The production driver.

pub mod telemetry;
