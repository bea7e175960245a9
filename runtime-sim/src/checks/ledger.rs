//! The ledger: what was ever visible and allowed, and what was written (S10, S11, R2, L4).
//!
//! Deliberately naive: versions are triples, policies are a comparison, and nothing of the core's own
//! selection is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use image_updater_core::http::HttpResponse;
use image_updater_fixtures::Request;
use serde_json::{Value, json};

use super::{Lists, Violation};
use crate::workload::{Action, AppModel, ImageModel, ImagePolicy, Plan, RepoIdx, Version, tag};
use crate::world::World;

/// What was visible, what was written.
#[derive(Debug)]
pub struct Ledger {
    /// Versions in the order in which they were pushed, per repository.
    pushed: Vec<Vec<Version>>,
    deleted: BTreeSet<(RepoIdx, Version)>,
    repo_by_path: BTreeMap<String, RepoIdx>,
    /// Patches that changed an image.
    pub writes: u64,
    stale: bool,
}

impl Ledger {
    /// The ledger of a run of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let path = |(idx, repo): (usize, &crate::workload::RepoModel)| {
            (format!("/v2/{}/tags/list", repo.name), idx)
        };
        Self {
            pushed: plan
                .repos
                .iter()
                .map(|repo| repo.versions.clone())
                .collect(),
            deleted: BTreeSet::new(),
            repo_by_path: plan.repos.iter().enumerate().map(path).collect(),
            writes: 0,
            stale: false,
        }
    }

    /// Follows the registries.
    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Push(repo, version) => self.pushed[*repo].push(*version),
            Action::DeleteTag(repo, version) => {
                self.deleted.insert((*repo, *version));
            }
            Action::EditPolicy(..)
            | Action::ForeignEdit(_)
            | Action::Delete(_)
            | Action::Create(_)
            | Action::WatchReset
            | Action::Restart
            | Action::Trouble(_)
            | Action::Git(..)
            | Action::Rotate { .. } => {}
        }
    }

    /// S10 and S11: a write moves images only to what is allowed, never back, and touches nothing else.
    pub fn patched(
        &mut self,
        name: &str,
        before: &Arc<Value>,
        after: &Arc<Value>,
        world: &World,
        lists: &Lists,
    ) -> Result<(), Violation> {
        if before == after {
            return Ok(());
        }
        self.writes += 1;
        self.stale = true;
        untouched(name, before, after)?;
        let Some(app) = World::app_idx(name) else {
            return Ok(());
        };
        let model = &world.apps[app];
        for image in &model.images {
            let (old, new) = (
                written(before, model, image, world),
                written(after, model, image, world),
            );
            if old != new
                && let Some(new) = new
            {
                let (host, repo) = world.repo(image.repo);
                let lists: Vec<&Vec<String>> = lists.of(host, repo).collect();
                self.judge(name, image, old.as_deref(), &new, world, &lists)?;
                self.follows_from_a_list(name, image, &new, world, &lists)?;
            }
        }
        Ok(())
    }

    fn judge(
        &self,
        name: &str,
        image: &ImageModel,
        old: Option<&str>,
        new: &str,
        world: &World,
        lists: &[&Vec<String>],
    ) -> Result<(), Violation> {
        let fail = |detail: String| {
            let (host, repo) = world.repo(image.repo);
            let detail = format!(
                "{host}/{repo} {:?}: {old:?} -> {new}: {detail}",
                image.policy
            );
            Err(Violation::new("S10", name, detail))
        };
        if image.policy == ImagePolicy::Digest {
            return match new.strip_prefix("latest@sha256:") {
                Some(hex) if hex.len() == 64 => Ok(()),
                _ => fail("no digest of `latest`".to_owned()),
            };
        }
        let by_name = matches!(
            image.policy,
            ImagePolicy::NewestBuild | ImagePolicy::Alphabetical
        );
        if by_name && new == "latest" {
            // The same build as the newest version, and behind it by name.
            return Ok(());
        }
        let Some(version) = parse(new) else {
            return fail("no version of this world".to_owned());
        };
        let order = &self.pushed[image.repo];
        let Some(position) = order.iter().position(|known| *known == version) else {
            return fail("never pushed".to_owned());
        };
        if !image.policy.allows(version) {
            return fail("the policy does not allow it".to_owned());
        }
        let Some(old) = old.and_then(parse) else {
            return Ok(());
        };
        // Not in the list that it was decided on: the registry says that it is gone.
        let was_gone = self
            .grounds(image, new, lists)
            .any(|tags| !tags.contains(&tag(old)));
        if !image.policy.allows(old) || self.deleted.contains(&(image.repo, old)) || was_gone {
            // The policy was changed, or the running version is gone: any allowed one is right.
            return Ok(());
        }
        let back = match image.policy {
            ImagePolicy::Any | ImagePolicy::Minor(..) => version < old,
            ImagePolicy::Alphabetical => tag(version) < tag(old),
            // A policy edit may have left a version behind that is not the newest build.
            ImagePolicy::NewestBuild => order
                .iter()
                .position(|known| *known == old)
                .is_some_and(|old| position < old),
            ImagePolicy::Digest => false,
        };
        if back {
            fail("a step back".to_owned())
        } else {
            Ok(())
        }
    }

    /// R2: some list that the registry served as complete says so.
    fn follows_from_a_list(
        &self,
        name: &str,
        image: &ImageModel,
        new: &str,
        world: &World,
        lists: &[&Vec<String>],
    ) -> Result<(), Violation> {
        // A digest is looked up by its tag, without a list.
        let needs_none = image.policy == ImagePolicy::Digest;
        if needs_none || self.grounds(image, new, lists).next().is_some() {
            return Ok(());
        }
        let (host, repo) = world.repo(image.repo);
        let detail = format!(
            "{host}/{repo} {:?}: {new}: no list that was served says so",
            image.policy
        );
        Err(Violation::new("R2", name, detail))
    }

    /// The lists from which `new` follows.
    fn grounds<'a>(
        &self,
        image: &ImageModel,
        new: &str,
        lists: &[&'a Vec<String>],
    ) -> impl Iterator<Item = &'a Vec<String>> {
        lists
            .iter()
            .copied()
            .filter(move |tags| match image.policy {
                ImagePolicy::NewestBuild => tags.iter().any(|tag| tag == new),
                ImagePolicy::Any
                | ImagePolicy::Minor(..)
                | ImagePolicy::Alphabetical
                | ImagePolicy::Digest => expected_tag(tags, image, self).as_deref() == Some(new),
            })
    }

    /// L4: after everything was quiet for long enough, every application holds what its policy asks
    /// for.
    pub fn settled(&self, world: &World) -> Result<(), Violation> {
        for app in &world.alive {
            let model = &world.apps[*app];
            let Some(object) = &world.effective(*app) else {
                continue;
            };
            for image in &model.images {
                let (host, repo) = world.repo(image.repo);
                let Some(wanted) = expected_tag(&world.registries[host].tags(repo), image, self)
                else {
                    continue;
                };
                let wanted = if image.policy == ImagePolicy::Digest {
                    let digest = world.registries[host]
                        .digest(repo, "latest")
                        .unwrap_or_default();
                    format!("latest@{digest}")
                } else {
                    wanted
                };
                let prefix = format!("{host}/{repo}:");
                let live = object["status"]["summary"]["images"].as_array();
                let running = live.into_iter().flatten().filter_map(Value::as_str);
                let mut running = running.filter_map(|image| image.strip_prefix(&prefix));
                let running = running.next();
                let held = written(object, model, image, world);
                let is_wanted = |tag: Option<&str>| {
                    tag.is_some_and(|tag| {
                        // Beside a tag that strategies of tags chose, a digest is a pin (D-30).
                        let bare = tag.split('@').next().unwrap_or(tag);
                        tag == wanted || bare == wanted || self.is_twin(image, bare, &wanted)
                    })
                };
                let semver = matches!(image.policy, ImagePolicy::Any | ImagePolicy::Minor(..));
                let is_version = |tag: &str| parse(tag.split('@').next().unwrap_or(tag)).is_some();
                if semver && !running.is_some_and(is_version) {
                    // A policy edit left a tag behind that is no version: an error under semver.
                    continue;
                }
                if !is_wanted(running) && !is_wanted(held.as_deref()) {
                    let detail = format!(
                        "{host}/{repo} {:?}: {wanted} is missing, there are {} and parameters {:?}",
                        image.policy,
                        running.unwrap_or_default(),
                        held
                    );
                    return Err(Violation::new("L4", model.name.clone(), detail));
                }
            }
        }
        Ok(())
    }

    /// True when `tag` is the same build as `wanted`: `latest` moves with the newest version, and facts
    /// of a moved tag are allowed to be old for a while.
    fn is_twin(&self, image: &ImageModel, tag: &str, wanted: &str) -> bool {
        let newest = self.pushed[image.repo].last().copied();
        image.policy == ImagePolicy::NewestBuild && wanted == "latest" && parse(tag) == newest
    }

    /// The planted bug of S10: once something was written, every listing lacks its newest half.
    pub fn falsify(&self, request: &Request, response: &mut HttpResponse) {
        if !self.stale || !self.repo_by_path.contains_key(request.path()) {
            return;
        }
        let Ok(mut page) = serde_json::from_slice::<Value>(&response.body) else {
            return;
        };
        if let Some(tags) = page["tags"].as_array_mut() {
            tags.truncate(tags.len().div_ceil(2).max(1));
        }
        response.body = page.to_string().into_bytes();
    }

    /// True when the plan held something that had to be written.
    pub fn could_write(&self, apps: u32) -> bool {
        apps > 0 && self.pushed.iter().any(|versions| versions.len() > 1)
    }

    fn rank(&self, repo: RepoIdx, version: Version) -> Option<usize> {
        self.pushed[repo].iter().position(|known| *known == version)
    }
}

/// The tag that `image` should run with, given the tags of its repository: the naive judge.
pub fn expected_tag(tags: &[String], image: &ImageModel, ledger: &Ledger) -> Option<String> {
    if image.policy == ImagePolicy::Digest {
        return tags.iter().find(|tag| *tag == "latest").cloned();
    }
    let versions = tags
        .iter()
        .filter_map(|tag| parse(tag))
        .filter(|version| image.policy.allows(*version));
    match image.policy {
        ImagePolicy::Any | ImagePolicy::Minor(..) => versions.max().map(tag),
        // `latest` sorts behind every version.
        ImagePolicy::Alphabetical => tags.iter().max().cloned(),
        ImagePolicy::NewestBuild => {
            let newest = versions.max_by_key(|version| ledger.rank(image.repo, *version))?;
            // `latest` is the same build, and wins the tie by its name.
            Some(if tags.iter().any(|tag| tag == "latest") {
                "latest".into()
            } else {
                tag(newest)
            })
        }
        ImagePolicy::Digest => None,
    }
}

/// The tag part that the object's parameters ask for, if they name the image.
pub fn written(
    object: &Value,
    app: &AppModel,
    image: &ImageModel,
    world: &World,
) -> Option<String> {
    let (host, repo) = world.repo(image.repo);
    let name = format!("{host}/{repo}");
    let source = &object["spec"]["source"];
    if app.kustomize {
        let images = source["kustomize"]["images"].as_array()?;
        return images.iter().filter_map(Value::as_str).find_map(|text| {
            text.strip_prefix(&name)?
                .strip_prefix(':')
                .map(str::to_owned)
        });
    }
    let alias = repo.rsplit('/').next().unwrap_or(repo);
    let wanted = format!("{alias}.tag");
    let parameters = source["helm"]["parameters"].as_array()?;
    let parameter = parameters
        .iter()
        .find(|parameter| parameter["name"] == json!(wanted))?;
    parameter["value"].as_str().map(str::to_owned)
}

/// S11: outside the image parameters, a patch leaves everything as it was.
fn untouched(name: &str, before: &Value, after: &Value) -> Result<(), Violation> {
    let strip = |object: &Value| {
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = Value::Null;
        if let Some(source) = object["spec"]["source"].as_object_mut() {
            source.remove("helm");
            source.remove("kustomize");
        }
        object
    };
    if strip(before) == strip(after) {
        return Ok(());
    }
    Err(Violation::new(
        "S11",
        name,
        "a patch changed more than image parameters",
    ))
}

fn parse(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}
