//! All families of series: names, types, labels and buckets are what users' dashboards are built on
//! (`registry.md` 11.2, `ops.md` 16.1).

use core::time::Duration;

/// How the values of a family behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FamilyType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, counted by these upper bounds, ascending and without the infinite one.
    Histogram(&'static [Duration]),
}

impl FamilyType {
    /// The word of the text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// A family of series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Family {
    /// Which one.
    pub id: FamilyId,
    /// The whole name.
    pub name: &'static str,
    /// One sentence for people.
    pub help: &'static str,
    /// How its values behave.
    pub kind: FamilyType,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// Most labels that a family has.
pub const LABELS_MAX: usize = 4;

/// The bounds that the reference uses for everything.
const SHORT: [Duration; 11] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// The same, and longer ones: cycles and applications take minutes (`ops.md` 16.1).
const LONG: [Duration; 17] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(10),
    Duration::from_mins(30),
];

/// Lives of tokens (`registry.md` D-47).
const LIFETIMES: [Duration; 10] = [
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(10),
    Duration::from_mins(15),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(4),
    Duration::from_hours(12),
    Duration::from_hours(24),
];

const NONE: &[&str] = &[];
const APPLICATION: &[&str] = &["application"];
const REGISTRY: &[&str] = &["registry"];
const TOKEN: &[&str] = &["registry", "service", "scope"];
const ARGOCD: &[&str] = &["argocd_server"];

macro_rules! families {
    ($($id:ident, $name:literal, $kind:expr, $labels:expr, $help:literal;)*) => {
        /// Names a family within the program.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum FamilyId {
            $(#[doc = $help] $id,)*
        }

        /// All families, in the order of their names.
        pub const FAMILIES: &[Family] = &[$(Family {
            id: FamilyId::$id,
            name: concat!("argocd_image_updater_", $name),
            help: $help,
            kind: $kind,
            labels: $labels,
        },)*];
    };
}

use FamilyType::{Counter, Gauge, Histogram};

families! {
    ApplicationLastAttempt, "application_last_attempt_timestamp", Gauge, APPLICATION,
        "Unix time at which the application's last check began.";
    ApplicationLastSuccess, "application_last_success_timestamp", Gauge, APPLICATION,
        "Unix time at which the application's last check without errors ended.";
    ApplicationUpdateDuration, "application_update_duration_seconds", Histogram(&LONG), APPLICATION,
        "Time that a check of the application took.";
    ApplicationsWatched, "applications_watched_total", Gauge, NONE,
        "Applications that take part at present.";
    ArgocdApiErrors, "argocd_api_errors_total", Counter, ARGOCD,
        "Calls of the Argo CD API that failed.";
    ArgocdApiRequests, "argocd_api_requests_total", Counter, ARGOCD,
        "Calls of the Argo CD API.";
    ImagesConsidered, "images_considered_total", Counter, APPLICATION,
        "Images of the application that were considered for an update.";
    ImagesErrors, "images_errors_total", Counter, APPLICATION,
        "Errors while images of the application were processed.";
    ImagesSkipped, "images_skipped_total", Counter, APPLICATION,
        "Images of the application that were passed over.";
    ImagesUpdated, "images_updated_total", Counter, APPLICATION,
        "Images of the application that were updated.";
    ImagesWatched, "images_watched_total", Gauge, APPLICATION,
        "Images of the application that its last run considered.";
    K8sApiErrors, "k8s_api_errors_total", Counter, NONE,
        "Calls of the Kubernetes API that failed.";
    K8sApiRequests, "k8s_api_requests_total", Counter, NONE,
        "Calls of the Kubernetes API.";
    RegistryErrors, "registry_errors_total", Counter, &["kind", "registry"],
        "Failed attempts to talk to the registry or its token server, by category.";
    RegistryHttpStatus, "registry_http_status_total", Counter, &["code", "registry"],
        "Responses of the registry by HTTP status.";
    RegistryInFlight, "registry_in_flight_requests", Gauge, REGISTRY,
        "Requests to the registry that are running, from sending to the end of the body.";
    RegistryTokenDuration, "registry_jwt_auth_duration_seconds", Histogram(&SHORT), TOKEN,
        "Time that an attempt to get a token took.";
    RegistryTokenErrors, "registry_jwt_auth_errors_total", Counter,
        &["reason", "registry", "service", "scope"],
        "Failed attempts to get a token, by reason.";
    RegistryTokenRequests, "registry_jwt_auth_requests_total", Counter, TOKEN,
        "Attempts to get a token.";
    RegistryTokenLifetime, "registry_jwt_token_ttl_seconds", Histogram(&LIFETIMES), TOKEN,
        "Lives of tokens as their servers announced them.";
    RegistryQuotaRemaining, "registry_quota_remaining", Gauge, REGISTRY,
        "Pulls that the registry last said are left; of several accounts the one with the fewest.";
    RegistryDuration, "registry_request_duration_seconds", Histogram(&SHORT), REGISTRY,
        "Time that a request to the registry took, the body included.";
    RegistryRetries, "registry_request_retries_total", Counter, &["op", "registry"],
        "Attempts that were repeated, by operation.";
    RegistryRequestsFailed, "registry_requests_failed_total", Counter, REGISTRY,
        "Requests to the registry that failed: no response, a status of 400 or more, or a login that was refused.";
    RegistryRequests, "registry_requests_total", Counter, REGISTRY,
        "Requests that were sent to the registry.";
    RegistryTagsUnusable, "registry_tags_unusable_total", Counter, REGISTRY,
        "Tags that were read and take no part in the choice: missing, or broken for good.";
    RegistryThrottledUntil, "registry_throttled_until_timestamp", Gauge, REGISTRY,
        "Unix time until which the registry last asked to be left alone.";
    SchedulerSkipped, "scheduler_skipped_total", Counter, &["reason"],
        "Times that an application was put off, by reason.";
    SingleflightFollowers, "singleflight_followers_total", Counter, &["kind"],
        "Lookups that were served by one that was under way already.";
    SingleflightLeaders, "singleflight_leaders_total", Counter, &["kind"],
        "Lookups that did the work themselves.";
    CycleDuration, "update_cycle_duration_seconds", Histogram(&LONG), NONE,
        "Time that a whole pass over all applications took.";
    CycleLastEnd, "update_cycle_last_end_timestamp", Gauge, NONE,
        "Unix time at which the scheduler last ended a pass.";
}

impl FamilyId {
    /// The family of this name.
    pub fn family(self) -> &'static Family {
        &FAMILIES[self as usize]
    }

    /// The bounds of a histogram; none for other types.
    pub(super) fn bounds(self) -> &'static [Duration] {
        match self.family().kind {
            Histogram(bounds) => bounds,
            Counter | Gauge => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_in_order_under_their_ids() {
        assert!(FAMILIES.is_sorted_by(|one, next| one.name < next.name));
        for family in FAMILIES {
            assert_eq!(family.id.family(), family);
            assert!(family.labels.len() <= LABELS_MAX, "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
        }
    }

    #[test]
    fn bounds_ascend() {
        for family in FAMILIES {
            let bounds = family.id.bounds();
            assert!(bounds.is_sorted_by(|one, next| one < next));
        }
        assert_eq!(LONG[..SHORT.len()], SHORT);
    }
}
