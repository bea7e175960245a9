//! What the client holds at one moment, in numbers.

use std::fmt;
use std::ops::AddAssign;

/// The sockets of one pool, or of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sockets {
    /// Being opened.
    pub connecting: usize,
    /// Carrying at least one request.
    pub busy: usize,
    /// Open without a request.
    pub idle: usize,
    /// Given up and not closed yet.
    pub closing: usize,
}

impl Sockets {
    /// All of them.
    pub fn open(self) -> usize {
        self.connecting + self.busy + self.idle + self.closing
    }
}

impl AddAssign for Sockets {
    fn add_assign(&mut self, other: Self) {
        self.connecting += other.connecting;
        self.busy += other.busy;
        self.idle += other.idle;
        self.closing += other.closing;
    }
}

/// One pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolFootprint {
    /// The registry's API URL.
    pub registry: String,
    /// It does not check certificates.
    pub insecure: bool,
    /// Hosts that it knows: the registry's, token servers', those of redirects.
    pub n_hosts: usize,
    /// Its sockets.
    pub sockets: Sockets,
    /// Requests that wait for a connection.
    pub n_waiting: usize,
}

/// The whole client.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Footprint {
    /// The pools in the order of their keys.
    pub pools: Vec<PoolFootprint>,
}

impl Footprint {
    /// The sockets of all pools.
    pub fn sockets(&self) -> Sockets {
        let mut total = Sockets::default();
        for pool in &self.pools {
            total += pool.sockets;
        }
        total
    }

    /// Requests that wait for a connection.
    pub fn n_waiting(&self) -> usize {
        self.pools.iter().map(|pool| pool.n_waiting).sum()
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sockets = self.sockets();
        write!(
            f,
            "{} pools, {} sockets: {} connecting, {} busy, {} idle, {} closing; {} requests wait",
            self.pools.len(),
            sockets.open(),
            sockets.connecting,
            sockets.busy,
            sockets.idle,
            sockets.closing,
            self.n_waiting()
        )
    }
}
