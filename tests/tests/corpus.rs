//! Real values files and kustomizations, from the folder that `IMAGE_UPDATER_CORPUS` names: every scalar and every
//! image is edited once, and our own proof, the bytes around it and the judge in Go agree. Skipped loudly without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image_updater_core::writeback::edit::FileEdit;
use image_updater_core::writeback::yaml::resolve::Reader;
use image_updater_core::writeback::yaml::{
    Draft, EditReason, EditRefusal, NodeId, Tree, ValuePath,
};
use image_updater_tests::edits;
use image_updater_tests::oracle::Oracle;
use serde_json::{Value, json};

/// What scalars become, in turns.
const TEXTS: [&str; 5] = ["1.21.3", "1.10", "v2-rc.1", "sha256:0123abc", "on"];
/// The tag that images get.
const TAG: &str = "1.99";
/// Of larger files several scalars are edited at a time.
const BYTES_PER_EDIT: usize = 4_096;
/// Refused edits, in hundredths of all.
const REFUSED_PERCENT_MAX: usize = 1;

/// What became of a text, and what Go shall read in it.
struct Edited {
    what: String,
    new: String,
    expect: Expect,
    n_edits: usize,
}

/// From what Go reads in the old text to what it shall read in the new one.
type Expect = Box<dyn Fn(&Value) -> Option<Value>>;

#[derive(Default)]
struct Report {
    n_edits: usize,
    refused: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

#[test]
fn every_scalar_and_every_image_of_the_corpus_is_edited_right() {
    let Some(folder) = std::env::var_os("IMAGE_UPDATER_CORPUS") else {
        say("SKIPPED: IMAGE_UPDATER_CORPUS names no folder of values files and kustomizations");
        return;
    };
    let oracle = Oracle::build();
    if oracle.is_none() {
        say("corpus: without Go only our own proof judges");
    }
    let mut report = Report::default();
    let files = files(Path::new(&folder));
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for path in &files {
        let bytes = std::fs::read(path).expect("a file of the corpus can be read");
        let name = path
            .strip_prefix(&folder)
            .unwrap_or(path)
            .display()
            .to_string();
        let Ok(text) = String::from_utf8(bytes) else {
            report.refuse(&EditReason::NotUtf8, 1);
            continue;
        };
        let edited = if is_kustomization(path) {
            images(&name, &text, &mut report)
        } else {
            scalars(&name, &text, &mut report)
        };
        if let Some(oracle) = &oracle {
            judge(oracle, &name, &text, &edited, &mut report);
        }
    }
    report.finish();
}

impl Report {
    fn refuse(&mut self, reason: &EditReason, n_edits: usize) {
        *self.refused.entry(reason.to_string()).or_default() += n_edits;
    }

    fn finish(self) {
        for (reason, n) in &self.refused {
            say(&format!("corpus: {n} refused: {reason}"));
        }
        for wrong in self.wrong.iter().take(20) {
            say(&format!("corpus: wrong: {wrong}"));
        }
        let n_refused: usize = self.refused.values().sum();
        let n_wrong = self.wrong.len();
        say(&format!(
            "corpus: {} edits, {n_refused} refused, {n_wrong} wrong",
            self.n_edits
        ));
        let n_asked = self.n_edits + n_refused;
        assert_eq!(n_wrong, 0, "wrong edits");
        assert!(
            n_refused * 100 <= n_asked * REFUSED_PERCENT_MAX,
            "{n_refused} of {n_asked} edits were refused"
        );
    }
}

/// Edits every scalar of a values file.
fn scalars(name: &str, text: &str, report: &mut Report) -> Vec<Edited> {
    let tree = match Tree::parse(text) {
        Ok(tree) => tree,
        Err(refusal) => {
            report.refuse(&refusal.reason, 1);
            return Vec::new();
        }
    };
    let nodes = edits::scalars(&tree);
    let group = 1 + text.len() / BYTES_PER_EDIT;
    // Neighbours are not edited together.
    let n_groups = nodes.len().div_ceil(group);
    let mut edited = Vec::new();
    for at in 0..n_groups {
        let nodes = nodes.iter().enumerate().skip(at).step_by(n_groups);
        let wanted: BTreeMap<NodeId, &'static str> = nodes
            .map(|(n, node)| (*node, TEXTS[n % TEXTS.len()]))
            .collect();
        if put_all(name, text, &tree, &wanted, report, &mut edited).is_some() {
            continue;
        }
        for one in &wanted {
            let one = BTreeMap::from([(*one.0, *one.1)]);
            let refusal = put_all(name, text, &tree, &one, report, &mut edited);
            if refusal.is_none() {
                let refused = put(text, &tree, &one).expect_err("it was refused before");
                report.refuse(&refused.reason, 1);
            }
        }
    }
    edited
}

/// Edits these scalars together; `None` when that is refused.
fn put_all(
    name: &str,
    text: &str,
    tree: &Tree<'_>,
    wanted: &BTreeMap<NodeId, &'static str>,
    report: &mut Report,
    edited: &mut Vec<Edited>,
) -> Option<()> {
    let new = put(text, tree, wanted).ok()?;
    report.n_edits += wanted.len();
    let lines: Vec<String> = wanted.keys().map(|id| tree.line(*id).to_string()).collect();
    let what = format!("{name}:{}", lines.join(","));
    if let Err(problem) = check_bytes(text, &new, tree, wanted) {
        report.wrong.push(format!("{what}: {problem}"));
    }
    let (old, wanted) = (text.to_owned(), wanted.clone());
    edited.push(Edited {
        what,
        new,
        n_edits: wanted.len(),
        expect: Box::new(move |read| edits::with_scalars(read, &Tree::parse(&old).ok()?, &wanted)),
    });
    Some(())
}

/// By its path where it has one that leads there, else by its node.
fn put(
    text: &str,
    tree: &Tree<'_>,
    wanted: &BTreeMap<NodeId, &'static str>,
) -> Result<String, EditRefusal> {
    let mut draft = Draft::new(text, Reader::Helm)?;
    for (node, text) in wanted {
        match ValuePath::of(tree, *node) {
            Some(path) if !path.is_empty() => ValuePath::parse(&path)?.put(&mut draft, text)?,
            _ => draft.put_text(*node, text).map_err(|reason| EditRefusal {
                file: "".into(),
                path: "".into(),
                line: tree.line(*node),
                reason,
            })?,
        }
    }
    Ok(draft.finish()?.unwrap_or_else(|| text.to_owned()))
}

/// Nothing outside of the scalars changed: what stands between them is there, in order, and what is in their places
/// is short and holds the new text.
fn check_bytes(
    old: &str,
    new: &str,
    tree: &Tree<'_>,
    wanted: &BTreeMap<NodeId, &'static str>,
) -> Result<(), String> {
    let mark = old.len() - old.trim_start_matches('\u{feff}').len();
    let mut places: Vec<_> = wanted
        .iter()
        .map(|(node, text)| (tree.content(*node), *text))
        .collect();
    places.sort_by_key(|(at, _)| at.start);
    let mut behind = 0;
    let mut rest = new;
    for (n, (at, text)) in places.iter().enumerate() {
        let gap = &old[behind..mark + at.start];
        rest = rest
            .strip_prefix(gap)
            .ok_or_else(|| format!("bytes before {:?} changed", &old[at.clone()]))?;
        behind = mark + at.end;
        let next = places
            .get(n + 1)
            .map_or(old.len(), |(at, _)| mark + at.start);
        let gap = &old[behind..next];
        let end = if n + 1 == places.len() {
            rest.len().checked_sub(gap.len())
        } else {
            let from = rest.find(text).unwrap_or(0);
            rest[from..].find(gap).map(|at| from + at)
        };
        let end = end.ok_or_else(|| format!("bytes behind {:?} changed", &old[at.clone()]))?;
        let written = &rest[..end];
        let is_bare =
            [*text, &format!("\"{text}\""), &format!("'{text}'")].contains(&written.trim());
        let is_block = written.starts_with(['|', '>']) && written.ends_with(text);
        if !is_bare && !is_block {
            return Err(format!("{:?} became {written:?}", &old[at.clone()]));
        }
        rest = &rest[end..];
    }
    if rest == &old[behind..] {
        Ok(())
    } else {
        Err("bytes at the end changed".to_owned())
    }
}

/// Edits every image of a kustomization, and adds one.
fn images(name: &str, text: &str, report: &mut Report) -> Vec<Edited> {
    let tree = match Tree::parse(text) {
        Ok(tree) => tree,
        Err(refusal) => {
            report.refuse(&refusal.reason, 1);
            return Vec::new();
        }
    };
    let list = tree.root().and_then(|root| tree.value_of(root, "images"));
    let entries = list.map_or(&[][..], |list| tree.items(tree.followed(list)));
    let mut edited = Vec::new();
    let field = |entry: NodeId, field: &str| {
        let value = tree.value_of(tree.followed(entry), field);
        value
            .and_then(|value| tree.text_of(value))
            .map(str::to_owned)
    };
    let names = entries.iter().filter_map(|entry| {
        let new_name = field(*entry, "newName").unwrap_or_default();
        Some((field(*entry, "name")?, new_name, tree.line(*entry)))
    });
    let added = ("corpus/added".to_owned(), String::new(), 0);
    for (image, new_name, line) in names.chain([added]) {
        let what = format!("{name}:{line}: {image}");
        let is_mapped = !new_name.is_empty();
        let written = if is_mapped {
            format!("{image}={new_name}:{TAG}")
        } else {
            format!("{image}:{TAG}")
        };
        match FileEdit::Kustomization(vec![written.into()]).edit(Some(text.as_bytes())) {
            Err(refusal) => report.refuse(&refusal.reason, 1),
            Ok(new) => {
                report.n_edits += 1;
                let new = new.map(|new| String::from_utf8(new).expect("UTF-8 stays UTF-8"));
                edited.push(Edited {
                    what,
                    new: new.unwrap_or_else(|| text.to_owned()),
                    n_edits: 1,
                    expect: Box::new(move |read| with_tag(read, &image, &new_name)),
                });
            }
        }
    }
    edited
}

/// What Go shall read of a kustomization once an image has the tag.
fn with_tag(read: &Value, image: &str, new_name: &str) -> Option<Value> {
    let text = |text: &str| json!({"tag": "!!str", "value": text});
    let mut read = read.clone();
    let root = read.get_mut(0)?.get_mut("pairs")?.as_array_mut()?;
    let key = text("images");
    if !root.iter().any(|pair| pair[0] == key) {
        root.push(json!([key, []]));
    }
    let images = root.iter_mut().find(|pair| pair[0] == key)?;
    if !images[1].is_array() {
        images[1] = json!([]);
    }
    let images = images[1].as_array_mut()?;
    let mut is_found = false;
    for entry in images.iter_mut() {
        let pairs = entry["pairs"].as_array_mut()?;
        let name = pairs.iter().find(|pair| pair[0]["value"] == "name");
        if name.is_none_or(|pair| pair[1]["value"] != image) {
            continue;
        }
        is_found = true;
        let fields = [("newName", new_name), ("newTag", TAG), ("digest", "")];
        for (field, value) in fields {
            let is_it = |pair: &Value| pair[0]["value"] == field;
            match pairs.iter_mut().find(|pair| is_it(pair)) {
                Some(pair) if !value.is_empty() => pair[1] = text(value),
                Some(_) => pairs.retain(|pair| !is_it(pair)),
                None if !value.is_empty() => pairs.push(json!([text(field), text(value)])),
                None => {}
            }
        }
    }
    if !is_found {
        let fields = json!([[text("name"), text(image)], [text("newTag"), text(TAG)]]);
        images.push(json!({"pairs": fields}));
    }
    Some(read)
}

/// Has Go read everything, and compares.
fn judge(oracle: &Oracle, name: &str, old: &str, edited: &[Edited], report: &mut Report) {
    let mut texts = vec![old.to_owned()];
    texts.extend(edited.iter().map(|one| one.new.clone()));
    let readings = oracle.readings(&texts);
    assert_eq!(readings.len(), texts.len());
    if readings[0]["error"] != "" {
        say(&format!(
            "corpus: Go does not read {name}: {}",
            readings[0]["error"]
        ));
        return;
    }
    for (one, reading) in edited.iter().zip(&readings[1..]) {
        let expect = (one.expect)(&readings[0]["documents"]);
        if expect.as_ref() != Some(&reading["documents"]) {
            let problem = match expect {
                None => "Go reads the old text otherwise".to_owned(),
                Some(_) => format!("Go reads otherwise, in {} edits", one.n_edits),
            };
            report
                .wrong
                .push(format!("{}: {problem} {}", one.what, reading["error"]));
        }
    }
}

fn is_kustomization(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.to_lowercase().starts_with("kustomization"))
}

/// All files below, by path, but documents.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the corpus can be read") {
            let path = entry.expect("the corpus can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if is_kustomization(&path)
                || path
                    .extension()
                    .is_some_and(|one| one == "yaml" || one == "yml")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[expect(clippy::print_stderr, reason = "the report is what this test is for")]
fn say(line: &str) {
    eprintln!("{line}");
}
