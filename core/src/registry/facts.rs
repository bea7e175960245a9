//! What is known about tags: tables of facts, who waits for them, and what goes when memory is short.
//!
//! Invariants: the tables together hold at most `bytes_max`. When that is too little, whole tables go: first
//! those that nobody has asked for as long as `hold`, the least recently used before others; then, because
//! everything left is in use, the one that came last. So the tables that came first stay and go on
//! answering without a request, however many more would be wanted: a working set that is larger than the
//! memory costs the requests of what does not fit, and not those of all. A table of which something is being
//! looked up stays, and one that was used within [`DECISION_TIME`] goes only when there is no other, so that
//! what was found is decided upon. Where nothing may go, the new lookup has to wait (A10).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::digest::ManifestDigest;
use super::fact_table::{FactTable, KnownTag, LOOKUP_BYTES, StalePlace};
use super::inspection::{FactsKind, TagFacts};
use super::job::JobId;
use super::outcome::{LookupFailure, WaiterId};
use super::platform::PlatformKeySet;
use super::repository::RepositoryId;
use super::walks::Walks;
use crate::bytes;
use crate::time::Time;

/// How soon after its last fact was found a table is decided upon.
const DECISION_TIME: Duration = Duration::from_secs(10);
/// What a table costs beside what it holds.
const TABLE_BYTES: usize = (bytes::tree::<TableKey, TableId>(14)
    + bytes::tree::<TableId, Place>(14)
    + bytes::tree::<(Time, TableId), ()>(14)
    + bytes::tree::<TableId, ()>(14))
    / 14;

/// What makes two lookups of a tag one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FactsKey {
    pub(super) table: TableKey,
    pub(super) tag: Box<str>,
}

/// What lookups of different tags share. The repository is part of it, and with it endpoint and credential:
/// nothing that was learnt with one credential is shown to another (D-03).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TableKey {
    pub(super) repository: RepositoryId,
    pub(super) kind: FactsKind,
    pub(super) platforms: PlatformKeySet,
}

/// Names a table within one store; never reused, so that an older table has a lower one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TableId(u64);

/// All facts of tags.
#[derive(Debug)]
pub(super) struct FactsStore {
    ids: BTreeMap<TableKey, TableId>,
    places: BTreeMap<TableId, Place>,
    /// Tables that may go, in the order of their use: those without a lookup under way.
    idle: BTreeSet<(Time, TableId)>,
    /// The same, in the order in which they came.
    idle_ids: BTreeSet<TableId>,
    walks: Walks,
    next_id: u64,
    bytes: usize,
    bytes_max: usize,
    hold: Duration,
}

/// A table, and when it was last used.
#[derive(Debug)]
struct Place {
    key: TableKey,
    table: FactTable,
    used: Time,
}

impl FactsStore {
    /// An empty store that holds at most `bytes_max` bytes; tables that nobody asked for within `hold` go
    /// before all others.
    pub(super) fn new(bytes_max: usize, hold: Duration) -> Self {
        Self {
            ids: BTreeMap::new(),
            places: BTreeMap::new(),
            idle: BTreeSet::new(),
            idle_ids: BTreeSet::new(),
            walks: Walks::default(),
            next_id: 0,
            bytes: 0,
            bytes_max,
            hold,
        }
    }

    pub(super) fn find(&self, key: &TableKey, tag: &str) -> Option<KnownTag<'_>> {
        self.places[self.ids.get(key)?].table.find(tag)
    }

    /// Notes that a tag was asked about.
    pub(super) fn touch(&mut self, key: &TableKey, tag: &str, now: Time) {
        if let Some(id) = self.ids.get(key).copied() {
            self.change(id, now, |table| table.touch(tag, now));
        }
    }

    /// Lets `waiter` be told when the lookup of a tag ends.
    pub(super) fn add_waiter(&mut self, key: &FactsKey, waiter: WaiterId) {
        let place = self.ids.get(&key.table);
        let place = place.and_then(|id| self.places.get_mut(id));
        let place = place.expect("the lookup is under way");
        place.table.add_waiter(&key.tag, waiter);
    }

    /// True when a lookup of the tag may begin; makes room for it.
    pub(super) fn can_begin(&mut self, key: &TableKey, tag: &str, now: Time) -> bool {
        let id = self.ids.get(key).copied();
        let bytes = LOOKUP_BYTES + tag.len() + if id.is_some() { 0 } else { TABLE_BYTES };
        self.make_room(bytes, id, now)
    }

    /// Notes that a lookup of a tag begins. True when there is something that it can confirm.
    pub(super) fn begin(
        &mut self,
        key: &FactsKey,
        job: JobId,
        waiter: WaiterId,
        now: Time,
    ) -> bool {
        let id = match self.ids.get(&key.table) {
            Some(id) => *id,
            None => self.add(key.table.clone(), now),
        };
        self.change(id, now, |table| {
            table.begin(&key.tag, job, waiter, now);
            table.find(&key.tag).is_some_and(|tag| tag.kept().is_some())
        })
    }

    /// Notes how the lookup of a tag ended, and returns who waited for it. Where there is no room for what
    /// was found, it is not kept.
    pub(super) fn finish(
        &mut self,
        key: &FactsKey,
        result: &Result<TagFacts, LookupFailure>,
        now: Time,
    ) -> Option<Vec<WaiterId>> {
        let id = *self.ids.get(&key.table)?;
        let waiters = self.change(id, now, |table| table.finish(&key.tag, result))?;
        if !self.make_room(0, Some(id), now) {
            self.change(id, now, |table| table.forget(&key.tag));
            self.drop_if_empty(id);
        }
        Some(waiters)
    }

    /// Facts that were found by a tag to the same content of the same repository: content never changes.
    /// Whoever asks has just learnt the digest with its own credential; to know a digest is no right to
    /// read what it names. One pass over the table, and a request that it may save.
    pub(super) fn known(&self, key: &FactsKey, digest: ManifestDigest) -> Option<TagFacts> {
        let table = &self.places[self.ids.get(&key.table)?].table;
        let own = table.find(&key.tag).and_then(KnownTag::kept);
        own.filter(|facts| facts.digest() == digest)
            .or_else(|| table.find_digest(digest))
            .map(|facts| facts.to_owned())
    }

    /// Lets `job` wait for another that reads the same content already. False when there is none.
    pub(super) fn can_follow(
        &mut self,
        key: &FactsKey,
        digest: ManifestDigest,
        job: JobId,
    ) -> bool {
        let id = self.ids.get(&key.table);
        id.is_some_and(|id| self.walks.can_follow((*id, digest), job))
    }

    /// Notes that `job` begins to read a content.
    pub(super) fn lead(&mut self, key: &FactsKey, digest: ManifestDigest, job: JobId) {
        if let Some(id) = self.ids.get(&key.table) {
            self.walks.lead((*id, digest), job);
        }
    }

    /// Ends the reading of a content, and returns who waits for what `job` found.
    pub(super) fn end_walk(
        &mut self,
        key: &FactsKey,
        digest: ManifestDigest,
        job: JobId,
    ) -> Vec<JobId> {
        let id = self.ids.get(&key.table);
        id.map_or_else(Vec::new, |id| self.walks.end((*id, digest), job))
    }

    /// Drops the facts of tags that `is_listed` does not know; those under way stay.
    pub(super) fn retain_tags(
        &mut self,
        repository: RepositoryId,
        is_listed: impl Fn(&str) -> bool,
    ) {
        for id in self.ids_of(repository) {
            let used = self.places[&id].used;
            self.change(id, used, |table| table.retain(&is_listed));
            self.drop_if_empty(id);
        }
    }

    /// Drops all facts of a repository and returns the lookups that were under way.
    pub(super) fn remove_repository(&mut self, repository: RepositoryId) -> Vec<JobId> {
        let mut jobs = Vec::new();
        for id in self.ids_of(repository) {
            jobs.extend(self.places[&id].table.jobs());
            self.drop_table(id);
            self.walks.remove_table(id);
        }
        jobs
    }

    pub(super) fn has_any(&self, repository: RepositoryId) -> bool {
        self.of_repository(repository).next().is_some()
    }

    pub(super) fn has_job(&self, repository: RepositoryId) -> bool {
        self.of_repository(repository)
            .any(|(_, id)| self.places[id].table.n_jobs() > 0)
    }

    /// How many lookups are under way.
    pub(super) fn n_jobs(&self) -> usize {
        self.places.values().map(|place| place.table.n_jobs()).sum()
    }

    /// Where the stale dates of a repository end of which `n_max` may be asked again; `None` when all
    /// of them may.
    pub(super) fn stale_bar(
        &self,
        repository: RepositoryId,
        n_max: usize,
        is_in_line: impl Fn(KnownTag<'_>) -> bool,
    ) -> Option<StaleBar> {
        let mut places: Vec<StalePlace> = self
            .of_repository(repository)
            .filter(|(key, _)| key.kind == FactsKind::Created)
            .flat_map(|(_, id)| self.places[id].table.iter())
            .filter(|tag| is_in_line(*tag))
            .filter_map(KnownTag::stale_place)
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

    /// Counts anew whether exactly the idle tables may go, and the bound holds.
    pub(super) fn is_in_order(&self) -> bool {
        let is_placed = |(id, place): (&TableId, &Place)| {
            let is_idle = place.table.n_jobs() == 0;
            self.idle.contains(&(place.used, *id)) == is_idle
                && self.idle_ids.contains(id) == is_idle
                && self.ids.get(&place.key) == Some(id)
                && place.table.is_in_order()
        };
        let bytes: usize = self.places.values().map(Place::footprint).sum();
        self.places.iter().all(is_placed)
            && self.ids.len() == self.places.len()
            && self.idle.len() == self.idle_ids.len()
            && self.bytes == bytes
            && bytes <= self.bytes_max
    }

    /// Bytes held.
    pub(super) fn footprint(&self) -> usize {
        let waiters = self.places.values().map(|one| one.table.waiter_bytes());
        self.bytes + waiters.sum::<usize>() + self.walks.footprint()
    }

    fn of_repository(
        &self,
        repository: RepositoryId,
    ) -> impl Iterator<Item = (&TableKey, &TableId)> {
        let first = TableKey {
            repository,
            kind: FactsKind::Digest,
            platforms: PlatformKeySet::default(),
        };
        self.ids
            .range(first..)
            .take_while(move |(key, _)| key.repository == repository)
    }

    fn ids_of(&self, repository: RepositoryId) -> Vec<TableId> {
        self.of_repository(repository).map(|(_, id)| *id).collect()
    }

    fn add(&mut self, key: TableKey, now: Time) -> TableId {
        let id = TableId(self.next_id);
        self.next_id += 1;
        let place = Place {
            key: key.clone(),
            table: FactTable::default(),
            used: now,
        };
        self.bytes += place.footprint();
        self.ids.insert(key, id);
        self.places.insert(id, place);
        self.idle.insert((now, id));
        self.idle_ids.insert(id);
        id
    }

    /// Works on a table that is used now, and keeps the books.
    fn change<T>(&mut self, id: TableId, now: Time, work: impl FnOnce(&mut FactTable) -> T) -> T {
        let place = self.places.get_mut(&id).expect("a table is there");
        let before = (place.footprint(), place.table.n_jobs() == 0, place.used);
        place.used = now;
        let result = work(&mut place.table);
        let is_idle = place.table.n_jobs() == 0;
        self.bytes = self.bytes - before.0 + place.footprint();
        if (before.1, before.2) != (is_idle, now) {
            if before.1 {
                self.idle.remove(&(before.2, id));
                self.idle_ids.remove(&id);
            }
            if is_idle {
                self.idle.insert((now, id));
                self.idle_ids.insert(id);
            }
        }
        result
    }

    fn drop_if_empty(&mut self, id: TableId) {
        if self.places[&id].table.is_empty() {
            self.drop_table(id);
        }
    }

    fn drop_table(&mut self, id: TableId) {
        let place = self.places.remove(&id).expect("a table is there");
        self.bytes -= place.footprint();
        self.ids.remove(&place.key);
        self.idle.remove(&(place.used, id));
        self.idle_ids.remove(&id);
    }

    /// Lets tables other than `own` go until there is room for so many more bytes. False when there is
    /// none to be made.
    fn make_room(&mut self, bytes: usize, own: Option<TableId>, now: Time) -> bool {
        while self.bytes + bytes > self.bytes_max {
            let Some(id) = self.next_to_go(own, now) else {
                return false;
            };
            self.drop_table(id);
        }
        true
    }

    fn next_to_go(&self, own: Option<TableId>, now: Time) -> Option<TableId> {
        let by_use = || self.idle.iter().filter(|(_, id)| Some(*id) != own);
        let (used, oldest) = by_use().next().copied()?;
        if now.since(used) > self.hold {
            return Some(oldest);
        }
        let is_decided = |id: &&TableId| now.since(self.places[*id].used) > DECISION_TIME;
        let by_age = self.idle_ids.iter().rev().filter(|id| Some(**id) != own);
        by_age.clone().find(is_decided).copied().or(Some(oldest))
    }
}

impl Place {
    fn footprint(&self) -> usize {
        TABLE_BYTES + self.table.footprint()
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

/// The tags of a listing, ready to be asked.
pub(super) fn tag_set<'a>(tags: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    tags.collect()
}

#[cfg(test)]
mod tests;
