//! HTTP with registries: the core's requests on real sockets.
//!
//! - One connection pool per core [`PoolKey`], and our own bound on what is under way per host.
//! - URLs go out byte for byte; redirects, retries and every decision belong to the core.
//! - Failures are classified here, never interpreted, and their texts hold no secret.

mod client;
mod connector;
pub mod failure;
mod gate;
pub mod redact;
mod tls;

pub use client::{HttpClient, HttpSettings};
pub use tls::{install_tls_provider, system_roots};

#[cfg(doc)]
use image_updater_core::http::PoolKey;
