//! The images of a kustomization (`writeback.md` 9.4, 15.7).
//!
//! In an entry `newName`, `newTag` and `digest` are ours; every other field, and every other entry, is not.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::newest::newest_of_each;
use super::yaml::resolve::Reader;
use super::yaml::{Draft, EditReason, EditRefusal, New, NodeId, NodeKind};

/// Names of the file, the first that is there counts (`writeback.md` 9.4 step 1).
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// An image as an entry of a kustomization has it; what is empty is not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KustomizationImage {
    /// `name`: the image in the manifests.
    pub name: Box<str>,
    /// `newName`.
    pub new_name: Box<str>,
    /// `newTag`.
    pub new_tag: Box<str>,
    /// `digest`.
    pub digest: Box<str>,
}

impl KustomizationImage {
    /// Reads `[name=]image[:tag][@digest]`; every part is kept as written (`writeback.md` 9.4 step 2).
    ///
    /// # Errors
    /// When there is no name.
    pub fn parse(text: &str) -> Result<Self, EditReason> {
        let (name, image) = match text.split_once('=') {
            Some((name, image)) => (Some(name), image),
            None => (None, text),
        };
        let (image, digest) = image.split_once('@').unwrap_or((image, ""));
        let path = image.rfind('/').map_or(0, |slash| slash + 1);
        let (image, tag) = match image[path..].rfind(':') {
            Some(colon) => (&image[..path + colon], &image[path + colon + 1..]),
            None => (image, ""),
        };
        let (name, new_name) = match name {
            Some(name) => (name, image),
            None => (image, ""),
        };
        if name.is_empty() {
            return Err(EditReason::Image(
                text.chars().take(200).collect::<String>().into(),
            ));
        }
        Ok(Self {
            name: name.into(),
            new_name: new_name.into(),
            new_tag: tag.into(),
            digest: digest.into(),
        })
    }

    fn fields(&self) -> [(&'static str, &str); 3] {
        [
            ("newName", &*self.new_name),
            ("newTag", &*self.new_tag),
            ("digest", &*self.digest),
        ]
    }

    fn to_entry(&self) -> New {
        let text = |text: &str| New::Text(text.into());
        let mut pairs = Vec::from([("name".into(), text(&self.name))]);
        let fields = self.fields().into_iter();
        let given = fields.filter(|(_, value)| !value.is_empty());
        pairs.extend(given.map(|(name, value)| (name.into(), text(value))));
        New::Mapping(pairs)
    }
}

/// Puts the images of an application, all of them, into the text of a kustomization; `None` when nothing changes.
///
/// # Errors
/// When the text has not exactly one document, or cannot be edited safely.
pub fn edit(text: &str, images: &[Box<str>]) -> Result<Option<String>, EditRefusal> {
    let mut draft = Draft::new(text, Reader::Kubernetes)?;
    let n_documents = draft.tree().n_documents();
    if n_documents != 1 {
        return Err(EditRefusal::whole(EditReason::Documents(n_documents)));
    }
    let images: Result<Vec<_>, _> = images
        .iter()
        .map(|text| KustomizationImage::parse(text))
        .collect();
    let images = images.map_err(EditRefusal::whole)?;
    let images = newest_of_each(&images, |image| &image.name);
    let Some(root) = draft.root_mapping()? else {
        if !images.is_empty() {
            draft.add_root_pair("images", new_list(&images));
        }
        return draft.finish();
    };
    let Some(list) = draft.tree().value_of(root, "images") else {
        if !images.is_empty() {
            draft.add_pair(root, "images", new_list(&images));
        }
        return draft.finish();
    };
    let list = draft.tree().followed(list);
    let found = draft.tree().kind(list);
    if draft.tree().is_null(list) {
        if !images.is_empty() {
            draft.fill(list, new_list(&images));
        }
    } else if found == NodeKind::Sequence {
        put_all(&mut draft, list, &images)?;
    } else {
        let expected = NodeKind::Sequence;
        let line = draft.tree().line(list);
        return Err(EditRefusal::at(
            line,
            "images",
            EditReason::Kind { expected, found },
        ));
    }
    draft.finish()
}

fn new_list(images: &[&KustomizationImage]) -> New {
    New::List(images.iter().map(|image| image.to_entry()).collect())
}

fn put_all(
    draft: &mut Draft<'_>,
    list: NodeId,
    images: &[&KustomizationImage],
) -> Result<(), EditRefusal> {
    let tree = draft.tree();
    let mut entries: BTreeMap<String, Vec<(usize, NodeId)>> = BTreeMap::new();
    for (at, item) in tree.items(list).iter().enumerate() {
        let entry = tree.followed(*item);
        let name = tree.value_of(entry, "name");
        if let Some(name) = name.and_then(|name| tree.text_of(name)) {
            entries.entry(name.into()).or_default().push((at, entry));
        }
    }
    for image in images {
        match entries.get(&*image.name) {
            None => draft.add_item(list, image.to_entry()),
            Some(found) => {
                for (at, entry) in found {
                    put(draft, *entry, image).map_err(|(line, field, reason)| {
                        EditRefusal::at(line, &format!("images[{at}].{field}"), reason)
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// Makes one entry say what the image says.
fn put(
    draft: &mut Draft<'_>,
    entry: NodeId,
    image: &KustomizationImage,
) -> Result<(), (usize, &'static str, EditReason)> {
    for (field, wanted) in image.fields() {
        let tree = draft.tree();
        let pairs = tree.pairs(entry).iter().enumerate();
        let found: Vec<(usize, NodeId)> = pairs
            .filter(|(_, (key, _))| tree.text_of(*key) == Some(field))
            .map(|(at, (_, value))| (at, *value))
            .collect();
        if found.is_empty() && !wanted.is_empty() {
            draft.add_pair(entry, field, New::Text(wanted.into()));
        }
        for (at, value) in found {
            let tree = draft.tree();
            let line = tree.line(value);
            let says_nothing = tree.is_null(value) || tree.text_of(value) == Some("");
            if !wanted.is_empty() {
                let put = draft.put_text(value, wanted);
                put.map_err(|reason| (line, field, reason))?;
            } else if !says_nothing {
                draft.remove_pair(entry, at);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_fields_are_ours_and_nothing_else() {
        let text = "images:\n# of nginx\n- name: nginx # n\n  newName: a # old\n  tagSuffix: -x\n  newTag: '1' # t\n- name: b\n";
        check(
            text,
            &["nginx:2"],
            "images:\n# of nginx\n- name: nginx # n\n  tagSuffix: -x\n  newTag: '2' # t\n- name: b\n",
        );
        check(
            text,
            &["nginx=c@sha256:1"],
            "images:\n# of nginx\n- name: nginx # n\n  newName: c # old\n  tagSuffix: -x\n  digest: sha256:1\n- name: b\n",
        );
        check(
            text,
            &["nginx:2@sha256:1", "b:2", "b:3"],
            "images:\n# of nginx\n- name: nginx # n\n  tagSuffix: -x\n  newTag: '2' # t\n  digest: sha256:1\n- name: b\n  newTag: \"3\"\n",
        );
    }

    #[test]
    fn first_and_last_fields_can_go() {
        check(
            "images:\n- digest: x\n  newName: y\n  name: a\nb: c\n",
            &["a:v1"],
            "images:\n- name: a\n  newTag: v1\nb: c\n",
        );
        check(
            "images:\n- name: a\n  digest: x",
            &["a:v1"],
            "images:\n- name: a\n  newTag: v1",
        );
        check(
            "images: [{digest: x, newName: y, name: a, newTag: z}]\n",
            &["a"],
            "images: [{name: a}]\n",
        );
        check(
            "images:\n- digest: x\n  # why\n  name: a\n",
            &["a:v1"],
            ":2: this is written in a form that cannot be edited safely",
        );
    }

    #[test]
    fn list_is_made_where_there_is_none() {
        check(
            "a:\n  - b\nimages:\n",
            &["x:v1"],
            "a:\n  - b\nimages:\n  - name: x\n    newTag: v1\n",
        );
        check(
            "images: ~ # c\na: b\n",
            &["x:v1"],
            "images: # c\n- name: x\n  newTag: v1\na: b\n",
        );
        check(
            "images: []\n",
            &["x=z:v1"],
            "images: [{name: x, newName: z, newTag: v1}]\n",
        );
        check("---\n", &["x"], "---\nimages:\n- name: x\n");
        check("a: b\n", &[], "a: b\n");
        check(
            "a: b\n---\nc: d\n",
            &["x"],
            "expected exactly one YAML document, found 2",
        );
        check(
            "images: x\n",
            &["x"],
            ":1 at images: expected a list, found a single value",
        );
        check("a: b\n", &["=x"], "\"=x\" names no image");
    }

    fn check(text: &str, images: &[&str], expect: &str) {
        let images: Vec<Box<str>> = images.iter().map(|image| (*image).into()).collect();
        match edit(text, &images) {
            Ok(new) => assert_eq!(new.as_deref().unwrap_or(text), expect),
            Err(refusal) => assert_eq!(format!("{refusal}"), expect),
        }
    }
}
