//! What type an application has, and which of its sources is read and written (`images.md` 5.3, 5.4).

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::annotation::WRITE_BACK_TARGET;
use super::application::{Application, Source, Sources};

/// The class of an application's effective source type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SourceKind {
    /// Images are Helm parameters.
    Helm,
    /// Images are entries of `kustomize.images`.
    Kustomize,
    /// Directory, Plugin, anything else, or never reconciled: not managed.
    Unsupported,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Helm => HELM,
            Self::Kustomize => KUSTOMIZE,
            Self::Unsupported => "Unsupported",
        })
    }
}

/// Where the selected source stands in the object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SourcePlace {
    /// `spec.source`.
    Single,
    /// An entry of `spec.sources`.
    Listed(usize),
    /// `spec.sourceHydrator.drySource`, which has no parameters: nothing can be written through the API (D-42).
    Dry,
}

impl SourcePlace {
    /// The JSON pointer of the source, for a patch; `None` where none may be written.
    pub fn pointer(self) -> Option<String> {
        match self {
            Self::Single => Some("/spec/source".into()),
            Self::Listed(index) => Some(format!("/spec/sources/{index}")),
            Self::Dry => None,
        }
    }
}

/// The source that is read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SelectedSource<'a> {
    /// Where it stands.
    pub place: SourcePlace,
    /// The source itself.
    pub source: &'a Source,
}

const HELM: &str = "Helm";
const KUSTOMIZE: &str = "Kustomize";
const PLUGIN: &str = "Plugin";
const DIRECTORY: &str = "Directory";

impl Application {
    /// The repository that the per-repository cap counts (`ops.md` 7.4): that of the first source with a
    /// `helm` or `kustomize` section, else of the first source; empty without a source.
    pub fn primary_repo_url(&self) -> &str {
        match &self.sources {
            Sources::None => "",
            Sources::Single(source) | Sources::Hydrated(source) => &source.repo_url,
            Sources::Multiple(sources) => sources
                .iter()
                .find(|source| source.helm.is_some() || source.kustomize.is_some())
                .or(sources.first())
                .map_or("", |source| &source.repo_url),
        }
    }

    /// The effective source type as Argo CD spells it; empty when unknown (`images.md` 5.3).
    ///
    /// Only the target `kustomization` itself or `kustomization:<path>` makes it Kustomize (D-46), and a plugin
    /// in front hides nothing (D-41).
    pub fn effective_source_type(&self) -> &str {
        let target = self.annotations.value(WRITE_BACK_TARGET).unwrap_or("");
        if is_kustomization(target) {
            return KUSTOMIZE;
        }
        match &self.sources {
            Sources::Multiple(_) => [HELM, KUSTOMIZE]
                .into_iter()
                .filter_map(|kind| Some((self.position_of_type(kind)?, kind)))
                .min()
                .map_or_else(
                    || match self.position_of_type(PLUGIN) {
                        Some(_) => PLUGIN,
                        None => DIRECTORY,
                    },
                    |(_, kind)| kind,
                ),
            Sources::None | Sources::Single(_) | Sources::Hydrated(_) => &self.source_type,
        }
    }

    /// The class of the effective source type.
    pub fn source_kind(&self) -> SourceKind {
        match self.effective_source_type() {
            HELM => SourceKind::Helm,
            KUSTOMIZE => SourceKind::Kustomize,
            _ => SourceKind::Unsupported,
        }
    }

    /// The source that is read and written; `None` when the application has none (`images.md` 5.4).
    ///
    /// Of several sources it is the one that fits the type (D-40): the first with its block, else the first of
    /// that type by `status.sourceTypes`, else the first.
    pub fn selected_source(&self) -> Option<SelectedSource<'_>> {
        match &self.sources {
            Sources::None => None,
            Sources::Single(source) => Some(SelectedSource {
                place: SourcePlace::Single,
                source,
            }),
            Sources::Hydrated(source) => Some(SelectedSource {
                place: SourcePlace::Dry,
                source,
            }),
            Sources::Multiple(sources) => {
                let index = self.fitting_position(sources);
                sources.get(index).map(|source| SelectedSource {
                    place: SourcePlace::Listed(index),
                    source,
                })
            }
        }
    }

    fn fitting_position(&self, sources: &[Source]) -> usize {
        let kind = self.source_kind();
        let by_block = sources.iter().position(|source| match kind {
            SourceKind::Helm => source.helm.is_some(),
            SourceKind::Kustomize => source.kustomize.is_some(),
            SourceKind::Unsupported => source.helm.is_some() || source.kustomize.is_some(),
        });
        let by_type = match kind {
            SourceKind::Helm => self.position_of_type(HELM),
            SourceKind::Kustomize => self.position_of_type(KUSTOMIZE),
            SourceKind::Unsupported => None,
        };
        by_block
            .or(by_type.filter(|index| *index < sources.len()))
            .unwrap_or(0)
    }

    fn position_of_type(&self, kind: &str) -> Option<usize> {
        self.source_types.iter().position(|one| **one == *kind)
    }
}

/// True for a `write-back-target` of `kustomization` or `kustomization:<path>`.
fn is_kustomization(target: &str) -> bool {
    let target = target.trim();
    target.split_once(':').map_or(target, |(kind, _)| kind) == "kustomization"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn type_comes_from_target_then_status() {
        check_type(
            "",
            &json!({"source": {}}),
            &json!({"sourceType": "Helm"}),
            "Helm",
        );
        check_type("kustomization", &json!({}), &json!({}), "Kustomize");
        check_type(
            " kustomization:../base ",
            &json!({}),
            &json!({}),
            "Kustomize",
        );
        check_type(
            "kustomizationfoo",
            &json!({}),
            &json!({"sourceType": "Helm"}),
            "Helm",
        );
        check_type(
            "helmvalues",
            &json!({}),
            &json!({"sourceType": "Directory"}),
            "Directory",
        );
        let two = &json!({"sources": [{}, {}]});
        check_type(
            "",
            two,
            &json!({"sourceTypes": ["Plugin", "Kustomize", "Helm"]}),
            "Kustomize",
        );
        check_type(
            "",
            two,
            &json!({"sourceTypes": ["Directory", "Plugin"]}),
            "Plugin",
        );
        check_type("", two, &json!({"sourceType": "Helm"}), "Directory");
    }

    #[test]
    fn selected_source_fits_the_type() {
        let kustomize_beside_helm = json!({"sources": [{"helm": {}}, {"kustomize": {}}]});
        let types = |types: [&str; 2]| json!({"sourceTypes": types});
        check_place(
            &kustomize_beside_helm,
            &types(["Directory", "Kustomize"]),
            Some("/spec/sources/1"),
        );
        let block_missing = &json!({"sources": [{"helm": {}}, {"path": "b"}]});
        check_place(
            block_missing,
            &types(["Directory", "Kustomize"]),
            Some("/spec/sources/1"),
        );
        let short = &json!({"sources": [{"path": "a"}]});
        check_place(
            short,
            &types(["Directory", "Kustomize"]),
            Some("/spec/sources/0"),
        );
        check_place(
            &json!({"sources": [{}, {"helm": {}}]}),
            &json!({}),
            Some("/spec/sources/1"),
        );
        check_place(&json!({"source": {}}), &json!({}), Some("/spec/source"));
        check_place(
            &json!({"sourceHydrator": {}}),
            &json!({"sourceType": "Helm"}),
            None,
        );
        check_place(&json!({}), &json!({}), None);
    }

    fn check_type(target: &str, spec: &Value, status: &Value, expect: &str) {
        let app = application(target, spec, status);
        assert_eq!(
            app.effective_source_type(),
            expect,
            "{target} {spec} {status}"
        );
    }

    fn check_place(spec: &Value, status: &Value, expect: Option<&str>) {
        let app = application("", spec, status);
        let pointer = app
            .selected_source()
            .and_then(|selected| selected.place.pointer());
        assert_eq!(pointer.as_deref(), expect, "{spec} {status}");
    }

    fn application(target: &str, spec: &Value, status: &Value) -> Application {
        let document = json!({
            "metadata": {"namespace": "n", "name": "a", "uid": "u", "annotations":
                {"argocd-image-updater.argoproj.io/write-back-target": target}},
            "spec": spec, "status": status,
        });
        serde_json::from_value(document).expect("an object is always read")
    }
}
