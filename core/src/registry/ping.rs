//! Whether there is a registry at all: asked when its first answer speaks against it (`registry.md` 5.6).
//!
//! The reference asks `/v2/` before every check (D-19). Here a 401 to the request itself says what is to be
//! shown, and `/v2/` is asked only when a listing failed in a way that a wrong `api_url` would explain, or a
//! registry that hides what it does not show to nobody: at most once per endpoint and interval, and never
//! again once the endpoint was seen to be a registry.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Registry;
use super::authorize::answerable;
use super::challenge::{self, Challenge};
use super::job::{JobId, Shown, Stage, Task};
use super::outcome::LookupFailureKind as Kind;
use super::reply::{Refusal, errors_of, judge_status};
use crate::http::{HttpOutcome, HttpResponse, ShownUrl};
use crate::time::Time;

/// What is known about an endpoint being a registry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum PingState {
    /// Nobody had reason to ask.
    #[default]
    Unasked,
    /// It is one.
    Answered,
    /// It is none, for this reason; not asked again before then.
    Refused(Time, Box<str>),
}

/// What the answer to `GET {api_url}/v2/` says about a registry: which challenges it makes. Only those of
/// a 401 count.
///
/// # Errors
/// A sentence with the URL and the status when the answer is not that of a registry: neither 200 nor 401.
pub fn judge_ping(url: &str, response: &HttpResponse) -> Result<Vec<Challenge>, String> {
    match response.status {
        200 => Ok(Vec::new()),
        401 => Ok(challenge::parse(response.headers_named("www-authenticate"))),
        status => Err(format!(
            "there is no valid v2 Docker Registry API at {}: it answers with HTTP status {status}",
            ShownUrl(url)
        )),
    }
}

impl Registry {
    /// Ends a listing that failed, or first asks whether there is a registry at all. `body` is what the
    /// failure was read from.
    pub(super) fn fail_or_ping(&mut self, id: JobId, refusal: Refusal, body: &[u8]) {
        let now = self.now.mono;
        if !self.is_ping_worthwhile(id, &refusal, body) {
            self.end(id, &refusal);
            return;
        }
        let endpoint = self.endpoint_id(id);
        match &self.endpoints[endpoint].ping {
            PingState::Answered => self.end(id, &refusal),
            PingState::Refused(until, reason) if *until > now => {
                let refusal = without_registry(&refusal, reason);
                self.end(id, &refusal);
            }
            PingState::Unasked | PingState::Refused(..) => {
                let job = self.job_mut(id);
                job.pinged_for = Some(Box::new(refusal));
                job.begin_exchange();
                self.enqueue_begun(id);
            }
        }
    }

    /// Ends a lookup that was not answered.
    fn end(&mut self, id: JobId, refusal: &Refusal) {
        if refusal.kind == Kind::Denied {
            self.deny(id, refusal);
        } else {
            self.fail(id, refusal);
        }
    }

    /// True for the first page or a tag of an endpoint that never asked for a login: when the answer is none
    /// that a registry gives, or when we have a login that nobody asked for.
    fn is_ping_worthwhile(&self, id: JobId, refusal: &Refusal, body: &[u8]) -> bool {
        let job = &self.jobs[&id];
        let is_first = match &job.task {
            Task::Listing(task) => task.seen.is_empty(),
            Task::Facts(task) => matches!(task.stage, Stage::Head | Stage::Tag),
            Task::Token(_) => false,
        };
        let is_hidden = job.login.as_login().is_some() && job.shown == Shown::Nothing;
        let is_odd = match refusal.kind {
            Kind::Missing | Kind::RepositoryMissing => is_hidden || !is_word_of_registry(body),
            Kind::Denied => is_hidden,
            Kind::Malformed => !body.trim_ascii_start().starts_with(b"{"),
            Kind::Throttled
            | Kind::Transient
            | Kind::Unreachable
            | Kind::Credential
            | Kind::Overflow
            | Kind::Stalled
            | Kind::CircuitOpen => false,
        };
        let repository = &self.repositories[&job.repository];
        let endpoint = &self.endpoints[repository.key.endpoint];
        is_odd
            && is_first
            && job.pinged_for.is_none()
            && job.hop.is_none()
            && repository.challenge.is_none()
            && endpoint.challenge.is_none()
    }

    /// Takes the answer to a ping, if a lookup asked for one; else hands it back.
    pub(super) fn take_ping(&mut self, id: JobId, outcome: HttpOutcome) -> Option<HttpOutcome> {
        let Some(refusal) = &self.jobs[&id].pinged_for else {
            return Some(outcome);
        };
        let response = match outcome {
            // A redirect is followed like any other.
            HttpOutcome::Response(response) if (300..400).contains(&response.status) => {
                return Some(HttpOutcome::Response(response));
            }
            HttpOutcome::Response(response) => response,
            HttpOutcome::Failed(_) => {
                let refusal = refusal.clone();
                self.end(id, &refusal);
                return None;
            }
        };
        let refusal = refusal.clone();
        self.on_ping(id, &refusal, &response);
        None
    }

    fn on_ping(&mut self, id: JobId, refusal: &Refusal, response: &HttpResponse) {
        let endpoint = self.endpoint_id(id);
        let until = self.now.mono.after(self.settings.interval);
        let is_own = self.is_at_own_origin(id);
        match judge_ping(&self.asked_url(id), response) {
            Ok(challenges) => {
                self.endpoints[endpoint].ping = PingState::Answered;
                let job = &self.jobs[&id];
                let login = job.login.as_login().map(Arc::clone);
                match answerable(&challenges, login.as_ref(), Shown::Nothing) {
                    // What it hides from nobody it may show to somebody.
                    Ok(challenge) if is_own => {
                        let repository = job.repository;
                        self.learn_challenge(repository, challenge);
                        self.begin_listing_anew(id);
                        let job = self.job_mut(id);
                        job.pinged_for = None;
                        job.begin_exchange();
                        self.enqueue_begun(id);
                    }
                    Ok(_) | Err(_) => self.end(id, refusal),
                }
            }
            Err(_) if judge_status(response, self.now.wall).is_retryable => {
                // Sick, or short of breath: that says nothing about what it is.
                self.end(id, refusal);
            }
            Err(reason) => {
                let failure = without_registry(refusal, &reason);
                self.endpoints[endpoint].ping = PingState::Refused(until, reason.into());
                self.end(id, &failure);
            }
        }
    }
}

/// Adds that it is no registry; to whom it denies itself it may be one.
fn without_registry(refusal: &Refusal, reason: &str) -> Refusal {
    if refusal.kind == Kind::Denied {
        return refusal.clone();
    }
    Refusal::lasting(Kind::Malformed, format!("{}; {reason}", refusal.detail))
}

/// True for what registries say when something is missing; nothing at all says nothing.
fn is_word_of_registry(body: &[u8]) -> bool {
    body.is_empty() || errors_of(body).is_some()
}
