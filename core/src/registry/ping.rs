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

use super::authorize::answerable;
use super::challenge::{self, Challenge};
use super::job::{JobId, Shown, Task};
use super::outcome::LookupFailureKind as Kind;
use super::reply::{Refusal, judge_status};
use super::{Registry, url};
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
            self.fail(id, &refusal);
            return;
        }
        let endpoint = self.endpoint_id(id);
        match &self.endpoints[endpoint].ping {
            PingState::Answered => self.fail(id, &refusal),
            PingState::Refused(until, reason) if *until > now => {
                let refusal = without_registry(&refusal, reason);
                self.fail(id, &refusal);
            }
            PingState::Unasked | PingState::Refused(..) => {
                let url = url::join_api(&self.endpoints[endpoint].api_url, "/v2/");
                if let Task::Listing(task) = &mut self.job_mut(id).task {
                    task.url = url;
                    task.pinged_for = Some(Box::new(refusal));
                }
                self.job_mut(id).begin_exchange();
                self.enqueue_begun(id);
            }
        }
    }

    /// True for the first page of an endpoint that never asked for a login: when the answer is none that a
    /// registry gives, or when we have a login that nobody asked for.
    fn is_ping_worthwhile(&self, id: JobId, refusal: &Refusal, body: &[u8]) -> bool {
        let job = &self.jobs[&id];
        let Task::Listing(task) = &job.task else {
            return false;
        };
        let is_odd = match refusal.kind {
            Kind::Missing => {
                let is_hidden = job.login.as_login().is_some() && job.shown == Shown::Nothing;
                is_hidden || !is_word_of_registry(body)
            }
            Kind::Malformed => !body.trim_ascii_start().starts_with(b"{"),
            Kind::Throttled
            | Kind::Transient
            | Kind::Unreachable
            | Kind::Denied
            | Kind::Credential
            | Kind::Overflow
            | Kind::Stalled
            | Kind::CircuitOpen => false,
        };
        let repository = &self.repositories[&job.repository];
        let endpoint = &self.endpoints[repository.key.endpoint];
        is_odd
            && task.pinged_for.is_none()
            && task.seen.is_empty()
            && job.hop.is_none()
            && repository.challenge.is_none()
            && endpoint.challenge.is_none()
    }

    /// Takes the answer to a ping, if a lookup asked for one; else hands it back.
    pub(super) fn take_ping(&mut self, id: JobId, outcome: HttpOutcome) -> Option<HttpOutcome> {
        let Task::Listing(task) = &mut self.job_mut(id).task else {
            return Some(outcome);
        };
        let Some(refusal) = &task.pinged_for else {
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
                self.fail(id, &refusal);
                return None;
            }
        };
        let refusal = task.pinged_for.take()?;
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
                        self.job_mut(id).begin_exchange();
                        self.enqueue_begun(id);
                    }
                    Ok(_) | Err(_) => self.fail(id, refusal),
                }
            }
            Err(_) if judge_status(response, self.now.wall).is_retryable => {
                // Sick, or short of breath: that says nothing about what it is.
                self.fail(id, refusal);
            }
            Err(reason) => {
                let failure = without_registry(refusal, &reason);
                self.endpoints[endpoint].ping = PingState::Refused(until, reason.into());
                self.fail(id, &failure);
            }
        }
    }
}

fn without_registry(refusal: &Refusal, reason: &str) -> Refusal {
    Refusal::lasting(Kind::Malformed, format!("{}; {reason}", refusal.detail))
}

/// True for what registries say when something is missing; nothing at all says nothing.
fn is_word_of_registry(body: &[u8]) -> bool {
    body.is_empty()
        || serde_json::from_slice::<serde_json::Value>(body)
            .is_ok_and(|said| said["errors"].is_array())
}
