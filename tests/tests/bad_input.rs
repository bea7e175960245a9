//! Bad input of every kind, through the facade: each is an error of its own application with its reason
//! code, and the neighbour, which shares its registry, is updated as usual.

use std::time::Duration;

use image_updater_core::Event;
use image_updater_core::app::Application;
use image_updater_core::input::{ClusterInput, Input};
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::ImageSpec;
use image_updater_tests::world::{INTERVAL, NAMESPACE, RegistryFault, World};
use serde_json::{Value, json};

const WEB: &str = "r.test/org/web";
const HEALTHY: &str = "r.test/org/healthy";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn every_mistake_in_an_annotation_is_an_error_with_its_code() {
    let long = "x".repeat(300);
    let list = |text: &str| [("image-list", text.to_owned())];
    let own = |key: &'static str, value: &str| [(key, value.to_owned())];
    let cases: Vec<(&str, [(&str, String); 1])> = vec![
        ("invalid-constraint", list("web=r.test/org/web:~~1")),
        ("invalid-constraint", list("web=r.test/org/web:1.0 || ")),
        (
            "invalid-constraint",
            list(&format!("web=r.test/org/web:>={long}")),
        ),
        ("not-live", list("web=r.test/org/wbe")),
        ("invalid-option", own("web.update-strategy", "newest")),
        ("no-tag-allowed", own("web.allow-tags", "regexp:(")),
        (
            "no-tag-allowed",
            own("web.allow-tags", "regexp:(a{1000}){1000}"),
        ),
        ("invalid-option", own("web.pull-secret", "nonsense")),
        (
            "write-back-method-unsupported",
            own("write-back-method", "carrier-pigeon"),
        ),
        (
            "git-not-built",
            own("write-back-method", "git:secret:argocd/creds"),
        ),
    ];
    for (code, annotations) in cases {
        let mut spec = web();
        for (key, value) in &annotations {
            spec = spec.annotation(key, value);
        }
        let world = beside_a_healthy_one(&spec.to_json());
        assert_eq!(world.codes("web"), [code], "{annotations:?}");
        let reason = world.explain("web").images[0].reason.to_string();
        assert!(reason.len() < 2000, "a bounded text: {reason}");
    }
}

#[test]
fn an_image_list_that_cannot_be_used_is_refused_as_a_whole() {
    let many = "a,".repeat(2000);
    let huge = "x".repeat(1 << 20);
    for value in [
        json!(many),
        json!(huge),
        json!(7),
        json!(["a"]),
        json!({"a": 1}),
    ] {
        let mut object = web().to_json();
        object["metadata"]["annotations"]["argocd-image-updater.argoproj.io/image-list"] = value;
        let world = beside_a_healthy_one(&object);
        let refusal = world.explain("web").refusal.expect("it is refused");
        assert_eq!(refusal.code(), "invalid-image-list");
        assert!(refusal.to_string().len() < 2000, "{refusal}");
        assert!(world.checks("web") > 0, "it is checked, and fails");
        assert!(world.count(|event| matches!(event, Event::WriteRefused { .. })) >= 1);
    }
}

#[test]
fn an_annotation_of_a_mebibyte_is_not_kept_and_not_guessed_at() {
    let mut object = web().to_json();
    let annotations = &mut object["metadata"]["annotations"];
    annotations["argocd-image-updater.argoproj.io/web.allow-tags"] = json!("x".repeat(1 << 20));
    annotations["other.example.com/blob"] = json!("y".repeat(1 << 20));
    let world = beside_a_healthy_one(&object);
    let explanation = world.explain("web");
    assert_eq!(
        explanation.refusal.expect("refused").code(),
        "unreadable-annotation"
    );
    assert!(explanation.problems[0].path.contains("web.allow-tags"));
    assert!(
        world.core.footprint().applications < 64 * 1024,
        "nothing of it is kept"
    );
    let told = |event: &Event| matches!(event, Event::ApplicationMalformed { .. });
    assert_eq!(world.count(told), 1);
}

#[test]
fn a_hundred_thousand_tags_are_read_and_one_more_is_an_error() {
    for (n, code) in [(100_000, "updated"), (100_001, "listing-failed")] {
        let mut world = World::plain();
        for tag in 0..n {
            world
                .registry("r.test")
                .push_name("org/web", format!("1.0.{tag}"));
        }
        let world = run_beside_a_healthy_one(world, &web().to_json());
        assert_eq!(world.codes("web"), [code], "{n}");
        if code == "updated" {
            assert_eq!(world.parameter("web", "web.tag"), Some("1.0.99999"));
        } else {
            let text = names_registry_and_repository(&world);
            assert!(text.contains("100000"), "{text}");
        }
    }
}

#[test]
fn tag_names_of_any_bytes_leave_the_others_usable() {
    let longest = format!("2.0.0-{}", "a".repeat(122));
    assert_eq!(longest.len(), 128);
    let mut world = World::plain();
    let registry = world.registry("r.test");
    registry.push_name("org/web", longest.clone());
    registry.push_name("org/web", format!("{longest}a"));
    for name in [
        &b"1.9.\xff"[..],
        b"\xc3\x28",
        b"",
        b"1.9.0 ",
        b"../../1.9.0",
        b"1.9.0\\n",
        b"-1.9.0",
    ] {
        registry.push_name("org/web", name);
    }
    let spec = web().annotation("image-list", "web=r.test/org/web:>=1.0-0");
    let world = run_beside_a_healthy_one(world, &spec.to_json());
    assert_eq!(world.codes("web"), ["updated"]);
    assert_eq!(world.parameter("web", "web.tag"), Some(&*longest));
    assert!(world.requests.iter().all(|(_, url)| url.is_ascii()));
}

#[test]
fn a_tag_that_is_none_never_becomes_part_of_a_url() {
    let mut world = World::plain();
    for name in ["../../secret", "a b", "x?y=z", "a#b", "\u{e9}"] {
        world.registry("r.test").push_name("org/web", name);
    }
    world.push(WEB, &["1.1.0"]);
    let spec = web().strategy("newest-build");
    let world = run_beside_a_healthy_one(world, &spec.to_json());
    assert_eq!(world.codes("web"), ["updated"]);
    let odd = |url: &str| {
        ["..", " ", "?y", "#", "secret"]
            .iter()
            .any(|part| url.contains(part))
    };
    assert!(
        world.requests.iter().all(|(_, url)| !odd(url)),
        "{:?}",
        world.requests
    );
}

#[test]
fn an_application_never_goes_back_because_the_image_that_runs_could_not_be_read() {
    let page = b"<html>be right back</html>".to_vec();
    for (status, part) in [
        (200, "/manifests/1.1.0"),
        (404, "/manifests/1.1.0"),
        (403, "/manifests/1.1.0"),
        (500, "/manifests/1.1.0"),
        (404, "/blobs/"),
    ] {
        let mut world = World::plain();
        world.push(WEB, &["1.0.0", "1.1.0"]);
        let fault = RegistryFault::Page(part, status, page.clone());
        world.registry_faults.insert("r.test".into(), fault);
        let spec = AppSpec::helm(NAMESPACE, "web").image(WEB, "1.1.0");
        world.apply(&spec.strategy("newest-build"));
        world.sync();
        world.run_for(Duration::from_secs(30));
        assert_eq!(world.codes("web"), ["metadata-failed"], "{status} {part}");
        assert_eq!(world.written("web"), 0, "{status} {part}");
        // It is read again, and nothing has to be done about it.
        world.registry_faults.clear();
        world.run_for(INTERVAL * 2);
        assert_eq!(world.codes("web"), ["up-to-date"], "{status} {part}");
    }
}

#[test]
fn manifests_that_cannot_be_used_are_errors_of_their_application() {
    let fill = |n: usize| format!("{{\"schemaVersion\":2,\"pad\":\"{}\"}}", "x".repeat(n));
    let digest = "sha256:".to_owned() + &"0".repeat(64);
    let dangling = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2}});
    for (what, body) in [
        ("above 4 MiB", fill(4 << 20).into_bytes()),
        ("of depth 10,000", deep(10_000).into_bytes()),
        ("of no JSON", b"\xff\xfe".to_vec()),
        ("of nothing", Vec::new()),
        ("of a list", b"[]".to_vec()),
        (
            "of wrong types",
            b"{\"schemaVersion\":\"2\",\"config\":7}".to_vec(),
        ),
        (
            "with a config that is not there",
            dangling.to_string().into_bytes(),
        ),
    ] {
        for strategy in ["digest", "newest-build"] {
            let mut world = World::plain();
            world
                .registry("r.test")
                .push_raw("org/web", "stable", MANIFEST, &body);
            let spec = if strategy == "digest" {
                AppSpec::helm(NAMESPACE, "web").image_with(WEB, "1.0.0", "stable")
            } else {
                AppSpec::helm(NAMESPACE, "web").image(WEB, "1.0.0")
            };
            let world = run_beside_a_healthy_one(world, &spec.strategy(strategy).to_json());
            let codes = world.codes("web");
            let is_told = [
                "metadata-failed",
                "no-usable-tag",
                "tag-not-found",
                "updated",
            ];
            assert!(is_told.contains(&codes[0]), "{what} {strategy}: {codes:?}");
            // The digest of a manifest is that of its bytes, whatever they say.
            let is_written = codes[0] == "updated";
            assert_eq!(is_written, world.written("web") == 1, "{what} {strategy}");
            assert!(!is_written || strategy == "digest", "{what}: {codes:?}");
        }
    }
}

#[test]
fn answers_that_are_no_tag_lists_are_errors_that_name_registry_and_repository() {
    let page = |text: &str| RegistryFault::Body(text.as_bytes().to_vec());
    for fault in [
        RegistryFault::Body(deep(10_000).into_bytes()),
        RegistryFault::Body(format!("{{\"tags\":{}}}", deep(10_000)).into_bytes()),
        RegistryFault::Body(vec![b'x'; 17 << 20]),
        page(""),
        page("{\"tags\":[\"1.0"),
        page("{\"tags\":{\"a\":1}}"),
        page("{\"tags\":[1,2]}"),
        page("<html>sign in</html>"),
        RegistryFault::Status(200, vec![("link".into(), "</v2/x>; rel=\"next\"".into())]),
        RegistryFault::Status(302, vec![("location".into(), "ftp://elsewhere".into())]),
        RegistryFault::Status(
            401,
            vec![("www-authenticate".into(), "Bearer realm=".into())],
        ),
        RegistryFault::Status(404, Vec::new()),
        RegistryFault::Status(403, Vec::new()),
        RegistryFault::Status(500, Vec::new()),
        RegistryFault::Status(999, Vec::new()),
    ] {
        let mut world = World::plain();
        let brief: String = format!("{fault:?}").chars().take(60).collect();
        world.registry_faults.insert("sick.test".to_owned(), fault);
        let spec = AppSpec::helm(NAMESPACE, "web").image("sick.test/org/web", "1.0.0");
        let world = run_beside_a_healthy_one(world, &spec.to_json());
        assert_eq!(world.codes("web"), ["listing-failed"], "{brief}");
        let text = world.explain("web").images[0].reason.to_string();
        assert!(
            text.contains("sick.test") && text.contains("org/web"),
            "{brief}: {text}"
        );
        assert!(text.len() < 500, "{brief}: {text}");
    }
}

#[test]
fn objects_that_are_no_applications_are_told_as_such() {
    for document in [
        &deep(10_000),
        "",
        "[]",
        "7",
        "{}",
        "{\"metadata\":null}",
        "{\"metadata\":{\"name\":\"a\"}}",
        "{\"metadata\":{\"namespace\":1,\"name\":\"b\",\"uid\":\"c\"}}",
        "{\"metadata\":{\"namespace\":\"a\"",
    ] {
        let error = Application::from_json(document.as_bytes()).expect_err("no application");
        assert!(
            error.to_string().starts_with("not an application"),
            "{error}"
        );
    }
}

#[test]
fn depth_is_passed_over_where_it_is_not_read_and_told_where_it_is() {
    let object = web().to_json();
    for (pointer, code) in [
        ("/spec/ignored", "updated"),
        ("/spec/source", "source-not-writable"),
    ] {
        let mut world = World::plain();
        world.push(WEB, &["1.0.0", "1.1.0"]);
        world.push(HEALTHY, &["1.0.0", "1.1.0"]);
        world.apply(&AppSpec::helm(NAMESPACE, "healthy").image(HEALTHY, "1.0.0"));
        world.sync();
        let mut deepened = object.clone();
        deepened["metadata"]["uid"] = json!("deep");
        let member = pointer.rsplit('/').next().expect("a name");
        deepened["spec"][member] = json!("DEEP");
        let text = deepened.to_string().replace("\"DEEP\"", &deep(10_000));
        let record = Application::from_json(text.as_bytes()).expect("an application");
        world.tell(Input::Cluster(ClusterInput::Applied(Box::new(record))));
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.codes("web"), [code], "{pointer}");
        assert_eq!(world.written("healthy"), 1);
    }
}

#[test]
fn applications_of_any_shape_are_errors_of_their_own() {
    let cases: [(&str, Value, Option<&str>); 14] = [
        ("/spec/source", Value::Null, Some("source-not-writable")),
        ("/spec", Value::Null, Some("source-not-writable")),
        ("/spec", json!([1, 2]), None),
        ("/spec/source", json!(5), None),
        ("/spec/source", json!({"helm": 7}), None),
        ("/spec/source", json!({"helm": {"parameters": "x"}}), None),
        (
            "/spec/source",
            json!({"helm": {"parameters": [7, {"name": 3}]}}),
            None,
        ),
        (
            "/spec/source",
            json!({"repoURL": {"a": 1}, "path": 7}),
            None,
        ),
        ("/spec/sources", json!("none"), None),
        ("/spec/sources", json!([]), None),
        ("/spec/sources", json!([null, 7]), None),
        (
            "/status/summary/images",
            json!({"a": "b"}),
            Some("not-live"),
        ),
        ("/status/summary/images", json!([1, null]), Some("not-live")),
        ("/status/summary", json!("none"), Some("not-live")),
    ];
    for (path, value, code) in cases {
        let mut object = web().to_json();
        let (parent, member) = path.rsplit_once('/').expect("a path");
        *object
            .pointer_mut(parent)
            .expect("a parent")
            .as_object_mut()
            .expect("an object")
            .entry(member)
            .or_insert(Value::Null) = value.clone();
        let world = beside_a_healthy_one(&object);
        let explanation = world.explain("web");
        let codes = world.codes("web");
        if let Some(code) = code {
            assert_eq!(codes, [code], "{path} = {value}");
        } else if world.written("web") == 0 {
            let is_explained = explanation.ignored.is_some()
                || explanation.refusal.is_some()
                || codes
                    .iter()
                    .any(|code| code.starts_with("source-") || *code == "wrong-source-type");
            assert!(is_explained, "{path} = {value}: {explanation:?}");
        } else {
            // Only what was read whole is written to.
            assert_eq!(
                world.parameter("web", "web.tag"),
                Some("1.1.0"),
                "{path} = {value}"
            );
        }
    }
}

#[test]
fn unknown_fields_are_passed_over() {
    let mut object = web().to_json();
    object["operation"] = json!({"sync": {"revision": "abc"}});
    object["spec"]["syncPolicy"] = json!({"automated": {"prune": true}});
    object["spec"]["source"]["helm"] = json!({"valuesObject": {"deep": [[[[[[1]]]]]]}, "x": null});
    object["status"]["resources"] = json!(vec![json!({"kind": "Pod"}); 1000]);
    object["metadata"]["managedFields"] = json!([{"manager": "argocd", "fieldsV1": {"f:a": {}}}]);
    let world = beside_a_healthy_one(&object);
    assert_eq!(world.written("web"), 1);
    assert_eq!(
        world.object("web")["spec"]["source"]["helm"]["valuesObject"]["deep"][0][0][0][0][0][0],
        1
    );
    assert!(world.explain("web").problems.is_empty());
}

#[test]
fn random_objects_never_harm_anyone() {
    let mut world = World::plain();
    world.push(HEALTHY, &["1.0.0", "1.1.0"]);
    world.apply(&AppSpec::helm(NAMESPACE, "healthy").image(HEALTHY, "1.0.0"));
    world.sync();
    let mut state: u64 = 1;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for n in 0..300 {
        let mut object = web().to_json();
        object["metadata"]["name"] = json!(format!("odd-{}", n % 40));
        for _ in 0..3 {
            let paths = [
                "/spec",
                "/spec/source",
                "/status",
                "/status/summary",
                "/status/summary/images",
                "/status/sourceType",
                "/metadata/annotations",
                "/spec/source/repoURL",
                "/metadata/labels",
            ];
            let path = paths[usize::try_from(draw(9)).expect("small")];
            let values = [
                json!(null),
                json!(7),
                json!("x"),
                json!([]),
                json!({}),
                json!([{"a": []}]),
                json!(true),
                json!({"helm": {"parameters": [{"name": "web.tag", "value": 3}]}}),
            ];
            if let Some(place) = object.pointer_mut(path) {
                *place = values[usize::try_from(draw(8)).expect("small")].clone();
            }
        }
        world.apply_json(&object);
        world.run_for(Duration::from_millis(500));
    }
    world.run_for(INTERVAL);
    assert_eq!(world.parameter("healthy", "healthy.tag"), Some("1.1.0"));
    assert_eq!(world.written("healthy"), 1);
}

fn web() -> AppSpec {
    AppSpec::helm(NAMESPACE, "web").image(WEB, "1.0.0")
}

/// A list in a list, and so on.
fn deep(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// The text of the failed lookup of `web`, which says whose it was.
fn names_registry_and_repository(world: &World) -> String {
    let text = world.explain("web").images[0].reason.to_string();
    assert!(
        text.contains("r.test") && text.contains("org/web"),
        "{text}"
    );
    text
}

/// Runs an object in a world with a registry that has all it may ask for.
fn beside_a_healthy_one(object: &Value) -> World {
    let mut world = World::plain();
    let registry = world.registry("r.test");
    for tag in ["1.0.0", "1.1.0"] {
        registry.push("org/web", tag, &ImageSpec::default());
    }
    run_beside_a_healthy_one(world, object)
}

/// Runs an object for one interval, and sees to it that its neighbour is updated in the first second
/// of it, once, and stays checked.
fn run_beside_a_healthy_one(mut world: World, object: &Value) -> World {
    world.push(HEALTHY, &["1.0.0", "1.1.0"]);
    world.apply_json(object);
    world.apply(&AppSpec::helm(NAMESPACE, "healthy").image(HEALTHY, "1.0.0"));
    world.sync();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.written("healthy"), 1, "the neighbour does not notice");
    world.run_for(INTERVAL.saturating_sub(Duration::from_secs(2)));
    assert_eq!(world.written("healthy"), 1);
    assert_eq!(world.checks("healthy"), 1);
    assert_eq!(world.codes("healthy"), ["updated"]);
    world
}
