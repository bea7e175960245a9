//! What happens in the world of a run: a plan of timed actions, made from the seed before the run.
//!
//! The generator keeps a model of what exists, so that every action fits (`simulation.md` 3.2). The
//! plan, not the seed, is what is replayed.

use std::collections::BTreeSet;

use image_updater_core::credential::CredentialSource;
use image_updater_core::time::Time;

use crate::entropy::{Entropy, Stream};
use crate::fault::Scripted;
use crate::git::{GitAction, GitModel};
use crate::options::Options;
use crate::world::{PAGE_TAGS, PAGE_TAGS_MAX};

/// Number of an application in a run.
pub type AppIdx = usize;
/// Number of a repository in a run.
pub type RepoIdx = usize;

/// What a run starts with, and what then happens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The registries.
    pub registries: Vec<RegistryModel>,
    /// Who may read, and from where the password is read.
    pub logins: Vec<LoginModel>,
    /// The applications at the start.
    pub apps: Vec<AppModel>,
    /// Those of them that do not exist: a plan without them keeps the numbers of the others.
    pub absent: BTreeSet<AppIdx>,
    /// The repositories.
    pub repos: Vec<RepoModel>,
    /// How many Git repositories there are.
    pub git: usize,
    /// Timed actions, in order.
    pub actions: Vec<(Time, Action)>,
}

/// A registry as the workload sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryModel {
    /// Who may read.
    pub access: Access,
    /// Tags per page when no number is asked for.
    pub page_tags: usize,
    /// Tags per page at most.
    pub page_tags_max: usize,
    /// Requests per second that it is configured with; `None` is unlimited.
    pub rate: Option<u32>,
    /// The login of its settings.
    pub login: Option<usize>,
}

/// How a registry lets clients in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without asking.
    Open,
    /// These logins, with their passwords.
    Basic(Vec<usize>),
    /// Holders of tokens, which these logins may fetch; without logins everybody.
    Bearer {
        /// Who may fetch tokens.
        logins: Vec<usize>,
        /// How long a token lives.
        ttl_s: u64,
    },
}

/// A login: a user, and where its password is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginModel {
    /// The user.
    pub user: String,
    /// Where its password is read.
    pub source: CredentialSource,
}

/// An application as the workload sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppModel {
    /// Its name; unique for the life of the run, unless it is re-created.
    pub name: String,
    /// Kustomize instead of Helm.
    pub kustomize: bool,
    /// Its images.
    pub images: Vec<ImageModel>,
    /// Where it is written in Git; it is patched when nowhere.
    pub git: Option<GitModel>,
}

/// One listed image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageModel {
    /// Where it comes from.
    pub repo: RepoIdx,
    /// What may be chosen.
    pub policy: ImagePolicy,
    /// The login of its own pull secret.
    pub login: Option<usize>,
}

/// What an image's annotations allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePolicy {
    /// `semver` without constraint.
    Any,
    /// `semver` with `~major.minor`.
    Minor(u64, u64),
    /// `alphabetical`.
    Alphabetical,
    /// `newest-build`.
    NewestBuild,
    /// `digest` of the tag `latest`.
    Digest,
}

/// A repository as the workload sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoModel {
    /// Which registry holds it.
    pub registry: usize,
    /// Its name there.
    pub name: String,
    /// Its newest version.
    pub newest: Version,
    /// Versions at the start.
    pub versions: Vec<Version>,
}

/// `major.minor.patch`.
pub type Version = (u64, u64, u64);

/// The tag of `version`.
pub fn tag(version: Version) -> String {
    format!("{}.{}.{}", version.0, version.1, version.2)
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A version is pushed; `latest` moves with it.
    Push(RepoIdx, Version),
    /// A tag of a version is deleted.
    DeleteTag(RepoIdx, Version),
    /// An application's policy for its first image changes.
    EditPolicy(AppIdx, ImagePolicy),
    /// Somebody changes something that is none of our business.
    ForeignEdit(AppIdx),
    /// An application is deleted.
    Delete(AppIdx),
    /// It is created again, with another uid.
    Create(AppIdx),
    /// The watch breaks and begins anew.
    WatchReset,
    /// The process ends and starts with empty memory.
    Restart,
    /// A registry gets into trouble.
    Trouble(Box<Scripted>),
    /// Something happens to a Git repository.
    Git(usize, GitAction),
    /// A login gets another password.
    Rotate {
        /// Whose.
        login: usize,
        /// The registries want the new one.
        at_registries: bool,
        /// The source holds the new one.
        at_source: bool,
    },
}

impl Plan {
    /// Makes the plan of a run.
    pub fn generate(options: &Options) -> Self {
        let mut entropy = Entropy::new(options.seed, Stream::Workload);
        let repos: Vec<RepoModel> = (0..options.repositories.max(1))
            .map(|idx| RepoModel::generate(&mut entropy, options, idx))
            .collect();
        let mut apps: Vec<AppModel> = (0..options.apps)
            .map(|idx| AppModel::generate(&mut entropy, &repos, idx))
            .collect();
        let mut actions = generate_actions(&mut entropy, options, &apps, repos.clone());
        let (registries, logins) = generate_registries(options);
        if options.logins {
            give_pull_secrets(options, &repos, &registries, &mut apps);
            actions.extend(rotations(options, logins.len()));
            actions.sort_by_key(|(time, _)| *time);
        }
        if options.git > 0 {
            actions.extend(crate::git::generate(options, &mut apps));
            actions.sort_by_key(|(time, _)| *time);
        }
        Self {
            registries,
            logins,
            apps,
            absent: BTreeSet::new(),
            repos,
            git: crate::git::count(options),
            actions,
        }
    }

    /// The plan without the applications that use a registry, and without what happens to them.
    #[must_use]
    pub fn without_users_of(&self, registry: usize) -> Self {
        let mut plan = self.clone();
        let uses = |app: &AppModel| {
            let mut repos = app.images.iter().map(|image| image.repo);
            repos.any(|repo| self.repos[repo].registry == registry)
        };
        let users = self.apps.iter().enumerate().filter(|(_, app)| uses(app));
        plan.absent.extend(users.map(|(idx, _)| idx));
        let absent = &plan.absent;
        plan.actions.retain(|(_, action)| match action {
            Action::EditPolicy(app, _)
            | Action::ForeignEdit(app)
            | Action::Delete(app)
            | Action::Create(app) => !absent.contains(app),
            Action::Push(..)
            | Action::DeleteTag(..)
            | Action::WatchReset
            | Action::Restart
            | Action::Trouble(_)
            | Action::Git(..)
            | Action::Rotate { .. } => true,
        });
        plan
    }
}

/// Registries in turn open, with tokens for everybody, with passwords, and with tokens for logins; the
/// last two only with logins. Each of them has two logins: that of its settings, and one for pull secrets.
fn generate_registries(options: &Options) -> (Vec<RegistryModel>, Vec<LoginModel>) {
    let mut logins = Vec::new();
    let mut login = |source: CredentialSource, user: String| {
        logins.push(LoginModel { user, source });
        logins.len() - 1
    };
    let ttl_s = options.token_ttl_s.into();
    let registries = (0..options.registries.max(1))
        .map(|idx| {
            let kind = if options.logins { idx % 4 } else { idx % 2 };
            let access = match kind {
                0 => Access::Open,
                1 => Access::Bearer {
                    logins: Vec::new(),
                    ttl_s,
                },
                _ => {
                    let secret = CredentialSource::Secret {
                        namespace: "argocd".into(),
                        name: format!("r{idx}").into(),
                        field: "login".into(),
                    };
                    let pull_secret = CredentialSource::PullSecret {
                        namespace: "argocd".into(),
                        name: format!("pull-r{idx}").into(),
                    };
                    let env = CredentialSource::Env(format!("LOGIN_R{idx}").into());
                    let (own, other) = if kind == 2 {
                        (env, pull_secret)
                    } else {
                        (pull_secret, secret)
                    };
                    let own = login(own, format!("robot-{idx}"));
                    let other = login(other, format!("guest-{idx}"));
                    if kind == 2 {
                        Access::Basic(vec![own, other])
                    } else {
                        let logins = vec![own, other];
                        Access::Bearer { logins, ttl_s }
                    }
                }
            };
            RegistryModel {
                login: access.logins().first().copied(),
                access,
                page_tags: PAGE_TAGS,
                // Half of them give more when they are asked.
                page_tags_max: if idx % 2 == 0 {
                    PAGE_TAGS
                } else {
                    PAGE_TAGS_MAX
                },
                rate: Some(options.rate).filter(|rate| *rate > 0),
            }
        })
        .collect();
    (registries, logins)
}

/// A third of the images at registries with two logins have a pull secret of their own.
fn give_pull_secrets(
    options: &Options,
    repos: &[RepoModel],
    registries: &[RegistryModel],
    apps: &mut [AppModel],
) {
    let mut entropy = Entropy::new(options.seed, Stream::Logins);
    for image in apps.iter_mut().flat_map(|app| &mut app.images) {
        let has_one = entropy.chance(333_333);
        let logins = registries[repos[image.repo].registry].access.logins();
        image.login = logins.get(1).copied().filter(|_| has_one);
    }
}

/// Every login gets another password about every two hours; the source has it at the same time.
fn rotations(options: &Options, logins: usize) -> Vec<(Time, Action)> {
    let seconds = options.horizon.as_secs();
    let mut rotations = Vec::new();
    for login in 0..logins {
        let mut entropy = Entropy::keyed(options.seed, Stream::Logins, &format!("rotate {login}"));
        for _ in 0..entropy.below(seconds / 3600 + 1) {
            let action = Action::Rotate {
                login,
                at_registries: true,
                at_source: true,
            };
            let time = Time::from_millis(entropy.below(seconds * 1000));
            rotations.push((time, action));
        }
    }
    rotations
}

impl Access {
    /// The logins that it accepts.
    pub fn logins(&self) -> &[usize] {
        match self {
            Self::Open => &[],
            Self::Basic(logins) | Self::Bearer { logins, .. } => logins,
        }
    }
}

impl RepoModel {
    fn generate(entropy: &mut Entropy, options: &Options, idx: u32) -> Self {
        let registries = u64::from(options.registries.max(1));
        // Every registry has a repository; the first ones have more.
        let drawn = if u64::from(idx) < registries {
            u64::from(idx)
        } else {
            entropy.below(registries).min(entropy.below(registries))
        };
        let mut newest = (1, 0, 0);
        let mut versions = vec![newest];
        for _ in 1..options.tags.max(1) {
            newest = bump(entropy, newest);
            versions.push(newest);
        }
        Self {
            registry: usize::try_from(drawn).expect("a small number"),
            name: format!("org/repo-{idx}"),
            newest,
            versions,
        }
    }
}

impl AppModel {
    fn generate(entropy: &mut Entropy, repos: &[RepoModel], idx: u32) -> Self {
        let mut images: Vec<ImageModel> = Vec::new();
        for _ in 0..[1, 1, 1, 2, 3][entropy.index(5)] {
            // Spread evenly, so that few repositories are without users.
            let repo =
                (usize::try_from(idx).expect("a small number") + entropy.index(3)) % repos.len();
            if images.iter().all(|image| image.repo != repo) {
                let policy = draw_policy(entropy, &repos[repo]);
                images.push(ImageModel {
                    repo,
                    policy,
                    login: None,
                });
            }
        }
        Self {
            name: format!("app-{idx}"),
            kustomize: entropy.chance(400_000),
            images,
            git: None,
        }
    }
}

fn draw_policy(entropy: &mut Entropy, repo: &RepoModel) -> ImagePolicy {
    match entropy.pick(&[40, 30, 10, 12, 8]) {
        0 => ImagePolicy::Any,
        1 => {
            let version = repo.versions[entropy.index(repo.versions.len())];
            ImagePolicy::Minor(version.0, version.1)
        }
        2 => ImagePolicy::Alphabetical,
        3 => ImagePolicy::NewestBuild,
        _ => ImagePolicy::Digest,
    }
}

fn bump(entropy: &mut Entropy, version: Version) -> Version {
    match entropy.pick(&[70, 22, 8]) {
        0 => (version.0, version.1, version.2 + 1),
        1 => (version.0, version.1 + 1, 0),
        _ => (version.0 + 1, 0, 0),
    }
}

fn generate_actions(
    entropy: &mut Entropy,
    options: &Options,
    apps: &[AppModel],
    mut repos: Vec<RepoModel>,
) -> Vec<(Time, Action)> {
    let mut alive: BTreeSet<AppIdx> = (0..apps.len()).collect();
    let mut gone: Vec<AppIdx> = Vec::new();
    let mut times: Vec<Time> = Vec::new();
    let seconds = options.horizon.as_secs();
    let count = seconds * u64::from(options.actions_per_hour) / 3600;
    for _ in 0..count {
        times.push(Time::from_millis(entropy.below(seconds * 1000)));
    }
    times.sort_unstable();
    let mut actions = Vec::with_capacity(times.len());
    for time in times {
        let weights = [60, 4, 10, 12, 3, 11];
        let action = match entropy.pick(&weights) {
            1 => {
                let repo = entropy.index(repos.len());
                // The newest stays: deleting it would make a downgrade the right decision.
                let model = &mut repos[repo];
                if model.versions.len() < 2 {
                    continue;
                }
                let at = entropy.index(model.versions.len() - 1);
                Action::DeleteTag(repo, model.versions.remove(at))
            }
            kind @ (2..=4) => {
                let Some(app) = pick_of(entropy, &alive) else {
                    continue;
                };
                match kind {
                    2 => Action::EditPolicy(
                        app,
                        draw_policy(entropy, &repos[apps[app].images[0].repo]),
                    ),
                    3 => Action::ForeignEdit(app),
                    _ => {
                        alive.remove(&app);
                        gone.push(app);
                        Action::Delete(app)
                    }
                }
            }
            5 if !gone.is_empty() => {
                let app = gone.swap_remove(entropy.index(gone.len()));
                alive.insert(app);
                Action::Create(app)
            }
            _ => {
                let repo = entropy.index(repos.len());
                let version = bump(entropy, repos[repo].newest);
                repos[repo].newest = version;
                repos[repo].versions.push(version);
                Action::Push(repo, version)
            }
        };
        actions.push((time, action));
    }
    let mut faults = Entropy::new(options.seed, Stream::Faults);
    let mut add = |rate_per: u64, count: u32, action: &Action| {
        for _ in 0..u64::from(count) * seconds / rate_per {
            actions.push((
                Time::from_millis(faults.below(seconds * 1000)),
                action.clone(),
            ));
        }
    };
    add(
        3600,
        options.faults.watch_resets_per_hour,
        &Action::WatchReset,
    );
    add(86_400, options.faults.restarts_per_day, &Action::Restart);
    actions.sort_by_key(|(time, _)| *time);
    actions
}

fn pick_of(entropy: &mut Entropy, set: &BTreeSet<AppIdx>) -> Option<AppIdx> {
    set.iter().nth(entropy.index(set.len())).copied()
}

impl ImagePolicy {
    /// What the constraint part of the list entry is.
    pub fn constraint(self) -> String {
        match self {
            Self::Minor(major, minor) => format!("~{major}.{minor}"),
            Self::Digest => "latest".to_owned(),
            Self::Any | Self::Alphabetical | Self::NewestBuild => String::new(),
        }
    }

    /// The value of the strategy annotation.
    pub const fn strategy(self) -> &'static str {
        match self {
            Self::Any | Self::Minor(..) => "semver",
            Self::Alphabetical => "alphabetical",
            Self::NewestBuild => "newest-build",
            Self::Digest => "digest",
        }
    }

    /// True when this policy may choose the tag of `version`: the naive judge.
    pub const fn allows(self, version: Version) -> bool {
        match self {
            Self::Minor(major, minor) => version.0 == major && version.1 == minor,
            Self::Any | Self::Alphabetical | Self::NewestBuild => true,
            Self::Digest => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Profile;

    #[test]
    fn plans_follow_from_the_seed_and_only_touch_what_exists() {
        for seed in 0..20 {
            let options = Options::derive(seed, Profile::Swarm, Some(12), Some(3));
            let plan = Plan::generate(&options);
            assert_eq!(plan.actions, Plan::generate(&options).actions);
            let mut alive: BTreeSet<AppIdx> = (0..plan.apps.len()).collect();
            for (_, action) in &plan.actions {
                match action {
                    Action::Delete(app) => assert!(alive.remove(app), "{action:?}"),
                    Action::Create(app) => assert!(alive.insert(*app), "{action:?}"),
                    Action::EditPolicy(app, _) | Action::ForeignEdit(app) => {
                        assert!(alive.contains(app), "{action:?}");
                    }
                    Action::Push(..)
                    | Action::DeleteTag(..)
                    | Action::WatchReset
                    | Action::Restart
                    | Action::Trouble(_)
                    | Action::Git(..)
                    | Action::Rotate { .. } => {}
                }
            }
            assert!(plan.actions.is_sorted_by_key(|(time, _)| *time));
        }
    }
}
