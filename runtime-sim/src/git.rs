//! Git in the world of a run: repositories, who is written to them, and what people do there.

use std::collections::BTreeMap;

use image_updater_core::git::ObjectId;
use image_updater_core::time::Time;
use image_updater_fixtures::GitRemote;
use image_updater_fixtures::git::{File, PushConduct, overlay};
use serde_json::{Value, json};

use crate::entropy::{Entropy, Stream};
use crate::options::Options;
use crate::workload::{Action, AppIdx, AppModel};
use crate::world::CANARY;

/// Where an application is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GitModel {
    /// Which repository.
    pub repo: usize,
    /// Which branch.
    pub base: GitBase,
}

/// The branch of an application, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitBase {
    /// The default branch, which is `main`.
    Default,
    /// `main`, by its name.
    Main,
    /// `dev`.
    Dev,
}

impl GitBase {
    /// The branch that it comes to.
    pub const fn branch(self) -> &'static str {
        match self {
            Self::Default | Self::Main => "main",
            Self::Dev => "dev",
        }
    }

    /// The annotation, if there is one.
    pub const fn annotation(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::Main => Some("main"),
            Self::Dev => Some("dev"),
        }
    }
}

/// Something that happens to a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitAction {
    /// Somebody commits a file of no application to this branch.
    Commit(String),
    /// Somebody adds a line of their own to the file of an application.
    Touch(AppIdx),
    /// Somebody takes what was written for an application back.
    Revert(AppIdx),
    /// Somebody makes the folder of an application a link to another one.
    Link(AppIdx),
    /// A branch takes no pushes.
    Protect(String),
    /// It takes them again.
    Unprotect(String),
    /// A branch is deleted.
    DeleteBranch(String),
    /// It is there again, as it was.
    RestoreBranch(String),
    /// The login changes: at the server, where we read it, or both.
    Rotate {
        /// The server wants the new one.
        at_remote: bool,
        /// We read the new one.
        at_source: bool,
    },
    /// What the next pushes meet.
    NextPushes(Vec<PushConduct>),
}

/// The repositories of a run.
#[derive(Debug, Default)]
pub struct GitWorld {
    remotes: Vec<Remote>,
    n_human: u64,
}

#[derive(Debug)]
struct Remote {
    server: GitRemote,
    /// The version of the login that the server wants.
    wanted_login: u32,
    /// The version that we read.
    known_login: u32,
    deleted: BTreeMap<String, ObjectId>,
}

/// The URL of repository number `idx`.
pub fn url(idx: usize) -> String {
    format!("https://git-{idx}.test/org/repo.git")
}

/// The repository that a URL names.
pub fn idx_of(url: &str) -> Option<usize> {
    let rest = url.split("://git-").nth(1)?;
    rest.split('.').next()?.parse().ok()
}

/// The file of an application.
pub fn path(app: &AppModel) -> String {
    format!("apps/{0}/.argocd-source-{0}.yaml", app.name)
}

impl GitWorld {
    /// So many repositories, with a file of nobody's on two branches.
    pub fn new(count: usize) -> Self {
        let remote = |_| {
            let mut server = GitRemote::with_files(&[File::new("README", "hello\n")]);
            server.conduct.denies_force = true;
            let main = server.repository.tip("main");
            server.repository.put_branch("dev", main);
            let mut remote = Remote {
                server,
                wanted_login: 1,
                known_login: 1,
                deleted: BTreeMap::new(),
            };
            remote.guard();
            remote
        };
        Self {
            remotes: (0..count).map(remote).collect(),
            n_human: 0,
        }
    }

    /// The server of a repository.
    pub fn server(&self, idx: usize) -> Option<&GitRemote> {
        self.remotes.get(idx).map(|remote| &remote.server)
    }

    /// The same, to talk to it.
    pub fn server_mut(&mut self, idx: usize) -> Option<&mut GitRemote> {
        self.remotes.get_mut(idx).map(|remote| &mut remote.server)
    }

    /// The login as it is read now.
    pub fn authorization(&self, idx: usize) -> String {
        let version = self.remotes.get(idx).map_or(0, |remote| remote.known_login);
        authorization(version)
    }

    /// Does what the plan says, and returns the applications whose files somebody changed.
    pub fn act(&mut self, idx: usize, action: &GitAction, apps: &[AppModel]) -> Vec<AppIdx> {
        self.n_human += 1;
        let n = self.n_human;
        let Some(remote) = self.remotes.get_mut(idx) else {
            return Vec::new();
        };
        let repository = &mut remote.server.repository;
        let conduct = &mut remote.server.conduct;
        match action {
            GitAction::Commit(branch) => {
                if repository.tip(branch).is_some() {
                    let file = File::new(&format!("notes/{n}"), "a note\n");
                    repository.commit(branch, "a note", &[file]);
                }
            }
            GitAction::Touch(app) | GitAction::Revert(app) | GitAction::Link(app) => {
                let note = format!("# note {n}\n");
                let model = &apps[*app];
                let branch = model.git.map_or("main", |git| git.base.branch());
                if repository.tip(branch).is_none() {
                    return Vec::new();
                }
                let path = path(model);
                let old = repository.file(branch, &path).map(<[u8]>::to_vec);
                let file = if let GitAction::Link(_) = action {
                    let folder = format!("apps/{}", model.name);
                    File::new(&folder, "../elsewhere").with_mode("120000")
                } else if let GitAction::Touch(_) = action {
                    let mut text = old.unwrap_or_default();
                    text.extend_from_slice(note.as_bytes());
                    File::new(&path, text)
                } else {
                    let kept = overlay::comments(&old.unwrap_or_default()).join("\n");
                    File::new(&path, format!("{kept}\n{note}"))
                };
                repository.commit(branch, "by hand", &[file]);
                return vec![*app];
            }
            GitAction::Protect(branch) => {
                conduct.protected.insert(branch.clone());
            }
            GitAction::Unprotect(branch) => {
                conduct.protected.remove(branch);
            }
            GitAction::DeleteBranch(branch) => {
                if let Some(tip) = repository.tip(branch) {
                    repository.put_branch(branch, None);
                    remote.deleted.insert(branch.clone(), tip);
                }
            }
            GitAction::RestoreBranch(branch) => remote.restore(branch),
            GitAction::Rotate {
                at_remote,
                at_source,
            } => {
                remote.wanted_login += u32::from(*at_remote);
                remote.known_login += u32::from(*at_source);
                remote.guard();
            }
            GitAction::NextPushes(pushes) => conduct.pushes.extend(pushes.iter().cloned()),
        }
        Vec::new()
    }

    /// Everything can be written again.
    pub fn heal(&mut self) {
        for remote in &mut self.remotes {
            for branch in ["main", "dev"] {
                remote.restore(branch);
            }
            remote.server.conduct.protected.clear();
            remote.server.conduct.pushes.clear();
            remote.known_login = remote.wanted_login;
            remote.guard();
        }
    }

    /// The application as Argo CD sees it with its file laid over its source.
    pub fn laid_over(&self, object: &Value, app: &AppModel) -> Value {
        let Some(git) = app.git else {
            return object.clone();
        };
        let file = self
            .server(git.repo)
            .and_then(|server| server.repository.file(git.base.branch(), &path(app)));
        laid_over(object, app, file.unwrap_or_default())
    }
}

/// An application with the content of its file laid over its source.
pub fn laid_over(object: &Value, app: &AppModel, file: &[u8]) -> Value {
    let mut object = object.clone();
    let pairs = overlay::read(file);
    let source = &mut object["spec"]["source"];
    if app.kustomize {
        let images: Vec<&String> = pairs.values().collect();
        source["kustomize"] = json!({ "images": images });
    } else {
        let parameters: Vec<Value> = pairs
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value, "forceString": true }))
            .collect();
        source["helm"] = json!({ "parameters": parameters });
    }
    object
}

impl Remote {
    fn guard(&mut self) {
        self.server.conduct.authorization = Some(authorization(self.wanted_login));
    }

    fn restore(&mut self, branch: &str) {
        if let Some(tip) = self.deleted.remove(branch)
            && self.server.repository.tip(branch).is_none()
        {
            self.server.repository.put_branch(branch, Some(tip));
        }
    }
}

fn authorization(version: u32) -> String {
    format!("Bearer {CANARY}-git-{version}")
}

/// How many repositories a run has.
pub fn count(options: &Options) -> usize {
    usize::try_from(options.git).unwrap_or(usize::MAX)
}

/// Half of the applications are written to Git, and things happen there.
pub fn generate(options: &Options, apps: &mut [AppModel]) -> Vec<(Time, Action)> {
    let mut entropy = Entropy::new(options.seed, Stream::Git);
    let count = count(options);
    let mut written = Vec::new();
    for (idx, app) in apps.iter_mut().enumerate() {
        if entropy.chance(500_000) {
            // The first repository has most of them.
            let repo = entropy.index(count).min(entropy.index(count));
            let base = match entropy.pick(&[50, 30, 20]) {
                0 => GitBase::Default,
                1 => GitBase::Main,
                _ => GitBase::Dev,
            };
            app.git = Some(GitModel { repo, base });
            written.push((idx, repo));
        }
    }
    let seconds = options.horizon.as_secs();
    let n_actions = seconds * u64::from(options.actions_per_hour) / 3600 / 4;
    let mut actions = Vec::new();
    for _ in 0..n_actions {
        let at = entropy.below(seconds * 1000);
        let time = Time::from_millis(at);
        let branch = ["main", "dev"][entropy.index(2)].to_owned();
        let any = entropy.index(count);
        let soon = |entropy: &mut Entropy| Time::from_millis(at + entropy.between(1_000, 300_000));
        let whose = |entropy: &mut Entropy| {
            (!written.is_empty()).then(|| written[entropy.index(written.len())])
        };
        let (repo, action) = match entropy.pick(&[40, 15, 15, 6, 4, 6]) {
            0 => (any, GitAction::Commit(branch)),
            kind @ (1 | 2) => {
                let Some((app, repo)) = whose(&mut entropy) else {
                    continue;
                };
                let action = if kind == 1 {
                    GitAction::Touch(app)
                } else {
                    GitAction::Revert(app)
                };
                (repo, action)
            }
            3 => {
                let end = GitAction::Unprotect(branch.clone());
                actions.push((soon(&mut entropy), Action::Git(any, end)));
                (any, GitAction::Protect(branch))
            }
            4 => {
                let end = GitAction::RestoreBranch("dev".to_owned());
                actions.push((soon(&mut entropy), Action::Git(any, end)));
                (any, GitAction::DeleteBranch("dev".to_owned()))
            }
            _ => {
                let rotate = GitAction::Rotate {
                    at_remote: true,
                    at_source: true,
                };
                (any, rotate)
            }
        };
        actions.push((time, Action::Git(repo, action)));
    }
    actions.retain(|(time, _)| *time < Time::ZERO.after(options.horizon));
    actions
}
