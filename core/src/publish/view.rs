//! Read-only views: where an intent stands, counts, bytes, and the audit.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;

use super::intent::Intent;
use super::lane::{Lane, LaneId, LaneState, Member};
use super::machine::{Flight, Publishes};
use super::outcome::{PublishStanding, PublishWait};
use crate::bytes;
use crate::id::{AppId, OpId};
use crate::time::Time;

impl Publishes {
    /// Where the intent of an application stands; `None` without one.
    pub fn standing(&self, now: Time, app: AppId) -> Option<PublishStanding> {
        let (id, place) = self.places.get(&app)?;
        let lane = self.lanes.get(id)?;
        let batched = || {
            let at = lane.batch.binary_search_by_key(place, |one| one.place);
            at.ok().and_then(|at| lane.batch.get(at))
        };
        let waiting = lane.waiting.get(place);
        let member = waiting.or_else(|| batched().map(|one| &one.member))?;
        let left = || {
            lane.timer
                .map_or(core::time::Duration::ZERO, |at| at.since(now))
        };
        let wait = match (lane.state, waiting) {
            (LaneState::Running(_), None) if lane.must_inspect() => PublishWait::Inspection,
            (LaneState::Running(_), None) => PublishWait::Server,
            (LaneState::Queued | LaneState::Running(_), _) => PublishWait::Turn,
            (LaneState::Pausing, _) => PublishWait::Pause(left()),
            (LaneState::Collecting, _) => PublishWait::Others(left()),
        };
        Some(PublishStanding {
            repository: lane.url.to_string().into(),
            branch: lane.key.branch().unwrap_or_default().into(),
            n_failed: member.n_failed,
            n_waiting: lane.waiting.len(),
            wait,
        })
    }

    /// Intents that wait or are under way.
    pub fn n_intents(&self) -> usize {
        self.places.len()
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Bytes, about.
    pub fn footprint(&self) -> usize {
        let member = size_of::<Member>() + size_of::<Intent>();
        let of_lane = |lane: &Lane| {
            bytes::tree::<u64, Member>(lane.waiting.len())
                + (lane.waiting.len() + lane.batch.len()) * member
                + lane.key.heap_bytes()
        };
        let lanes: usize = self.lanes.values().map(of_lane).sum();
        bytes::tree::<LaneId, Lane>(self.lanes.len())
            + bytes::tree::<AppId, (LaneId, u64)>(self.places.len())
            + bytes::tree::<OpId, Flight>(self.in_flight.len())
            + self.turns.footprint()
            + lanes
    }

    /// Recounts what is kept twice, and says what does not agree (S7, S16).
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let mut n_places = 0_usize;
        let mut n_running = 0_usize;
        for (id, lane) in &self.lanes {
            let batched = lane.batch.iter().filter(|one| !one.is_dropped);
            let members = batched.map(|one| (one.place, &one.member));
            let members = members.chain(lane.waiting.iter().map(|(place, one)| (*place, one)));
            for (place, member) in members {
                n_places += 1;
                if self.places.get(&member.app) != Some(&(*id, place)) {
                    return Err(format!("{:?} is not where it is kept to be", member.app));
                }
            }
            if let LaneState::Running(op) = lane.state {
                n_running += 1;
                if self
                    .in_flight
                    .get(&op)
                    .is_none_or(|flight| flight.turn.lane != *id)
                {
                    return Err(format!("{id:?} waits for {op:?}, which is not under way"));
                }
            }
        }
        if n_places != self.places.len() || n_running != self.in_flight.len() {
            return Err(format!(
                "{n_places} intents in lanes and {} kept, {n_running} lanes with an attempt and {} attempts",
                self.places.len(),
                self.in_flight.len()
            ));
        }
        let mut taken = BTreeSet::new();
        for flight in self.in_flight.values() {
            let turn = &flight.turn;
            if !taken.insert((Arc::clone(&turn.repository), turn.branch.clone())) {
                return Err(format!("two publishes to {:?} at once", turn.branch));
            }
        }
        Ok(())
    }
}
