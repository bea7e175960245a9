//! The fake world of a run: a cluster, registries, and the workload's hand in them.

use std::collections::{BTreeMap, BTreeSet};

use image_updater_core::app::Application;
use image_updater_core::credential::CredentialOutcome;
use image_updater_core::credential::CredentialSource;
use image_updater_core::rfc3339::Rfc3339;
use image_updater_core::secret::Secret;
use image_updater_core::time::{Time, UnixTime};
use image_updater_fixtures::registry::ImageSpec;
use image_updater_fixtures::{AppSpec, Cluster, Registry, registry};
use serde_json::{Value, json};

use crate::git::{self, GitWorld};
use crate::workload::{
    Access, Action, AppIdx, AppModel, ImageModel, ImagePolicy, LoginModel, Plan, RegistryModel,
    RepoIdx, Version, tag,
};

/// What every secret of a run holds, so that one search finds them all.
pub const CANARY: &str = "canary";

/// The namespace in which all applications of a run live.
pub const NAMESPACE: &str = "argocd";
/// Wall-clock time at the start of every run: 2026-01-01T00:00:00Z.
pub const EPOCH: UnixTime = UnixTime::from_secs(1_767_225_600);

/// Tags on one page of a registry's list.
pub const PAGE_TAGS: usize = 100;
/// Tags per page of a registry that gives more when it is asked, at most.
pub const PAGE_TAGS_MAX: usize = 1000;
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
    /// The Git repositories.
    pub git: GitWorld,
    repos: Vec<(String, String)>,
    models: Vec<RegistryModel>,
    logins: Vec<Login>,
}

/// A login with the versions of its password.
#[derive(Clone, Debug)]
struct Login {
    model: LoginModel,
    at_registries: u32,
    at_source: u32,
}

impl Login {
    fn password(&self, version: u32) -> String {
        format!("{CANARY}-{}-{version}", self.model.user)
    }
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
            registry.page_tags = plan.registries[repo.registry].page_tags;
            registry.page_tags_max = plan.registries[repo.registry].page_tags_max;
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
            alive: (0..plan.apps.len())
                .filter(|app| !plan.absent.contains(app))
                .collect(),
            git: GitWorld::new(plan.git),
            repos,
            models: plan.registries.clone(),
            logins: plan
                .logins
                .iter()
                .map(|model| Login {
                    model: model.clone(),
                    at_registries: 1,
                    at_source: 1,
                })
                .collect(),
        };
        world.guard_registries();
        // Everything fits into one watch window, however many applications there are.
        world.cluster.bound_history(4 * plan.apps.len() + 1000);
        for app in world.alive.clone() {
            let first = plan.apps[app]
                .images
                .first()
                .map(|image| plan.repos[image.repo].versions[0]);
            world.create(app, first.unwrap_or((1, 0, 0)));
        }
        world
    }

    /// Does what the plan says, and returns whom Argo CD is going to sync because of it; restarts and watch
    /// resets are the engine's.
    ///
    /// # Panics
    /// When the action names what the plan does not have.
    pub fn act(&mut self, now: Time, action: &Action) -> Vec<AppIdx> {
        match action {
            Action::Git(repo, action) => return self.git.act(*repo, action, &self.apps),
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
            Action::Rotate {
                login,
                at_registries,
                at_source,
            } => {
                let login = &mut self.logins[*login];
                login.at_registries += u32::from(*at_registries);
                login.at_source += u32::from(*at_source);
                self.guard_registries();
            }
            Action::WatchReset | Action::Restart | Action::Trouble(_) => {}
        }
        // Argo CD takes what Git says of an application that is made anew.
        if let Action::Create(app) = action
            && self.apps[*app].git.is_some()
        {
            return vec![*app];
        }
        Vec::new()
    }

    /// What is read at `source` now.
    pub fn read_credential(&self, source: &CredentialSource) -> CredentialOutcome {
        let Some(at) = self
            .logins
            .iter()
            .position(|one| one.model.source == *source)
        else {
            return CredentialOutcome::Missing(format!("{source} is not in this world"));
        };
        let login = &self.logins[at];
        let (user, password) = (&login.model.user, login.password(login.at_source));
        let text = match source {
            CredentialSource::PullSecret { .. } => {
                let accepting = self.models.iter().enumerate();
                let accepting = accepting.filter(|(_, model)| model.access.logins().contains(&at));
                let auths: serde_json::Map<String, Value> = accepting
                    .map(|(idx, _)| {
                        let entry = json!({ "username": user, "password": password });
                        (host(idx), entry)
                    })
                    .collect();
                json!({ "auths": auths }).to_string()
            }
            CredentialSource::Secret { .. }
            | CredentialSource::Env(_)
            | CredentialSource::Ext(_) => format!("{user}:{password}"),
        };
        CredentialOutcome::Found(Secret::new(text))
    }

    /// Sets who may read, with the passwords of now.
    fn guard_registries(&mut self) {
        for (idx, model) in self.models.iter().enumerate() {
            let Some(registry) = self.registries.get_mut(&host(idx)) else {
                continue;
            };
            let auth = match &model.access {
                Access::Open => registry::Auth::Open,
                Access::Basic(_) => registry::Auth::Basic(BTreeMap::new()),
                Access::Bearer { ttl_s, .. } => registry::Auth::bearer(*ttl_s),
            };
            registry.auth = model.access.logins().iter().fold(auth, |auth, login| {
                let login = &self.logins[*login];
                auth.with_user(&login.model.user, &login.password(login.at_registries))
            });
        }
    }

    /// Argo CD syncs one application.
    pub fn sync(&mut self, name: &str) {
        let Some(model) = Self::app_idx(name).and_then(|app| self.apps.get(app)) else {
            return;
        };
        let git = &self.git;
        self.cluster.edit(NAMESPACE, name, |object| {
            let seen = git.laid_over(object, model);
            object["status"] = image_updater_fixtures::cluster::reconciled(&seen)["status"].clone();
        });
    }

    /// An application as Argo CD sees it: with what Git says of it.
    pub fn effective(&self, app: AppIdx) -> Option<Value> {
        let model = &self.apps[app];
        let object = self.cluster.application(NAMESPACE, &model.name)?;
        Some(self.git.laid_over(object, model))
    }

    /// Registry host and repository name of a repository of the plan.
    pub fn repo(&self, idx: RepoIdx) -> (&str, &str) {
        let (host, name) = &self.repos[idx];
        (host, name)
    }

    /// The tag that an application asks for, of its first image: the one written, or the one that runs.
    pub fn held_tag(&self, app: AppIdx) -> Option<String> {
        let model = &self.apps[app];
        let image = model.images.first()?;
        let object = &self.effective(app)?;
        let written = crate::checks::written(object, model, image, self);
        let (host, name) = &self.repos[image.repo];
        let prefix = format!("{host}/{name}:");
        let live = object["status"]["summary"]["images"].as_array();
        let mut live = live.into_iter().flatten().filter_map(Value::as_str);
        written.or_else(|| live.find_map(|image| image.strip_prefix(&prefix).map(str::to_owned)))
    }

    /// The registries that the applications of now use.
    pub fn used_hosts(&self) -> BTreeSet<String> {
        let images = self.alive.iter().flat_map(|app| &self.apps[*app].images);
        images
            .map(|image| self.repos[image.repo].0.clone())
            .collect()
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
        for ImageModel {
            repo,
            policy,
            login,
        } in &model.images
        {
            let (host, name) = &self.repos[*repo];
            let live = if *policy == ImagePolicy::Digest {
                "latest".into()
            } else {
                tag(running)
            };
            spec = spec.image_with(&format!("{host}/{name}"), &live, &policy.constraint());
            let alias = name.rsplit('/').next().unwrap_or(name);
            spec = spec.annotation(&format!("{alias}.update-strategy"), policy.strategy());
            if let Some(login) = login {
                let source = self.logins[*login].model.source.to_string();
                spec = spec.annotation(&format!("{alias}.pull-secret"), &source);
            }
        }
        if let Some(git) = model.git {
            spec = spec
                .repo_url(&git::url(git.repo))
                .annotation("write-back-method", "git");
            if let Some(branch) = git.base.annotation() {
                spec = spec.annotation("git-branch", branch);
            }
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
