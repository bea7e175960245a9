//! How a lookup comes by a bearer token: one that is kept, or one that is fetched for all who want the
//! same (`registry.md` 5.7.3, D-17, D-18, D-20, D-27).

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::authorize::Authorization;
use super::breaker::{CircuitKey, Verdict};
use super::budget::account::AccountId;
use super::challenge::Challenge;
use super::endpoint::EndpointId;
use super::job::{Job, JobId, Phase, Shown, Task, TokenTask};
use super::login::Login;
use super::observation::{Observation, SharedKind};
use super::outcome::LookupFailureKind as Kind;
use super::reply::Refusal;
use super::repository::RepositoryId;
use super::tokens::{IssuerKey, KeptToken, TokenEntry, TokenId, TokenKey};
use super::{Registry, token, url};
use crate::http::ShownUrl;
use crate::secret::Secret;
use crate::time::Time;

/// How long a token that still holds is not renewed again after that failed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// How much of a realm is shown.
const REALM_CHARS_MAX: usize = 200;

impl Registry {
    /// What a lookup shows to a registry that wants a token: the kept one until it is to be renewed, and
    /// also then while it cannot be; else the lookup waits for a new one.
    pub(super) fn authorize_bearer(
        &mut self,
        id: JobId,
        challenge: &Challenge,
        login: Option<&Arc<Login>>,
    ) -> Authorization {
        let now = self.now.mono;
        let realm = challenge.param("realm").unwrap_or("");
        let service = challenge.param("service").unwrap_or("");
        if let Err(refusal) = self.check_realm(id, realm) {
            self.unlearn_challenge(id, challenge);
            return Authorization::Refused(refusal);
        }
        let fingerprint = login.map_or(0, |login| login.fingerprint());
        let job = &self.jobs[&id];
        let (repository, has_fresh_token) = (job.repository, job.has_fresh_token);
        let used = self.repositories[&repository].token.filter(|used| {
            let entry = self.tokens.find(*used);
            entry.is_some_and(|entry| entry.is_of(realm, service, fingerprint))
        });
        let used = used.unwrap_or_else(|| self.adopt_token(repository, realm, service, login));
        let entry = self
            .tokens
            .find(used)
            .expect("a token lives while it is used");
        let shut = self.breaker.shut_until(&entry.circuit, now);
        let kept = entry.kept.as_ref().filter(|kept| {
            has_fresh_token || now < kept.renew_at || (shut.is_some() && now < kept.expires_at)
        });
        if let Some(kept) = kept {
            let header = Secret::new(format!("Bearer {}", kept.token.reveal()));
            let shown = if has_fresh_token {
                Shown::FreshToken
            } else {
                Shown::KeptToken(kept.fetched_by)
            };
            return Authorization::Ready(Some(header), shown);
        }
        if let Some(until) = shut {
            return Authorization::Shut(until);
        }
        self.wait_for_token(id, used);
        Authorization::Waiting
    }

    /// A realm must be a URL, and a registry that is asked over TLS may not have the password sent in clear.
    fn check_realm(&self, id: JobId, realm: &str) -> Result<(), Refusal> {
        let shown = || {
            ShownUrl(realm)
                .to_string()
                .chars()
                .take(REALM_CHARS_MAX)
                .collect::<String>()
        };
        let refused = |detail: String| Err(Refusal::lasting(Kind::Malformed, detail));
        let api_url = &self.endpoint_of(self.jobs[&id].repository).api_url;
        let is_https = url::split(api_url).is_some_and(|parts| parts.is_https);
        match url::split_strictly(realm) {
            Ok(parts) if is_https && !parts.is_https => refused(format!(
                "its tokens are to be had at {} without TLS, where no login is shown: \
                 the registry must name a realm of https, like its own address",
                shown()
            )),
            Ok(_) => Ok(()),
            Err(error) => refused(format!(
                "the realm \"{}\" of its token auth challenge {error}",
                shown()
            )),
        }
    }

    /// Makes a repository a user of the token that it needs, instead of the one before.
    fn adopt_token(
        &mut self,
        repository: RepositoryId,
        realm: &str,
        service: &str,
        login: Option<&Arc<Login>>,
    ) -> TokenId {
        let endpoint = self.repositories[&repository].key.endpoint;
        let own = &self.endpoints[endpoint];
        let settings = own.settings();
        let authority = url::split(realm).map_or("", |parts| parts.authority);
        let key = TokenKey {
            issuer: IssuerKey {
                realm: realm.into(),
                service: service.into(),
                login: login.map_or(0, |login| login.fingerprint()),
                is_insecure: settings.is_insecure,
                trust: settings.trust.clone(),
            },
            scope: token::read_scope(authority, &self.repositories[&repository].key.name).into(),
        };
        let known = self.tokens.find_id(&key);
        let id = known.unwrap_or_else(|| self.add_token(repository, key, login));
        let entry = self.tokens.find_mut(id).expect("the token was just found");
        entry.users.insert(repository);
        let before = self.repository_mut(repository).token.replace(id);
        if let Some(before) = before {
            self.release_token(repository, before);
        }
        id
    }

    fn add_token(
        &mut self,
        repository: RepositoryId,
        key: TokenKey,
        login: Option<&Arc<Login>>,
    ) -> TokenId {
        let now = self.now.mono;
        let endpoint = self.repositories[&repository].key.endpoint;
        let realm = &key.issuer.realm;
        let own = &self.endpoints[endpoint].place;
        let circuit = CircuitKey {
            place: url::origin(realm).map_or_else(|| Arc::clone(own), Into::into),
            login: key.issuer.login,
        };
        let registry = self.circuit_of(repository, key.issuer.login);
        let is_successor = self.breaker.is_successor(&registry);
        let source = self.repositories[&repository].key.source.as_ref();
        self.breaker.retain(&circuit, source, is_successor, now);
        let lane = self.endpoints.token_host(endpoint, realm);
        let account = self.retain_lane(repository, lane);
        self.tokens.insert(TokenEntry {
            key,
            lane,
            account,
            circuit,
            asker: login.cloned(),
            kept: None,
            job: None,
            waiters: Vec::new(),
            users: BTreeSet::new(),
        })
    }

    /// Counts a user of a token off; with the last one it is forgotten (A11).
    pub(super) fn release_token(&mut self, repository: RepositoryId, id: TokenId) {
        let Some(entry) = self.tokens.find_mut(id) else {
            return;
        };
        entry.users.remove(&repository);
        if let Some(other) = entry.users.first().copied() {
            if let Some(job) = entry.job.and_then(|job| self.jobs.get_mut(&job)) {
                job.repository = other;
            }
            return;
        }
        let Some(entry) = self.tokens.remove(id) else {
            return;
        };
        if let Some(job) = entry.job {
            self.abandon(job);
        }
        self.breaker.release(&entry.circuit, self.now.mono);
        self.release_lane(entry.lane, entry.account);
        // Lookups of a repository that uses another token now ask for that.
        self.wake_token_waiters(entry.waiters, false);
    }

    fn wait_for_token(&mut self, id: JobId, used: TokenId) {
        let repository = self.jobs[&id].repository;
        self.move_retired_lane(repository, used);
        self.job_mut(id).phase = Phase::AwaitingToken;
        let entry = self
            .tokens
            .find_mut(used)
            .expect("a token lives while it is used");
        entry.waiters.push(id);
        if entry.job.is_some() {
            self.shared.on_follower(SharedKind::Auth);
            return;
        }
        self.shared.on_leader(SharedKind::Auth);
        let task = TokenTask {
            token: used,
            realm: entry.key.issuer.realm.clone(),
            service: entry.key.issuer.service.clone(),
            lane: entry.lane,
            account: entry.account,
            deadline: None,
            is_refresh: false,
        };
        let login = entry.asker.clone();
        let mut job = Job::new(repository, Task::Token(Box::new(task)));
        job.login = login.into();
        let job = self.add_job(job);
        if let Some(entry) = self.tokens.find_mut(used) {
            entry.job = Some(job);
        }
        self.enqueue_begun(job);
    }

    /// A token that is shared outlives the endpoint that it was asked for at, when a reload takes that.
    fn move_retired_lane(&mut self, repository: RepositoryId, used: TokenId) {
        let endpoint = self.repositories[&repository].key.endpoint;
        let Some(entry) = self.tokens.find_mut(used) else {
            return;
        };
        let before = (entry.lane, entry.account);
        if entry.job.is_some() || !self.endpoints[before.0].is_retired {
            return;
        }
        let lane = self.endpoints.token_host(endpoint, &entry.key.issuer.realm);
        let account = self.retain_lane(repository, lane);
        if let Some(entry) = self.tokens.find_mut(used) {
            (entry.lane, entry.account) = (lane, account);
        }
        self.release_lane(before.0, before.1);
    }

    /// Counts a token that is asked for at a token server, with the credential of this repository.
    fn retain_lane(&mut self, repository: RepositoryId, lane: EndpointId) -> AccountId {
        let source = self.repositories[&repository].key.source.as_ref();
        let endpoint = &mut self.endpoints[lane];
        endpoint.n_tokens += 1;
        let account = endpoint.line.retain(source);
        self.arm_endpoint(lane);
        account
    }

    fn release_lane(&mut self, lane: EndpointId, account: AccountId) {
        let endpoint = &mut self.endpoints[lane];
        endpoint.n_tokens -= 1;
        endpoint.line.release(account, None);
        self.forget_endpoint_if_unused(lane);
    }

    /// The refresh token to ask with: the login's own, or one that the server volunteered.
    pub(super) fn refresh_token(&self, entry: &TokenEntry) -> Option<Secret> {
        let login = entry.asker.as_ref();
        let own = login.and_then(|login| login.identity_token.clone());
        own.or_else(|| self.tokens.refresh_token(&entry.key.issuer).cloned())
    }

    /// A refresh token was refused. True when it was one that the server once volunteered: the token is
    /// then asked for without.
    pub(super) fn drop_refresh_token(&mut self, id: TokenId) -> bool {
        let Some(entry) = self.tokens.find(id) else {
            return false;
        };
        let has_own = entry
            .asker
            .as_ref()
            .is_some_and(|login| login.identity_token.is_some());
        let issuer = entry.key.issuer.clone();
        !has_own && self.tokens.drop_refresh_token(&issuer)
    }

    /// A registry no longer takes the token that was fetched by this lookup (D-27); another one may have
    /// replaced it in the meantime.
    pub(super) fn drop_token(&mut self, repository: RepositoryId, fetched_by: JobId) {
        let used = self.repositories[&repository].token;
        if let Some(entry) = used.and_then(|used| self.tokens.find_mut(used)) {
            entry.kept.take_if(|kept| kept.fetched_by == fetched_by);
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
        let now = self.now.mono;
        let job = self.jobs.remove(&id);
        let job = job.expect("a token is issued to a lookup");
        let Task::Token(task) = job.task else {
            return;
        };
        let Some(entry) = self.tokens.find_mut(task.token) else {
            return;
        };
        entry.kept = Some(KeptToken {
            renew_at: now.after(issued.renew_after()),
            expires_at: now.after(issued.lifetime),
            token: issued.token,
            fetched_by: id,
        });
        entry.job = None;
        let waiters = core::mem::take(&mut entry.waiters);
        if let Some(refresh_token) = issued.refresh_token {
            let issuer = entry.key.issuer.clone();
            self.tokens.keep_refresh_token(&issuer, refresh_token);
        }
        self.wake_token_waiters(waiters, true);
    }

    /// No token could be had: a kept one that still holds is used a while longer; else those who waited
    /// are told why.
    pub(super) fn on_token_failed(&mut self, id: TokenId, refusal: &Refusal, verdict: Verdict) {
        let now = self.now.mono;
        let Some(entry) = self.tokens.find_mut(id) else {
            return;
        };
        entry.job = None;
        let waiters = core::mem::take(&mut entry.waiters);
        if let Some(kept) = entry.kept.as_mut().filter(|kept| now < kept.expires_at) {
            kept.renew_at = now.after(RENEWAL_PAUSE).min(kept.expires_at);
            self.wake_token_waiters(waiters, false);
            return;
        }
        let refusal = Refusal {
            // What is missing at a token server is not the image.
            kind: if refusal.kind == Kind::Missing {
                Kind::Malformed
            } else {
                refusal.kind
            },
            is_retryable: false,
            retry_after: None,
            detail: format!("no token: {}", refusal.detail).into(),
        };
        for waiter in waiters {
            if self.jobs.contains_key(&waiter) {
                self.on_no_token(waiter, &refusal, verdict);
            }
        }
    }

    fn wake_token_waiters(&mut self, waiters: Vec<JobId>, has_fresh_token: bool) {
        for waiter in waiters {
            let job = self.jobs.get_mut(&waiter);
            if let Some(job) = job.filter(|job| job.phase == Phase::AwaitingToken) {
                job.has_fresh_token |= has_fresh_token;
                self.enqueue_begun(waiter);
            }
        }
    }

    /// When a token is given up: its time-out and the sleeps that the settings allow, all together, from
    /// its first request on (D-18). `None` for other lookups.
    pub(super) fn token_deadline(&self, id: JobId) -> Option<Time> {
        let Task::Token(task) = &self.jobs[&id].task else {
            return None;
        };
        let sleeps = self.settings.token_attempts.saturating_sub(1);
        let slept = self.settings.token_backoff.sleep_max.saturating_mul(sleeps);
        let whole = self.settings.token_timeout.saturating_add(slept);
        Some(task.deadline.unwrap_or_else(|| self.now.mono.after(whole)))
    }
}
