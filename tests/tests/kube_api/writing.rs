//! Writing while somebody else writes.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::stand::{Stand, helm_value};

/// Pushes after which a conflict must have been met.
const PUSHES_MAX: u32 = 12;

#[test]
fn edits_of_somebody_else_in_a_tight_loop_and_ours_all_survive() {
    let Some(stand) = Stand::new("contended") else {
        return;
    };
    stand.push("web", &["1.0.0", "1.1.0"]);
    let mut app = stand.helm("web").to_json();
    app["spec"]["source"]["helm"]["parameters"] = json!([{ "name": "edits", "value": "0" }]);
    stand.cluster.apply(&app);
    let program = stand.start(&[]);
    stand.expect_tag(&program, "web", "1.1.0");

    let is_over = AtomicBool::new(false);
    let conflict = ["level=warning", "the application was changed meanwhile"];
    let (n_edits, last_tag) = std::thread::scope(|scope| {
        let editor = scope.spawn(|| edit_until(&stand, &is_over));
        let mut last_tag = String::new();
        for n in 2..2 + PUSHES_MAX {
            last_tag = format!("1.{n}.0");
            stand.push("web", &[&last_tag]);
            stand.expect_tag(&program, "web", &last_tag);
            if program.count(&conflict) > 0 {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        (editor.join().expect("the editor edits"), last_tag)
    });
    assert!(program.count(&conflict) > 0, "{}", program.log());
    program.expect_line(&["Successfully updated application 'web'"]);

    let source = &stand.read("web")["spec"]["source"];
    assert_eq!(helm_value(source, "web.tag"), Some(last_tag.as_str()));
    assert_eq!(
        helm_value(source, "edits"),
        Some(n_edits.to_string().as_str()),
        "every edit of the other one"
    );
    program.finish();
}

/// Counts up a Helm parameter beside ours by reading and replacing the whole Application.
fn edit_until(stand: &Stand<'_>, is_over: &AtomicBool) -> u64 {
    let mut n_edits = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        let mut app = stand.read("web");
        let parameters = app["spec"]["source"]["helm"]["parameters"]
            .as_array_mut()
            .expect("there are parameters");
        let edits = parameters
            .iter_mut()
            .find(|parameter| parameter["name"] == "edits")
            .expect("the parameter of the editor is there");
        edits["value"] = Value::from((n_edits + 1).to_string());
        match stand.send("PUT", "web", Some(&app)).status {
            200 => n_edits += 1,
            // The program was faster.
            409 => {}
            status => panic!("edit refused with status {status}"),
        }
    }
    n_edits
}
