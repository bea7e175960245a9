//! When which application is checked: policies, caps, slots, cycle and continuous modes.
//!
//! [`Schedule`] is a sub-machine: the facade tells it which applications exist and how their runs
//! ended, and polls it for the next run to start. It knows nothing of images or registries.
//!
//! Invariants: one run per application at a time; slots in use equal the slots held, and a slot is
//! only taken below the limit; a deleted application starts nothing and leaves nothing behind; a
//! repository at its cap delays nobody else; no wake-up is asked for that could start nothing.
//!
//! ```text
//!   timers ──due──► line (lanes per repository) ──slot──► running ──finished──► timers
//!                     ▲ cycle start: all at once            │  ▲
//!                     └─────────────────────────────────────┘  └─ give_slot / request_slot
//! ```

mod due;
mod entry;
mod lane;
mod line;
mod machine;
mod pass;
mod policy;
mod settings;
mod slots;
mod stage;
mod view;

pub use due::{cycle_next, is_cycle_due, is_due};
pub use entry::Standing;
pub use lane::LaneId;
pub use line::{Line, PassKind};
pub use machine::{Grant, Schedule};
pub use pass::{PassName, ScheduleEvent, Totals};
pub use policy::{History, Outcome, Rank};
pub use settings::{
    Concurrency, Mode, Policy, ScheduleSettings, ScheduleSettingsError, ScheduleSettingsErrors,
};
pub use slots::Slots;
pub use view::Stats;

#[cfg(test)]
mod tests;
