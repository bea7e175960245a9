//! One repository's part of the line: who waits, and how much of the cap is used.
//!
//! Invariants: `running` is the number of unfinished runs; what a window started counts until the
//! window ends, finished or not; both sets hold the same applications.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::bytes;
use crate::schedule::policy::Rank;
use crate::time::Time;

/// Names one lane, as long as somebody uses it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LaneId(u32);

/// The applications of one repository.
#[derive(Debug)]
pub(super) struct Lane {
    repo: Arc<str>,
    users: u32,
    /// Without a cap nobody is passed over, and `by_wait` stays empty.
    is_guarded: bool,
    /// Everyone who waits, by policy, and until when they cool.
    by_rank: BTreeMap<Rank, Option<Time>>,
    /// The same, with those first who were passed over the longest: the starvation guard
    /// (`ops.md` 7.3).
    by_wait: BTreeSet<(u32, Rank)>,
    /// How often the cap closed the lane.
    passes: u32,
    running: u32,
    window: Option<Window>,
    pub(super) blocked: bool,
}

/// What one pass started.
#[derive(Clone, Copy, Debug)]
struct Window {
    begins: Time,
    /// `None`: when the pass is closed.
    ends: Option<Time>,
    started: u32,
    running: u32,
}

impl Lane {
    pub(super) fn n_waiting(&self) -> usize {
        self.by_rank.len()
    }

    /// The one that policy puts first.
    pub(super) fn head(&self) -> Option<&Rank> {
        self.by_rank.first_key_value().map(|(rank, _)| rank)
    }

    /// The one that runs next: whoever was passed over most often, then by policy.
    pub(super) fn next(&self) -> (u32, Rank) {
        let next = if self.is_guarded {
            self.by_wait.first().cloned()
        } else {
            self.head().map(|rank| (0, rank.clone()))
        };
        next.expect("somebody waits in a lane that has a head")
    }

    /// How many passes went by an application that waits since pass `since`.
    pub(super) const fn passes_since(&self, since: u32) -> u32 {
        self.passes.saturating_sub(since)
    }

    /// The pass that a newcomer counts from; one that finds the lane closed was passed over already.
    pub(super) const fn pass_to_join(&self) -> u32 {
        if self.blocked {
            self.passes.saturating_sub(1)
        } else {
            self.passes
        }
    }

    pub(super) fn insert(&mut self, since: u32, rank: Rank, cooling_until: Option<Time>) {
        if self.is_guarded {
            self.by_wait.insert((since, rank.clone()));
        }
        let twice = self.by_rank.insert(rank, cooling_until);
        assert!(twice.is_none(), "an application waits once");
    }

    pub(super) fn has(&self, rank: &Rank) -> bool {
        self.by_rank.contains_key(rank)
    }

    /// Takes out a rank that is there; returns until when it would have cooled.
    pub(super) fn remove(&mut self, since: u32, rank: &Rank) -> Option<Time> {
        let removed = self.by_rank.remove(rank);
        assert!(removed.is_some(), "only who waits is taken out of a lane");
        if self.is_guarded {
            let same = self.by_wait.remove(&(since, rank.clone()));
            assert!(same, "both sets hold the same applications");
        }
        removed.flatten()
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Rank> + use<> {
        self.by_wait.clear();
        core::mem::take(&mut self.by_rank).into_keys()
    }

    /// Compares what is used with `cap` (0: unlimited); true when the lane closes by it now.
    pub(super) fn closes(&mut self, now: Time, cap: u32) -> bool {
        self.roll(now);
        let full = cap > 0 && self.used() >= cap;
        let closes = full && !self.blocked;
        if closes {
            self.passes = self.passes.saturating_add(1);
        }
        self.blocked = full;
        closes
    }

    /// When a closed lane opens without a run of it ending; `None` when one must end first.
    pub(super) fn opens_at(&self, cap: u32) -> Option<Time> {
        if self.running >= cap {
            return None;
        }
        self.window.and_then(|window| window.ends)
    }

    pub(super) fn on_started(&mut self, now: Time, window_len: Option<Duration>) {
        self.roll(now);
        self.running += 1;
        let window = self.window.get_or_insert(Window {
            begins: now,
            ends: window_len.map(|length| now.after(length)),
            started: 0,
            running: 0,
        });
        window.started += 1;
        window.running += 1;
    }

    pub(super) fn on_finished(&mut self, started: Time) {
        assert!(self.running > 0, "only a running application finishes");
        self.running -= 1;
        if let Some(window) = &mut self.window
            && started >= window.begins
        {
            window.running -= 1;
        }
    }

    pub(super) const fn close_window(&mut self) {
        self.window = None;
        self.blocked = false;
    }

    fn roll(&mut self, now: Time) {
        if let Some(ends) = self.window.and_then(|window| window.ends)
            && ends <= now
        {
            self.window = None;
        }
    }

    fn used(&self) -> u32 {
        match self.window {
            None => self.running,
            Some(window) => window.started.saturating_add(self.running - window.running),
        }
    }
}

/// All lanes, by id and by repository.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    slab: Vec<Option<Lane>>,
    free: Vec<LaneId>,
    by_repo: BTreeMap<Arc<str>, LaneId>,
}

impl Lanes {
    /// Adds a user to the lane of `repo`, compared as text (`ops.md` 7.2).
    pub(super) fn join(&mut self, repo: &str, is_guarded: bool) -> LaneId {
        if let Some(&id) = self.by_repo.get(repo) {
            self.hold(id);
            return id;
        }
        let repo: Arc<str> = repo.into();
        let lane = Lane {
            repo: Arc::clone(&repo),
            users: 1,
            is_guarded,
            by_rank: BTreeMap::new(),
            by_wait: BTreeSet::new(),
            passes: 0,
            running: 0,
            window: None,
            blocked: false,
        };
        let id = if let Some(id) = self.free.pop() {
            self.slab[id.index()] = Some(lane);
            id
        } else {
            let id = u32::try_from(self.slab.len()).expect("fewer lanes than applications fit");
            self.slab.push(Some(lane));
            LaneId(id)
        };
        self.by_repo.insert(repo, id);
        id
    }

    /// Adds a user to a lane that has one.
    pub(super) fn hold(&mut self, id: LaneId) {
        self.lane_mut(id).users += 1;
    }

    /// Removes a user; the last one takes the lane along.
    pub(super) fn leave(&mut self, id: LaneId) {
        let lane = self.lane_mut(id);
        lane.users -= 1;
        if lane.users == 0 {
            assert!(lane.running == 0, "a running application uses its lane");
            assert!(
                lane.by_rank.is_empty(),
                "a waiting application uses its lane"
            );
            let repo = Arc::clone(&lane.repo);
            self.by_repo.remove(&repo);
            self.slab[id.index()] = None;
            self.free.push(id);
        }
    }

    /// True when `id` is the lane of `repo`.
    pub(super) fn is_lane_of(&self, id: LaneId, repo: &str) -> bool {
        &*self.lane(id).repo == repo
    }

    pub(super) fn lane(&self, id: LaneId) -> &Lane {
        let lane = self.slab.get(id.index()).and_then(Option::as_ref);
        lane.expect("a lane exists while it has users")
    }

    pub(super) fn lane_mut(&mut self, id: LaneId) -> &mut Lane {
        let lane = self.slab.get_mut(id.index()).and_then(Option::as_mut);
        lane.expect("a lane exists while it has users")
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.slab.iter_mut().flatten()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_repo.len()
    }

    /// Bytes, about.
    pub(super) fn footprint(&self) -> usize {
        let names: usize = self.by_repo.keys().map(|repo| repo.len() + 16).sum();
        bytes::tree::<Arc<str>, LaneId>(self.by_repo.len()) + names
    }

    /// Room of the slab, which stays when it is empty.
    pub(super) fn slab_bytes(&self) -> usize {
        self.slab.capacity() * size_of::<Option<Lane>>()
            + self.free.capacity() * size_of::<LaneId>()
    }
}

impl LaneId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}
