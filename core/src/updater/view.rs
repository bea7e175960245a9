//! Read-only views: explanations, counts, bytes, and the audit.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::run::{Phase, Run};
use super::{Leaving, Updater};
use crate::app::unknown_keys;
use crate::bytes;
use crate::explain::{Explanation, ImageReport};
use crate::health::Health;
use crate::id::{AppId, AppKey};
use crate::keyed::fnv1a;
use crate::metrics::Snapshot;
use crate::time::{Now, Time};

/// Counts since the start. Not part of the state that decides.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) is_synced: bool,
    pub(super) clock_regressions: u64,
    pub(super) stale_completions: u64,
    pub(super) decisions: u64,
    pub(super) listings: u64,
    pub(super) listings_failed: u64,
    pub(super) writes: u64,
    pub(super) writes_failed: u64,
}

/// What there is and what was done, as plain numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Objects that are known, taking part or not.
    pub applications: usize,
    /// Those that take part.
    pub considered: usize,
    /// Runs under way.
    pub runs: usize,
    /// Repositories that some application uses.
    pub repositories: usize,
    /// Patches and reads in flight.
    pub operations: usize,
    /// Decisions taken.
    pub decisions: u64,
    /// Listings that ended well.
    pub listings: u64,
    /// Listings that did not.
    pub listings_failed: u64,
    /// Writes done.
    pub writes: u64,
    /// Writes given up.
    pub writes_failed: u64,
    /// Completions that were unknown, stale or repeated (A8).
    pub stale_completions: u64,
    /// Samples of time that lay behind an earlier one (A2).
    pub clock_regressions: u64,
}

/// Bytes of state, by what they are for, as they are asked of the allocator; what it adds is not
/// counted. Places of collections that are not in use are estimated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Footprint {
    /// Records, explanations and scheduling state of applications.
    pub applications: usize,
    /// Kept listings.
    pub listings: usize,
    /// Everything else of registries: repositories, facts, tokens.
    pub registry: usize,
    /// Series of metrics.
    pub metrics: usize,
    /// What waits to be done or to be read, and the room that was once needed for it.
    pub queues: usize,
}

impl Footprint {
    /// All of it.
    pub const fn total(&self) -> usize {
        self.applications + self.listings + self.registry + self.metrics + self.queues
    }
}

impl Updater {
    /// Why an application was, or was not, updated; `None` when it is not known.
    pub fn explain(&self, key: &AppKey) -> Option<Explanation> {
        let entry = self.apps.entry(self.apps.id(key)?)?;
        let list = entry.app.image_list().ok();
        let aliases = list
            .iter()
            .flat_map(|list| &list.images)
            .map(|image| image.alias.as_str());
        Some(Explanation {
            key: key.clone(),
            ignored: entry.ignored.clone(),
            problems: entry.app.problems.clone(),
            unknown_annotations: unknown_keys(&entry.app.annotations, aliases),
            images: entry.reports.clone(),
            refusal: entry.refusal.as_deref().cloned(),
            publishing: self
                .apps
                .id(key)
                .and_then(|id| self.publishes.standing(self.now.mono, id)),
            last_publish: entry.last_publish.as_deref().cloned(),
            last_run: entry.last_run,
            running: entry.run.as_ref().map(|run| run.kind),
            standing: self.schedule.standing(key),
        })
    }

    /// How the process is at `now`, and what it tells a probe (`registry.md` 10, `ops.md` 15).
    pub fn health(&self, now: Now) -> Health {
        let ports = self.registry.ports();
        // A sample older than the last input is as of that (A2).
        let now = now.mono.max(self.now.mono);
        Health {
            is_degraded: ports.is_degraded(now),
            n_port_failures: ports.count(now),
            is_failing_wanted: self.config.fails_on_port_exhaustion,
        }
    }

    /// What there is and what was done.
    pub fn stats(&self) -> Stats {
        Stats {
            applications: self.apps.len(),
            considered: self
                .apps
                .iter()
                .filter(|(_, entry)| entry.ignored.is_none())
                .count(),
            runs: self
                .apps
                .iter()
                .filter(|(_, entry)| entry.run.is_some())
                .count(),
            repositories: self.apps.n_repositories(),
            operations: self.patches.in_flight()
                + self.publishes.in_flight()
                + self.registry.n_operations(),
            decisions: self.counts.decisions,
            listings: self.counts.listings,
            listings_failed: self.counts.listings_failed,
            writes: self.counts.writes,
            writes_failed: self.counts.writes_failed,
            stale_completions: self.counts.stale_completions,
            clock_regressions: self.counts.clock_regressions,
        }
    }

    /// All series of metrics at this moment (`registry.md` 11, `ops.md` 16).
    pub fn metrics(&self) -> Snapshot<'_> {
        Snapshot::new(
            &self.events.metrics,
            self.schedule.stats(),
            self.registry.shared_lookups(),
        )
    }

    /// How many bytes of state there are.
    pub fn footprint(&self) -> Footprint {
        let reports = |reports: &[ImageReport]| {
            reports.iter().map(ImageReport::heap_bytes).sum::<usize>() + size_of_val(reports)
        };
        let entries: usize = self
            .apps
            .iter()
            .map(|(_, entry)| {
                size_of_val(entry)
                    + entry.app.heap_bytes()
                    + size_of_val(&*entry.repositories)
                    + reports(&entry.reports)
                    + entry.refusal.as_deref().map_or(0, size_of_val)
                    + entry
                        .last_publish
                        .as_deref()
                        .map_or(0, |last| size_of_val(last) + last.heap_bytes())
                    + entry.run.as_deref().map_or(0, Run::bytes)
            })
            .sum();
        let registry = self.registry.footprint();
        Footprint {
            applications: entries + self.apps.index_bytes() + self.schedule.footprint(),
            listings: registry.listings,
            registry: registry.facts + registry.rest,
            metrics: self.events.metrics.footprint(),
            queues: bytes::queue(&self.effects)
                + self.events.queue_bytes()
                + bytes::queue(&self.line)
                + bytes::tree::<(Time, AppId), ()>(self.deadlines.len())
                + bytes::tree::<AppId, Leaving>(self.leaving.len())
                + self.patches.footprint()
                + self.publishes.footprint()
                + self.registry.queue_bytes()
                + self.schedule.queue_bytes(),
        }
    }

    /// Recounts what is counted, and says what does not agree (S16). For tests and the simulator.
    pub fn audit(&self) -> Result<(), String> {
        self.registry.recount()?;
        let in_flight = self
            .apps
            .iter()
            .filter(|(_, entry)| entry.run.as_ref().is_some_and(|run| run.is_in_flight()))
            .count();
        if in_flight + self.leaving.len() != self.patches.in_flight() {
            return Err(format!(
                "{} patches in flight, {in_flight} runs and {} gone applications with one",
                self.patches.in_flight(),
                self.leaving.len()
            ));
        }
        let in_line: Vec<_> = self
            .apps
            .iter()
            .filter(|(_, entry)| {
                entry
                    .run
                    .as_ref()
                    .is_some_and(|run| run.phase == Phase::InLine)
            })
            .collect();
        if in_line.len() != self.patches.waiting() {
            return Err(format!(
                "{} applications in line to patch, {} runs that wait there",
                self.patches.waiting(),
                in_line.len()
            ));
        }
        self.publishes.audit()?;
        let n_publishing = self
            .apps
            .iter()
            .filter(|(_, entry)| {
                let run = entry.run.as_ref();
                run.is_some_and(|run| run.phase == Phase::Publishing)
            })
            .count();
        if n_publishing != self.publishes.n_intents() {
            return Err(format!(
                "{} intents, {n_publishing} runs that wait for a commit",
                self.publishes.n_intents()
            ));
        }
        let running = self
            .apps
            .iter()
            .filter(|(_, entry)| entry.run.is_some())
            .count();
        // What a gone application's operation still holds is known to the scheduler alone.
        let holding = |run: &Run| {
            run.has_slot || (run.check_follows.is_some() && run.phase != Phase::Publishing)
        };
        let n_slots = self
            .apps
            .iter()
            .filter(|(_, entry)| entry.run.as_ref().is_some_and(|run| holding(run)))
            .count();
        let in_use = self.schedule.stats().slots_in_use;
        if self.leaving.is_empty() && u32::try_from(n_slots) != Ok(in_use) {
            return Err(format!("{in_use} slots in use, {n_slots} runs with one"));
        }
        if self.deadlines.len() != running {
            return Err(format!(
                "{} deadlines, {running} runs",
                self.deadlines.len()
            ));
        }
        Ok(())
    }

    /// A hash over the state that decides: counters and the time are left out. For the simulator (S14);
    /// walks everything.
    pub fn state_hash(&self) -> u64 {
        struct Hasher(u64);
        impl fmt::Write for Hasher {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 = fnv1a(self.0, text.as_bytes());
                Ok(())
            }
        }
        let mut hasher = Hasher(0);
        let state = (
            (&self.apps, &self.schedule, &self.registry, &self.patches),
            &self.publishes,
            (
                &self.line,
                &self.deadlines,
                &self.leaving,
                &self.effects,
                &self.events,
                &self.stage,
            ),
        );
        write!(hasher, "{state:?}").expect("hashing text succeeds");
        hasher.0
    }
}
