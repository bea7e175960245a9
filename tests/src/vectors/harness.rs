//! Reading vector files, comparing results, counting.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value;

/// One case of a group.
#[derive(Debug)]
pub struct Case<'a> {
    /// `group/name`.
    pub id: &'a str,
    /// What goes in.
    pub input: &'a Value,
    /// What must come out.
    pub expect: &'a Value,
    /// The whole case, for members beyond the usual ones (`recommended_status`).
    pub whole: &'a Value,
    /// Only the fields named in `expect` are compared.
    pub partial: bool,
}

/// What became of one case.
#[derive(Debug)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected; the text says what came instead.
    Failed(String),
}

impl Verdict {
    /// Compares `got` with what the case expects, honouring `partial`.
    pub fn of(case: &Case<'_>, got: &Value) -> Self {
        if compare(case.expect, got, case.partial) {
            Self::Passed
        } else {
            Self::Failed(got.to_string())
        }
    }

    /// Passes when `ok`, else fails with `got`.
    pub fn from_bool(ok: bool, got: &impl ToString) -> Self {
        if ok {
            Self::Passed
        } else {
            Self::Failed(got.to_string())
        }
    }
}

/// True when `got` is what `expect` says. With `partial`, objects may hold further members.
pub fn compare(expect: &Value, got: &Value, partial: bool) -> bool {
    match (expect, got) {
        (Value::Object(want), Value::Object(have)) => {
            (partial || want.len() == have.len())
                && want.iter().all(|(key, value)| {
                    have.get(key)
                        .is_some_and(|other| compare(value, other, partial))
                })
        }
        (Value::Array(want), Value::Array(have)) => {
            want.len() == have.len()
                && want
                    .iter()
                    .zip(have)
                    .all(|(one, other)| compare(one, other, partial))
        }
        (Value::Number(want), Value::Number(have)) => want == have || same_number(want, have),
        _ => expect == got,
    }
}

/// `1` and `1.0` are one number.
#[expect(clippy::float_cmp, reason = "the texts name exact values")]
fn same_number(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a == b)
}

/// Counts over all groups.
#[derive(Debug, Default, Clone, Copy)]
pub struct Summary {
    /// Cases that came out as expected.
    pub passed: usize,
    /// Cases that did not.
    pub failed: usize,
    /// Cases of groups without a runner.
    pub not_run: usize,
    /// Failing cases that `disputed.json` lists with a reason.
    pub disputed: usize,
}

/// Runs every `*.json` of `folder` (but `disputed.json`) and prints a line per group, failures with
/// id, expected and got, and the summary line.
///
/// # Panics
/// When the folder or a file in it cannot be read, or a file does not have the shape of vectors.
#[expect(
    clippy::print_stdout,
    reason = "the report is what this function is for"
)]
pub fn run_folder(folder: &Path, only: Option<&str>) -> Summary {
    let disputed = disputed(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "disputed"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no vector files in {}", folder.display());
    let mut total = Summary::default();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a readable vector file");
        let document: Value = serde_json::from_str(&text).expect("a vector file is JSON");
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a UTF-8 file name");
        for group in document["groups"]
            .as_array()
            .expect("a vector file has groups")
        {
            let name = group["name"].as_str().expect("a group has a name");
            if only.is_some_and(|only| !name.contains(only)) {
                continue;
            }
            let counts = run_group(stem, name, group, &disputed);
            println!(
                "{stem}/{name}: {} passed, {} failed, {} not run, {} disputed",
                counts.passed, counts.failed, counts.not_run, counts.disputed
            );
            total.passed += counts.passed;
            total.failed += counts.failed;
            total.not_run += counts.not_run;
            total.disputed += counts.disputed;
        }
    }
    println!(
        "vectors: {} passed, {} failed, {} not run, {} disputed",
        total.passed, total.failed, total.not_run, total.disputed
    );
    total
}

#[expect(clippy::print_stdout, reason = "failures are part of the report")]
fn run_group(
    stem: &str,
    name: &str,
    group: &Value,
    disputed: &BTreeMap<String, String>,
) -> Summary {
    let cases = group["cases"].as_array().expect("a group has cases");
    let mut counts = Summary::default();
    let Some(runner) = super::runner(stem, name) else {
        counts.not_run = cases.len();
        return counts;
    };
    for whole in cases {
        let case = Case {
            id: whole["id"].as_str().expect("a case has an id"),
            input: &whole["input"],
            expect: &whole["expect"],
            whole,
            partial: whole["partial"].as_bool().unwrap_or(false),
        };
        let verdict = catch_unwind(AssertUnwindSafe(|| runner(&case)))
            .unwrap_or_else(|_| Verdict::Failed("panicked".to_owned()));
        match verdict {
            Verdict::Passed => counts.passed += 1,
            Verdict::Failed(_) if disputed.contains_key(case.id) => counts.disputed += 1,
            Verdict::Failed(got) => {
                counts.failed += 1;
                println!("FAILED {}\n  input    {}", case.id, case.input);
                println!("  expected {}\n  got      {got}", case.expect);
            }
        }
    }
    counts
}

/// Reads `disputed.json` beside the vectors, or else of our own fixtures.
fn disputed(folder: &Path) -> BTreeMap<String, String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors/disputed.json");
    let beside = folder.join("disputed.json");
    let path = if beside.exists() { beside } else { own };
    let text = std::fs::read_to_string(&path).expect("disputed.json is readable");
    serde_json::from_str(&text).expect("disputed.json maps ids to reasons")
}
