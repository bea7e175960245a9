//! The image parameters of the selected source: a working copy, and the patch that makes the object equal to it.
//!
//! The patch touches single elements, so that whatever else is edited at the same time survives (D-44). Positions
//! are valid because every patch is guarded by the resource version that the record was read with.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use serde_json::{Value, json};

use super::helm;
use super::kustomize::{self, Written};
use crate::app::{
    Application, HelmNames, PROBLEMS_MAX, Parameter, Source, SourceKind, SourcePlace,
};
use crate::effect::{PatchOperation, PatchVerb};
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
    /// `kustomize.image-name`, if configured.
    pub kustomize_image_name: Option<&'a str>,
    /// Whether an entry's image is one that another list entry manages, for Kustomize.
    pub is_managed: &'a dyn Fn(&Image) -> bool,
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
            replaced: self.kustomize_image_name,
            is_managed: self.is_managed,
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

/// Where a list stands in an object, and how much of the way to it exists.
struct ListPlace {
    /// Pointer of the block that holds the list.
    block: String,
    member: &'static str,
    has_block: bool,
    has_list: bool,
}

impl ListPlace {
    /// Adds `items` at the end; what is missing on the way is created with one operation.
    fn append(&self, items: Vec<Value>) -> Vec<PatchOperation> {
        let Self { block, member, .. } = self;
        if items.is_empty() {
            Vec::new()
        } else if self.has_list {
            let path = format!("{block}/{member}/-");
            items
                .into_iter()
                .map(|item| add(path.clone(), item))
                .collect()
        } else if self.has_block {
            Vec::from([add(format!("{block}/{member}"), Value::Array(items))])
        } else {
            Vec::from([add(block.clone(), json!({ *member: items }))])
        }
    }

    fn element(&self, index: usize) -> String {
        format!("{}/{}/{index}", self.block, self.member)
    }
}

fn parameter_operations(
    list: &ListPlace,
    old: &[Parameter],
    new: &[Parameter],
) -> Vec<PatchOperation> {
    let mut operations = Vec::new();
    for (index, (old, new)) in old.iter().zip(new).enumerate() {
        let element = list.element(index);
        if old.value != new.value {
            let path = format!("{element}/value");
            // An empty value may stand for an absent one, which cannot be replaced.
            operations.push(if old.value.is_empty() {
                add(path, Value::from(&*new.value))
            } else {
                replace(path, Value::from(&*new.value))
            });
        }
        if old.force_string != new.force_string {
            let path = format!("{element}/forceString");
            operations.push(add(path, Value::from(new.force_string)));
        }
    }
    let appended = new.iter().skip(old.len()).map(|parameter| {
        json!({
            "name": &*parameter.name,
            "value": &*parameter.value,
            "forceString": parameter.force_string,
        })
    });
    operations.extend(list.append(appended.collect()));
    operations
}

fn image_operations(list: &ListPlace, old: &[Box<str>], new: &[Box<str>]) -> Vec<PatchOperation> {
    let mut operations: Vec<PatchOperation> = old
        .iter()
        .zip(new)
        .enumerate()
        .filter(|(_, (old, new))| old != new)
        .map(|(index, (_, new))| replace(list.element(index), Value::from(new.to_string())))
        .collect();
    let appended = new.iter().skip(old.len());
    operations.extend(list.append(appended.map(|text| Value::from(&**text)).collect()));
    operations
}

fn add(path: String, value: Value) -> PatchOperation {
    PatchOperation {
        verb: PatchVerb::Add,
        path,
        value,
    }
}

fn replace(path: String, value: Value) -> PatchOperation {
    PatchOperation {
        verb: PatchVerb::Replace,
        path,
        value,
    }
}
