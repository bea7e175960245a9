//! The production driver.

pub mod args;
pub mod run;
pub mod telemetry;
pub mod version;
pub mod clock;
pub mod credential;
pub mod http;
pub mod kube;
pub mod spawn;
