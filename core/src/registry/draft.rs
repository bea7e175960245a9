//! The next request of a lookup, but for its slot: where to, with which headers, how long its answer may be.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::authorize::Authorization;
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
        let mut draft = self.draft_lookup(id);
        let api_url = &self.endpoint_of(self.jobs[&id].repository).api_url;
        let is_own_origin = has_origin(&draft.url, api_url);
        let (header, shown) = if is_own_origin {
            match self.authorize(id, login.as_ref()) {
                Authorization::Ready(header, shown) => (header, shown),
                Authorization::Waiting => return None,
            }
        } else {
            // Another server than the registry is never shown anything (D-11).
            (None, Shown::Nothing)
        };
        if let Some(header) = header {
            let value = HeaderValue::Secret(header);
            draft.headers.push(("authorization".into(), value));
        }
        self.job_mut(id).shown = shown;
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
        }
    }

    fn draft_token(&mut self, id: JobId) -> Option<Draft> {
        let job = &self.jobs[&id];
        let Task::Token(task) = &job.task else {
            return None;
        };
        let login = job.login.as_login();
        let refresh_token = self.refresh_token(job.repository, login);
        let name = &self.repositories[&job.repository].key.name;
        let request = token::request(
            &task.realm,
            &task.service,
            name,
            login.map(|login| &**login),
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
        if let Task::Token(task) = &mut self.job_mut(id).task {
            task.is_refresh = refresh_token.is_some();
        }
        Some(Draft {
            method: request.method,
            url,
            headers,
            body,
            body_bytes_max: self.settings.token_bytes_max,
        })
    }
}

/// True when both URLs have one origin.
pub(super) fn has_origin(one: &str, other: &str) -> bool {
    url::split(one)
        .zip(url::split(other))
        .is_some_and(|(one, other)| one.has_origin_of(&other))
}
