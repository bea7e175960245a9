//! Settings of the HTTP client (`registry.md` 5.1, 13.1).

use std::path::PathBuf;
use std::time::Duration;

use super::proxy::Proxies;

/// Settings of all pools.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `REGISTRY_RESPONSE_HEADER_TIMEOUT`: from having a connection to the response's headers.
    pub response_header_timeout: Duration,
    /// `REGISTRY_TLS_HANDSHAKE_TIMEOUT`.
    pub tls_handshake_timeout: Duration,
    /// For resolving and connecting; the reference has none (D-23).
    pub connect_timeout: Duration,
    /// `REGISTRY_IDLE_CONN_TIMEOUT`; `None` keeps idle connections for ever.
    pub idle_timeout: Option<Duration>,
    /// `REGISTRY_MAX_CONNS_PER_HOST`: sockets per host of a pool, also those that are being opened or
    /// closed.
    pub connections_per_host_max: usize,
    /// `REGISTRY_MAX_IDLE_CONNS_PER_HOST`.
    pub idle_per_host_max: usize,
    /// `REGISTRY_MAX_IDLE_CONNS`: idle connections of all pools together; the one that has been idle
    /// for longest goes first.
    pub idle_max: usize,
    /// `REGISTRY_TRANSPORT_JANITOR_INTERVAL`: how often each pool is tidied; `None` is never.
    pub janitor_interval: Option<Duration>,
    /// What the janitor leaves alone: connections that were used within this time (D-51).
    pub janitor_idle_min: Duration,
    /// Where PEM files with further authorities lie, each named after the API host (`registry.md` 18).
    pub ca_folder: PathBuf,
    /// Through whom hosts are reached.
    pub proxies: Proxies,
    /// Sent where the core names no other.
    pub user_agent: String,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            response_header_timeout: Duration::from_mins(1),
            tls_handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_secs(90)),
            connections_per_host_max: 30,
            idle_per_host_max: 200,
            idle_max: 1000,
            janitor_interval: Some(Duration::from_mins(5)),
            janitor_idle_min: Duration::from_secs(90),
            ca_folder: PathBuf::from("/app/config/tls"),
            proxies: Proxies::default(),
            user_agent: concat!("argocd-image-updater/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
