//! What an Argo CD Application is to us: the trimmed record, its annotations, sources and images.

pub mod annotation;
pub mod application;
pub mod filter;
pub mod live;
pub mod method;
pub mod object;
#[cfg(test)]
mod object_properties;
pub mod options;
pub mod selector;
mod shape;
pub mod source;
mod spec;

pub use annotation::{UnknownKey, unknown_keys};
pub use application::{
    Annotations, Application, Helm, Kustomize, Parameter, Problem, Source, Sources,
};
pub use filter::{Admission, IgnoreReason, LookupError, NamePatterns, find_by_name};
pub use live::{ImageListProblem, with_aliases};
pub use method::{GitCredentials, WriteBackMethod, WriteBackMethodError};
pub use object::ObjectError;
pub use options::{HelmNames, HelmOptions, ImageOptions, Remark, RemarkWeight};
pub use selector::{LabelSelector, SelectorError, SelectorReason};
pub use shape::{KEPT_BYTES_MAX, PROBLEMS_MAX};
pub use source::{SelectedSource, SourceKind, SourcePlace};
