//! The next request of a lookup, but for its slot: where to, with which headers, how long its answer may be.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::authorize::Authorization;
use super::breaker::Attempt;
use super::exchange::overdue_refusal;
use super::job::{JobId, Phase, Shown, Stage, Task};
use super::outcome::LookupFailureKind as Kind;
use super::reply::Refusal;
use super::{Registry, manifest, token, url};
use crate::http::{HeaderValue, Method};

/// A request that is ready but for its slot.
pub(super) struct Draft {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(String, HeaderValue)>,
    pub(super) body: Vec<u8>,
    pub(super) body_bytes_max: usize,
    /// Settled when the request ends.
    pub(super) attempt: Option<Attempt>,
}

impl Registry {
    /// Builds the next request of a lookup; `None` when it now waits for something else, or failed.
    pub(super) fn draft(&mut self, id: JobId) -> Option<Draft> {
        let now = self.now.mono;
        if self.jobs[&id]
            .attempt_deadline
            .is_some_and(|deadline| deadline <= now)
        {
            self.on_attempt_overdue(id, false);
            return None;
        }
        let login = match self.resolve_login(id) {
            Ok(login) => login,
            Err(None) => {
                self.job_mut(id).phase = Phase::AwaitingCredential;
                return None;
            }
            Err(Some(refusal)) => {
                self.fail(id, &refusal);
                return None;
            }
        };
        if matches!(self.jobs[&id].task, Task::Token(_)) {
            return self.draft_token(id);
        }
        let fingerprint = login.as_ref().map_or(0, |login| login.fingerprint());
        self.note_login(self.jobs[&id].repository, fingerprint);
        if let Some(refused) = self.job_mut(id).refused.take()
            && refused.login == fingerprint
        {
            self.give_up(id, &refused);
            return None;
        }
        let key = self.circuit_of(self.jobs[&id].repository, fingerprint);
        let shut = self.breaker.shut_until(&key, now);
        if let Some(until) = shut.or_else(|| self.refused_until(id, fingerprint)) {
            self.shut(id, until);
            return None;
        }
        let mut draft = self.draft_lookup(id);
        let api_url = &self.endpoint_of(self.jobs[&id].repository).api_url;
        let is_own_origin = has_origin(&draft.url, api_url);
        let (header, shown) = if is_own_origin {
            match self.authorize(id, login.as_ref()) {
                Authorization::Ready(header, shown) => (header, shown),
                Authorization::Waiting => return None,
                Authorization::Shut(until) => {
                    self.shut(id, until);
                    return None;
                }
                Authorization::Refused(refusal) => {
                    self.fail(id, &refusal);
                    return None;
                }
            }
        } else {
            // Another server than the registry is never shown anything (D-11).
            (None, Shown::Nothing)
        };
        if let Some(etag) = self.take_condition(id, login.as_ref()) {
            let value = HeaderValue::Plain(etag);
            draft.headers.push(("if-none-match".into(), value));
        }
        if let Some(header) = header {
            let value = HeaderValue::Secret(header);
            draft.headers.push(("authorization".into(), value));
        }
        self.job_mut(id).shown = shown;
        // A registry that does not ask who we are says nothing about a login.
        if is_own_origin && (shown != Shown::Nothing || login.is_none()) {
            let is_login = shown == Shown::Basic;
            let attempt = Attempt { key, is_login };
            if !self.admit_attempt(id, &attempt) {
                return None;
            }
            draft.attempt = Some(attempt);
        }
        Some(draft)
    }

    fn draft_lookup(&self, id: JobId) -> Draft {
        let job = &self.jobs[&id];
        let repository = &self.repositories[&job.repository].key;
        let api_url = &self.endpoints[repository.endpoint].api_url;
        let below =
            |path: String| url::join_api(api_url, &format!("/v2/{}/{path}", repository.name));
        let accepted = || {
            let accept = manifest::ACCEPT.iter();
            accept
                .map(|kind| ("accept".into(), HeaderValue::Plain((*kind).into())))
                .collect::<Vec<_>>()
        };
        let (method, url, headers, body_bytes_max) = match &job.task {
            _ if job.pinged_for.is_some() => (
                Method::Get,
                url::join_api(api_url, "/v2/"),
                Vec::new(),
                self.settings.page_bytes_max,
            ),
            Task::Listing(task) => (
                Method::Get,
                task.url.clone(),
                Vec::new(),
                self.settings.page_bytes_max,
            ),
            Task::Facts(task) => {
                let by_tag = || below(format!("manifests/{}", task.key.tag));
                let manifest_bytes_max = self.settings.manifest_bytes_max;
                match &task.stage {
                    Stage::Head => (Method::Head, by_tag(), accepted(), 0),
                    Stage::Tag => (Method::Get, by_tag(), accepted(), manifest_bytes_max),
                    Stage::Manifest(digest) => (
                        Method::Get,
                        below(format!("manifests/{digest}")),
                        accepted(),
                        manifest_bytes_max,
                    ),
                    Stage::Config(digest) => (
                        Method::Get,
                        below(format!("blobs/{digest}")),
                        Vec::new(),
                        self.settings.config_bytes_max,
                    ),
                }
            }
            Task::Token(_) => unreachable!("a token has a draft of its own"),
        };
        Draft {
            method,
            url: job.hop.as_ref().map_or(url, |hop| hop.url.clone()),
            headers,
            body: Vec::new(),
            body_bytes_max,
            attempt: None,
        }
    }

    fn draft_token(&mut self, id: JobId) -> Option<Draft> {
        let job = &self.jobs[&id];
        let Task::Token(task) = &job.task else {
            return None;
        };
        if task
            .deadline
            .is_some_and(|deadline| deadline <= self.now.mono)
        {
            self.fail(id, &overdue_refusal());
            return None;
        }
        let entry = self.tokens.find(task.token)?;
        let refresh_token = self.refresh_token(entry);
        let attempt = Attempt {
            key: entry.circuit.clone(),
            is_login: true,
        };
        let request = token::request(
            &task.realm,
            &entry.key.issuer.service,
            &self.repositories[&job.repository].key.name,
            entry.asker.as_deref(),
            refresh_token.as_ref(),
        );
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                self.fail(id, &Refusal::lasting(Kind::Malformed, error.to_string()));
                return None;
            }
        };
        let url = match &job.hop {
            Some(hop) => hop.url.clone(),
            None => request.url,
        };
        let mut headers = Vec::new();
        if let Some(basic) = request.basic.filter(|_| has_origin(&url, &task.realm)) {
            headers.push(("authorization".into(), HeaderValue::Secret(basic)));
        }
        let body = match request.form {
            Some(form) => {
                let kind = HeaderValue::Plain("application/x-www-form-urlencoded".into());
                headers.push(("content-type".into(), kind));
                form.reveal().as_bytes().to_vec()
            }
            None => Vec::new(),
        };
        if !self.admit_attempt(id, &attempt) {
            return None;
        }
        let deadline = self.token_deadline(id);
        if let Task::Token(task) = &mut self.job_mut(id).task {
            task.is_refresh = refresh_token.is_some();
            task.deadline = deadline;
        }
        Some(Draft {
            method: request.method,
            url,
            headers,
            body,
            body_bytes_max: self.settings.token_bytes_max,
            attempt: Some(attempt),
        })
    }
}

/// True when both URLs have one origin.
pub(super) fn has_origin(one: &str, other: &str) -> bool {
    url::split(one)
        .zip(url::split(other))
        .is_some_and(|(one, other)| one.has_origin_of(&other))
}
