//! The invariants of a run, judged from the world's side (`simulation.md` 3.5).
//!
//! One file per family, one function per invariant; [`Observers`] only tells each what happened.

mod ledger;
mod liveness;
mod safety;
#[cfg(test)]
mod tests;

pub use ledger::{Ledger, expected_tag};
pub use liveness::{Liveness, Quiet};
pub use safety::Safety;

use std::fmt;
use std::sync::Arc;

use image_updater_core::Updater;
use image_updater_core::effect::Effect;
use image_updater_core::event::Event;
use image_updater_core::id::OpId;
use image_updater_core::input::Input;
use image_updater_core::time::{Time, Wakeup};
use image_updater_fixtures::{Request, Response};
use serde_json::Value;

use crate::options::{Options, Planted};
use crate::workload::{Action, Plan};
use crate::world::World;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its id: `S1`, `L2` …
    pub id: &'static str,
    /// Whom it concerns.
    pub subject: String,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    /// A violation of `id` by `subject`.
    pub fn new(id: &'static str, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            id,
            subject: subject.into(),
            detail: detail.into(),
        }
    }

    /// Liveness violations have an exit code of their own.
    pub fn is_liveness(&self) -> bool {
        self.id.starts_with('L') || self.id == "step-limit"
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.id, self.subject, self.detail)
    }
}

/// All checks of one run.
#[derive(Debug)]
pub struct Observers {
    /// Safety: what must never be.
    pub safety: Safety,
    /// Liveness and quality of service.
    pub liveness: Liveness,
    /// What was allowed and what was written.
    pub ledger: Ledger,
    planted: Option<Planted>,
    found: Option<Violation>,
}

impl Observers {
    /// The checks of a run of `plan`.
    pub fn new(options: &Options, plan: &Plan) -> Self {
        Self {
            safety: Safety::new(options),
            liveness: Liveness::new(options),
            ledger: Ledger::new(plan),
            planted: options.planted,
            found: None,
        }
    }

    /// After every step: reports what was found, and audits the core now and then.
    pub fn step(&mut self, now: Time, core: &Updater, steps: u64) -> Result<(), Violation> {
        if let Some(found) = self.found.take() {
            return Err(found);
        }
        self.safety.audit(steps, || core.audit())?;
        self.liveness.dispatch_bound(now)
    }

    /// The plan acts.
    pub fn act(&mut self, now: Time, action: &Action, world: &World) {
        self.ledger.act(action);
        self.liveness.act(now, action, world);
    }

    /// The process ended and starts anew.
    pub fn restarted(&mut self, now: Time) {
        self.safety.restarted();
        self.liveness.restarted(now);
    }

    /// The core is told something that is no completion.
    pub fn told(&mut self, now: Time, input: &Input) {
        self.safety.told(input);
        self.liveness.told(now, input);
    }

    /// The core starts an effect.
    pub fn started(&mut self, now: Time, effect: &Effect) {
        let result = self.safety.started(now, effect);
        self.note(result);
    }

    /// A completion reaches the core for the first time.
    pub fn completed(&mut self, op: OpId, host: Option<&str>) {
        self.safety.completed(op, host);
    }

    /// A completion reached the core for the second time.
    pub fn repeated(&mut self, op: OpId, unchanged: bool) {
        if !unchanged {
            self.note(Err(Violation::new(
                "S14",
                format!("op {}", op.0),
                "a repeated completion changed the state",
            )));
        }
    }

    /// The core reports something.
    pub fn event(&mut self, now: Time, event: &Event) {
        if self.planted == Some(Planted::DoubleCheck) && self.safety.hides(event) {
            return;
        }
        let result = self.safety.event(event);
        self.note(result);
        let result = self.liveness.event(now, event);
        self.note(result);
    }

    /// The core wants to be woken.
    pub fn wakeup(&mut self, now: Time, wakeup: Wakeup, early: bool) {
        if early {
            self.note(Err(Violation::new(
                "S15",
                "run",
                format!("{wakeup:?} wanted at {now:?}"),
            )));
        }
    }

    /// The core is woken.
    pub fn woken(&mut self) {
        self.liveness.woken();
    }

    /// The core was told that a registry wants to be left alone for `wait_s` seconds.
    pub fn throttled(&mut self, now: Time, host: &str, wait_s: u64) {
        self.safety.throttled(now, host, wait_s);
    }

    /// A registry answers; a planted bug may falsify the answer.
    pub fn served(&mut self, request: &Request, response: &mut Response) {
        if self.planted == Some(Planted::StaleListing) {
            self.ledger.falsify(request, response);
        }
    }

    /// A patch was applied.
    pub fn patched(&mut self, name: &str, before: &Arc<Value>, after: &Arc<Value>, world: &World) {
        let result = self.ledger.patched(name, before, after, world);
        self.note(result);
    }

    fn note(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.found.get_or_insert(violation);
        }
    }
}
