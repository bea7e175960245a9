//! Readers of files that write-back edits: values files, kustomizations, override files.

use image_updater_core::app::Parameter;
use image_updater_core::writeback::edit::FileEdit;
use image_updater_core::writeback::helm_values::Value;
use image_updater_core::writeback::yaml::resolve::Reader;
use image_updater_core::writeback::yaml::{Draft, NodeId, NodeKind, Tree, ValuePath};

/// A values file: one of its scalars by its path, a path that its bytes choose, and new keys.
pub(super) fn yaml(bytes: &[u8]) {
    let sum = bytes
        .iter()
        .fold(0_usize, |sum, byte| sum * 31 % 65_521 + usize::from(*byte));
    match (sum % 3, std::str::from_utf8(bytes)) {
        (0, Ok(text)) => one_scalar(text, sum),
        (1, Ok(text)) => {
            let from = text.char_indices().nth(sum % 97).map_or(0, |(at, _)| at);
            let path: String = text[from..].chars().take(sum % 40).collect();
            check(&values(&[(&path, "1.10")]), bytes);
        }
        _ => {
            let new = [
                ("image.tag", "1.10"),
                ("new.a\\.b.c", "x"),
                ("extra[0].image", "y"),
            ];
            check(&values(&new[..=sum % new.len()]), bytes);
        }
    }
}

/// A kustomization or an override file.
pub(super) fn kustomization(bytes: &[u8]) {
    let images = || {
        ["nginx:2", "app=x/z@sha256:9", "flow=nginx"]
            .map(Into::into)
            .to_vec()
    };
    let edit = match bytes.len() % 3 {
        0 => FileEdit::Kustomization(images()),
        1 => FileEdit::Images(images()),
        _ => FileEdit::Parameters(
            ["p", "q", "r"]
                .map(|name| Parameter {
                    name: name.into(),
                    value: "1.10".into(),
                    force_string: true,
                })
                .to_vec(),
        ),
    };
    check(&edit, bytes);
}

fn one_scalar(text: &str, which: usize) {
    let Ok(mut draft) = Draft::new(text, Reader::Helm) else {
        return;
    };
    let tree = draft.tree();
    let mut nodes = Vec::new();
    for root in tree.roots() {
        scalars(tree, root, &mut nodes);
    }
    if nodes.is_empty() {
        return;
    }
    let node = nodes[which % nodes.len()];
    if let Some(path) = ValuePath::of(tree, node) {
        // What is said of the path is not the matter here.
        drop(ValuePath::parse(&path));
    }
    if draft.put_text(node, "1.10").is_ok() {
        // Refusing it is fine.
        drop(draft.finish());
    }
}

fn scalars(tree: &Tree<'_>, node: NodeId, nodes: &mut Vec<NodeId>) {
    match tree.kind(node) {
        NodeKind::Scalar => nodes.push(node),
        NodeKind::Sequence => tree
            .items(node)
            .iter()
            .for_each(|item| scalars(tree, *item, nodes)),
        NodeKind::Mapping => {
            let pairs = tree.pairs(node).iter();
            pairs.for_each(|(_, value)| scalars(tree, *value, nodes));
        }
        NodeKind::Alias => {}
    }
}

fn values(values: &[(&str, &str)]) -> FileEdit {
    let value = |(path, text): &(&str, &str)| Value {
        path: (*path).into(),
        text: (*text).into(),
    };
    FileEdit::Values(values.iter().map(value).collect())
}

/// What was edited stays as it is when it is edited again.
fn check(edit: &FileEdit, bytes: &[u8]) {
    if let Ok(Some(new)) = edit.edit(Some(bytes))
        && bytes.len() < 2_000
    {
        let again = edit.edit(Some(&new));
        assert_eq!(again, Ok(None), "{}", String::from_utf8_lossy(&new));
    }
}
