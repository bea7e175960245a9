//! The update of one application: what has to be looked up, what is decided, and what is changed.
//!
//! Everything here is a pure function of records: [`Plan::of`] says which images need which lookups, [`decide()`] says
//! for every image what becomes of it and why, and the operations of a [`Decision`] touch nothing but the image
//! parameters that change (`images.md` 10, 11).

pub mod change;
mod choice;
pub mod claim;
pub mod decide;
pub mod helm;
#[cfg(test)]
mod json_patch;
pub mod kustomize;
pub mod listing;
pub mod needs;
mod operations;
pub mod plan;
pub mod reason;
pub mod refusal;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod verdict;

pub use change::{Change, event_annotations};
pub use choice::answer;
pub use claim::Claim;
pub use decide::{Counters, Decision, WriteBack, decide, holds};
pub use listing::{FailureKind, Lookup, TagFacts, TagListing};
pub use needs::needs_update;
pub use plan::{ImagePlan, Need, Plan, PlanWarning};
pub use reason::{Reason, ReasonKind, TagCounts};
pub use refusal::Refusal;
pub use spec::{ImageSpec, PutImage, SpecError};
pub use verdict::{TagReport, Verdict, verdicts};
