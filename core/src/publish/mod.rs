//! Write-back through Git: who waits with what, which batch goes out when, and what became of it
//! (`writeback.md` 15, `design.md` 4.4 to 4.7).
//!
//! [`Publishes`] is a sub-machine beside the writer through the Kubernetes API: it takes an [`Intent`] per
//! application, makes batches of those that share repository, branch and credential, and has at most one attempt
//! under way per repository and branch. What an attempt does stands in a [`GitJob`]; a driver beside the core runs a
//! [`Session`](crate::git::Session) for it, and [`Work`] edits the files and says what came of each intent.
//!
//! Invariants: an application has at most one intent, the newest; a branch is written by one attempt at a time;
//! an intent ends once, and as published only when the remote has its commit; what is unknown is inspected before
//! anything is repeated; a name of a batch is used once.
//!
//! ```text
//! enqueue ─► collecting ──trigger──► in line ──turn──► running ──► ended
//!                ▲                      ▲                 │
//!                │ the next batch       └── pause ◄───────┤ conflict, sick server
//!                └────────────────────────────────────────┘
//! ```

mod answer;
mod intent;
mod job;
mod lane;
mod machine;
mod outcome;
mod settings;
mod turns;
mod view;
mod work;

#[cfg(test)]
mod tests;

pub use intent::{BatchId, BatchKey, CredentialReference, Intent, RepositoryUrl};
pub use job::{GitJob, GitOutcome, GitTask, IntentEnd, IntentRefusal, PublishTask};
pub use machine::Publishes;
pub use outcome::{
    BatchEnd, BatchReport, PublishEnd, PublishOutcome, PublishStanding, PublishWait,
};
pub use settings::{BATCH_INTENTS_MAX, PublishSettings};
pub use work::Work;
