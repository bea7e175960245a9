//! Git's smart protocol, its objects and its packs as bytes: commits without a checkout and without a lost
//! commit (`design.md` 3 and 4.4, `writeback.md` 14 and 15).
//!
//! [`Session`] is a second pure machine beside the [`crate::Updater`]: one attempt of one job, driven by
//! whatever has channels to a server. Nothing that a server sends is believed before it is checked, nothing
//! is held without a bound, and nothing is forced.
//!
//! ```text
//! session ─┬─ refs, fetch, report     questions and answers
//!          │     └─ packet, sideband, capability
//!          ├─ known ─ pack            objects at hand
//!          └─ tree ─ object           paths, edits, commits
//! ```

pub mod capability;
pub mod channel;
pub mod fault;
pub mod fetch;
pub mod job;
pub mod known;
pub mod object;
pub mod pack;
pub mod packet;
pub mod refs;
pub mod refusal;
pub mod report;
pub mod session;
pub mod sideband;
mod tree;

pub use channel::{ChannelEnd, ChannelId, Open, Remote, Service};
pub use job::{Edits, Finished, Found, Job, Limits, Outcome, PathRefusal, Target, Tip, Worktree};
pub use known::Known;
pub use object::{Identity, ObjectId};
pub use refusal::{Refusal, RefusalKind, Remedy};
pub use session::{Action, Session};
