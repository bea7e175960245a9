//! Applications that come, change and go while the program runs.

use image_updater_fixtures::application::AppSpec;
use serde_json::{Value, json};

use crate::stand::{Stand, helm_value, version};

#[test]
fn application_created_while_running_is_updated_and_nothing_but_its_image_changed() {
    let Some(stand) = Stand::new("created") else {
        return;
    };
    stand.push("web", &["1.0.0", "1.1.0", "2.0.0-rc.1"]);
    let program = stand.start(&[]);
    program.expect_line(&["0 application(s) found, considering 0"]);

    let mut app = stand.helm("web").to_json();
    app["spec"]["source"]["helm"] = json!({
        "releaseName": "shop",
        "parameters": [
            { "name": "web.tag", "value": "1.0.0", "forceString": true },
            { "name": "replicas", "value": "3" },
        ],
    });
    app["spec"]["syncPolicy"] = json!({ "automated": { "prune": true } });
    let before = stand.cluster.apply(&app);
    let after = stand.expect_tag(&program, "web", "1.1.0");

    let mut expected = before.clone();
    let parameters = json!([
        { "name": "web.tag", "value": "1.1.0", "forceString": true },
        { "name": "replicas", "value": "3" },
        { "name": "web.name", "value": stand.image("web"), "forceString": true },
    ]);
    expected["spec"]["source"]["helm"]["parameters"] = parameters;
    assert_eq!(after["spec"], expected["spec"]);
    assert_eq!(after["status"], before["status"]);
    let annotations = |app: &Value| app["metadata"]["annotations"].clone();
    assert_eq!(annotations(&after), annotations(&before));
    let managers = after["metadata"]["managedFields"].to_string();
    assert!(managers.contains("\"argocd-image-updater\""), "{managers}");

    program.expect_line(&["set image", "old_tag=1.0.0", "image_tag=1.1.0"]);
    program.expect_line(&[
        "Successfully updated application 'web'",
        "namespace=created",
    ]);
    // Argo CD has not synced it: what stands there already is not written again.
    program.expect_checks("web", 2);
    assert_eq!(version(&stand.read("web")), version(&after));
    let log = program.finish();
    assert!(log.contains("msg=\"finished\""), "{log}");
    assert!(!log.contains("level=error"), "{log}");
}

#[test]
fn kustomize_images_are_set_and_entries_of_others_stay() {
    let Some(stand) = Stand::new("kustomized") else {
        return;
    };
    stand.push("web", &["1.0.0", "1.1.0"]);
    let program = stand.start(&[]);
    let mut app = AppSpec::kustomize("kustomized", "web")
        .image(&stand.image("web"), "1.0.0")
        .to_json();
    app["spec"]["source"]["kustomize"] =
        json!({ "namePrefix": "a-", "images": ["example.com/other:7"] });
    stand.cluster.apply(&app);
    let wanted = json!({
        "namePrefix": "a-",
        "images": ["example.com/other:7", format!("{}:1.1.0", stand.image("web"))],
    });
    program.eventually("the image in the list", || {
        (stand.read("web")["spec"]["source"]["kustomize"] == wanted).then_some(())
    });
    program.finish();
}

#[test]
fn edited_annotation_decides_at_once_from_the_kept_listing() {
    let Some(stand) = Stand::new("edited") else {
        return;
    };
    stand.push("web", &["1.0.0", "1.0.9", "1.4.0", "2.0.0"]);
    // The own clock comes too late to matter.
    let program = stand.start(&["--interval=10m"]);
    let narrow = AppSpec::helm("edited", "web").image_with(&stand.image("web"), "1.0.0", "~1.0");
    stand.cluster.apply(&narrow.to_json());
    stand.expect_tag(&program, "web", "1.0.9");

    let wide = AppSpec::helm("edited", "web").image_with(&stand.image("web"), "1.0.0", "^1");
    let annotations = &wide.to_json()["metadata"]["annotations"];
    let edit = json!({ "metadata": { "annotations": annotations } });
    stand.send("PATCH", "web", Some(&edit)).expect_status(200);
    stand.expect_tag(&program, "web", "1.4.0");

    let listings = stand
        .registry
        .log()
        .lines()
        .filter(|line| line.contains("GET /v2/edited/web/tags/list"))
        .count();
    program.finish();
    assert_eq!(listings, 1, "the listing is kept");
}

#[test]
fn deleted_application_is_forgotten_and_one_of_its_name_is_another() {
    let Some(stand) = Stand::new("deleted") else {
        return;
    };
    stand.push("web", &["1.0.0", "1.1.0"]);
    let program = stand.start(&[]);
    stand.cluster.apply(&stand.helm("web").to_json());
    stand.expect_tag(&program, "web", "1.1.0");
    stand.send("DELETE", "web", None).expect_status(200);
    program.expect_line(&["application is gone", "application=web"]);

    stand.cluster.apply(&stand.helm("web").to_json());
    stand.expect_tag(&program, "web", "1.1.0");
    program.expect_lines(2, &["Successfully updated application 'web'"]);
    program.finish();
}

#[test]
fn application_of_several_sources_is_updated_where_its_type_is() {
    let Some(stand) = Stand::new("sources") else {
        return;
    };
    stand.push("web", &["1.0.0", "1.1.0"]);
    let program = stand.start(&[]);
    let mut app = stand.helm("web").to_json();
    let source = app["spec"]["source"].take();
    app["spec"] = json!({
        "project": "default",
        "destination": app["spec"]["destination"],
        "sources": [
            { "repoURL": "https://git.example.com/values.git", "ref": "values" },
            {
                "repoURL": source["repoURL"],
                "chart": "web",
                "targetRevision": "4.5.6",
                "helm": { "valueFiles": ["$values/web.yaml"] },
            },
        ],
    });
    app["status"]["sourceTypes"] = json!(["Directory", "Helm"]);
    let before = stand.cluster.apply(&app);
    let after = program.eventually("the second source at 1.1.0", || {
        let app = stand.read("web");
        (helm_value(&app["spec"]["sources"][1], "web.tag") == Some("1.1.0")).then_some(app)
    });
    let sources = &after["spec"]["sources"];
    assert_eq!(sources[0], before["spec"]["sources"][0]);
    assert_eq!(
        sources[1]["helm"]["valueFiles"],
        json!(["$values/web.yaml"])
    );
    assert!(after["spec"].get("source").is_none(), "{after}");
    program.finish();
}
