//! Who we are towards a registry: login, challenge, header (`registry.md` 5.7).

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;

use super::challenge::{self, Challenge};
use super::credentials::CredentialAnswer;
use super::draft::has_origin;
use super::job::{Job, JobId, JobLogin, Phase, Shown, Task, TokenTask};
use super::login::Login;
use super::observation::{Observation, SharedKind};
use super::outcome::{LookupFailureKind as Kind, RegistryOutcome};
use super::reply::{Refusal, judge_status};
use super::repository::RepositoryId;
use super::{Registry, token};
use crate::http::HttpResponse;
use crate::secret::Secret;

/// What a request may carry.
#[derive(Debug)]
pub(super) enum Authorization {
    /// Nothing, or this header.
    Ready(Option<Secret>, Shown),
    /// The lookup waits for a credential or a token.
    Waiting,
}

impl Registry {
    /// The login of a lookup: read once per lookup, so that it does not change under way.
    pub(super) fn resolve_login(
        &mut self,
        id: JobId,
    ) -> Result<Option<Arc<Login>>, Option<Refusal>> {
        let job = &self.jobs[&id];
        match &job.login {
            JobLogin::Unresolved => {}
            JobLogin::Anonymous | JobLogin::Known(_) => return Ok(job.login.as_login().cloned()),
        }
        let repository = &self.repositories[&job.repository];
        let endpoint = &self.endpoints[repository.key.endpoint];
        let Some(source) = repository.key.source.clone() else {
            return Ok(None);
        };
        let is_own = endpoint.settings().credentials.as_ref() == Some(&source);
        let age_max = if is_own {
            endpoint.settings().credentials_age_max
        } else {
            Some(self.settings.interval)
        };
        let api_url = Arc::clone(&endpoint.api_url);
        let name = repository.key.name.clone();
        let key = (repository.key.endpoint, source);
        let retry_after = self.credential_retry_after();
        let answer = self
            .credentials
            .want(&key, id, self.now.mono, age_max, retry_after);
        match &answer {
            CredentialAnswer::Waiting => self.shared.on_follower(SharedKind::Credential),
            CredentialAnswer::Read => self.shared.on_leader(SharedKind::Credential),
            CredentialAnswer::Known(_) | CredentialAnswer::Failed(_) => {}
        }
        match answer {
            CredentialAnswer::Known(content) => match content.login_for(&api_url, Some(&name)) {
                Ok(login) => {
                    let login = Arc::new(login);
                    self.job_mut(id).login = JobLogin::Known(Arc::clone(&login));
                    Ok(Some(login))
                }
                Err(error) => Err(Some(Refusal::lasting(Kind::Credential, format!("{error}")))),
            },
            CredentialAnswer::Waiting => Err(None),
            CredentialAnswer::Read => {
                self.reads.push_back(key);
                Err(None)
            }
            CredentialAnswer::Failed(reason) => {
                Err(Some(Refusal::lasting(Kind::Credential, reason)))
            }
        }
    }

    /// What the next request of a lookup carries, by what is known of the registry. Without a known
    /// challenge nothing is shown: the answer will ask for it.
    pub(super) fn authorize(&mut self, id: JobId, login: Option<&Arc<Login>>) -> Authorization {
        let job = &self.jobs[&id];
        let repository = &self.repositories[&job.repository];
        let known = repository.challenge.as_ref();
        let known = known.or(self.endpoints[repository.key.endpoint].challenge.as_ref());
        let Some(challenge) = known.cloned() else {
            return Authorization::Ready(None, Shown::Nothing);
        };
        if challenge.scheme == "basic" {
            return match login.and_then(|login| login.to_basic()) {
                Some(header) => Authorization::Ready(Some(header), Shown::Basic),
                None => Authorization::Ready(None, Shown::Nothing),
            };
        }
        let realm = challenge.param("realm").unwrap_or("");
        let service = challenge.param("service").unwrap_or("");
        let fingerprint = login.map_or(0, |login| login.fingerprint());
        let has_fresh_token = job.has_fresh_token;
        let now = self.now.mono;
        let fitting = repository.token.as_deref().filter(|token| {
            token.login == fingerprint
                && *token.realm == *realm
                && *token.service == *service
                && (now < token.renew_at || has_fresh_token)
        });
        if let Some(fitting) = fitting {
            let header = Secret::new(format!("Bearer {}", fitting.token.reveal()));
            let shown = if has_fresh_token {
                Shown::FreshToken
            } else {
                Shown::KeptToken(fitting.fetched_by)
            };
            return Authorization::Ready(Some(header), shown);
        }
        self.wait_for_token(id, realm.into(), service.into(), login.cloned())
    }

    fn wait_for_token(
        &mut self,
        id: JobId,
        realm: Box<str>,
        service: Box<str>,
        login: Option<Arc<Login>>,
    ) -> Authorization {
        let repository = self.jobs[&id].repository;
        self.job_mut(id).phase = Phase::AwaitingToken;
        self.repository_mut(repository).token_waiters.push(id);
        if self.repositories[&repository].token_job.is_none() {
            let mut job = Job::new(
                repository,
                Task::Token(Box::new(TokenTask {
                    realm,
                    service,
                    asker: login.clone(),
                    is_refresh: false,
                })),
            );
            job.login = login.into();
            let token_job = self.add_job(job);
            self.repository_mut(repository).token_job = Some(token_job);
            self.shared.on_leader(SharedKind::Auth);
            self.enqueue_begun(token_job);
        } else {
            self.shared.on_follower(SharedKind::Auth);
        }
        Authorization::Waiting
    }

    /// The refresh token to ask with: the login's own, or one that the server volunteered.
    pub(super) fn refresh_token(
        &self,
        repository: RepositoryId,
        login: Option<&Arc<Login>>,
    ) -> Option<Secret> {
        let own = login.and_then(|login| login.identity_token.clone());
        own.or_else(|| self.repositories[&repository].refresh_token.clone())
    }

    /// Reacts to a 401: once, with what the challenge asks for. Showing the same again, or a token just
    /// fetched in vain, is final (D-11, D-27). Only the endpoint itself may say where its tokens come
    /// from: whoever a redirect leads to could name a realm of its own, and would be sent the password.
    pub(super) fn on_challenged(&mut self, id: JobId, response: &HttpResponse) {
        let refusal = judge_status(response);
        if !self.is_at_own_origin(id) {
            let detail = format!("{} at another server it led to", refusal.detail).into();
            self.deny(id, &Refusal { detail, ..refusal });
            return;
        }
        let challenges = challenge::parse(response.headers_named("www-authenticate"));
        let job = self.job_mut(id);
        job.n_challenged += 1;
        let (shown, repository, n_challenged) = (job.shown, job.repository, job.n_challenged);
        if let Shown::KeptToken(fetched_by) = shown {
            // Another lookup may have replaced it in the meantime.
            let token = &mut self.repository_mut(repository).token;
            if token
                .as_ref()
                .is_some_and(|token| token.fetched_by == fetched_by)
            {
                *token = None;
            }
        }
        let login = self.jobs[&id].login.as_login().cloned();
        let wanted = answerable(&challenges, login.as_ref(), shown);
        match wanted {
            Ok(challenge) if shown != Shown::FreshToken && n_challenged <= 2 => {
                self.learn_challenge(repository, challenge);
                self.enqueue_begun(id);
            }
            Ok(_) => self.deny(id, &refusal),
            Err(reason) => {
                let detail = match reason {
                    Some(reason) => format!("{}; {reason}", refusal.detail).into(),
                    None => refusal.detail.clone(),
                };
                self.deny(id, &Refusal { detail, ..refusal });
            }
        }
    }

    fn learn_challenge(&mut self, id: RepositoryId, challenge: Challenge) {
        // Of a token challenge only realm and service are asked for again; scope and error are of the
        // request that was refused.
        let params = challenge
            .params
            .into_iter()
            .filter(|(key, _)| key == "realm" || key == "service")
            .collect();
        let challenge = Challenge {
            scheme: challenge.scheme,
            params,
        };
        let endpoint = self.repositories[&id].key.endpoint;
        let endpoint = &mut self.endpoints[endpoint];
        let known = endpoint
            .challenge
            .get_or_insert_with(|| Arc::new(challenge.clone()));
        let own = (**known != challenge).then(|| Arc::new(challenge));
        self.repository_mut(id).challenge = own;
    }

    /// Ends a lookup that we may not make, and has its credential read anew before the next, unless the
    /// one who refused was never shown it.
    pub(super) fn deny(&mut self, id: JobId, refusal: &Refusal) {
        self.observe_at(id, |endpoint| Observation::Denied { endpoint });
        let job = &self.jobs[&id];
        let was_asked_for = matches!(job.task, Task::Token(_)) || self.is_at_own_origin(id);
        let repository = &self.repositories[&job.repository];
        if was_asked_for && let Some(source) = &repository.key.source {
            let key = (repository.key.endpoint, source.clone());
            let age_min = self.settings.interval / 2;
            self.credentials.distrust(&key, self.now.mono, age_min);
        }
        self.fail(id, refusal);
    }

    /// True when the last request of a lookup went to its endpoint, and not to where a redirect led.
    fn is_at_own_origin(&self, id: JobId) -> bool {
        let repository = &self.repositories[&self.jobs[&id].repository];
        let api_url = &self.endpoints[repository.key.endpoint].api_url;
        has_origin(&self.asked_url(id), api_url)
    }

    /// A credential was read, or could not be: those who waited go on, or fail.
    pub(super) fn on_credential(
        &mut self,
        key: &super::credentials::CredentialKey,
        result: Result<super::login::LoginContent, Box<str>>,
    ) {
        let failure = result.as_ref().err().cloned();
        let Some(waiters) = self.credentials.finish(key, self.now.mono, result) else {
            return;
        };
        if let Some(reason) = &failure
            && let Some(endpoint) = self.endpoints.find_mut(key.0)
        {
            let endpoint = endpoint.settings().name.clone().into();
            self.outcomes.push_back(RegistryOutcome::CredentialFailed {
                endpoint,
                source: key.1.clone(),
                reason: reason.clone(),
            });
        }
        for id in waiters {
            let is_waiting = self
                .jobs
                .get(&id)
                .is_some_and(|job| job.phase == Phase::AwaitingCredential);
            match &failure {
                _ if !is_waiting => {}
                Some(reason) => {
                    self.fail(id, &Refusal::lasting(Kind::Credential, reason.clone()));
                }
                None => self.enqueue_begun(id),
            }
        }
    }

    /// A token was issued: it is kept, and those who waited go on.
    pub(super) fn on_token(&mut self, id: JobId, issued: token::IssuedToken) {
        let lifetime = issued.announced;
        self.observe_token(id, |endpoint, subject| Observation::TokenIssued {
            endpoint,
            subject,
            lifetime,
        });
        let job = self
            .jobs
            .remove(&id)
            .expect("a token is issued to a lookup");
        let Task::Token(task) = job.task else {
            return;
        };
        let renew_at = self.now.mono.after(issued.renew_after());
        let repository = self.repository_mut(job.repository);
        repository.token = Some(Box::new(super::repository::RepositoryToken {
            realm: task.realm,
            service: task.service,
            login: task.asker.as_ref().map_or(0, |login| login.fingerprint()),
            token: issued.token,
            renew_at,
            fetched_by: id,
        }));
        if issued.refresh_token.is_some() {
            repository.refresh_token = issued.refresh_token;
        }
        repository.token_job = None;
        let waiters = core::mem::take(&mut repository.token_waiters);
        for waiter in waiters {
            if let Some(job) = self.jobs.get_mut(&waiter) {
                job.has_fresh_token = true;
                self.enqueue_begun(waiter);
            }
        }
    }
}

/// The challenge to answer: Bearer before Basic (D-28).
fn answerable(
    challenges: &[Challenge],
    login: Option<&Arc<Login>>,
    shown: Shown,
) -> Result<Challenge, Option<&'static str>> {
    let of = |scheme: &str| challenges.iter().find(|one| one.scheme == scheme);
    let bearer = of("bearer");
    if let Some(challenge) = bearer.filter(|one| one.param("realm").is_some()) {
        return Ok(challenge.clone());
    }
    match of("basic") {
        Some(challenge) => match login.and_then(|login| login.to_basic()) {
            Some(_) if shown == Shown::Basic => Err(None),
            Some(_) => Ok(challenge.clone()),
            None => Err(Some("no basic auth credentials")),
        },
        None if bearer.is_some() => Err(Some("no realm specified for token auth challenge")),
        None => Err(None),
    }
}
