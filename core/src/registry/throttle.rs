//! What answers say about limits, and what follows for whom: windows of silence, lowered rates, quotas
//! (`registry.md` 15.15, D-14).

use alloc::sync::Arc;
use core::time::Duration;

use super::Registry;
use super::attempt::throttled_refusal;
use super::budget::account::AccountId;
use super::budget::{Hint, Quota};
use super::endpoint::EndpointId;
use super::exchange::{Operation, Scope, Work};
use super::job::{JobId, Shown, Stage, Task};
use super::outcome::{Held, RegistryOutcome};
use super::timers::Timer;
use crate::credential::CredentialSource;
use crate::http::{HttpOutcome, HttpResponse, TransportKind};
use crate::time::Time;

impl Registry {
    /// The pull quotas that registries told of: API URL, credential source (`None` is nobody), quota.
    pub fn quotas(&self) -> impl Iterator<Item = (&str, Option<&CredentialSource>, &Quota)> {
        self.endpoints.iter().flat_map(|(_, endpoint)| {
            endpoint.line.accounts().filter_map(|account| {
                let quota = account.quota.as_ref()?;
                Some((&*endpoint.api_url, account.source.as_ref(), quota))
            })
        })
    }

    /// Hears what the end of a request says about limits, also when nobody waits for its answer any more.
    pub(super) fn note_limits(&mut self, operation: &Operation, outcome: &HttpOutcome) {
        match outcome {
            HttpOutcome::Response(response) => self.note_response(operation, response),
            HttpOutcome::Failed(failure) => {
                if failure.kind == TransportKind::NoLocalPort {
                    self.note_no_local_port(operation);
                }
            }
        }
    }

    fn note_response(&mut self, operation: &Operation, response: &HttpResponse) {
        if operation.is_elsewhere {
            // The store that a blob is redirected to has limits of its own, and concerns one lookup.
            return;
        }
        let now = self.now.mono;
        let hint = Hint::read(response, self.now.wall);
        let (id, account) = (operation.endpoint, operation.account);
        self.note_answered(id);
        if let (Some(account), Some(quota)) = (account, Quota::of(&hint)) {
            self.note_quota(id, account, quota);
        }
        if let Some(account) = account {
            self.note_pull(operation, account, response.status, hint.retry_after);
        }
        match (response.status, hint.retry_after) {
            (429, wait) | (503, wait @ Some(_)) => {
                self.lower_pace(id, account, operation.sent);
                if let Some(wait) = wait {
                    self.throttle(id, account, now.after(wait));
                }
            }
            (500.., _) => {}
            _ => {
                self.endpoints[id].retries.on_answer();
                self.raise_pace(id, account, operation.sent);
                // The window is used up: what would be refused is not sent.
                if let (Some(0), Some(reset)) = (hint.remaining, hint.reset) {
                    self.throttle(id, account, now.after(reset));
                }
            }
        }
    }

    /// Hears what the answer to the reading of a content says about the reading of further ones.
    fn note_pull(
        &mut self,
        operation: &Operation,
        account: AccountId,
        status: u16,
        retry_after: Option<Duration>,
    ) {
        let Work::Exchange(Some(job)) = operation.work else {
            return;
        };
        if !self.is_pull(job) {
            return;
        }
        let (now, id) = (self.now.mono, operation.endpoint);
        let Some(own) = self.endpoints[id].line.account_mut(account) else {
            return;
        };
        match (status, retry_after) {
            (..=399, _) => own.pulls.on_answered(),
            (429, None) => {
                if let Some(hold) = own.pulls.on_refused(now, operation.sent) {
                    self.fail_waiting(id, Some(account), Scope::Pulls, &throttled_refusal(hold));
                }
            }
            _ => {}
        }
    }

    /// True for a lookup whose next request reads a manifest, which is what registries count.
    pub(super) fn is_pull(&self, id: JobId) -> bool {
        match self.jobs.get(&id).map(|job| &job.task) {
            Some(Task::Facts(task)) => matches!(task.stage, Stage::Tag | Stage::Manifest(_)),
            Some(Task::Listing(_) | Task::Token(_)) | None => false,
        }
    }

    /// Whom the answer to a lookup's last request concerns: `None` is everybody, since nothing was shown.
    pub(super) fn account_shown(&self, id: JobId) -> Option<AccountId> {
        let job = &self.jobs[&id];
        let is_shown = match &job.task {
            Task::Token(task) => job.login.as_login().is_some() || task.is_refresh,
            Task::Listing(_) | Task::Facts(_) => job.shown != Shown::Nothing,
        };
        is_shown.then(|| self.account_id(id))
    }

    /// Leaves an account alone until then, or everybody, whatever the repository (S3).
    pub(super) fn throttle(&mut self, id: EndpointId, account: Option<AccountId>, until: Time) {
        let now = self.now.mono;
        let endpoint = &mut self.endpoints[id];
        let is_news = match account {
            None => endpoint.pace.close_until(now, until),
            Some(account) => endpoint
                .line
                .account_mut(account)
                .is_some_and(|account| account.pace.close_until(now, until)),
        };
        if !is_news {
            return;
        }
        if let Some(account) = account {
            endpoint.line.hold(account, now);
        }
        let endpoint = Arc::clone(&endpoint.api_url);
        let held = self.held(id, account);
        self.arm_endpoint(id);
        self.outcomes.push_back(RegistryOutcome::Throttled {
            endpoint,
            held,
            until,
        });
        let window = until.since(now);
        if window > self.settings.throttle_wait_max {
            // The one that was told so is still marked as in flight; its own attempt decides.
            self.fail_waiting(id, account, Scope::Everything, &throttled_refusal(window));
        }
    }

    /// Takes the permit for a request of this account.
    pub(super) fn take_permit(&mut self, id: EndpointId, account: AccountId) {
        let now = self.now.mono;
        let endpoint = &mut self.endpoints[id];
        endpoint.budget.take(now);
        endpoint.pace.take(now);
        if let Some(own) = endpoint.line.account_mut(account) {
            own.pace.take(now);
            endpoint.line.hold(account, now);
        }
    }

    /// Notes when something changes for an endpoint by itself.
    pub(super) fn arm_endpoint(&mut self, id: EndpointId) {
        let now = self.now.mono;
        let cap_shared = self.cap_shared();
        let Some(endpoint) = self.endpoints.find_mut(id) else {
            return;
        };
        endpoint.line.let_in(now);
        let can_send = endpoint.line.has_turns()
            && !endpoint.is_closed()
            && endpoint.slots.can_take(cap_shared);
        let due = [
            endpoint.line.next_let_in(),
            endpoint.pace.window_end(now),
            can_send.then(|| endpoint.permit_at(now)),
        ];
        match due.into_iter().flatten().filter(|at| *at > now).min() {
            Some(at) => self.timers.arm(Timer::Endpoint(id), at),
            None => self.timers.disarm(Timer::Endpoint(id)),
        }
    }

    /// A window ended, or a permit is there.
    pub(super) fn on_endpoint_due(&mut self, id: EndpointId) {
        if self.endpoints.find(id).is_some() {
            self.sendable.insert(id);
            self.arm_endpoint(id);
            self.forget_endpoint_if_unused(id);
        }
    }

    fn lower_pace(&mut self, id: EndpointId, account: Option<AccountId>, sent: Time) {
        let now = self.now.mono;
        let endpoint = &mut self.endpoints[id];
        let is_lowered = match account {
            None => endpoint.pace.lower(now, sent),
            Some(account) => endpoint
                .line
                .account_mut(account)
                .is_some_and(|account| account.pace.lower(now, sent)),
        };
        if is_lowered {
            self.observe_pace(id, account);
        }
    }

    fn raise_pace(&mut self, id: EndpointId, account: Option<AccountId>, sent: Time) {
        let now = self.now.mono;
        let endpoint = &mut self.endpoints[id];
        let is_full = endpoint.pace.raise(now, sent);
        let own = account.and_then(|account| endpoint.line.account_mut(account));
        let is_own_full = own.is_some_and(|own| own.pace.raise(now, sent));
        if is_full {
            self.observe_pace(id, None);
        }
        if is_own_full {
            self.observe_pace(id, account);
        }
    }

    fn observe_pace(&mut self, id: EndpointId, account: Option<AccountId>) {
        let endpoint = &self.endpoints[id];
        let own = account.and_then(|account| endpoint.line.account(account));
        let rate = own.map_or(&endpoint.pace, |own| &own.pace).lowered_rate();
        let endpoint = Arc::clone(&endpoint.api_url);
        let held = self.held(id, account);
        self.observe(RegistryOutcome::PaceChanged {
            endpoint,
            held,
            rate,
        });
    }

    fn note_quota(&mut self, id: EndpointId, account: AccountId, quota: Quota) {
        let endpoint = &mut self.endpoints[id];
        let api_url = Arc::clone(&endpoint.api_url);
        let Some(own) = endpoint.line.account_mut(account) else {
            return;
        };
        if own.quota.as_ref() == Some(&quota) {
            return;
        }
        let was_low = own.quota.as_ref().is_some_and(Quota::is_low);
        let source = own.source.clone();
        own.quota = Some(quota.clone());
        if quota.is_low() && !was_low {
            self.outcomes.push_back(RegistryOutcome::QuotaLow {
                endpoint: Arc::clone(&api_url),
                source: source.clone(),
                quota: quota.clone(),
            });
        }
        self.observe(RegistryOutcome::QuotaCounted {
            endpoint: api_url,
            source,
            quota,
        });
    }

    fn held(&self, id: EndpointId, account: Option<AccountId>) -> Held {
        match account.and_then(|account| self.endpoints[id].line.account(account)) {
            None => Held::Everybody,
            Some(account) => Held::Account(account.source.clone()),
        }
    }
}
