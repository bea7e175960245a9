//! The HTTP client against servers on loopback: classes of failure, bytes on the wire, exact bounds,
//! authorities and proxies.

mod bounds;
mod failures;
mod idleness;
mod proxies;
mod server;
mod trust;
