//! The production driver.

pub mod args;
pub mod run;
pub mod telemetry;
pub mod version;
