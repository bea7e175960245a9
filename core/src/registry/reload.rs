//! Other endpoints while lookups are under way.
//!
//! The new table holds from the call on, for everybody. What was learnt by an endpoint that still
//! serves is kept; an endpoint that does not is sent nothing more, and whoever waits for it is told so.
//! Requests that are out keep their slots until they end (A9); what they bring is not used, because
//! nobody's repository is the one that they were made for.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::conf_problem::check_endpoints;
use super::exchange::Scope;
use super::outcome::LookupFailureKind as Kind;
use super::reply::Refusal;
use super::table::ReloadCounts;
use super::{EndpointSettings, Registry, RepositoryId};
use crate::time::Now;

/// What a reload means for those who use repositories.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reload {
    /// What became of the entries.
    pub counts: ReloadCounts,
    /// An image may have another repository than before: all are to be asked for anew.
    pub is_served_otherwise: bool,
    /// Repositories whose listings say something else than before, in order.
    pub resorted: Vec<RepositoryId>,
}

impl Registry {
    /// Replaces the configured endpoints by `endpoints`. When the answer says so, the owner asks for the
    /// repository of every image anew and releases the old ones; lookups of endpoints that serve nobody
    /// any more have failed by then.
    ///
    /// # Errors
    /// Every problem of `endpoints`, one sentence each (D-38); nothing has changed then.
    pub fn reload(
        &mut self,
        now: Now,
        endpoints: &[EndpointSettings],
    ) -> Result<Reload, Vec<String>> {
        let problems = check_endpoints(endpoints.iter().map(EndpointSettings::to_names));
        if !problems.is_empty() {
            let texts = problems.into_iter().map(|problem| problem.detail.into());
            return Err(texts.collect());
        }
        self.note_time(now);
        let replacement = self.endpoints.replace(endpoints);
        for id in &replacement.retired {
            self.fail_waiting(*id, None, Scope::Everything, &retired_refusal());
            self.forget_endpoint_if_unused(*id);
        }
        // Another rate may allow more, or less, than what a timer was set for.
        self.sendable.extend(&replacement.adapted);
        let resorted: BTreeSet<_> = replacement.resorted.into_iter().collect();
        let resorted = self
            .repositories
            .iter()
            .filter(|(_, repository)| resorted.contains(&repository.key.endpoint))
            .map(|(id, _)| *id);
        Ok(Reload {
            counts: replacement.counts,
            is_served_otherwise: replacement.is_served_otherwise,
            resorted: resorted.collect(),
        })
    }
}

/// Why nothing is sent to an endpoint that a reload took from the table.
pub(super) fn retired_refusal() -> Refusal {
    let detail = "registries.conf was reloaded, and its images are served otherwise now";
    Refusal::lasting(Kind::Transient, detail)
}
