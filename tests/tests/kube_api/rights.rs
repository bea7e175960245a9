//! Rights that are older or narrower than the shipped ones.

use image_updater_tests::program::Stream;

use crate::stand::{HOME, Stand, version};

/// The rights on Applications as shipped.
const VERBS: &str = "[get, list, watch, update, patch]";

#[test]
fn without_the_verb_watch_applications_are_listed_and_the_verb_is_named() {
    let Some(stand) = Stand::new("unwatched") else {
        return;
    };
    let who = stand
        .cluster
        .install_rbac_as(HOME, "updater-without-watch", |shipped| {
            assert!(shipped.contains(VERBS), "{shipped}");
            shipped.replace(VERBS, "[get, list, update, patch]")
        });
    stand.push("web", &["1.0.0", "1.1.0"]);
    stand.push("late", &["1.0.0", "1.1.0"]);
    stand.cluster.apply(&stand.helm("web").to_json());
    let program = stand.start_as(&who, &[]);
    let said = [
        "level=warning",
        "grant the verb watch on applications.argoproj.io in namespace unwatched",
        "listed every 10 s",
    ];
    assert_eq!(program.expect_line(&said), Stream::Out);
    stand.expect_tag(&program, "web", "1.1.0");

    stand.cluster.apply(&stand.helm("late").to_json());
    stand.expect_tag(&program, "late", "1.1.0");
    stand.send("DELETE", "web", None).expect_status(200);
    program.expect_line(&["application is gone", "application=web"]);
    assert_eq!(program.count(&said), 1, "said once");
    program.finish();
}

#[test]
fn without_the_verb_patch_each_application_says_which_verb_to_grant() {
    let Some(stand) = Stand::new("unpatched") else {
        return;
    };
    let who = stand
        .cluster
        .install_rbac_as(HOME, "updater-without-patch", |shipped| {
            assert!(shipped.contains(VERBS), "{shipped}");
            shipped.replace(VERBS, "[get, list, watch, update]")
        });
    stand.push("web", &["1.0.0", "1.1.0"]);
    let before = stand.cluster.apply(&stand.helm("web").to_json());
    let program = stand.start_as(&who, &[]);
    let stream = program.expect_line(&[
        "level=error",
        "could not update application",
        "grant the verb patch on applications.argoproj.io in namespace unpatched",
        "application=web",
    ]);
    assert_eq!(stream, Stream::Err);
    program.expect_line(&["check finished", "end=failure"]);
    program.finish();
    assert_eq!(version(&stand.read("web")), version(&before));
}

#[test]
fn without_any_right_nothing_is_known_and_the_verb_is_named() {
    let Some(stand) = Stand::new("nothing") else {
        return;
    };
    stand.cluster.apply(&stand.helm("web").to_json());
    let program = stand.start_as(&stand.cluster.nobody, &[]);
    program.expect_line(&[
        "level=warning",
        "grant the verb list on applications.argoproj.io in namespace nothing",
    ]);
    program.finish();
}
