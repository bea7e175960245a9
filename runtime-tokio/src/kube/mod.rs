//! The Kubernetes API: one client, the watch of Applications, patches, reads and Secrets.
//!
//! - Every call is one attempt: what is repeated, and when, is decided by the core, or for the
//!   watch in `watch.rs`. The client's own retries are off, since a repeated patch is ours to decide.
//! - Objects are trimmed while they are parsed, one by one, so that none can spoil its list.

mod api;
mod config;
mod lines;
mod list;
mod object;
mod pace;
mod patch;
mod read;
mod repository;
mod secret;
mod stream;
mod trouble;
mod watch;

pub use api::ClusterClient;
pub use config::ClusterError;
pub use repository::{Repositories, SecretFailure};
pub use watch::{WatchEnd, WatchScope, watch_applications};
