//! Settings of the registry room, as plain numbers; whoever reads flags and files validates them.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::backoff::Backoff;
use super::conf_problem::{EndpointNames, check_endpoints};
use super::link::ForeignLinks;
use crate::credential::CredentialSource;
use crate::http::{PoolKey, TrustAnchors};
use crate::image::TagListSort;

/// All settings. [`RegistrySettings::default`] holds the documented defaults (`registry.md` 13.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrySettings {
    /// Configured endpoints. An entry with prefix `docker.io` replaces the built-in one.
    pub endpoints: Vec<EndpointSettings>,
    /// Requests per second of every registry in place of its own; 0 is unlimited.
    pub rate_of_all: Option<u32>,
    /// How long a listing is fresh.
    pub interval: Duration,
    /// A listing made in this process is never repeated.
    pub once: bool,
    /// `REGISTRY_TAG_ATTEMPTS`: attempts of a listing, all pages together.
    pub tag_attempts: u32,
    /// `REGISTRY_TAG_TIMEOUT`: deadline of one attempt of a listing.
    pub tag_timeout: Duration,
    /// `REGISTRY_MANIFEST_ATTEMPTS`: attempts per manifest or config blob.
    pub manifest_attempts: u32,
    /// `REGISTRY_MANIFEST_TIMEOUT`: deadline of one attempt.
    pub manifest_timeout: Duration,
    /// `REGISTRY_JWT_ATTEMPTS`: attempts of a token fetch.
    pub token_attempts: u32,
    /// Deadline of one attempt of a token fetch.
    pub token_timeout: Duration,
    /// `REGISTRY_JWT_RETRY_BASE` and `REGISTRY_JWT_RETRY_MAX`.
    pub token_backoff: Backoff,
    /// Deadline of the reading of a credential.
    pub credential_timeout: Duration,
    /// Requests in flight per endpoint, from hand-out to the end of the body; token requests included.
    pub in_flight_max: u32,
    /// Lookups that may wait per endpoint; one more fails with `overflow`.
    pub queue_max: usize,
    /// Memory for kept listings; the least recently used goes first.
    pub listing_bytes_max: usize,
    /// Tags of one listing.
    pub tags_max: u32,
    /// Pages of one listing.
    pub pages_max: u32,
    /// Memory for facts of tags. A fact takes about 100 bytes with its tag, so that the default has room
    /// for more than a million; what does not fit is read again at each check.
    pub facts_bytes_max: usize,
    /// Endpoints inferred from images.
    pub inferred_max: usize,
    /// A throttle window longer than this is answered to waiters instead of waited for.
    pub throttle_wait_max: Duration,
    /// `PORT_EXHAUSTION_WINDOW`: how long a failure for want of a local port counts.
    pub port_exhaustion_window: Duration,
    /// `PORT_EXHAUSTION_THRESHOLD`: how many of them are too many.
    pub port_exhaustion_threshold: u32,
    /// How old facts of kind `Created` may be before the tag's digest is asked for again: at first, and
    /// after the tag moved.
    pub created_age_min: Duration,
    /// How old they may be at most: the time doubles whenever the digest is found to be the same.
    pub created_age_max: Duration,
    /// How many tags of one repository are asked for again per interval once facts of kind `Created`
    /// are too old; the others are answered as they are known, the oldest come first. It keeps the check
    /// of a very large repository shorter than a run may take.
    pub revalidations_max: u32,
    /// Longest page of tags.
    pub page_bytes_max: usize,
    /// Longest manifest (D-22).
    pub manifest_bytes_max: usize,
    /// Longest config blob (D-22).
    pub config_bytes_max: usize,
    /// Longest answer of a token server.
    pub token_bytes_max: usize,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            rate_of_all: None,
            interval: Duration::from_mins(2),
            once: false,
            tag_attempts: 3,
            tag_timeout: Duration::from_mins(1),
            manifest_attempts: 3,
            manifest_timeout: Duration::from_mins(1),
            token_attempts: 7,
            token_timeout: Duration::from_secs(15),
            token_backoff: Backoff::REGISTRY,
            credential_timeout: Duration::from_secs(30),
            in_flight_max: 15,
            queue_max: 100_000,
            listing_bytes_max: 64 << 20,
            tags_max: 100_000,
            pages_max: 10_000,
            facts_bytes_max: 128 << 20,
            inferred_max: 1_000,
            throttle_wait_max: Duration::from_mins(1),
            port_exhaustion_window: Duration::from_mins(1),
            port_exhaustion_threshold: 8,
            created_age_min: Duration::from_hours(1),
            created_age_max: Duration::from_hours(24),
            revalidations_max: 200,
            page_bytes_max: 16 << 20,
            manifest_bytes_max: 4 << 20,
            config_bytes_max: 8 << 20,
            token_bytes_max: 64 << 10,
        }
    }
}

impl RegistrySettings {
    /// The settings, if they can be worked with.
    ///
    /// # Errors
    /// Every problem, one sentence each (`registry.md` 2.5, D-38).
    pub fn validated(self) -> Result<Self, Vec<String>> {
        let endpoints = self.endpoints.iter().map(EndpointSettings::to_names);
        let mut problems: Vec<String> = check_endpoints(endpoints)
            .into_iter()
            .map(|problem| problem.detail.into())
            .collect();
        for (name, value) in [
            ("tag attempts", self.tag_attempts),
            ("manifest attempts", self.manifest_attempts),
            ("token attempts", self.token_attempts),
            ("requests in flight", self.in_flight_max),
            ("tags", self.tags_max),
            ("pages", self.pages_max),
            ("revalidations", self.revalidations_max),
        ] {
            if value == 0 {
                problems.push(format!("registries: {name} must be at least 1"));
            }
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }
}

/// One configured endpoint (`registry.md` 2.2, 3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointSettings {
    /// Name for people.
    pub name: Box<str>,
    /// Host, host:port or host/path; empty matches everything.
    pub prefix: Box<str>,
    /// Base URL; one trailing slash is removed.
    pub api_url: String,
    /// Where its credentials come from.
    pub credentials: Option<CredentialSource>,
    /// How old its credentials may get; `None` is for ever.
    pub credentials_age_max: Option<Duration>,
    /// Certificates are not checked.
    pub is_insecure: bool,
    /// Whether pages of tag lists may lie on another server.
    pub foreign_links: ForeignLinks,
    /// Whose certificates are trusted, beside the system's.
    pub trust: TrustAnchors,
    /// Namespace in front of repository names of one segment.
    pub default_namespace: Option<Box<str>>,
    /// What the order of its tag lists says.
    pub tag_sort_mode: TagListSort,
    /// Requests per second; `None` is unlimited.
    pub rate_max: Option<u32>,
    /// It serves images without a registry host.
    pub is_default: bool,
}

impl EndpointSettings {
    /// The rate of configured and inferred endpoints that do not say otherwise (D-36).
    pub const RATE_DEFAULT: u32 = 20;

    /// The rate that a configured `limit` asks for: absent is the default, 0 is unlimited.
    pub fn rate_of(limit: Option<u32>) -> Option<u32> {
        Some(limit.unwrap_or(Self::RATE_DEFAULT)).filter(|rate| *rate > 0)
    }

    /// The same without what makes no difference: one trailing slash of the API URL, and that of the prefix.
    pub(super) fn into_plain(mut self) -> Self {
        if self.api_url.ends_with('/') {
            self.api_url.pop();
        }
        if self.prefix.ends_with('/') {
            self.prefix = self.prefix.trim_end_matches('/').into();
        }
        self
    }

    /// Which connections carry its requests.
    pub(super) fn to_pool_key(&self) -> PoolKey {
        PoolKey {
            registry: self.api_url.clone(),
            insecure: self.is_insecure,
            trust: self.trust.clone(),
        }
    }

    pub(super) fn to_names(&self) -> EndpointNames<'_> {
        EndpointNames {
            name: &self.name,
            api_url: &self.api_url,
            prefix: &self.prefix,
            is_default: self.is_default,
        }
    }

    /// The built-in Docker Hub (`registry.md` 3.2).
    pub fn docker_hub() -> Self {
        Self {
            name: "Docker Hub".into(),
            prefix: "docker.io".into(),
            api_url: "https://registry-1.docker.io".into(),
            default_namespace: Some("library".into()),
            rate_max: Some(10),
            is_default: true,
            ..Self::inferred("docker.io")
        }
    }

    /// What is assumed of a host that is not configured (`registry.md` 3.4).
    pub fn inferred(host: &str) -> Self {
        Self {
            name: host.into(),
            prefix: host.into(),
            ..Self::of_url(alloc::format!("https://{host}"))
        }
    }

    /// A server that no image names.
    pub(super) fn of_url(api_url: String) -> Self {
        Self {
            name: api_url.as_str().into(),
            prefix: "".into(),
            api_url,
            credentials: None,
            credentials_age_max: None,
            is_insecure: false,
            foreign_links: ForeignLinks::Refused,
            trust: TrustAnchors::System,
            default_namespace: None,
            tag_sort_mode: TagListSort::Unsorted,
            rate_max: Some(Self::RATE_DEFAULT),
            is_default: false,
        }
    }
}
