//! The Kubernetes adapter against an API server that follows a script, in process and in virtual time.

mod calls;
mod config;
mod fake;
mod watch;
