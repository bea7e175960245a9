//! What is known about tags: kept facts, who waits for them, how long they hold.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::digest::ManifestDigest;
use super::inspection::{FactsKind, TagFacts};
use super::job::JobId;
use super::outcome::{LookupFailure, LookupFailureKind, WaiterId};
use super::platform::PlatformKeySet;
use super::repository::RepositoryId;
use crate::bytes;
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
    /// When it was last asked about.
    pub(super) wanted: Option<Time>,
    used: u64,
}

/// All facts of tags. Bounded; the least recently used go first, but for those that are being looked up.
#[derive(Debug)]
pub(super) struct FactsStore {
    entries: BTreeMap<FactsKey, FactsEntry>,
    /// Entries that may go, in the order of their use: those without a lookup under way.
    order: BTreeMap<u64, FactsKey>,
    by_digest: DigestCache,
    walks: BTreeMap<DigestKey, Walk>,
    clock: u64,
    entries_max: usize,
}

/// One lookup reads a content; others that came to the same content wait for what it finds.
#[derive(Debug)]
struct Walk {
    leader: JobId,
    followers: Vec<JobId>,
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
            walks: BTreeMap::new(),
            clock: 0,
            entries_max,
        }
    }

    /// The entry of `key`, made when there is none, marked as used. `None` when there is none and
    /// everything kept is being looked up: the bound holds, and it is the new lookup that has to wait (A10).
    pub(super) fn entry(&mut self, key: &FactsKey, now: Time) -> Option<&mut FactsEntry> {
        if !self.entries.contains_key(key) && !self.make_room() {
            return None;
        }
        self.clock += 1;
        let entry = self.entries.entry(key.clone()).or_default();
        self.order.remove(&entry.used);
        entry.used = self.clock;
        entry.wanted = Some(now);
        if entry.job.is_none() {
            self.order.insert(self.clock, key.clone());
        }
        Some(entry)
    }

    /// Lets `waiter` be told when the lookup of an entry ends.
    pub(super) fn add_waiter(&mut self, key: &FactsKey, waiter: WaiterId) {
        let entry = self.entries.get_mut(key).expect("the entry was just made");
        if let Err(place) = entry.waiters.binary_search(&waiter) {
            entry.waiters.insert(place, waiter);
        }
    }

    /// Notes that a lookup of an entry begins. True when there is something that it can confirm.
    pub(super) fn begin(&mut self, key: &FactsKey, job: JobId, now: Time) -> bool {
        let entry = self.entries.get_mut(key).expect("the entry was just made");
        entry.started = Some(now);
        entry.job = Some(job);
        self.order.remove(&entry.used);
        entry.kept.is_some()
    }

    /// Notes how the lookup of an entry ended, and returns who waited for it.
    pub(super) fn finish(
        &mut self,
        key: &FactsKey,
        result: &Result<TagFacts, LookupFailure>,
    ) -> Option<Vec<WaiterId>> {
        let entry = self.entries.get_mut(key)?;
        entry.job = None;
        match result {
            Ok(facts) => {
                entry.kept = Some(facts.clone());
                entry.failure = None;
            }
            Err(failure) => entry.failure = Some(failure.clone()),
        }
        self.order.insert(entry.used, key.clone());
        Some(core::mem::take(&mut entry.waiters))
    }

    pub(super) fn find(&self, key: &FactsKey) -> Option<&FactsEntry> {
        self.entries.get(key)
    }

    /// Facts that were found by another tag to the same content of the same repository. Whoever asks has
    /// just learnt the digest with its own credential; to know a digest is no right to read what it names.
    pub(super) fn known(&mut self, key: &FactsKey, digest: ManifestDigest) -> Option<TagFacts> {
        self.by_digest.find(DigestKey::of(key, digest))
    }

    /// Keeps facts by digest: content never changes.
    pub(super) fn learn(&mut self, key: &FactsKey, facts: &TagFacts) {
        let by_digest = DigestKey::of(key, facts.digest());
        self.by_digest.insert(by_digest, facts);
    }

    /// Lets `job` wait for another that reads the same content already. False when there is none.
    pub(super) fn can_follow(
        &mut self,
        key: &FactsKey,
        digest: ManifestDigest,
        job: JobId,
    ) -> bool {
        let Some(walk) = self.walks.get_mut(&DigestKey::of(key, digest)) else {
            return false;
        };
        if walk.leader != job {
            walk.followers.push(job);
        }
        walk.leader != job
    }

    /// Notes that `job` begins to read a content.
    pub(super) fn lead(&mut self, key: &FactsKey, digest: ManifestDigest, job: JobId) {
        let walk = Walk {
            leader: job,
            followers: Vec::new(),
        };
        self.walks.insert(DigestKey::of(key, digest), walk);
    }

    /// Ends the reading of a content, and returns who waits for what `job` found.
    pub(super) fn end_walk(
        &mut self,
        key: &FactsKey,
        digest: ManifestDigest,
        job: JobId,
    ) -> Vec<JobId> {
        let key = DigestKey::of(key, digest);
        match self.walks.get(&key) {
            Some(walk) if walk.leader == job => {
                let walk = self.walks.remove(&key);
                walk.map(|walk| walk.followers).unwrap_or_default()
            }
            Some(_) | None => Vec::new(),
        }
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
        self.by_digest.remove_repository(repository);
        self.walks.retain(|key, _| key.repository != repository);
        jobs
    }

    pub(super) fn has_any(&self, repository: RepositoryId) -> bool {
        self.of_repository(repository).next().is_some()
    }

    pub(super) fn has_job(&self, repository: RepositoryId) -> bool {
        self.of_repository(repository)
            .any(|(_, entry)| entry.job.is_some())
    }

    /// Where the stale entries of a repository end of which `n_max` may be asked again; `None` when all
    /// of them may.
    pub(super) fn stale_bar(
        &self,
        repository: RepositoryId,
        n_max: usize,
        is_in_line: impl Fn(&FactsEntry) -> bool,
    ) -> Option<StaleBar> {
        let mut places: Vec<StalePlace> = self
            .of_repository(repository)
            .filter(|(key, entry)| key.kind == FactsKind::Created && is_in_line(entry))
            .filter_map(|(_, entry)| entry.stale_place())
            .collect();
        let last = n_max.max(1) - 1;
        if places.len() <= last + 1 {
            return None;
        }
        let (before, at, _) = places.select_nth_unstable(last);
        let n_below = before.iter().filter(|place| *place < at).count();
        Some(StaleBar {
            at: *at,
            n_at: n_max.saturating_sub(n_below),
        })
    }

    /// Counts anew whether exactly the idle entries may go, and the bound holds.
    pub(super) fn is_in_order(&self) -> bool {
        let is_idle = |key| self.entries.get(key).is_some_and(|one| one.job.is_none());
        let n_idle = self
            .entries
            .values()
            .filter(|one| one.job.is_none())
            .count();
        self.order.len() == n_idle
            && self.order.values().all(is_idle)
            && self.entries.len() <= self.entries_max
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&FactsKey, &FactsEntry)> {
        self.entries.iter()
    }

    /// Bytes held.
    pub(super) fn footprint(&self) -> usize {
        let entry = size_of::<FactsEntry>() + 2 * size_of::<FactsKey>() + size_of::<u64>();
        let tags: usize = self.entries.keys().map(|key| 2 * key.tag.len()).sum();
        let by_digest = size_of::<TagFacts>() + 2 * size_of::<DigestKey>() + size_of::<u64>();
        let followers: usize = self
            .walks
            .values()
            .map(|walk| walk.followers.capacity() * size_of::<JobId>())
            .sum();
        self.entries.len() * entry
            + tags
            + self.by_digest.facts.len() * by_digest
            + bytes::tree::<DigestKey, Walk>(self.walks.len())
            + followers
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

    /// Drops least recently used entries that nobody waits for. False when there is no room to be made.
    fn make_room(&mut self) -> bool {
        while self.entries.len() >= self.entries_max {
            let Some((_, oldest)) = self.order.pop_first() else {
                return false;
            };
            self.entries.remove(&oldest);
        }
        true
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

    /// What to answer when something is known but old, and may not be asked for again yet. A tag that is
    /// missing is known to be so.
    pub(super) fn stale_plan(&self) -> Option<FactsPlan> {
        match &self.failure {
            None => self.kept.is_some().then_some(FactsPlan::Keep),
            Some(failure) => (self.kept.is_some() || failure.kind == LookupFailureKind::Missing)
                .then_some(FactsPlan::Fail),
        }
    }

    /// Its place among what is known but old; `None` when nothing is known.
    pub(super) fn stale_place(&self) -> Option<StalePlace> {
        self.stale_plan()?;
        match &self.failure {
            Some(failure) if failure.kind != LookupFailureKind::Missing => Some(StalePlace::Failed),
            Some(_) | None => self.started.map(StalePlace::Since),
        }
    }
}

/// Where the part of the line ends that is asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StaleBar {
    /// The last place that is.
    pub(super) at: StalePlace,
    /// How many of those with that place are; all before it are.
    pub(super) n_at: usize,
}

/// A place in the line of what is known but old; the lowest goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum StalePlace {
    /// Its last lookup failed, and until it succeeds the image is held back.
    Failed,
    /// It was last asked about then.
    Since(Time),
}

/// What makes two contents one. The repository is part of it, and with it endpoint and credential: nothing
/// that was learnt with one credential is shown to another (D-03).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct DigestKey {
    repository: RepositoryId,
    digest: ManifestDigest,
    kind: FactsKind,
    platforms: PlatformKeySet,
}

impl DigestKey {
    fn of(key: &FactsKey, digest: ManifestDigest) -> Self {
        Self {
            repository: key.repository,
            digest,
            kind: key.kind,
            platforms: key.platforms.clone(),
        }
    }
}

/// Facts by content; bounded, the least recently used goes first.
#[derive(Debug)]
struct DigestCache {
    facts: BTreeMap<DigestKey, (u64, TagFacts)>,
    order: BTreeMap<u64, DigestKey>,
    clock: u64,
    entries_max: usize,
}

impl DigestCache {
    fn find(&mut self, key: DigestKey) -> Option<TagFacts> {
        let (used, facts) = self.facts.get_mut(&key)?;
        self.clock += 1;
        self.order.remove(used);
        *used = self.clock;
        let facts = facts.clone();
        self.order.insert(self.clock, key);
        Some(facts)
    }

    /// Nobody is left who could ask for its contents again.
    fn remove_repository(&mut self, repository: RepositoryId) {
        let first = DigestKey {
            repository,
            digest: ManifestDigest::LOWEST,
            kind: FactsKind::Digest,
            platforms: PlatformKeySet::default(),
        };
        let own = self.facts.range(first..);
        let keys: Vec<DigestKey> = own
            .take_while(|(key, _)| key.repository == repository)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            if let Some((used, _)) = self.facts.remove(&key) {
                self.order.remove(&used);
            }
        }
    }

    fn insert(&mut self, key: DigestKey, facts: &TagFacts) {
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
