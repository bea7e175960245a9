//! What follows when a registry says no: the credential is read anew once, the circuit learns of it, and
//! the lookup fails (`registry.md` 15.12, 15.13, 18).

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::time::Duration;

use super::Registry;
use super::breaker::{Admission, Attempt, CircuitKey, Verdict};
use super::circuit::{CircuitState, Settled};
use super::exchange::{Operation, Work};
use super::job::{JobId, JobLogin, Phase, Refused, Shown, Task};
use super::observation::Observation;
use super::outcome::{LookupFailureKind as Kind, RegistryOutcome};
use super::reply::Refusal;
use super::repository::RepositoryId;
use super::timers::Timer;
use crate::credential::CredentialSource;
use crate::http::HttpOutcome;
use crate::time::Time;

/// How old a credential must be that is read anew because it was refused.
const REFUSED_AGE_MIN: Duration = Duration::from_secs(5);
/// How old one must be that is read anew because its circuit is open.
const SHUT_AGE_MIN: Duration = Duration::from_secs(30);
/// How often a lookup that waits for others with its login looks by itself.
const PARKED_MAX: Duration = Duration::from_secs(5);

/// One login at one registry or token server, for explanations and metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CircuitView<'a> {
    /// Scheme, host and port.
    pub endpoint: &'a str,
    /// Where the login comes from; `None` when nobody logs in.
    pub source: Option<&'a CredentialSource>,
    /// How it stands.
    pub state: CircuitState,
}

impl Registry {
    /// All logins in use, and how they stand with their registries and token servers.
    pub fn circuits(&self) -> impl Iterator<Item = CircuitView<'_>> {
        self.breaker.iter().map(|(place, circuit)| CircuitView {
            endpoint: place,
            source: circuit.source.as_ref(),
            state: circuit.state,
        })
    }

    /// Those of them that a repository was last looked up through: its registry's, then its token
    /// server's.
    pub fn circuits_of(&self, id: RepositoryId) -> impl Iterator<Item = CircuitView<'_>> {
        let repository = self.repositories.get(&id);
        let own = repository
            .and_then(|one| one.login)
            .map(|login| self.circuit_of(id, login));
        let token = repository
            .and_then(|one| self.tokens.find(one.token?))
            .map(|entry| entry.circuit.clone());
        let token = token.filter(|token| own.as_ref() != Some(token));
        own.into_iter().chain(token).filter_map(|key| {
            let (place, circuit) = self.breaker.find_named(&key)?;
            Some(CircuitView {
                endpoint: place,
                source: circuit.source.as_ref(),
                state: circuit.state,
            })
        })
    }

    pub(super) fn circuit_of(&self, id: RepositoryId, login: u64) -> CircuitKey {
        CircuitKey {
            place: Arc::clone(&self.endpoints[self.repositories[&id].key.endpoint].place),
            login,
        }
    }

    /// Notes with which login a repository is looked up; another than before starts afresh.
    pub(super) fn note_login(&mut self, id: RepositoryId, login: u64) {
        let now = self.now.mono;
        let before = self.repository_mut(id).login.replace(login);
        if before == Some(login) {
            return;
        }
        let circuit = self.circuit_of(id, login);
        let source = self.repositories[&id].key.source.as_ref();
        self.breaker.retain(&circuit, source, before.is_some(), now);
        if let Some(before) = before {
            let circuit = self.circuit_of(id, before);
            self.breaker.release(&circuit, now);
            if let Some(token) = self.repository_mut(id).token.take() {
                self.release_token(id, token);
            }
        }
    }

    /// Asks whether a request with this login may be sent; if not, the lookup waits or fails.
    pub(super) fn admit_attempt(&mut self, id: JobId, attempt: &Attempt) -> bool {
        let now = self.now.mono;
        let (admission, changed) = self.breaker.admit(attempt, id, now);
        if let Some(state) = changed {
            self.tell_circuit(&attempt.key, state);
        }
        match admission {
            Admission::Go => true,
            Admission::Wait => {
                self.job_mut(id).phase = Phase::AwaitingLogin;
                self.timers.arm(Timer::Job(id), now.after(PARKED_MAX));
                false
            }
            Admission::Shut(until) => {
                self.shut(id, until);
                false
            }
        }
    }

    /// A request ended that showed or tried a login.
    pub(super) fn settle_attempt(&mut self, operation: &Operation, outcome: &HttpOutcome) {
        let Some(attempt) = &operation.attempt else {
            return;
        };
        let is_proven = self.breaker.is_proven(&attempt.key);
        let verdict = match outcome {
            HttpOutcome::Response(response) => match response.status {
                200..=399 => Verdict::Accepted,
                401 if attempt.is_login => Verdict::Failed,
                403 if attempt.is_login && !is_proven => Verdict::Failed,
                403 => Verdict::Forbidden,
                _ => Verdict::Unknown,
            },
            HttpOutcome::Failed(_) => Verdict::Unknown,
        };
        if let Work::Exchange(Some(id)) = operation.work
            && let Some(job) = self.jobs.get_mut(&id)
        {
            job.verdict = verdict;
            let is_of_repository = !matches!(job.task, Task::Token(_));
            let repository = job.repository;
            if verdict == Verdict::Accepted && is_of_repository {
                self.repository_mut(repository).refused = None;
            }
        }
        let settled = self.breaker.settle(attempt, verdict, self.now.mono);
        let key = attempt.key.clone();
        self.follow(&key, settled);
    }

    fn follow(&mut self, key: &CircuitKey, settled: Settled) {
        if let Some(state) = settled.changed {
            self.tell_circuit(key, state);
        }
        let until = self.breaker.shut_until(key, self.now.mono);
        for id in settled.woken.into_iter().chain(settled.shut) {
            let is_waiting = self
                .jobs
                .get(&id)
                .is_some_and(|job| job.phase == Phase::AwaitingLogin);
            if is_waiting {
                self.timers.disarm(Timer::Job(id));
                match until {
                    Some(until) => self.shut(id, until),
                    None => self.enqueue_begun(id),
                }
            }
        }
    }

    fn tell_circuit(&mut self, key: &CircuitKey, state: CircuitState) {
        let source = self.breaker.find(key).and_then(|one| one.source.clone());
        self.outcomes.push_back(RegistryOutcome::CircuitChanged {
            endpoint: Arc::clone(&key.place),
            source,
            state,
        });
    }

    /// Until when a lookup of a repository that was refused with this login may not be repeated, if so
    /// many others were refused lately.
    pub(super) fn refused_until(&mut self, id: JobId, login: u64) -> Option<Time> {
        let repository = &self.repositories[&self.jobs[&id].repository];
        if repository.refused != Some(login) {
            return None;
        }
        let place = &self.endpoints[repository.key.endpoint].place;
        self.breaker.refused_until(place, self.now.mono)
    }

    /// A lookup meets an open circuit: it fails without a request, unless the credential was changed.
    pub(super) fn shut(&mut self, id: JobId, until: Time) {
        let secs = until.since(self.now.mono).as_millis().div_ceil(1000);
        let detail = format!(
            "it refused this login or repository lately and is not asked again for {secs} s"
        );
        let refusal = Refusal::lasting(Kind::CircuitOpen, detail);
        if matches!(self.jobs[&id].task, Task::Token(_)) {
            self.fail(id, &refusal);
        } else {
            self.reconsider(id, &refusal, false, SHUT_AGE_MIN);
        }
    }

    /// A registry or token server says that we may not. Who was led to by a redirect was shown nothing.
    pub(super) fn deny(&mut self, id: JobId, refusal: &Refusal) {
        self.observe_at(id, |endpoint| Observation::Denied { endpoint });
        let job = &self.jobs[&id];
        if matches!(job.task, Task::Token(_)) || !self.is_at_own_origin(id) {
            self.fail(id, refusal);
            return;
        }
        let is_counted = job.shown == Shown::Basic && job.verdict == Verdict::Failed;
        self.reconsider(id, refusal, !is_counted, REFUSED_AGE_MIN);
    }

    /// A lookup gets no token.
    pub(super) fn on_no_token(&mut self, id: JobId, refusal: &Refusal, verdict: Verdict) {
        match refusal.kind {
            Kind::Denied => {
                let is_of_repository = verdict == Verdict::Forbidden;
                self.reconsider(id, refusal, is_of_repository, REFUSED_AGE_MIN);
            }
            Kind::CircuitOpen => self.reconsider(id, refusal, false, SHUT_AGE_MIN),
            Kind::Throttled
            | Kind::Transient
            | Kind::Unreachable
            | Kind::Missing
            | Kind::RepositoryMissing
            | Kind::Malformed
            | Kind::Credential
            | Kind::Overflow
            | Kind::Stalled => self.fail(id, refusal),
        }
    }

    /// Once per lookup the credential may be another than when it was read: it is read anew unless it is
    /// young, by the first one for all, and the lookup goes on with a new one only.
    fn reconsider(
        &mut self,
        id: JobId,
        refusal: &Refusal,
        is_of_repository: bool,
        age_min: Duration,
    ) {
        let job = &self.jobs[&id];
        let repository = &self.repositories[&job.repository];
        let login = job.login.as_login().map_or(0, |login| login.fingerprint());
        let refused = Refused {
            login,
            refusal: refusal.clone(),
            is_of_repository,
        };
        let source = repository.key.source.clone().filter(|_| login != 0);
        let Some(source) = source.filter(|_| !job.has_reconsidered) else {
            self.give_up(id, &refused);
            return;
        };
        let key = (repository.key.endpoint, source);
        self.credentials.distrust(&key, self.now.mono, age_min);
        let job = self.job_mut(id);
        job.has_reconsidered = true;
        job.login = JobLogin::Unresolved;
        job.n_challenged = 0;
        job.has_fresh_token = false;
        job.hop = None;
        job.attempt_deadline = None;
        job.refused = Some(Box::new(refused));
        // What another login was shown of the list is no part of what this one is.
        self.begin_listing_anew(id);
        self.enqueue_begun(id);
    }

    /// Ends a lookup that was refused with the login that it still has.
    pub(super) fn give_up(&mut self, id: JobId, refused: &Refused) {
        let repository = self.jobs[&id].repository;
        if refused.is_of_repository {
            let before = self
                .repository_mut(repository)
                .refused
                .replace(refused.login);
            let is_first = before != Some(refused.login);
            let key = self.circuit_of(repository, refused.login);
            let settled = self.breaker.on_refused(&key, is_first, self.now.mono);
            self.follow(&key, settled);
        }
        // The circuit may have opened over others; this one knows its own reason.
        if self.jobs.contains_key(&id) {
            self.fail(id, &refused.refusal);
        }
        if refused.is_of_repository {
            self.forget_learnt(repository, refused.login);
        }
    }

    /// What was learnt with another login is not shown to one that is refused.
    fn forget_learnt(&mut self, id: RepositoryId, login: u64) {
        let learnt = self.repositories.get(&id).and_then(|one| one.learnt);
        if learnt.is_some_and(|learnt| learnt != login) {
            self.forget_listing(id);
        }
    }
}
