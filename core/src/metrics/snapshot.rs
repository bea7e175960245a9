//! All series at one moment, read where they are kept: nothing is copied.

use alloc::boxed::Box;

use super::Metrics;
use super::application::{ApplicationSeries, ImageTotals};
use super::family::{FAMILIES, FamilyId};
use super::histogram::Histogram;
use super::registry::{ErrorKind, RegistrySeries, RetryOp};
use super::sample::{LabelValue, OTHER, Sample, Value};
use super::token::TokenSeries;
use crate::registry::{SharedKind, SharedLookups};
use crate::schedule;
use crate::time::UnixTime;

/// All series at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    metrics: &'a Metrics,
    schedule: schedule::Stats,
    shared: &'a SharedLookups,
}

type Samples<'a> = Box<dyn Iterator<Item = Sample<'a>> + 'a>;

impl<'a> Snapshot<'a> {
    pub(crate) const fn new(
        metrics: &'a Metrics,
        schedule: schedule::Stats,
        shared: &'a SharedLookups,
    ) -> Self {
        Self {
            metrics,
            schedule,
            shared,
        }
    }

    /// All series, family by family in the order of their names. A family with labels has none before
    /// something moves it; one without is there from the start (`registry.md` 11.1).
    pub fn samples(&self) -> impl Iterator<Item = Sample<'a>> + use<'a> {
        let snapshot = *self;
        FAMILIES
            .iter()
            .flat_map(move |family| snapshot.samples_of(family.id))
    }

    /// The series of one family.
    pub fn samples_of(&self, id: FamilyId) -> Samples<'a> {
        let metrics = self.metrics;
        match id {
            FamilyId::ApplicationLastAttempt => {
                self.of_applications(id, |one| one.last_attempt.map(unix))
            }
            FamilyId::ApplicationLastSuccess => {
                self.of_applications(id, |one| one.last_success.map(unix))
            }
            FamilyId::ApplicationUpdateDuration => {
                self.of_applications(id, |one| histogram(&one.duration))
            }
            FamilyId::ImagesConsidered => self.of_images(id, |images| images.considered),
            FamilyId::ImagesErrors => self.of_images(id, |images| images.errors),
            FamilyId::ImagesSkipped => self.of_images(id, |images| images.skipped),
            FamilyId::ImagesUpdated => self.of_images(id, |images| images.updated),
            FamilyId::ImagesWatched => self.of_images(id, |images| images.watched),
            FamilyId::ApplicationsWatched => single(id, as_u64(metrics.applications.len())),
            FamilyId::K8sApiErrors => single(id, metrics.k8s_errors),
            FamilyId::K8sApiRequests => single(id, metrics.k8s_requests),
            FamilyId::CycleLastEnd => single(id, metrics.pass_end.map_or(0, unix_secs)),
            FamilyId::CycleDuration => {
                let value = Value::Histogram(&metrics.pass_duration);
                Box::new(core::iter::once(Sample::new(id, [], value)))
            }
            // They are moved by the client of that API.
            FamilyId::ArgocdApiErrors | FamilyId::ArgocdApiRequests => {
                Box::new(core::iter::empty())
            }
            FamilyId::SchedulerSkipped => labelled(
                id,
                [
                    ("cooldown", self.schedule.coolings),
                    ("per-repo-cap", self.schedule.deferrals),
                ],
            ),
            FamilyId::SingleflightFollowers => {
                let shared = self.shared;
                labelled(
                    id,
                    SharedKind::ALL.map(|kind| (kind.as_str(), shared.followers(kind))),
                )
            }
            FamilyId::SingleflightLeaders => {
                let shared = self.shared;
                labelled(
                    id,
                    SharedKind::ALL.map(|kind| (kind.as_str(), shared.leaders(kind))),
                )
            }
            FamilyId::RegistryInFlight => self.of_registries(id, |one| {
                (one.requests > 0).then_some(Value::Integer(one.in_flight))
            }),
            FamilyId::RegistryDuration => self.of_registries(id, |one| histogram(&one.duration)),
            FamilyId::RegistryRequests => self.of_registries(id, |one| positive(one.requests)),
            FamilyId::RegistryRequestsFailed => self.of_registries(id, |one| positive(one.failed)),
            FamilyId::RegistryTagsUnusable => {
                self.of_registries(id, |one| positive(one.unusable_tags))
            }
            FamilyId::RegistryThrottledUntil => {
                self.of_registries(id, |one| one.throttled_until.map(unix))
            }
            FamilyId::RegistryQuotaRemaining => {
                self.of_registries(id, |one| one.quota_remaining().map(Value::Integer))
            }
            FamilyId::RegistryErrors => self.of_registries_by(id, |one| {
                let kinds = ErrorKind::ALL.iter().zip(one.errors);
                Box::new(kinds.map(|(kind, n)| (LabelValue::Text(kind.as_str()), n)))
            }),
            FamilyId::RegistryRetries => self.of_registries_by(id, |one| {
                let ops = RetryOp::ALL.iter().zip(one.retries);
                Box::new(ops.map(|(op, n)| (LabelValue::Text(op.as_str()), n)))
            }),
            FamilyId::RegistryHttpStatus => self.of_registries_by(id, |one| {
                let known = one.statuses.iter();
                let known = known.map(|(status, n)| (LabelValue::Status(*status), *n));
                let other = (LabelValue::Text(OTHER), one.statuses_other);
                Box::new(known.chain(core::iter::once(other)))
            }),
            FamilyId::RegistryTokenDuration => self.of_tokens(id, |one| histogram(&one.duration)),
            FamilyId::RegistryTokenLifetime => self.of_tokens(id, |one| histogram(&one.lifetime)),
            FamilyId::RegistryTokenRequests => self.of_tokens(id, |one| positive(one.requests)),
            FamilyId::RegistryTokenErrors => Box::new(self.tokens().flat_map(move |(url, one)| {
                one.failures.iter().map(move |(failure, n)| {
                    let reason = LabelValue::TokenFailure(*failure);
                    let [registry, service, scope] = token_labels(url, one);
                    let labels = [reason, registry, service, scope];
                    Sample::new(id, labels, Value::Integer(*n))
                })
            })),
        }
    }

    fn of_applications(
        &self,
        id: FamilyId,
        value: impl Fn(&'a ApplicationSeries) -> Option<Value<'a>> + 'a,
    ) -> Samples<'a> {
        Box::new(
            self.metrics
                .applications
                .iter()
                .filter_map(move |(key, one)| {
                    let label = LabelValue::Application(key);
                    value(one).map(|value| Sample::new(id, [label], value))
                }),
        )
    }

    fn of_images(&self, id: FamilyId, value: impl Fn(ImageTotals) -> u64 + 'a) -> Samples<'a> {
        self.of_applications(id, move |one| {
            one.images.map(|images| Value::Integer(value(images)))
        })
    }

    fn of_registries(
        &self,
        id: FamilyId,
        value: impl Fn(&'a RegistrySeries) -> Option<Value<'a>> + 'a,
    ) -> Samples<'a> {
        Box::new(
            self.metrics
                .registries
                .iter()
                .filter_map(move |(url, one)| {
                    value(one).map(|value| Sample::new(id, [LabelValue::Text(url)], value))
                }),
        )
    }

    /// The same for families with one label before that of the registry.
    fn of_registries_by(
        &self,
        id: FamilyId,
        counts: impl Fn(&'a RegistrySeries) -> Counts<'a> + 'a,
    ) -> Samples<'a> {
        Box::new(self.metrics.registries.iter().flat_map(move |(url, one)| {
            moved(counts(one)).map(move |(label, n)| {
                Sample::new(id, [label, LabelValue::Text(url)], Value::Integer(n))
            })
        }))
    }

    fn of_tokens(
        &self,
        id: FamilyId,
        value: impl Fn(&'a TokenSeries) -> Option<Value<'a>> + 'a,
    ) -> Samples<'a> {
        Box::new(self.tokens().filter_map(move |(url, one)| {
            value(one).map(|value| Sample::new(id, token_labels(url, one), value))
        }))
    }

    fn tokens(&self) -> impl Iterator<Item = (&'a str, &'a TokenSeries)> + use<'a> {
        let all = self.metrics.registries.iter();
        all.flat_map(|(url, one)| one.tokens.iter().map(move |token| (url, token)))
    }
}

type Counts<'a> = Box<dyn Iterator<Item = (LabelValue<'a>, u64)> + 'a>;

fn token_labels<'a>(url: &'a str, one: &'a TokenSeries) -> [LabelValue<'a>; 3] {
    [url, &one.service, &one.scope].map(LabelValue::Text)
}

fn labelled<'a, const N: usize>(id: FamilyId, counts: [(&'static str, u64); N]) -> Samples<'a> {
    let counts = moved(counts.into_iter());
    Box::new(
        counts.map(move |(word, n)| Sample::new(id, [LabelValue::Text(word)], Value::Integer(n))),
    )
}

fn single<'a>(id: FamilyId, value: u64) -> Samples<'a> {
    Box::new(core::iter::once(Sample::new(id, [], Value::Integer(value))))
}

/// What is not zero: a labelled counter appears when it first moves.
fn moved<L>(counts: impl Iterator<Item = (L, u64)>) -> impl Iterator<Item = (L, u64)> {
    counts.filter(|(_, n)| *n > 0)
}

fn histogram(histogram: &Histogram) -> Option<Value<'_>> {
    (!histogram.is_empty()).then_some(Value::Histogram(histogram))
}

/// A count once it has moved.
fn positive<'a>(n: u64) -> Option<Value<'a>> {
    (n > 0).then_some(Value::Integer(n))
}

fn unix<'a>(at: UnixTime) -> Value<'a> {
    Value::Integer(unix_secs(at))
}

/// Whole seconds; what lies before 1970 is shown as zero.
fn unix_secs(at: UnixTime) -> u64 {
    u64::try_from(at.as_secs()).unwrap_or(0)
}

fn as_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
