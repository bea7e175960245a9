//! What the judge of YAML tells, on texts whose meaning is known: whoever asks it can rely on this.

use image_updater_tests::oracle::Oracle;
use serde_json::{Value, json};

#[test]
fn judge_tells_types_order_aliases_and_documents() {
    let Some(oracle) = Oracle::build() else {
        return;
    };
    let scalar = |tag: &str, value: &str| json!({"tag": tag, "value": value});
    let text = |value: &str| scalar("!!str", value);
    let map = |pairs: Value| json!({ "pairs": pairs });
    let cases = [
        (
            "tag: 1.10 # c\r\nb: \"1.10\"\r\n",
            json!([map(json!([
                [text("tag"), scalar("!!float", "1.10")],
                [text("b"), text("1.10")]
            ]))]),
        ),
        ("a: &x [v1, ~, on, 0x1F]\nb: *x\n", {
            let list = json!([
                text("v1"),
                scalar("!!null", "~"),
                text("on"),
                scalar("!!int", "0x1F")
            ]);
            json!([map(json!([[text("a"), list], [text("b"), list]]))])
        }),
        (
            "--- |\n  a\n  b\n---\n...\n",
            json!([text("a\nb\n"), scalar("!!null", "")]),
        ),
        ("", json!([])),
    ];
    let asked: Vec<String> = cases.iter().map(|(asked, _)| (*asked).to_owned()).collect();
    let told = oracle.readings(&asked);
    assert_eq!(told.len(), cases.len());
    for ((asked, expect), told) in cases.iter().zip(&told) {
        assert_eq!(
            told,
            &json!({"documents": expect, "error": ""}),
            "{asked:?}"
        );
    }

    let bomb: String = ('b'..='z').fold("a: &a [x]\n".to_owned(), |text, name| {
        let before = char::from(name as u8 - 1);
        format!("{text}{name}: &{name} [*{before}, *{before}]\n")
    });
    for (text, error) in [("a: [", "did not find"), (&*bomb, "more than 100000 nodes")] {
        let told = oracle.readings(&[text.to_owned()]);
        let found = told[0]["error"].as_str().unwrap_or_default();
        assert!(found.contains(error), "{found}");
    }
}
