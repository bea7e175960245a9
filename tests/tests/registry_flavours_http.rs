//! The program against each registry that people use, over sockets: private repositories whose tokens
//! and blobs are on hosts of their own. The fakes are those of the simulator, byte for byte.

use std::fmt::Write as _;
use std::io::Write as _;

use image_updater_core::time::Time;
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::{Auth, Flavour, ImageSpec, Registry};
use image_updater_sim::wire::{Wire, WireWorld};
use image_updater_tests::program::Program;

const SECRET: &str = "s3cret-canary";
/// Ports of one registry: its own, its token service's and its blobs'.
const PORTS: usize = 3;

#[test]
fn every_registry_is_read_over_sockets_and_no_credential_goes_astray() {
    let world = WireWorld::new(PORTS * Flavour::ALL.len());
    let wire = Wire::start(world).expect("loopback has ports");
    let mut conf = "registries:\n".to_owned();
    for (idx, flavour) in Flavour::ALL.into_iter().enumerate() {
        let hosts = [0, 1, 2].map(|port| wire.registry_host(PORTS * idx + port));
        wire.with_world(|world| {
            world.registries[PORTS * idx] = private(flavour, &hosts);
            let image = format!("{}/org/app", hosts[0]);
            let spec = AppSpec::helm("argocd", &name(flavour)).image(&image, "build-a");
            let spec = spec.annotation("app.allow-tags", "regexp:^build-");
            world
                .cluster
                .apply(&spec.strategy("newest-build").to_json());
        });
        let (url, host) = (wire.registry_url(PORTS * idx), &hosts[0]);
        let _ = write!(
            conf,
            "- name: {}\n  api_url: {url}\n  prefix: {host}\n  limit: 0\n  \
             credentials: secret:argocd/login#creds\n",
            name(flavour)
        );
    }
    wire.with_world(|world| {
        let login = format!("robot:{SECRET}");
        world.cluster.put_secret("argocd", "login", "creds", login);
    });
    let mut kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
    kubeconfig
        .write_all(wire.kubeconfig().as_bytes())
        .expect("a temporary file can be written to");
    let program = Program::start_continuous(kubeconfig.path(), &conf, &["--loglevel=trace"]);
    for flavour in Flavour::ALL {
        program.eventually(&format!("{flavour:?} at build-b"), || {
            wire.with_world(|world| (tag(world, flavour)? == "build-b").then_some(()))
        });
    }
    let log = program.finish();
    assert!(!log.contains(SECRET), "{log}");
    wire.with_world(|world| {
        for (idx, flavour) in Flavour::ALL.into_iter().enumerate() {
            let registry = &world.registries[PORTS * idx];
            let served = registry.served;
            assert_eq!(registry.ledger.leaks, [], "{flavour:?}");
            assert_eq!(served.failed_logins, 0, "{flavour:?}: {served:?}");
            assert_eq!(
                served.blobs_elsewhere > 0,
                flavour != Flavour::Harbor,
                "{flavour:?}"
            );
        }
    });
}

/// A registry of `flavour` at three hosts whose only repository is for `robot`.
fn private(flavour: Flavour, hosts: &[String; PORTS]) -> Registry {
    let mut registry = Registry::of(flavour, hosts[0].clone());
    match flavour {
        Flavour::DockerHub | Flavour::GitLab => registry.serve_tokens_at(hosts[1].clone()),
        Flavour::Plain => registry.auth = Auth::bearer(300).with_user("robot", SECRET),
        Flavour::Ghcr
        | Flavour::Harbor
        | Flavour::Quay
        | Flavour::Ecr
        | Flavour::Gar
        | Flavour::Acr => {}
    }
    match flavour {
        Flavour::Harbor => {}
        Flavour::Gar => registry.serve_blobs_at(hosts[0].clone()),
        Flavour::Plain
        | Flavour::DockerHub
        | Flavour::Ghcr
        | Flavour::GitLab
        | Flavour::Quay
        | Flavour::Ecr
        | Flavour::Acr => registry.serve_blobs_at(hosts[2].clone()),
    }
    registry.restrict("org/app", &["robot"]);
    registry.issue_password("robot", SECRET, Time::from_secs(u64::from(u32::MAX)));
    for n in 0..120 {
        registry.push("org/app", &format!("1.{n}.0"), &ImageSpec::default());
    }
    for (day, tag) in [(3, "build-a"), (9, "build-b"), (5, "build-c")] {
        // No two registries have one content: it would be read once and known of all.
        let second = Flavour::ALL.iter().position(|one| *one == flavour);
        let second = second.expect("it is one of all");
        let image = ImageSpec::created(format!("2025-12-{day:02}T00:00:{second:02}Z"));
        registry.push_attested("org/app", tag, &[image]);
    }
    registry
}

fn name(flavour: Flavour) -> String {
    format!("{flavour:?}").to_lowercase()
}

fn tag(world: &WireWorld, flavour: Flavour) -> Option<String> {
    let object = world.cluster.application("argocd", &name(flavour))?;
    let parameters = object["spec"]["source"]["helm"]["parameters"].as_array()?;
    let tag = parameters.iter().find(|one| one["name"] == "app.tag")?;
    tag["value"].as_str().map(str::to_owned)
}
