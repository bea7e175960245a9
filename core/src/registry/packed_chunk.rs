//! Some neighbouring rows of [`PackedFacts`](super::packed_facts::PackedFacts).
//!
//! Invariants: a row costs 56 bytes and its text, which is its tag and, of a tag that is not usable, the
//! reason; texts stand one behind the other without gaps.

use alloc::string::String;
use alloc::vec::Vec;

use super::digest::ManifestDigest;
use super::inspection::{KnownFacts, TagFacts};
use crate::time::{Time, UnixTime};

/// Rows of a chunk.
pub(super) const ROWS_MAX: usize = 64;
/// Longest reason that is kept of a tag that is not usable; the rest is cut off.
pub(super) const REASON_BYTES_MAX: usize = 512;
/// Confirmations beyond these are not counted.
const CONFIRMED_MAX: u8 = 15;

/// Some neighbours.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// In the order of their tags.
    rows: Vec<Row>,
    /// Tags, each followed by its reason if it has one, in any order.
    text: Vec<u8>,
}

/// What is known about one tag.
#[derive(Clone, Copy, Debug)]
struct Row {
    digest: ManifestDigest,
    /// Nanoseconds since 1970 where it is dated.
    created: i64,
    started: Time,
    wanted_s: u32,
    /// Where its tag begins.
    text_at: u16,
    tag_bytes: u8,
    /// The verdict in the upper half, confirmations in the lower.
    state: u8,
}

/// What a row says of its tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Undated = 0,
    Dated = 1,
    OtherPlatform = 2,
    Unusable = 3,
}

/// A row as it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedFact<'a> {
    chunk: &'a Chunk,
    row: &'a Row,
}

impl<'a> PackedFact<'a> {
    pub(super) fn tag(self) -> &'a str {
        self.chunk.tag(self.row)
    }

    pub(super) fn facts(self) -> KnownFacts<'a> {
        let digest = self.row.digest;
        match self.row.verdict() {
            Verdict::Undated => KnownFacts::Usable {
                digest,
                created: None,
            },
            Verdict::Dated => KnownFacts::Usable {
                digest,
                created: Some(UnixTime::from_nanos(self.row.created)),
            },
            Verdict::OtherPlatform => KnownFacts::OtherPlatform { digest },
            Verdict::Unusable => KnownFacts::Unusable {
                digest,
                reason: self.chunk.reason(self.row),
            },
        }
    }

    pub(super) fn digest(self) -> ManifestDigest {
        self.row.digest
    }

    /// When the lookup was started that found this.
    pub(super) fn started(self) -> Time {
        self.row.started
    }

    /// When it was last asked about, to the second.
    pub(super) fn wanted(self) -> Time {
        Time::from_secs(u64::from(self.row.wanted_s))
    }

    /// How often in a row the digest was found to be the same again.
    pub(super) fn n_confirmed(self) -> u8 {
        self.row.n_confirmed()
    }
}

impl Chunk {
    pub(super) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn footprint(&self) -> usize {
        self.rows.capacity() * size_of::<Row>() + self.text.capacity()
    }

    pub(super) fn search(&self, tag: &str) -> Result<usize, usize> {
        let tag = tag.as_bytes();
        self.rows
            .binary_search_by(|row| name_in(&self.text, row).cmp(tag))
    }

    /// True when `tag` stands before all rows.
    pub(super) fn is_behind(&self, tag: &str) -> bool {
        let first = self.rows.first();
        first.is_none_or(|row| name_in(&self.text, row) > tag.as_bytes())
    }

    pub(super) fn fact(&self, at: usize) -> Option<PackedFact<'_>> {
        let row = self.rows.get(at)?;
        Some(PackedFact { chunk: self, row })
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = PackedFact<'_>> {
        self.rows.iter().map(|row| PackedFact { chunk: self, row })
    }

    /// Drops the rows of which `is_kept` does not say so by their tags.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        let Self { rows, text } = self;
        let n_rows = rows.len();
        rows.retain(|row| is_kept(tag_in(text, row)));
        if rows.len() < n_rows {
            self.pack();
        }
    }

    fn tag(&self, row: &Row) -> &str {
        tag_in(&self.text, row)
    }

    fn reason(&self, row: &Row) -> &str {
        reason_in(&self.text, row)
    }

    /// Notes that a row was asked about.
    pub(super) fn touch(&mut self, at: usize, now: Time) {
        self.rows[at].wanted_s = seconds(now);
    }

    /// Takes a full chunk's upper half out of it.
    pub(super) fn split_off_half(&mut self) -> Self {
        let mut upper = Self {
            rows: self.rows.split_off(ROWS_MAX / 2),
            text: self.text.clone(),
        };
        self.pack();
        upper.pack();
        upper
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.rows.remove(at);
        self.pack();
    }

    pub(super) fn insert(
        &mut self,
        at: usize,
        tag: &str,
        facts: &TagFacts,
        started: Time,
        wanted: Time,
    ) {
        if self.rows.len() == self.rows.capacity() {
            self.rows
                .reserve_exact(room_for(self.rows.len()).min(ROWS_MAX / 8));
        }
        let mut row = Row::new(facts, started, wanted);
        self.append(&mut row, tag, reason_of(facts));
        self.rows.insert(at, row);
    }

    pub(super) fn replace(&mut self, at: usize, facts: &TagFacts, started: Time, wanted: Time) {
        let known = self.rows[at];
        let mut row = Row {
            text_at: known.text_at,
            tag_bytes: known.tag_bytes,
            ..Row::new(facts, started, wanted)
        };
        if known.digest == row.digest {
            row.state |= (known.n_confirmed() + 1).min(CONFIRMED_MAX);
        }
        let has_text = |row: &Row| row.verdict() == Verdict::Unusable;
        let is_text_good = has_text(&known) == has_text(&row)
            && (!has_text(&row) || self.reason(&known) == reason_of(facts));
        if is_text_good {
            self.rows[at] = row;
        } else {
            let tag = String::from(self.tag(&known));
            self.append(&mut row, &tag, reason_of(facts));
            self.rows[at] = row;
            self.pack();
        }
    }

    /// Writes the text of a row behind all others.
    fn append(&mut self, row: &mut Row, tag: &str, reason: &str) {
        let is_unusable = row.verdict() == Verdict::Unusable;
        let bytes = tag.len() + if is_unusable { 2 + reason.len() } else { 0 };
        if self.text.capacity() - self.text.len() < bytes {
            self.text.reserve_exact(bytes.max(self.text.len() / 8));
        }
        row.text_at = short(self.text.len());
        row.tag_bytes = u8::try_from(tag.len()).expect("a tag has at most 128 bytes");
        self.text.extend_from_slice(tag.as_bytes());
        if is_unusable {
            self.text
                .extend_from_slice(&short(reason.len()).to_le_bytes());
            self.text.extend_from_slice(reason.as_bytes());
        }
    }

    /// Writes all texts anew, without gaps.
    fn pack(&mut self) {
        let bytes = self.rows.iter().map(|row| text_in(&self.text, row).len());
        let mut text = Vec::with_capacity(bytes.sum());
        for row in &mut self.rows {
            let own = text_in(&self.text, row);
            row.text_at = short(text.len());
            text.extend_from_slice(own);
        }
        self.text = text;
        self.rows.shrink_to_fit();
    }
}

impl Row {
    fn new(facts: &TagFacts, started: Time, wanted: Time) -> Self {
        let (verdict, created) = match facts {
            TagFacts::Usable { created: None, .. } => (Verdict::Undated, 0),
            TagFacts::Usable {
                created: Some(created),
                ..
            } => (Verdict::Dated, created.as_nanos()),
            TagFacts::OtherPlatform { .. } => (Verdict::OtherPlatform, 0),
            TagFacts::Unusable { .. } => (Verdict::Unusable, 0),
        };
        Self {
            digest: facts.digest(),
            created,
            started,
            wanted_s: seconds(wanted),
            text_at: 0,
            tag_bytes: 0,
            state: (verdict as u8) << 4,
        }
    }

    fn verdict(&self) -> Verdict {
        match self.state >> 4 {
            0 => Verdict::Undated,
            1 => Verdict::Dated,
            2 => Verdict::OtherPlatform,
            _ => Verdict::Unusable,
        }
    }

    fn n_confirmed(&self) -> u8 {
        self.state & CONFIRMED_MAX
    }
}

fn name_in<'a>(text: &'a [u8], row: &Row) -> &'a [u8] {
    let begin = usize::from(row.text_at);
    &text[begin..begin + usize::from(row.tag_bytes)]
}

fn tag_in<'a>(text: &'a [u8], row: &Row) -> &'a str {
    core::str::from_utf8(name_in(text, row)).expect("a row's tag was written as text")
}

/// The tag with its reason, if it has one.
fn text_in<'a>(text: &'a [u8], row: &Row) -> &'a [u8] {
    let begin = usize::from(row.text_at);
    let reason = match row.verdict() {
        Verdict::Unusable => 2 + reason_in(text, row).len(),
        Verdict::Undated | Verdict::Dated | Verdict::OtherPlatform => 0,
    };
    &text[begin..begin + usize::from(row.tag_bytes) + reason]
}

fn reason_in<'a>(text: &'a [u8], row: &Row) -> &'a str {
    let begin = usize::from(row.text_at) + usize::from(row.tag_bytes);
    let bytes = u16::from_le_bytes([text[begin], text[begin + 1]]);
    let reason = &text[begin + 2..begin + 2 + usize::from(bytes)];
    core::str::from_utf8(reason).expect("a row's reason was written as text")
}

fn reason_of(facts: &TagFacts) -> &str {
    match facts {
        TagFacts::Usable { .. } | TagFacts::OtherPlatform { .. } => "",
        TagFacts::Unusable { reason, .. } => {
            &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
        }
    }
}

/// How many places to add to so many.
pub(super) fn room_for(len: usize) -> usize {
    (len / 8).max(1)
}

fn short(len: usize) -> u16 {
    u16::try_from(len).expect("the texts of a chunk fit into 64 KiB")
}

fn seconds(time: Time) -> u32 {
    u32::try_from(time.as_millis() / 1000).unwrap_or(u32::MAX)
}
