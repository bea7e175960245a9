//! What the room holds, counted anew.

use alloc::format;
use alloc::string::String;

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
                + self.timers.footprint()
                + self.credentials.len() * size_of::<CredentialKey>(),
        }
    }

    /// Room of the queues, which stays when they are empty.
    pub fn queue_bytes(&self) -> usize {
        bytes::queue(&self.outcomes) + bytes::queue(&self.cancels) + bytes::queue(&self.reads)
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
            let pairs = [
                ("in flight", endpoint.n_in_flight, n_ops),
                ("stalled", endpoint.n_stalled, n_stalled),
                ("repositories", endpoint.n_repositories, n_repositories),
            ];
            for (what, counted, found) in pairs {
                if usize::try_from(counted) != Ok(found) {
                    return Err(format!(
                        "{}: {what}: {counted}, not {found}",
                        endpoint.api_url
                    ));
                }
            }
            if endpoint.n_in_flight > self.settings.in_flight_max {
                return Err(format!("{}: over the cap", endpoint.api_url));
            }
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
            return Err("facts: those that may go are not the idle ones".into());
        }
        let n_lookups = self
            .repositories
            .values()
            .map(|one| {
                usize::from(one.listing_job.is_some()) + usize::from(one.token_job.is_some())
            })
            .sum::<usize>()
            + self
                .facts
                .iter()
                .filter(|(_, entry)| entry.job.is_some())
                .count();
        if n_lookups != self.jobs.len() {
            return Err(format!("lookups: {}, not {n_lookups}", self.jobs.len()));
        }
        Ok(())
    }
}
