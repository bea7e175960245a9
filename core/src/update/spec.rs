//! The image parameters of the selected source: a working copy, and the patch that makes the object equal to it.
//!
//! The patch touches single elements, so that whatever else is edited at the same time survives (D-44). Positions
//! are valid because every patch is guarded by the resource version that the record was read with.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::claim::Claim;
use super::helm;
use super::kustomize::{self, Written};
use super::operations::{ListPlace, image_operations, parameter_operations};
use crate::app::{
    Application, HelmNames, PROBLEMS_MAX, Parameter, Source, SourceKind, SourcePlace,
};
use crate::effect::PatchOperation;
use crate::image::Image;

/// A copy of the selected source's image parameters, to be changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImageSpec {
    /// `helm.parameters`.
    Helm(Vec<Parameter>),
    /// `kustomize.images`.
    Kustomize(Vec<Box<str>>),
}

/// Why an application's images can be neither read nor written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpecError {
    /// The application is neither Helm nor Kustomize.
    WrongType,
    /// It has no source.
    NoSource,
    /// A member of its source could not be read, so that positions in it cannot be trusted.
    Unreadable {
        /// The path of the member.
        path: Box<str>,
        /// What was found and what was wanted.
        detail: Box<str>,
    },
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType => f.write_str("the application is neither Helm nor Kustomize"),
            Self::NoSource => f.write_str("the application has no source"),
            Self::Unreadable { path, detail } => write!(f, "{path}: {detail}"),
        }
    }
}

impl core::error::Error for SpecError {}

/// An image to be put into an [`ImageSpec`].
#[derive(Clone, Copy)]
pub struct PutImage<'a> {
    /// The image with its new tag.
    pub image: &'a Image,
    /// The Helm parameters that hold it.
    pub helm_names: HelmNames<'a>,
    /// What `kustomize.image-name` names, if configured.
    pub replaced: Option<&'a Image>,
    /// How other entries of the image list lay claim to an image, for Kustomize.
    pub claim_of: &'a dyn Fn(&Image) -> Claim,
}

impl ImageSpec {
    /// The parameters as the application holds them (`images.md` 5.4, 11).
    ///
    /// # Errors
    /// When the application has no source of a supported type, or its parameters could not be read whole.
    pub fn of(app: &Application) -> Result<Self, SpecError> {
        let kind = app.source_kind();
        if kind == SourceKind::Unsupported {
            return Err(SpecError::WrongType);
        }
        let selected = app.selected_source().ok_or(SpecError::NoSource)?;
        check_readable(app, selected.place)?;
        Ok(match kind {
            SourceKind::Kustomize => Self::Kustomize(images(selected.source).to_vec()),
            SourceKind::Helm | SourceKind::Unsupported => {
                Self::Helm(parameters(selected.source).to_vec())
            }
        })
    }

    /// Puts the image in, exactly as it would be written; false when nothing changes by that (`images.md` 11).
    pub fn put(&mut self, put: PutImage<'_>) -> bool {
        match self {
            Self::Helm(parameters) => {
                let written = helm::parameters_of(put.image, put.helm_names);
                let before = parameters.clone();
                helm::merge(parameters, &written);
                *parameters != before
            }
            Self::Kustomize(images) => kustomize::put(images, put.written()),
        }
    }

    /// The image that the parameters hold at the place of this one; empty when they hold none (`images.md` 11).
    pub fn current_image(&self, put: PutImage<'_>) -> Box<str> {
        match self {
            Self::Helm(parameters) => helm::current_image(parameters, put.helm_names),
            Self::Kustomize(images) => kustomize::current_image(images, put.written()).into(),
        }
    }

    /// True when the parameters hold the image already, so that nothing is to be written (`images.md` 10.1 step 12a,
    /// D-53).
    pub fn holds(&self, put: PutImage<'_>) -> bool {
        let current = self.current_image(put);
        match self {
            Self::Helm(_) => *current == *put.image.full_name_with_tag(),
            Self::Kustomize(_) => {
                !current.is_empty()
                    && *current == *kustomize::text_of(put.written(), Some(&current))
            }
        }
    }

    /// The operations that turn the application's parameters into these; none when they are equal or when the
    /// application has no source that may be written (D-42, D-44).
    pub fn operations(&self, app: &Application) -> Vec<PatchOperation> {
        let Some(selected) = app.selected_source() else {
            return Vec::new();
        };
        let Some(pointer) = selected.place.pointer() else {
            return Vec::new();
        };
        let source = selected.source;
        match self {
            Self::Helm(new) => {
                let list = ListPlace {
                    block: format!("{pointer}/helm"),
                    member: "parameters",
                    has_block: source.helm.is_some(),
                    has_list: source.helm.as_ref().is_some_and(|h| h.parameters.is_some()),
                };
                parameter_operations(&list, parameters(source), new)
            }
            Self::Kustomize(new) => {
                let list = ListPlace {
                    block: format!("{pointer}/kustomize"),
                    member: "images",
                    has_block: source.kustomize.is_some(),
                    has_list: source
                        .kustomize
                        .as_ref()
                        .is_some_and(|k| k.images.is_some()),
                };
                image_operations(&list, images(source), new)
            }
        }
    }
}

impl<'a> PutImage<'a> {
    fn written(self) -> Written<'a> {
        Written {
            image: self.image,
            replaced: self.replaced,
            claim_of: self.claim_of,
        }
    }
}

fn parameters(source: &Source) -> &[Parameter] {
    let list = source
        .helm
        .as_ref()
        .and_then(|helm| helm.parameters.as_ref());
    list.map_or(&[], Vec::as_slice)
}

fn images(source: &Source) -> &[Box<str>] {
    let block = source.kustomize.as_ref();
    let list = block.and_then(|kustomize| kustomize.images.as_ref());
    list.map_or(&[], Vec::as_slice)
}

/// Elements that could not be read are missing from the record, so that the positions behind them are not those of
/// the object: such a source is not written.
fn check_readable(app: &Application, place: SourcePlace) -> Result<(), SpecError> {
    let path = match place {
        SourcePlace::Single => "spec.source.".to_owned(),
        SourcePlace::Listed(index) => format!("spec.sources[{index}]."),
        SourcePlace::Dry => "spec.sourceHydrator.".to_owned(),
    };
    let block_paths = ["helm", "kustomize"].map(|block| format!("{path}{block}"));
    let is_ours = |at: &str| {
        block_paths.iter().any(|block| at.starts_with(&**block))
            || *at == *"spec"
            || path.strip_suffix('.').is_some_and(|source| *at == *source)
    };
    let mut problems = app.problems.iter().enumerate();
    // Behind the last problem that is kept there may be more of which nothing is known.
    match problems.find(|(n, problem)| *n >= PROBLEMS_MAX || is_ours(&problem.path)) {
        Some((_, problem)) => Err(SpecError::Unreadable {
            path: problem.path.clone(),
            detail: problem.detail.clone(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::json_patch::apply;
    use super::*;
    use crate::app::ImageOptions;
    use crate::fixed_cases::{CASES, config};
    use crate::image::Platform;

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn operations_make_the_object_equal_and_touch_nothing_else(
            is_helm in any::<bool>(),
            block in blocks(),
            position in prop::option::of(0_usize..3),
            images in prop::collection::vec(images(), 0..4),
        ) {
            let document = document(is_helm, block.as_ref(), position);
            let app = read(&document);
            let mut spec = ImageSpec::of(&app).expect("the parameters can be read");
            prop_assert_eq!(spec.operations(&app), []);
            for image in &images {
                put(&app, &mut spec, image);
            }
            let operations = spec.operations(&app);
            let mut patched = document.clone();
            for operation in &operations {
                apply(&mut patched, operation);
            }
            let fresh = read(&patched);
            prop_assert_eq!(fresh.problems.len(), 0);
            prop_assert_eq!(&ImageSpec::of(&fresh), &Ok(spec.clone()));
            prop_assert_eq!(spec.operations(&fresh), []);
            prop_assert_eq!(operations.is_empty(), spec == ImageSpec::of(&app).expect("as before"));
            prop_assert_eq!(without_values(&patched, &document), without_values(&document, &document));
        }

        #[test]
        fn putting_again_what_is_held_changes_nothing(
            is_helm in any::<bool>(), block in blocks(), image in images(),
        ) {
            let app = read(&document(is_helm, block.as_ref(), None));
            let mut spec = ImageSpec::of(&app).expect("the parameters can be read");
            put(&app, &mut spec, &image);
            let first = spec.clone();
            prop_assert!(!put(&app, &mut spec, &image));
            prop_assert_eq!(spec, first);
        }
    }

    #[test]
    fn single_elements_are_touched() {
        let parameters = json!({"parameters": [
            {"name": "a", "value": "1"}, {"name": "image.tag", "value": "1.0"}
        ]});
        check(
            Some(&parameters),
            [
                "replace /spec/sources/1/helm/parameters/1/value \"1.1\"",
                "add /spec/sources/1/helm/parameters/1/forceString true",
                "add /spec/sources/1/helm/parameters/- \
             {\"forceString\":true,\"name\":\"image.name\",\"value\":\"x/a\"}",
            ]
            .as_slice(),
        );
        let list = "[{\"forceString\":true,\"name\":\"image.name\",\"value\":\"x/a\"},\
                    {\"forceString\":true,\"name\":\"image.tag\",\"value\":\"1.1\"}]";
        check(
            Some(&json!({})),
            &[&format!("add /spec/sources/1/helm/parameters {list}")],
        );
        check(
            None,
            &[&format!(
                "add /spec/sources/1/helm {{\"parameters\":{list}}}"
            )],
        );
    }

    fn check(block: Option<&Value>, expect: &[&str]) {
        let app = read(&document(true, block, Some(1)));
        let mut spec = ImageSpec::of(&app).expect("the parameters can be read");
        put(&app, &mut spec, "x/a:1.1");
        let operations: Vec<(String, Value)> = spec
            .operations(&app)
            .into_iter()
            .map(|one| (format!("{} {}", one.verb.as_str(), one.path), one.value))
            .collect();
        // Values, not texts: the order of members depends on how serde_json was built.
        let expect: Vec<(String, Value)> = expect
            .iter()
            .map(|line| {
                let at = line.match_indices(' ').nth(1).expect("verb, path, value").0;
                let value = serde_json::from_str(&line[at..]).expect("a value");
                (line[..at].to_owned(), value)
            })
            .collect();
        assert_eq!(operations, expect);
    }

    fn put(app: &Application, spec: &mut ImageSpec, text: &str) -> bool {
        let image = Image::parse(text);
        let options =
            ImageOptions::resolve(&app.annotations, &image, &Platform::new("linux", "amd64"));
        let replaced = options.kustomize_image_name.as_deref();
        let replaced = replaced.and_then(kustomize::read_replaced);
        spec.put(PutImage {
            image: &image,
            helm_names: options.helm.names(),
            replaced: replaced.as_ref(),
            claim_of: &|_| Claim::Free,
        })
    }

    /// A block that suits both types, absent, empty or with lists.
    fn blocks() -> impl Strategy<Value = Option<Value>> {
        let member = |names: &'static [&'static str]| prop::sample::select(names);
        let parameter = (
            prop::option::of(member(&["image.name", "image.tag", "p", "q", "z"])),
            prop::option::of(member(&["", "x/a", "1.0", "1.1"])),
            prop::option::of(any::<bool>()),
        );
        let parameter = parameter.prop_map(|(name, value, forced)| {
            let mut object = json!({"other": 1});
            if let Some(name) = name {
                object["name"] = json!(name);
            }
            if let Some(value) = value {
                object["value"] = json!(value);
            }
            if let Some(forced) = forced {
                object["forceString"] = json!(forced);
            }
            object
        });
        let image = member(&[
            "x/a:1.0",
            "r.io/x/a:1.0",
            "old=x/a:1",
            "x/a-b:1",
            "old",
            "y/b@sha256:a",
        ]);
        let lists = (
            prop::option::of(prop::collection::vec(parameter, 0..5)),
            prop::option::of(prop::collection::vec(image, 0..5)),
        );
        prop::option::of(lists.prop_map(|(parameters, images)| {
            let mut block = json!({"valueFiles": ["v"], "namePrefix": "p"});
            if let Some(parameters) = parameters {
                block["parameters"] = json!(parameters);
            }
            if let Some(images) = images {
                block["images"] = json!(images);
            }
            block
        }))
    }

    fn images() -> impl Strategy<Value = String> {
        const TEXTS: &[&str] = &[
            "x/a:1.0",
            "x/a:1.1",
            "r.io/x/a:2",
            "s=x/a:3",
            "n=y/b:4@sha256:b",
            "o=x/a:5",
            "y/b",
        ];
        prop::sample::select(TEXTS).prop_map(String::from)
    }

    /// The source stands alone or at a position among three.
    fn document(is_helm: bool, block: Option<&Value>, position: Option<usize>) -> Value {
        let kind = if is_helm { "Helm" } else { "Kustomize" };
        let mut source = json!({"repoURL": "r"});
        if let Some(block) = block {
            source[if is_helm { "helm" } else { "kustomize" }] = block.clone();
        }
        let (spec, status) = match position {
            None => (json!({"source": source}), json!({"sourceType": kind})),
            Some(position) => {
                let mut sources = [0; 3].map(|_| json!({"ref": "v"}));
                let mut types = ["Directory"; 3];
                sources[position] = source;
                types[position] = kind;
                (json!({"sources": sources}), json!({"sourceTypes": types}))
            }
        };
        json!({
            "metadata": {"namespace": "n", "name": "a", "uid": "u", "annotations": {
                "argocd-image-updater.argoproj.io/s.helm.image-spec": "p",
                "argocd-image-updater.argoproj.io/n.helm.image-name": "q",
                "argocd-image-updater.argoproj.io/o.kustomize.image-name": "old",
            }},
            "spec": spec,
            "status": status,
        })
    }

    fn read(document: &Value) -> Application {
        serde_json::from_value(document.clone()).expect("an object is always read")
    }

    /// The document without what may change (values, forced strings, the list of images) and without what was
    /// appended to `original`.
    fn without_values(document: &Value, original: &Value) -> Value {
        match (document, original) {
            (Value::Object(members), Value::Object(known)) => members
                .iter()
                .filter(|(name, _)| {
                    let is_block = ["helm", "kustomize", "parameters"].contains(&name.as_str());
                    let is_value = ["value", "forceString", "images"].contains(&name.as_str());
                    !is_value && (known.contains_key(*name) || !is_block)
                })
                .map(|(name, value)| {
                    let known = known.get(name).unwrap_or(&Value::Null);
                    (name.clone(), without_values(value, known))
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
            (Value::Array(items), Value::Array(known)) => items
                .iter()
                .zip(known)
                .map(|(item, known)| without_values(item, known))
                .collect(),
            (other, _) => other.clone(),
        }
    }
}
