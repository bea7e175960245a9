//! The facts that one kind of lookup needs of the tags of one repository: what was found, packed, and beside
//! it what is being looked up or failed.
//!
//! Invariant: [`FactTable::footprint`] and [`FactTable::n_jobs`] are always up to date.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::digest::ManifestDigest;
use super::inspection::{KnownFacts, TagFacts};
use super::job::JobId;
use super::outcome::{LookupFailure, LookupFailureKind, WaiterId};
use super::packed_chunk::PackedFact;
use super::packed_facts::PackedFacts;
use crate::bytes;
use crate::keyed::{Purpose, Seed, fingerprint};
use crate::time::Time;

/// What a lookup costs beside its texts and waiters.
pub(super) const LOOKUP_BYTES: usize = bytes::tree::<Box<str>, FactLookup>(14) / 14;

/// All tags of a table.
#[derive(Debug, Default)]
pub(super) struct FactTable {
    rows: PackedFacts,
    lookups: BTreeMap<Box<str>, FactLookup>,
    lookup_bytes: usize,
    n_jobs: usize,
}

/// The lookup of a tag that is under way, or failed.
#[derive(Debug)]
struct FactLookup {
    started: Time,
    /// When it was last asked about.
    wanted: Time,
    job: Option<JobId>,
    /// Why it failed, once it did.
    failure: Option<LookupFailure>,
    waiters: Vec<WaiterId>,
}

/// What is known of a tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownTag<'a> {
    row: Option<PackedFact<'a>>,
    lookup: Option<&'a FactLookup>,
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

/// How long facts hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct FactsAge {
    pub(super) interval: Duration,
    /// What was found holds for ever.
    pub(super) once: bool,
    /// What was just found holds so long.
    pub(super) min: Duration,
    /// What was found to be the same again holds twice as long each time, up to this.
    pub(super) max: Duration,
    /// Moves the ends of those that differ from the interval, so that they do not all come at once.
    pub(super) seed: Seed,
}

/// A place in the line of what is known but old; the lowest goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum StalePlace {
    /// Its last lookup failed, and until it succeeds the image is held back.
    Failed,
    /// It was last asked about then.
    Since(Time),
}

impl FactTable {
    /// Bytes held beside its own fields; waiters left out, they are bounded elsewhere.
    pub(super) fn footprint(&self) -> usize {
        self.rows.footprint() + self.lookup_bytes
    }

    /// Bytes of the waiters.
    pub(super) fn waiter_bytes(&self) -> usize {
        let waiters = self.lookups.values().map(|one| one.waiters.capacity());
        waiters.sum::<usize>() * size_of::<WaiterId>()
    }

    /// How many lookups are under way.
    pub(super) fn n_jobs(&self) -> usize {
        self.n_jobs
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.lookups.is_empty()
    }

    pub(super) fn find(&self, tag: &str) -> Option<KnownTag<'_>> {
        let row = self.rows.find(tag);
        let lookup = self.lookups.get(tag);
        (row.is_some() || lookup.is_some()).then_some(KnownTag { row, lookup })
    }

    pub(super) fn find_digest(&self, digest: ManifestDigest) -> Option<KnownFacts<'_>> {
        self.rows.find_digest(digest).map(PackedFact::facts)
    }

    /// All tags, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = KnownTag<'_>> {
        let found = self.rows.iter().map(|row| KnownTag {
            row: Some(row),
            lookup: self.lookups.get(row.tag()),
        });
        let others = self.lookups.iter().filter_map(|(tag, lookup)| {
            self.rows.find(tag).is_none().then_some(KnownTag {
                row: None,
                lookup: Some(lookup),
            })
        });
        found.chain(others)
    }

    /// Notes that a tag was asked about.
    pub(super) fn touch(&mut self, tag: &str, now: Time) {
        self.rows.touch(tag, now);
        if let Some(lookup) = self.lookups.get_mut(tag) {
            lookup.wanted = now;
        }
    }

    /// Lets `waiter` be told when the lookup of a tag ends.
    pub(super) fn add_waiter(&mut self, tag: &str, waiter: WaiterId) {
        let lookup = self.lookups.get_mut(tag);
        let waiters = &mut lookup.expect("the lookup is under way").waiters;
        if let Err(place) = waiters.binary_search(&waiter) {
            waiters.insert(place, waiter);
        }
    }

    /// Notes that a lookup of a tag begins.
    pub(super) fn begin(&mut self, tag: &str, job: JobId, waiter: WaiterId, now: Time) {
        self.drop_lookup(tag);
        let lookup = FactLookup {
            started: now,
            wanted: now,
            job: Some(job),
            failure: None,
            waiters: Vec::from([waiter]),
        };
        self.lookup_bytes += lookup.footprint(tag);
        self.lookups.insert(tag.into(), lookup);
        self.n_jobs += 1;
    }

    /// Notes how the lookup of a tag ended, and returns who waited for it.
    pub(super) fn finish(
        &mut self,
        tag: &str,
        result: &Result<TagFacts, LookupFailure>,
    ) -> Option<Vec<WaiterId>> {
        let mut lookup = self.drop_lookup(tag)?;
        let waiters = core::mem::take(&mut lookup.waiters);
        match result {
            Ok(facts) => self.rows.insert(tag, facts, lookup.started, lookup.wanted),
            Err(failure) => {
                lookup.job = None;
                lookup.failure = Some(failure.clone());
                self.lookup_bytes += lookup.footprint(tag);
                self.lookups.insert(tag.into(), lookup);
            }
        }
        Some(waiters)
    }

    /// Drops what is known of a tag that is not being looked up.
    pub(super) fn forget(&mut self, tag: &str) {
        self.rows.remove(tag);
        self.drop_lookup(tag);
    }

    /// Drops the tags that `is_kept` does not know; those under way stay.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        let Self {
            rows,
            lookups,
            lookup_bytes,
            ..
        } = self;
        let is_under_way = |one: &FactLookup| one.job.is_some();
        rows.retain(|tag| is_kept(tag) || lookups.get(tag).is_some_and(is_under_way));
        lookups.retain(|tag, one| {
            let stays = is_under_way(one) || is_kept(tag);
            if !stays {
                *lookup_bytes -= one.footprint(tag);
            }
            stays
        });
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.lookups.values().filter_map(|one| one.job)
    }

    /// Counts anew whether the counters are right.
    pub(super) fn is_in_order(&self) -> bool {
        let bytes = self.lookups.iter().map(|(tag, one)| one.footprint(tag));
        self.lookup_bytes == bytes.sum::<usize>() && self.n_jobs == self.jobs().count()
    }

    fn drop_lookup(&mut self, tag: &str) -> Option<FactLookup> {
        let lookup = self.lookups.remove(tag)?;
        self.lookup_bytes -= lookup.footprint(tag);
        self.n_jobs -= usize::from(lookup.job.is_some());
        Some(lookup)
    }
}

impl FactLookup {
    fn footprint(&self, tag: &str) -> usize {
        let detail = self.failure.as_ref().map_or(0, |one| one.detail.len());
        LOOKUP_BYTES + tag.len() + detail
    }
}

impl<'a> KnownTag<'a> {
    /// What was found, however old.
    pub(super) fn kept(self) -> Option<KnownFacts<'a>> {
        self.row.map(PackedFact::facts)
    }

    /// Why the last lookup failed, if it did.
    pub(super) fn failure(self) -> Option<&'a LookupFailure> {
        self.lookup?.failure.as_ref()
    }

    /// When it was last asked about.
    pub(super) fn wanted(self) -> Time {
        let row = self.row.map(PackedFact::wanted);
        row.max(self.lookup.map(|one| one.wanted))
            .unwrap_or_default()
    }

    /// Facts hold for a time from the start of their lookup; a check that comes within the last tenth of
    /// the interval before that asks again. A failure holds as long as one interval: what failed is not
    /// hammered.
    pub(super) fn plan(self, now: Time, age: &FactsAge) -> FactsPlan {
        match (self.lookup, self.row) {
            (Some(lookup), _) if lookup.job.is_some() => FactsPlan::Join,
            (Some(lookup), _) if age.is_over(lookup.started, age.interval, now) => FactsPlan::Start,
            (Some(_), _) => FactsPlan::Fail,
            (None, Some(row)) if age.once || !age.is_over_for(row, now) => FactsPlan::Keep,
            (None, _) => FactsPlan::Start,
        }
    }

    /// What to answer when something is known but old, and may not be asked for again yet. A tag that is
    /// missing is known to be so.
    pub(super) fn stale_plan(self) -> Option<FactsPlan> {
        match self.failure() {
            None => self.row.map(|_| FactsPlan::Keep),
            Some(failure) => (self.row.is_some() || failure.kind == LookupFailureKind::Missing)
                .then_some(FactsPlan::Fail),
        }
    }

    /// Its place among what is known but old; `None` when nothing is known.
    pub(super) fn stale_place(self) -> Option<StalePlace> {
        self.stale_plan()?;
        match self.lookup {
            Some(FactLookup {
                failure: Some(failure),
                ..
            }) if failure.kind != LookupFailureKind::Missing => Some(StalePlace::Failed),
            Some(lookup) => Some(StalePlace::Since(lookup.started)),
            None => self.row.map(|row| StalePlace::Since(row.started())),
        }
    }
}

impl FactsAge {
    fn is_over(&self, started: Time, age: Duration, now: Time) -> bool {
        now.since(started) >= age.saturating_sub(self.interval / 10)
    }

    /// A row holds the longer, the more often it was found to be the same, less up to a quarter of that
    /// time, by which tags that were read together come apart.
    fn is_over_for(&self, row: PackedFact<'_>, now: Time) -> bool {
        let n_confirmed = u32::from(row.n_confirmed());
        let grown = self.min.saturating_mul(1 << n_confirmed);
        let age = grown.min(self.max.max(self.min));
        let early_max = if self.max > self.min {
            age / 4
        } else {
            Duration::ZERO
        };
        // Most rows are young: they need no draw.
        self.is_over(row.started(), age.saturating_sub(early_max), now)
            && self.is_over(
                row.started(),
                age.saturating_sub(self.early(row, early_max)),
                now,
            )
    }

    fn early(&self, row: PackedFact<'_>, bound: Duration) -> Duration {
        let digest = row.digest();
        let tag = fingerprint(row.tag().as_bytes());
        let attempt = tag.wrapping_add(row.n_confirmed().into());
        self.seed
            .duration(Purpose::Revalidation, digest.as_bytes(), attempt, bound)
    }
}
