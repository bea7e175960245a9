//! The production driver.
