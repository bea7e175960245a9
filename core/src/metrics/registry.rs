//! The series of registries, by API URL. Invariant: there are series of no registry that has no endpoint;
//! the labels are the endpoint's own text, shared (`registry.md` 11.2, D-44, D-45, D-47, D-50).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::family::FamilyId;
use super::histogram::Histogram;
use super::token::Tokens;
use crate::bytes;
use crate::credential::CredentialSource;
use crate::http::TransportKind;
use crate::registry::{RequestEnd, RequestKind};
use crate::time::UnixTime;

/// Statuses told apart for one registry. Further ones are counted as `other`.
const STATUSES_MAX: usize = 64;

/// Accounts of one registry whose quotas are kept. Further ones are not.
const QUOTAS_MAX: usize = 32;

/// Categories of errors, in the order of their words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum ErrorKind {
    Throttled,
    Server,
    Auth,
    CtxDeadline,
    Dial,
    Other,
    Timeout,
}

impl ErrorKind {
    pub(super) const ALL: [Self; 7] = [
        Self::Throttled,
        Self::Server,
        Self::Auth,
        Self::CtxDeadline,
        Self::Dial,
        Self::Other,
        Self::Timeout,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "429",
            Self::Server => "5xx",
            Self::Auth => "auth_error",
            Self::CtxDeadline => "ctx_deadline",
            Self::Dial => "dial_error",
            Self::Other => "other",
            Self::Timeout => "timeout",
        }
    }

    /// The category of an end; `None` when it is no error, or is told by another fact: refused logins and
    /// what was given up.
    const fn of(end: RequestEnd) -> Option<Self> {
        match end {
            RequestEnd::Status(429) => Some(Self::Throttled),
            RequestEnd::Status(500..=599) => Some(Self::Server),
            RequestEnd::Status(_) | RequestEnd::Transport(TransportKind::Cancelled) => None,
            RequestEnd::Transport(kind) => Some(match kind {
                TransportKind::TimedOut => Self::Timeout,
                TransportKind::Dns
                | TransportKind::Refused
                | TransportKind::NoLocalPort
                | TransportKind::Tls => Self::Dial,
                TransportKind::Closed
                | TransportKind::Malformed
                | TransportKind::TooLarge
                | TransportKind::Cancelled
                | TransportKind::Crashed => Self::Other,
            }),
        }
    }
}

/// What is repeated, in the order of its words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum RetryOp {
    Auth,
    Manifest,
    Tags,
}

impl RetryOp {
    pub(super) const ALL: [Self; 3] = [Self::Auth, Self::Manifest, Self::Tags];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Manifest => "manifest",
            Self::Tags => "tags",
        }
    }

    /// A config blob is read as part of its manifest.
    const fn of(kind: &RequestKind) -> Self {
        match kind {
            RequestKind::Auth(_) => Self::Auth,
            RequestKind::Manifest | RequestKind::Blob => Self::Manifest,
            RequestKind::Tags => Self::Tags,
        }
    }
}

/// The series of all registries.
#[derive(Debug, Default)]
pub(super) struct Registries {
    series: BTreeMap<Arc<str>, Box<RegistrySeries>>,
}

/// The series of one registry. Requests to token servers count among the tokens alone (`registry.md` 5.5).
#[derive(Debug, Default)]
pub(super) struct RegistrySeries {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) in_flight: u64,
    pub(super) duration: Histogram,
    /// Sorted by status.
    pub(super) statuses: Vec<(u16, u64)>,
    pub(super) statuses_other: u64,
    pub(super) errors: [u64; ErrorKind::ALL.len()],
    pub(super) retries: [u64; RetryOp::ALL.len()],
    pub(super) throttled_until: Option<UnixTime>,
    pub(super) unusable_tags: u64,
    /// What accounts have left, by where their credentials come from; `None` is nobody.
    quotas: Vec<(Option<CredentialSource>, u64)>,
    pub(super) tokens: Tokens,
}

impl Registries {
    /// The series of a registry, made when there are none. There are as many as endpoints (A10).
    pub(super) fn of(&mut self, api_url: &Arc<str>) -> &mut RegistrySeries {
        self.series.entry(Arc::clone(api_url)).or_default()
    }

    pub(super) fn find_mut(&mut self, api_url: &str) -> Option<&mut RegistrySeries> {
        self.series.get_mut(api_url).map(|series| &mut **series)
    }

    /// No endpoint has this API URL any more.
    pub(super) fn on_gone(&mut self, api_url: &str) {
        self.series.remove(api_url);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &RegistrySeries)> {
        self.series.iter().map(|(url, series)| (&**url, &**series))
    }

    /// Bytes, about; the API URLs are the endpoints'.
    pub(super) fn footprint(&self) -> usize {
        let owned: usize = self
            .series
            .values()
            .map(|series| {
                size_of::<RegistrySeries>()
                    + series.duration.heap_bytes()
                    + series.statuses.capacity() * size_of::<(u16, u64)>()
                    + series.quotas.capacity() * size_of::<(Option<CredentialSource>, u64)>()
                    + series.tokens.heap_bytes()
            })
            .sum();
        bytes::tree::<Arc<str>, Box<RegistrySeries>>(self.series.len()) + owned
    }
}

impl RegistrySeries {
    pub(super) const fn on_sent(&mut self) {
        self.requests += 1;
        self.in_flight += 1;
    }

    /// A request that [`Self::on_sent`] counted has ended. A 401 asks who we are and is no failure yet;
    /// what was cancelled was counted when it was given up, or nobody wanted it.
    pub(super) fn on_finished(&mut self, end: RequestEnd, duration: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.duration
            .observe(FamilyId::RegistryDuration.bounds(), duration);
        match end {
            RequestEnd::Status(status) => {
                self.on_status(status);
                // A 403 is told as a refused login.
                if status >= 400 && status != 401 && status != 403 {
                    self.failed += 1;
                }
            }
            RequestEnd::Transport(TransportKind::Cancelled) => {}
            RequestEnd::Transport(_) => self.failed += 1,
        }
    }

    /// A request of any kind has ended.
    pub(super) const fn on_end(&mut self, end: RequestEnd) {
        if let Some(kind) = ErrorKind::of(end) {
            self.errors[kind as usize] += 1;
        }
    }

    pub(super) const fn on_overdue(&mut self, was_sent: bool) {
        self.errors[ErrorKind::CtxDeadline as usize] += 1;
        if was_sent {
            self.failed += 1;
        }
    }

    pub(super) const fn on_denied(&mut self) {
        self.errors[ErrorKind::Auth as usize] += 1;
        self.failed += 1;
    }

    pub(super) const fn on_retried(&mut self, kind: &RequestKind) {
        self.retries[RetryOp::of(kind) as usize] += 1;
    }

    /// An account was told what it has left.
    pub(super) fn on_quota(&mut self, source: Option<&CredentialSource>, remaining: u64) {
        let known = self
            .quotas
            .iter()
            .position(|(one, _)| one.as_ref() == source);
        match known {
            Some(at) => self.quotas[at].1 = remaining,
            None if self.quotas.len() < QUOTAS_MAX => {
                self.quotas.push((source.cloned(), remaining));
            }
            None => {}
        }
    }

    /// What the account has left that has the least; `None` where nothing is counted.
    pub(super) fn quota_remaining(&self) -> Option<u64> {
        self.quotas.iter().map(|(_, left)| *left).min()
    }

    fn on_status(&mut self, status: u16) {
        match self
            .statuses
            .binary_search_by_key(&status, |(code, _)| *code)
        {
            Ok(at) => self.statuses[at].1 += 1,
            Err(at) if self.statuses.len() < STATUSES_MAX => {
                self.statuses.insert(at, (status, 1));
            }
            Err(_) => self.statuses_other += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_registry_can_make_series_without_bound() {
        let mut series = RegistrySeries::default();
        for status in 0..1_000 {
            series.on_sent();
            series.on_finished(RequestEnd::Status(status), Duration::ZERO);
        }
        assert_eq!(series.statuses.len(), STATUSES_MAX);
        assert_eq!(series.statuses_other, 1_000 - STATUSES_MAX as u64);
        assert_eq!((series.requests, series.in_flight), (1_000, 0));
    }

    #[test]
    fn of_several_quotas_the_smallest_is_told() {
        let mut series = RegistrySeries::default();
        assert_eq!(series.quota_remaining(), None);
        let env = |name: &str| CredentialSource::Env(name.into());
        series.on_quota(None, 7);
        series.on_quota(Some(&env("HUB")), 200);
        assert_eq!(series.quota_remaining(), Some(7));
        series.on_quota(None, 300);
        assert_eq!(series.quota_remaining(), Some(200));
        for account in 0..1_000_u32 {
            series.on_quota(Some(&env(&alloc::format!("HUB_{account}"))), 500);
        }
        assert_eq!(series.quotas.len(), QUOTAS_MAX);
    }

    #[test]
    fn the_in_flight_gauge_brackets_the_request() {
        let mut series = RegistrySeries::default();
        series.on_sent();
        series.on_sent();
        assert_eq!(series.in_flight, 2);
        series.on_finished(RequestEnd::Status(200), Duration::ZERO);
        assert_eq!(series.in_flight, 1);
    }

    #[test]
    fn words_stand_in_order_under_their_numbers() {
        assert!(ErrorKind::ALL.is_sorted_by_key(|kind| kind.as_str()));
        assert!(RetryOp::ALL.is_sorted_by_key(|op| op.as_str()));
        for (at, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, at);
        }
        for (at, op) in RetryOp::ALL.iter().enumerate() {
            assert_eq!(*op as usize, at);
        }
    }
}
