//! The real servers that tests are run against: they start, answer, restart and end.

use image_updater_fixtures::application::AppSpec;
use image_updater_tests::servers::{ApiServer, DockerRegistry, Setup, eventually};
use serde_json::json;

const PATH: &str = "/apis/argoproj.io/v1alpha1";

#[test]
fn registry_serves_what_was_pushed() {
    let Some(registry) = DockerRegistry::start(Setup::Open) else {
        return;
    };
    let one = registry.push_image("team/web", "1.0.0", "2026-01-02T03:04:05Z", "linux/amd64");
    let two = registry.push_index(
        "team/web",
        "1.1.0",
        &[
            ("linux/amd64", "2026-02-02T03:04:05Z"),
            ("linux/arm64/v8", "2026-02-02T03:04:06Z"),
        ],
    );
    registry.copy_tag("team/web", "1.1.0", "latest");
    assert_eq!(registry.tags("team/web"), ["1.0.0", "1.1.0", "latest"]);
    assert_ne!(one, two);

    let accept = [("accept", "application/vnd.oci.image.index.v1+json")];
    let path = "/v2/team/web/manifests/latest";
    let index = registry.send("GET", path, &accept, None).expect_status(200);
    assert_eq!(index.header("docker-content-digest"), Some(two.as_str()));
    assert_eq!(index.json()["manifests"][1]["platform"]["variant"], "v8");

    registry.delete_tag("team/web", "1.1.0");
    assert_eq!(
        registry.tags("team/web"),
        ["1.0.0"],
        "both tags meant one manifest"
    );
}

#[test]
fn registry_with_a_user_turns_others_away() {
    let Some(registry) = DockerRegistry::start(Setup::User("robot", "s3cret:word")) else {
        return;
    };
    registry.push_image("web", "1.0.0", "2026-01-02T03:04:05Z", "linux/amd64");
    assert_eq!(registry.tags("web"), ["1.0.0"]);

    let stranger = [("authorization", "Basic cm9ib3Q6d3Jvbmc=")];
    let path = "/v2/web/tags/list";
    let refused = registry
        .send("GET", path, &stranger, None)
        .expect_status(401);
    let challenge = refused.header("www-authenticate");
    assert_eq!(challenge, Some("Basic realm=\"tests\""));
}

#[test]
fn shipped_rights_let_the_program_read_and_patch_applications_and_no_more() {
    let Some(cluster) = ApiServer::shared() else {
        return;
    };
    let program = cluster.install_rbac("rights");
    let app = AppSpec::helm("rights", "web").image("registry.example.com/web", "1.0.0");
    let created = cluster.apply(&app.to_json());
    assert_eq!(
        created["status"]["sourceType"], "Helm",
        "status is no subresource"
    );

    let path = format!("{PATH}/namespaces/rights/applications/web");
    let send = |method: &str, path: &str, body| cluster.send(&program.token, method, path, body);
    let read = send("GET", &path, None).expect_status(200).json();
    assert_eq!(read["metadata"]["uid"], created["metadata"]["uid"]);
    let listed = send("GET", &format!("{PATH}/applications"), None).expect_status(200);
    assert_eq!(listed.json()["kind"], "ApplicationList");
    let bounded = format!("{PATH}/applications?watch=1&timeoutSeconds=1&resourceVersion=0");
    send("GET", &bounded, None).expect_status(200);

    let patch = json!({
        "metadata": { "resourceVersion": read["metadata"]["resourceVersion"] },
        "spec": { "source": { "helm": { "parameters": [{ "name": "web.tag", "value": "1.0.1" }] } } },
    });
    send("PATCH", &path, Some(&patch)).expect_status(200);
    send("PATCH", &path, Some(&patch)).expect_status(409);

    send("GET", "/api/v1/namespaces/rights/secrets", None).expect_status(200);
    send("GET", "/api/v1/namespaces/default/secrets", None).expect_status(403);
    send("DELETE", &path, None).expect_status(403);

    cluster
        .send(&cluster.nobody.token, "GET", &path, None)
        .expect_status(403);
}

#[test]
fn wrong_types_are_refused_by_the_kind_and_unknown_members_kept() {
    let Some(cluster) = ApiServer::shared() else {
        return;
    };
    cluster.create_namespace("shapes");
    let path = format!("{PATH}/namespaces/shapes/applications");
    let mut app = AppSpec::kustomize("shapes", "web").to_json();
    app["spec"]["source"]["kustomize"] = json!({ "images": ["web:1"], "namePrefix": "a-" });
    let kept = cluster
        .send(&cluster.admin.token, "POST", &path, Some(&app))
        .expect_status(201);
    assert_eq!(
        kept.json()["spec"]["source"]["kustomize"]["namePrefix"],
        "a-"
    );

    app["metadata"]["name"] = json!("other");
    app["spec"]["source"]["kustomize"]["images"] = json!("web:1");

    cluster
        .send(&cluster.admin.token, "POST", &path, Some(&app))
        .expect_status(422);
}

#[test]
fn api_server_comes_back_with_its_data_and_without_streaming_lists() {
    let Some(cluster) = ApiServer::start(&[]) else {
        return;
    };
    cluster.create_namespace("again");
    cluster.apply(&AppSpec::helm("again", "web").to_json());
    let streaming = format!(
        "{PATH}/applications?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
         &allowWatchBookmarks=true&timeoutSeconds=1"
    );
    // For a moment after a start the server answers 404 or 429.
    let list = |status: u16| {
        eventually("a list in a stream", || {
            let reply = cluster.send(&cluster.admin.token, "GET", &streaming, None);
            (reply.status == status).then(|| String::from_utf8_lossy(&reply.body).into_owned())
        })
    };
    let events = list(200);
    assert!(
        events.contains("k8s.io/initial-events-end"),
        "got: {events}"
    );

    cluster.restart_with(&["--feature-gates=WatchList=false"]);
    list(422);
    let path = format!("{PATH}/namespaces/again/applications/web");
    let read = cluster.send(&cluster.admin.token, "GET", &path, None);
    read.expect_status(200);

    cluster.restart();
    list(200);
    let seen = cluster.kubectl(&cluster.admin, &["get", "apps", "-A"], None);
    assert!(seen.expect("kubectl works").contains("web"));
}
