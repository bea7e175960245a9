//! What an Argo CD Application is to us: the trimmed record, its annotations, sources and images.

pub mod application;

pub use application::{
    Annotations, Application, Helm, Kustomize, Parameter, Problem, Source, Sources,
};
