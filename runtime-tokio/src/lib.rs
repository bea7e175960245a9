//! The production driver.

pub mod args;
pub mod clock;
pub mod credential;
#[cfg(feature = "demo")]
pub mod demo;
pub mod driver;
pub mod git;
mod group;
pub mod http;
pub mod kube;
pub mod registries;
pub mod run;
pub mod settings;
pub mod spawn;
pub mod telemetry;
pub mod template;
pub mod test_image;
pub mod version;
