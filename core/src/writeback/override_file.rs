//! The file of parameters that Argo CD lays over a source (`writeback.md` 9.2, 15.7).
//!
//! Argo CD replaces whole lists by it, so all of an application's parameters stand in it. What the application does
//! not have stays, and so does everything else in the file (WB-33).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::newest::newest_of_each;
use super::yaml::resolve::Reader;
use super::yaml::{Draft, EditReason, EditRefusal, New, NodeId, NodeKind, Tree, is_empty};
use crate::app::Parameter;
use crate::image::{Image, Tag};

/// Puts Helm parameters into the text; `None` when nothing changes.
///
/// # Errors
/// When the text is no YAML, has something else where parameters belong, or cannot be edited safely.
pub fn edit_parameters(
    text: Option<&str>,
    parameters: &[Parameter],
) -> Result<Option<String>, EditRefusal> {
    let wanted = newest_of_each(parameters, |parameter| &parameter.name);
    let all = || wanted.iter().map(|one| new_parameter(one)).collect();
    let mut file = OverrideFile::new(text, ["helm", "parameters"])?;
    if let Some(list) = file.list(all)? {
        put_parameters(&mut file.draft, list, &wanted)?;
    }
    file.draft.finish()
}

/// Puts Kustomize images into the text; `None` when nothing changes.
///
/// # Errors
/// As [`edit_parameters`].
pub fn edit_images(text: Option<&str>, images: &[Box<str>]) -> Result<Option<String>, EditRefusal> {
    let all = || images.iter().map(|text| New::Text(text.clone())).collect();
    let mut file = OverrideFile::new(text, ["kustomize", "images"])?;
    if let Some(list) = file.list(all)? {
        put_images(&mut file.draft, list, images)?;
    }
    file.draft.finish()
}

struct OverrideFile<'t> {
    draft: Draft<'t>,
    /// The block and its member.
    names: [&'static str; 2],
    is_new: bool,
}

impl<'t> OverrideFile<'t> {
    fn new(text: Option<&'t str>, names: [&'static str; 2]) -> Result<Self, EditRefusal> {
        let text = text.filter(|text| !text.trim().is_empty());
        Ok(Self {
            draft: Draft::new(text.unwrap_or_default(), Reader::Kubernetes)?,
            names,
            is_new: text.is_none(),
        })
    }

    /// The list that is there with something in it. Where there is none, `all` goes in its place.
    fn list(&mut self, all: impl FnOnce() -> Vec<New>) -> Result<Option<NodeId>, EditRefusal> {
        let [block_name, name] = self.names;
        let all = all();
        if all.is_empty() && !self.is_new {
            return Ok(None);
        }
        let list = New::List(all);
        let block = |list| New::Mapping(Vec::from([(name.into(), list)]));
        let Some(root) = self.draft.root_mapping()? else {
            self.draft.add_root_pair(block_name, block(list));
            return Ok(None);
        };
        let tree = self.draft.tree();
        let Some(found) = member(tree, root, block_name) else {
            self.draft.add_pair(root, block_name, block(list));
            return Ok(None);
        };
        let found = tree.followed(found);
        if is_empty(tree, found) && tree.kind(found) != NodeKind::Sequence {
            self.draft.fill(found, block(list));
            return Ok(None);
        }
        expect(tree, found, NodeKind::Mapping, block_name)?;
        let Some(member) = member(tree, found, name) else {
            self.draft.add_pair(found, name, list);
            return Ok(None);
        };
        let member = tree.followed(member);
        if is_empty(tree, member) && tree.kind(member) != NodeKind::Mapping {
            self.draft.fill(member, list);
            return Ok(None);
        }
        expect(
            tree,
            member,
            NodeKind::Sequence,
            &format!("{block_name}.{name}"),
        )?;
        Ok(Some(member))
    }
}

/// Argo CD matches keys without regard to case; an exact one goes first.
fn member(tree: &Tree<'_>, mapping: NodeId, name: &str) -> Option<NodeId> {
    tree.value_of(mapping, name).or_else(|| {
        let is_it = |key: NodeId| {
            let key = tree.text_of(key);
            key.is_some_and(|key| key.eq_ignore_ascii_case(name))
        };
        let mut pairs = tree.pairs(mapping).iter();
        pairs.find(|(key, _)| is_it(*key)).map(|(_, value)| *value)
    })
}

fn expect(
    tree: &Tree<'_>,
    node: NodeId,
    expected: NodeKind,
    path: &str,
) -> Result<(), EditRefusal> {
    let found = tree.kind(node);
    if found == expected {
        return Ok(());
    }
    let reason = EditReason::Kind { expected, found };
    Err(EditRefusal::at(tree.line(node), path, reason))
}

fn new_parameter(parameter: &Parameter) -> New {
    New::Mapping(Vec::from([
        ("name".into(), New::Text(parameter.name.clone())),
        ("value".into(), New::Text(parameter.value.clone())),
        ("forcestring".into(), New::Flag(parameter.force_string)),
    ]))
}

fn put_parameters(
    draft: &mut Draft<'_>,
    list: NodeId,
    wanted: &[&Parameter],
) -> Result<(), EditRefusal> {
    let tree = draft.tree();
    let mut entries: BTreeMap<String, (usize, NodeId)> = BTreeMap::new();
    for (at, item) in tree.items(list).iter().enumerate() {
        let entry = tree.followed(*item);
        expect(
            tree,
            entry,
            NodeKind::Mapping,
            &format!("helm.parameters[{at}]"),
        )?;
        let name = member(tree, entry, "name").and_then(|name| tree.text_of(name));
        if let Some(name) = name {
            entries.entry(name.into()).or_insert((at, entry));
        }
    }
    for parameter in wanted {
        match entries.get(&*parameter.name) {
            None => draft.add_item(list, new_parameter(parameter)),
            Some((at, entry)) => {
                put_parameter(draft, *entry, parameter).map_err(|(line, reason)| {
                    EditRefusal::at(line, &format!("helm.parameters[{at}]"), reason)
                })?;
            }
        }
    }
    Ok(())
}

fn put_parameter(
    draft: &mut Draft<'_>,
    entry: NodeId,
    parameter: &Parameter,
) -> Result<(), (usize, EditReason)> {
    match member(draft.tree(), entry, "value") {
        None => draft.add_pair(entry, "value", New::Text(parameter.value.clone())),
        Some(value) => {
            let line = draft.tree().line(value);
            let put = draft.put_text(value, &parameter.value);
            put.map_err(|reason| (line, reason))?;
        }
    }
    let tree = draft.tree();
    let flags = tree.pairs(entry).iter().filter(|(key, _)| {
        let key = tree.text_of(*key);
        key.is_some_and(|key| key.eq_ignore_ascii_case("forcestring"))
    });
    let flags: Vec<NodeId> = flags.map(|(_, value)| *value).collect();
    if flags.is_empty() && parameter.force_string {
        draft.add_pair(entry, "forcestring", New::Flag(true));
    }
    for flag in flags {
        let line = draft.tree().line(flag);
        let put = draft.put_flag(flag, parameter.force_string);
        put.map_err(|reason| (line, reason))?;
    }
    Ok(())
}

/// An entry of `kustomize.images`.
struct Entry<'a> {
    text: &'a str,
    left: Option<&'a str>,
    image: Image,
}

/// Registry and name of an image.
type Repository = (String, String);

impl<'a> Entry<'a> {
    fn parse(text: &'a str) -> Self {
        let (left, image) = match text.split_once('=') {
            Some((left, image)) => (Some(left), image),
            None => (None, text),
        };
        Self {
            text,
            left,
            image: Image::parse(image),
        }
    }

    /// The image of the manifests that it replaces.
    fn target(&self) -> Repository {
        self.left.map_or_else(
            || repository(&self.image),
            |left| repository(&Image::parse(left)),
        )
    }

    /// What is written over an entry that stands for the same image; `None` when that one may stay.
    fn over(&self, old: &Entry<'_>) -> Option<String> {
        let is_other = !self.image.is_same_repository(&old.image)
            || (self.left.is_some() && old.left.is_none());
        if !is_other && !is_newer(old.image.tag.as_ref(), self.image.tag.as_ref()) {
            return None;
        }
        let is_same_target = self.target() == old.target();
        Some(match (self.left, old.left) {
            // A mapping that the application does not have is kept.
            (None, Some(left)) if !is_same_target => format!("{left}={}", self.text),
            _ => self.text.into(),
        })
    }
}

fn repository(image: &Image) -> Repository {
    (image.registry.clone(), image.name.clone())
}

/// True when the new tag says something that the old one does not (`images.md` 11.3).
fn is_newer(old: Option<&Tag>, new: Option<&Tag>) -> bool {
    match (old, new) {
        (None, new) => new.is_some(),
        (Some(_), None) => false,
        (Some(old), Some(new)) => !old.is_same_as(new) || (new.is_digest() && !old.is_digest()),
    }
}

fn put_images(draft: &mut Draft<'_>, list: NodeId, texts: &[Box<str>]) -> Result<(), EditRefusal> {
    let tree = draft.tree();
    let items = tree.items(list).to_vec();
    let mut old: Vec<String> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        expect(
            tree,
            tree.followed(*item),
            NodeKind::Scalar,
            &format!("kustomize.images[{at}]"),
        )?;
        old.push(tree.text_of(*item).unwrap_or_default().into());
    }
    let old: Vec<Entry<'_>> = old.iter().map(|text| Entry::parse(text)).collect();
    let new: Vec<Entry<'_>> = texts.iter().map(|text| Entry::parse(text)).collect();
    for (new, place) in new.iter().zip(matched(&old, &new)) {
        let Some(at) = place else {
            draft.add_item(list, New::Text(new.text.into()));
            continue;
        };
        if let Some(text) = new.over(&old[at]) {
            let line = draft.tree().line(items[at]);
            let put = draft.put_text(items[at], &text);
            put.map_err(|reason| {
                EditRefusal::at(line, &format!("kustomize.images[{at}]"), reason)
            })?;
        }
    }
    Ok(())
}

/// For each new entry the old one that it goes over: by the image of the manifests first, then by the image itself
/// (WB-36). None is gone over twice.
fn matched(old: &[Entry<'_>], new: &[Entry<'_>]) -> Vec<Option<usize>> {
    let mut targets: BTreeMap<Repository, VecDeque<usize>> = BTreeMap::new();
    for (at, entry) in old.iter().enumerate() {
        targets.entry(entry.target()).or_default().push_back(at);
    }
    let mut is_taken = alloc::vec![false; old.len()];
    let mut places: Vec<Option<usize>> = Vec::new();
    for entry in new {
        let at = targets
            .get_mut(&entry.target())
            .and_then(VecDeque::pop_front);
        if let Some(at) = at {
            is_taken[at] = true;
        }
        places.push(at);
    }
    let mut images: BTreeMap<Repository, VecDeque<usize>> = BTreeMap::new();
    for (at, entry) in old.iter().enumerate().filter(|(at, _)| !is_taken[*at]) {
        let of_image = images.entry(repository(&entry.image)).or_default();
        of_image.push_back(at);
    }
    let missing = new.iter().zip(&mut places);
    for (entry, place) in missing.filter(|(_, place)| place.is_none()) {
        let Some(candidates) = images.get_mut(&repository(&entry.image)) else {
            continue;
        };
        let is_fit = |at: &usize| entry.left.is_none() || old[*at].left.is_none();
        if candidates.front().is_some_and(is_fit) {
            *place = candidates.pop_front();
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_merged_and_everything_else_stays() {
        check_parameters(
            "# ours\nhelm:\n  parameters:\n  - name: p # p\n    value: 1 # v\n    forceString: false\n    x: y\n  - {name: q, value: 'b'}\n  releaseName: r\n---\nsecond: doc\n",
            "# ours\nhelm:\n  parameters:\n  - name: p # p\n    value: \"1\" # v\n    forceString: true\n    x: y\n  - {name: q, value: '2', forcestring: true}\n  releaseName: r\n---\nsecond: doc\n",
        );
        check_parameters(
            "Helm:\n    Parameters: []\n",
            "Helm:\n    Parameters:\n    - name: p\n      value: \"1\"\n      forcestring: true\n    - name: q\n      value: \"2\"\n      forcestring: true\n",
        );
        check_parameters(
            "helm: {}\nx: [a]\n",
            "helm:\n  parameters:\n  - name: p\n    value: \"1\"\n    forcestring: true\n  - name: q\n    value: \"2\"\n    forcestring: true\nx: [a]\n",
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, expect) in [
            (
                "helm: x\n",
                ":1 at helm: expected a mapping, found a single value",
            ),
            (
                "helm:\n  parameters: {a: b}\n",
                ":2 at helm.parameters: expected a list, found a mapping",
            ),
            (
                "helm:\n  parameters: [p]\n",
                ":2 at helm.parameters[0]: expected a mapping, found a single value",
            ),
            ("- a\n", ":1: expected a mapping, found a list"),
        ] {
            let got =
                edit_parameters(Some(text), &parameters()).map_err(|error| format!("{error}"));
            assert_eq!(got, Err(expect.into()));
        }
        assert!(edit_parameters(Some("a: [\n"), &parameters()).is_err());
    }

    #[test]
    fn images_are_matched_by_the_image_of_the_manifests_first() {
        check_images(&["a=x:1", "x:1"], &["x:2"], &["a=x:1", "x:2"]);
        check_images(&["a=x:1"], &["x:2"], &["a=x:2"]);
        check_images(&["x:1"], &["a=x:1"], &["a=x:1"]);
        check_images(&["x:1"], &["a=x:2", "x:3"], &["x:3", "a=x:2"]);
        check_images(&["a=x:1"], &["a=y:1"], &["a=y:1"]);
        check_images(&["a=x:1"], &["b=x:2"], &["a=x:1", "b=x:2"]);
        check_images(&["x:1", "x:1"], &["x:2"], &["x:2", "x:1"]);
        check_images(&["x:1@sha256:a"], &["x:1"], &["x:1@sha256:a"]);
        check_images(&["x@sha256:a"], &["x:1@sha256:b"], &["x:1@sha256:b"]);
    }

    fn parameters() -> [Parameter; 3] {
        [("p", "0"), ("q", "2"), ("p", "1")].map(|(name, value)| Parameter {
            name: name.into(),
            value: value.into(),
            force_string: true,
        })
    }

    fn check_parameters(text: &str, expect: &str) {
        let got = edit_parameters(Some(text), &parameters());
        assert_eq!(got, Ok(Some(expect.into())));
    }

    fn check_images(old: &[&str], new: &[&str], expect: &[&str]) {
        let file = |images: &[&str]| {
            let list = images.join("\n  - ");
            format!("kustomize:\n  images:\n  - {list}\n")
        };
        let new: Vec<Box<str>> = new.iter().map(|image| (*image).into()).collect();
        let old = file(old);
        let got = edit_images(Some(&old), &new).map(|new| new.unwrap_or_else(|| old.clone()));
        assert_eq!(got, Ok(file(expect)));
    }
}
