//! Patches of Applications: a bounded number in flight, everyone else in line.
//!
//! The line holds applications, not patches: a patch is computed only when it is sent, on the freshest
//! record, so that waiting never makes it stale. Invariants: at most
//! [`PatchSettings::in_flight_max`] operations run; an application is in line or in flight, never
//! both; a slot is freed by the completion and never by a cancel (A9).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

use crate::bytes;
use crate::effect::{ApplicationPatch, ClusterEffect, Effect};
use crate::id::{AppId, AppKey, OpId, OpIds};
use crate::keyed::{Purpose, Seed};
use crate::patience::{Overdue, Patience};
use crate::time::Time;

/// Bounds of write-back through the Kubernetes API (`ops.md` 13.1, `design.md` 4.12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatchSettings {
    /// Patches and reads under way at once.
    pub in_flight_max: usize,
    /// Attempts per run, the first included (`OVERRIDE_MAX_RETRIES` counts the others).
    pub attempts_max: u32,
    /// Pause before the first repetition; doubled for each further one.
    pub backoff_base: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// How long one operation may take.
    pub timeout: Duration,
}

impl Default for PatchSettings {
    fn default() -> Self {
        Self {
            in_flight_max: 16,
            attempts_max: 8,
            backoff_base: Duration::from_millis(100),
            backoff_max: Duration::from_secs(15),
            timeout: Duration::from_secs(30),
        }
    }
}

/// What an operation in flight does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlightKind {
    /// It patches.
    Patch,
    /// It reads the object anew, after a conflict or a lost reply.
    Read,
}

/// Something that the facade must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchOutcome {
    /// The operation was not answered within its deadline and the grace after it.
    Stalled(OpId),
}

/// The line of applications that want to write, and the operations under way.
#[derive(Debug)]
pub struct Patches {
    settings: PatchSettings,
    seed: Seed,
    line: VecDeque<AppId>,
    pausing: BTreeSet<(Time, AppId)>,
    in_flight: BTreeMap<OpId, Flight>,
    paused_until: Option<Time>,
    effects: VecDeque<Effect>,
    outcomes: VecDeque<PatchOutcome>,
}

#[derive(Debug)]
struct Flight {
    app: AppId,
    kind: FlightKind,
    patience: Patience,
}

impl Patches {
    /// An empty line.
    pub fn new(settings: PatchSettings, seed: Seed) -> Self {
        Self {
            settings,
            seed,
            line: VecDeque::new(),
            pausing: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            paused_until: None,
            effects: VecDeque::new(),
            outcomes: VecDeque::new(),
        }
    }

    /// Puts an application at the end of the line. The caller does so at most once per run phase.
    pub fn enqueue(&mut self, app: AppId) {
        debug_assert!(
            !self.line.contains(&app),
            "an application is in line at most once"
        );
        self.line.push_back(app);
    }

    /// Puts an application at the head of the line: it had its turn, and only reads.
    pub fn enqueue_first(&mut self, app: AppId) {
        self.line.push_front(app);
    }

    /// Puts an application in line again after the pause that follows failed attempt `attempt`
    /// (counted from 0), or after `wait` when the server named one.
    pub fn enqueue_after(
        &mut self,
        now: Time,
        app: AppId,
        key: &AppKey,
        attempt: u32,
        wait: Option<Duration>,
    ) {
        let pause = wait.unwrap_or_else(|| self.backoff(key, attempt));
        self.pausing.insert((now.after(pause), app));
    }

    /// Takes an application out of the line; operations in flight go on.
    pub fn forget(&mut self, app: AppId) {
        self.line.retain(|waiting| *waiting != app);
        self.pausing.retain(|(_, waiting)| *waiting != app);
    }

    /// True when another attempt after `attempts` failed ones is allowed.
    pub const fn can_repeat(&self, attempts: u32) -> bool {
        attempts < self.settings.attempts_max
    }

    /// Sends nothing before `wait` has passed: the server asked for it.
    pub fn handle_throttled(&mut self, now: Time, wait: Duration) {
        let until = now.after(wait);
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
    }

    /// The next application whose patch may be sent now. The caller follows with
    /// [`Patches::start_patch`], [`Patches::start_read`], or gives the turn up.
    pub fn take_ready(&mut self, now: Time) -> Option<AppId> {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        while let Some((due, app)) = self.pausing.first().copied()
            && due <= now
        {
            self.pausing.remove(&(due, app));
            self.line.push_back(app);
        }
        if !self.can_start() {
            return None;
        }
        self.line.pop_front()
    }

    /// Sends a patch.
    pub fn start_patch(
        &mut self,
        now: Time,
        ops: &mut OpIds,
        app: AppId,
        build: impl FnOnce(Duration) -> ApplicationPatch,
    ) -> OpId {
        let op = self.start(now, ops, app, FlightKind::Patch);
        let patch = Box::new(build(self.settings.timeout));
        self.effects
            .push_back(Effect::Cluster(op, ClusterEffect::Patch(patch)));
        op
    }

    /// Reads an object anew.
    pub fn start_read(&mut self, now: Time, ops: &mut OpIds, app: AppId, key: AppKey) -> OpId {
        let op = self.start(now, ops, app, FlightKind::Read);
        let effect = ClusterEffect::Read {
            key,
            timeout: self.settings.timeout,
        };
        self.effects.push_back(Effect::Cluster(op, effect));
        op
    }

    /// Frees the slot of a completed operation and tells whose it was; `None` when the id is unknown,
    /// stale or repeated, or belongs to an operation of the other kind (A8).
    pub fn take_completed(&mut self, op: OpId, kind: FlightKind) -> Option<AppId> {
        if self.in_flight.get(&op)?.kind != kind {
            return None;
        }
        self.in_flight.remove(&op).map(|flight| flight.app)
    }

    /// Cancels what is overdue and reports what is stalled.
    pub fn handle_timeout(&mut self, now: Time) {
        for (op, flight) in &mut self.in_flight {
            while let Some(overdue) = flight.patience.take_overdue(now) {
                match overdue {
                    Overdue::Cancel => self.effects.push_back(Effect::Cancel(*op)),
                    Overdue::Stalled => self.outcomes.push_back(PatchOutcome::Stalled(*op)),
                }
            }
        }
    }

    /// The next effect to start.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The next thing to know.
    pub fn poll_outcome(&mut self) -> Option<PatchOutcome> {
        self.outcomes.pop_front()
    }

    /// When [`Patches::handle_timeout`] or [`Patches::take_ready`] has something to do next; `None`
    /// while only completions can change anything. Changed by every `&mut` method.
    pub fn next_wakeup(&self) -> Option<Time> {
        let in_flight = self.in_flight.values();
        let overdue = in_flight.filter_map(|flight| flight.patience.due());
        let resumed = self.pausing.first().map(|(due, _)| *due);
        let unpaused = self.paused_until.filter(|_| !self.line.is_empty());
        overdue.chain(resumed).chain(unpaused).min()
    }

    /// Bytes, about.
    pub fn footprint(&self) -> usize {
        bytes::queue(&self.line)
            + bytes::queue(&self.effects)
            + bytes::queue(&self.outcomes)
            + bytes::tree::<(Time, AppId), ()>(self.pausing.len())
            + bytes::tree::<OpId, Flight>(self.in_flight.len())
    }

    /// Operations under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Applications in line or pausing.
    pub fn waiting(&self) -> usize {
        self.line.len() + self.pausing.len()
    }

    fn can_start(&self) -> bool {
        self.paused_until.is_none() && self.in_flight.len() < self.settings.in_flight_max
    }

    fn start(&mut self, now: Time, ops: &mut OpIds, app: AppId, kind: FlightKind) -> OpId {
        assert!(
            self.can_start(),
            "a patch slot is free when an operation starts"
        );
        let op = ops.take_next();
        let deadline = now.after(self.settings.timeout);
        self.in_flight.insert(
            op,
            Flight {
                app,
                kind,
                patience: Patience::until(deadline),
            },
        );
        op
    }

    /// `base * 2^attempt`, at most the maximum, plus up to a quarter of keyed jitter.
    fn backoff(&self, key: &AppKey, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt);
        let pause = self
            .settings
            .backoff_base
            .saturating_mul(factor)
            .min(self.settings.backoff_max);
        let subject = key.to_subject();
        let jitter = self.seed.duration(
            Purpose::Backoff,
            subject.as_bytes(),
            u64::from(attempt),
            pause / 4,
        );
        pause.saturating_add(jitter)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn no_more_than_the_bound_is_in_flight_and_completions_free_slots() {
        let mut world = World::new(2);
        for app in 0..3 {
            world.patches.enqueue(AppId(app));
        }
        let first = world.send().expect("a free slot");
        world.send().expect("a second slot");
        assert_eq!(world.send(), None, "both slots are taken");
        assert_eq!(
            world.patches.take_completed(first, FlightKind::Read),
            None,
            "wrong kind"
        );
        assert_eq!(
            world.patches.take_completed(first, FlightKind::Patch),
            Some(AppId(0))
        );
        assert_eq!(
            world.patches.take_completed(first, FlightKind::Patch),
            None,
            "repeated"
        );
        assert!(world.send().is_some());
    }

    #[test]
    fn an_overdue_patch_is_cancelled_but_keeps_its_slot_until_it_is_answered() {
        let mut world = World::new(1);
        world.patches.enqueue(AppId(0));
        let op = world.send().expect("a free slot");
        world.patches.enqueue(AppId(1));
        let deadline = world.patches.next_wakeup().expect("a deadline");
        world.now = deadline;
        world.patches.handle_timeout(deadline);
        let effects: Vec<Effect> = core::iter::from_fn(|| world.patches.poll_effect()).collect();
        assert!(effects.contains(&Effect::Cancel(op)), "{effects:?}");
        assert_eq!(world.send(), None);
        let grace_end = world.patches.next_wakeup().expect("the grace period ends");
        world.patches.handle_timeout(grace_end);
        assert_eq!(
            world.patches.poll_outcome(),
            Some(PatchOutcome::Stalled(op))
        );
        assert_eq!(
            world.patches.next_wakeup(),
            None,
            "a stalled operation wakes nobody"
        );
        assert_eq!(
            world.patches.take_completed(op, FlightKind::Patch),
            Some(AppId(0))
        );
        assert!(world.send().is_some());
    }

    #[test]
    fn a_throttled_server_is_left_alone_until_its_time_has_come() {
        let mut world = World::new(2);
        world
            .patches
            .handle_throttled(world.now, Duration::from_secs(5));
        world.patches.enqueue(AppId(0));
        assert_eq!(world.send(), None);
        let until = world.patches.next_wakeup().expect("the pause ends");
        assert_eq!(until, Time::from_secs(5));
        world.now = until;
        assert!(world.send().is_some());
    }

    #[test]
    fn pauses_double_up_to_their_bound() {
        let world = World::new(1);
        let key = AppKey::new("ns", "a");
        let pause = |attempt| world.patches.backoff(&key, attempt).as_millis();
        assert!((100..125).contains(&pause(0)));
        assert!((200..250).contains(&pause(1)));
        assert!((15_000..18_750).contains(&pause(60)), "saturates");
    }

    struct World {
        patches: Patches,
        ops: OpIds,
        now: Time,
    }

    impl World {
        fn new(in_flight_max: usize) -> Self {
            let settings = PatchSettings {
                in_flight_max,
                ..PatchSettings::default()
            };
            Self {
                patches: Patches::new(settings, Seed(1)),
                ops: OpIds::default(),
                now: Time::ZERO,
            }
        }

        fn send(&mut self) -> Option<OpId> {
            let app = self.patches.take_ready(self.now)?;
            Some(
                self.patches
                    .start_patch(self.now, &mut self.ops, app, |timeout| ApplicationPatch {
                        key: AppKey::new("ns", "a"),
                        resource_version: "1".into(),
                        operations: Vec::new(),
                        timeout,
                    }),
            )
        }
    }
}
