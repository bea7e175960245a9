//! Other settings while applications are being checked.
//!
//! The registry room takes the new table at once. Who serves the images of which application is asked
//! anew for one application after the other, ahead of all other work in line: nothing is decided on an
//! answer that an old endpoint gave after the reload.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Updater, Work};
use crate::event::Event;
use crate::id::AppId;
use crate::lookup::LookupState;
use crate::registry::{EndpointSettings, RepositoryId};
use crate::update::Plan;

impl Updater {
    /// These are the configured registries from now on, unless something is wrong with them.
    pub(super) fn on_registries(&mut self, endpoints: &[EndpointSettings]) {
        if !self.is_running() {
            return;
        }
        let reload = match self.registry.reload(self.now, endpoints) {
            Ok(reload) => reload,
            Err(problems) => {
                self.events.push_back(Event::RegistriesRefused { problems });
                return;
            }
        };
        let mut concerned: BTreeMap<AppId, bool> = BTreeMap::new();
        if reload.is_served_otherwise {
            let taking_part = self
                .apps
                .iter()
                .filter(|(_, entry)| entry.ignored.is_none());
            concerned.extend(taking_part.map(|(id, _)| (id, false)));
        }
        for repository in &reload.resorted {
            concerned.extend(self.apps.users(*repository).map(|id| (id, true)));
        }
        self.events.push_back(Event::RegistriesReloaded {
            counts: reload.counts,
            applications: concerned.len(),
        });
        // What an earlier reload left in line is done with this one's.
        let mut rest = VecDeque::with_capacity(self.line.len());
        for work in self.line.drain(..) {
            match work {
                Work::Resolve { id, is_resorted } => {
                    *concerned.entry(id).or_default() |= is_resorted;
                }
                Work::Progress(_) | Work::Redecide(_) => rest.push_back(work),
            }
        }
        let resolves = concerned
            .into_iter()
            .map(|(id, is_resorted)| Work::Resolve { id, is_resorted });
        self.line.extend(resolves);
        self.line.append(&mut rest);
    }

    /// Asks anew who serves the images of an application. When somebody else does, a run under way looks
    /// them up again, and without one it is decided again.
    pub(super) fn on_resolve(&mut self, id: AppId, is_resorted: bool) {
        let Some(entry) = self.apps.entry(id) else {
            return;
        };
        if entry.ignored.is_some() {
            return;
        }
        let before = entry.repositories.clone();
        let under_way: Option<Vec<Option<RepositoryId>>> = entry
            .run
            .as_ref()
            .filter(|run| run.next_plan.is_none())
            .map(|run| run.lookups.iter().map(LookupState::repository).collect());
        let plan = Plan::of(&entry.app, &self.config.runtime_platform);
        let repositories = self.retained_repositories(&plan);
        let is_run_moved = under_way.is_some_and(|under_way| {
            let lookups = plan.images.iter().zip(under_way);
            let mut lookups = lookups.filter_map(|(image, one)| Some((image, one?)));
            lookups.any(|(image, one)| self.repository_of(image) != Ok(Some(one)))
        });
        let is_moved = is_run_moved || before != repositories;
        self.use_repositories(id, repositories);
        if is_moved || is_resorted {
            self.on_replanned(id, plan, true);
        }
    }
}
