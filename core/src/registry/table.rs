//! The endpoint table: which registry serves an image, and what becomes of it when the configuration
//! is reloaded (`registry.md` 3, D-08, D-09, D-54).
//!
//! A prefix names at most one endpoint; configured ones are found before inferred ones of a longer
//! reach; an endpoint that a reload took from the table lives on until nothing refers to it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::endpoint::{Endpoint, EndpointError, EndpointId, EndpointOrigin};
use super::settings::{EndpointSettings, RegistrySettings};
use super::url;
use crate::http::PoolKey;
use crate::time::Time;

/// What became of the configured endpoints at a reload, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReloadCounts {
    /// How many entries there are now.
    pub registries: usize,
    /// Entries that are new.
    pub added: usize,
    /// Entries by which images are served otherwise than before.
    pub changed: usize,
    /// Entries with other settings, by which images are served as before.
    pub adapted: usize,
    /// Entries that are gone.
    pub removed: usize,
}

/// What a replacement of the entries means for what is known and under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Replacement {
    pub(super) counts: ReloadCounts,
    /// Some image may have another repository now.
    pub(super) is_served_otherwise: bool,
    /// Endpoints that serve nobody any more.
    pub(super) retired: Vec<EndpointId>,
    /// Endpoints with other settings than before.
    pub(super) adapted: Vec<EndpointId>,
    /// Endpoints the order of whose tag lists says something else than before.
    pub(super) resorted: Vec<EndpointId>,
}

/// All endpoints.
#[derive(Debug)]
pub struct EndpointTable {
    endpoints: BTreeMap<EndpointId, Endpoint>,
    by_prefix: BTreeMap<Box<str>, EndpointId>,
    token_hosts: BTreeMap<Arc<PoolKey>, EndpointId>,
    default: Option<EndpointId>,
    n_inferred: usize,
    inferred_max: usize,
    in_flight_max: u32,
    /// The rate of every endpoint in place of its own; 0 is unlimited.
    rate_of_all: Option<u32>,
    next: u32,
    /// API URLs that no endpoint has any more, to be told.
    forgotten: Vec<Arc<str>>,
}

impl EndpointTable {
    /// The built-in entry and the configured ones; of two with one prefix the later holds.
    pub fn new(settings: &RegistrySettings) -> Self {
        let mut table = Self {
            endpoints: BTreeMap::new(),
            by_prefix: BTreeMap::new(),
            token_hosts: BTreeMap::new(),
            default: None,
            n_inferred: 0,
            inferred_max: settings.inferred_max,
            in_flight_max: settings.in_flight_max,
            rate_of_all: settings.rate_of_all,
            next: 0,
            forgotten: Vec::new(),
        };
        table.replace(&settings.endpoints);
        table
    }

    /// Replaces the configured entries by others, all at once (D-38, D-59). An endpoint that keeps its
    /// prefix and API URL is adapted and keeps its id; another one is new, and the old one is retired.
    /// Inferred endpoints stay as long as no entry serves their host.
    pub(super) fn replace(&mut self, endpoints: &[EndpointSettings]) -> Replacement {
        let mut wanted: BTreeMap<Box<str>, usize> = BTreeMap::new();
        let mut list = alloc::vec![(EndpointSettings::docker_hub(), EndpointOrigin::BuiltIn)];
        let configured = endpoints.iter().cloned().map(EndpointSettings::into_plain);
        list.extend(configured.map(|settings| (settings, EndpointOrigin::Configured)));
        // An entry for Docker Hub takes over plain names, whether it says so or not (D-08).
        let mut default = list[0].0.prefix.clone();
        for (at, (settings, _)) in list.iter().enumerate() {
            wanted.insert(settings.prefix.clone(), at);
            if settings.is_default {
                default.clone_from(&settings.prefix);
            }
        }
        let mut replacement = Replacement::default();
        self.retire_unwanted(&wanted, &mut replacement);
        for (at, (settings, origin)) in list.into_iter().enumerate() {
            if wanted[&settings.prefix] == at {
                self.place(self.rated(settings), origin, &mut replacement);
            }
        }
        let default = self.by_prefix.get(&default).copied();
        if self.default != default {
            self.default = default;
            replacement.is_served_otherwise = true;
        }
        replacement.counts.registries = endpoints.len();
        replacement
    }

    fn retire_unwanted(
        &mut self,
        wanted: &BTreeMap<Box<str>, usize>,
        replacement: &mut Replacement,
    ) {
        let has_catch_all = wanted.contains_key("");
        let known: Vec<(Box<str>, EndpointId)> = self
            .by_prefix
            .iter()
            .filter(|(prefix, _)| !wanted.contains_key(*prefix))
            .map(|(prefix, id)| (prefix.clone(), *id))
            .collect();
        for (_, id) in known {
            match self[id].origin() {
                // What is inferred never hides what is configured (D-09).
                EndpointOrigin::Inferred if !has_catch_all => continue,
                EndpointOrigin::Inferred => {}
                // No image is served by one, so that no entry takes its place.
                EndpointOrigin::TokenHost => continue,
                EndpointOrigin::BuiltIn | EndpointOrigin::Configured => {
                    replacement.counts.removed += 1;
                }
            }
            self.retire(id, replacement);
        }
    }

    /// Puts an entry into its place, by adapting who holds it, or anew.
    fn place(
        &mut self,
        settings: EndpointSettings,
        origin: EndpointOrigin,
        replacement: &mut Replacement,
    ) {
        let counts = &mut replacement.counts;
        let Some(id) = self.by_prefix.get(&settings.prefix).copied() else {
            counts.added += 1;
            replacement.is_served_otherwise = true;
            self.insert(settings, origin);
            return;
        };
        let known = &mut self[id];
        let was_inferred = known.origin() == EndpointOrigin::Inferred;
        if *known.api_url != *settings.api_url {
            counts.changed += 1;
            self.retire(id, replacement);
            self.insert(settings, origin);
            return;
        }
        let adaption = known.adapt(settings, origin);
        if was_inferred {
            counts.added += 1;
            self.n_inferred -= 1;
        } else if adaption.is_served_otherwise {
            counts.changed += 1;
        } else if adaption.is_any {
            counts.adapted += 1;
        }
        replacement.is_served_otherwise |= adaption.is_served_otherwise;
        if adaption.is_resorted {
            replacement.resorted.push(id);
        }
        if adaption.is_any {
            replacement.adapted.push(id);
        }
    }

    fn retire(&mut self, id: EndpointId, replacement: &mut Replacement) {
        let endpoint = &mut self[id];
        endpoint.is_retired = true;
        let prefix = endpoint.settings().prefix.clone();
        if endpoint.origin() == EndpointOrigin::Inferred {
            self.n_inferred -= 1;
        }
        self.by_prefix.remove(&prefix);
        replacement.is_served_otherwise = true;
        replacement.retired.push(id);
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
        let prefix = default.map_or(host, |id| &self[id].settings().prefix);
        let path = if prefix.is_empty() {
            String::from(image_name)
        } else {
            format!("{prefix}/{image_name}")
        };
        if let Some(id) = self.longest_prefix(&path).filter(|id| {
            // A catch-all does not take images without a host from the default.
            default.is_none() || !self[*id].settings().prefix.is_empty()
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

    /// Forgets an inferred or retired endpoint that nothing refers to any more (A11).
    pub(super) fn drop_unused(&mut self, id: EndpointId, now: Time) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else {
            return;
        };
        endpoint.line.let_in(now);
        let is_idle =
            endpoint.n_repositories == 0 && endpoint.n_tokens == 0 && endpoint.slots.n_taken() == 0;
        if !is_idle {
            return;
        }
        let goes_with_users = match endpoint.origin() {
            EndpointOrigin::Inferred | EndpointOrigin::TokenHost => true,
            EndpointOrigin::BuiltIn | EndpointOrigin::Configured => false,
        };
        let is_waiting =
            endpoint.pace.window_end(now).is_some() || endpoint.line.next_let_in().is_some();
        let is_unused = endpoint.is_retired || (goes_with_users && !is_waiting);
        if !is_unused {
            return;
        }
        let Some(gone) = self.endpoints.remove(&id) else {
            return;
        };
        if gone.origin() == EndpointOrigin::TokenHost {
            self.token_hosts.remove(&gone.pool);
        } else if !gone.is_retired {
            self.by_prefix.remove(&gone.settings().prefix);
            self.n_inferred -= 1;
        }
        if self
            .endpoints
            .values()
            .all(|one| one.api_url != gone.api_url)
        {
            self.forgotten.push(gone.api_url);
        }
    }

    /// Where tokens for `endpoint` are asked for: at itself, or at a server of its own with a rate and
    /// slots of its own, which registries share that trust alike (D-20).
    pub(super) fn token_host(&mut self, endpoint: EndpointId, realm: &str) -> EndpointId {
        let own = &self[endpoint];
        let Some(origin) = url::origin(realm).filter(|origin| **origin != *own.place) else {
            return endpoint;
        };
        let settings = self.rated(EndpointSettings {
            is_insecure: own.settings().is_insecure,
            trust: own.settings().trust.clone(),
            ..EndpointSettings::of_url(origin)
        });
        if let Some(id) = self.token_hosts.get(&settings.to_pool_key()) {
            return *id;
        }
        let id = EndpointId(self.next);
        self.next += 1;
        let host = Endpoint::new(settings, EndpointOrigin::TokenHost, self.in_flight_max);
        self.token_hosts.insert(Arc::clone(&host.pool), id);
        self.endpoints.insert(id, host);
        id
    }

    /// An API URL that no endpoint has any more, each once.
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
        let settings = self.rated(EndpointSettings::inferred(host));
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

    /// With the rate of all, where there is one.
    fn rated(&self, mut settings: EndpointSettings) -> EndpointSettings {
        if let Some(rate) = self.rate_of_all {
            settings.rate_max = EndpointSettings::rate_of(Some(rate));
        }
        settings
    }

    /// Enters a new endpoint. What its server asked for by another entry holds for this one.
    fn insert(&mut self, settings: EndpointSettings, origin: EndpointOrigin) -> EndpointId {
        let id = EndpointId(self.next);
        self.next += 1;
        let mut endpoint = Endpoint::new(settings, origin, self.in_flight_max);
        for known in self.endpoints.values() {
            if known.api_url == endpoint.api_url {
                endpoint.inherit(known);
            }
        }
        self.by_prefix
            .insert(endpoint.settings().prefix.clone(), id);
        self.endpoints.insert(id, endpoint);
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
    fn a_host_is_inferred_once_and_keeps_library_in_its_names() {
        let mut table = table(&[]);
        let id = table.select("quay.io", "library/x").expect("an endpoint");
        for name in ["library/x", "other/y"] {
            assert_eq!(table.select("quay.io", name), Ok(id), "D-54");
        }
        let name = table[id].repository_name("library/x");
        assert_eq!(name.as_deref(), Ok("library/x"), "D-13");
    }

    #[test]
    fn hosts_that_are_none_are_not_inferred() {
        let mut table = table(&[]);
        for bad in ["a b", "u@h", "h/p", "h?x", "\u{e9}.io"] {
            assert!(table.select(bad, "x").is_err(), "{bad}");
        }
    }
}
