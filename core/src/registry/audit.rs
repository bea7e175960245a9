//! What the room holds, counted anew.

use alloc::format;
use alloc::string::String;

use super::breaker::Attempt;
use super::credentials::CredentialKey;
use super::exchange::{Operation, Work};
use super::job::{Job, JobId};
use super::repository::{Repository, RepositoryId, RepositoryKey};
use super::{Endpoint, Registry, RegistryFootprint};
use crate::bytes;
use crate::id::OpId;

impl Registry {
    /// Bytes held, by what they are held for.
    pub fn footprint(&self) -> RegistryFootprint {
        let repositories: usize = self.repositories.values().map(Repository::footprint).sum();
        RegistryFootprint {
            listings: self.listing_bytes,
            facts: self.facts.footprint(),
            rest: repositories
                + bytes::tree::<RepositoryId, Repository>(self.repositories.len())
                + bytes::tree::<RepositoryKey, RepositoryId>(self.repository_ids.len())
                + bytes::tree::<u64, RepositoryId>(self.listing_order.len())
                + self.endpoints.iter().count() * size_of::<Endpoint>()
                + bytes::tree::<JobId, Job>(self.jobs.len())
                + bytes::tree::<OpId, Operation>(self.ops.len())
                + self
                    .endpoints
                    .iter()
                    .map(|(_, endpoint)| endpoint.line.footprint())
                    .sum::<usize>()
                + self.timers.footprint()
                + self.tokens.footprint()
                + self.breaker.footprint()
                + self.credentials.len() * size_of::<CredentialKey>(),
        }
    }

    /// Room of the queues, which stays when they are empty.
    pub fn queue_bytes(&self) -> usize {
        bytes::queue(&self.outcomes)
            + bytes::queue(&self.cancels)
            + bytes::queue(&self.reads)
            + self.ports.footprint()
    }

    /// Counts everything anew and names the first counter that is wrong (S16).
    ///
    /// # Errors
    /// A sentence about the difference.
    pub fn recount(&self) -> Result<(), String> {
        for (id, endpoint) in self.endpoints.iter() {
            let own = || {
                self.ops.values().filter(move |operation| {
                    operation.endpoint == id && matches!(operation.work, Work::Exchange(_))
                })
            };
            let (n_ops, n_stalled) = (own().count(), own().filter(|op| op.is_stalled()).count());
            let n_repositories = self
                .repositories
                .values()
                .filter(|one| one.key.endpoint == id)
                .count();
            let n_tokens = self.tokens.iter().filter(|one| one.lane == id).count();
            let pairs = [
                ("in flight", endpoint.slots.n_taken(), n_ops),
                ("stalled", endpoint.n_stalled, n_stalled),
                ("repositories", endpoint.n_repositories, n_repositories),
                ("tokens", endpoint.n_tokens, n_tokens),
            ];
            for (what, counted, found) in pairs {
                if usize::try_from(counted) != Ok(found) {
                    return Err(format!(
                        "{}: {what}: {counted}, not {found}",
                        endpoint.api_url
                    ));
                }
            }
            if endpoint.slots.n_taken() > self.settings.in_flight_max {
                return Err(format!("{}: over the cap", endpoint.api_url));
            }
            let (n_queued, found) = (endpoint.line.n_queued(), endpoint.line.recount());
            if n_queued != found {
                let api_url = &endpoint.api_url;
                return Err(format!("{api_url}: in line: {n_queued}, not {found}"));
            }
        }
        let is_login = |attempt: &Attempt| attempt.is_login;
        let n_logins = self
            .ops
            .values()
            .filter(|operation| operation.attempt.as_ref().is_some_and(is_login))
            .count();
        let users = self.repositories.values();
        let n_users = users.filter(|one| one.login.is_some()).count() + self.tokens.iter().count();
        if self.breaker.count() != (n_users, n_logins) {
            return Err(format!(
                "circuits: {:?} users and logins, not {n_users} and {n_logins}",
                self.breaker.count()
            ));
        }
        let kept = || {
            self.repositories
                .values()
                .filter_map(|one| one.listing.as_ref())
        };
        let bytes: usize = kept().map(|listing| listing.footprint()).sum();
        if bytes != self.listing_bytes || kept().count() != self.listing_order.len() {
            return Err(format!(
                "listings: {} bytes, not {bytes}",
                self.listing_bytes
            ));
        }
        if !self.facts.is_in_order() {
            return Err("facts: those that may go, or their bytes, are counted wrongly".into());
        }
        let n_lookups = self
            .repositories
            .values()
            .filter(|one| one.listing_job.is_some())
            .count()
            + self.tokens.iter().filter(|one| one.job.is_some()).count()
            + self.facts.n_jobs();
        if n_lookups != self.jobs.len() {
            return Err(format!("lookups: {}, not {n_lookups}", self.jobs.len()));
        }
        Ok(())
    }
}
