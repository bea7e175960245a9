//! Our templates against those of Go, in the language's own words and in many small mutations of them.
//!
//! Where Go is missing that test says so and is skipped. How deep templates nest is bounded, and shown here because
//! the core knows no threads.

use std::thread;

use image_updater_core::writeback::template::{Fault, Template, Value};
use image_updater_tests::oracle::Oracle;
use serde_json::Value as Json;

/// Templates that render or are refused, one a line.
const CASES: &str = include_str!("../oracle/templates.txt");
/// Mutations of each of them.
const MUTATIONS: usize = 40;
/// Asks for more mutations by hand.
const MUTATIONS_VARIABLE: &str = "IMAGE_UPDATER_TEMPLATE_MUTATIONS";

#[test]
fn templates_mean_what_go_says() {
    let Some(oracle) = Oracle::build() else {
        return;
    };
    let cases = cases();
    let renderings = oracle.renderings(&cases);
    assert_eq!(renderings.len(), cases.len());
    let mut wrong = Vec::new();
    let mut n_done = 0;
    for (case, theirs) in cases.iter().zip(&renderings) {
        n_done += usize::from(theirs["outcome"] == "done");
        if let Some(ours) = difference(case, theirs) {
            wrong.push(format!("{case:?}\n  go   {theirs}\n  ours {ours}"));
        }
    }
    assert!(n_done > 300, "{n_done} of {} render at all", cases.len());
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn deepest_nesting_fits_on_a_small_stack() {
    let deep = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(DEPTH), close.repeat(DEPTH))
    };
    let nested = deep("(print ", "1", ")");
    for source in [
        deep("{{if 1}}", "{{template \"a\" .}}", "{{end}}"),
        deep("{{range 1}}", "{{template \"a\" .}}", "{{end}}"),
        format!("{{{{{nested}}}}}{{{{template \"a\" .}}}}"),
        format!("{{{{template \"a\" {nested}}}}}"),
    ] {
        let source = format!("{{{{define \"a\"}}}}{source}{{{{end}}}}{{{{template \"a\"}}}}");
        let render = move || {
            let template = Template::parse(&source).expect("a template");
            template.render(&Value::Nil).map_err(|error| error.fault)
        };
        let rendered = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(render)
            .expect("a thread starts")
            .join()
            .expect("no panic");
        assert_eq!(rendered, Err(Fault::TooMuch));
    }
}

/// Nearly as deep as is allowed.
const DEPTH: usize = 60;
/// Half of what a thread of ours usually has.
const STACK_BYTES: usize = 1 << 20;

/// What we make of a template, if that is not what Go makes of it.
fn difference(case: &str, theirs: &Json) -> Option<String> {
    let outcome = theirs["outcome"].as_str().unwrap_or_default();
    let template = match Template::parse(case) {
        Ok(template) => template,
        // A closed list, and we say so.
        Err(error) if error.to_string().contains("not supported") => return None,
        Err(error) => return (outcome != "parse").then(|| error.to_string()),
    };
    match template.render(&sample()) {
        Ok(text) => (outcome != "done" || theirs["text"] != text.as_str()).then_some(text),
        // What only Go can print, and what is beyond our bounds, is refused.
        Err(error)
            if matches!(error.fault, Fault::Unprintable | Fault::TooMuch) && outcome != "parse" =>
        {
            None
        }
        Err(error) => (outcome != "execute").then(|| error.to_string()),
    }
}

/// The same data as in the oracle.
fn sample() -> Value {
    let change = |image, old, new| {
        Value::record(vec![
            ("Image", Value::text(image)),
            ("OldTag", Value::text(old)),
            ("NewTag", Value::text(new)),
        ])
    };
    Value::record(vec![
        ("AppName", Value::text("example-app")),
        (
            "AppChanges",
            Value::list(vec![
                change("foo/bar", "1.0", "1.1"),
                change("\u{e9}\"x", "", "sha256:abc"),
            ]),
        ),
    ])
}

/// The templates, and what comes of them when a character is left out, doubled, or exchanged with one of another.
fn cases() -> Vec<String> {
    let lines: Vec<String> = CASES
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.replace("\\n", "\n").replace("\\r", "\r"))
        .collect();
    let mut cases = lines.clone();
    let mut state = 1_u64;
    let mut draw = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let n_mutations = std::env::var(MUTATIONS_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(MUTATIONS);
    for line in &lines {
        for _ in 0..n_mutations {
            let mut chars: Vec<char> = line.chars().collect();
            let at = draw(chars.len());
            let other: Vec<char> = lines[draw(lines.len())].chars().collect();
            let from = draw(other.len());
            match draw(4) {
                0 => drop(chars.remove(at)),
                1 => chars.insert(at, chars[at]),
                2 => chars[at] = other[from],
                _ => {
                    let to = (from + 1 + draw(8)).min(other.len());
                    chars.splice(at..at, other[from..to].iter().copied());
                }
            }
            cases.push(chars.into_iter().collect());
        }
    }
    cases
}
