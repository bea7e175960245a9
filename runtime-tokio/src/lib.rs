//! The production driver.

pub mod clock;
pub mod http;
pub mod spawn;
