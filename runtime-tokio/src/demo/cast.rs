//! Who takes part: the images in the registries and the Applications that run them.

use image_updater_fixtures::registry::{Auth, ImageSpec, Platform};
use image_updater_fixtures::{AppSpec, Registry};
use image_updater_sim::wire::{Wire, WireWorld};
use serde_json::{Value, json};

use super::expectation::{Expectation, Expected};

/// How many registries there are.
pub(super) const REGISTRIES: usize = 3;
/// The registry that everybody may read.
pub(super) const SHOP: usize = 0;
/// The registry with tokens for its users.
pub(super) const VAULT: usize = 1;
/// The registry that is down.
pub(super) const ATTIC: usize = 2;
/// The namespace of all Applications.
pub(super) const NAMESPACE: &str = "argocd";

/// The Applications, and what is expected of each at first sight.
pub(super) struct Cast {
    /// Host and port per registry.
    hosts: [String; REGISTRIES],
    /// What is expected at first sight, in the order in which the Applications are shown.
    pub(super) first: Vec<Expectation>,
}

impl Cast {
    /// Fills registries and cluster.
    pub(super) fn new(wire: &Wire) -> Self {
        let hosts = std::array::from_fn(|idx| wire.registry_host(idx));
        let mut cast = Self {
            hosts,
            first: Vec::new(),
        };
        wire.with_world(|world| {
            fill_registries(&mut world.registries);
            let secret = docker_config(&cast.hosts[VAULT]);
            world
                .cluster
                .put_secret(NAMESPACE, "vault-pull", ".dockerconfigjson", secret);
            cast.enter(world);
        });
        cast
    }

    /// The full name of an image.
    pub(super) fn image(&self, registry: usize, repository: &str) -> String {
        format!("{}/{repository}", self.hosts[registry])
    }

    /// `text` without the hosts of the registries, for people.
    pub(super) fn short(&self, text: &str) -> String {
        let hosts = self.hosts.iter();
        hosts.fold(text.to_owned(), |text, host| {
            text.replace(&format!("{host}/"), "")
        })
    }

    /// Creates the Applications.
    fn enter(&mut self, world: &mut WireWorld) {
        let web = self.image(SHOP, "shop/web");
        let api = self.image(SHOP, "shop/api");
        let runs = |tag: &str| Expected::Runs(tag.to_owned());
        let latest = world.registries[SHOP]
            .digest("shop/cache", "latest")
            .unwrap_or_default();

        // Versions within a constraint; five Applications share one listing of shop/web.
        let mut prod = helm("web-prod").image_with(&web, "1.0.0", "~1.0").to_json();
        prod["spec"]["source"]["helm"]["parameters"] = json!([
            { "name": "replicas", "value": "3" },
            { "name": "web.name", "value": web },
            { "name": "web.tag", "value": "1.0.0" },
        ]);
        self.add(world, "web", &prod, runs("1.0.1"));
        for name in ["web-staging", "web-eu"] {
            let spec = helm(name).image_with(&web, "1.0.0", "1.x");
            self.add(world, "web", &spec.to_json(), runs("1.1.0"));
        }
        for name in ["web-next", "web-canary"] {
            let spec = kustomize(name).image(&web, "1.1.0");
            self.add(world, "web", &spec.to_json(), runs("2.0.0"));
        }
        let spec = helm("api")
            .image_with(&api, "1.4.0", "~1.4")
            .strategy("semver");
        self.add(world, "api", &spec.to_json(), runs("1.4.2"));
        let spec = kustomize("api-preview").image_with(&api, "1.4.2", ">=1.5.0-0");
        self.add(world, "api", &spec.to_json(), runs("1.5.0-rc.1"));
        let spec = kustomize("mail").image(&self.image(SHOP, "shop/mail"), "4.0.0");
        self.add(
            world,
            "mail",
            &spec.to_json(),
            Expected::Stays("up-to-date"),
        );

        // The other strategies.
        let spec = kustomize("worker")
            .image(&self.image(SHOP, "shop/worker"), "build-a1f3")
            .strategy("newest-build");
        self.add(world, "worker", &spec.to_json(), runs("build-07c9"));
        let spec = helm("cache")
            .image_with(&self.image(SHOP, "shop/cache"), "latest", "latest")
            .strategy("digest");
        self.add(
            world,
            "cache",
            &spec.to_json(),
            runs(&format!("latest@{latest}")),
        );
        let spec = kustomize("docs")
            .image(&self.image(SHOP, "shop/docs"), "2026-01-15")
            .strategy("alphabetical");
        self.add(world, "docs", &spec.to_json(), runs("2026-02-01"));
        let spec = helm("jobs")
            .image(&self.image(SHOP, "shop/jobs"), "main-0001")
            .strategy("newest-build")
            .annotation("jobs.allow-tags", "regexp:^main-[0-9a-f]+(-dirty)?$")
            .annotation("jobs.ignore-tags", "*-dirty");
        self.add(world, "jobs", &spec.to_json(), runs("main-00a7"));

        // Platforms, several images, several sources, an image that does not run yet.
        let spec = kustomize("edge")
            .image(&self.image(SHOP, "shop/edge"), "1.0.0")
            .annotation("edge.platforms", "linux/arm64")
            .strategy("newest-build");
        self.add(world, "edge", &spec.to_json(), runs("1.1.0"));
        let spec = helm("pair")
            .image_with(&web, "1.0.0", "~1.0")
            .image_with(&api, "1.4.1", "~1.4");
        self.add(world, "web", &spec.to_json(), runs("1.0.1"));
        self.expect("pair", "api", runs("1.4.2"));
        let mut many = kustomize("platform")
            .image_with(&web, "1.0.0", "1.x")
            .to_json();
        many["spec"]["sources"] = json!([
            { "repoURL": "https://git.example.com/values.git", "path": "values", "ref": "values" },
            many["spec"]["source"],
        ]);
        many["spec"]["source"] = Value::Null;
        many["status"]["sourceTypes"] = json!(["Directory", "Kustomize"]);
        self.add(world, "web", &many, runs("1.1.0"));
        let mut batch = helm("batch").image_with(&api, "1.4.0", "~1.4").to_json();
        batch["status"]["summary"]["images"] = json!([]);
        batch["metadata"]["annotations"]["argocd-image-updater.argoproj.io/api.force-update"] =
            json!("true");
        self.add(world, "api", &batch, runs("1.4.2"));

        // A registry that wants a login, and one that is down.
        let spec = helm("billing")
            .image(&self.image(VAULT, "vault/billing"), "3.0.0")
            .annotation("billing.pull-secret", "pullsecret:argocd/vault-pull");
        self.add(world, "billing", &spec.to_json(), runs("3.1.0"));
        let spec = kustomize("legacy").image(&self.image(ATTIC, "attic/legacy"), "1.0.0");
        self.add(
            world,
            "legacy",
            &spec.to_json(),
            Expected::Stays("listing-failed"),
        );

        // Mistakes, and what this version does not do.
        let spec = helm("typo")
            .image(&web, "1.0.0")
            .annotation("web.update-strategy", "semverr");
        self.add(
            world,
            "web",
            &spec.to_json(),
            Expected::Stays("invalid-option"),
        );
        let spec = helm("gitops")
            .image(&web, "1.0.0")
            .annotation("write-back-method", "git");
        self.add(
            world,
            "web",
            &spec.to_json(),
            Expected::Refused("git-not-built"),
        );
        let spec = AppSpec::new(NAMESPACE, "plain", "Directory");
        self.add(world, "", &spec.to_json(), Expected::Ignored);
    }

    fn add(&mut self, world: &mut WireWorld, alias: &'static str, app: &Value, expected: Expected) {
        world.cluster.apply(app);
        let name = app["metadata"]["name"].as_str().unwrap_or_default();
        self.expect(name, alias, expected);
    }

    fn expect(&mut self, app: &str, alias: &'static str, expected: Expected) {
        let image = match alias {
            "billing" => self.image(VAULT, "vault/billing"),
            "legacy" => self.image(ATTIC, "attic/legacy"),
            "" => String::new(),
            alias => self.image(SHOP, &format!("shop/{alias}")),
        };
        self.first.push(Expectation {
            app: app.to_owned(),
            image,
            expected,
        });
    }
}

fn helm(name: &str) -> AppSpec {
    AppSpec::helm(NAMESPACE, name)
}

fn kustomize(name: &str) -> AppSpec {
    AppSpec::kustomize(NAMESPACE, name)
}

fn fill_registries(registries: &mut [Registry]) {
    let shop = &mut registries[SHOP];
    for tag in [
        "1.0.0",
        "1.0.1",
        "1.1.0",
        "2.0.0",
        "2.1.0-beta.1",
        "nightly",
    ] {
        shop.push("shop/web", tag, &ImageSpec::default());
    }
    for tag in ["1.4.0", "1.4.1", "1.4.2", "1.5.0-rc.1"] {
        shop.push("shop/api", tag, &ImageSpec::default());
    }
    for tag in ["3.9.0", "4.0.0"] {
        shop.push("shop/mail", tag, &ImageSpec::default());
    }
    for (tag, day) in [("build-a1f3", 1), ("build-9b22", 2), ("build-07c9", 3)] {
        shop.push("shop/worker", tag, &built_on(day));
    }
    shop.push("shop/cache", "latest", &built_on(1));
    for tag in ["2026-01-15", "2026-02-01"] {
        shop.push("shop/docs", tag, &ImageSpec::default());
    }
    let jobs = [
        ("main-0001", 1),
        ("main-00a7", 5),
        ("main-00b1-dirty", 6),
        ("pr-17", 7),
    ];
    for (tag, day) in jobs {
        shop.push("shop/jobs", tag, &built_on(day));
    }
    let on = |day, architecture: &str| ImageSpec {
        platform: Platform {
            architecture: architecture.to_owned(),
            ..Platform::default()
        },
        ..built_on(day)
    };
    for (tag, day) in [("1.0.0", 1), ("1.1.0", 2)] {
        shop.push_index("shop/edge", tag, &[on(day, "amd64"), on(day, "arm64")]);
    }
    shop.push_index("shop/edge", "1.2.0", &[on(3, "amd64")]);

    let vault = &mut registries[VAULT];
    vault.auth = Auth::bearer(300).with_user("robot", "demo-password");
    for tag in ["3.0.0", "3.1.0"] {
        vault.push("vault/billing", tag, &ImageSpec::default());
    }
    registries[ATTIC].push("attic/legacy", "1.1.0", &ImageSpec::default());
}

/// An image built on this day of January 2026.
pub(super) fn built_on(day: u32) -> ImageSpec {
    ImageSpec::created(format!("2026-01-{day:02}T08:00:00Z"))
}

/// A pull secret for `host`.
fn docker_config(host: &str) -> String {
    json!({ "auths": { host: { "username": "robot", "password": "demo-password" } } }).to_string()
}
