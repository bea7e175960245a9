//! The invariants of a run, judged from the world's side (`simulation.md` 3.5).
//!
//! One file per family, one function per invariant; [`Observers`] only tells each what happened.

mod commits;
mod ledger;
mod lists;
mod liveness;
mod requests;
mod safety;
mod secrets;
mod tally;
#[cfg(test)]
mod tests;

pub use commits::{Commits, Landed};
pub use ledger::{Ledger, expected_tag, written};
pub use lists::Lists;
pub use liveness::{Liveness, Quiet};
pub use requests::Requests;
pub use safety::Safety;
pub use secrets::shown;
pub use tally::{Sent, Tally};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use image_updater_core::Updater;
use image_updater_core::effect::Effect;
use image_updater_core::event::Event;
use image_updater_core::http::HttpOutcome;
use image_updater_core::id::OpId;
use image_updater_core::input::Input;
use image_updater_core::registry::outcome::RegistryOutcome;
use image_updater_core::time::{Time, Wakeup};
use image_updater_fixtures::Request;
use image_updater_fixtures::git::Push;
use serde_json::Value;

use crate::fault::Part;
use crate::git::laid_over;
use crate::options::{Options, Planted};
use crate::workload::{Action, AppIdx, Plan};
use crate::world::{NAMESPACE, World};

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
    /// What registries see.
    pub requests: Requests,
    /// What was committed.
    pub commits: Commits,
    /// Lists as they were served.
    pub lists: Lists,
    /// What happened, for scripts.
    pub tally: Tally,
    asked: BTreeMap<OpId, Request>,
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
            requests: Requests::new(options, plan),
            commits: Commits::default(),
            lists: Lists::default(),
            tally: Tally::default(),
            asked: BTreeMap::new(),
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
        self.requests.act(now, action);
        self.liveness.act(now, action, world);
        if let Action::Git(repo, action) = action {
            self.commits.act(*repo, action, world);
        }
    }

    /// The process ended and starts anew.
    pub fn restarted(&mut self, now: Time) {
        self.asked.clear();
        self.requests.restarted();
        self.safety.restarted();
        self.commits.restarted();
        self.liveness.restarted(now);
    }

    /// The core is told something that is no completion.
    pub fn told(&mut self, now: Time, input: &Input) {
        self.safety.told(input);
        self.liveness.told(now, input);
    }

    /// The core starts an effect.
    pub fn started(&mut self, now: Time, effect: &Effect) {
        let result = self.safety.started(effect);
        self.note(result);
        if let Effect::Git(op, job) = effect {
            let result = self.commits.started(*op, job);
            self.note(result);
        }
        if let Effect::Cancel(op) = effect {
            self.requests.cancelled(now, *op);
        }
    }

    /// The core sends a request; `user` is whose password or token it shows, if one is known.
    pub fn sent(&mut self, now: Time, op: OpId, asked: &Request, user: Option<&str>) {
        if self.tally.is_kept {
            self.tally.sent.push(Sent {
                at: now,
                host: asked.host.clone(),
                part: Part::of(asked),
                target: format!("{} {}", asked.method, asked.target),
                user: user.unwrap_or_default().to_owned(),
            });
        }
        self.liveness.sent();
        let result = self.requests.sent(now, op, asked, user);
        self.note(result);
        self.asked.insert(op, asked.clone());
    }

    /// An answer is about to reach the core; a planted bug may falsify it.
    pub fn answered(&mut self, now: Time, op: OpId, input: &mut Input) {
        let (Input::Http(_, outcome), Some(asked)) = (input, self.asked.remove(&op)) else {
            return;
        };
        self.requests.answered(now, op, outcome);
        self.lists.answered(&asked, outcome);
        if self.planted == Some(Planted::StaleListing)
            && let HttpOutcome::Response(response) = outcome
        {
            self.ledger.falsify(&asked, response);
        }
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
        if self.tally.is_kept
            && let Event::CheckStarted { key, .. } = event
        {
            self.tally.starts.push((now, key.name.to_string()));
        }
        if let Event::Registry(RegistryOutcome::RetryRefused { endpoint, .. }) = event {
            self.requests.refused(endpoint);
        }
        let result = self.safety.event(event);
        self.note(result);
        let result = self.commits.event(event);
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

    /// A registry answers.
    pub fn served(&mut self, now: Time, asked: &Request, status: u16) {
        let before = self.requests.failed_logins.get(&asked.host).copied();
        let result = self.requests.served(now, asked, status);
        self.note(result);
        if self.tally.is_kept && self.requests.failed_logins.get(&asked.host).copied() != before {
            self.tally.failed_logins.push((now, asked.host.clone()));
        }
    }

    /// Something is shown: a line of the trace, an effect, an explanation.
    pub fn shown(&mut self, subject: &str, text: &str) {
        let result = shown(subject, text);
        self.note(result);
    }

    /// A patch was applied.
    pub fn patched(
        &mut self,
        now: Time,
        name: &str,
        before: &Arc<Value>,
        after: &Arc<Value>,
        world: &World,
    ) {
        if self.tally.is_kept && before != after {
            self.tally.writes.push((now, name.to_owned()));
        }
        let result = self.ledger.patched(name, before, after, world, &self.lists);
        self.note(result);
    }

    /// A push was applied: whose files it changed.
    pub fn pushed(&mut self, now: Time, repo: usize, push: &Push, world: &World) -> Vec<AppIdx> {
        let landed = match self.commits.pushed(repo, push, world) {
            Ok(landed) => landed,
            Err(violation) => {
                self.note(Err(violation));
                return Vec::new();
            }
        };
        let mut apps = Vec::new();
        for (app, before, after) in landed.files {
            apps.push(app);
            let model = &world.apps[app];
            if self.tally.is_kept {
                self.tally.writes.push((now, model.name.clone()));
            }
            let object = world.cluster.application(NAMESPACE, &model.name);
            let Some(object) = object else { continue };
            let [before, after] =
                [before, after].map(|file| Arc::new(laid_over(object, model, &file)));
            let result = self
                .ledger
                .patched(&model.name, &before, &after, world, &self.lists);
            self.note(result);
        }
        apps
    }

    fn note(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.found.get_or_insert(violation);
        }
    }
}
