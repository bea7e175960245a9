//! Facts from the cluster: applications that exist, change, and go away.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Updater;
use crate::app::{Admission, Application};
use crate::event::{Event, RunEnd};
use crate::id::{AppId, AppKey};
use crate::input::ClusterInput;
use crate::registry::RepositoryId;
use crate::update::Plan;

impl Updater {
    pub(super) fn on_cluster(&mut self, input: ClusterInput) {
        match input {
            ClusterInput::ResetBegun => self.apps.begin_listing(),
            ClusterInput::ResetDone => self.on_reset_done(),
            ClusterInput::Applied(app) => {
                if let Some(id) = self.on_applied(*app) {
                    self.apps.mark_seen(id);
                }
            }
            ClusterInput::Deleted(key) => self.on_deleted(&key),
            ClusterInput::Patched(op, outcome) => self.on_patched(op, outcome),
            ClusterInput::Read(op, outcome) => self.on_read(op, outcome),
        }
    }

    fn on_reset_done(&mut self) {
        let Some(unseen) = self.apps.end_listing() else {
            return;
        };
        for key in unseen {
            self.on_deleted(&key);
        }
        if !core::mem::replace(&mut self.counts.is_synced, true) {
            let listed = self.apps.len();
            let considered = self
                .apps
                .iter()
                .filter(|(_, entry)| entry.ignored.is_none())
                .count();
            self.events.push_back(Event::Synced { considered, listed });
            self.schedule.handle_synced(self.now.mono);
        }
    }

    /// An application exists in this form. An object under a known name with another uid is another
    /// application; an older version than the known one is old news, unless a listing brings it.
    pub(super) fn on_applied(&mut self, app: Application) -> Option<AppId> {
        if let Some(id) = self.apps.id(&app.key) {
            let known = &self.apps.entry(id)?.app;
            // Versions are counted for the whole server, so this holds for a namesake too.
            if is_older(&app.resource_version, &known.resource_version)
                && !self.apps.is_relisted(id)
            {
                return Some(id);
            }
            if known.uid == app.uid {
                self.on_changed(id, app);
                return Some(id);
            }
            self.on_deleted(&app.key);
        }
        if self.apps.len() >= self.config.applications_max {
            let applications_max = self.config.applications_max;
            self.events.push_back(Event::ApplicationRefused {
                key: app.key,
                applications_max,
            });
            return None;
        }
        let problems = app.problems.clone();
        let key = app.key.clone();
        let id = self.apps.insert(app);
        if !problems.is_empty() {
            self.events
                .push_back(Event::ApplicationMalformed { key, problems });
        }
        self.admit(id, News::Met);
        Some(id)
    }

    /// The record of a known application is replaced.
    fn on_changed(&mut self, id: AppId, mut app: Application) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        // Most events change what we do not read: they only move the version.
        let version = core::mem::replace(
            &mut app.resource_version,
            entry.app.resource_version.clone(),
        );
        if app == entry.app {
            entry.app.resource_version = version;
            return;
        }
        app.resource_version = version;
        if !app.problems.is_empty() && app.problems != entry.app.problems {
            let (key, problems) = (app.key.clone(), app.problems.clone());
            self.events
                .push_back(Event::ApplicationMalformed { key, problems });
        }
        let change = Change::between(&entry.app, &app);
        entry.app = app;
        self.admit(id, News::Changed(change));
    }

    /// Decides whether an application takes part, and what it uses.
    fn admit(&mut self, id: AppId, news: News) {
        let Some(entry) = self.apps.entry(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let ignored = match entry.app.admission(&self.config.names) {
            Admission::Considered => None,
            Admission::Ignored(reason) => Some(reason),
        };
        let was_ignored = entry.ignored.clone();
        if let Some(reason) = ignored {
            if was_ignored.as_ref() != Some(&reason) {
                let reason = reason.clone();
                self.events.push_back(Event::ApplicationIgnored {
                    key: key.clone(),
                    reason,
                });
            }
            if was_ignored.is_none() && news != News::Met {
                self.drop_run(id, RunEnd::Abandoned);
                self.schedule.on_deleted(self.now.mono, &key);
            }
            self.use_repositories(id, Box::default());
            if let Some(entry) = self.apps.entry_mut(id) {
                entry.ignored = Some(reason);
                entry.reports = Box::default();
                entry.refusal = None;
                entry.last_publish = None;
            }
            return;
        }
        let plan = Plan::of(&entry.app, &self.config.runtime_platform);
        let images = plan.images.len();
        let repo = Box::<str>::from(entry.app.primary_repo_url());
        let repositories = self.retained_repositories(&plan);
        self.use_repositories(id, repositories);
        self.schedule.on_applied(self.now.mono, &key, &repo);
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        entry.ignored = None;
        match news {
            News::Changed(Change::Values) if was_ignored.is_none() => {}
            News::Changed(change) if was_ignored.is_none() => {
                self.on_replanned(id, plan, change == Change::Wishes);
            }
            News::Met | News::Changed(_) => {
                self.events
                    .push_back(Event::ApplicationConsidered { key, images });
            }
        }
    }

    /// An application is gone. What is in flight for it ends, and then nothing mentions it (A11).
    pub(super) fn on_deleted(&mut self, key: &AppKey) {
        let Some(id) = self.apps.id(key) else { return };
        self.drop_run(id, RunEnd::Abandoned);
        self.schedule.on_deleted(self.now.mono, key);
        self.use_repositories(id, Box::default());
        self.apps.remove(id);
        self.events
            .push_back(Event::ApplicationDeleted { key: key.clone() });
    }

    /// The repositories that a plan needs, sorted, each once and each retained. Entries that have none
    /// carry their reason in the plan already, or get it when they are looked up.
    pub(super) fn retained_repositories(&mut self, plan: &Plan) -> Box<[RepositoryId]> {
        let mut ids: Vec<RepositoryId> = Vec::new();
        for image in &plan.images {
            if let Ok(Some(repository)) = self.repository_of(image)
                && let Err(at) = ids.binary_search(&repository)
            {
                self.registry.retain(repository);
                ids.insert(at, repository);
            }
        }
        ids.into_boxed_slice()
    }

    /// Replaces the repositories of an application by others that are retained already.
    pub(super) fn use_repositories(&mut self, id: AppId, repositories: Box<[RepositoryId]>) {
        for repository in self.apps.use_repositories(id, repositories) {
            self.registry.release(repository);
        }
    }
}

/// Why it is looked at whether an application takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum News {
    /// It is met for the first time.
    Met,
    /// Its record changed.
    Changed(Change),
}

/// What of a record changed, as far as decisions are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    /// Its user asks for something else, or Argo CD has told for the first time what the application is
    /// and runs: a reason to decide at once.
    Wishes,
    /// What runs, which moves with every write and every revert: whoever decides takes it into account.
    Live,
    /// What stands in its sources, which is looked at when it is written.
    Values,
}

impl Change {
    fn between(old: &Application, new: &Application) -> Self {
        let is_asked = old.annotations != new.annotations
            || old.problems != new.problems
            || old.source_type != new.source_type
            || old.source_types != new.source_types
            || old.source_kind() != new.source_kind();
        if is_asked || (old.images.is_empty() && !new.images.is_empty()) {
            Self::Wishes
        } else if old.images != new.images {
            Self::Live
        } else {
            Self::Values
        }
    }
}

/// True when version `a` is certainly older than `b`: both are numbers, as they are on every server.
fn is_older(a: &str, b: &str) -> bool {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a < b,
        _ => false,
    }
}
