//! How lookups get in line at their endpoint, and what keeps them out.

use alloc::format;

use super::Registry;
use super::attempt::throttled_refusal;
use super::budget::account::{AccountId, Rank};
use super::endpoint::EndpointId;
use super::exchange::stalled_refusal;
use super::job::{JobId, Phase, Task};
use super::outcome::LookupFailureKind as Kind;
use super::reload::retired_refusal;
use super::reply::Refusal;

impl Registry {
    /// Lets a new lookup in: at the end of its endpoint's line, or not at all.
    pub(super) fn admit(&mut self, id: JobId) {
        let endpoint = self.endpoint_id(id);
        let queue_max = self.settings.queue_max;
        if self.endpoints[endpoint].line.n_queued() >= queue_max {
            let detail = format!("{queue_max} lookups wait for it already");
            self.fail(id, &Refusal::lasting(Kind::Overflow, detail));
        } else if self.is_open(id, endpoint) {
            let rank = match self.jobs[&id].task {
                Task::Listing(_) => Rank::Listing,
                Task::Facts(_) => Rank::Facts,
                Task::Token(_) => Rank::Begun,
            };
            self.enqueue(id, endpoint, rank);
        }
    }

    /// Lets a lookup go on, ahead of those that have not begun.
    pub(super) fn enqueue_begun(&mut self, id: JobId) {
        if !self.jobs.contains_key(&id) {
            return;
        }
        let endpoint = self.endpoint_id(id);
        if self.is_open(id, endpoint) {
            self.enqueue(id, endpoint, Rank::Begun);
        }
    }

    fn enqueue(&mut self, id: JobId, endpoint: EndpointId, rank: Rank) {
        let account = self.account_id(id);
        let job = self.job_mut(id);
        job.phase = Phase::Queued;
        let repository = job.repository;
        let line = &mut self.endpoints[endpoint].line;
        line.push(account, rank, repository, id);
        self.sendable.insert(endpoint);
    }

    /// Fails the lookup when its endpoint is retired or closed, or its account throttled for longer than is
    /// waited for.
    fn is_open(&mut self, id: JobId, endpoint: EndpointId) -> bool {
        let now = self.now.mono;
        let state = &self.endpoints[endpoint];
        if state.is_retired {
            self.fail(id, &retired_refusal());
            return false;
        }
        if state.is_closed() {
            self.fail(id, &stalled_refusal());
            return false;
        }
        let account = state.line.account(self.account_id(id));
        let held = account.and_then(|account| account.pulls.held_until(now));
        if let Some(until) = held.filter(|_| self.is_pull(id)) {
            self.fail(id, &throttled_refusal(until.since(now)));
            return false;
        }
        let window_max = now.after(self.settings.throttle_wait_max);
        let throttle_end = state.throttle_end(now, self.account_id(id));
        if let Some(until) = throttle_end.filter(|until| *until > window_max) {
            self.fail(id, &throttled_refusal(until.since(now)));
            return false;
        }
        true
    }

    /// The endpoint whose slots and permits a lookup needs: a token has its token server's.
    pub(super) fn endpoint_id(&self, id: JobId) -> EndpointId {
        let job = &self.jobs[&id];
        match &job.task {
            Task::Token(task) => task.lane,
            Task::Listing(_) | Task::Facts(_) => self.repositories[&job.repository].key.endpoint,
        }
    }

    /// The account there whose limits hold for it.
    pub(super) fn account_id(&self, id: JobId) -> AccountId {
        let job = &self.jobs[&id];
        match &job.task {
            Task::Token(task) => task.account,
            Task::Listing(_) | Task::Facts(_) => self.repositories[&job.repository].account,
        }
    }
}
