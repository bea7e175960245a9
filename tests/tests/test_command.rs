//! `test IMAGE` (`ops.md` 9): the program itself against the fake registry on a socket.

use std::os::unix::fs::PermissionsExt as _;

use image_updater_fixtures::registry::{Auth, ImageSpec, Platform};
use image_updater_sim::wire::{Wire, WireWorld};
use image_updater_tests::program::{Answered, ask};
use image_updater_tests::servers::eventually;
use serde_json::{Value, json};

#[test]
fn newest_version_within_the_constraint_is_told() {
    let world = World::start();
    for (image, flags, line) in [
        (
            "org/app:1.0.0",
            &["--semver-constraint=1.x"][..],
            "latest image according to constraint is HOST/org/app:1.2.0",
        ),
        (
            "org/app:1.2.0",
            &["--semver-constraint=1.x"],
            "no newer version of image found: 1.2.0 is up to date",
        ),
        (
            "org/app",
            &["--update-strategy=newest-build"],
            "latest image according to constraint is HOST/org/app:nightly",
        ),
        (
            "org/app",
            &["--update-strategy=alphabetical", "--allow-tags=regexp:^1"],
            "latest image according to constraint is HOST/org/app:1.2.0",
        ),
        (
            "org/app:nightly",
            &["--update-strategy=digest"],
            "latest image according to constraint is HOST/org/app@sha256:",
        ),
        (
            "org/app:1.0.0",
            &["--ignore-tags=1.*", "--ignore-tags=2.*"],
            "no newer version of image found",
        ),
    ] {
        let answered = world.test(image, flags);
        let line = line.replace("HOST", &world.host());
        assert_eq!(answered.status, Some(0), "{image} {flags:?}: {answered:?}");
        assert!(
            answered.out.contains(&line),
            "{image} {flags:?}: {answered:?}"
        );
        assert_eq!(answered.err, "", "{image} {flags:?}");
    }
}

#[test]
fn json_is_one_document_and_the_log_stands_aside() {
    let world = World::start();
    let flags = ["--semver-constraint=1.x", "--output=json", "--explain"];
    let answered = world.test(
        "org/app:1.0.0",
        &[&flags[..], &["--ignore-tags=1.1*"]].concat(),
    );
    assert_eq!(answered.status, Some(0), "{answered:?}");
    assert!(
        answered.err.contains("retrieving information"),
        "{answered:?}"
    );
    let document: Value = serde_json::from_str(&answered.out).expect("one JSON document");
    let host = world.host();
    assert_eq!(document["code"], "updated");
    assert_eq!(document["is_newer"], true);
    assert_eq!(document["newest"], format!("{host}/org/app:1.2.0"));
    assert_eq!(document["repository"], "org/app");
    assert_eq!(document["registry"]["name"], "fake");
    assert_eq!(document["counts"]["listed"], 6);
    let codes: Vec<_> = document["tags"]
        .as_array()
        .expect("the tags")
        .iter()
        .map(|tag| json!([tag["tag"], tag["code"]]))
        .collect();
    assert_eq!(
        Value::Array(codes),
        json!([
            ["1.0.0", "older"],
            ["1.1.0", "ignored"],
            ["1.2.0", "chosen"],
            ["2.0.0", "outside-constraint"],
            ["arm", "not-a-version"],
            ["nightly", "not-a-version"],
        ])
    );
}

#[test]
fn every_tag_is_explained_in_a_table() {
    let world = World::start();
    let flags = [
        "--update-strategy=newest-build",
        "--explain",
        "--loglevel=error",
    ];
    let answered = world.test("org/app", &flags);
    let rows: Vec<Vec<&str>> = answered
        .out
        .lines()
        .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect())
        .collect();
    let row = |tag: &str| {
        let found = rows.iter().find(|row| row[0].trim() == tag);
        found.unwrap_or_else(|| panic!("no row for {tag}: {answered:?}"))
    };
    assert_eq!(rows.len(), 6, "{answered:?}");
    assert!(
        row("nightly").contains(&"2024-05-01T00:00:00Z"),
        "{answered:?}"
    );
    assert!(row("nightly").contains(&"chosen"), "{answered:?}");
    assert!(
        row("arm")
            .iter()
            .any(|cell| cell.contains("no image for the wanted platforms")),
        "{answered:?}"
    );
}

#[test]
fn credentials_are_taken_from_where_the_flag_says() {
    let world = World::start();
    world.wire.with_world(|world| {
        world.registries[0].auth = Auth::basic("user", "pass-canary");
    });
    let given = ["--credentials=env:CREDS"];
    let variables = [("CREDS", "user:pass-canary")];
    let answered = world.test_with("org/app:1.0.0", &given, &variables);
    assert_eq!(answered.status, Some(0), "{answered:?}");
    assert!(!format!("{answered:?}").contains("pass-canary"));
    for (flags, variables, part) in [
        (
            &given[..],
            &[("CREDS", "user:wrong-canary")][..],
            "unauthorized",
        ),
        (&given, &[], "CREDS"),
        (&[], &[], "unauthorized"),
        (
            &["--credentials=secret:ns/name#field", "--disable-kubernetes"],
            &[],
            "Kubernetes",
        ),
    ] {
        let answered = world.test_with("org/app:1.0.0", flags, variables);
        assert_eq!(answered.status, Some(1), "{flags:?}: {answered:?}");
        assert!(
            answered.err.contains("level=fatal"),
            "{flags:?}: {answered:?}"
        );
        assert!(
            answered.err.to_lowercase().contains(&part.to_lowercase()),
            "{flags:?}: {answered:?}"
        );
        assert!(!format!("{answered:?}").contains("wrong-canary"));
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let world = World::start();
    for (image, flags, part) in [
        ("org/missing:1.0.0", &[][..], "name unknown"),
        ("org/app:1.0.0", &["--allow-tags=regexp:("], "--allow-tags"),
        ("org/app:1.0.0", &["--allow-tags=nonsense"], "--allow-tags"),
        ("org/app:1.0.0", &["--platforms=linux"], "--platforms"),
        ("org/app:1.0.0", &["--credentials=nothing"], "--credentials"),
        (
            "org/app:1.0.0",
            &["--semver-constraint=nonsense"],
            "nonsense",
        ),
        ("org/app:latest", &[], "not a semantic version"),
        (
            "org/app:1.0.0",
            &["--registries-conf-path=/nowhere/r.conf"],
            "/nowhere/r.conf",
        ),
        ("org/app:1.0.0", &["--output=yaml"], "text, json"),
    ] {
        let answered = world.test(image, flags);
        assert_eq!(answered.status, Some(1), "{image} {flags:?}: {answered:?}");
        assert!(
            answered.err.contains(part),
            "{image} {flags:?}: {answered:?}"
        );
    }
    let url = world.test_text("https://reg.test/app", &[], &[]);
    assert_eq!(url.status, Some(1));
    assert!(url.err.contains("scheme"), "{url:?}");
}

#[test]
fn json_is_one_document_also_when_nothing_was_looked_up() {
    let world = World::start();
    for (image, flags, part) in [
        ("org/app:1.0.0", &["--platforms=linux"][..], "--platforms"),
        ("org/app:1.0.0", &["--credentials=nothing"], "--credentials"),
        (
            "org/app:1.0.0",
            &["--registries-conf-path=/nowhere/r.conf"],
            "/nowhere/r.conf",
        ),
        ("org/App:1.0.0", &[], "org/App"),
        ("org/app:1.0.0", &["--credentials=env:NONE"], "NONE"),
        ("org/missing:1.0.0", &[], "name unknown"),
    ] {
        let answered = world.test(image, &[flags, &["--output=json"]].concat());
        assert_eq!(answered.status, Some(1), "{image} {flags:?}: {answered:?}");
        let document: Value = serde_json::from_str(&answered.out)
            .unwrap_or_else(|error| panic!("{image} {flags:?}: {error}: {answered:?}"));
        let error = document["error"].as_str().unwrap_or_default();
        assert!(error.contains(part), "{image} {flags:?}: {answered:?}");
        assert_eq!(document["image"], format!("{}/{image}", world.host()));
    }
    let answered = world.test("org/app:1.0.0", &["--output=json"]);
    let document: Value = serde_json::from_str(&answered.out).expect("one JSON document");
    assert_eq!(document["error"], Value::Null);
}

#[test]
fn signal_ends_a_credential_program_that_hangs_with_all_it_started() {
    let world = World::start();
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = folder.path().join("script");
        let body = format!(
            "#!/bin/sh\nsleep 600 & echo $! >$0.pids; echo $$ >>$0.pids; kill -{signal} $PPID; wait\n"
        );
        std::fs::write(&script, body).expect("the temporary folder can be written to");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700))
            .expect("the file is ours");
        let credentials = format!("--credentials=ext:{}", script.display());
        let answered = world.test("org/app:1.0.0", &[&credentials]);
        assert_eq!(answered.status, Some(1), "{answered:?}");
        assert!(answered.err.contains("told to end"), "{answered:?}");
        let pids = std::fs::read_to_string(folder.path().join("script.pids")).expect("it ran");
        assert_eq!(pids.lines().count(), 2, "{pids}");
        for pid in pids.lines() {
            // Whoever takes an orphan in has it reaped some time.
            let is_gone = || {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
                stat.is_none_or(|stat| stat.contains(") Z ")).then_some(())
            };
            eventually(&format!("the end of {pid} after {signal}"), is_gone);
        }
    }
}

struct World {
    wire: Wire,
    registries: String,
}

impl World {
    fn start() -> Self {
        let mut world = WireWorld::new(1);
        let registry = &mut world.registries[0];
        for (tag, created) in [
            ("1.0.0", "2024-01-01T00:00:00Z"),
            ("1.1.0", "2024-02-01T00:00:00Z"),
            ("1.2.0", "2024-03-01T00:00:00Z"),
            ("2.0.0", "2024-04-01T00:00:00Z"),
            ("nightly", "2024-05-01T00:00:00Z"),
        ] {
            registry.push("org/app", tag, &ImageSpec::created(created));
        }
        let other = ImageSpec {
            platform: Platform {
                architecture: "m68k".into(),
                ..Platform::default()
            },
            ..ImageSpec::created("2024-06-01T00:00:00Z")
        };
        registry.push("org/app", "arm", &other);
        let wire = Wire::start(world).expect("loopback can be listened on");
        let registries = format!(
            "registries:\n- name: fake\n  api_url: {}\n  prefix: {}\n",
            wire.registry_url(0),
            wire.registry_host(0),
        );
        Self { wire, registries }
    }

    fn host(&self) -> String {
        self.wire.registry_host(0)
    }

    fn test(&self, image: &str, flags: &[&str]) -> Answered {
        self.test_with(image, flags, &[])
    }

    fn test_with(&self, image: &str, flags: &[&str], variables: &[(&str, &str)]) -> Answered {
        self.test_text(&format!("{}/{image}", self.host()), flags, variables)
    }

    fn test_text(&self, image: &str, flags: &[&str], variables: &[(&str, &str)]) -> Answered {
        let usual = [image, "--platforms=linux/amd64", "--disable-kubernetes"];
        ask(
            "test",
            &self.registries,
            &[&usual, flags].concat(),
            variables,
        )
    }
}
