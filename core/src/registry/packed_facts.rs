//! Facts of the tags of one repository, packed: rows in the order of their tags, in chunks.
//!
//! Invariants: a chunk is never empty and has at most [`ROWS_MAX`] rows, so that whatever changes moves a few
//! kilobytes and not the whole table; [`PackedFacts::footprint`] is always up to date, and a row costs at
//! most 120 bytes with a tag of usual length.

use alloc::vec::Vec;

use super::digest::ManifestDigest;
use super::inspection::TagFacts;
use super::listing::TAG_BYTES_MAX;
use super::packed_chunk::{Chunk, PackedFact, ROWS_MAX, room_for};
use crate::time::Time;

/// All rows.
#[derive(Debug, Default)]
pub(super) struct PackedFacts {
    /// In the order of their tags.
    chunks: Vec<Chunk>,
    /// Bytes of the chunks, beside their places in the list.
    chunk_bytes: usize,
}

impl PackedFacts {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes held beside its own fields.
    pub(super) fn footprint(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>() + self.chunk_bytes
    }

    pub(super) fn find(&self, tag: &str) -> Option<PackedFact<'_>> {
        let chunk = self.chunks.get(self.chunk_of(tag)?)?;
        chunk.fact(chunk.search(tag).ok()?)
    }

    /// What is known of a tag that points to `digest`, whichever that is.
    pub(super) fn find_digest(&self, digest: ManifestDigest) -> Option<PackedFact<'_>> {
        self.iter().find(|row| row.digest() == digest)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = PackedFact<'_>> {
        self.chunks.iter().flat_map(Chunk::facts)
    }

    /// Notes that a tag was asked about.
    pub(super) fn touch(&mut self, tag: &str, now: Time) {
        let Some(chunk) = self.chunk_of(tag).map(|at| &mut self.chunks[at]) else {
            return;
        };
        if let Ok(at) = chunk.search(tag) {
            chunk.touch(at, now);
        }
    }

    /// Keeps what a lookup that was started then found; nothing of what cannot be a tag.
    pub(super) fn insert(&mut self, tag: &str, facts: &TagFacts, started: Time, wanted: Time) {
        if tag.is_empty() || tag.len() > TAG_BYTES_MAX {
            return;
        }
        let mut at = self.chunk_of(tag).unwrap_or(0);
        if self.chunks.is_empty() {
            self.add_chunk(0, Chunk::default());
        }
        let mut place = self.chunks[at].search(tag);
        if let Err(row) = place
            && self.chunks[at].n_rows() >= ROWS_MAX
        {
            at = self.split(at, row);
            place = self.chunks[at].search(tag);
        }
        let chunk = &mut self.chunks[at];
        let before = chunk.footprint();
        match place {
            Ok(row) => chunk.replace(row, facts, started, wanted),
            Err(row) => chunk.insert(row, tag, facts, started, wanted),
        }
        self.chunk_bytes += chunk.footprint();
        self.chunk_bytes -= before;
    }

    pub(super) fn remove(&mut self, tag: &str) {
        let Some(at) = self.chunk_of(tag) else {
            return;
        };
        let Ok(row) = self.chunks[at].search(tag) else {
            return;
        };
        let chunk = &mut self.chunks[at];
        self.chunk_bytes -= chunk.footprint();
        chunk.remove(row);
        self.chunk_bytes += chunk.footprint();
        if chunk.n_rows() == 0 {
            self.chunks.remove(at);
        }
    }

    /// Drops the rows of which `is_kept` does not say so by their tags.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        for chunk in &mut self.chunks {
            chunk.retain(&is_kept);
        }
        self.chunks.retain(|chunk| chunk.n_rows() > 0);
        self.chunks.shrink_to_fit();
        self.chunk_bytes = self.chunks.iter().map(Chunk::footprint).sum();
    }

    /// The chunk that holds `tag`, or would; `None` when there is none at all.
    fn chunk_of(&self, tag: &str) -> Option<usize> {
        let after = self.chunks.partition_point(|chunk| !chunk.is_behind(tag));
        (!self.chunks.is_empty()).then(|| after.saturating_sub(1))
    }

    /// Makes room in a full chunk for a row at `row`, and returns where it belongs now. What comes in order
    /// leaves full chunks behind.
    fn split(&mut self, at: usize, row: usize) -> usize {
        if row == ROWS_MAX {
            self.add_chunk(at + 1, Chunk::default());
            return at + 1;
        }
        let chunk = &mut self.chunks[at];
        self.chunk_bytes -= chunk.footprint();
        let upper = chunk.split_off_half();
        self.chunk_bytes += chunk.footprint();
        self.add_chunk(at + 1, upper);
        if row > ROWS_MAX / 2 { at + 1 } else { at }
    }

    fn add_chunk(&mut self, at: usize, chunk: Chunk) {
        if self.chunks.len() == self.chunks.capacity() {
            self.chunks.reserve_exact(room_for(self.chunks.len()));
        }
        self.chunk_bytes += chunk.footprint();
        self.chunks.insert(at, chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use alloc::collections::BTreeMap;
    use alloc::format;
    use proptest::prelude::*;

    use super::super::inspection::KnownFacts;
    use super::super::packed_chunk::REASON_BYTES_MAX;
    use crate::fixed_cases::{CASES, config};
    use crate::time::UnixTime;
    use alloc::string::String;

    fn dated(digest: &str, secs: i64) -> TagFacts {
        TagFacts::Usable {
            digest: ManifestDigest::of(digest.as_bytes()),
            created: Some(UnixTime::from_secs(secs)),
        }
    }

    #[test]
    fn a_hundred_thousand_tags_cost_little_more_than_their_rows_in_any_order() {
        const TAGS: usize = 100_000;
        // 7 is coprime to the number of tags: each comes once, far from the one before.
        for stride in [1, 7 * 7 * 7 * 7] {
            let mut packed = PackedFacts::default();
            for n in 0..TAGS {
                let tag = format!("1.0.{:05}", n * stride % TAGS);
                packed.insert(&tag, &dated(&tag, 1), Time::ZERO, Time::ZERO);
            }
            assert_eq!(packed.iter().count(), TAGS);
            let bytes = packed.footprint() / TAGS;
            assert!(bytes <= 100, "{bytes} bytes per tag in steps of {stride}");
        }
    }

    #[test]
    fn confirmations_are_counted_until_the_digest_moves() {
        let mut packed = PackedFacts::default();
        let mut n_confirmed = |facts: &TagFacts| {
            packed.insert("latest", facts, Time::ZERO, Time::ZERO);
            packed.find("latest").map(PackedFact::n_confirmed)
        };
        for n in 0..20 {
            assert_eq!(n_confirmed(&dated("a", 1)), Some(n.min(15)));
        }
        assert_eq!(n_confirmed(&dated("b", 1)), Some(0));
    }

    #[test]
    fn a_reason_without_end_is_cut_off_between_characters() {
        let mut packed = PackedFacts::default();
        for n in 0..200 {
            let facts = TagFacts::Unusable {
                digest: ManifestDigest::of(b"a"),
                reason: "\u{e9}".repeat(4000 + n).into(),
            };
            packed.insert(&format!("{n:0>128}"), &facts, Time::ZERO, Time::ZERO);
        }
        for row in packed.iter() {
            let KnownFacts::Unusable { reason, .. } = row.facts() else {
                panic!("it was not usable");
            };
            assert_eq!(reason.len(), REASON_BYTES_MAX);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(String, TagFacts),
        Remove(String),
        Retain(String),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let tag = "[a-c]{1,5}";
        let facts = (any::<u8>(), 0_u8..4, "[a-z\u{e9}]{0,20}").prop_map(|(n, kind, reason)| {
            let digest = ManifestDigest::of(&[n % 3]);
            match kind {
                0 => TagFacts::Usable {
                    digest,
                    created: None,
                },
                1 => TagFacts::Usable {
                    digest,
                    created: Some(UnixTime::from_secs(n.into())),
                },
                2 => TagFacts::OtherPlatform { digest },
                _ => TagFacts::Unusable {
                    digest,
                    reason: Box::from(reason),
                },
            }
        });
        prop_oneof![
            40 => (tag, facts).prop_map(|(tag, facts)| Step::Insert(tag, facts)),
            4 => tag.prop_map(Step::Remove),
            1 => "[a-c]".prop_map(Step::Retain),
        ]
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn it_behaves_like_a_map(steps in prop::collection::vec(any_step(), 1..600)) {
            let mut packed = PackedFacts::default();
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Insert(tag, facts) => {
                        packed.insert(&tag, &facts, Time::ZERO, Time::ZERO);
                        model.insert(tag, facts);
                    }
                    Step::Remove(tag) => {
                        packed.remove(&tag);
                        model.remove(&tag);
                    }
                    Step::Retain(start) => {
                        packed.retain(|tag| !tag.starts_with(&start));
                        model.retain(|tag, _| !tag.starts_with(&start));
                    }
                }
            }
            for (tag, facts) in &model {
                let found = packed.find(tag).map(|row| row.facts().to_owned());
                prop_assert_eq!(found.as_ref(), Some(facts));
            }
            let tags = packed.iter().map(PackedFact::tag);
            prop_assert!(tags.eq(model.keys().map(String::as_str)));
            let bytes: usize = packed.chunks.iter().map(Chunk::footprint).sum();
            prop_assert_eq!(packed.chunk_bytes, bytes);
        }
    }
}
