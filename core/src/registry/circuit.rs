//! One circuit: how a login stands with one registry or token server, and who waits for it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::job::JobId;
use crate::credential::CredentialSource;
use crate::time::Time;

/// Failed logins in a row that open a circuit.
pub(super) const FAILED_MAX: u32 = 2;
/// Repositories refused in a row, with nothing accepted in between, that open the circuit of their login.
pub(super) const REFUSED_MAX: u32 = 10;
/// When an open circuit lets one request through; doubles with each in vain.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_AFTER_MAX: Duration = Duration::from_mins(10);

/// How a login stands with a registry or token server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CircuitState {
    /// Requests are sent.
    Closed,
    /// One request at a time is sent, to see whether it is accepted again.
    HalfOpen,
    /// None is sent before that time.
    Open {
        /// When one is tried again.
        until: Time,
    },
}

impl CircuitState {
    /// The state as a word in logs, explanations and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open { .. } => "open",
        }
    }
}

/// What follows from a settled attempt.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The state, when it changed.
    pub(super) changed: Option<CircuitState>,
    /// Lookups that waited and may try.
    pub(super) woken: Vec<JobId>,
    /// Lookups that waited in vain.
    pub(super) shut: Vec<JobId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Never accepted.
    Unknown,
    /// Took the place of one that was in use: the password was changed.
    Successor,
    /// Accepted, and not found wanting since.
    Proven,
}

#[derive(Debug)]
pub(super) struct Circuit {
    pub(super) n_users: u32,
    pub(super) source: Option<CredentialSource>,
    pub(super) standing: Standing,
    pub(super) state: CircuitState,
    pub(super) n_opened: u32,
    pub(super) n_failed: u32,
    pub(super) n_refused: u32,
    pub(super) n_under_way: u32,
    pub(super) parked: BTreeSet<JobId>,
}

impl Circuit {
    /// The circuit of a login that is not in use yet.
    pub(super) fn new(source: Option<CredentialSource>, standing: Standing) -> Self {
        Self {
            n_users: 0,
            source,
            standing,
            state: CircuitState::Closed,
            n_opened: 0,
            n_failed: 0,
            n_refused: 0,
            n_under_way: 0,
            parked: BTreeSet::new(),
        }
    }

    pub(super) fn accept(&mut self) -> Option<CircuitState> {
        self.standing = Standing::Proven;
        (self.n_failed, self.n_refused, self.n_opened) = (0, 0, 0);
        let before = core::mem::replace(&mut self.state, CircuitState::Closed);
        (before != CircuitState::Closed).then_some(CircuitState::Closed)
    }

    /// Opens; what was under way before it opened does not open it further.
    pub(super) fn open(&mut self, now: Time) -> Option<CircuitState> {
        if matches!(self.state, CircuitState::Open { .. }) {
            return None;
        }
        let doubled = PROBE_AFTER * (1 << self.n_opened.min(4));
        self.n_opened += 1;
        self.n_refused = 0;
        let until = now.after(doubled.min(PROBE_AFTER_MAX));
        self.state = CircuitState::Open { until };
        Some(self.state)
    }

    /// Those who waited go when the login is good, fail when the circuit is open; else one may try.
    pub(super) fn empty_waiting_room(&mut self, settled: &mut Settled) {
        let waiting = match self.state {
            CircuitState::Open { .. } => &mut settled.shut,
            CircuitState::Closed | CircuitState::HalfOpen => &mut settled.woken,
        };
        let is_free = self.standing == Standing::Proven && self.state == CircuitState::Closed;
        if is_free || matches!(self.state, CircuitState::Open { .. }) {
            waiting.extend(core::mem::take(&mut self.parked));
        } else {
            waiting.extend(self.parked.pop_first());
        }
    }
}
