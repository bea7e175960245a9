//! The endpoint table: which registry serves an image, and what is shared by all of its requests.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::budget::RateBudget;
use super::challenge::Challenge;
use super::job::JobId;
use super::settings::{EndpointSettings, RegistrySettings};
use super::url;
use crate::http::PoolKey;
use crate::image::TagListSort;
use crate::time::Time;

/// Names an endpoint within one core; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EndpointId(u32);

/// Where an endpoint comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndpointOrigin {
    /// Docker Hub as it is known without configuration.
    BuiltIn,
    /// An entry of the configuration.
    Configured,
    /// Inferred from the host of an image; lives while a repository of it does.
    Inferred,
}

/// One registry.
#[derive(Debug)]
pub struct Endpoint {
    settings: EndpointSettings,
    origin: EndpointOrigin,
    /// The API URL, shared with observations and pool keys.
    pub(super) api_url: Arc<str>,
    pub(super) pool: Arc<PoolKey>,
    /// Bearer or Basic, as the last 401 said.
    pub(super) challenge: Option<Arc<Challenge>>,
    pub(super) budget: RateBudget,
    pub(super) throttled_until: Option<Time>,
    /// Requests handed out and not completed.
    pub(super) n_in_flight: u32,
    /// Of these, how many never ended although cancelled.
    pub(super) n_stalled: u32,
    pub(super) n_repositories: u32,
    /// Lookups that have begun go first: their attempt's clock runs.
    pub(super) begun: VecDeque<JobId>,
    pub(super) fresh: VecDeque<JobId>,
}

impl Endpoint {
    fn new(mut settings: EndpointSettings, origin: EndpointOrigin) -> Self {
        if settings.api_url.ends_with('/') {
            settings.api_url.pop();
        }
        let pool = PoolKey {
            registry: settings.api_url.clone(),
            insecure: settings.is_insecure,
            trust: settings.trust.clone(),
        };
        Self {
            api_url: settings.api_url.as_str().into(),
            pool: Arc::new(pool),
            challenge: None,
            budget: RateBudget::new(settings.rate_max),
            throttled_until: None,
            n_in_flight: 0,
            n_stalled: 0,
            n_repositories: 0,
            begun: VecDeque::new(),
            fresh: VecDeque::new(),
            settings,
            origin,
        }
    }

    /// Its settings, the API URL without trailing slash.
    pub fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    /// Where it comes from.
    pub fn origin(&self) -> EndpointOrigin {
        self.origin
    }

    /// What the order of its tag lists says.
    pub fn tag_sort_mode(&self) -> TagListSort {
        self.settings.tag_sort_mode
    }

    /// The repository's name on the wire: with the default namespace, and of the right grammar
    /// (`registry.md` 3.5).
    ///
    /// # Errors
    /// [`EndpointError::InvalidRepository`].
    pub fn repository_name(&self, image_name: &str) -> Result<Box<str>, EndpointError> {
        let name: Box<str> = match &self.settings.default_namespace {
            Some(namespace) if !namespace.is_empty() && !image_name.contains('/') => {
                format!("{namespace}/{image_name}").into()
            }
            _ => image_name.into(),
        };
        if is_repository(&name) {
            Ok(name)
        } else {
            Err(EndpointError::InvalidRepository(name))
        }
    }

    /// True when nothing may be sent before some request has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.n_stalled > 0
    }

    /// The end of the throttle window, if `now` lies in one.
    pub(super) fn throttle_end(&self, now: Time) -> Option<Time> {
        self.throttled_until.filter(|until| *until > now)
    }

    pub(super) fn n_queued(&self) -> usize {
        self.begun.len() + self.fresh.len()
    }
}

/// Why no repository can be had for an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndpointError {
    /// The image names no registry and there is no default.
    NoDefault,
    /// The host cannot be part of a URL.
    InvalidHost(Box<str>),
    /// The repository's name breaks the grammar.
    InvalidRepository(Box<str>),
    /// More hosts are named by images than may be inferred.
    TooManyHosts(usize),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefault => f.write_str("no default endpoint configured"),
            Self::InvalidHost(host) => write!(f, "'{host}' is no registry host"),
            Self::InvalidRepository(name) => {
                write!(
                    f,
                    "invalid reference format: '{name}' is no repository name"
                )
            }
            Self::TooManyHosts(max) => write!(
                f,
                "images name more than {max} registries that are not configured"
            ),
        }
    }
}

impl core::error::Error for EndpointError {}

/// All endpoints.
#[derive(Debug)]
pub struct EndpointTable {
    endpoints: BTreeMap<EndpointId, Endpoint>,
    by_prefix: BTreeMap<Box<str>, EndpointId>,
    default: Option<EndpointId>,
    n_inferred: usize,
    inferred_max: usize,
    /// The rate of every endpoint in place of its own; 0 is unlimited.
    rate_of_all: Option<u32>,
    next: u32,
    /// API URLs of endpoints that are gone, to be told.
    forgotten: Vec<Arc<str>>,
}

impl EndpointTable {
    /// The built-in entry and the configured ones; of two with one prefix the later holds.
    pub fn new(settings: &RegistrySettings) -> Self {
        let mut table = Self {
            endpoints: BTreeMap::new(),
            by_prefix: BTreeMap::new(),
            default: None,
            n_inferred: 0,
            inferred_max: settings.inferred_max,
            rate_of_all: settings.rate_of_all,
            next: 0,
            forgotten: Vec::new(),
        };
        let hub = table.insert(EndpointSettings::docker_hub(), EndpointOrigin::BuiltIn);
        table.default = Some(hub);
        for endpoint in &settings.endpoints {
            let id = table.insert(endpoint.clone(), EndpointOrigin::Configured);
            // An entry for Docker Hub takes over plain names, whether it says so or not (D-08).
            let replaces_default = table
                .default
                .is_some_and(|default| !table.endpoints.contains_key(&default));
            if endpoint.is_default || replaces_default {
                table.default = Some(id);
            }
        }
        table
    }

    /// The endpoint for an image: the longest prefix that matches at its end or at a `/`; without a
    /// host, under the default's prefix; else one is inferred (`registry.md` 3.4, D-09).
    ///
    /// # Errors
    /// [`EndpointError`] when there is no default, or the host cannot be inferred.
    pub fn select(&mut self, host: &str, image_name: &str) -> Result<EndpointId, EndpointError> {
        let host = if host == "index.docker.io" {
            "docker.io"
        } else {
            host
        };
        let default = if host.is_empty() {
            Some(self.default.ok_or(EndpointError::NoDefault)?)
        } else {
            None
        };
        let prefix = default.map_or(host, |id| &self[id].settings.prefix);
        let path = if prefix.is_empty() {
            String::from(image_name)
        } else {
            format!("{prefix}/{image_name}")
        };
        if let Some(id) = self.longest_prefix(&path).filter(|id| {
            // A catch-all does not take images without a host from the default.
            default.is_none() || !self[*id].settings.prefix.is_empty()
        }) {
            return Ok(id);
        }
        if let Some(id) = default {
            return Ok(id);
        }
        self.infer(host)
    }

    /// Endpoints in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (EndpointId, &Endpoint)> {
        self.endpoints.iter().map(|(id, endpoint)| (*id, endpoint))
    }

    pub(super) fn find(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(&id)
    }

    pub(super) fn find_mut(&mut self, id: EndpointId) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(&id)
    }

    /// Forgets an inferred endpoint that nothing refers to any more (A11).
    pub(super) fn drop_unused(&mut self, id: EndpointId) {
        let is_unused = self.endpoints.get(&id).is_some_and(|endpoint| {
            endpoint.origin == EndpointOrigin::Inferred
                && endpoint.n_repositories == 0
                && endpoint.n_in_flight == 0
                && endpoint.throttled_until.is_none()
        });
        if is_unused && let Some(endpoint) = self.endpoints.remove(&id) {
            self.by_prefix.remove(&endpoint.settings.prefix);
            self.n_inferred -= 1;
            self.forgotten.push(endpoint.api_url);
        }
    }

    /// The API URL of an endpoint that is gone, each once.
    pub(super) fn take_forgotten(&mut self) -> Option<Arc<str>> {
        self.forgotten.pop()
    }

    fn longest_prefix(&self, path: &str) -> Option<EndpointId> {
        let mut prefix = path;
        loop {
            if let Some(id) = self.by_prefix.get(prefix) {
                return Some(*id);
            }
            if prefix.is_empty() {
                return None;
            }
            prefix = prefix.rfind('/').map_or("", |at| &prefix[..at]);
        }
    }

    fn infer(&mut self, host: &str) -> Result<EndpointId, EndpointError> {
        let settings = EndpointSettings::inferred(host);
        let is_host = url::split(&settings.api_url).is_some_and(|parts| parts.authority == host);
        if !is_host {
            return Err(EndpointError::InvalidHost(host.into()));
        }
        if self.n_inferred >= self.inferred_max {
            return Err(EndpointError::TooManyHosts(self.inferred_max));
        }
        self.n_inferred += 1;
        Ok(self.insert(settings, EndpointOrigin::Inferred))
    }

    fn insert(&mut self, mut settings: EndpointSettings, origin: EndpointOrigin) -> EndpointId {
        if let Some(rate) = self.rate_of_all {
            settings.rate_max = EndpointSettings::rate_of(Some(rate));
        }
        let id = EndpointId(self.next);
        self.next += 1;
        if let Some(replaced) = self.by_prefix.insert(settings.prefix.clone(), id) {
            self.endpoints.remove(&replaced);
        }
        self.endpoints.insert(id, Endpoint::new(settings, origin));
        id
    }
}

impl core::ops::Index<EndpointId> for EndpointTable {
    type Output = Endpoint;

    fn index(&self, id: EndpointId) -> &Endpoint {
        self.endpoints
            .get(&id)
            .expect("an endpoint lives as long as what refers to it")
    }
}

impl core::ops::IndexMut<EndpointId> for EndpointTable {
    fn index_mut(&mut self, id: EndpointId) -> &mut Endpoint {
        self.endpoints
            .get_mut(&id)
            .expect("an endpoint lives as long as what refers to it")
    }
}

/// True for a repository name: lower-case components of letters and digits, joined by one `.`, one or
/// two `_`, or dashes; at most 255 characters.
pub(crate) fn is_repository(name: &str) -> bool {
    name.len() <= 255 && !name.is_empty() && name.split('/').all(is_component)
}

fn is_component(component: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let run = bytes[at..].iter().take_while(|next| **next == byte).count();
        let is_inside = at > 0 && at + run < bytes.len();
        let is_fine = match byte {
            _ if is_plain(byte) => true,
            b'.' => is_inside && run == 1,
            b'_' => is_inside && run <= 2,
            b'-' => is_inside,
            _ => false,
        };
        // Two different joints may not meet.
        let is_followed = is_plain(byte) || bytes.get(at + run).is_some_and(|next| is_plain(*next));
        if !is_fine || !is_followed {
            return false;
        }
        at += run;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, bool)]) -> EndpointTable {
        let endpoints = entries
            .iter()
            .map(|(prefix, is_default)| EndpointSettings {
                is_default: *is_default,
                ..EndpointSettings::inferred(prefix)
            })
            .collect::<Vec<_>>();
        EndpointTable::new(&RegistrySettings {
            endpoints,
            ..RegistrySettings::default()
        })
    }

    #[track_caller]
    fn check(table: &mut EndpointTable, host: &str, name: &str, expected: &str) {
        let id = table.select(host, name).expect("an endpoint");
        assert_eq!(&*table[id].settings().prefix, expected, "{host}/{name}");
    }

    #[test]
    fn the_longest_prefix_wins_whatever_was_asked_before() {
        let mut table = table(&[("reg.io", false), ("reg.io/team", false), ("reg", false)]);
        check(&mut table, "reg.io", "other/app", "reg.io");
        check(&mut table, "reg.io", "team/app", "reg.io/team");
        check(&mut table, "reg.io", "teams/app", "reg.io");
        check(&mut table, "reg.io:5000", "team/app", "reg.io:5000");
        check(&mut table, "reg.io.evil", "app", "reg.io.evil");
        check(&mut table, "", "nginx", "docker.io");
        check(&mut table, "index.docker.io", "nginx", "docker.io");
    }

    #[test]
    fn an_entry_for_docker_hub_takes_plain_names() {
        let mut one = table(&[("docker.io", false), ("docker.io/team", false)]);
        check(&mut one, "", "team/app", "docker.io/team");
        let id = one.select("", "nginx").expect("an endpoint");
        assert_eq!(one[id].origin(), EndpointOrigin::Configured);
        let mut other = table(&[("quay.io", true)]);
        check(&mut other, "", "nginx", "quay.io");
        let mut all = table(&[("", false)]);
        check(&mut all, "", "nginx", "docker.io");
        check(&mut all, "any.io", "x", "");
    }

    #[test]
    fn repository_names_have_a_grammar() {
        for good in ["a", "library/nginx", "a.b/c_d/e__f/g--h", "0/1"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in [
            "", "A", "a/", "/a", "a//b", "a..b", "a___b", "a.-b", "-a", "a-", "a b", "a%2e",
        ] {
            assert!(!is_repository(bad), "{bad}");
        }
        assert!(!is_repository(&"a".repeat(256)));
    }

    #[test]
    fn hosts_that_are_none_are_not_inferred() {
        let mut table = table(&[]);
        for bad in ["a b", "u@h", "h/p", "h?x", "\u{e9}.io"] {
            assert!(table.select(bad, "x").is_err(), "{bad}");
        }
    }
}
