//! What lookups end with, and what is told to observers.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::budget::Quota;
use super::circuit::CircuitState;
use super::inspection::{FactsKind, TagFacts};
use super::observation::{Observation, RequestKind};
use super::repository::RepositoryId;
use crate::credential::CredentialSource;
use crate::http::TransportKind;
use crate::time::Time;

/// Names whoever waits for a lookup; chosen by the owner of the waiters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaiterId(pub u64);

/// Why a lookup failed: a class that decides and a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookupFailure {
    /// The class.
    pub kind: LookupFailureKind,
    /// Names registry and repository, what happened and what to do. Holds no secret.
    pub detail: Box<str>,
}

impl fmt::Display for LookupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl core::error::Error for LookupFailure {}

/// Classes of failed lookups.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LookupFailureKind {
    /// The registry asks to be left alone (429, 503 with `Retry-After`).
    Throttled,
    /// A failure that may pass (5xx, time-outs, broken connections), in every attempt.
    Transient,
    /// Nobody answers there: name, port or TLS.
    Unreachable,
    /// We may not read it (401, 403).
    Denied,
    /// It is not there (404); for facts of a tag this concerns the tag only.
    Missing,
    /// Of a tag it is said that its whole repository is not there (`NAME_UNKNOWN`).
    RepositoryMissing,
    /// The answer cannot be used; another attempt would bring the same.
    Malformed,
    /// The credential could not be read or used.
    Credential,
    /// A bound of ours was reached: pages, tags, queue.
    Overflow,
    /// The registry is closed: an earlier request never ended, not even when cancelled (A9).
    Stalled,
    /// Nothing was sent: the registry refused this login or repository lately, and is not asked again
    /// before the time in the text.
    CircuitOpen,
}

impl LookupFailureKind {
    /// The class as a word in reasons, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::RepositoryMissing => "repository_missing",
            Self::Malformed => "malformed",
            Self::Credential => "credential",
            Self::Overflow => "overflow",
            Self::Stalled => "stalled",
            Self::CircuitOpen => "circuit_open",
        }
    }

    /// What a reader of the failure may do about it.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Throttled => {
                "it is left alone until it answers again; log in, or raise the interval"
            }
            Self::Transient => "it is tried again at the next check",
            Self::Unreachable => "check the registry's address, port and certificate",
            Self::Denied => {
                "check the credentials for this registry and their rights on the repository"
            }
            Self::Missing | Self::RepositoryMissing => "check the name of the image",
            Self::Malformed => "check that api_url leads to a registry of API version 2",
            Self::Credential => "check where the credential comes from",
            Self::Overflow => {
                "more is not read, whatever the settings (docs/registries.md names the bounds): delete what nobody needs"
            }
            Self::Stalled => "it is asked again once the hanging request has ended",
            Self::CircuitOpen => {
                "check the credentials for this registry and their rights; it is asked again by itself"
            }
        }
    }
}

/// What happened inside the registry room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryOutcome {
    /// A shared listing ended.
    ListingFinished {
        /// Of which repository.
        repository: RepositoryId,
        /// The list differs from the one kept before, or is the first.
        changed: bool,
        /// With success the listing is kept and can be read.
        result: Result<(), LookupFailure>,
        /// Who waited, in order.
        waiters: Vec<WaiterId>,
    },
    /// A shared lookup of a tag ended.
    FactsFinished {
        /// In which repository.
        repository: RepositoryId,
        /// Which tag.
        tag: Box<str>,
        /// What it was for.
        kind: FactsKind,
        /// The facts. A failure of kind `Missing` or `Malformed` concerns this tag only.
        result: Result<TagFacts, LookupFailure>,
        /// Who waited, in order.
        waiters: Vec<WaiterId>,
    },
    /// A credential could not be read or used; lookups that need it fail with the same reason.
    CredentialFailed {
        /// Name of the endpoint it is for.
        endpoint: Arc<str>,
        /// Where it comes from.
        source: CredentialSource,
        /// Why; holds no secret.
        reason: Box<str>,
    },
    /// Observation: a request was handed out.
    RequestSent {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// What for.
        kind: RequestKind,
    },
    /// Observation: a request ended.
    RequestFinished {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// What it was for.
        kind: RequestKind,
        /// How.
        end: RequestEnd,
        /// From hand-out to completion.
        duration: Duration,
    },
    /// Observation: a failed attempt will be followed by another.
    Retried {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// What the attempt was for.
        op: RequestKind,
        /// Why the attempt failed.
        kind: LookupFailureKind,
    },
    /// Observation: something that is counted and not acted upon.
    Observed(Observation),
    /// Observation: a failed attempt would have been followed by another, but too many were already.
    RetryRefused {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// Why the attempt failed.
        kind: LookupFailureKind,
    },
    /// Observation: an endpoint's rate was lowered, or is the full one again.
    PaceChanged {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// For whom.
        held: Held,
        /// Requests per 1000 s; `None` is the full rate.
        rate: Option<u64>,
    },
    /// Observation: an endpoint may have this many requests in flight from now on.
    SlotsChanged {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// How many.
        cap: u32,
    },
    /// Observation: the registry counts the pulls of an account, and said how many are left.
    QuotaCounted {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// Where the account's credential comes from; `None` is nobody.
        source: Option<CredentialSource>,
        /// What is left.
        quota: Quota,
    },
    /// At most a tenth of an account's pulls are left.
    QuotaLow {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// Where the account's credential comes from; `None` is nobody.
        source: Option<CredentialSource>,
        /// What is left.
        quota: Quota,
    },
    /// Connections failed for want of a local port, as often as the threshold says (`registry.md` 10).
    PortsExhausted {
        /// How often within the window.
        failures: usize,
    },
    /// They have aged out.
    PortsRecovered,
    /// Somebody is left alone until then.
    Throttled {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// Whose lookups wait.
        held: Held,
        /// The end of the window.
        until: Time,
    },
    /// A request of the endpoint never ended: the endpoint is closed (A9).
    Stalled {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
    },
    /// The hanging request has ended: the endpoint is open again.
    Reopened {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
    },
    /// Requests with a login are stopped, tried, or sent again.
    CircuitChanged {
        /// Scheme, host and port of the registry or token server.
        endpoint: Arc<str>,
        /// Where the login comes from; `None` when nobody logs in.
        source: Option<CredentialSource>,
        /// The state from now on.
        state: CircuitState,
    },
}

/// Whom a limit of a registry concerns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    /// All requests to it: it said so to one that showed nothing, and counts by address.
    Everybody,
    /// Those with the credential from this source, or with an anonymous token.
    Account(Option<CredentialSource>),
}

/// How a request ended, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestEnd {
    /// With a response of this status.
    Status(u16),
    /// Without a whole response.
    Transport(TransportKind),
}
