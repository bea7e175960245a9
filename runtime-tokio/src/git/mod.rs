//! Git servers: a session of the core's git machine over real channels.
//!
//! - The session and the edits run on a thread of their own; sockets stay with everybody else's. Between the
//!   two a few pieces are under way, so that a fast server fills no memory.
//! - One attempt has connections of its own, used for all its rounds and closed with it.
//! - Servers are known before they are shown anything: by their certificate, by their host key.
//! - Nothing is written to disk. What is told holds no secret, also where a server repeats one.
//!
//! ```text
//!  publisher ─► kept
//!    │
//!  client ─► work (thread: session, edits)
//!    └ pump ─┬─ https ─► login ─► token
//!            ├─ ssh ─► known_hosts, key, socks
//!            └─ signer ─► gpg
//! ```

mod channel;
mod client;
mod destination;
mod echo;
mod https;
mod kept;
mod key;
mod known_hosts;
mod login;
mod publisher;
mod pump;
mod settings;
mod signer;
mod socks;
mod ssh;
mod token;
mod work;

pub use client::GitClient;
pub use destination::{Destination, DestinationError};
pub use publisher::{GitParts, Publisher};
pub use settings::GitSettings;
pub use signer::Signer;
pub use work::Editor;
