//! The pure core of an image updater for Argo CD.
//!
//! [`Updater`] decides when which application is checked, what registries are asked, which version is
//! chosen and what is written. It has no I/O, no clock and no randomness: facts come in as [`Input`],
//! work to start goes out as [`Effect`], facts for observers go out as [`Event`].
//!
//! ```text
//! handle_input(now, fact)   ─┐                ┌─► poll_effect()   work for the driver to start
//! handle_timeout(now)       ─┼──► Updater ────┼─► poll_event()    facts for logs and metrics
//!                            │                └─► poll_timeout()  when to call again, and why
//! ```
//!
//! # Contract
//!
//! - **A1** Equal (config, seed, calls) give equal (effects, events, wake-ups), byte for byte.
//! - **A2** Time never runs backwards inside: an older `now` is clamped and counted.
//! - **A3** `handle_timeout` before the deadline does nothing; twice at one instant equals once, a
//!   pending turn excepted.
//! - **A4** `poll_timeout` is pure; its documentation lists the calls that can change it.
//! - **A5** Once the polls return `None` they stay `None` until a handle call. A handle call does
//!   bounded work: at most [`updater::DECISIONS_PER_CALL_MAX`] decisions, the rest in turns.
//! - **A6** Never a deadline at or before the `now` just handled, a turn excepted; turns at one instant
//!   are bounded.
//! - **A7** Every operation has a deadline that the core owns; the driver's own are a courtesy.
//! - **A8** A completion with an unknown, stale or repeated id changes nothing but a counter.
//! - **A9** Slots are freed on completion, not on cancel. An operation unanswered past deadline and
//!   grace raises a stalled event and closes its registry.
//! - **A10** Every queue and map is bounded by configuration; overflow is a decision in code.
//! - **A11** After an application is deleted and its operations are done, nothing mentions it.
//! - **A12** [`Config`] is validated when it is built: that is the only `Result`.
#![no_std]
#![deny(missing_docs)]

extern crate alloc;

pub mod app;
mod bytes;
pub mod config;
pub mod credential;
pub mod duration;
pub mod effect;
pub mod event;
pub mod explain;
#[cfg(test)]
mod fixed_cases;
pub mod git;
pub mod health;
pub mod http;
pub mod id;
pub mod image;
pub mod input;
pub mod keyed;
mod lookup;
pub mod metrics;
pub mod patch;
mod patience;
pub mod probe;
pub mod publish;
pub mod registry;
pub mod repo;
pub mod rfc3339;
pub mod schedule;
pub mod secret;
pub mod time;
pub mod update;
pub mod updater;
pub mod writeback;

pub use config::{Config, Settings};
pub use effect::Effect;
pub use event::Event;
pub use explain::Explanation;
pub use id::{AppKey, OpId};
pub use input::Input;
pub use keyed::Seed;
pub use time::{Now, Time, UnixTime, Wakeup};
pub use updater::Updater;
