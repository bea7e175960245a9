//! Edits of texts that nobody would write, judged by Go: where it reads the text as we do, it reads the edited one as
//! we meant it.

use std::collections::BTreeMap;

use image_updater_core::writeback::helm_values::{self, Value as HelmValue};
use image_updater_core::writeback::yaml::resolve::Reader;
use image_updater_core::writeback::yaml::{Draft, NodeId, NodeKind, Tree};
use image_updater_tests::edits;
use image_updater_tests::fuzz::{BODIES, Mutator};
use image_updater_tests::oracle::Oracle;
use serde_json::{Value, json};

/// Mutations of each text; `IMAGE_UPDATER_FUZZ_CASES` asks for more by hand.
const CASES: u64 = 150;
const TEXTS: [&str; 6] = ["1.21.3", "1.10", "a: b", "- x", "it's #1", "on"];

struct Edited {
    old: String,
    new: String,
    wanted: Wanted,
}

enum Wanted {
    Scalar(NodeId, &'static str),
    /// A key at the end of the root.
    Key(&'static str, &'static str),
}

#[test]
fn mutated_texts_are_edited_as_meant_or_refused() {
    let Some(oracle) = Oracle::build() else {
        return;
    };
    let cases = std::env::var("IMAGE_UPDATER_FUZZ_CASES");
    let cases = cases
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(CASES);
    let mut edited = Vec::new();
    let seeds = seeds();
    for (at, seed) in seeds.iter().enumerate() {
        edit(seed, 0, &mut edited);
        for case in 0..cases {
            let n = usize::try_from(case).unwrap_or_default();
            let other = &seeds[(at + n) % seeds.len()];
            let mutated = Mutator::new(case).mutate(seed.as_bytes(), other.as_bytes());
            if let Ok(text) = String::from_utf8(mutated) {
                edit(&text, n, &mut edited);
            }
        }
    }
    let texts: Vec<String> = edited
        .iter()
        .flat_map(|one| [one.old.clone(), one.new.clone()])
        .collect();
    let readings = oracle.readings(&texts);
    let mut n_judged = 0;
    let mut wrong = Vec::new();
    for (one, readings) in edited.iter().zip(readings.chunks_exact(2)) {
        let tree = Tree::parse(&one.old).expect("it was parsed before");
        let unread = readings[0]["error"] != "";
        let as_we_do = edits::with_scalars(&readings[0]["documents"], &tree, &BTreeMap::new());
        let Some(read) = as_we_do.filter(|_| !unread) else {
            continue;
        };
        let expect = match one.wanted {
            Wanted::Scalar(node, text) => {
                edits::with_scalars(&read, &tree, &BTreeMap::from([(node, text)]))
            }
            Wanted::Key(key, text) => with_key(read, key, text),
        };
        n_judged += 1;
        if expect.as_ref() != Some(&readings[1]["documents"]) {
            let error = &readings[1]["error"];
            wrong.push(format!("{:?}\nbecame {:?}\n{error}", one.old, one.new));
        }
    }
    assert!(
        n_judged * 2 > edited.len(),
        "{n_judged} of {} judged",
        edited.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(12)].join("\n\n")
    );
}

/// Edits one scalar, and adds a key to the root.
fn edit(text: &str, n: usize, edited: &mut Vec<Edited>) {
    let Ok(tree) = Tree::parse(text) else {
        return;
    };
    let nodes = edits::scalars(&tree);
    let mut push = |new: Option<String>, wanted| {
        edited.push(Edited {
            old: text.to_owned(),
            new: new.unwrap_or_else(|| text.to_owned()),
            wanted,
        });
    };
    if let Some(node) = nodes.get(n % nodes.len().max(1)) {
        let wanted = TEXTS[n % TEXTS.len()];
        let mut draft = Draft::new(text, Reader::Helm).expect("it was parsed before");
        if draft.put_text(*node, wanted).is_ok()
            && let Ok(new) = draft.finish()
        {
            push(new, Wanted::Scalar(*node, wanted));
        }
    }
    let value = HelmValue {
        path: "added".into(),
        text: "1.10".into(),
    };
    let is_mapping = tree
        .root()
        .is_some_and(|root| tree.kind(root) == NodeKind::Mapping);
    if is_mapping && let Ok(new) = helm_values::edit(Some(text), &[value]) {
        push(new, Wanted::Key("added", "1.10"));
    }
}

fn with_key(mut read: Value, key: &str, value: &str) -> Option<Value> {
    let text = |text: &str| json!({"tag": "!!str", "value": text});
    let root = read.get_mut(0)?.get_mut("pairs")?.as_array_mut()?;
    root.push(json!([text(key), text(value)]));
    Some(read)
}

/// Texts of the fuzzers' corpus and of the contract cases.
fn seeds() -> Vec<String> {
    let mut seeds = Vec::new();
    for body in BODIES
        .iter()
        .filter(|body| ["yaml", "kustomization"].contains(&body.name))
    {
        for (_, bytes) in body.corpus() {
            seeds.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    let vectors = include_str!("../../fixtures/vectors/writeback.json");
    let vectors: Value = serde_json::from_str(vectors).expect("the vectors are JSON");
    let groups = vectors["groups"].as_array().expect("they have groups");
    for case in groups
        .iter()
        .filter_map(|group| group["cases"].as_array())
        .flatten()
    {
        for member in ["text", "existing"] {
            if let Some(text) = case["input"][member]
                .as_str()
                .filter(|text| !text.is_empty())
            {
                seeds.push(text.to_owned());
            }
        }
    }
    seeds
}
