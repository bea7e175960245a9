//! The fake world of a run: a cluster, registries, and the workload's hand in them.

use std::collections::{BTreeMap, BTreeSet};

use image_updater_core::app::Application;
use image_updater_core::rfc3339::Rfc3339;
use image_updater_core::time::{Time, UnixTime};
use image_updater_fixtures::registry::ImageSpec;
use image_updater_fixtures::{AppSpec, Cluster, Registry, registry};
use serde_json::Value;

use crate::workload::{
    Action, AppIdx, AppModel, ImageModel, ImagePolicy, Plan, RepoIdx, Version, tag,
};

/// The namespace in which all applications of a run live.
pub const NAMESPACE: &str = "argocd";
/// Wall-clock time at the start of every run: 2026-01-01T00:00:00Z.
pub const EPOCH: UnixTime = UnixTime::from_secs(1_767_225_600);

/// Tags on one page of a registry's list.
pub const PAGE_TAGS: usize = 100;
/// Life of a token, in seconds.
pub const TOKEN_SECS: u64 = 300;

/// True for registries that want tokens: every other one.
pub const fn wants_tokens(registry: usize) -> bool {
    registry % 2 == 1
}

/// The world of one run.
#[derive(Debug)]
pub struct World {
    /// The API server.
    pub cluster: Cluster,
    /// The registries by host.
    pub registries: BTreeMap<String, Registry>,
    /// The applications as the workload knows them now.
    pub apps: Vec<AppModel>,
    /// Which of them exist.
    pub alive: BTreeSet<AppIdx>,
    repos: Vec<(String, String)>,
}

/// The wall clock at `now`.
pub fn wall(now: Time) -> UnixTime {
    let nanos = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    UnixTime::from_nanos(EPOCH.as_nanos().saturating_add(nanos))
}

/// The host of registry number `idx`.
pub fn host(idx: usize) -> String {
    format!("r{idx}.test")
}

impl World {
    /// The world at the start of `plan`.
    ///
    /// # Panics
    /// When an application of the plan names a repository that the plan does not have.
    pub fn new(plan: &Plan) -> Self {
        let mut registries = BTreeMap::new();
        for repo in &plan.repos {
            let host = host(repo.registry);
            let registry = registries
                .entry(host.clone())
                .or_insert_with(|| Registry::new(host.clone()));
            if wants_tokens(repo.registry) {
                registry.auth = registry::Auth::bearer(TOKEN_SECS);
            }
            registry.page_tags_max = PAGE_TAGS;
            for (age, version) in repo.versions.iter().rev().enumerate() {
                let age = i64::try_from(age).expect("a small number");
                push(
                    registry,
                    &repo.name,
                    *version,
                    EPOCH.as_secs() - 3600 * (age + 1),
                );
            }
            push_latest(registry, &repo.name, repo.newest, EPOCH.as_secs() - 3600);
        }
        let repos = plan
            .repos
            .iter()
            .map(|r| (host(r.registry), r.name.clone()))
            .collect();
        let mut world = Self {
            cluster: Cluster::default(),
            registries,
            apps: plan.apps.clone(),
            alive: (0..plan.apps.len()).collect(),
            repos,
        };
        // Everything fits into one watch window, however many applications there are.
        world.cluster.bound_history(4 * plan.apps.len() + 1000);
        for app in 0..plan.apps.len() {
            let first = plan.apps[app]
                .images
                .first()
                .map(|image| plan.repos[image.repo].versions[0]);
            world.create(app, first.unwrap_or((1, 0, 0)));
        }
        world
    }

    /// Does what the plan says; restarts and watch resets are the engine's.
    ///
    /// # Panics
    /// When the action names what the plan does not have.
    pub fn act(&mut self, now: Time, action: &Action) {
        match action {
            Action::Push(repo, version) => {
                let (host, name) = self.repos[*repo].clone();
                let registry = self
                    .registries
                    .get_mut(&host)
                    .expect("a plan names its registries");
                push(registry, &name, *version, wall(now).as_secs());
                push_latest(registry, &name, *version, wall(now).as_secs());
            }
            Action::DeleteTag(repo, version) => {
                let (host, name) = self.repos[*repo].clone();
                let registry = self
                    .registries
                    .get_mut(&host)
                    .expect("a plan names its registries");
                registry.delete_tag(&name, &tag(*version));
            }
            Action::EditPolicy(app, policy) => {
                self.apps[*app].images[0].policy = *policy;
                let annotations = self.spec(*app, (1, 0, 0))["metadata"]["annotations"].clone();
                let name = self.apps[*app].name.clone();
                self.cluster.edit(NAMESPACE, &name, |object| {
                    object["metadata"]["annotations"] = annotations;
                });
            }
            Action::ForeignEdit(app) => {
                let name = self.apps[*app].name.clone();
                self.cluster.edit(NAMESPACE, &name, |object| {
                    object["spec"]["project"] = Value::from(format!("p{}", now.as_millis()));
                });
            }
            Action::Delete(app) => {
                self.alive.remove(app);
                let name = self.apps[*app].name.clone();
                self.cluster.delete(NAMESPACE, &name);
            }
            Action::Create(app) => {
                self.alive.insert(*app);
                self.create(*app, (1, 0, 0));
            }
            Action::WatchReset | Action::Restart => {}
        }
    }

    /// Argo CD syncs one application.
    pub fn sync(&mut self, name: &str) {
        self.cluster.edit(NAMESPACE, name, |object| {
            *object = image_updater_fixtures::cluster::reconciled(object);
        });
    }

    /// Registry host and repository name of a repository of the plan.
    pub fn repo(&self, idx: RepoIdx) -> (&str, &str) {
        let (host, name) = &self.repos[idx];
        (host, name)
    }

    /// The number of the application called `name`.
    pub fn app_idx(name: &str) -> Option<AppIdx> {
        name.strip_prefix("app-")?.parse().ok()
    }

    /// The record of an object as a driver would hand it over.
    ///
    /// # Panics
    /// When the fake cluster holds something that is no addressable Application.
    pub fn record(object: &Value) -> Application {
        serde_json::from_value(object.clone()).expect("the fake cluster holds addressable objects")
    }

    fn create(&mut self, app: AppIdx, running: Version) {
        let object = self.spec(app, running);
        self.cluster.apply(&object);
    }

    fn spec(&self, app: AppIdx, running: Version) -> Value {
        let model = &self.apps[app];
        let mut spec = if model.kustomize {
            AppSpec::kustomize(NAMESPACE, &model.name)
        } else {
            AppSpec::helm(NAMESPACE, &model.name)
        };
        for ImageModel { repo, policy } in &model.images {
            let (host, name) = &self.repos[*repo];
            let live = if *policy == ImagePolicy::Digest {
                "latest".into()
            } else {
                tag(running)
            };
            spec = spec.image_with(&format!("{host}/{name}"), &live, &policy.constraint());
            let alias = name.rsplit('/').next().unwrap_or(name);
            spec = spec.annotation(&format!("{alias}.update-strategy"), policy.strategy());
        }
        spec.to_json()
    }
}

fn push(registry: &mut Registry, name: &str, version: Version, created_s: i64) {
    let created = Rfc3339(UnixTime::from_secs(created_s)).to_string();
    registry.push(name, &tag(version), &ImageSpec::created(created));
}

fn push_latest(registry: &mut Registry, name: &str, version: Version, created_s: i64) {
    // The label in the config differs per version, so that `latest` gets another digest.
    let created = Rfc3339(UnixTime::from_secs(created_s)).to_string();
    let digest = registry.push(name, &tag(version), &ImageSpec::created(created));
    registry.point(name, "latest", &digest);
}
