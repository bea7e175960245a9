//! Failed attempts: another one after a sleep, or the end of the lookup (`registry.md` 6.2, D-14).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write as _;
use core::time::Duration;

use super::exchange::{Work, overdue_refusal};
use super::job::{JobId, Phase, Stage, Task};
use super::observation::Observation;
use super::outcome::{LookupFailure, LookupFailureKind as Kind, RegistryOutcome};
use super::reply::Refusal;
use super::repository::RepositoryId;
use super::timers::Timer;
use super::{Registry, backoff};

/// How early a driver may say that the time is over.
const DEADLINE_SLACK: Duration = Duration::from_millis(20);

impl Registry {
    /// Another attempt after a sleep, or the end (`registry.md` 6.2).
    pub(super) fn retry(&mut self, id: JobId, refusal: &Refusal) {
        let now = self.now.mono;
        let late = self.late_listing(id, refusal);
        let refusal = late.as_ref().unwrap_or(refusal);
        let subject = self.subject_of(id);
        let endpoint = self.endpoint_id(id);
        let (attempts_max, backoff) = match self.jobs[&id].task {
            Task::Listing(_) => (self.settings.tag_attempts, backoff::Backoff::REGISTRY),
            Task::Facts(_) => (self.settings.manifest_attempts, backoff::Backoff::REGISTRY),
            Task::Token(_) => (self.settings.token_attempts, self.settings.token_backoff),
        };
        let seed = self.seed;
        let job = self.job_mut(id);
        let sleep = backoff.sleep_after(job.n_failed, seed, subject.as_bytes());
        job.n_failed += 1;
        let n_failed = job.n_failed;
        let asked_wait = refusal.retry_after.unwrap_or_default();
        // The patience that another server asks for is had by this lookup alone.
        let is_elsewhere = self.is_elsewhere(id);
        let own_wait = if is_elsewhere {
            asked_wait
        } else {
            Duration::ZERO
        };
        if refusal.kind == Kind::Throttled && refusal.retry_after.is_none() && !is_elsewhere {
            let account = self.account_shown(id);
            self.throttle(endpoint, account, now.after(sleep));
        }
        let throttle_end = self.endpoints[endpoint].throttle_end(now, self.account_id(id));
        let window_max = now.after(self.settings.throttle_wait_max);
        let is_window_long = throttle_end.is_some_and(|until| until > window_max)
            || own_wait > self.settings.throttle_wait_max;
        let is_given_up = self
            .token_deadline(id)
            .is_some_and(|deadline| deadline <= now.after(sleep));
        if !refusal.is_retryable || n_failed >= attempts_max || is_window_long || is_given_up {
            self.fail(id, refusal);
            return;
        }
        let state = &mut self.endpoints[endpoint];
        let api_url = Arc::clone(&state.api_url);
        if !state.retries.take(now) {
            // An outage of the registry must not become a storm of ours (S5).
            self.observe(RegistryOutcome::RetryRefused {
                endpoint: api_url,
                kind: refusal.kind,
            });
            self.fail(id, refusal);
            return;
        }
        let until = now
            .after(sleep.max(own_wait))
            .max(throttle_end.unwrap_or(now));
        // A registry that only asks for patience has the listing go on where it was, in the same attempt.
        let is_same_attempt = refusal.kind == Kind::Throttled
            && matches!(self.jobs[&id].task, Task::Listing(_))
            && self.jobs[&id]
                .attempt_deadline
                .is_some_and(|end| until < end);
        if !is_same_attempt {
            self.job_mut(id).attempt_deadline = None;
            if refusal.kind == Kind::Transient {
                // Whatever made it fail, the next attempt asks what every registry can answer.
                self.can_drop_page_size(id, false);
            }
            self.begin_listing_anew(id);
        }
        let job = self.job_mut(id);
        job.n_challenged = 0;
        job.has_fresh_token = false;
        job.hop = None;
        job.pinged_for = None;
        job.phase = Phase::Backoff;
        let op = self.request_kind(id);
        self.observe(RegistryOutcome::Retried {
            endpoint: api_url,
            op,
            kind: refusal.kind,
        });
        if until > now {
            self.timers.arm(Timer::Job(id), until);
        } else {
            self.enqueue_begun(id);
        }
    }

    /// What is said instead where the time of an attempt was used up by earlier pages: the last one cannot be
    /// blamed for what was left of it.
    fn late_listing(&self, id: JobId, refusal: &Refusal) -> Option<Refusal> {
        let job = &self.jobs[&id];
        let Task::Listing(task) = &job.task else {
            return None;
        };
        let nearly = self.now.mono.after(DEADLINE_SLACK);
        let is_over = job.attempt_deadline.is_some_and(|end| end <= nearly);
        let is_late = is_over && refusal.kind == Kind::Transient && !task.seen.is_empty();
        let limit = self.settings.tag_timeout;
        is_late.then(|| Refusal {
            detail: format!("its tag list did not end within {limit:?} (REGISTRY_TAG_TIMEOUT)")
                .into(),
            ..refusal.clone()
        })
    }

    /// An attempt took longer than it may; `was_sent` when a request of it is under way.
    pub(super) fn on_attempt_overdue(&mut self, id: JobId, was_sent: bool) {
        self.observe_at(id, |endpoint| Observation::Overdue { endpoint, was_sent });
        self.retry(id, &overdue_refusal());
    }

    /// Ends a lookup without a result; those who waited are told why.
    pub(super) fn fail(&mut self, id: JobId, refusal: &Refusal) {
        self.timers.disarm(Timer::Job(id));
        let failure = self.describe(id, refusal);
        if let Task::Facts(task) = &self.jobs[&id].task {
            let key = task.key.clone();
            for follower in self.take_followers(id, &key) {
                if self.jobs.contains_key(&follower) {
                    self.fail(follower, refusal);
                }
            }
        }
        let job = self.jobs.remove(&id).expect("the lookup is under way");
        match job.task {
            Task::Listing(task) => {
                self.note_failed_list(job.repository, task.is_large, refusal.kind);
                let repository = self.repository_mut(job.repository);
                repository.listing_job = None;
                repository.failure = Some(failure.clone());
                let waiters = core::mem::take(&mut repository.waiters);
                self.outcomes.push_back(RegistryOutcome::ListingFinished {
                    repository: job.repository,
                    changed: false,
                    result: Err(failure),
                    waiters,
                });
            }
            Task::Facts(task) => self.finish_facts(id, &task.key, Err(failure)),
            Task::Token(task) => self.on_token_failed(task.token, refusal, job.verdict),
        }
    }

    /// Drops a lookup that nobody wants any more; its request is cancelled and keeps its slot until it
    /// has ended.
    pub(super) fn abandon(&mut self, id: JobId) {
        self.timers.disarm(Timer::Job(id));
        let Some(job) = self.jobs.remove(&id) else {
            return;
        };
        if let Phase::InFlight(op) = job.phase
            && let Some(operation) = self.ops.get_mut(&op)
        {
            operation.work = Work::Exchange(None);
            self.cancels.push_back(op);
        }
    }

    /// What a lookup's jitter is keyed by.
    fn subject_of(&self, id: JobId) -> String {
        let job = &self.jobs[&id];
        let repository = &self.repositories[&job.repository].key;
        let api_url = &self.endpoints[repository.endpoint].api_url;
        let what = match &job.task {
            Task::Listing(_) => "tags",
            Task::Facts(task) => &task.key.tag,
            Task::Token(_) => "token",
        };
        format!("{api_url}/{} {what}", repository.name)
    }

    /// A sentence that names registry and repository, what happened and what to do.
    fn describe(&self, id: JobId, refusal: &Refusal) -> LookupFailure {
        let job = &self.jobs[&id];
        let what: Box<str> = match &job.task {
            Task::Listing(_) => "cannot list the tags of".into(),
            Task::Facts(task) => format!("cannot read tag {} of", task.key.tag).into(),
            Task::Token(_) => "cannot get a token for".into(),
        };
        let mut detail = String::from(self.without_echo(id, &refusal.detail));
        if let Some(wait) = refusal.retry_after {
            let secs = wait.as_millis().div_ceil(1000);
            write!(detail, "; it asks to be left alone for {secs} s")
                .expect("writing to a String succeeds");
        }
        if let Task::Listing(task) = &job.task
            && !task.seen.is_empty()
        {
            let n_pages = task.seen.len();
            let plural = if n_pages == 1 { "" } else { "s" };
            write!(
                detail,
                "; {n_pages} page{plural} of its tag list had been read"
            )
            .expect("writing to a String succeeds");
        }
        let refusal = Refusal {
            detail: detail.into(),
            ..refusal.clone()
        };
        let advice = match (&job.task, refusal.kind) {
            (Task::Facts(task), Kind::Missing) => {
                // Who follows waits for a content whose tag was found.
                let is_tag = matches!(task.stage, Stage::Head | Stage::Tag);
                if is_tag && job.phase != Phase::Following {
                    "the tag may just have been deleted; if not, push it again"
                } else {
                    "the registry lacks a part of what it tells of; push the image again"
                }
            }
            (Task::Listing(_) | Task::Facts(_) | Task::Token(_), kind) => kind.advice(),
        };
        self.describe_with(job.repository, &what, &refusal, advice)
    }

    pub(super) fn describe_in(
        &self,
        id: RepositoryId,
        what: &str,
        refusal: &Refusal,
    ) -> LookupFailure {
        self.describe_with(id, what, refusal, refusal.kind.advice())
    }

    fn describe_with(
        &self,
        id: RepositoryId,
        what: &str,
        refusal: &Refusal,
        advice: &str,
    ) -> LookupFailure {
        let repository = &self.repositories[&id].key;
        let endpoint = &self.endpoints[repository.endpoint];
        let detail = format!(
            "{what} {} at registry {} ({}): {}; {}",
            repository.name,
            endpoint.settings().name,
            endpoint.api_url,
            refusal.detail,
            advice
        );
        LookupFailure {
            kind: refusal.kind,
            detail: detail.into(),
        }
    }
}

pub(super) fn throttled_refusal(window: Duration) -> Refusal {
    Refusal::lasting(
        Kind::Throttled,
        format!("it asked to be left alone for {} s", window.as_secs()),
    )
}
