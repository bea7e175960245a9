//! Paths in trees: looking them up, and writing the trees that follow from edits.
//!
//! A tree is never rebuilt from what was understood of it. Entries that are edited are replaced where they
//! stand, new ones are put where git sorts them, and every other byte stays.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::job::{Found, PathRefusal};
use super::known::{Load, Objects};
use super::object::{self, EntryKind, Kind, ObjectId};
use super::pack::PackError;

/// Folders of a path.
const PATH_DEPTH_MAX: usize = 64;
/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 4_096;

/// True when `path` leads from the root of a repository to something in it: no empty names, no `.` and `..`,
/// nothing that some system takes for git's own folder, no control characters.
pub(super) fn is_path(path: &str) -> bool {
    let is_name = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let bare = lower.trim_end_matches([' ', '.', '\u{200c}', '\u{200d}', '\u{feff}']);
        let bare = bare.split(':').next().unwrap_or_default();
        !matches!(name, "" | "." | "..") && bare != ".git" && !bare.starts_with("git~")
    };
    path.len() <= PATH_BYTES_MAX
        && path.split('/').count() <= PATH_DEPTH_MAX
        && path.split('/').all(is_name)
        && !path.contains(|c: char| c.is_control() || c == '\\')
}

/// Paths as folders in folders.
struct Folder<T> {
    folders: BTreeMap<Vec<u8>, Folder<T>>,
    files: BTreeMap<Vec<u8>, T>,
}

impl<T> Folder<T> {
    const fn new() -> Self {
        Self {
            folders: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    fn insert(&mut self, path: &str, value: T) {
        let mut folder = self;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            let name = name.as_bytes().to_vec();
            if names.peek().is_none() {
                folder.files.insert(name, value);
                return;
            }
            folder = folder.folders.entry(name).or_insert(Self::new());
        }
    }

    fn into_values(self, values: &mut Vec<T>) {
        values.extend(self.files.into_values());
        for folder in self.folders.into_values() {
            folder.into_values(values);
        }
    }
}

/// What is still needed before all paths are looked up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) trees: BTreeSet<ObjectId>,
    pub(super) blobs: BTreeSet<ObjectId>,
}

impl Missing {
    pub(super) fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.blobs.is_empty()
    }
}

/// What stands in the way of a look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LookupError {
    Pack(PackError),
    /// An object that should be a tree is none.
    NoTree,
}

impl From<PackError> for LookupError {
    fn from(error: PackError) -> Self {
        Self::Pack(error)
    }
}

/// Looks up `paths` below tree `root`. What is found is only complete when nothing is missing.
pub(super) fn look_up(
    paths: &BTreeSet<String>,
    root: ObjectId,
    file_bytes_max: usize,
    objects: &mut Objects,
) -> Result<(BTreeMap<String, Found>, Missing), LookupError> {
    let mut lookup = Lookup {
        file_bytes_max,
        objects,
        found: BTreeMap::new(),
        missing: Missing::default(),
    };
    let mut folder = Folder::new();
    for path in paths {
        if is_path(path) {
            folder.insert(path, path.clone());
        } else {
            let refused = Found::Refused(PathRefusal::Invalid);
            lookup.found.insert(path.clone(), refused);
        }
    }
    lookup.on_folder(folder, root)?;
    Ok((lookup.found, lookup.missing))
}

struct Lookup<'a> {
    file_bytes_max: usize,
    objects: &'a mut Objects,
    found: BTreeMap<String, Found>,
    missing: Missing,
}

impl Lookup<'_> {
    fn on_folder(&mut self, mut folder: Folder<String>, tree: ObjectId) -> Result<(), LookupError> {
        if folder.files.is_empty() && folder.folders.is_empty() {
            return Ok(());
        }
        let Load::Here(data) = self.objects.load(Kind::Tree, tree)? else {
            self.missing.trees.insert(tree);
            return Ok(());
        };
        let entries = object::entries(data).ok_or(LookupError::NoTree)?;
        let wanted: Vec<(Vec<u8>, EntryKind, ObjectId)> = entries
            .into_iter()
            .filter(|entry| {
                folder.files.contains_key(entry.name) || folder.folders.contains_key(entry.name)
            })
            .map(|entry| (entry.name.to_vec(), entry.kind, entry.id))
            .collect();
        for (name, kind, id) in wanted {
            if let Some(path) = folder.files.remove(&name) {
                let found = match kind {
                    EntryKind::File | EntryKind::Executable => self.on_file(id)?,
                    EntryKind::Tree => Some(Found::Refused(PathRefusal::Directory)),
                    EntryKind::Link => Some(Found::Refused(PathRefusal::Symlink)),
                    EntryKind::Submodule => Some(Found::Refused(PathRefusal::Submodule)),
                };
                self.found.extend(found.map(|found| (path, found)));
            }
            if let Some(below) = folder.folders.remove(&name) {
                let refusal = match kind {
                    EntryKind::Tree => {
                        self.on_folder(below, id)?;
                        continue;
                    }
                    EntryKind::File | EntryKind::Executable => PathRefusal::BehindFile,
                    EntryKind::Link => PathRefusal::Symlink,
                    EntryKind::Submodule => PathRefusal::Submodule,
                };
                self.on_rest(below, &Found::Refused(refusal));
            }
        }
        self.on_rest(folder, &Found::Absent);
        Ok(())
    }

    fn on_rest(&mut self, folder: Folder<String>, found: &Found) {
        let mut paths = Vec::new();
        folder.into_values(&mut paths);
        self.found
            .extend(paths.into_iter().map(|path| (path, found.clone())));
    }

    fn on_file(&mut self, id: ObjectId) -> Result<Option<Found>, LookupError> {
        Ok(match self.objects.load(Kind::Blob, id)? {
            Load::Here(data) if data.len() <= self.file_bytes_max => {
                Some(Found::File(data.to_vec()))
            }
            Load::Here(_) | Load::TooLarge => Some(Found::Refused(PathRefusal::TooLarge)),
            Load::Missing => {
                self.missing.blobs.insert(id);
                None
            }
        })
    }
}

/// Why edits are not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum EditError {
    Path(String, PathRefusal),
    Lookup(LookupError),
    /// A tree that an edit goes through was not read: the path was not asked for.
    NotRead(String),
}

/// What edits make.
#[derive(Debug)]
pub(super) struct Written {
    /// The root.
    pub(super) root: ObjectId,
    /// What is new, in the order in which it can be sent: what it holds comes before what holds it.
    pub(super) new: Vec<(Kind, ObjectId)>,
}

/// Writes `files` into the tree `root`; what is new is in `objects` too.
pub(super) fn write(
    files: BTreeMap<String, Vec<u8>>,
    root: ObjectId,
    objects: &mut Objects,
) -> Result<Written, EditError> {
    let mut folder = Folder::new();
    for (path, content) in files {
        if !is_path(&path) {
            return Err(EditError::Path(path, PathRefusal::Invalid));
        }
        folder.insert(&path, content);
    }
    let mut new = Vec::new();
    let root = write_folder(folder, Some(root), "", objects, &mut new)?;
    // Files of one content are one object, and a pack has none twice.
    let mut seen = BTreeSet::new();
    new.retain(|(_, id)| seen.insert(*id));
    Ok(Written { root, new })
}

fn write_folder(
    folder: Folder<Vec<u8>>,
    tree: Option<ObjectId>,
    prefix: &str,
    objects: &mut Objects,
    new: &mut Vec<(Kind, ObjectId)>,
) -> Result<ObjectId, EditError> {
    let path = |name: &[u8]| format!("{prefix}{}", String::from_utf8_lossy(name));
    let old = match tree {
        None => Vec::new(),
        Some(id) => match objects.load(Kind::Tree, id) {
            Ok(Load::Here(data)) => data.to_vec(),
            Ok(Load::TooLarge | Load::Missing) => return Err(EditError::NotRead(prefix.into())),
            Err(error) => return Err(EditError::Lookup(error.into())),
        },
    };
    let entries = object::entries(&old).ok_or(EditError::Lookup(LookupError::NoTree))?;
    let mut by_name = BTreeMap::new();
    for entry in &entries {
        by_name.entry(entry.name).or_insert(entry);
    }
    if let Some(name) = folder
        .files
        .keys()
        .find(|name| folder.folders.contains_key(*name))
    {
        return Err(EditError::Path(path(name), PathRefusal::BehindFile));
    }
    // Where, what stands there, and whether it is new.
    let mut splices: Vec<(core::ops::Range<usize>, Vec<u8>)> = Vec::new();
    let insert = |name: &[u8], is_tree: bool, id: ObjectId| {
        let before = entries.partition_point(|entry| {
            let entry_is_tree = entry.kind == EntryKind::Tree;
            object::name_order(entry.name, entry_is_tree, name, is_tree).is_lt()
        });
        let at = entries
            .get(before)
            .map_or(old.len(), |entry| entry.at.start);
        (at..at, object::new_entry(is_tree, name, id))
    };
    for (name, below) in folder.folders {
        let old_entry = by_name.get(&*name);
        let refusal = match old_entry.map(|entry| entry.kind) {
            None | Some(EntryKind::Tree) => None,
            Some(EntryKind::File | EntryKind::Executable) => Some(PathRefusal::BehindFile),
            Some(EntryKind::Link) => Some(PathRefusal::Symlink),
            Some(EntryKind::Submodule) => Some(PathRefusal::Submodule),
        };
        if let Some(refusal) = refusal {
            return Err(EditError::Path(path(&name), refusal));
        }
        let prefix = format!("{}/", path(&name));
        let below = write_folder(
            below,
            old_entry.map(|entry| entry.id),
            &prefix,
            objects,
            new,
        )?;
        match old_entry {
            Some(entry) if entry.id == below => {}
            Some(entry) => {
                splices.push((entry.at.clone(), object::entry_with_id(entry, below)));
            }
            None => splices.push(insert(&name, true, below)),
        }
    }
    for (name, content) in folder.files {
        let old_entry = by_name.get(&*name);
        let refusal = match old_entry.map(|entry| entry.kind) {
            None | Some(EntryKind::File | EntryKind::Executable) => None,
            Some(EntryKind::Tree) => Some(PathRefusal::Directory),
            Some(EntryKind::Link) => Some(PathRefusal::Symlink),
            Some(EntryKind::Submodule) => Some(PathRefusal::Submodule),
        };
        if let Some(refusal) = refusal {
            return Err(EditError::Path(path(&name), refusal));
        }
        let Some(id) = ObjectId::of(Kind::Blob, &content) else {
            return Err(EditError::Path(path(&name), PathRefusal::Invalid));
        };
        if old_entry.is_some_and(|entry| entry.id == id) {
            continue;
        }
        objects.add(Kind::Blob, id, content);
        new.push((Kind::Blob, id));
        splices.push(match old_entry {
            Some(entry) => (entry.at.clone(), object::entry_with_id(entry, id)),
            None => insert(&name, false, id),
        });
    }
    if let (Some(id), true) = (tree, splices.is_empty()) {
        return Ok(id);
    }
    // New entries at one place stand in git's order among themselves.
    splices.sort_by(|(left, left_bytes), (right, right_bytes)| {
        let order = left.start.cmp(&right.start);
        // An entry that is replaced comes after those that are put before it.
        let order = order.then(left.end.cmp(&right.end));
        order.then_with(|| new_entry_order(left_bytes, right_bytes))
    });
    let mut data = Vec::with_capacity(old.len() + 64 * splices.len());
    let mut at = 0;
    for (range, bytes) in splices {
        data.extend_from_slice(&old[at..range.start]);
        data.extend_from_slice(&bytes);
        at = range.end;
    }
    data.extend_from_slice(&old[at..]);
    let id = ObjectId::of(Kind::Tree, &data).ok_or(EditError::Lookup(LookupError::NoTree))?;
    objects.add(Kind::Tree, id, data);
    new.push((Kind::Tree, id));
    Ok(id)
}

fn new_entry_order(left: &[u8], right: &[u8]) -> core::cmp::Ordering {
    let read = |bytes| object::entries(bytes).unwrap_or_default();
    match (&*read(left), &*read(right)) {
        ([left], [right]) => object::name_order(
            left.name,
            left.kind == EntryKind::Tree,
            right.name,
            right.kind == EntryKind::Tree,
        ),
        _ => core::cmp::Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::job::Limits;
    use crate::git::known::Known;
    use alloc::vec;

    /// A tree's bytes from `mode name` with ids that do not matter.
    fn tree(entries: &[(&str, &str, ObjectId)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes
    }

    fn add(objects: &mut Objects, kind: Kind, data: Vec<u8>) -> ObjectId {
        let id = ObjectId::of(kind, &data).unwrap();
        objects.add(kind, id, data);
        id
    }

    /// A root with a file, an executable, a link, a submodule and a folder with a file.
    fn world() -> (Objects, ObjectId) {
        let mut objects = Objects::new(Known::default(), Limits::default());
        let blob = add(&mut objects, Kind::Blob, b"old".to_vec());
        let below = add(
            &mut objects,
            Kind::Tree,
            tree(&[("100755", "run", blob), ("100664", "z", blob)]),
        );
        let root = add(
            &mut objects,
            Kind::Tree,
            tree(&[
                ("100644", "a", blob),
                ("100644", "a.yaml", blob),
                ("40000", "b", below),
                ("120000", "link", blob),
                ("160000", "module", ObjectId::NULL),
            ]),
        );
        (objects, root)
    }

    #[test]
    fn paths_are_found_or_refused_for_a_reason() {
        let (mut objects, root) = world();
        let check = |objects: &mut Objects, path: &str, expected: Found| {
            let paths = [path.into()].into();
            let (found, missing) = look_up(&paths, root, 1_000, objects).unwrap();
            assert!(missing.is_empty());
            assert_eq!(found, [(path.into(), expected)].into(), "{path}");
        };
        let refused = Found::Refused;
        check(&mut objects, "a", Found::File(b"old".to_vec()));
        check(&mut objects, "b/run", Found::File(b"old".to_vec()));
        for path in ["c", "b/c", "x/y/z", "b/c/d"] {
            check(&mut objects, path, Found::Absent);
        }
        check(&mut objects, "b", refused(PathRefusal::Directory));
        check(&mut objects, "a/c", refused(PathRefusal::BehindFile));
        for path in ["link", "link/c/d"] {
            check(&mut objects, path, refused(PathRefusal::Symlink));
        }
        for path in ["module", "module/c"] {
            check(&mut objects, path, refused(PathRefusal::Submodule));
        }
        for path in [
            "",
            "/a",
            "a/",
            "../a",
            "b/./c",
            "b//c",
            ".git/config",
            "b/.GIT/x",
            ".git. /x",
            "git~1",
            "a\nb",
            ".git::$x/y",
            "a\\b",
        ] {
            check(&mut objects, path, refused(PathRefusal::Invalid));
        }
        let paths = ["a".into()].into();
        let (found, _) = look_up(&paths, root, 2, &mut objects).unwrap();
        assert_eq!(found["a"], refused(PathRefusal::TooLarge));
    }

    #[test]
    fn edits_keep_every_other_byte_and_gits_order() {
        let (mut objects, root) = world();
        let files = [
            ("b/run", "new"),
            ("a-new", "1"),
            ("a0", "2"),
            ("a/../x", "never"),
            ("b.yaml", "3"),
            ("fresh/deep/file", "4"),
        ];
        let files = files.into_iter().filter(|(path, _)| is_path(path));
        let files = files
            .map(|(path, text)| (path.into(), text.into()))
            .collect();
        let written = write(files, root, &mut objects).unwrap();
        let blob = |text: &str| ObjectId::of(Kind::Blob, text.as_bytes()).unwrap();
        let old = blob("old");
        let below = tree(&[("100755", "run", blob("new")), ("100664", "z", old)]);
        let deep = tree(&[("100644", "file", blob("4"))]);
        let id = |data: &[u8]| ObjectId::of(Kind::Tree, data).unwrap();
        let fresh = tree(&[("40000", "deep", id(&deep))]);
        let expected = tree(&[
            ("100644", "a", old),
            ("100644", "a-new", blob("1")),
            ("100644", "a.yaml", old),
            ("100644", "a0", blob("2")),
            ("100644", "b.yaml", blob("3")),
            ("40000", "b", id(&below)),
            ("40000", "fresh", id(&fresh)),
            ("120000", "link", old),
            ("160000", "module", ObjectId::NULL),
        ]);
        assert_eq!(written.root, id(&expected));
        assert_eq!(written.new.len(), 5 + 4, "five files, four folders");
    }

    #[test]
    fn unchanged_content_is_no_edit() {
        let (mut objects, root) = world();
        let files = [
            ("a".into(), b"old".to_vec()),
            ("b/z".into(), b"old".to_vec()),
        ];
        let written = write(files.into(), root, &mut objects).unwrap();
        assert_eq!((written.root, written.new), (root, vec![]));
    }

    #[test]
    fn files_of_one_content_are_one_object() {
        let (mut objects, root) = world();
        let files = ["x/1/f", "x/2/f", "y/1/f"].map(|path| (path.into(), b"same".to_vec()));
        let written = write(files.into(), root, &mut objects).unwrap();
        assert_eq!(
            written.new.len(),
            1 + 3 + 1,
            "a file, x/1, x and y, the root"
        );
    }

    #[test]
    fn edits_of_what_is_no_file_are_refused() {
        let check = |path: &str, refusal| {
            let (mut objects, root) = world();
            let files = [(path.into(), b"x".to_vec())].into();
            let error = write(files, root, &mut objects).unwrap_err();
            assert!(
                matches!(error, EditError::Path(_, found) if found == refusal),
                "{path}: {error:?}"
            );
        };
        check("b", PathRefusal::Directory);
        check("link", PathRefusal::Symlink);
        check("link/a", PathRefusal::Symlink);
        check("module/a", PathRefusal::Submodule);
        check("a/b", PathRefusal::BehindFile);
        check("../a", PathRefusal::Invalid);
    }
}
