//! An API server that goes away and comes back, and one that lists by pages only.

use image_updater_tests::servers::ApiServer;

use crate::stand::{Stand, registry};

#[test]
fn restarted_api_server_costs_no_application_and_no_update() {
    let (Some(cluster), Some(registry)) = (ApiServer::start(&[]), registry()) else {
        return;
    };
    let stand = Stand::on(&cluster, registry, "restarted");
    stand.push("web", &["1.0.0", "1.1.0"]);
    stand.cluster.apply(&stand.helm("web").to_json());
    let program = stand.start(&[]);
    stand.expect_tag(&program, "web", "1.1.0");

    cluster.stop();
    // Checks go on from what is known; what cannot be written now is written later.
    program.expect_checks("web", 1);
    stand.push("web", &["1.2.0"]);
    program.expect_line(&["could not update application", "application=web"]);
    cluster.start_again(&[]);
    stand.expect_tag(&program, "web", "1.2.0");

    stand.push("late", &["1.0.0", "1.1.0"]);
    stand.cluster.apply(&stand.helm("late").to_json());
    stand.expect_tag(&program, "late", "1.1.0");
    let log = program.finish();
    assert!(!log.contains("application is gone"), "{log}");
    // For a moment a server that starts knows no rights yet.
    assert!(!log.contains("grant the verb watch"), "{log}");
}

#[test]
fn without_streaming_lists_applications_are_listed_by_pages_and_then_watched() {
    let off = ["--feature-gates=WatchList=false"];
    let (Some(cluster), Some(registry)) = (ApiServer::start(&off), registry()) else {
        return;
    };
    let stand = Stand::on(&cluster, registry, "paged");
    stand.push("web", &["1.0.0", "1.1.0"]);
    stand.cluster.apply(&stand.helm("web").to_json());
    let program = stand.start(&[]);
    program.expect_line(&["level=info", "listing applications by pages"]);
    program.expect_line(&["1 application(s) found, considering 1"]);
    stand.expect_tag(&program, "web", "1.1.0");

    stand.push("late", &["1.0.0", "1.1.0"]);
    stand.cluster.apply(&stand.helm("late").to_json());
    stand.expect_tag(&program, "late", "1.1.0");
    stand.send("DELETE", "web", None).expect_status(200);
    program.expect_line(&["application is gone", "application=web"]);
    let log = program.finish();
    assert!(!log.contains("level=error"), "{log}");
}
