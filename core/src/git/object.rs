//! Git objects as bytes: ids, hashing, tree entries and commits.
//!
//! The only module that knows the object crates: whoever changes their version changes this file. Ids are
//! SHA-1; a repository of another format is refused before an object of it is read.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::ops::Range;

use gix_object::WriteTo as _;
use gix_object::bstr::ByteSlice as _;

use crate::time::UnixTime;

/// The id of an object: SHA-1 over kind, length and content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 20]);

impl ObjectId {
    /// The id of nothing: the old value of a branch that is to be created.
    pub const NULL: Self = Self([0; 20]);

    /// Reads 40 hexadecimal digits.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        if hex.len() != 40 {
            return None;
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// Takes 20 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The id's 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// True for [`ObjectId::NULL`].
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }

    /// The id of `data` as an object of `kind`; `None` when the data is made to collide.
    pub fn of(kind: Kind, data: &[u8]) -> Option<Self> {
        let mut hasher = ObjectHasher::new(kind, data.len() as u64);
        hasher.handle_bytes(data);
        hasher.into_id()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Only lower-case digits, as every server writes them.
fn digit(hex: u8) -> Option<u8> {
    match hex {
        b'0'..=b'9' => Some(hex - b'0'),
        b'a'..=b'f' => Some(hex - b'a' + 10),
        _ => None,
    }
}

/// The kinds of objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A state of the repository, with its parents.
    Commit,
    /// A folder.
    Tree,
    /// A file's content.
    Blob,
    /// An annotated tag.
    Tag,
}

impl From<Kind> for gix_object::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Commit => Self::Commit,
            Kind::Tree => Self::Tree,
            Kind::Blob => Self::Blob,
            Kind::Tag => Self::Tag,
        }
    }
}

/// Hashes an object whose content comes in pieces.
pub struct ObjectHasher(gix_hash::Hasher);

impl ObjectHasher {
    /// Begins an object of `size_bytes`.
    pub fn new(kind: Kind, size_bytes: u64) -> Self {
        let mut hasher = gix_hash::hasher(gix_hash::Kind::Sha1);
        hasher.update(&gix_object::encode::loose_header(kind.into(), size_bytes));
        Self(hasher)
    }

    /// Begins a checksum over bytes as they are, as at the end of a pack.
    pub fn plain() -> Self {
        Self(gix_hash::hasher(gix_hash::Kind::Sha1))
    }

    /// Takes the next piece.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The id; `None` when the bytes are made to collide.
    pub fn into_id(self) -> Option<ObjectId> {
        let id = self.0.try_finalize().ok()?;
        ObjectId::from_bytes(id.as_slice())
    }
}

impl fmt::Debug for ObjectHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectHasher")
    }
}

/// What an entry of a tree is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A folder.
    Tree,
    /// A file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link.
    Link,
    /// Another repository at one of its commits.
    Submodule,
}

/// An entry of a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// What it is.
    pub kind: EntryKind,
    /// Its mode as it stands in the tree, which may be one that git no longer writes.
    mode: gix_object::tree::EntryMode,
    /// Its name; any bytes but `/` and NUL.
    pub name: &'a [u8],
    /// The object.
    pub id: ObjectId,
    /// Where in the tree's bytes it stands.
    pub at: Range<usize>,
}

/// Reads the entries of a tree; `None` when it is no tree.
pub fn entries(tree: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut iter = gix_object::TreeRefIter::from_bytes(tree, gix_hash::Kind::Sha1);
    let mut entries = Vec::new();
    let mut begin = 0;
    while let Some(entry) = iter.next() {
        let entry = entry.ok()?;
        let end = iter.offset_to_next_entry(tree);
        let kind = match entry.mode.kind() {
            gix_object::tree::EntryKind::Tree => EntryKind::Tree,
            gix_object::tree::EntryKind::Blob => EntryKind::File,
            gix_object::tree::EntryKind::BlobExecutable => EntryKind::Executable,
            gix_object::tree::EntryKind::Link => EntryKind::Link,
            gix_object::tree::EntryKind::Commit => EntryKind::Submodule,
        };
        entries.push(Entry {
            kind,
            mode: entry.mode,
            name: entry.filename,
            id: ObjectId::from_bytes(entry.oid.as_bytes())?,
            at: begin..end,
        });
        begin = end;
    }
    (begin == tree.len()).then_some(entries)
}

/// The bytes of an entry that takes the place of `old`: same mode and name, another object.
pub fn entry_with_id(old: &Entry<'_>, id: ObjectId) -> Vec<u8> {
    encode_entry(old.mode, old.name, id)
}

/// The bytes of a new entry: a plain file, or a folder.
pub fn new_entry(is_tree: bool, name: &[u8], id: ObjectId) -> Vec<u8> {
    let kind = if is_tree {
        gix_object::tree::EntryKind::Tree
    } else {
        gix_object::tree::EntryKind::Blob
    };
    encode_entry(kind.into(), name, id)
}

fn encode_entry(mode: gix_object::tree::EntryMode, name: &[u8], id: ObjectId) -> Vec<u8> {
    let mut backing = [0; 6];
    let mut bytes = mode.as_bytes(&mut backing).to_vec();
    bytes.push(b' ');
    bytes.extend_from_slice(name);
    bytes.push(0);
    bytes.extend_from_slice(id.as_bytes());
    bytes
}

/// Git's order of names in a tree, where a folder counts as its name with a slash.
pub fn name_order(left: &[u8], left_is_tree: bool, right: &[u8], right_is_tree: bool) -> Ordering {
    gix_object::tree::name_order(left, left_is_tree, right, right_is_tree)
}

/// Who made a commit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Identity {
    /// The name, without angle brackets and line ends.
    pub name: String,
    /// The mail address, without angle brackets and line ends.
    pub email: String,
}

impl Identity {
    /// The identity without what a commit's header cannot hold: git drops the same characters.
    #[must_use]
    pub fn to_written(&self) -> Self {
        let clean = |text: &str| {
            let kept: String = text
                .chars()
                .filter(|c| !matches!(c, '<' | '>' | '\n' | '\0'))
                .collect();
            let is_crud =
                |c: char| c <= ' ' || matches!(c, '.' | ',' | ':' | ';' | '"' | '\\' | '\'');
            kept.trim_matches(is_crud).to_string()
        };
        Self {
            name: clean(&self.name),
            email: clean(&self.email),
        }
    }
}

/// A commit to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewCommit<'a> {
    /// The tree.
    pub tree: ObjectId,
    /// The commit it follows.
    pub parent: ObjectId,
    /// Who wrote it.
    pub author: &'a Identity,
    /// Who committed it.
    pub committer: &'a Identity,
    /// When, in UTC.
    pub time: UnixTime,
    /// What it says.
    pub message: &'a str,
    /// The armoured signature.
    pub signature: Option<&'a str>,
}

impl NewCommit<'_> {
    /// The commit's bytes. Those without signature are what is signed.
    ///
    /// # Panics
    /// When memory does not take what is written to it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let person = |identity: &Identity| {
            let written = identity.to_written();
            gix_actor::Signature {
                name: written.name.into(),
                email: written.email.into(),
                time: gix_actor::date::Time {
                    seconds: self.time.as_secs().max(0),
                    offset: 0,
                },
            }
        };
        let id = |id: ObjectId| gix_hash::ObjectId::from_bytes_or_panic(id.as_bytes());
        let commit = gix_object::Commit {
            tree: id(self.tree),
            parents: [id(self.parent)].into_iter().collect(),
            author: person(self.author),
            committer: person(self.committer),
            encoding: None,
            message: self.message.replace('\0', "").into(),
            extra_headers: self
                .signature
                .map(|text| ("gpgsig".into(), text.trim_end().into()))
                .into_iter()
                .collect(),
        };
        let mut bytes = Vec::new();
        commit
            .write_to(&mut bytes)
            .expect("memory takes what is written to it, and an identity is free of what a header cannot hold");
        bytes
    }
}

/// What is looked at in a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// Its tree.
    pub tree: ObjectId,
    /// The commits it follows.
    pub parents: Vec<ObjectId>,
}

impl Commit {
    /// Reads the head of a commit; `None` when it is no commit.
    pub fn parse(commit: &[u8]) -> Option<Self> {
        let mut iter = gix_object::CommitRefIter::from_bytes(commit, gix_hash::Kind::Sha1);
        let tree = iter.tree_id().ok()?;
        let parents = iter.parent_ids();
        Some(Self {
            tree: ObjectId::from_bytes(tree.as_slice())?,
            parents: parents
                .map(|id| ObjectId::from_bytes(id.as_slice()))
                .collect::<Option<_>>()?,
        })
    }
}

/// True when a line of the commit's message is `line`.
pub fn has_message_line(commit: &[u8], line: &str) -> bool {
    let Some(begin) = commit.find(b"\n\n") else {
        return false;
    };
    commit[begin..]
        .split(|byte| *byte == b'\n')
        .any(|found| found.trim_end() == line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn ids_are_those_of_git() {
        let check = |kind, data: &[u8], id: &str| {
            assert_eq!(ObjectId::of(kind, data).unwrap().to_string(), id);
        };
        check(Kind::Blob, b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        check(Kind::Tree, b"", "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        check(
            Kind::Blob,
            b"hello\n",
            "ce013625030ba8dba906f756967f9e9ca394464a",
        );
        let id = ObjectId::of(Kind::Blob, b"").unwrap();
        assert_eq!(ObjectId::from_hex(id.to_string().as_bytes()), Some(id));
        for hex in ["", "e69d", &"g".repeat(40), &"a".repeat(64)] {
            assert_eq!(ObjectId::from_hex(hex.as_bytes()), None, "{hex}");
        }
    }

    #[test]
    fn entries_keep_modes_that_git_no_longer_writes() {
        let id = [7; 20];
        let mut tree = Vec::new();
        for (mode, name) in [
            ("100664", "a"),
            ("040000", "b"),
            ("120000", "c"),
            ("160000", "d"),
            ("100755", "e"),
        ] {
            tree.extend_from_slice(mode.as_bytes());
            tree.extend_from_slice(b" ");
            tree.extend_from_slice(name.as_bytes());
            tree.push(0);
            tree.extend_from_slice(&id);
        }
        let read = entries(&tree).unwrap();
        let kinds: Vec<_> = read.iter().map(|entry| entry.kind).collect();
        assert_eq!(
            kinds,
            [
                EntryKind::File,
                EntryKind::Tree,
                EntryKind::Link,
                EntryKind::Submodule,
                EntryKind::Executable
            ]
        );
        let written: Vec<u8> = read
            .iter()
            .flat_map(|entry| entry_with_id(entry, entry.id))
            .collect();
        assert_eq!(written, tree, "to the byte");
        assert_eq!(entries(&tree[..tree.len() - 1]), None, "cut off");
    }

    #[test]
    fn commits_are_written_as_git_reads_them() {
        let identity = Identity {
            name: " Up<dater>\n, ".into(),
            email: "up@example.com".into(),
        };
        let commit = NewCommit {
            tree: ObjectId::of(Kind::Tree, b"").unwrap(),
            parent: ObjectId::NULL,
            author: &identity,
            committer: &identity,
            time: UnixTime::from_secs(1_700_000_000),
            message: "subject\n\nBatch: 1\n",
            signature: Some("-----BEGIN-----\nabc\n-----END-----\n"),
        };
        let bytes = commit.to_bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(
            text,
            "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
             parent 0000000000000000000000000000000000000000\n\
             author Updater <up@example.com> 1700000000 +0000\n\
             committer Updater <up@example.com> 1700000000 +0000\n\
             gpgsig -----BEGIN-----\n abc\n -----END-----\n\
             \nsubject\n\nBatch: 1\n"
        );
        let read = Commit::parse(&bytes).unwrap();
        assert_eq!(read.parents, vec![ObjectId::NULL]);
        assert!(has_message_line(&bytes, "Batch: 1"));
        assert!(!has_message_line(&bytes, "Batch: 2"));
        assert!(!has_message_line(&bytes, "author Updater"), "no header");
    }
}
