//! The production driver.

pub mod clock;
pub mod credential;
pub mod http;
pub mod kube;
pub mod spawn;
