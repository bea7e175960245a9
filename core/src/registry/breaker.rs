//! Circuits: a registry that says 401 or 403 is not hammered, because some ban the whole address for it
//! (30 failed logins in three minutes, as GitLab does).
//!
//! Invariants: at one place (scheme, host and port of a registry or token server) the failed logins of
//! any three minutes and the logins under way never exceed [`FAILURES_MAX`] together, whoever logs in; a
//! login that was never accepted goes alone, and never takes more than [`UNKNOWN_FAILURES_MAX`] of them,
//! so that those that were accepted still have room; a circuit concerns one login at one place.
//!
//! ```text
//! Closed ──two failed logins, or refusals only──► Open ──60 s, doubling to 10 min──► HalfOpen
//!    ▲                                             ▲                                  │    │
//!    └──────────────── accepted ───────────────────┼──────────────────────────────────┘    │
//!                                                  └───────────── failed ──────────────────┘
//! ```

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;

use super::circuit::{Circuit, CircuitState, FAILED_MAX, REFUSED_MAX, Settled, Standing};
use super::job::JobId;
use crate::bytes;
use crate::credential::CredentialSource;
use crate::time::Time;

/// How far back failures count.
const WINDOW: Duration = Duration::from_mins(3);
/// Failed logins within the window and logins under way, at one place: half of what is banned.
pub(super) const FAILURES_MAX: usize = 15;
/// Of these, how many may be of logins that were never accepted.
const UNKNOWN_FAILURES_MAX: usize = 8;
/// Logins under way at once at one place, so that a changed password leaves room for the new one.
const LOGINS_MAX: usize = 12;
/// Refusals within the window, at one place, up to which a refused repository is asked for again.
const REFUSALS_MAX: usize = 8;
/// Whose circuit: a login, by its fingerprint (0 is nobody's), at a place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CircuitKey {
    pub(super) place: Arc<str>,
    pub(super) login: u64,
}

/// A request that shows, or tries, a login; part of the operation until that ends.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) key: CircuitKey,
    /// It carries a password or asks for a token: when it fails, a login has failed.
    pub(super) is_login: bool,
}

/// What may become of an attempt now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It is sent, and has to be [settled](Breaker::settle).
    Go,
    /// Another one comes first; the lookup was noted.
    Wait,
    /// Not before that time.
    Shut(Time),
}

/// What an attempt has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The login is good.
    Accepted,
    /// The login is not.
    Failed,
    /// The login is good, but may not do this.
    Forbidden,
    /// Neither.
    Unknown,
}

#[derive(Debug, Default)]
struct Place {
    circuits: BTreeMap<u64, Circuit>,
    failures: VecDeque<Time>,
    refusals: VecDeque<Time>,
    n_logins: usize,
}

/// All circuits in use.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    places: BTreeMap<Arc<str>, Place>,
}

impl Breaker {
    /// Counts a user of a circuit. A `successor` replaces a login that was in use.
    pub(super) fn retain(
        &mut self,
        key: &CircuitKey,
        source: Option<&CredentialSource>,
        is_successor: bool,
        now: Time,
    ) {
        if !self.places.contains_key(&key.place) {
            self.places.retain(|_, place| !place.is_over(now));
        }
        let place = self.places.entry(Arc::clone(&key.place)).or_default();
        let circuit = place.circuits.entry(key.login).or_insert_with(|| {
            let standing = if is_successor {
                Standing::Successor
            } else {
                Standing::Unknown
            };
            Circuit::new(source.cloned(), standing)
        });
        circuit.n_users += 1;
    }

    /// Forgets a circuit with its last user (A11), but not what failed lately at its place: that counts
    /// for whoever comes next.
    pub(super) fn release(&mut self, key: &CircuitKey, now: Time) {
        let Some(place) = self.places.get_mut(&key.place) else {
            return;
        };
        if let Some(circuit) = place.circuits.get_mut(&key.login) {
            circuit.n_users = circuit.n_users.saturating_sub(1);
            if circuit.n_users == 0 {
                place.circuits.remove(&key.login);
            }
        }
        if place.is_over(now) {
            self.places.remove(&key.place);
        }
    }

    /// Until when nothing is sent, if the circuit is open.
    pub(super) fn shut_until(&self, key: &CircuitKey, now: Time) -> Option<Time> {
        match self.find(key)?.state {
            CircuitState::Open { until } => Some(until).filter(|until| *until > now),
            CircuitState::Closed | CircuitState::HalfOpen => None,
        }
    }

    /// Asks to send an attempt of a lookup; a change of the state to half-open is told.
    pub(super) fn admit(
        &mut self,
        attempt: &Attempt,
        job: JobId,
        now: Time,
    ) -> (Admission, Option<CircuitState>) {
        let place = self.places.get_mut(&attempt.key.place);
        let place = place.expect("whoever sends retains the circuit");
        place.forget_old(now);
        let n_failures = place.failures.len();
        let circuit = place.circuits.get_mut(&attempt.key.login);
        let circuit = circuit.expect("whoever sends retains the circuit");
        let is_due = match circuit.state {
            CircuitState::Open { until } if until > now => return (Admission::Shut(until), None),
            CircuitState::Open { .. } => true,
            CircuitState::Closed | CircuitState::HalfOpen => false,
        };
        let is_proven = circuit.standing == Standing::Proven;
        let goes_alone = circuit.state != CircuitState::Closed || (attempt.is_login && !is_proven);
        let mut has_to_wait = goes_alone && circuit.n_under_way > 0;
        if attempt.is_login {
            let failures_max = match circuit.standing {
                Standing::Unknown => UNKNOWN_FAILURES_MAX,
                Standing::Successor | Standing::Proven => FAILURES_MAX,
            };
            if n_failures >= failures_max {
                let until = place.failures[n_failures - failures_max].after(WINDOW);
                return (Admission::Shut(until), None);
            }
            has_to_wait |=
                n_failures + place.n_logins >= failures_max || place.n_logins >= LOGINS_MAX;
        }
        if has_to_wait {
            circuit.parked.insert(job);
            return (Admission::Wait, None);
        }
        if attempt.is_login {
            place.n_logins += 1;
        }
        circuit.n_under_way += 1;
        circuit.parked.remove(&job);
        if is_due {
            circuit.state = CircuitState::HalfOpen;
        }
        (Admission::Go, is_due.then_some(CircuitState::HalfOpen))
    }

    /// Takes what an attempt has shown. Each that was let go is settled once.
    pub(super) fn settle(&mut self, attempt: &Attempt, verdict: Verdict, now: Time) -> Settled {
        let mut settled = Settled::default();
        let Some(place) = self.places.get_mut(&attempt.key.place) else {
            assert!(
                !attempt.is_login,
                "a place stays while a login is under way"
            );
            return settled;
        };
        if attempt.is_login {
            place.n_logins -= 1;
            if verdict == Verdict::Failed {
                place.failures.push_back(now);
            }
        }
        let Some(circuit) = place.circuits.get_mut(&attempt.key.login) else {
            if place.is_over(now) {
                self.places.remove(&attempt.key.place);
            }
            return settled;
        };
        circuit.n_under_way = circuit.n_under_way.saturating_sub(1);
        match verdict {
            Verdict::Accepted => settled.changed = circuit.accept(),
            Verdict::Failed => {
                circuit.n_failed += 1;
                let is_over = circuit.n_failed >= FAILED_MAX;
                if is_over || circuit.state == CircuitState::HalfOpen {
                    settled.changed = circuit.open(now);
                }
            }
            Verdict::Forbidden | Verdict::Unknown => {}
        }
        circuit.empty_waiting_room(&mut settled);
        settled
    }

    /// A repository was refused although the login may be good. `is_first`: it was not before.
    pub(super) fn on_refused(&mut self, key: &CircuitKey, is_first: bool, now: Time) -> Settled {
        let mut settled = Settled::default();
        let Some(place) = self.places.get_mut(&key.place) else {
            return settled;
        };
        if place.refusals.len() > REFUSALS_MAX {
            place.refusals.pop_front();
        }
        place.refusals.push_back(now);
        let Some(circuit) = place.circuits.get_mut(&key.login).filter(|_| is_first) else {
            return settled;
        };
        circuit.n_refused += 1;
        if circuit.n_refused >= REFUSED_MAX || circuit.state == CircuitState::HalfOpen {
            settled.changed = circuit.open(now);
            circuit.empty_waiting_room(&mut settled);
        }
        settled
    }

    /// When a refused repository may be asked for again, if not now.
    pub(super) fn refused_until(&mut self, place: &Arc<str>, now: Time) -> Option<Time> {
        let place = self.places.get_mut(place)?;
        place.forget_old(now);
        let too_many = place.refusals.len().checked_sub(REFUSALS_MAX)?;
        Some(place.refusals[too_many].after(WINDOW))
    }

    /// True when the login took the place of another and was not accepted yet.
    pub(super) fn is_successor(&self, key: &CircuitKey) -> bool {
        self.find(key)
            .is_some_and(|circuit| circuit.standing == Standing::Successor)
    }

    /// True when the login was accepted before.
    pub(super) fn is_proven(&self, key: &CircuitKey) -> bool {
        self.find(key)
            .is_some_and(|circuit| circuit.standing == Standing::Proven)
    }

    pub(super) fn find(&self, key: &CircuitKey) -> Option<&Circuit> {
        self.find_named(key).map(|(_, circuit)| circuit)
    }

    /// A circuit with its place.
    pub(super) fn find_named(&self, key: &CircuitKey) -> Option<(&str, &Circuit)> {
        let (name, place) = self.places.get_key_value(&key.place)?;
        Some((name, place.circuits.get(&key.login)?))
    }

    /// All circuits, with their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Circuit)> {
        self.places
            .iter()
            .flat_map(|(name, place)| place.circuits.values().map(move |one| (name, one)))
    }

    /// How many users and logins under way there are, for the audit.
    pub(super) fn count(&self) -> (usize, usize) {
        let n_users: u32 = self.iter().map(|(_, circuit)| circuit.n_users).sum();
        let n_logins = self.places.values().map(|place| place.n_logins).sum();
        (n_users as usize, n_logins)
    }

    /// Bytes, about.
    pub(super) fn footprint(&self) -> usize {
        bytes::tree::<Arc<str>, Place>(self.places.len())
            + bytes::tree::<u64, Circuit>(self.iter().count())
    }
}

impl Place {
    fn forget_old(&mut self, now: Time) {
        for times in [&mut self.failures, &mut self.refusals] {
            while times.front().is_some_and(|at| now.since(*at) >= WINDOW) {
                times.pop_front();
            }
        }
    }

    fn is_over(&self, now: Time) -> bool {
        let is_old = |at: &Time| now.since(*at) >= WINDOW;
        self.circuits.is_empty()
            && self.n_logins == 0
            && self.failures.iter().all(is_old)
            && self.refusals.iter().all(is_old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    fn login(breaker: &mut Breaker, login: u64) -> Attempt {
        let key = CircuitKey {
            place: "https://reg.io".into(),
            login,
        };
        breaker.retain(&key, None, false, Time::ZERO);
        Attempt {
            key,
            is_login: true,
        }
    }

    #[test]
    fn an_open_circuit_is_probed_after_times_that_double_and_closes_with_a_success() {
        let mut breaker = Breaker::default();
        let one = login(&mut breaker, 1);
        let mut now = Time::from_secs(1);
        assert_eq!(breaker.admit(&one, JobId(0), now).0, Admission::Go);
        assert_eq!(breaker.admit(&one, JobId(1), now).0, Admission::Wait);
        let settled = breaker.settle(&one, Verdict::Failed, now);
        assert_eq!(settled.woken, [JobId(1)], "the next one tries");
        for secs in [60, 120, 240, 480, 600, 600] {
            assert_eq!(breaker.admit(&one, JobId(1), now).0, Admission::Go);
            assert_eq!(breaker.admit(&one, JobId(2), now).0, Admission::Wait);
            let settled = breaker.settle(&one, Verdict::Failed, now);
            let until = now.after(Duration::from_secs(secs));
            assert_eq!(settled.changed, Some(CircuitState::Open { until }));
            assert_eq!(settled.shut, [JobId(2)]);
            let shut = breaker.admit(&one, JobId(3), now).0;
            assert_eq!(shut, Admission::Shut(until));
            now = until;
        }
        let (admission, changed) = breaker.admit(&one, JobId(4), now);
        assert_eq!(admission, Admission::Go);
        assert_eq!(changed, Some(CircuitState::HalfOpen));
        let settled = breaker.settle(&one, Verdict::Accepted, now);
        assert_eq!(settled.changed, Some(CircuitState::Closed));
    }

    #[test]
    fn wrong_logins_leave_room_for_good_ones() {
        let mut breaker = Breaker::default();
        let now = Time::from_secs(1);
        let good = login(&mut breaker, 99);
        assert_eq!(breaker.admit(&good, JobId(0), now).0, Admission::Go);
        breaker.settle(&good, Verdict::Accepted, now);
        let mut n_failed = 0;
        for number in 1..20 {
            let wrong = login(&mut breaker, number);
            while breaker.admit(&wrong, JobId(number), now).0 == Admission::Go {
                breaker.settle(&wrong, Verdict::Failed, now);
                n_failed += 1;
            }
        }
        assert_eq!(n_failed, UNKNOWN_FAILURES_MAX);
        assert_eq!(breaker.admit(&good, JobId(0), now).0, Admission::Go);
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn no_window_holds_more_failed_logins_than_may_be(
            steps in prop::collection::vec((0..6_u64, 0..4_u8, 0..20_u64), 1..400),
        ) {
            let mut breaker = Breaker::default();
            let logins: Vec<Attempt> = (0..6).map(|one| login(&mut breaker, one)).collect();
            let mut under_way: Vec<usize> = Vec::new();
            let mut failed: Vec<Time> = Vec::new();
            let mut now = Time::from_secs(1);
            for (who, what, secs) in steps {
                now = now.after(Duration::from_secs(secs));
                let who = usize::try_from(who).expect("a small number");
                match (what, under_way.iter().position(|one| *one == who)) {
                    (0 | 1, _) | (_, None) => {
                        if breaker.admit(&logins[who], JobId(0), now).0 == Admission::Go {
                            under_way.push(who);
                        }
                    }
                    (what, Some(at)) => {
                        under_way.remove(at);
                        let verdict = if what == 2 { Verdict::Failed } else { Verdict::Accepted };
                        if verdict == Verdict::Failed {
                            failed.push(now);
                        }
                        breaker.settle(&logins[who], verdict, now);
                    }
                }
                let n_recent = failed.iter().filter(|at| now.since(**at) < WINDOW).count();
                prop_assert!(n_recent + under_way.len() <= FAILURES_MAX);
            }
        }
    }
}
