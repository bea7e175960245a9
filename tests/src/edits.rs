//! What the judge in Go shall read once a text was edited, made of what it reads before.

use std::collections::BTreeMap;

use image_updater_core::writeback::yaml::{NodeId, NodeKind, Tree};
use serde_json::{Value, json};

/// All scalars that are values, of all documents, in order.
pub fn scalars(tree: &Tree<'_>) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    for root in tree.roots() {
        collect(tree, root, &mut nodes);
    }
    nodes
}

fn collect(tree: &Tree<'_>, node: NodeId, nodes: &mut Vec<NodeId>) {
    match tree.kind(node) {
        NodeKind::Scalar => nodes.push(node),
        NodeKind::Sequence => {
            for item in tree.items(node) {
                collect(tree, *item, nodes);
            }
        }
        NodeKind::Mapping => {
            for (_, value) in tree.pairs(node) {
                collect(tree, *value, nodes);
            }
        }
        NodeKind::Alias => {}
    }
}

/// The documents that Go reads once these scalars are strings of these texts; `None` when Go reads the text as it is
/// otherwise than we do.
pub fn with_scalars(
    documents: &Value,
    tree: &Tree<'_>,
    wanted: &BTreeMap<NodeId, &str>,
) -> Option<Value> {
    let mut documents = documents.clone();
    let list = documents.as_array_mut()?;
    (list.len() == tree.n_documents()).then_some(())?;
    for (root, document) in tree.roots().zip(list) {
        replace(tree, root, wanted, document)?;
    }
    Some(documents)
}

fn replace(
    tree: &Tree<'_>,
    node: NodeId,
    wanted: &BTreeMap<NodeId, &str>,
    read: &mut Value,
) -> Option<()> {
    let node = tree.followed(node);
    match tree.kind(node) {
        NodeKind::Scalar => {
            // Readers do not agree on a last line without its line break.
            let bare = |text: &str| text.trim_end_matches('\n').to_owned();
            let is_same = read["value"].as_str().map(bare) == tree.text_of(node).map(bare);
            is_same.then_some(())?;
            if let Some(text) = wanted.get(&node) {
                *read = json!({"tag": "!!str", "value": text});
            }
            Some(())
        }
        NodeKind::Sequence => {
            let items = read.as_array_mut()?;
            let ours = tree.items(node);
            (ours.len() == items.len()).then_some(())?;
            ours.iter()
                .zip(items)
                .try_for_each(|(ours, read)| replace(tree, *ours, wanted, read))
        }
        NodeKind::Mapping => {
            let pairs = read["pairs"].as_array_mut()?;
            let ours = tree.pairs(node);
            (ours.len() == pairs.len()).then_some(())?;
            ours.iter().zip(pairs).try_for_each(|((key, ours), read)| {
                let key = tree.text_of(*key);
                let is_same = key.is_none_or(|key| read[0]["value"] == key);
                is_same.then_some(())?;
                replace(tree, *ours, wanted, &mut read[1])
            })
        }
        NodeKind::Alias => None,
    }
}
