//! The Application record: everything the program reads of an object, and nothing else.
//!
//! Ten thousand of these are held at once, hence boxed text and only our own annotations. A member of
//! a wrong type is left out and noted in [`Application::problems`]: it is an error of that application
//! and of no other.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::id::AppKey;

/// Prefix of all annotation keys that belong to this program (`images.md` 4).
pub const ANNOTATION_PREFIX: &str = "argocd-image-updater.argoproj.io/";

/// One Application, trimmed to what is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Application {
    /// Namespace and name.
    pub key: AppKey,
    /// Changes when an application is deleted and made again under the same name.
    pub uid: Box<str>,
    /// Guards every patch.
    pub resource_version: Box<str>,
    /// The annotations that carry our prefix.
    pub annotations: Annotations,
    /// `spec.source`, `spec.sources` and `spec.sourceHydrator.drySource`.
    pub sources: Sources,
    /// `spec.project`: whose credentials may be used.
    pub project: Box<str>,
    /// `status.sourceType`; empty when the application was never reconciled.
    pub source_type: Box<str>,
    /// `status.sourceTypes`, in the order of `spec.sources`.
    pub source_types: Box<[Box<str>]>,
    /// `status.summary.images`, in order.
    pub images: Box<[Box<str>]>,
    /// Members that could not be read, in the order in which they were met.
    pub problems: Box<[Problem]>,
}

impl Application {
    /// Bytes held outside of the record itself, for the footprint: text and lists, without what an
    /// allocator adds.
    pub fn heap_bytes(&self) -> usize {
        let sources = match &self.sources {
            Sources::None => 0,
            Sources::Single(source) | Sources::Hydrated(source) => source.heap_bytes(),
            Sources::Multiple(sources) => {
                size_of_val::<[Source]>(sources) + sum(sources, Source::heap_bytes)
            }
        };
        let annotations = &*self.annotations.0;
        self.key.namespace.len()
            + self.key.name.len()
            + self.uid.len()
            + self.resource_version.len()
            + self.project.len()
            + self.source_type.len()
            + size_of_val(annotations)
            + sum(annotations, |(key, value)| key.len() + value.len())
            + sources
            + texts_bytes(&self.source_types)
            + texts_bytes(&self.images)
            + size_of_val::<[Problem]>(&self.problems)
            + sum(&self.problems, |problem| {
                problem.path.len() + problem.detail.len()
            })
    }
}

impl Source {
    fn heap_bytes(&self) -> usize {
        let parameters = self.helm.as_ref().and_then(|helm| helm.parameters.as_ref());
        let images = self
            .kustomize
            .as_ref()
            .and_then(|block| block.images.as_ref());
        self.repo_url.len()
            + self.path.len()
            + self.target_revision.len()
            + parameters.map_or(0, |parameters| {
                parameters.capacity() * size_of::<Parameter>()
                    + sum(parameters, |one| one.name.len() + one.value.len())
            })
            + images.map_or(0, |images| texts_bytes(images))
    }
}

fn texts_bytes(texts: &[Box<str>]) -> usize {
    size_of_val(texts) + sum(texts, |text| text.len())
}

fn sum<T>(items: &[T], bytes: impl Fn(&T) -> usize) -> usize {
    items.iter().map(bytes).sum()
}

/// Our annotations, sorted by key; keys are kept without [`ANNOTATION_PREFIX`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Annotations(Box<[(Box<str>, Box<str>)]>);

impl Annotations {
    /// Keeps the pairs whose key carries our prefix. A key given twice keeps its last value.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let bare = pairs.into_iter().filter_map(|(key, value)| {
            let key = key.strip_prefix(ANNOTATION_PREFIX)?;
            Some((key.into(), value.into()))
        });
        Self::from_bare_pairs(bare.collect())
    }

    /// Sorts pairs whose keys have lost the prefix already. A key given twice keeps its last value.
    pub(super) fn from_bare_pairs(mut pairs: Vec<(alloc::string::String, Box<str>)>) -> Self {
        // The sort is stable: of equal keys the last one stays last.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut kept: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            match kept.last_mut() {
                Some((last, kept)) if **last == *key => *kept = value,
                Some(_) | None => kept.push((key.into_boxed_str(), value)),
            }
        }
        Self(kept.into_boxed_slice())
    }

    /// The value of `key` (without prefix), if present; it may be empty.
    pub fn value(&self, key: &str) -> Option<&str> {
        let at = self
            .0
            .binary_search_by(|(known, _)| (**known).cmp(key))
            .ok()?;
        Some(&self.0[at].1)
    }

    /// All pairs in key order, keys without prefix.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

/// Where an application takes its manifests from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Sources {
    /// Neither `source` nor `sources` nor a hydrator: nothing can be written.
    #[default]
    None,
    /// `spec.source`.
    Single(Source),
    /// A non-empty `spec.sources`, in order.
    Multiple(Box<[Source]>),
    /// `spec.sourceHydrator`: the dry source is read, and never written through the API (D-42).
    Hydrated(Source),
}

/// One source, trimmed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// `repoURL`, verbatim.
    pub repo_url: Box<str>,
    /// `path`; empty when absent.
    pub path: Box<str>,
    /// `targetRevision`; empty when absent.
    pub target_revision: Box<str>,
    /// The `helm` block, if there is one.
    pub helm: Option<Helm>,
    /// The `kustomize` block, if there is one.
    pub kustomize: Option<Kustomize>,
}

/// A source's `helm` block.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Helm {
    /// `parameters`; `None` when the member is absent or null.
    pub parameters: Option<Vec<Parameter>>,
}

/// One Helm parameter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parameter {
    /// `name`.
    pub name: Box<str>,
    /// `value`.
    pub value: Box<str>,
    /// `forceString`.
    pub force_string: bool,
}

/// A source's `kustomize` block.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kustomize {
    /// `images`; `None` when the member is absent or null.
    pub images: Option<Vec<Box<str>>>,
}

/// A member of an object that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Path of the member, such as `spec.source.helm.parameters[2].name`.
    pub path: Box<str>,
    /// What was found and what was wanted, such as `found a number, expected a text`.
    pub detail: Box<str>,
}
