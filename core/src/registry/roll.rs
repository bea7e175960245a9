//! The roll of repositories: who is on it, what is kept for them, and how they leave it (A11).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::breaker::CircuitKey;
use super::repository::{Repository, RepositoryKey};
use super::timers::Timer;
use super::{
    Endpoint, EndpointError, EndpointId, Listing, Observation, Registry, RegistryOutcome,
    RepositoryId,
};
use crate::credential::CredentialSource;

impl Registry {
    /// The id of a repository: endpoint, name on the wire, credential source. The image's own
    /// credential replaces the endpoint's (`registry.md` 4.4, D-32).
    ///
    /// An id that is not [retained](Self::retain) and has nothing under way may be forgotten at the
    /// next call of this method.
    ///
    /// # Errors
    /// [`EndpointError`] when no endpoint serves the image, or its name breaks the grammar.
    pub fn repository(
        &mut self,
        host: &str,
        image_name: &str,
        pull_secret: Option<&CredentialSource>,
    ) -> Result<RepositoryId, EndpointError> {
        self.sweep_unretained();
        let endpoint = self.endpoints.select(host, image_name)?;
        let named = self.endpoints[endpoint].repository_name(image_name);
        let name = match named {
            Ok(name) => name,
            Err(error) => {
                self.endpoints.drop_unused(endpoint, self.now.mono);
                self.arm_endpoint(endpoint);
                return Err(error);
            }
        };
        let own = &self.endpoints[endpoint].settings().credentials;
        let key = RepositoryKey {
            endpoint,
            epoch: self.endpoints[endpoint].epoch,
            name,
            source: pull_secret.or(own.as_ref()).cloned(),
        };
        if let Some(id) = self.repository_ids.get(&key) {
            return Ok(*id);
        }
        let id = RepositoryId(self.next_repository);
        self.next_repository += 1;
        let line = &mut self.endpoints[endpoint].line;
        let account = line.retain(key.source.as_ref());
        self.endpoints[endpoint].n_repositories += 1;
        if let Some(source) = &key.source {
            self.credentials.retain((endpoint, source.clone()));
        }
        self.repository_ids.insert(key.clone(), id);
        self.repositories.insert(id, Repository::new(key, account));
        // What its server asked for by another entry may be all that there is to wait for.
        self.arm_endpoint(endpoint);
        self.unretained.insert(id);
        Ok(id)
    }

    /// Counts a user of the repository.
    pub fn retain(&mut self, id: RepositoryId) {
        self.repository_mut(id).n_users += 1;
        self.unretained.remove(&id);
    }

    /// Counts a user off; with the last one everything about the repository is forgotten, and what is
    /// under way for it is cancelled (A11).
    ///
    /// # Panics
    /// When there is no user to count off.
    pub fn release(&mut self, id: RepositoryId) {
        let repository = self.repository_mut(id);
        assert!(repository.n_users > 0, "a release follows its retain");
        repository.n_users -= 1;
        if repository.n_users == 0 {
            self.drop_repository(id);
        }
    }

    /// The endpoint that serves the repository; `None` when the repository was forgotten (A11). For
    /// those who keep ids longer than they retain them.
    pub fn find_endpoint_of(&self, id: RepositoryId) -> Option<&Endpoint> {
        let repository = self.repositories.get(&id)?;
        self.endpoints.find(repository.key.endpoint)
    }

    /// The endpoint that serves the repository.
    ///
    /// # Panics
    /// When the repository was forgotten; [`Self::find_endpoint_of`] does not.
    pub fn endpoint_of(&self, id: RepositoryId) -> &Endpoint {
        &self.endpoints[self.repositories[&id].key.endpoint]
    }

    /// The repository's name on the wire.
    ///
    /// # Panics
    /// When the repository was forgotten.
    pub fn name_of(&self, id: RepositoryId) -> &str {
        &self.repositories[&id].key.name
    }

    pub(super) fn repository_mut(&mut self, id: RepositoryId) -> &mut Repository {
        self.repositories
            .get_mut(&id)
            .expect("a repository is used while it is retained")
    }

    pub(super) fn sweep_unretained(&mut self) {
        let idle: Vec<RepositoryId> = self
            .unretained
            .iter()
            .copied()
            .filter(|id| {
                let one = &self.repositories[id];
                one.listing_job.is_none() && one.waiters.is_empty() && !self.facts.has_job(*id)
            })
            .collect();
        for id in idle {
            self.drop_repository(id);
        }
    }

    pub(super) fn drop_repository(&mut self, id: RepositoryId) {
        self.unretained.remove(&id);
        self.timers.disarm(Timer::Listing(id));
        let mut jobs = self.facts.remove_repository(id);
        let Some(repository) = self.repositories.remove(&id) else {
            return;
        };
        jobs.extend(repository.listing_job);
        for job in jobs {
            self.abandon(job);
        }
        if let Some(listing) = &repository.listing {
            self.listing_bytes -= listing.footprint();
            self.listing_order.remove(&repository.used);
        }
        self.repository_ids.remove(&repository.key);
        let endpoint = repository.key.endpoint;
        if let Some(token) = repository.token {
            self.release_token(id, token);
        }
        if let Some(login) = repository.login {
            let place = Arc::clone(&self.endpoints[endpoint].place);
            let now = self.now.mono;
            self.breaker.release(&CircuitKey { place, login }, now);
        }
        if let Some(source) = repository.key.source {
            self.credentials.release(&(endpoint, source));
        }
        self.endpoints[endpoint].n_repositories -= 1;
        let gone = Observation::RepositoryForgotten {
            endpoint: Arc::clone(&self.endpoints[endpoint].api_url),
            name: repository.key.name,
        };
        self.observe(RegistryOutcome::Observed(gone));
        self.endpoints[endpoint]
            .line
            .release(repository.account, Some(id));
        self.forget_endpoint_if_unused(endpoint);
    }

    pub(super) fn forget_endpoint_if_unused(&mut self, id: EndpointId) {
        self.endpoints.drop_unused(id, self.now.mono);
        if self.endpoints.find_mut(id).is_none() {
            self.timers.disarm(Timer::Endpoint(id));
            self.sendable.remove(&id);
        }
    }

    /// Marks the listing as just used, so that it is the last to go.
    pub(super) fn touch_listing(&mut self, id: RepositoryId) {
        self.listing_clock += 1;
        let clock = self.listing_clock;
        let repository = self.repository_mut(id);
        let before = core::mem::replace(&mut repository.used, clock);
        self.listing_order.remove(&before);
        self.listing_order.insert(clock, id);
    }

    /// Forgets what is kept of a repository, as far as nobody looks it up.
    pub(super) fn forget_listing(&mut self, id: RepositoryId) {
        self.facts.retain_tags(id, |_| false);
        let repository = self.repository_mut(id);
        repository.fingerprint = None;
        repository.validator = None;
        repository.learnt = None;
        let used = repository.used;
        if let Some(gone) = repository.listing.take() {
            self.listing_bytes -= gone.footprint();
            self.listing_order.remove(&used);
        }
    }

    /// Keeps a listing, and lets others go where memory is short.
    pub(super) fn keep_listing(&mut self, id: RepositoryId, listing: Listing) {
        let bytes = listing.footprint();
        let repository = self.repository_mut(id);
        let replaced = repository.listing.replace(Box::new(listing));
        self.listing_bytes += bytes;
        if let Some(replaced) = replaced {
            self.listing_bytes -= replaced.footprint();
        }
        self.touch_listing(id);
        while self.listing_bytes > self.settings.listing_bytes_max && self.listing_order.len() > 1 {
            let Some((_, oldest)) = self.listing_order.pop_first() else {
                break;
            };
            if let Some(gone) = self.repository_mut(oldest).listing.take() {
                self.listing_bytes -= gone.footprint();
            }
        }
    }
}
