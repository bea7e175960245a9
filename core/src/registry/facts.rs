//! What is known about tags: kept facts, who waits for them, how long they hold.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::digest::ManifestDigest;
use super::inspection::{FactsKind, TagFacts};
use super::job::JobId;
use super::outcome::{LookupFailure, WaiterId};
use super::platform::PlatformKeySet;
use super::repository::RepositoryId;
use crate::time::Time;

/// What makes two lookups of a tag one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FactsKey {
    pub(super) repository: RepositoryId,
    pub(super) tag: Box<str>,
    pub(super) kind: FactsKind,
    pub(super) platforms: PlatformKeySet,
}

/// The state of one lookup of a tag.
#[derive(Debug, Default)]
pub(super) struct FactsEntry {
    pub(super) kept: Option<TagFacts>,
    /// When the last lookup was started.
    pub(super) started: Option<Time>,
    /// Why the last lookup failed, if it did.
    pub(super) failure: Option<LookupFailure>,
    pub(super) job: Option<JobId>,
    pub(super) waiters: Vec<WaiterId>,
    used: u64,
}

/// All facts of tags. Bounded; the least recently used go first.
#[derive(Debug)]
pub(super) struct FactsStore {
    entries: BTreeMap<FactsKey, FactsEntry>,
    order: BTreeMap<u64, FactsKey>,
    by_digest: DigestCache,
    clock: u64,
    entries_max: usize,
}

impl FactsStore {
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            by_digest: DigestCache {
                facts: BTreeMap::new(),
                order: BTreeMap::new(),
                clock: 0,
                entries_max: entries_max / 2,
            },
            clock: 0,
            entries_max,
        }
    }

    /// The entry of `key`, made when there is none, marked as used.
    pub(super) fn entry(&mut self, key: &FactsKey) -> &mut FactsEntry {
        self.clock += 1;
        if !self.entries.contains_key(key) {
            self.make_room();
        }
        let entry = self.entries.entry(key.clone()).or_default();
        self.order.remove(&entry.used);
        entry.used = self.clock;
        self.order.insert(self.clock, key.clone());
        entry
    }

    pub(super) fn find(&self, key: &FactsKey) -> Option<&FactsEntry> {
        self.entries.get(key)
    }

    pub(super) fn find_mut(&mut self, key: &FactsKey) -> Option<&mut FactsEntry> {
        self.entries.get_mut(key)
    }

    /// Facts that were found by another way to the same content.
    pub(super) fn known(
        &mut self,
        digest: ManifestDigest,
        kind: FactsKind,
        platforms: &PlatformKeySet,
    ) -> Option<TagFacts> {
        self.by_digest.find(digest, kind, platforms)
    }

    /// Keeps facts by digest: content never changes.
    pub(super) fn learn(&mut self, kind: FactsKind, platforms: &PlatformKeySet, facts: &TagFacts) {
        self.by_digest.insert(kind, platforms, facts);
    }

    /// Drops the facts of tags that `is_listed` does not know; those under way stay.
    pub(super) fn retain_tags(
        &mut self,
        repository: RepositoryId,
        is_listed: impl Fn(&str) -> bool,
    ) {
        let gone: Vec<FactsKey> = self
            .of_repository(repository)
            .filter(|(key, entry)| entry.job.is_none() && !is_listed(&key.tag))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// Drops all facts of a repository and returns the lookups that were under way.
    pub(super) fn remove_repository(&mut self, repository: RepositoryId) -> Vec<JobId> {
        let keys: Vec<FactsKey> = self
            .of_repository(repository)
            .map(|(key, _)| key.clone())
            .collect();
        let jobs = keys
            .iter()
            .filter_map(|key| self.remove(key).and_then(|entry| entry.job))
            .collect();
        if self.entries.is_empty() {
            // Nobody is left who could ask for a content again.
            self.by_digest.facts.clear();
            self.by_digest.order.clear();
        }
        jobs
    }

    pub(super) fn has_any(&self, repository: RepositoryId) -> bool {
        self.of_repository(repository).next().is_some()
    }

    pub(super) fn has_job(&self, repository: RepositoryId) -> bool {
        self.of_repository(repository)
            .any(|(_, entry)| entry.job.is_some())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&FactsKey, &FactsEntry)> {
        self.entries.iter()
    }

    /// Bytes held.
    pub(super) fn footprint(&self) -> usize {
        let entry = size_of::<FactsEntry>() + 2 * size_of::<FactsKey>() + size_of::<u64>();
        let tags: usize = self.entries.keys().map(|key| 2 * key.tag.len()).sum();
        let by_digest = size_of::<TagFacts>() + 2 * size_of::<DigestKey>() + size_of::<u64>();
        self.entries.len() * entry + tags + self.by_digest.facts.len() * by_digest
    }

    fn of_repository(
        &self,
        repository: RepositoryId,
    ) -> impl Iterator<Item = (&FactsKey, &FactsEntry)> {
        let first = FactsKey {
            repository,
            tag: "".into(),
            kind: FactsKind::Digest,
            platforms: PlatformKeySet::default(),
        };
        self.entries
            .range(first..)
            .take_while(move |(key, _)| key.repository == repository)
    }

    fn remove(&mut self, key: &FactsKey) -> Option<FactsEntry> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        Some(entry)
    }

    /// Drops least recently used entries that nobody waits for.
    fn make_room(&mut self) {
        while self.entries.len() >= self.entries_max {
            let idle = self
                .order
                .values()
                .take(64)
                .find(|key| {
                    self.entries
                        .get(*key)
                        .is_none_or(|entry| entry.job.is_none())
                })
                .cloned();
            match idle {
                Some(key) => {
                    self.remove(&key);
                }
                None => return,
            }
        }
    }
}

/// What a check that wants facts is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FactsPlan {
    /// The kept ones hold.
    Keep,
    /// The last lookup failed, and the next is not due yet.
    Fail,
    /// A lookup is under way.
    Join,
    /// Start one.
    Start,
}

impl FactsEntry {
    /// Facts hold for `age_max` from the start of their lookup; a check that comes within the last
    /// tenth of `interval` before that asks again. With `once` they hold for ever. A failure holds as
    /// long as one interval: what failed is not hammered.
    pub(super) fn plan(
        &self,
        now: Time,
        interval: Duration,
        age_max: Duration,
        once: bool,
    ) -> FactsPlan {
        if self.job.is_some() {
            return FactsPlan::Join;
        }
        let Some(started) = self.started else {
            return FactsPlan::Start;
        };
        let has_answer = self.failure.is_none() && self.kept.is_some();
        if once && has_answer {
            return FactsPlan::Keep;
        }
        let age_max = if has_answer { age_max } else { interval };
        let is_due = now.since(started) >= age_max.saturating_sub(interval / 10);
        match (is_due, has_answer) {
            (false, true) => FactsPlan::Keep,
            (false, false) if self.failure.is_some() => FactsPlan::Fail,
            _ => FactsPlan::Start,
        }
    }
}

type DigestKey = (ManifestDigest, FactsKind, PlatformKeySet);

/// Facts by content; bounded, the least recently used goes first.
#[derive(Debug)]
struct DigestCache {
    facts: BTreeMap<DigestKey, (u64, TagFacts)>,
    order: BTreeMap<u64, DigestKey>,
    clock: u64,
    entries_max: usize,
}

impl DigestCache {
    fn find(
        &mut self,
        digest: ManifestDigest,
        kind: FactsKind,
        platforms: &PlatformKeySet,
    ) -> Option<TagFacts> {
        let key = (digest, kind, platforms.clone());
        let (used, facts) = self.facts.get_mut(&key)?;
        self.clock += 1;
        self.order.remove(used);
        *used = self.clock;
        let facts = facts.clone();
        self.order.insert(self.clock, key);
        Some(facts)
    }

    fn insert(&mut self, kind: FactsKind, platforms: &PlatformKeySet, facts: &TagFacts) {
        let key = (facts.digest(), kind, platforms.clone());
        self.clock += 1;
        let value = (self.clock, facts.clone());
        if let Some((used, _)) = self.facts.insert(key.clone(), value) {
            self.order.remove(&used);
        }
        self.order.insert(self.clock, key);
        while self.facts.len() > self.entries_max.max(1) {
            let Some((_, oldest)) = self.order.pop_first() else {
                return;
            };
            self.facts.remove(&oldest);
        }
    }
}

/// The tags of a listing, ready to be asked.
pub(super) fn tag_set<'a>(tags: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    tags.collect()
}
