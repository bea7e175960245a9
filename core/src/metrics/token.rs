//! The series of token servers, by service and scope (`registry.md` 5.7.3, D-47). Bounded: what comes from
//! servers is bounded before it becomes a label.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::family::FamilyId;
use super::histogram::Histogram;
use super::sample::OTHER;
use crate::http::TransportKind;
use crate::registry::{RequestEnd, TokenSubject};

/// Services of one registry, without scopes. Further ones are counted as `other`.
const SERVICES_MAX: usize = 32;
/// Pairs of service and scope of one registry, where scopes are told.
const SCOPES_MAX: usize = 10_000;
/// Bytes of a service or scope; longer ones are counted as `other`.
const LABEL_BYTES_MAX: usize = 512;
/// Reasons of one series. Further ones are counted as `other`.
const REASONS_MAX: usize = 32;

/// Why an attempt to get a token failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TokenFailure {
    /// No whole response came.
    Roundtrip,
    /// The body of the answer was too long to be read.
    ReadBody,
    /// A successful answer held no token.
    ParseJson,
    /// A status that is no success.
    Http(u16),
    /// There were too many other reasons.
    Other,
}

/// The series of the token servers of one registry.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Sorted by service and scope.
    series: Vec<TokenSeries>,
}

/// One series set.
#[derive(Debug)]
pub(super) struct TokenSeries {
    pub(super) service: Box<str>,
    /// Empty where scopes are not told apart.
    pub(super) scope: Box<str>,
    pub(super) requests: u64,
    /// Sorted by reason.
    pub(super) failures: Vec<(TokenFailure, u64)>,
    pub(super) duration: Histogram,
    pub(super) lifetime: Histogram,
}

impl Tokens {
    pub(super) fn iter(&self) -> impl Iterator<Item = &TokenSeries> {
        self.series.iter()
    }

    /// The series of a subject, made when there is none; `other` when there are too many.
    pub(super) fn of(&mut self, subject: &TokenSubject, has_scope: bool) -> &mut TokenSeries {
        let service = bounded(&subject.service);
        let (scope, series_max) = if has_scope {
            (bounded(&subject.scope), SCOPES_MAX)
        } else {
            ("", SERVICES_MAX)
        };
        let at = match self.place(service, scope) {
            Ok(at) => at,
            Err(at) if self.series.len() < series_max => {
                self.series.insert(at, TokenSeries::new(service, scope));
                at
            }
            Err(_) => {
                let scope = if has_scope { OTHER } else { "" };
                self.place(OTHER, scope).unwrap_or_else(|at| {
                    self.series.insert(at, TokenSeries::new(OTHER, scope));
                    at
                })
            }
        };
        &mut self.series[at]
    }

    /// Drops the series whose scope is this repository, whatever the actions.
    pub(super) fn on_repository_gone(&mut self, name: &str) {
        let is_of = |scope: &str| {
            let rest = scope.strip_prefix("repository:");
            let rest = rest.and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with(':'))
        };
        self.series.retain(|series| !is_of(&series.scope));
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let owned = self.series.iter().map(|series| {
            series.service.len()
                + series.scope.len()
                + series.failures.capacity() * size_of::<(TokenFailure, u64)>()
                + series.duration.heap_bytes()
                + series.lifetime.heap_bytes()
        });
        owned.sum::<usize>() + self.series.capacity() * size_of::<TokenSeries>()
    }

    fn place(&self, service: &str, scope: &str) -> Result<usize, usize> {
        self.series
            .binary_search_by(|one| (&*one.service, &*one.scope).cmp(&(service, scope)))
    }
}

impl TokenSeries {
    fn new(service: &str, scope: &str) -> Self {
        Self {
            service: service.into(),
            scope: scope.into(),
            requests: 0,
            failures: Vec::new(),
            duration: Histogram::default(),
            lifetime: Histogram::default(),
        }
    }

    /// An attempt ended.
    pub(super) fn on_answer(&mut self, end: RequestEnd, duration: Duration) {
        self.requests += 1;
        self.duration
            .observe(FamilyId::RegistryTokenDuration.bounds(), duration);
        match end {
            // A redirect is followed; its answer counts.
            RequestEnd::Status(200..=399) => {}
            RequestEnd::Status(status) => self.on_failure(TokenFailure::Http(status)),
            RequestEnd::Transport(TransportKind::TooLarge) => {
                self.on_failure(TokenFailure::ReadBody);
            }
            RequestEnd::Transport(_) => self.on_failure(TokenFailure::Roundtrip),
        }
    }

    pub(super) fn on_issued(&mut self, lifetime: Option<Duration>) {
        if let Some(lifetime) = lifetime {
            self.lifetime
                .observe(FamilyId::RegistryTokenLifetime.bounds(), lifetime);
        }
    }

    pub(super) fn on_failure(&mut self, failure: TokenFailure) {
        let place = |failures: &[(TokenFailure, u64)], wanted| {
            failures.binary_search_by_key(&wanted, |(failure, _)| *failure)
        };
        let known = place(&self.failures, failure);
        let is_full = self.failures.len() >= REASONS_MAX;
        let failure = if known.is_err() && is_full {
            TokenFailure::Other
        } else {
            failure
        };
        match place(&self.failures, failure) {
            Ok(at) => self.failures[at].1 += 1,
            Err(at) => self.failures.insert(at, (failure, 1)),
        }
    }
}

fn bounded(label: &str) -> &str {
    if label.len() > LABEL_BYTES_MAX {
        OTHER
    } else {
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn subject(service: &str, scope: &str) -> TokenSubject {
        TokenSubject {
            service: service.into(),
            scope: scope.into(),
        }
    }

    #[test]
    fn no_server_can_make_series_without_bound() {
        let mut tokens = Tokens::default();
        for n in 0..1_000 {
            tokens.of(&subject(&format!("s{n}"), "x"), false).requests += 1;
        }
        tokens
            .of(&subject(&"long".repeat(500), "x"), false)
            .requests += 1;
        assert_eq!(tokens.series.len(), SERVICES_MAX + 1);
        let other = tokens.of(&subject(OTHER, "x"), false);
        assert_eq!(other.requests, 1_001 - SERVICES_MAX as u64);
        for status in 0..1_000 {
            other.on_failure(TokenFailure::Http(status));
        }
        assert_eq!(other.failures.len(), REASONS_MAX + 1);
        let n: u64 = other.failures.iter().map(|(_, n)| n).sum();
        assert_eq!(n, 1_000);
    }

    #[test]
    fn scopes_are_one_unless_they_are_wanted() {
        for (has_scope, n_series) in [(false, 1), (true, 2)] {
            let mut tokens = Tokens::default();
            for scope in [
                "repository:a:pull",
                "repository:ab:pull",
                "repository:a:pull",
            ] {
                tokens.of(&subject("s", scope), has_scope).requests += 1;
            }
            assert_eq!(tokens.series.len(), n_series);
            assert_eq!(tokens.series.iter().map(|one| one.requests).sum::<u64>(), 3);
            tokens.on_repository_gone("a");
            assert_eq!(tokens.series.len(), 1);
        }
    }
}
