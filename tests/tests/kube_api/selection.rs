//! Which Applications take part, and what a run does that is told to end or to write nothing.

use image_updater_fixtures::application::AppSpec;
use image_updater_tests::program::{Program, Stream};
use image_updater_tests::servers::{DockerRegistry, Setup};
use serde_json::json;

use crate::stand::{HOME, Stand, conf, helm_value, shipped, version};

#[test]
fn applications_of_one_name_in_two_namespaces_are_two() {
    let Some(stand) = Stand::new("twins-a") else {
        return;
    };
    stand.cluster.create_namespace("twins-b");
    stand.push("web", &["1.0.0", "1.1.0", "1.2.0"]);
    for (namespace, constraint) in [("twins-a", "1.1.x"), ("twins-b", "1.2.x")] {
        let mut app = AppSpec::helm(namespace, "web")
            .image_with(&stand.image("web"), "1.0.0", constraint)
            .to_json();
        app["metadata"]["labels"] = json!({ "test": "twins" });
        stand.cluster.apply(&app);
    }
    // All namespaces, as shipped; the label keeps other tests' Applications out.
    let who = shipped(stand.cluster);
    let flags = ["--match-application-label=test=twins"];
    let conf = conf(stand.registry, "");
    let program = Program::start_continuous(&who.kubeconfig, &conf, &flags);
    for (namespace, tag) in [("twins-a", "1.1.0"), ("twins-b", "1.2.0")] {
        program.eventually(namespace, || {
            let app = stand.send_in(namespace, "GET", "web", None).json();
            (helm_value(&app["spec"]["source"], "web.tag") == Some(tag)).then_some(())
        });
        let in_namespace = format!("namespace={namespace} ");
        program.expect_line(&["set image", "application=web", &in_namespace, tag]);
    }
    program.expect_line(&["2 application(s) found, considering 2"]);
    program.finish();
}

#[test]
fn only_the_namespace_the_label_and_the_name_asked_for_take_part() {
    let Some(stand) = Stand::new("chosen") else {
        return;
    };
    stand.cluster.create_namespace("not-chosen");
    stand.push("web", &["1.0.0", "1.1.0"]);
    let app = |namespace: &str, name: &str, track: &str| {
        let mut app = AppSpec::helm(namespace, name)
            .image(&stand.image("web"), "1.0.0")
            .to_json();
        app["metadata"]["labels"] = json!({ "track": track });
        stand.cluster.apply(&app)
    };
    let others = [
        app("chosen", "web-unlabelled", "no"),
        app("chosen", "other", "yes"),
        app("not-chosen", "web-elsewhere", "yes"),
    ];
    app("chosen", "web-chosen", "yes");
    let program = stand.start(&[
        "--match-application-label=track in (yes,maybe)",
        "--match-application-name=web-*",
    ]);
    let updated = ["Successfully updated application 'web-chosen'"];
    program.expect_line(&updated);
    program.expect_line(&["2 application(s) found, considering 1"]);

    // Whoever loses the label leaves, as if deleted; whoever gains it joins.
    let label = |track: &str| json!({ "metadata": { "labels": { "track": track } } });
    let relabel = |name: &str, track: &str| {
        stand
            .send("PATCH", name, Some(&label(track)))
            .expect_status(200);
    };
    relabel("web-chosen", "no");
    program.expect_line(&["application is gone", "application=web-chosen"]);
    relabel("web-unlabelled", "maybe");
    program.expect_line(&["Successfully updated application 'web-unlabelled'"]);

    for other in &others[1..] {
        let metadata = &other["metadata"];
        let (namespace, name) = (metadata["namespace"].as_str(), metadata["name"].as_str());
        let (namespace, name) = (namespace.expect("a text"), name.expect("a text"));
        let now = stand.send_in(namespace, "GET", name, None).json();
        assert_eq!(version(&now), version(other), "{name}");
    }
    let log = program.finish();
    assert!(!log.contains("web-elsewhere"), "{log}");
}

#[test]
fn one_pass_updates_and_ends_by_itself() {
    let Some(stand) = Stand::new("once") else {
        return;
    };
    stand.push("web", &["1.0.0", "1.1.0"]);
    stand.cluster.apply(&stand.helm("web").to_json());
    stand.cluster.apply(&stand.helm("unpushed").to_json());
    let who = shipped(stand.cluster);
    let flags = ["--once", "--application-namespace=once"];
    let program = Program::start(&who.kubeconfig, &conf(stand.registry, ""), &flags);
    let wrong = program.expect_line(&["level=error", "application=unpushed"]);
    assert_eq!(wrong, Stream::Err);
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(0), "it wrote:\n{}", ended.log);
    let app = stand.read("web");
    assert_eq!(helm_value(&app["spec"]["source"], "web.tag"), Some("1.1.0"));
    let results = "images_considered=2 images_skipped=0 images_updated=1 errors=1";
    assert!(ended.log.contains(results), "{}", ended.log);
}

#[test]
fn dry_run_tells_what_it_would_write_and_writes_nothing() {
    let Some(stand) = Stand::new("dry") else {
        return;
    };
    stand.push("web", &["1.0.0", "1.1.0"]);
    let before = stand.cluster.apply(&stand.helm("web").to_json());
    let program = stand.start(&["--dry-run", "--logformat=json"]);
    program.expect_line(&[
        "\"level\":\"info\"",
        "\"msg\":\"would set image\"",
        "\"application\":\"web\"",
        "\"image_tag\":\"1.1.0\"",
    ]);
    program.expect_lines(2, &["check finished"]);
    program.finish();
    assert_eq!(version(&stand.read("web")), version(&before));
}

#[test]
fn pull_secret_is_read_on_demand_and_only_at_home() {
    let Some(stand) = Stand::new("secrets") else {
        return;
    };
    let user = ("robot", "s3cret:word");
    let Some(registry) = DockerRegistry::start(Setup::User(user.0, user.1)) else {
        return;
    };
    for tag in ["1.0.0", "1.1.0"] {
        registry.push_image("web", tag, "2026-01-02T03:04:05Z", "linux/amd64");
    }
    let image = format!("{}/web", registry.host());
    let app = |name: &str, secret: &str| {
        AppSpec::helm("secrets", name)
            .image(&image, "1.0.0")
            .annotation("web.pull-secret", secret)
            .to_json()
    };
    let flags = ["--application-namespace=secrets"];
    let who = shipped(stand.cluster);
    let program = Program::start_continuous(&who.kubeconfig, &conf(&registry, ""), &flags);

    stand
        .cluster
        .apply(&app("elsewhere", "pullsecret:secrets/regcred"));
    program.expect_line(&[
        "level=error",
        "application=elsewhere",
        "grant the verb get on secrets in namespace secrets",
    ]);
    stand
        .cluster
        .apply(&app("home", &format!("pullsecret:{HOME}/regcred")));
    program.expect_line(&["application=home", "secret argocd/regcred does not exist"]);
    let login = json!({ "auths": { registry.host(): { "username": user.0, "password": user.1 } } });
    stand.cluster.apply(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "namespace": HOME, "name": "regcred" },
        "stringData": { ".dockerconfigjson": login.to_string() },
    }));
    program.expect_line(&["Successfully updated application 'home'"]);
    let log = program.finish();
    assert!(!log.contains("s3cret"), "{log}");
}
