//! HTTP with registries and Git servers: the core's requests on real sockets.
//!
//! - One connection pool per core [`PoolKey`], and in it one line per host, which counts every socket.
//! - URLs go out byte for byte; redirects, retries and every decision belong to the core. Only a request
//!   that met a kept connection just closed by its server is sent again on another.
//! - Failures are classified here, never interpreted, and their texts hold no secret.
//!
//! ```text
//!  client ─► pools ─► pool ─► way ─► line ─► lease ─► connection
//!    │                 └ trust  └ dial ─► tunnel, TLS
//!    └ message: request to wire, response to whole
//!
//!  private ─► way: for one owner alone, in pieces
//! ```

mod client;
mod connection;
mod dial;
pub mod failure;
mod footprint;
mod gunzip;
mod lease;
mod line;
mod message;
mod no_proxy;
mod pool;
mod pools;
mod private;
mod proxy;
pub mod redact;
mod settings;
mod target;
mod tls;
mod trust;
mod tunnel;
mod way;

pub use client::HttpClient;
pub(crate) use connection::BoxStream;
pub use footprint::{Footprint, PoolFootprint, Sockets};
pub(crate) use private::{Answer, NoAnswer, PrivateClient, PrivateRequest};
pub use proxy::Proxies;
pub(crate) use proxy::percent_decoded;
pub use settings::HttpSettings;
pub(crate) use tls::ClientIdentity;
pub use tls::{install_tls_provider, system_roots};
pub(crate) use trust::{PEM_BYTES_MAX, check_authorities};

#[cfg(doc)]
use image_updater_core::http::PoolKey;
