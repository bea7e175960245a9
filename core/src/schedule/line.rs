//! The line of those who may run now: policy order across repositories, caps inside each.
//!
//! Invariants: a lane is among the heads exactly while it is open and somebody waits in it; a lane has
//! an opening time exactly while it is closed, somebody waits in it, and time alone opens it. Taking
//! the next costs the logarithm of those who wait, however many are held back by a cap.
//!
//! The starvation guard (`ops.md` 7.3) is kept without touching those who wait: the lane counts its
//! passes, and whoever joined at an earlier pass was passed over more often.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::AppKey;
use crate::schedule::lane::{LaneId, Lanes};
use crate::schedule::policy::{History, Rank};
use crate::schedule::settings::Policy;
use crate::time::Time;

/// How long what a repository started counts against its cap in continuous mode.
const WINDOW: Duration = Duration::from_secs(1);

/// What a pass is, as far as the per-repository cap is concerned (`ops.md` 7.2, step 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PassKind {
    /// From [`Line::close_pass`] to the next: one cycle.
    Whole,
    /// One second from the repository's first start on; what is still in flight counts longer.
    Timed,
}

/// Who may run now, in order.
#[derive(Debug)]
pub struct Line {
    policy: Policy,
    cooldown: Duration,
    /// 0: unlimited.
    cap: u32,
    kind: PassKind,
    is_exempt: bool,
    lanes: Lanes,
    heads: BTreeSet<(Rank, LaneId)>,
    openings: BTreeSet<(Time, LaneId)>,
    cooling: BTreeSet<(Time, LaneId, u32, Rank)>,
    n_waiting: usize,
    deferrals: u64,
    coolings: u64,
}

impl Line {
    /// An empty line.
    pub fn new(policy: Policy, cooldown: Duration, per_repo_cap: u32, kind: PassKind) -> Self {
        Self {
            policy,
            cooldown,
            cap: per_repo_cap,
            kind,
            is_exempt: false,
            lanes: Lanes::default(),
            heads: BTreeSet::new(),
            openings: BTreeSet::new(),
            cooling: BTreeSet::new(),
            n_waiting: 0,
            deferrals: 0,
            coolings: 0,
        }
    }

    /// The lane of `repo`, with one more user. Without a cap all share one.
    pub fn join(&mut self, repo: &str) -> LaneId {
        let repo = self.lane_name(repo);
        self.lanes.join(repo, self.cap > 0)
    }

    /// One user of `lane` less.
    pub fn leave(&mut self, lane: LaneId) {
        self.lanes.leave(lane);
    }

    /// One user more of a lane in use.
    pub(super) fn hold(&mut self, lane: LaneId) {
        self.lanes.hold(lane);
    }

    /// True when applications of `repo` use `lane`.
    pub(super) fn is_lane_of(&self, lane: LaneId, repo: &str) -> bool {
        self.lanes.is_lane_of(lane, self.lane_name(repo))
    }

    /// Lets `key` wait in `lane`. `since` is what this returned when it waited before and was not
    /// taken; what it returns now is to be kept until it is taken.
    pub fn enter(
        &mut self,
        now: Time,
        lane: LaneId,
        key: &Arc<AppKey>,
        history: &History,
        since: Option<u32>,
    ) -> u32 {
        self.reassess(now, lane);
        let until = history.cooling_until(self.cooldown, now);
        let rank = Rank::new(self.policy, history, until.is_some(), Arc::clone(key));
        self.delist(lane);
        let place = self.lanes.lane_mut(lane);
        let since = since.unwrap_or_else(|| place.pass_to_join());
        if let Some(until) = until {
            self.cooling.insert((until, lane, since, rank.clone()));
            self.coolings = self.coolings.saturating_add(1);
        }
        place.insert(since, rank, until);
        self.n_waiting += 1;
        if place.blocked {
            self.deferrals = self.deferrals.saturating_add(1);
        }
        self.enlist(lane);
        since
    }

    /// Takes `key` out again, with the history that it entered with.
    ///
    /// # Panics
    /// When it does not wait there.
    pub fn remove(&mut self, lane: LaneId, key: &Arc<AppKey>, history: &History, since: u32) {
        let rank = |is_cooling| Rank::new(self.policy, history, is_cooling, Arc::clone(key));
        let (warm, cold) = (rank(false), rank(true));
        self.delist(lane);
        let is_warm = self.lanes.lane(lane).has(&warm);
        self.pull(lane, since, if is_warm { warm } else { cold });
        self.enlist(lane);
    }

    /// Takes the next who may run, and counts it as started and running.
    pub fn poll_next(&mut self, now: Time) -> Option<(Arc<AppKey>, LaneId)> {
        self.on_time(now);
        let lane = self.heads.first()?.1;
        let (since, rank) = self.lanes.lane(lane).next();
        let key = Arc::clone(rank.key());
        self.delist(lane);
        self.pull(lane, since, rank);
        self.start(now, lane);
        Some((key, lane))
    }

    /// Counts a run of `lane` as started. [`Self::poll_next`] does so for whom it takes.
    pub fn on_started(&mut self, now: Time, lane: LaneId) {
        self.delist(lane);
        self.start(now, lane);
    }

    /// Counts a run of `lane` that began at `started` as finished.
    pub fn on_finished(&mut self, now: Time, lane: LaneId, started: Time) {
        self.delist(lane);
        self.lanes.lane_mut(lane).on_finished(started);
        self.settle(now, lane);
    }

    /// Ends the pass of every repository and empties the line; returns who still waited.
    pub fn close_pass(&mut self) -> Vec<Arc<AppKey>> {
        let mut left = Vec::with_capacity(self.n_waiting);
        for lane in self.lanes.iter_mut() {
            left.extend(lane.take_all().map(|rank| Arc::clone(rank.key())));
            lane.close_window();
        }
        self.heads.clear();
        self.openings.clear();
        self.cooling.clear();
        self.n_waiting = 0;
        left
    }

    /// Lifts the cap while `is_exempt`; for the warm-up, which writes nothing (`ops.md` 6).
    ///
    /// # Panics
    /// When somebody waits.
    pub(super) fn on_exempt(&mut self, is_exempt: bool) {
        assert!(self.n_waiting == 0, "the cap is lifted between passes");
        self.is_exempt = is_exempt;
    }

    /// When time alone lets somebody run who is held back by a cap. Later than the `now` of a
    /// [`Self::poll_next`] that returned `None`.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.openings.first().map(|(at, _)| *at)
    }

    /// True when somebody waits whom no cap holds back.
    pub fn has_next(&self) -> bool {
        !self.heads.is_empty()
    }

    /// How many wait, held back or not.
    pub const fn n_waiting(&self) -> usize {
        self.n_waiting
    }

    /// True when the cap holds back whoever waits in `lane`.
    pub fn is_blocked(&self, lane: LaneId) -> bool {
        self.lanes.lane(lane).blocked
    }

    /// How many passes in a row held back who waits in `lane` since `since` (`ops.md` 7.3).
    pub(super) fn passes_since(&self, lane: LaneId, since: u32) -> u32 {
        self.lanes.lane(lane).passes_since(since)
    }

    /// How often the cap put somebody off, ever (`ops.md` 7.2: reason `per-repo-cap`).
    pub const fn deferrals(&self) -> u64 {
        self.deferrals
    }

    /// How often somebody got in line behind all who do not cool, ever (`ops.md` 7.2, step 2).
    pub const fn coolings(&self) -> u64 {
        self.coolings
    }

    /// Bytes, about.
    pub fn footprint(&self) -> usize {
        let per_waiting = size_of::<Rank>() * 2 + size_of::<u32>();
        self.lanes.footprint()
            + self.n_waiting * per_waiting * 3 / 2
            + self.lanes.len().min(self.heads.len()) * size_of::<(Rank, LaneId)>() * 3 / 2
            + self.openings.len() * size_of::<(Time, LaneId)>() * 3 / 2
            + self.cooling.len() * size_of::<(Time, LaneId, u32, Rank)>() * 3 / 2
    }

    /// Room of the lanes, which stays when they are empty.
    pub(super) fn slab_bytes(&self) -> usize {
        self.lanes.slab_bytes()
    }

    /// What the passing of time changes: lanes open, applications stop to cool.
    fn on_time(&mut self, now: Time) {
        while let Some(&(at, lane)) = self.openings.first()
            && at <= now
        {
            self.reassess(now, lane);
        }
        while let Some((until, ..)) = self.cooling.first()
            && *until <= now
        {
            let (_, lane, since, cold) = self.cooling.pop_first().expect("there is a first");
            self.delist(lane);
            let place = self.lanes.lane_mut(lane);
            place.remove(since, &cold);
            place.insert(since, cold.into_warm(), None);
            self.enlist(lane);
        }
    }

    /// Takes a waiting rank out of a delisted lane.
    fn pull(&mut self, lane: LaneId, since: u32, rank: Rank) {
        if let Some(until) = self.lanes.lane_mut(lane).remove(since, &rank) {
            self.cooling.remove(&(until, lane, since, rank));
        }
        self.n_waiting -= 1;
    }

    /// Counts a start in a delisted lane.
    fn start(&mut self, now: Time, lane: LaneId) {
        let window_len = match self.kind {
            PassKind::Whole => None,
            PassKind::Timed => Some(WINDOW),
        };
        self.lanes.lane_mut(lane).on_started(now, window_len);
        self.settle(now, lane);
    }

    /// Opens or closes `lane` as its cap asks at `now`.
    fn reassess(&mut self, now: Time, lane: LaneId) {
        self.delist(lane);
        self.settle(now, lane);
    }

    /// The same for a delisted lane.
    fn settle(&mut self, now: Time, lane: LaneId) {
        let cap = self.cap_now();
        let place = self.lanes.lane_mut(lane);
        if place.closes(now, cap) {
            let waiting = u64::try_from(place.n_waiting()).unwrap_or(u64::MAX);
            self.deferrals = self.deferrals.saturating_add(waiting);
        }
        self.enlist(lane);
    }

    /// Takes `lane` out of the heads and openings, before it is changed.
    fn delist(&mut self, lane: LaneId) {
        let cap = self.cap_now();
        let place = self.lanes.lane(lane);
        let Some(head) = place.head() else { return };
        if !place.blocked {
            self.heads.remove(&(head.clone(), lane));
        } else if let Some(at) = place.opens_at(cap) {
            self.openings.remove(&(at, lane));
        }
    }

    /// Enters `lane` where it now belongs, after it was changed.
    fn enlist(&mut self, lane: LaneId) {
        let cap = self.cap_now();
        let place = self.lanes.lane(lane);
        let Some(head) = place.head() else { return };
        if !place.blocked {
            self.heads.insert((head.clone(), lane));
        } else if let Some(at) = place.opens_at(cap) {
            self.openings.insert((at, lane));
        }
    }

    fn cap_now(&self) -> u32 {
        if self.is_exempt { 0 } else { self.cap }
    }

    const fn lane_name<'a>(&self, repo: &'a str) -> &'a str {
        if self.cap == 0 { "" } else { repo }
    }
}

#[cfg(test)]
impl Line {
    /// Nothing is left of anybody.
    pub(super) fn assert_empty(&self) {
        assert_eq!(self.lanes.len(), 0, "lanes");
        assert_eq!(self.n_waiting, 0, "waiting");
        assert!(self.heads.is_empty(), "heads");
        assert!(self.openings.is_empty(), "openings");
        assert!(self.cooling.is_empty(), "cooling");
    }
}
