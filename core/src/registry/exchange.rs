//! Exchanges: which request is sent next, the slot that it holds, and what happens when its answer is
//! overdue (A7, A9).

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Registry;
use super::breaker::Attempt;
use super::budget::account::AccountId;
use super::credentials::CredentialKey;
use super::draft::Draft;
use super::endpoint::EndpointId;
use super::job::{JobId, Phase, Task};
use super::login::LoginContent;
use super::observation::RequestKind;
use super::outcome::{LookupFailureKind as Kind, RegistryOutcome, RequestEnd};
use super::reply::Refusal;
use super::timers::Timer;
use crate::credential::CredentialOutcome;
use crate::credential::CredentialSource;
use crate::effect::Effect;
use crate::http::{HttpOutcome, HttpRequest};
use crate::id::{OpId, OpIds};
use crate::time::{Now, Time};

/// How much longer than the driver the core waits before it cancels.
const DEADLINE_MARGIN: Duration = Duration::from_secs(2);
/// How long a cancelled operation may take to end before its endpoint is closed.
const CANCEL_GRACE: Duration = Duration::from_secs(30);

/// An effect that was handed out and not completed.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) endpoint: EndpointId,
    pub(super) work: Work,
    /// What a request is for; `None` for a credential.
    kind: Option<RequestKind>,
    /// API URL of the registry that a request is for; its slot may be another server's.
    told_as: Option<Arc<str>>,
    /// The login that a request shows or tries.
    pub(super) attempt: Option<Attempt>,
    /// Whom its answer concerns; `None` is everybody, since the request showed nothing.
    pub(super) account: Option<AccountId>,
    /// It went to where a redirect led, and not to the server whose slot it holds: its answer says nothing
    /// about that one's limits.
    pub(super) is_elsewhere: bool,
    pub(super) sent: Time,
    phase: OpPhase,
}

/// What an operation is for.
#[derive(Debug)]
pub(super) enum Work {
    /// A request; of no lookup any more once that was cancelled.
    Exchange(Option<JobId>),
    /// The reading of a credential.
    Credential(CredentialSource),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OpPhase {
    Running,
    Cancelled,
    Stalled,
}

/// Which of the lookups that wait are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// All.
    Everything,
    /// Those that read a manifest next.
    Pulls,
}

impl Operation {
    pub(super) fn is_stalled(&self) -> bool {
        self.phase == OpPhase::Stalled
    }
}

impl Registry {
    /// The next effect. `None` until the next `handle_` or `want_` call once it was `None` (A5).
    pub fn poll_effect(&mut self, ids: &mut OpIds) -> Option<Effect> {
        if let Some(op) = self.cancels.pop_front() {
            return Some(Effect::Cancel(op));
        }
        loop {
            if let Some(key) = self.reads.pop_front() {
                if self.endpoints.find_mut(key.0).is_none() {
                    continue;
                }
                if self.is_being_read(&key) {
                    let reason = "an earlier reading of the credential never ended";
                    self.on_credential(&key, Err(reason.into()));
                    continue;
                }
                return Some(self.send_credential(ids.take_next(), key));
            }
            let endpoint = *self.sendable.first()?;
            let Some(id) = self.take_sendable(endpoint) else {
                self.sendable.remove(&endpoint);
                continue;
            };
            if let Some(draft) = self.draft(id) {
                let op = ids.take_next();
                return Some(Effect::Http(op, self.send(endpoint, id, op, draft)));
            }
        }
    }

    /// Takes the answer to a request. False when the operation is unknown: nothing changes then (A8).
    pub fn handle_http(&mut self, now: Now, op: OpId, outcome: HttpOutcome) -> bool {
        let is_exchange = self
            .ops
            .get(&op)
            .is_some_and(|operation| matches!(operation.work, Work::Exchange(_)));
        if !is_exchange {
            return false;
        }
        self.note_time(now);
        let Some(operation) = self.end_op(op) else {
            return false;
        };
        let end = match &outcome {
            HttpOutcome::Response(response) => RequestEnd::Status(response.status),
            HttpOutcome::Failed(failure) => RequestEnd::Transport(failure.kind),
        };
        self.give_slot(&operation, end);
        self.note_limits(&operation, &outcome);
        self.settle_attempt(&operation, &outcome);
        match operation.work {
            Work::Exchange(Some(id)) => self.on_answer(id, outcome),
            // Nobody waits for this answer any more.
            Work::Exchange(None) | Work::Credential(_) => {}
        }
        self.forget_endpoint_if_unused(operation.endpoint);
        true
    }

    /// Takes what the reading of a credential brought. False when the operation is unknown.
    pub fn handle_credential(&mut self, now: Now, op: OpId, outcome: CredentialOutcome) -> bool {
        let source = match self.ops.get(&op).map(|operation| &operation.work) {
            Some(Work::Credential(source)) => source.clone(),
            Some(Work::Exchange(_)) | None => return false,
        };
        self.note_time(now);
        let Some(operation) = self.end_op(op) else {
            return false;
        };
        let is_error = !matches!(outcome, CredentialOutcome::Found(_));
        self.observe_read(&source, is_error);
        let result = match outcome {
            CredentialOutcome::Found(raw) => {
                LoginContent::parse(&source, &raw).map_err(|error| error.to_string().into())
            }
            CredentialOutcome::Missing(text)
            | CredentialOutcome::Denied(text)
            | CredentialOutcome::Failed(text) => Err(text.into()),
        };
        self.on_credential(&(operation.endpoint, source), result);
        true
    }

    /// The job that is first in line, if the endpoint may send now.
    fn take_sendable(&mut self, id: EndpointId) -> Option<JobId> {
        let now = self.now.mono;
        let cap_shared = self.cap_shared();
        let endpoint = self.endpoints.find_mut(id)?;
        let can_send = !endpoint.is_closed()
            && endpoint.slots.can_take(cap_shared)
            && endpoint.permit_at(now) <= now;
        let jobs = &self.jobs;
        let is_waiting = |job| jobs.get(&job).is_some_and(|job| job.phase == Phase::Queued);
        let job = if can_send {
            endpoint.line.take(now, is_waiting)
        } else {
            None
        };
        if job.is_none() {
            self.arm_endpoint(id);
        }
        job
    }

    /// Takes slot and permit, starts the attempt's clock, and hands the request out.
    fn send(&mut self, endpoint: EndpointId, id: JobId, op: OpId, draft: Draft) -> HttpRequest {
        let now = self.now.mono;
        let attempt = self.attempt_timeout(id);
        let job = self.job_mut(id);
        let mut deadline = *job.attempt_deadline.get_or_insert(now.after(attempt));
        if let Task::Token(task) = &job.task {
            deadline = deadline.min(task.deadline.unwrap_or(deadline));
        }
        job.phase = Phase::InFlight(op);
        let timeout = deadline.since(now);
        let account = self.account_id(id);
        self.take_permit(endpoint, account);
        let account = self.account_shown(id);
        let state = &mut self.endpoints[endpoint];
        state.slots.take();
        let pool = Arc::clone(&state.pool);
        let overdue = now.after(timeout + DEADLINE_MARGIN);
        let (kind, told_as) = (self.request_kind(id), self.told_as(id));
        let is_elsewhere = self.is_elsewhere(id);
        self.start_op(op, endpoint, Work::Exchange(Some(id)), account, overdue);
        if let Some(operation) = self.ops.get_mut(&op) {
            operation.kind = Some(kind.clone());
            operation.told_as = Some(Arc::clone(&told_as));
            operation.attempt = draft.attempt;
            operation.is_elsewhere = is_elsewhere;
        }
        self.observe(RegistryOutcome::RequestSent {
            endpoint: told_as,
            kind,
        });
        HttpRequest {
            pool,
            method: draft.method,
            url: draft.url,
            headers: draft.headers,
            body: draft.body,
            body_bytes_max: draft.body_bytes_max,
            timeout,
        }
    }

    fn send_credential(&mut self, op: OpId, key: CredentialKey) -> Effect {
        let overdue = self.now.mono.after(self.settings.credential_timeout);
        self.start_op(op, key.0, Work::Credential(key.1.clone()), None, overdue);
        Effect::ReadCredential(op, key.1)
    }

    /// True when a reading of the credential was given up and has not ended yet.
    fn is_being_read(&self, key: &CredentialKey) -> bool {
        self.ops.values().any(|operation| {
            operation.endpoint == key.0
                && matches!(&operation.work, Work::Credential(source) if *source == key.1)
        })
    }

    fn start_op(
        &mut self,
        op: OpId,
        endpoint: EndpointId,
        work: Work,
        account: Option<AccountId>,
        overdue: Time,
    ) {
        self.timers.arm(Timer::Op(op), overdue);
        let operation = Operation {
            endpoint,
            work,
            kind: None,
            told_as: None,
            attempt: None,
            account,
            is_elsewhere: false,
            sent: self.now.mono,
            phase: OpPhase::Running,
        };
        self.ops.insert(op, operation);
    }

    fn end_op(&mut self, op: OpId) -> Option<Operation> {
        self.timers.disarm(Timer::Op(op));
        self.ops.remove(&op)
    }

    /// Frees the slot of a request that was completed, and opens the endpoint if that was what closed it.
    fn give_slot(&mut self, operation: &Operation, end: RequestEnd) {
        let duration = self.now.mono.since(operation.sent);
        let id = operation.endpoint;
        let endpoint = &mut self.endpoints[id];
        endpoint.slots.give();
        let api_url = Arc::clone(&endpoint.api_url);
        if operation.is_stalled() {
            endpoint.n_stalled -= 1;
            if endpoint.n_stalled == 0 {
                let endpoint = Arc::clone(&api_url);
                self.outcomes
                    .push_back(RegistryOutcome::Reopened { endpoint });
            }
        }
        self.sendable.insert(id);
        if let Some(kind) = operation.kind.clone() {
            self.observe(RegistryOutcome::RequestFinished {
                endpoint: operation.told_as.clone().unwrap_or(api_url),
                kind,
                end,
                duration,
            });
        }
    }

    /// An operation is overdue: it is cancelled and its attempt has failed. If it does not even end
    /// then, its endpoint is closed until it does.
    pub(super) fn on_overdue(&mut self, op: OpId) {
        let grace_end = self.now.mono.after(CANCEL_GRACE);
        let Some(operation) = self.ops.get_mut(&op) else {
            return;
        };
        let endpoint = operation.endpoint;
        match operation.phase {
            OpPhase::Running => {
                operation.phase = OpPhase::Cancelled;
                self.timers.arm(Timer::Op(op), grace_end);
                self.cancels.push_back(op);
                match &mut operation.work {
                    Work::Exchange(job) => {
                        if let Some(id) = job.take() {
                            self.on_attempt_overdue(id, true);
                        }
                    }
                    Work::Credential(source) => {
                        let key = (endpoint, source.clone());
                        let reason = "the credential was not read in time";
                        self.on_credential(&key, Err(reason.into()));
                    }
                }
            }
            OpPhase::Cancelled => {
                operation.phase = OpPhase::Stalled;
                if matches!(operation.work, Work::Exchange(_)) {
                    self.close(endpoint);
                }
            }
            OpPhase::Stalled => {}
        }
    }

    /// Closes an endpoint: everything that waits for it fails with the reason.
    fn close(&mut self, id: EndpointId) {
        let endpoint = &mut self.endpoints[id];
        endpoint.n_stalled += 1;
        let is_news = endpoint.n_stalled == 1;
        let api_url = Arc::clone(&endpoint.api_url);
        if is_news {
            self.outcomes
                .push_back(RegistryOutcome::Stalled { endpoint: api_url });
        }
        self.fail_waiting(id, None, Scope::Everything, &stalled_refusal());
    }

    /// Fails every lookup of an endpoint, or of one account there, that has no request in flight.
    pub(super) fn fail_waiting(
        &mut self,
        id: EndpointId,
        account: Option<AccountId>,
        scope: Scope,
        refusal: &Refusal,
    ) {
        let waiting: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(job, state)| {
                !matches!(state.phase, Phase::InFlight(_))
                    && self.endpoint_id(**job) == id
                    && account.is_none_or(|account| account == self.account_id(**job))
                    && (scope == Scope::Everything || self.is_pull(**job))
            })
            .map(|(job, _)| *job)
            .collect();
        for job in waiting {
            if self.jobs.contains_key(&job) {
                self.fail(job, refusal);
            }
        }
        // What is not there any more is passed over when its turn comes.
        if scope == Scope::Everything {
            self.endpoints[id].line.clear(account);
        }
    }

    fn attempt_timeout(&self, id: JobId) -> Duration {
        match self.jobs[&id].task {
            Task::Listing(_) => self.settings.tag_timeout,
            Task::Facts(_) => self.settings.manifest_timeout,
            Task::Token(_) => self.settings.token_timeout,
        }
    }
}

pub(super) fn overdue_refusal() -> Refusal {
    Refusal {
        kind: Kind::Transient,
        is_retryable: true,
        retry_after: None,
        detail: "no answer in time".into(),
    }
}

pub(super) fn stalled_refusal() -> Refusal {
    let detail: Box<str> = "an earlier request to it never ended".into();
    Refusal::lasting(Kind::Stalled, detail)
}
