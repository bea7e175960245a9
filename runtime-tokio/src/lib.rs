//! The production driver.

pub mod args;
pub mod clock;
pub mod credential;
pub mod http;
pub mod kube;
pub mod run;
pub mod spawn;
pub mod telemetry;
pub mod version;
