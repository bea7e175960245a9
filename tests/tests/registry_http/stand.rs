//! The fake cluster that the program works on, and how the registry is made known to it.

use std::io::Write as _;

use image_updater_fixtures::AppSpec;
use image_updater_sim::wire::{Wire, WireWorld};
use image_updater_tests::program::Program;
use image_updater_tests::servers::DockerRegistry;
use serde_json::{Value, json};

/// A fake cluster on sockets, and a file that leads there.
pub(crate) struct Stand {
    pub(crate) wire: Wire,
    kubeconfig: tempfile::NamedTempFile,
}

impl Stand {
    pub(crate) fn new(n_registries: usize) -> Self {
        let wire = Wire::start(WireWorld::new(n_registries)).expect("loopback has ports");
        let mut kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
        kubeconfig
            .write_all(wire.kubeconfig().as_bytes())
            .expect("a temporary file can be written to");
        Self { wire, kubeconfig }
    }

    pub(crate) fn apply(&self, app: &AppSpec) {
        self.wire
            .with_world(|world| world.cluster.apply(&app.to_json()));
    }

    pub(crate) fn start(&self, conf: &str, flags: &[&str]) -> Program {
        Program::start_continuous(self.kubeconfig.path(), conf, flags)
    }

    /// Waits until the Helm parameter `web.tag` of the Application `web` is `tag`.
    #[track_caller]
    pub(crate) fn expect_tag(&self, program: &Program, tag: &str) {
        let wanted = json!({ "name": "web.tag", "value": tag, "forceString": true });
        program.eventually(&format!("web at {tag}"), || {
            self.wire.with_world(|world| {
                let web = world.cluster.application("argocd", "web")?;
                let parameters = web["spec"]["source"]["helm"]["parameters"].as_array();
                parameters
                    .is_some_and(|all: &Vec<Value>| all.contains(&wanted))
                    .then_some(())
            })
        });
    }
}

pub(crate) fn image(registry: &DockerRegistry, repository: &str) -> String {
    format!("{}/{repository}", registry.host())
}

/// A `registries.conf` for the registry at `url`, with more lines of it.
pub(crate) fn conf(url: &str, more: &str) -> String {
    let (_, host) = url.split_once("://").unwrap_or_default();
    format!("registries:\n- name: tests\n  api_url: {url}\n  prefix: {host}\n  limit: 0\n{more}")
}

/// How many requests that begin like this the registry has answered to the program.
pub(crate) fn requests(registry: &DockerRegistry, begin: &str) -> usize {
    let log = registry.log();
    let is_one = |line: &&str| line.contains(begin) && line.contains("\"argocd-image-updater");
    log.lines().filter(is_one).count()
}
