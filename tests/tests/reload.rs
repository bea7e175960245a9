//! `registries.conf` and the built program: at start, and changed while it runs (D-41, `registry.md` 2).

use std::io::Write as _;

use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::ImageSpec;
use image_updater_sim::wire::{Wire, WireWorld};
use image_updater_tests::program::{Program, ask};

#[test]
fn changed_file_takes_effect_without_a_restart_and_a_bad_one_has_none() {
    let wire = Wire::start(WireWorld::new(2)).expect("loopback has ports");
    wire.with_world(|world| {
        for tag in ["1.0.0", "1.1.0"] {
            world.registries[0].push("web", tag, &ImageSpec::default());
        }
        for tag in ["1.0.0", "1.2.0"] {
            world.registries[1].push("web", tag, &ImageSpec::default());
        }
        let app = AppSpec::helm("argocd", "web").image("reg.test/web", "1.0.0");
        world.cluster.apply(&app.to_json());
    });
    let mut kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
    kubeconfig
        .write_all(wire.kubeconfig().as_bytes())
        .expect("a temporary file can be written to");
    let conf = |url: &str| {
        format!("registries:\n- name: ours\n  api_url: {url}\n  prefix: reg.test\n  limit: 0\n")
    };
    let program = Program::start_continuous(kubeconfig.path(), &conf(&wire.registry_url(0)), &[]);
    program.expect_line(&["Successfully updated application 'web'"]);
    program.expect_line(&["image_tag=1.1.0"]);

    program.replace_registries("registries:\n- name: ours\n  prefix: reg.test\n  limits: 5\n");
    let parts = [
        "level=warning",
        "stay in use",
        "unknown key",
        "API URL must be specified",
    ];
    program.expect_line(&parts);
    program.expect_checks("web", 2);
    assert_eq!(program.count(&parts), 1, "{}", program.log());
    assert_eq!(program.count(&["level=error"]), 0, "{}", program.log());

    program.replace_registries(&conf(&wire.registry_url(1)));
    program.expect_line(&["registries reloaded", "changed=1", "applications=1"]);
    program.expect_line(&["image_tag=1.2.0"]);
    program.finish();
}

#[test]
fn bad_file_ends_the_start_with_every_problem_and_status_1() {
    let bad =
        "registries:\n- name: A\n  api_url: nowhere\n  color: red\n- prefix: b.io\n  ca_data: x\n";
    let answered = ask("run", bad, &["--health-port=0", "--metrics-port=0"], &[]);
    assert_eq!(answered.status, Some(1), "{answered:?}");
    let text = format!("{}{}", answered.out, answered.err);
    for part in [
        "is no http or https URL",
        "unknown key",
        "registry name is missing for entry 2",
        "API URL must be specified",
        "ca_data holds no PEM certificate",
        "the settings cannot be worked with",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
