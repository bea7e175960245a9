//! The room itself: what the facade tells it and polls from it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::sync::Arc;
use core::mem;

use super::intent::{BatchId, BatchKey, Intent};
use super::job::{GitJob, GitTask, PublishTask};
use super::lane::{Lane, LaneId, LaneState, Member};
use super::outcome::PublishOutcome;
use super::settings::{BATCH_INTENTS_MAX, PublishSettings};
use super::turns::{Turn, Turns};
use crate::effect::Effect;
use crate::id::{AppId, OpId, OpIds};
use crate::keyed::{Purpose, Seed};
use crate::patience::{Overdue, Patience};
use crate::time::{Now, Time};

/// Intents, their batches, and the attempts under way.
#[derive(Debug)]
pub struct Publishes {
    pub(super) settings: PublishSettings,
    seed: Seed,
    pub(super) lanes: BTreeMap<LaneId, Lane>,
    by_key: BTreeMap<Arc<BatchKey>, LaneId>,
    /// Where the intent of an application is.
    pub(super) places: BTreeMap<AppId, (LaneId, u64)>,
    pub(super) turns: Turns,
    pub(super) in_flight: BTreeMap<OpId, Flight>,
    /// When lanes are looked at, at most one entry each.
    timers: BTreeSet<(Time, LaneId)>,
    /// Lanes that got an intent since their triggers were looked at.
    touched: BTreeSet<LaneId>,
    next_lane: u64,
    next_place: u64,
    n_batches: u64,
    is_draining: bool,
    effects: VecDeque<Effect>,
    pub(super) outcomes: VecDeque<PublishOutcome>,
}

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) turn: Turn,
    /// The batch that is published or looked for.
    pub(super) batch: BatchId,
    patience: Patience,
}

impl Publishes {
    /// A room without intents.
    pub fn new(settings: PublishSettings, seed: Seed) -> Self {
        Self {
            settings,
            seed,
            lanes: BTreeMap::new(),
            by_key: BTreeMap::new(),
            places: BTreeMap::new(),
            turns: Turns::default(),
            in_flight: BTreeMap::new(),
            timers: BTreeSet::new(),
            touched: BTreeSet::new(),
            next_lane: 0,
            next_place: 0,
            n_batches: 0,
            is_draining: false,
            effects: VecDeque::new(),
            outcomes: VecDeque::new(),
        }
    }

    /// Puts the intent of an application in line, in place of one that waits. It is answered by one
    /// [`PublishOutcome::Ended`], unless [`Publishes::forget`] comes first. The caller does so only when no
    /// intent of the application is under way.
    ///
    /// # Panics
    /// When one is: that is [`Publishes::is_under_way`].
    pub fn enqueue(&mut self, now: Time, app: AppId, key: BatchKey, url: &str, intent: Intent) {
        assert!(
            !self.is_under_way(app),
            "an intent is replaced only while it waits"
        );
        let lane = self.lane_of(key, url);
        // Within its batch an application keeps its place.
        let place = match self.places.get(&app) {
            Some((known, place)) if *known == lane => Some(*place),
            Some(_) => {
                self.forget(app);
                None
            }
            None => None,
        };
        let intent = Arc::new(intent);
        let entry = self
            .lanes
            .get_mut(&lane)
            .expect("a lane that was looked up");
        if let Some(member) = place.and_then(|place| entry.waiting.get_mut(&place)) {
            member.intent = intent;
            return;
        }
        let place = self.next_place;
        self.next_place += 1;
        entry.waiting.insert(
            place,
            Member {
                app,
                intent,
                arrived: now,
                n_failed: 0,
                is_login_repeated: false,
                is_doubted: false,
            },
        );
        self.places.insert(app, (lane, place));
        self.touched.insert(lane);
        self.arm(lane);
    }

    /// Takes the intent of an application back. One under way ends unheard.
    pub fn forget(&mut self, app: AppId) {
        let Some((id, place)) = self.places.remove(&app) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if lane.waiting.remove(&place).is_none()
            && let Ok(at) = lane.batch.binary_search_by_key(&place, |one| one.place)
        {
            lane.batch[at].is_dropped = true;
        }
        self.arm(id);
    }

    /// Collects no longer: whatever waits goes out at once (`--once`, SIGTERM; WB-06).
    pub fn handle_drain(&mut self) {
        self.is_draining = true;
        self.touched.extend(self.lanes.keys());
    }

    /// Cancels what is overdue and reports what is stalled.
    pub fn handle_timeout(&mut self, now: Time) {
        for (op, flight) in &mut self.in_flight {
            while let Some(overdue) = flight.patience.take_overdue(now) {
                match overdue {
                    Overdue::Cancel => self.effects.push_back(Effect::Cancel(*op)),
                    Overdue::Stalled => self.outcomes.push_back(PublishOutcome::Stalled(*op)),
                }
            }
        }
    }

    /// Looks at the triggers and starts what may start: called once per drained turn, so that a batch takes
    /// all that one event made (`design.md` 4.7).
    pub fn handle_drained_turn(&mut self, now: Now, ops: &mut OpIds) {
        while let Some((due, id)) = self.timers.first().copied()
            && due <= now.mono
        {
            self.timers.remove(&(due, id));
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.timer = None;
            }
            self.close(id);
        }
        for id in mem::take(&mut self.touched) {
            let is_full = self.lanes.get(&id).is_some_and(|lane| {
                lane.state == LaneState::Collecting
                    && !lane.waiting.is_empty()
                    && (lane.waiting.len() >= self.settings.batch_trigger
                        || !self.settings.is_batched
                        || self.is_draining)
            });
            if is_full {
                self.close(id);
            }
        }
        while self.in_flight.len() < self.settings.in_flight_max
            && let Some(turn) = self.turns.take()
        {
            self.start(now, ops, turn);
        }
    }

    /// The next effect to start.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The next thing to know.
    pub fn poll_outcome(&mut self) -> Option<PublishOutcome> {
        self.outcomes.pop_front()
    }

    /// When there is something to do next although nothing else happens. Valid after
    /// [`Publishes::handle_drained_turn`]; changed by every `&mut` method.
    pub fn next_wakeup(&self) -> Option<Time> {
        let in_flight = self.in_flight.values();
        let overdue = in_flight.filter_map(|flight| flight.patience.due());
        overdue
            .chain(self.timers.first().map(|(due, _)| *due))
            .min()
    }

    /// True when the intent of an application is part of an attempt, and cannot be exchanged.
    pub fn is_under_way(&self, app: AppId) -> bool {
        self.places.get(&app).is_some_and(|(lane, place)| {
            let lane = self.lanes.get(lane);
            lane.is_some_and(|lane| !lane.waiting.contains_key(place))
        })
    }

    /// True when no intent waits and no attempt is under way.
    pub fn is_idle(&self) -> bool {
        self.places.is_empty() && self.in_flight.is_empty()
    }

    /// The lane of a key; a new one collects.
    fn lane_of(&mut self, key: BatchKey, url: &str) -> LaneId {
        if let Some(lane) = self.by_key.get(&key) {
            return *lane;
        }
        let id = LaneId(self.next_lane);
        self.next_lane += 1;
        let key = Arc::new(key);
        self.lanes.insert(id, Lane::new(Arc::clone(&key), url));
        self.by_key.insert(key, id);
        id
    }

    /// Sets the timer of a lane that collects, and removes a lane of which nothing is left.
    pub(super) fn arm(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else {
            return;
        };
        if lane.is_over() && !matches!(lane.state, LaneState::Running(_)) {
            self.put_timer(id, None);
            self.touched.remove(&id);
            if let Some(lane) = self.lanes.remove(&id) {
                self.by_key.remove(&lane.key);
            }
            return;
        }
        if lane.state == LaneState::Collecting {
            let due = lane.since();
            let due = due.map(|since| since.after(self.settings.flush_interval));
            self.put_timer(id, due);
        }
    }

    pub(super) fn put_timer(&mut self, id: LaneId, due: Option<Time>) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if let Some(old) = mem::replace(&mut lane.timer, due) {
            self.timers.remove(&(old, id));
        }
        self.timers.extend(due.map(|due| (due, id)));
    }

    /// Goes on with a lane whose batch came to its end, or to a pause until `resume`.
    pub(super) fn go_on(&mut self, id: LaneId, resume: Option<Time>) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        lane.state = match resume {
            Some(_) => LaneState::Pausing,
            None => LaneState::Collecting,
        };
        if lane.is_over() || resume.is_none() {
            self.touched.insert(id);
            self.arm(id);
        } else {
            self.put_timer(id, resume);
        }
    }

    /// `base * factor^n` with up to a quarter of keyed jitter.
    pub(super) fn pause(&self, key: &BatchKey, n: u32) -> core::time::Duration {
        let pause = self.settings.pause(n);
        let subject = key.to_subject();
        let jitter = self.seed.duration(
            Purpose::Backoff,
            subject.as_bytes(),
            u64::from(n),
            pause / 4,
        );
        pause.saturating_add(jitter)
    }

    /// Puts a lane in line for its turn.
    fn close(&mut self, id: LaneId) {
        self.put_timer(id, None);
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        match lane.state {
            LaneState::Collecting | LaneState::Pausing => {
                lane.state = LaneState::Queued;
                let branch = lane.key.branch().map(Box::from);
                self.turns.enqueue(&lane.serial, id, branch);
            }
            LaneState::Queued | LaneState::Running(_) => {}
        }
    }

    /// It is a lane's turn.
    fn start(&mut self, now: Now, ops: &mut OpIds, turn: Turn) {
        let id = turn.lane;
        let n_max = if self.settings.is_batched {
            BATCH_INTENTS_MAX
        } else {
            1
        };
        if self.is_unwanted(id) && self.is_to_inspect(id) {
            self.drop_batch(id);
        }
        let Some(lane) = self.lanes.get_mut(&id) else {
            // All its intents were taken back while it was in line.
            return self.turns.give(&turn);
        };
        let (task, batch) = if lane.must_inspect() {
            let doubt = lane.doubt.as_ref().expect("what is inspected is in doubt");
            let task = GitTask::Inspect {
                batch: doubt.batch.clone(),
                since: doubt.since,
            };
            (task, doubt.batch.clone())
        } else {
            lane.take_batch(n_max);
            let batch = batch_id(self.seed, &lane.key, self.n_batches);
            self.n_batches += 1;
            let intents = lane.batch.iter();
            let task = GitTask::Publish(Box::new(PublishTask {
                batch: batch.clone(),
                intents: intents.map(|one| Arc::clone(&one.member.intent)).collect(),
                author: self.settings.author.clone(),
                time: now.wall,
                is_signed: self.settings.is_signed,
                is_signed_off: self.settings.is_signed_off,
            }));
            (task, batch)
        };
        let op = ops.take_next();
        lane.state = LaneState::Running(op);
        let job = GitJob {
            repository: lane.url.clone(),
            credential: lane.key.credential().clone(),
            target: lane.key.target().clone(),
            task,
            timeout: self.settings.timeout,
        };
        self.effects.push_back(Effect::Git(op, Box::new(job)));
        self.in_flight.insert(
            op,
            Flight {
                turn,
                batch,
                patience: Patience::until(now.mono.after(self.settings.timeout)),
            },
        );
    }

    /// True when the intents of a lane that are under way are wanted by nobody.
    pub(super) fn is_unwanted(&self, id: LaneId) -> bool {
        let lane = self.lanes.get(&id);
        lane.is_none_or(|lane| lane.batch.iter().all(|one| one.is_dropped))
    }

    fn is_to_inspect(&self, id: LaneId) -> bool {
        self.lanes.get(&id).is_some_and(Lane::must_inspect)
    }

    /// Nobody wants to know any more what became of a batch. What the branch says then is read by whoever
    /// writes next.
    pub(super) fn drop_batch(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.batch.clear();
            lane.doubt = None;
            if lane.state == LaneState::Queued && lane.is_over() {
                self.arm(id);
            }
        }
    }
}

/// A name that no other batch has: of a restarted process the seed is another one.
fn batch_id(seed: Seed, key: &BatchKey, n: u64) -> BatchId {
    let subject = key.to_subject();
    let draw = |half| {
        let attempt = n.wrapping_mul(2).wrapping_add(half);
        seed.below(Purpose::Batch, subject.as_bytes(), attempt, u64::MAX)
    };
    BatchId::new(format!("{:016x}{:016x}", draw(0), draw(1)))
}
