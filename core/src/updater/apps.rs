//! The index of Applications: by id, by key, and from repository to users.
//!
//! Invariants: a key names at most one record; a record's repositories are exactly those under which
//! it is entered as a user; a record that a complete listing did not name is gone (`design.md` 4.1).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::app::{Application, IgnoreReason};
use crate::bytes;
use crate::explain::{ImageReport, LastPublish, LastRun};
use crate::id::{AppId, AppKey};
use crate::registry::RepositoryId;
use crate::update::Refusal;
use crate::updater::run::Run;

/// One Application as the core knows it.
#[derive(Debug)]
pub(super) struct Entry {
    /// The newest record.
    pub(super) app: Application,
    /// Why it takes no part, or `None` when it does.
    pub(super) ignored: Option<IgnoreReason>,
    /// The repositories of its images, sorted, each once.
    pub(super) repositories: Box<[RepositoryId]>,
    /// The run under way, at most one (S1).
    pub(super) run: Option<Box<Run>>,
    /// A re-decision is in line.
    pub(super) in_line: bool,
    /// Something changed during the run: decide once more when it ends.
    pub(super) again: bool,
    /// What was decided last, per list entry.
    pub(super) reports: Box<[ImageReport]>,
    /// Why nothing is written for it, as it was decided last.
    pub(super) refusal: Option<Box<Refusal>>,
    /// What became of its last commit.
    pub(super) last_publish: Option<Box<LastPublish>>,
    /// How its last run ended.
    pub(super) last_run: Option<LastRun>,
    /// The listing generation that named it last.
    seen: u64,
    /// The listing generation in which an answer to an operation of ours told its record last.
    answered: u64,
}

/// All Applications.
#[derive(Debug, Default)]
pub(super) struct Apps {
    /// Boxed: a place in a tree that is not in use costs a pointer.
    entries: BTreeMap<AppId, Box<Entry>>,
    by_key: BTreeMap<AppKey, AppId>,
    users: BTreeMap<RepositoryId, BTreeSet<AppId>>,
    next_id: u64,
    generation: u64,
    listing: bool,
}

impl Apps {
    /// The id of `key`.
    pub(super) fn id(&self, key: &AppKey) -> Option<AppId> {
        self.by_key.get(key).copied()
    }

    pub(super) fn entry(&self, id: AppId) -> Option<&Entry> {
        self.entries.get(&id).map(|entry| &**entry)
    }

    pub(super) fn entry_mut(&mut self, id: AppId) -> Option<&mut Entry> {
        self.entries.get_mut(&id).map(|entry| &mut **entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (AppId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, &**entry))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Enters a new Application.
    pub(super) fn insert(&mut self, app: Application) -> AppId {
        let id = AppId(self.next_id);
        self.next_id += 1;
        let known = self.by_key.insert(app.key.clone(), id);
        assert!(known.is_none(), "a key names at most one record");
        let entry = Entry {
            app,
            ignored: None,
            repositories: Box::default(),
            run: None,
            in_line: false,
            again: false,
            reports: Box::default(),
            refusal: None,
            last_publish: None,
            last_run: None,
            seen: self.generation,
            answered: 0,
        };
        self.entries.insert(id, Box::new(entry));
        id
    }

    /// Removes an Application with everything that mentions it.
    pub(super) fn remove(&mut self, id: AppId) -> Option<Box<Entry>> {
        let entry = self.entries.remove(&id)?;
        self.by_key.remove(&entry.app.key);
        for repository in &entry.repositories {
            self.remove_user(*repository, id);
        }
        Some(entry)
    }

    /// Notes that the listing under way named `id`.
    pub(super) fn mark_seen(&mut self, id: AppId) {
        let generation = self.generation;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.seen = generation;
        }
    }

    /// Notes that an answer to a read or patch of ours told the record of `id`.
    pub(super) fn mark_answered(&mut self, id: AppId) {
        let generation = self.generation;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.answered = generation;
        }
    }

    /// True when the listing under way is the newest word on `id`, whatever its version: a server that
    /// was restored from a backup counts from an older one. An answer that came since is newer.
    pub(super) fn is_relisted(&self, id: AppId) -> bool {
        self.listing
            && self
                .entries
                .get(&id)
                .is_some_and(|entry| entry.answered < self.generation)
    }

    /// A listing begins; an earlier one that did not end is void.
    pub(super) const fn begin_listing(&mut self) {
        self.generation += 1;
        self.listing = true;
    }

    /// The listing was complete: the keys that it did not name, in key order; `None` when none began.
    pub(super) fn end_listing(&mut self) -> Option<Vec<AppKey>> {
        if !core::mem::take(&mut self.listing) {
            return None;
        }
        let unseen = |id: &AppId| {
            self.entries
                .get(id)
                .is_some_and(|e| e.seen != self.generation)
        };
        Some(
            self.by_key
                .iter()
                .filter(|(_, id)| unseen(id))
                .map(|(key, _)| key.clone())
                .collect(),
        )
    }

    /// Replaces the repositories that `id` uses and returns all that it used before.
    pub(super) fn use_repositories(
        &mut self,
        id: AppId,
        repositories: Box<[RepositoryId]>,
    ) -> Box<[RepositoryId]> {
        for repository in &repositories {
            self.users.entry(*repository).or_default().insert(id);
        }
        let Some(entry) = self.entries.get_mut(&id) else {
            return repositories;
        };
        let old = core::mem::replace(&mut entry.repositories, repositories);
        for repository in &old {
            if self.entries[&id]
                .repositories
                .binary_search(repository)
                .is_err()
            {
                self.remove_user(*repository, id);
            }
        }
        old
    }

    /// How many repositories have users.
    pub(super) fn n_repositories(&self) -> usize {
        self.users.len()
    }

    /// Bytes of the three indexes, about; what the records own is not counted.
    pub(super) fn index_bytes(&self) -> usize {
        let keys = self.by_key.keys();
        let texts: usize = keys.map(|key| key.namespace.len() + key.name.len()).sum();
        let users = self.users.values();
        let users: usize = users.map(|set| bytes::tree::<AppId, ()>(set.len())).sum();
        bytes::tree::<AppId, Box<Entry>>(self.entries.len())
            + bytes::tree::<AppKey, AppId>(self.by_key.len())
            + texts
            + bytes::tree::<RepositoryId, BTreeSet<AppId>>(self.users.len())
            + users
    }

    /// The users of `repository`, in the order in which they were met.
    pub(super) fn users(&self, repository: RepositoryId) -> impl Iterator<Item = AppId> {
        self.users.get(&repository).into_iter().flatten().copied()
    }

    fn remove_user(&mut self, repository: RepositoryId, id: AppId) {
        if let Some(users) = self.users.get_mut(&repository) {
            users.remove(&id);
            if users.is_empty() {
                self.users.remove(&repository);
            }
        }
    }
}
