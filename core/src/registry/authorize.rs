//! Who we are towards a registry: login, challenge, header (`registry.md` 5.7).

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;

use super::Registry;
use super::challenge::{self, Challenge};
use super::credentials::CredentialAnswer;
use super::draft::has_origin;
use super::job::{JobId, JobLogin, Phase, Shown, Task};
use super::login::Login;
use super::observation::SharedKind;
use super::outcome::{LookupFailureKind as Kind, RegistryOutcome};
use super::reply::{Refusal, judge_status};
use super::repository::RepositoryId;
use crate::http::HttpResponse;
use crate::secret::Secret;
use crate::time::Time;

/// What a request may carry.
#[derive(Debug)]
pub(super) enum Authorization {
    /// Nothing, or this header.
    Ready(Option<Secret>, Shown),
    /// No token can be asked for before that time.
    Shut(Time),
    /// The lookup waits for a credential or a token.
    Waiting,
    /// No token can be asked for where the registry says.
    Refused(Refusal),
}

impl Registry {
    /// The login of a lookup: asked for once per lookup, unless it was changed or refused under way.
    pub(super) fn resolve_login(
        &mut self,
        id: JobId,
    ) -> Result<Option<Arc<Login>>, Option<Refusal>> {
        let job = &self.jobs[&id];
        let repository = &self.repositories[&job.repository];
        match &job.login {
            JobLogin::Unresolved => {}
            JobLogin::Anonymous => return Ok(None),
            JobLogin::Known(login) => {
                // Another lookup may have found that the login was changed.
                let is_current = repository.login == Some(login.fingerprint());
                if is_current || matches!(job.task, Task::Token(_)) {
                    return Ok(Some(Arc::clone(login)));
                }
            }
        }
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
        self.authorize_bearer(id, &challenge, login)
    }

    /// Reacts to a 401: once, with what the challenge asks for. Showing the same again, or a token just
    /// fetched in vain, is final (D-11, D-27). Only the endpoint itself may say where its tokens come
    /// from: whoever a redirect leads to could name a realm of its own, and would be sent the password.
    pub(super) fn on_challenged(&mut self, id: JobId, response: &HttpResponse) {
        let refusal = judge_status(response, self.now.wall);
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
            self.drop_token(repository, fetched_by);
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
                self.fail_or_ping(id, Refusal { detail, ..refusal }, &[]);
            }
        }
    }

    pub(super) fn learn_challenge(&mut self, id: RepositoryId, challenge: Challenge) {
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

    /// Forgets a challenge that cannot be answered: the next lookup asks what is to be shown.
    pub(super) fn unlearn_challenge(&mut self, id: JobId, challenge: &Challenge) {
        let repository = self.jobs[&id].repository;
        self.repository_mut(repository)
            .challenge
            .take_if(|known| **known == *challenge);
        let endpoint = self.repositories[&repository].key.endpoint;
        self.endpoints[endpoint]
            .challenge
            .take_if(|known| **known == *challenge);
    }

    /// True when the last request of a lookup went to its endpoint, and not to where a redirect led.
    pub(super) fn is_at_own_origin(&self, id: JobId) -> bool {
        let repository = &self.repositories[&self.jobs[&id].repository];
        let api_url = &self.endpoints[repository.key.endpoint].api_url;
        has_origin(&self.asked_url(id), api_url)
    }

    /// True when the last request of a lookup went to where a redirect led, away from its registry or token
    /// server.
    pub(super) fn is_elsewhere(&self, id: JobId) -> bool {
        match &self.jobs[&id].task {
            Task::Token(task) => !has_origin(&self.asked_url(id), &task.realm),
            Task::Listing(_) | Task::Facts(_) => !self.is_at_own_origin(id),
        }
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
}

/// The challenge to answer: Bearer before Basic (D-28).
pub(super) fn answerable(
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
