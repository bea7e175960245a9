//! The shape of an Application's `spec`: its sources with their Helm and Kustomize blocks.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::de::MapAccess;

use super::application::{Helm, Kustomize, Parameter, Source, Sources};
use super::object::{IMAGES, PARAMETER_BYTES_MAX, PARAMETERS_MAX, SOURCES_MAX, TEXT};
use super::shape::{Gaps, List, Notes, Shape, Step, Text, Truth, next_name};

/// `spec`, of which the sources and the project are read.
pub(super) struct Spec;

#[derive(Default)]
pub(super) struct SpecValue {
    pub(super) sources: Sources,
    pub(super) project: Box<str>,
}

impl<'de> Shape<'de> for Spec {
    type Value = SpecValue;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<SpecValue>, A::Error> {
        const SOURCES: List<SourceShape> = List {
            element: SourceShape,
            items_max: SOURCES_MAX,
            gaps: Gaps::Kept,
        };
        let mut single = None;
        let mut listed: Option<Vec<Source>> = None;
        let mut hydrator = None;
        let mut project = None;
        let names = &["source", "sources", "sourceHydrator", "project"];
        while let Some(name) = next_name(&mut map, names)? {
            let step = Step::Member(name);
            match name {
                "source" => single = notes.member(&mut map, step, SourceShape)?,
                "sources" => listed = notes.member(&mut map, step, SOURCES)?,
                "project" => project = notes.member(&mut map, step, TEXT)?,
                _ => hydrator = notes.member(&mut map, step, Hydrator)?,
            }
        }
        let listed = listed.filter(|sources| !sources.is_empty());
        // With a hydrator an application is not multi-source, whatever else it has (`images.md` 5.3).
        let sources = match (hydrator, listed, single) {
            (Some(dry), _, _) => Sources::Hydrated(dry),
            (None, Some(listed), _) => Sources::Multiple(listed.into_boxed_slice()),
            (None, None, Some(single)) => Sources::Single(single),
            (None, None, None) => Sources::None,
        };
        Ok(Some(SpecValue {
            sources,
            project: project.unwrap_or_default(),
        }))
    }
}

/// `spec.sourceHydrator`, of which only the dry source is read.
struct Hydrator;

impl<'de> Shape<'de> for Hydrator {
    type Value = Source;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<Source>, A::Error> {
        let mut dry = None;
        while let Some(name) = next_name(&mut map, &["drySource"])? {
            dry = notes.member(&mut map, Step::Member(name), SourceShape)?;
        }
        Ok(Some(dry.unwrap_or_default()))
    }
}

#[derive(Clone, Copy)]
struct SourceShape;

impl<'de> Shape<'de> for SourceShape {
    type Value = Source;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<Source>, A::Error> {
        let mut source = Source::default();
        let names = &["repoURL", "path", "targetRevision", "helm", "kustomize"];
        while let Some(name) = next_name(&mut map, names)? {
            let step = Step::Member(name);
            match name {
                "helm" => source.helm = notes.member(&mut map, step, HelmShape)?,
                "kustomize" => source.kustomize = notes.member(&mut map, step, KustomizeShape)?,
                _ => {
                    let text = notes.member(&mut map, step, TEXT)?.unwrap_or_default();
                    match name {
                        "repoURL" => source.repo_url = text,
                        "path" => source.path = text,
                        _ => source.target_revision = text,
                    }
                }
            }
        }
        Ok(Some(source))
    }
}

struct HelmShape;

impl<'de> Shape<'de> for HelmShape {
    type Value = Helm;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<Helm>, A::Error> {
        const PARAMETERS: List<ParameterShape> = List {
            element: ParameterShape,
            items_max: PARAMETERS_MAX,
            gaps: Gaps::Closed,
        };
        let mut helm = Helm::default();
        while let Some(name) = next_name(&mut map, &["parameters"])? {
            helm.parameters = notes.member(&mut map, Step::Member(name), PARAMETERS)?;
        }
        Ok(Some(helm))
    }
}

#[derive(Clone, Copy)]
struct ParameterShape;

impl<'de> Shape<'de> for ParameterShape {
    type Value = Parameter;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<Parameter>, A::Error> {
        const VALUE: Text = Text {
            bytes_max: PARAMETER_BYTES_MAX,
        };
        let mut parameter = Parameter::default();
        while let Some(name) = next_name(&mut map, &["name", "value", "forceString"])? {
            let step = Step::Member(name);
            match name {
                "name" => {
                    parameter.name = notes.member(&mut map, step, TEXT)?.unwrap_or_default();
                }
                "value" => {
                    parameter.value = notes.member(&mut map, step, VALUE)?.unwrap_or_default();
                }
                _ => {
                    parameter.force_string =
                        notes.member(&mut map, step, Truth)?.unwrap_or_default();
                }
            }
        }
        Ok(Some(parameter))
    }
}

struct KustomizeShape;

impl<'de> Shape<'de> for KustomizeShape {
    type Value = Kustomize;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<Kustomize>, A::Error> {
        let mut kustomize = Kustomize::default();
        while let Some(name) = next_name(&mut map, &["images"])? {
            kustomize.images = notes.member(&mut map, Step::Member(name), IMAGES)?;
        }
        Ok(Some(kustomize))
    }
}
