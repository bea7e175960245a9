//! Edits by paths, one per line of a table: what is written, or why not.

use alloc::string::{String, ToString as _};

use super::resolve::Reader;
use super::{DEPTH_MAX, Draft, EditRefusal, ValuePath};

#[test]
fn scalars_keep_their_manner_and_everything_around_them() {
    check("a: x # c\n", "a", "1.0", "a: \"1.0\" # c\n");
    check("a:   'x'   # c\n", "a", "1.0", "a:   '1.0'   # c\n");
    check("a: 'x'\n", "a", "it's", "a: 'it''s'\n");
    check("a: \"x\"\t\n", "a", "q\"\\", "a: \"q\\\"\\\\\"\t\n");
    check("a: x\n  y # c\nb: z\n", "a", "v", "a: v # c\nb: z\n");
    check("a: \"x\n\n  y\"\n", "a", "v", "a: \"v\"\n");
    check("a: |\n  x\n  y\n\nb: z\n", "a", "v", "a: |-\n  v\n\nb: z\n");
    check(
        "a: >+ # c\n    x\n\n\nb: z\n",
        "a",
        "v",
        "a: >- # c\n    v\n\n\nb: z\n",
    );
    check("a: |2\n   x\n", "a", "v", "a: v\n");
    check("a: &n x\nb: *n\n", "b", "v", "a: &n v\nb: *n\n");
    check("a: !!int 1\n", "a", "v", "a: v\n");
    check("a: !!str 1\n", "a", "2", "a: !!str \"2\"\n");
    check("a: &n\nb: *n\n", "a", "v", "a: &n v\nb: *n\n");
    check("a: [x, {b: c}]\n", "a[1].b", "p,q", "a: [x, {b: 'p,q'}]\n");
    check("a: {b}\n", "a.b", "v", "a: {b: v}\n");
    check("a: {b: }\n", "a.b", "v", "a: {b: v }\n");
    check("a:\r\n- x\r\n- y", "a[1]", "z", "a:\r\n- x\r\n- z");
    check("\u{feff}ä: x\nb: y\n", "b", "é", "\u{feff}ä: x\nb: é\n");
    check("a: 1\n---\na: 2\n", "a", "v", "a: v\n---\na: 2\n");
    check("- a\n", "", "v", "no path");
}

#[test]
fn what_is_so_already_is_not_written_again() {
    for (text, value) in [
        ("a: 'v'\n", "v"),
        ("a: !!str 1\n", "1"),
        ("a: |-\n  v\n", "v"),
        ("a: v\n", "v"),
        ("a: 1:30\n", "1:30"),
    ] {
        assert_eq!(edit(text, &[("a", value)]), Ok(None), "{text}");
    }
    // By their letters only.
    check("a: 1.10\n", "a", "1.10", "a: \"1.10\"\n");
    check("a: on\n", "a", "on", "a: \"on\"\n");
    check("a: ~\n", "a", "~", "a: \"~\"\n");
}

#[test]
fn paths_lead_to_literal_keys_lists_and_escaped_dots() {
    check("a.b: x\na:\n  b: y\n", "a.b", "v", "a.b: v\na:\n  b: y\n");
    check(
        "a:\n  b.c:\n    d: x\n",
        "a.b.c.d",
        "v",
        "a:\n  b.c:\n    d: v\n",
    );
    check(
        "a:\n  b:\n    c: x\n  b.c: y\n",
        "a.b\\.c",
        "v",
        "a:\n  b:\n    c: x\n  b.c: v\n",
    );
    check("a: {}\n", "a.b\\.c", "v", "a: {b.c: v}\n");
    check("a:\n- - x\n  - y\n", "a[0][1]", "v", "a:\n- - x\n  - v\n");
    check(
        "a:\n- &n {t: x}\n- *n\n",
        "a[1].t",
        "v",
        "a:\n- &n {t: v}\n- *n\n",
    );
    check("a[0]: x\n", "a[0]", "v", "a[0]: v\n");
    check("a[x]: x\n", "a[x]", "v", "a[x]: v\n");
    check("b:\n  a[0]: x\n", "b.a\\[0\\]", "v", "b:\n  a[0]: v\n");
    check(
        "a: x\n",
        "a[0",
        "v",
        "a: x\n\"a[0\": v\n".replace('"', "").as_str(),
    );
}

#[test]
fn what_is_missing_is_added_in_the_manner_of_its_neighbours() {
    check(
        "a:\n    b: x\n",
        "c.d.e",
        "v",
        "a:\n    b: x\nc:\n    d:\n        e: v\n",
    );
    check(
        "a:\n  b: x # c\n  # foot\n\nd: e\n",
        "a.n",
        "v",
        "a:\n  b: x # c\n  # foot\n  n: v\n\nd: e\n",
    );
    check(
        "a:\n  b:\n    c: x\n  # of a\nd: e\n",
        "a.b.n",
        "v",
        "a:\n  b:\n    c: x\n    n: v\n  # of a\nd: e\n",
    );
    check("a:\nb: x\n", "a.n", "v", "a:\n  n: v\nb: x\n");
    check(
        "a: ~ # c\nb: x\n",
        "a.n.m",
        "v",
        "a: # c\n  n:\n    m: v\nb: x\n",
    );
    check("a: &n\nb: *n\n", "a.n", "v", "a: &n\n  n: v\nb: *n\n");
    check(
        "a: {b: {}, c: }\n",
        "a.c.n",
        "v",
        "a: {b: {}, c: {n: v} }\n",
    );
    check("a: {b: x,\n  }\n", "a.n", "v", "a: {b: x, n: v,\n  }\n");
    check(
        "a: |+\n  x\n\n\nb: |+\n  y\n\n\n",
        "c",
        "v",
        "a: |+\n  x\n\n\nb: |+\n  y\n\n\nc: v\n",
    );
    check(
        "a:\r\n- b: x\r\n",
        "a[0].n",
        "v",
        "a:\r\n- b: x\r\n  n: v\r\n",
    );
    check("a: x", "b", "v", "a: x\nb: v");
    check("# c", "a", "v", "# c\na: v\n");
    check("---\n---\nb: x\n", "a", "v", "---\na: v\n---\nb: x\n");
    check(
        "a: &x\n  b: y\nc:\n  <<: *x\n",
        "c.b",
        "v",
        "a: &x\n  b: y\nc:\n  <<: *x\n  b: v\n",
    );
    let two = [("a.tag", "1.0"), ("a.name", "n"), ("b", "v")];
    let expect = "x: y\na:\n  tag: \"1.0\"\n  name: n\nb: v\n";
    assert_eq!(edit("x: y\n", &two), Ok(Some(expect.into())));
}

#[test]
fn refusals_name_the_line_and_the_reason() {
    refuse(
        "x: 1\na: {b: c}\n",
        "a",
        ":2 at a: expected a single value, found a mapping",
    );
    refuse(
        "a: !custom x\n",
        "a",
        ":1 at a: the value has a tag that rules what it means",
    );
    refuse(
        "a: [x]\n",
        "a[1]",
        ":1 at a[1]: index 1 is out of range [0, 1)",
    );
    refuse(
        "a: [x]\n",
        "a[-1]",
        ":1 at a[-1]: index -1 is out of range [0, 1)",
    );
    refuse(
        "b: {a: [x]}\n",
        "b.a.c",
        ":1 at b.a.c: \"a\" is a list; name an item of it: a[0]",
    );
    refuse(
        "a: x\n",
        "a[0]",
        ":1 at a[0]: \"a\" is no list and takes no index",
    );
    refuse("a: x\n", "b[0].c", " at b[0].c: there is no list \"b\"");
    refuse(
        "a: x\n",
        "a[q]",
        " at a[q]: \"q\" is no index of a list; write name[0]",
    );
    refuse(
        "a: x\n",
        "a.b",
        ":1 at a.b: expected a mapping, found a single value",
    );
    refuse("a: x\n", "b..c", " at b..c: this is no path of a value");
    refuse("- x\n", "a", ":1 at a: expected a mapping, found a list");
    refuse(
        "a: [b: x]\n",
        "a[0].n",
        ":1: this is written in a form that cannot be edited safely",
    );
    refuse(
        "? a\n",
        "a",
        ":2: this is written in a form that cannot be edited safely",
    );
    refuse(
        "a: x\n\t\nb: y\n",
        "a",
        ":1: this is written in a form that cannot be edited safely",
    );
    refuse(
        "b: x\n%TAG ! x:\n",
        "a",
        ":2: the file declares tags of its own (%TAG)",
    );
    let deep = "[".repeat(DEPTH_MAX + 1);
    refuse(&deep, "a", ":1: the file nests deeper than 100 levels");
    let got = edit("a: &n x\nb: *n\n", &[("a", "v"), ("b", "w")]);
    let got = got.expect_err("one place, two texts").to_string();
    assert_eq!(got, ":2 at b: two images want different values here");
}

fn check(text: &str, path: &str, value: &str, expect: &str) {
    let got = edit(text, &[(path, value)]);
    match got {
        Ok(got) => assert_eq!(got.as_deref().unwrap_or(text), expect, "{path} in {text}"),
        Err(refusal) => assert_eq!(expect, "no path", "{refusal}"),
    }
}

fn refuse(text: &str, path: &str, expect: &str) {
    let got = edit(text, &[(path, "v")]).map_err(|refusal| refusal.to_string());
    assert_eq!(got, Err(expect.into()), "{path} in {text}");
}

fn edit(text: &str, values: &[(&str, &str)]) -> Result<Option<String>, EditRefusal> {
    let mut draft = Draft::new(text, Reader::Helm)?;
    for (path, value) in values {
        ValuePath::parse(path)?.put(&mut draft, value)?;
    }
    draft.finish()
}
