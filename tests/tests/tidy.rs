//! What must hold everywhere in the repository, with a reason for each rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use image_updater_tests::code::{before_tests, code_only, lines_with};
use toml::{Table, Value};

/// The core's dependencies: name, features beside the default ones (which are off), and why it may be there.
const CORE_DEPENDENCIES: &[(&str, &[&str], &str)] = &[
    (
        "base64",
        &["alloc"],
        "credentials and signed manifests; pure computation, in the tree already",
    ),
    (
        "gix-actor",
        &[],
        "who made a commit, as git writes it; pinned exactly, known to `git/object.rs` alone",
    ),
    (
        "gix-hash",
        &["sha1"],
        "names of objects, with git's own check for made collisions; pinned exactly",
    ),
    (
        "gix-object",
        &["sha1"],
        "trees and commits to the byte; pinned exactly, known to `git/object.rs` alone",
    ),
    (
        "gix-zlib",
        &[],
        "objects of packs are deflated; pure computation, pinned exactly",
    ),
    (
        "regex",
        &[
            "perf-dfa",
            "perf-inline",
            "unicode-bool",
            "unicode-case",
            "unicode-gencat",
            "unicode-perl",
            "unicode-script",
        ],
        "users' patterns, without backtracking: linear time; `std` off, so no locks of the system",
    ),
    (
        "saphyr-parser",
        &[],
        "events with positions of YAML, for edits that keep every other byte",
    ),
    (
        "serde",
        &["alloc", "derive"],
        "reads documents into our own shapes, skipping the rest",
    ),
    (
        "serde_json",
        &["alloc"],
        "JSON of registries and of the API server; `std` off",
    ),
    (
        "sha2",
        &[],
        "digests of listings and manifests; pure computation",
    ),
];

/// Files that the documents name and that are still to be written. Shrinks, and ends empty.
const PROMISED: &[&str] = &[];

/// The specification is named in documents and comments by its files, which are not part of this.
const SPECIFICATION: &[&str] = &[
    "images.md",
    "ops.md",
    "registry.md",
    "writeback.md",
    "design.md",
];

const LINES_MAX: usize = 600;

#[test]
fn one_tls_provider_in_the_whole_tree() {
    let lock = table(&root().join("Cargo.lock"));
    let packages = lock["package"].as_array().expect("a lock lists packages");
    let names: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let others = [
        "aws-lc-fips-sys",
        "aws-lc-rs",
        "aws-lc-sys",
        "boring",
        "native-tls",
        "openssl",
        "openssl-sys",
        "s2n-tls",
    ];
    let found: Vec<&&str> = names.iter().filter(|name| others.contains(name)).collect();
    assert!(
        found.is_empty(),
        "ring is the one TLS provider; two in one tree panic at the first handshake: {found:?}"
    );
    let ring = names.iter().filter(|name| **name == "ring").count();
    assert_eq!(ring, 1, "one version of ring");
}

#[test]
fn nothing_is_unsafe() {
    let word = concat!("un", "safe");
    complain(
        "rely on the compiler's guarantees",
        rust_files(),
        |_, text| lines_with(&code_only(text), word),
    );
    let manifest = table(&root().join("Cargo.toml"));
    let level = &manifest["workspace"]["lints"]["rust"]["unsafe_code"];
    assert_eq!(level.as_str(), Some("forbid"));
}

#[test]
fn core_knows_no_operating_system() {
    let lib = read(&root().join("core/src/lib.rs"));
    assert!(lib.contains("\n#![no_std]\n"), "the core is no_std");
    assert!(
        lib.contains("\n#![deny(missing_docs)]\n"),
        "the core is documented"
    );
    let sources = rust_files().filter(|path| path.starts_with("core/src") && !is_test(path));
    complain("the core uses core and alloc only", sources, |_, text| {
        let code = code_only(before_tests(text));
        let mut lines = lines_with(&code, "std");
        lines.retain(|line| {
            let line = code.lines().nth(line - 1).unwrap_or_default();
            !line.contains("no_std")
        });
        lines
    });
}

#[test]
fn property_tests_of_the_core_run_the_same_cases_in_every_build() {
    let sources = rust_files().filter(|path| path.starts_with("core/src"));
    complain(
        "a property test takes its setting from core/src/fixed_cases.rs",
        sources,
        |_, text| {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let is_fixed = |at: usize| {
                let next = lines.get(at + 1).copied().unwrap_or_default();
                next.starts_with("#![proptest_config(config(") && text.contains("fixed_cases::")
            };
            let blocks = lines.iter().enumerate();
            blocks
                .filter(|(at, line)| **line == "proptest! {" && !is_fixed(*at))
                .map(|(at, _)| at + 1)
                .collect()
        },
    );
}

#[test]
fn core_depends_on_what_is_listed_here_and_why() {
    let workspace = table(&root().join("Cargo.toml"));
    let shared = workspace["workspace"]["dependencies"]
        .as_table()
        .expect("a table");
    let manifest = table(&root().join("core/Cargo.toml"));
    let mut found = BTreeMap::new();
    for (name, own) in manifest["dependencies"].as_table().expect("a table") {
        let mut features = features(own);
        let mut defaults = own.get("default-features");
        if own.get("workspace").is_some() {
            features.extend(self::features(&shared[name]));
            defaults = shared[name].get("default-features");
        }
        let off = defaults.and_then(Value::as_bool) == Some(false);
        assert!(
            off,
            "{name}: its default features must be off, they may reach for std"
        );
        found.insert(name.as_str(), features);
    }
    let listed: BTreeMap<&str, BTreeSet<String>> = CORE_DEPENDENCIES
        .iter()
        .map(|(name, features, why)| {
            assert!(!why.is_empty(), "{name}: a reason");
            (
                *name,
                features.iter().map(|&feature| feature.to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(
        found, listed,
        "left: core/Cargo.toml, right: the list in this file"
    );
}

#[test]
fn every_crate_inherits_lints_edition_and_licence() {
    let workspace = table(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"]
        .as_array()
        .expect("a list");
    for member in members.iter().filter_map(Value::as_str) {
        let manifest = table(&root().join(member).join("Cargo.toml"));
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints,
            Some(&Value::Boolean(true)),
            "{member}: [lints] workspace = true"
        );
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            let inherited = manifest["package"]
                .get(key)
                .and_then(|value| value.get("workspace"));
            assert_eq!(
                inherited,
                Some(&Value::Boolean(true)),
                "{member}: {key}.workspace = true"
            );
        }
        for name in ["dependencies", "dev-dependencies"] {
            let Some(dependencies) = manifest.get(name).and_then(Value::as_table) else {
                continue;
            };
            for (name, about) in dependencies {
                assert!(
                    about.get("git").is_none(),
                    "{member}: {name} comes from a registry"
                );
                assert!(
                    about.get("path").is_none(),
                    "{member}: {name} is named in the workspace"
                );
            }
        }
    }
}

#[test]
fn files_have_the_length_of_one_noun() {
    let mut lengths: Vec<(usize, PathBuf)> = rust_files()
        .map(|path| (read(&root().join(&path)).lines().count(), path))
        .collect();
    lengths.sort_by(|a, b| b.cmp(a));
    let mut report = String::from("the longest files:\n");
    for (lines, path) in lengths.iter().take(10) {
        writeln!(report, "{lines:>5} {}", path.display()).expect("a String takes everything");
    }
    show(&report);
    let too_long: Vec<_> = lengths
        .iter()
        .filter(|(lines, path)| *lines > LINES_MAX && !is_test(path))
        .collect();
    assert!(
        too_long.is_empty(),
        "over {LINES_MAX} lines; which noun in them wants a file of its own? {too_long:#?}"
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[ign", "ore"),
        concat!("#[should", "_panic"),
    ];
    complain("finish it, or write an issue", text_files(), |_, text| {
        words
            .iter()
            .flat_map(|word| lines_with(text, word))
            .collect()
    });
}

#[test]
fn no_file_names_a_place_outside_the_repository() {
    let places = ["work", "home", "root", "farm", "Users"].map(|name| format!("/{name}/"));
    complain("a path of one machine", text_files(), |_, text| {
        let names_one = |line: &str| {
            places.iter().any(|place| {
                line.match_indices(place.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    // Else it is the middle of an address or of a path that begins elsewhere.
                    before.is_none_or(|c| !c.is_alphanumeric() && !"._-}*)>".contains(c))
                })
            })
        };
        let lines = text.lines().enumerate();
        lines
            .filter(|(_, line)| names_one(line))
            .map(|(idx, _)| idx + 1)
            .collect()
    });
}

#[test]
fn readme_is_short_and_names_the_two_commands() {
    let readme = read(&root().join("README.md"));
    let lines = readme.lines().count();
    assert!(lines <= 80, "README.md has {lines} lines, at most 80");
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(readme.contains(command), "README.md names `{command}`");
    }
}

#[test]
fn what_documents_name_is_there() {
    for path in PROMISED {
        assert!(
            !root().join(path).exists(),
            "{path} was written: take it off the list in this file"
        );
    }
    let folders: Vec<String> = fs::read_dir(root())
        .expect("the repository can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let documents = text_files().filter(|path| is_document(path));
    complain("named, and not there", documents, |document, text| {
        let beside = root()
            .join(document)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default();
        let is_missing = |name: &str| {
            let name = name
                .split('#')
                .next()
                .unwrap_or_default()
                .trim_end_matches('/');
            !PROMISED.contains(&name) && !root().join(name).exists() && !beside.join(name).exists()
        };
        let lines = text.lines().enumerate();
        lines
            .filter(|(_, line)| {
                named_paths(line, &folders)
                    .iter()
                    .any(|name| is_missing(name))
            })
            .map(|(idx, _)| idx + 1)
            .collect()
    });
}

/// Targets of links, and what stands between backticks and looks like a path of ours.
fn named_paths<'a>(line: &'a str, folders: &[String]) -> Vec<&'a str> {
    let links = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let links = links.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let spans = line.split('`').skip(1).step_by(2).filter(|span| {
        let is_path = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        let begins = span
            .split_once('/')
            .is_some_and(|(first, _)| folders.iter().any(|f| f == first));
        span.chars().all(is_path)
            && !SPECIFICATION.contains(span)
            && (begins || is_document(Path::new(span)))
    });
    links.chain(spans).collect()
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "md")
}

/// Fails with the places that `find` names, as lines of files, if there are any.
#[track_caller]
fn complain(
    rule: &str,
    files: impl Iterator<Item = PathBuf>,
    find: impl Fn(&Path, &str) -> Vec<usize>,
) {
    let mut places = String::new();
    for path in files {
        let text = read(&root().join(&path));
        for line in find(&path, &text) {
            let content = text.lines().nth(line - 1).unwrap_or_default().trim();
            let content: String = content.chars().take(120).collect();
            writeln!(places, "  {}:{line}: {content}", path.display()).expect("a String takes all");
        }
    }
    assert!(places.is_empty(), "{rule}:\n{places}");
}

fn rust_files() -> impl Iterator<Item = PathBuf> {
    text_files().filter(|path| path.extension().is_some_and(|kind| kind == "rs"))
}

/// Tests beside the code they test, and the crate of tests.
fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// Every text file of ours, relative to the root; neither what is built nor what was given.
fn text_files() -> impl Iterator<Item = PathBuf> {
    const KINDS: &[&str] = &["rs", "md", "toml", "yaml", "yml", "sh", "go", "mod", "json"];
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)
            .expect("the repository can be read")
            .flatten()
        {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "vectors"].contains(&name.as_str())
                    || path.ends_with("src/vectors")
                {
                    folders.push(path);
                }
            } else if path.extension().map_or(folder.ends_with(".ci"), |kind| {
                KINDS.iter().any(|known| kind == *known)
            }) {
                let path = path.strip_prefix(root()).expect("it is below the root");
                files.push(path.to_path_buf());
            }
        }
    }
    files.sort();
    assert!(files.len() > 50, "the repository was found");
    files.into_iter()
}

fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder
        .parent()
        .expect("the crate is in the workspace")
        .to_path_buf()
}

#[track_caller]
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn table(path: &Path) -> Table {
    let text = read(path);
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn features(dependency: &Value) -> BTreeSet<String> {
    let listed = dependency.get("features").and_then(Value::as_array);
    let texts = listed.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

#[expect(
    clippy::print_stdout,
    reason = "a report, shown with --nocapture or on failure"
)]
fn show(report: &str) {
    println!("{report}");
}
