//! What an application wants of the files of its target: made when the decision is made, applied when the files are
//! here, as often as a publish is tried.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::helm_values::Value;
use super::kustomization;
use super::target::{Target, TargetKind};
use super::yaml::{EditReason, EditRefusal};
use super::{helm_values, override_file};
use crate::app::{Application, HelmNames, Parameter};
use crate::git::Found;
use crate::update::{ImageSpec, Plan};

/// What is to become of a target's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileEdit {
    /// These parameters stand in the override file.
    Parameters(Vec<Parameter>),
    /// These images stand in the override file.
    Images(Vec<Box<str>>),
    /// These values stand in the values file.
    Values(Vec<Value>),
    /// These images stand in the kustomization.
    Kustomization(Vec<Box<str>>),
}

impl FileEdit {
    /// What the application wants of a target of this kind (`writeback.md` 9.2 to 9.4). `spec` is what it shall have
    /// (`Decision::to_spec`), `plan` that of the same record; images that failed, by their position in the plan, are
    /// left out of values files and block no other (WB-40).
    ///
    /// # Errors
    /// When the target does not fit the type of the application, or a parameter is missing.
    pub fn of(
        kind: TargetKind,
        app: &Application,
        plan: &Plan,
        spec: ImageSpec,
        has_failed: &dyn Fn(usize) -> bool,
    ) -> Result<Self, EditRefusal> {
        match (kind, spec) {
            (TargetKind::Override, ImageSpec::Helm(parameters)) => Ok(Self::Parameters(parameters)),
            (TargetKind::Override, ImageSpec::Kustomize(images)) => Ok(Self::Images(images)),
            (TargetKind::HelmValues, ImageSpec::Helm(parameters)) => {
                values(app, plan, &parameters, has_failed).map(Self::Values)
            }
            (TargetKind::Kustomization, ImageSpec::Kustomize(images)) => {
                Ok(Self::Kustomization(images))
            }
            (TargetKind::HelmValues, ImageSpec::Kustomize(_))
            | (TargetKind::Kustomization, ImageSpec::Helm(_)) => {
                Err(EditRefusal::whole(EditReason::Type))
            }
        }
    }

    /// The files that have to be read, as paths from the root of the repository; the first that is there is edited.
    pub fn paths(target: &Target) -> Vec<String> {
        match target.kind {
            TargetKind::Override | TargetKind::HelmValues => {
                Vec::from([target.path.as_str().into()])
            }
            TargetKind::Kustomization => {
                let names = kustomization::FILE_NAMES.iter();
                // A path in a folder that is a path is one, unless it is too long; then nothing is found.
                names
                    .filter_map(|name| target.path.join(name).ok())
                    .map(|path| path.as_str().into())
                    .collect()
            }
        }
    }

    /// Edits the target's file among `files`, which hold all of [`FileEdit::paths`]: its path and its new content, or
    /// `None` when nothing changes. What is edited goes back into `files` for who comes next.
    ///
    /// # Errors
    /// When the file may not be touched or cannot be edited; nothing of it is to be written then.
    pub fn apply(
        &self,
        target: &Target,
        files: &BTreeMap<String, Found>,
    ) -> Result<Option<(String, Vec<u8>)>, EditRefusal> {
        let (path, current) = self.file(target, files)?;
        let edited = self
            .edit(current)
            .map_err(|refusal| refusal.in_file(&path))?;
        Ok(edited.map(|content| (path, content)))
    }

    /// Edits the content of a file; `None` where nothing changes.
    ///
    /// # Errors
    /// When it cannot be edited.
    pub fn edit(&self, current: Option<&[u8]>) -> Result<Option<Vec<u8>>, EditRefusal> {
        let text = current.map(core::str::from_utf8).transpose();
        let text = text.map_err(|_| EditRefusal::whole(EditReason::NotUtf8))?;
        let edited = match self {
            Self::Parameters(parameters) => override_file::edit_parameters(text, parameters),
            Self::Images(images) => override_file::edit_images(text, images),
            Self::Values(values) => helm_values::edit(text, values),
            Self::Kustomization(images) => {
                let none = || EditRefusal::whole(EditReason::NoKustomization);
                kustomization::edit(text.ok_or_else(none)?, images)
            }
        }?;
        Ok(edited.map(String::into_bytes))
    }

    /// The file that is edited, and what is in it.
    fn file<'a>(
        &self,
        target: &Target,
        files: &'a BTreeMap<String, Found>,
    ) -> Result<(String, Option<&'a [u8]>), EditRefusal> {
        for path in Self::paths(target) {
            match files.get(&path) {
                Some(Found::File(content)) => return Ok((path, Some(content))),
                Some(Found::Refused(refusal)) => {
                    let reason = EditReason::Untouchable(*refusal);
                    return Err(EditRefusal::whole(reason).in_file(&path));
                }
                Some(Found::Absent) | None => {}
            }
        }
        let path = target.path.as_str();
        match self {
            Self::Parameters(_) | Self::Images(_) | Self::Values(_) => Ok((path.into(), None)),
            Self::Kustomization(_) => {
                let folder = if path.is_empty() { "." } else { path };
                Err(EditRefusal::whole(EditReason::NoKustomization).in_file(folder))
            }
        }
    }
}

/// The values of every image in the order of those that run, the tag before the name (`writeback.md` 9.3).
fn values(
    app: &Application,
    plan: &Plan,
    parameters: &[Parameter],
    has_failed: &dyn Fn(usize) -> bool,
) -> Result<Vec<Value>, EditRefusal> {
    let entries: Vec<_> = plan
        .images
        .iter()
        .map(|image| image.entry.clone())
        .collect();
    let live = app.live_images(&entries);
    let mut is_taken = alloc::vec![false; live.len()];
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let found = live
            .iter()
            .position(|other| other.is_same_repository(entry));
        if let Some(found) = found {
            // A second entry of the same image comes behind all first ones.
            let rank = if is_taken[found] { live.len() } else { found };
            is_taken[found] = true;
            order.push((rank, at));
        }
    }
    order.sort_unstable();
    let mut values = Vec::new();
    for (_, at) in order {
        let names: &[&str] = match plan.images[at].helm_names() {
            HelmNames::Spec(spec) => &[spec],
            HelmNames::NameAndTag { name, tag } => &[tag, name],
        };
        for name in names {
            let parameter = parameters.iter().find(|one| *one.name == **name);
            match parameter {
                Some(parameter) => values.push(Value {
                    path: (*name).into(),
                    text: parameter.value.clone(),
                }),
                None if has_failed(at) => break,
                None => {
                    let reason = EditReason::NoParameter((*name).into());
                    return Err(EditRefusal::whole(reason));
                }
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use serde_json::json;

    use super::*;
    use crate::git::PathRefusal;
    use crate::id::AppKey;
    use crate::image::Platform;

    #[test]
    fn first_kustomization_that_is_there_is_edited() {
        let edit = FileEdit::Kustomization(Vec::from(["a:2".into()]));
        let target = target("kustomization");
        let mut paths = FileEdit::paths(&target);
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                "p/Kustomization",
                "p/kustomization.yaml",
                "p/kustomization.yml"
            ]
        );
        let file = |text: &str| Found::File(text.as_bytes().to_vec());
        let old = "images:\n- name: a\n  newTag: '1'\n";
        let mut files = BTreeMap::from([
            ("p/kustomization.yaml".into(), Found::Absent),
            ("p/kustomization.yml".into(), file(old)),
            ("p/Kustomization".into(), file("no")),
        ]);
        let (path, content) = edit
            .apply(&target, &files)
            .expect("edited")
            .expect("changed");
        assert_eq!(path, "p/kustomization.yml");
        assert_eq!(content, old.replace('1', "2").as_bytes());

        files.insert(path, Found::Refused(PathRefusal::Symlink));
        refuse(
            &edit,
            &target,
            &files,
            "p/kustomization.yml: the path goes through a symbolic link",
        );
        files.clear();
        refuse(
            &edit,
            &target,
            &files,
            "p: there is no kustomization.yaml, kustomization.yml or Kustomization in the folder",
        );
    }

    #[test]
    fn refusal_names_the_file() {
        let edit = FileEdit::Parameters(Vec::new());
        let target = target("o.yaml");
        let files = |bytes: &[u8]| BTreeMap::from([("o.yaml".into(), Found::File(bytes.to_vec()))]);
        refuse(
            &edit,
            &target,
            &files(b"\xff"),
            "o.yaml: the file is not UTF-8",
        );
        let text = "a: b\nc: [\n";
        let got = edit
            .apply(&target, &files(text.as_bytes()))
            .expect_err("no YAML");
        assert!(got.to_string().starts_with("o.yaml:"), "{got}");
        let made = edit.apply(&target, &BTreeMap::from([("o.yaml".into(), Found::Absent)]));
        let made = made.expect("made").expect("new").1;
        assert_eq!(made, b"helm:\n  parameters: []\n");
    }

    #[test]
    fn image_that_failed_blocks_no_other() {
        let app: Application = serde_json::from_value(json!({
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "annotations": {
                "argocd-image-updater.argoproj.io/image-list": "b=b, c=c",
                "argocd-image-updater.argoproj.io/b.helm.image-spec": "b.image",
                "argocd-image-updater.argoproj.io/c.helm.image-spec": "c.image",
            }},
            "spec": {"source": {"helm": {"parameters": [{"name": "c.image", "value": "c:2"}]}}},
            "status": {"sourceType": "Helm", "summary": {"images": ["c:1", "b:1"]}},
        }))
        .expect("an object is always read");
        let plan = Plan::of(&app, &Platform::new("linux", "amd64"));
        let of = |kind, has_failed: &dyn Fn(usize) -> bool| {
            let spec = ImageSpec::of(&app).expect("parameters");
            FileEdit::of(kind, &app, &plan, spec, has_failed)
        };
        let value = Value {
            path: "c.image".into(),
            text: "c:2".into(),
        };
        let got = of(TargetKind::HelmValues, &|at| at == 0);
        assert_eq!(got, Ok(FileEdit::Values(Vec::from([value]))));
        let got = of(TargetKind::HelmValues, &|_| false).expect_err("b is missing");
        assert_eq!(got.reason, EditReason::NoParameter("b.image".into()));
        let got = of(TargetKind::Kustomization, &|_| false).expect_err("it is Helm");
        assert_eq!(got.reason, EditReason::Type);
    }

    fn refuse(edit: &FileEdit, target: &Target, files: &BTreeMap<String, Found>, expect: &str) {
        let got = edit
            .apply(target, files)
            .map_err(|refusal| refusal.to_string());
        assert_eq!(got, Err(expect.into()));
    }

    fn target(annotation: &str) -> Target {
        Target::parse(Some(annotation), &AppKey::new("n", "a"), "n", "p").expect("a target")
    }
}
