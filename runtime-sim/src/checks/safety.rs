//! Safety: S1, S2, S13, S16. (S14 and S15 are seen by the engine, S20 is a panic.)

use std::collections::{BTreeMap, BTreeSet};

use image_updater_core::effect::{ClusterEffect, Effect};
use image_updater_core::event::Event;
use image_updater_core::id::{AppKey, OpId};
use image_updater_core::input::{ClusterInput, Input};
use image_updater_fixtures::Request;

use super::Violation;
use crate::options::Options;

/// Requests that a registry may have in flight.
const IN_FLIGHT_PER_REGISTRY_MAX: usize = 15;
/// Patches and reads that the API server may have in flight.
const IN_FLIGHT_PATCHES_MAX: usize = 16;
/// Worlds up to this size are audited after every step.
const AUDITED_APPS_MAX: u32 = 50;
/// Larger worlds are audited every so many steps.
const AUDIT_STEPS: u64 = 10_000;

/// What must never be, with the little that is needed to see it.
#[derive(Debug)]
pub struct Safety {
    small: bool,
    checking: BTreeSet<AppKey>,
    known: BTreeSet<AppKey>,
    listed: Option<BTreeSet<AppKey>>,
    in_flight: BTreeMap<String, usize>,
    patching: BTreeMap<OpId, AppKey>,
    hidden: bool,
}

impl Safety {
    /// The checks for a run with `options`.
    pub fn new(options: &Options) -> Self {
        Self {
            small: options.apps <= AUDITED_APPS_MAX,
            checking: BTreeSet::new(),
            known: BTreeSet::new(),
            listed: None,
            in_flight: BTreeMap::new(),
            patching: BTreeMap::new(),
            hidden: false,
        }
    }

    /// S16: the core's counters equal a recount.
    pub fn audit(
        &self,
        steps: u64,
        recount: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), Violation> {
        if self.small || steps.is_multiple_of(AUDIT_STEPS) {
            recount().map_err(|detail| Violation::new("S16", "core", detail))?;
        }
        Ok(())
    }

    /// A new process knows nothing and has nothing in flight.
    pub fn restarted(&mut self) {
        self.checking.clear();
        self.known.clear();
        self.listed = None;
        self.in_flight.clear();
        self.patching.clear();
    }

    /// Follows which applications the core was told of.
    pub fn told(&mut self, input: &Input) {
        let Input::Cluster(input) = input else { return };
        match input {
            ClusterInput::ResetBegun => self.listed = Some(BTreeSet::new()),
            ClusterInput::Applied(app) => {
                self.known.insert(app.key.clone());
                if let Some(listed) = &mut self.listed {
                    listed.insert(app.key.clone());
                }
            }
            ClusterInput::Deleted(key) => {
                self.known.remove(key);
                self.checking.remove(key);
            }
            ClusterInput::ResetDone => {
                if let Some(listed) = self.listed.take() {
                    self.checking.retain(|key| listed.contains(key));
                    self.known = listed;
                }
            }
            ClusterInput::Patched(..) | ClusterInput::Read(..) => {}
        }
    }

    /// S2: bounds per registry and per API server.
    pub fn started(&mut self, effect: &Effect) -> Result<(), Violation> {
        match effect {
            Effect::Http(_, request) => {
                let Some(request) = Request::from_core(request) else {
                    return Ok(());
                };
                let host = request.host;
                let in_flight = self.in_flight.entry(host.clone()).or_default();
                *in_flight += 1;
                if *in_flight > IN_FLIGHT_PER_REGISTRY_MAX {
                    let detail = format!("{in_flight} requests in flight");
                    return Err(Violation::new("S2", host, detail));
                }
            }
            Effect::Cluster(op, effect) => {
                let key = match effect {
                    ClusterEffect::Patch(patch) => &patch.key,
                    ClusterEffect::Read { key, .. } => key,
                };
                self.patching.insert(*op, key.clone());
                if self.patching.len() > IN_FLIGHT_PATCHES_MAX {
                    let detail = format!("{} patches in flight", self.patching.len());
                    return Err(Violation::new("S2", "API server", detail));
                }
                if self.patching.values().filter(|other| *other == key).count() > 1 {
                    return Err(Violation::new(
                        "S1",
                        key.to_string(),
                        "two patches in flight",
                    ));
                }
                if !self.known.contains(key) {
                    return Err(Violation::new(
                        "S13",
                        key.to_string(),
                        "written after its deletion",
                    ));
                }
            }
            Effect::ReadCredential(..) | Effect::Git(..) | Effect::Cancel(_) => {}
        }
        Ok(())
    }

    /// The answer of a registry or of the API server is in.
    pub fn completed(&mut self, op: OpId, host: Option<&str>) {
        self.patching.remove(&op);
        if let Some(in_flight) = host.and_then(|host| self.in_flight.get_mut(host)) {
            *in_flight = in_flight.saturating_sub(1);
        }
    }

    /// S1 and S13: one check at a time, and none for what is gone.
    pub fn event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::CheckStarted { key, .. } => {
                if !self.known.contains(key) {
                    let detail = "a check started after the deletion was seen";
                    return Err(Violation::new("S13", key.to_string(), detail));
                }
                if !self.checking.insert(key.clone()) {
                    return Err(Violation::new(
                        "S1",
                        key.to_string(),
                        "two checks in flight",
                    ));
                }
            }
            Event::CheckFinished { key, .. } => {
                self.checking.remove(key);
            }
            Event::ApplicationConsidered { .. }
            | Event::ApplicationIgnored { .. }
            | Event::ApplicationMalformed { .. }
            | Event::ApplicationDeleted { .. }
            | Event::ApplicationRefused { .. }
            | Event::Synced { .. }
            | Event::Redecided { .. }
            | Event::ImageDecided { .. }
            | Event::WriteRefused { .. }
            | Event::DryRun { .. }
            | Event::Written { .. }
            | Event::Published { .. }
            | Event::AlreadyPublished { .. }
            | Event::Batch(_)
            | Event::MessageNotRendered { .. }
            | Event::WriteFailed { .. }
            | Event::OperationStalled { .. }
            | Event::Schedule(_)
            | Event::Registry(_)
            | Event::RegistriesReloaded { .. }
            | Event::RegistriesRefused { .. }
            | Event::ShutdownBegun { .. }
            | Event::Stopped { .. } => {}
        }
        Ok(())
    }

    /// The planted bug of S1: one finished check is hidden from the checks, so that the next start
    /// looks like a second one in flight.
    pub fn hides(&mut self, event: &Event) -> bool {
        let hides = !self.hidden && matches!(event, Event::CheckFinished { .. });
        self.hidden |= hides;
        hides
    }
}
