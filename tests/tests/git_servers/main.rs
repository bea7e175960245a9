//! Sessions of the core's git machine over the product's own channels, against real servers on loopback.

mod https;
mod logins;
mod signing;
mod ssh;
mod stand;
