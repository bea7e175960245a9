//! Metrics as plain numbers, counted from events where they happen (`registry.md` 11, `ops.md` 16).
//!
//! Invariants: everything is counted before a full queue may drop an event, so that the numbers are right
//! although nobody reads events; there are no series of what is not there any more (A11, S18); every set of
//! label values is bounded (A10); nothing decides by these numbers.

mod application;
pub mod exposition;
pub mod family;
mod histogram;
mod registry;
pub mod sample;
mod snapshot;
mod token;

pub use family::{FAMILIES, Family, FamilyId, FamilyType};
pub use histogram::Histogram;
pub use sample::{LabelValue, Sample, Value};
pub use snapshot::Snapshot;
pub use token::TokenFailure;

use core::time::Duration;

use crate::event::{Event, RunEnd};
use crate::id::AppKey;
use crate::registry::{Observation, RegistryOutcome, RequestKind};
use crate::schedule::ScheduleEvent;
use crate::time::{Now, Time, UnixTime};
use crate::update::Counters;
use application::Applications;
use registry::Registries;

/// What is counted, and how finely.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MetricsSettings {
    /// Tells token series apart by `scope`, one set per repository, as dashboards of the reference expect.
    /// Otherwise they are summed up over it (`registry.md` D-47).
    pub has_scope: bool,
}

/// All numbers that are kept.
#[derive(Debug)]
pub struct Metrics {
    settings: MetricsSettings,
    is_dry_run: bool,
    applications: Applications,
    registries: Registries,
    pass_duration: Histogram,
    pass_end: Option<UnixTime>,
    k8s_requests: u64,
    k8s_errors: u64,
}

impl Metrics {
    pub(crate) fn new(settings: MetricsSettings, is_dry_run: bool) -> Self {
        Self {
            settings,
            is_dry_run,
            applications: Applications::default(),
            registries: Registries::default(),
            pass_duration: Histogram::default(),
            pass_end: None,
            k8s_requests: 0,
            k8s_errors: 0,
        }
    }

    /// Counts what an event tells.
    pub(crate) fn on_event(&mut self, now: Now, event: &Event) {
        match event {
            Event::ApplicationConsidered { key, .. } => self.applications.on_considered(key),
            Event::ApplicationIgnored { key, .. } | Event::ApplicationDeleted { key } => {
                self.applications.on_gone(key);
            }
            Event::CheckStarted { key, is_warmup } => {
                // The warm-up is no attempt (`ops.md` 6).
                if !is_warmup && let Some(series) = self.applications.find_mut(key) {
                    series.last_attempt = Some(now.wall);
                }
            }
            Event::CheckFinished {
                key,
                is_warmup,
                end,
                counters,
                duration,
            } => self.on_checked(now, key, *is_warmup, *end, counters, *duration),
            Event::Redecided { key, end, counters } => {
                let is_written = !self.is_dry_run;
                if let Some(series) = self.applications.find_mut(key) {
                    series.on_decided(*end, counters, is_written);
                }
            }
            Event::Schedule(ScheduleEvent::PassEnded { duration, .. }) => {
                let bounds = FamilyId::CycleDuration.bounds();
                self.pass_duration.observe(bounds, *duration);
                self.pass_end = Some(now.wall);
            }
            Event::Registry(outcome) => self.on_registry(now, outcome),
            Event::ApplicationMalformed { .. }
            | Event::ApplicationRefused { .. }
            | Event::Synced { .. }
            | Event::ImageDecided { .. }
            | Event::WriteRefused { .. }
            | Event::DryRun { .. }
            | Event::Written { .. }
            | Event::Published { .. }
            | Event::AlreadyPublished { .. }
            | Event::Batch(_)
            | Event::MessageNotRendered { .. }
            | Event::WriteFailed { .. }
            | Event::OperationStalled { .. }
            | Event::Schedule(ScheduleEvent::PassStarted { .. })
            | Event::RegistriesReloaded { .. }
            | Event::RegistriesRefused { .. }
            | Event::ShutdownBegun { .. }
            | Event::Stopped { .. } => {}
        }
    }

    /// In continuous mode the scheduler looked at all that was due: that is the end of a pass too, so that
    /// an alert on standstill works in both modes (`ops.md` 5.3).
    pub(crate) const fn on_pass_looked(&mut self, wall: UnixTime) {
        self.pass_end = Some(wall);
    }

    /// A call of the Kubernetes API was answered.
    pub(crate) fn on_k8s_call(&mut self, is_error: bool) {
        self.k8s_requests += 1;
        self.k8s_errors += u64::from(is_error);
    }

    /// Bytes of all series, about.
    pub(crate) fn footprint(&self) -> usize {
        self.applications.footprint()
            + self.registries.footprint()
            + self.pass_duration.heap_bytes()
    }

    fn on_checked(
        &mut self,
        now: Now,
        key: &AppKey,
        is_warmup: bool,
        end: RunEnd,
        counters: &Counters,
        duration: Duration,
    ) {
        let is_written = !is_warmup && !self.is_dry_run;
        let Some(series) = self.applications.find_mut(key) else {
            return;
        };
        series.on_decided(end, counters, is_written);
        if end != RunEnd::Abandoned {
            series.on_checked(duration);
        }
        if end == RunEnd::Success && !is_warmup {
            series.last_success = Some(now.wall);
        }
    }

    fn on_registry(&mut self, now: Now, outcome: &RegistryOutcome) {
        match outcome {
            RegistryOutcome::RequestSent { endpoint, kind } => match kind {
                // Token servers have series of their own (`registry.md` 5.5).
                RequestKind::Auth(_) => {}
                RequestKind::Tags | RequestKind::Manifest | RequestKind::Blob => {
                    self.registries.of(endpoint).on_sent();
                }
            },
            RegistryOutcome::RequestFinished {
                endpoint,
                kind,
                end,
                duration,
            } => {
                let has_scope = self.settings.has_scope;
                let series = self.registries.of(endpoint);
                series.on_end(*end);
                match kind {
                    RequestKind::Auth(subject) => {
                        let token = series.tokens.of(subject, has_scope);
                        token.on_answer(*end, *duration);
                    }
                    RequestKind::Tags | RequestKind::Manifest | RequestKind::Blob => {
                        series.on_finished(*end, *duration);
                    }
                }
            }
            RegistryOutcome::Retried { endpoint, op, .. } => {
                self.registries.of(endpoint).on_retried(op);
            }
            RegistryOutcome::Throttled {
                endpoint, until, ..
            } => {
                // Of several accounts that wait the last counts.
                let series = self.registries.of(endpoint);
                series.throttled_until = series.throttled_until.max(Some(wall_of(now, *until)));
            }
            RegistryOutcome::QuotaCounted {
                endpoint,
                source,
                quota,
            } => {
                let series = self.registries.of(endpoint);
                series.on_quota(source.as_ref(), quota.remaining);
            }
            RegistryOutcome::Observed(observation) => self.on_observed(observation),
            RegistryOutcome::ListingFinished { .. }
            | RegistryOutcome::FactsFinished { .. }
            | RegistryOutcome::CredentialFailed { .. }
            | RegistryOutcome::RetryRefused { .. }
            | RegistryOutcome::PaceChanged { .. }
            | RegistryOutcome::SlotsChanged { .. }
            | RegistryOutcome::QuotaLow { .. }
            | RegistryOutcome::PortsExhausted { .. }
            | RegistryOutcome::PortsRecovered
            | RegistryOutcome::Stalled { .. }
            | RegistryOutcome::Reopened { .. }
            | RegistryOutcome::CircuitChanged { .. } => {}
        }
    }

    fn on_observed(&mut self, observation: &Observation) {
        let has_scope = self.settings.has_scope;
        match observation {
            Observation::Overdue { endpoint, was_sent } => {
                self.registries.of(endpoint).on_overdue(*was_sent);
            }
            Observation::Denied { endpoint } => self.registries.of(endpoint).on_denied(),
            Observation::TagUnusable { endpoint } => {
                self.registries.of(endpoint).unusable_tags += 1;
            }
            Observation::TokenIssued {
                endpoint,
                subject,
                lifetime,
            } => {
                let tokens = &mut self.registries.of(endpoint).tokens;
                tokens.of(subject, has_scope).on_issued(*lifetime);
            }
            Observation::TokenUnreadable { endpoint, subject } => {
                let tokens = &mut self.registries.of(endpoint).tokens;
                tokens
                    .of(subject, has_scope)
                    .on_failure(TokenFailure::ParseJson);
            }
            Observation::SecretRead { is_error } => self.on_k8s_call(*is_error),
            Observation::EndpointForgotten { endpoint } => self.registries.on_gone(endpoint),
            Observation::RepositoryForgotten { endpoint, name } => {
                if has_scope && let Some(series) = self.registries.find_mut(endpoint) {
                    series.tokens.on_repository_gone(name);
                }
            }
        }
    }
}

/// The wall-clock time at which the monotonic clock will show `at`.
fn wall_of(now: Now, at: Time) -> UnixTime {
    let ahead = i64::try_from(at.since(now.mono).as_nanos()).unwrap_or(i64::MAX);
    UnixTime::from_nanos(now.wall.as_nanos().saturating_add(ahead))
}
