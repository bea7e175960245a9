//! A repository's tag list, packed: names in registry order in one allocation.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::bytes;
use crate::keyed::fingerprint;
use crate::time::Now;

/// Longest tag name (the distribution specification's grammar).
pub const TAG_BYTES_MAX: usize = 128;

/// Most pages in a row without a tag that lead on to another one: registries filter what they show after they
/// cut it into pages.
const EMPTY_PAGES_MAX: u32 = 20;

/// A complete listing. A partial one is a [`ListingBuilder`] and cannot be mistaken for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// Each name behind one byte that holds its length.
    packed: Box<[u8]>,
    n_tags: u32,
    n_refused: u32,
    fingerprint: u64,
    started: Now,
    finished: Now,
}

impl Listing {
    /// The tag names in the order of the registry.
    ///
    /// # Panics
    /// Never: only names of the tag grammar are packed.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        names(&self.packed).map(|name| {
            core::str::from_utf8(name).expect("only names of the tag grammar are packed")
        })
    }

    /// How many tags there are.
    pub fn n_tags(&self) -> usize {
        self.n_tags as usize
    }

    /// How many names were dropped because no tag can be called so.
    pub fn n_refused(&self) -> usize {
        self.n_refused as usize
    }

    /// Changes whenever names or their order change.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// When its first request became due.
    pub fn started(&self) -> Now {
        self.started
    }

    /// When its last page was read.
    pub fn finished(&self) -> Now {
        self.finished
    }

    /// Notes that the registry called the list unchanged, when asked again at `started`.
    pub(super) fn confirm(&mut self, started: Now, finished: Now) {
        (self.started, self.finished) = (started, finished);
    }

    /// Bytes held by the names.
    pub fn footprint(&self) -> usize {
        self.packed.len() + size_of::<Self>()
    }
}

fn names(packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = packed;
    core::iter::from_fn(move || {
        let (length, tail) = rest.split_first()?;
        let (name, tail) = tail.split_at(usize::from(*length));
        rest = tail;
        Some(name)
    })
}

/// A listing under way: pages read so far. No decision is ever taken on it.
#[derive(Clone, Debug)]
pub struct ListingBuilder {
    packed: Vec<u8>,
    /// Fingerprints of the names in the first `known_bytes` of `packed`, once there is more than one page.
    known: BTreeSet<u64>,
    known_bytes: usize,
    /// Pages in a row that told no name.
    n_empty: u32,
    n_tags: u32,
    n_refused: u32,
    tags_max: u32,
    started: Now,
}

impl ListingBuilder {
    /// An empty listing that may hold at most `tags_max` names.
    pub fn new(started: Now, tags_max: u32) -> Self {
        Self {
            packed: Vec::new(),
            known: BTreeSet::new(),
            known_bytes: 0,
            n_empty: 0,
            n_tags: 0,
            n_refused: 0,
            tags_max,
            started,
        }
    }

    /// Adds the tags of one page, given the body of its response (`registry.md` 6.1).
    ///
    /// # Errors
    /// [`PageError`] when the body is not a page, or there are more tags than allowed. The builder is
    /// then as it was before.
    pub fn read_page(&mut self, body: &[u8]) -> Result<(), PageError> {
        let before = (self.packed.len(), self.n_tags, self.n_refused);
        let mut reader = serde_json::Deserializer::from_slice(body);
        let read = PageSeed(self)
            .deserialize(&mut reader)
            .and_then(|()| reader.end());
        read.map_err(|_| {
            let is_overflow = self.n_tags + self.n_refused > self.tags_max;
            self.packed.truncate(before.0);
            (self.n_tags, self.n_refused) = (before.1, before.2);
            if is_overflow {
                PageError::TooManyTags(self.tags_max)
            } else {
                PageError::Malformed
            }
        })
    }

    /// Ends the listing: duplicates keep their first place (D-26).
    pub fn finish(mut self, finished: Now) -> Listing {
        self.drop_duplicates();
        let fingerprint = fingerprint(&self.packed);
        Listing {
            packed: self.packed.into_boxed_slice(),
            n_tags: self.n_tags,
            n_refused: self.n_refused,
            fingerprint,
            started: self.started,
            finished,
        }
    }

    /// How many names were read, refused and repeated ones included.
    pub fn n_names(&self) -> u32 {
        self.n_tags + self.n_refused
    }

    /// True when the page that was read last and leads to another one shows that this never ends
    /// (D-26): its tags are all known from pages before it, or it is one too many in a row without any.
    pub(super) fn is_going_in_circles(&mut self) -> bool {
        let added = self.packed.get(self.known_bytes..).unwrap_or_default();
        self.known_bytes = self.packed.len();
        if added.is_empty() {
            self.n_empty += 1;
            return self.n_empty > EMPTY_PAGES_MAX;
        }
        self.n_empty = 0;
        let mut has_new = false;
        for name in names(added) {
            has_new |= self.known.insert(fingerprint(name));
        }
        !has_new
    }

    /// Forgets what was read.
    pub(super) fn clear(&mut self) {
        self.packed.clear();
        self.known.clear();
        (self.known_bytes, self.n_empty) = (0, 0);
        (self.n_tags, self.n_refused) = (0, 0);
    }

    /// When the listing was started.
    pub fn started(&self) -> Now {
        self.started
    }

    /// Bytes held so far.
    pub fn footprint(&self) -> usize {
        self.packed.capacity() + bytes::tree::<u64, ()>(self.known.len())
    }

    fn push(&mut self, name: &[u8]) -> bool {
        if is_tag(name) {
            let length = u8::try_from(name.len()).expect("a tag has at most 128 bytes");
            self.packed.push(length);
            self.packed.extend_from_slice(name);
            self.n_tags += 1;
        } else {
            self.n_refused += 1;
        }
        self.n_tags + self.n_refused <= self.tags_max
    }

    fn drop_duplicates(&mut self) {
        let mut order: Vec<(&[u8], usize)> = names(&self.packed)
            .enumerate()
            .map(|(place, name)| (name, place))
            .collect();
        // Most registries list in order: then nothing is there twice, and there is nothing to sort.
        if order.is_sorted_by(|one, other| one.0 < other.0) {
            return;
        }
        order.sort_unstable();
        let mut repeated: Vec<usize> = order
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[1].1)
            .collect();
        if repeated.is_empty() {
            return;
        }
        repeated.sort_unstable();
        let mut packed = Vec::with_capacity(self.packed.len());
        let mut repeated = repeated.into_iter().peekable();
        self.n_tags = 0;
        for (place, name) in names(&self.packed).enumerate() {
            if repeated.next_if_eq(&place).is_none() {
                packed.push(u8::try_from(name.len()).expect("a tag has at most 128 bytes"));
                packed.extend_from_slice(name);
                self.n_tags += 1;
            }
        }
        self.packed = packed;
    }
}

/// Why a page could not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageError {
    /// The body is no JSON object with a list of names in `tags`.
    Malformed,
    /// The listing holds more than the allowed number of tags.
    TooManyTags(u32),
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the answer is no tag list in JSON"),
            Self::TooManyTags(max) => write!(f, "the repository has more than {max} tags"),
        }
    }
}

impl core::error::Error for PageError {}

/// True for what the distribution specification allows as a tag.
pub fn is_tag(name: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.len() <= TAG_BYTES_MAX
        && name.first().is_some_and(is_word)
        && name
            .iter()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

struct PageSeed<'a>(&'a mut ListingBuilder);

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of tags")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Key {
            Tags,
            #[serde(other)]
            Other,
        }
        let mut has_tags = false;
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Tags if has_tags => return Err(A::Error::duplicate_field("tags")),
                Key::Tags => {
                    has_tags = true;
                    map.next_value_seed(TagsSeed(self.0))?;
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if has_tags {
            Ok(())
        } else {
            Err(A::Error::missing_field("tags"))
        }
    }
}

struct TagsSeed<'a>(&'a mut ListingBuilder);

impl<'de> DeserializeSeed<'de> for TagsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TagsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tags or null")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(has_room) = seq.next_element_seed(NameSeed(&mut *self.0))? {
            if !has_room {
                return Err(A::Error::custom("too many tags"));
            }
        }
        Ok(())
    }
}

/// Reads one name as bytes: a name that is no UTF-8 costs that name, not the page.
struct NameSeed<'a>(&'a mut ListingBuilder);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<bool, E> {
        Ok(self.0.push(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn pages_join_in_order_and_duplicates_keep_their_first_place() {
        let mut builder = ListingBuilder::new(Now::default(), 100);
        for page in [
            &br#"{"name":"a","tags":["b","a"]}"#[..],
            br#"{"tags":["a","c","b"]}"#,
            br#"{"tags":null}"#,
        ] {
            assert_eq!(builder.read_page(page), Ok(()));
        }
        let listing = builder.finish(Now::default());
        assert_eq!(listing.tags().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(listing.n_tags(), 3);
    }

    #[test]
    fn names_that_no_tag_can_have_are_counted_and_dropped() {
        let long = "x".repeat(128);
        let longer = "x".repeat(129);
        let mut body =
            format!(r#"{{"tags":["{long}","{longer}","","-a",".b","a b","\ud800","#).into_bytes();
        body.extend_from_slice(b"\"\xff\xfe\",\"ok\"]}");
        let mut builder = ListingBuilder::new(Now::default(), 100);
        assert_eq!(builder.read_page(&body), Ok(()));
        let listing = builder.finish(Now::default());
        assert_eq!(listing.tags().collect::<Vec<_>>(), [long.as_str(), "ok"]);
        assert_eq!(listing.n_refused(), 7);
    }

    #[test]
    fn a_body_that_is_no_page_leaves_the_builder_as_it_was() {
        let mut builder = ListingBuilder::new(Now::default(), 3);
        builder.read_page(br#"{"tags":["a"]}"#).expect("a page");
        let deep = format!(r#"{{"tags":{}"#, "[".repeat(10_000));
        for body in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"tags":["b"#,
            r#"{"tags":["b",1]}"#,
            r#"{"tags":"b"}"#,
            r#"{"tags":["b"]} x"#,
            &deep,
        ] {
            assert_eq!(
                builder.read_page(body.as_bytes()),
                Err(PageError::Malformed),
                "{body:.40}"
            );
        }
        assert_eq!(
            builder.read_page(br#"{"tags":["b","c","d"]}"#),
            Err(PageError::TooManyTags(3))
        );
        let listing = builder.finish(Now::default());
        assert_eq!(listing.tags().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_hundred_thousand_tags_are_packed_tightly() {
        let names: Vec<String> = (0..100_000).map(|n| format!("\"1.0.{n}\"")).collect();
        let body = format!(r#"{{"tags":[{}]}}"#, names.join(","));
        let mut builder = ListingBuilder::new(Now::default(), 100_000);
        assert_eq!(builder.read_page(body.as_bytes()), Ok(()));
        let listing = builder.finish(Now::default());
        assert_eq!(listing.n_tags(), 100_000);
        assert!(listing.footprint() < 1_100_000, "{}", listing.footprint());
    }

    #[test]
    fn the_fingerprint_sees_order() {
        let of = |body: &[u8]| {
            let mut builder = ListingBuilder::new(Now::default(), 9);
            builder.read_page(body).expect("a page");
            builder.finish(Now::default()).fingerprint()
        };
        assert_ne!(of(br#"{"tags":["a","b"]}"#), of(br#"{"tags":["b","a"]}"#));
        assert_eq!(
            of(br#"{"tags":["a","b"]}"#),
            of(br#"{"tags":["a","a","b"]}"#)
        );
    }
}
