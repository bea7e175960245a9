//! From the JSON of an Application to the trimmed [`Application`].
//!
//! A member of a wrong type becomes a [`Problem`](super::Problem) of that application; the other members, and the other
//! applications of a list, are read as if nothing had happened.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::application::{ANNOTATION_PREFIX, Annotations, Application};
use super::shape::{Gaps, List, Notes, Shape, Step, Text, next_key, next_name};
use super::spec::Spec;
use crate::id::AppKey;

/// Longest value of an annotation.
pub const ANNOTATION_BYTES_MAX: usize = 64 * 1024;
/// Longest key of an annotation, without our prefix; Kubernetes allows 63.
pub const ANNOTATION_KEY_BYTES_MAX: usize = 253;
/// Annotations of ours on one object.
pub const ANNOTATIONS_MAX: usize = 2_000;
/// Longest name, path, address or image.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Longest value of a Helm parameter.
pub const PARAMETER_BYTES_MAX: usize = 64 * 1024;
/// Entries of `spec.sources` and of `status.sourceTypes`.
pub const SOURCES_MAX: usize = 200;
/// Helm parameters of one source.
pub const PARAMETERS_MAX: usize = 2_000;
/// Entries of `status.summary.images`, and of a source's `kustomize.images`.
pub const IMAGES_MAX: usize = 2_000;

/// Why no [`Application`] could be made of a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ObjectError {
    /// The document is no JSON object, or is nested too deeply; the text is the parser's.
    Json(Box<str>),
    /// These members are missing or no text, so that the object cannot be addressed.
    Unaddressable(Vec<&'static str>),
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(text) => write!(f, "not an application: {text}"),
            Self::Unaddressable(missing) => {
                write!(f, "not an application: {} missing", missing.join(", "))
            }
        }
    }
}

impl core::error::Error for ObjectError {}

impl Application {
    /// Reads one Application object.
    ///
    /// # Errors
    /// When the document is no JSON object, or lacks `metadata.namespace`, `metadata.name` or
    /// `metadata.uid`. Anything else that is wrong with it is in [`Application::problems`].
    pub fn from_json(document: &[u8]) -> Result<Self, ObjectError> {
        let app: Self = serde_json::from_slice(document)
            .map_err(|error| ObjectError::Json(error.to_string().into_boxed_str()))?;
        let missing = app.missing_identity();
        if missing.is_empty() {
            Ok(app)
        } else {
            Err(ObjectError::Unaddressable(missing))
        }
    }

    /// True when the object has a namespace, a name and a UID. An object without them is only met
    /// through [`Deserialize`], which must not fail a list because of one element.
    pub fn is_addressable(&self) -> bool {
        self.missing_identity().is_empty()
    }

    fn missing_identity(&self) -> Vec<&'static str> {
        [
            (&self.key.namespace, "metadata.namespace"),
            (&self.key.name, "metadata.name"),
            (&self.uid, "metadata.uid"),
        ]
        .into_iter()
        .filter(|(text, _)| text.is_empty())
        .map(|(_, path)| path)
        .collect()
    }
}

/// Never fails on a JSON object: what is wrong, a missing name included, is noted in
/// [`Application::problems`].
impl<'de> Deserialize<'de> for Application {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Document)
    }
}

struct Document;

impl<'de> Visitor<'de> for Document {
    type Value = Application;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an Application object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Application, A::Error> {
        let mut notes = Notes::new();
        let mut metadata = None;
        let mut spec = None;
        let mut status = None;
        while let Some(name) = next_name(&mut map, &["metadata", "spec", "status"])? {
            let step = Step::Member(name);
            match name {
                "metadata" => metadata = notes.member(&mut map, step, Metadata)?,
                "spec" => spec = notes.member(&mut map, step, Spec)?,
                _ => status = notes.member(&mut map, step, Status)?,
            }
        }
        let metadata = metadata.unwrap_or_default();
        for (name, text) in [
            ("namespace", &metadata.namespace),
            ("name", &metadata.name),
            ("uid", &metadata.uid),
        ] {
            if text.is_empty() {
                notes.add_at(&["metadata", name], "found nothing, expected a text");
            }
        }
        let status = status.unwrap_or_default();
        let spec = spec.unwrap_or_default();
        Ok(Application {
            key: AppKey::new(metadata.namespace, metadata.name),
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            annotations: metadata.annotations,
            sources: spec.sources,
            project: spec.project,
            source_type: status.source_type,
            source_types: status.source_types.into_boxed_slice(),
            images: status.images.into_boxed_slice(),
            problems: notes.into_problems(),
        })
    }
}

/// A name, path, address or image.
pub(super) const TEXT: Text = Text {
    bytes_max: TEXT_BYTES_MAX,
};

pub(super) const IMAGES: List<Text> = List {
    element: TEXT,
    items_max: IMAGES_MAX,
    gaps: Gaps::Closed,
};

struct Metadata;

#[derive(Default)]
struct MetadataValue {
    namespace: Box<str>,
    name: Box<str>,
    uid: Box<str>,
    resource_version: Box<str>,
    annotations: Annotations,
}

impl<'de> Shape<'de> for Metadata {
    type Value = MetadataValue;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<MetadataValue>, A::Error> {
        let mut value = MetadataValue::default();
        let names = &["namespace", "name", "uid", "resourceVersion", "annotations"];
        while let Some(name) = next_name(&mut map, names)? {
            let step = Step::Member(name);
            if name == "annotations" {
                let read = notes.member(&mut map, step, AnnotationMap)?;
                value.annotations = read.unwrap_or_default();
                continue;
            }
            let text = notes.member(&mut map, step, TEXT)?.unwrap_or_default();
            match name {
                "namespace" => value.namespace = text,
                "name" => value.name = text,
                "uid" => value.uid = text,
                _ => value.resource_version = text,
            }
        }
        Ok(Some(value))
    }
}

struct AnnotationMap;

impl<'de> Shape<'de> for AnnotationMap {
    type Value = Annotations;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<Annotations>, A::Error> {
        let mut kept: Vec<(String, Box<str>)> = Vec::new();
        while let Some(key) = next_key(&mut map, ANNOTATION_PREFIX)? {
            if kept.len() >= ANNOTATIONS_MAX {
                notes.add(format!("found more than {ANNOTATIONS_MAX} annotations"));
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                break;
            }
            if notes.take_text(&key, ANNOTATION_KEY_BYTES_MAX).is_none() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let step = Step::Key(format!("{ANNOTATION_PREFIX}{key}").into_boxed_str());
            let shape = Text {
                bytes_max: ANNOTATION_BYTES_MAX,
            };
            if let Some(text) = notes.member(&mut map, step, shape)? {
                kept.push((key, text));
            }
        }
        Ok(Some(Annotations::from_bare_pairs(kept)))
    }
}

struct Status;

#[derive(Default)]
struct StatusValue {
    source_type: Box<str>,
    source_types: Vec<Box<str>>,
    images: Vec<Box<str>>,
}

impl<'de> Shape<'de> for Status {
    type Value = StatusValue;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<StatusValue>, A::Error> {
        const TYPES: List<Text> = List {
            element: TEXT,
            items_max: SOURCES_MAX,
            gaps: Gaps::Kept,
        };
        let mut status = StatusValue::default();
        while let Some(name) = next_name(&mut map, &["sourceType", "sourceTypes", "summary"])? {
            let step = Step::Member(name);
            match name {
                "sourceType" => {
                    status.source_type = notes.member(&mut map, step, TEXT)?.unwrap_or_default();
                }
                "sourceTypes" => {
                    status.source_types = notes.member(&mut map, step, TYPES)?.unwrap_or_default();
                }
                _ => status.images = notes.member(&mut map, step, Summary)?.unwrap_or_default(),
            }
        }
        Ok(Some(status))
    }
}

/// `status.summary`, of which only the images are read.
struct Summary;

impl<'de> Shape<'de> for Summary {
    type Value = Vec<Box<str>>;
    const WANTED: &'static str = "an object";

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut map: A,
    ) -> Result<Option<Vec<Box<str>>>, A::Error> {
        let mut images = None;
        while let Some(name) = next_name(&mut map, &["images"])? {
            images = notes.member(&mut map, Step::Member(name), IMAGES)?;
        }
        Ok(images)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::application::Helm;
    use super::super::shape::{KEPT_BYTES_MAX, PROBLEMS_MAX};
    use super::*;
    use crate::app::Sources;
    use alloc::vec;
    use serde_json::{Value, json};

    #[test]
    fn object_is_trimmed_to_what_is_read() {
        let app = read(&real());
        assert_eq!(app.key, AppKey::new("argocd", "web"));
        assert_eq!(&*app.uid, "0a1b");
        assert_eq!(&*app.resource_version, "77");
        assert_eq!(app.annotations.value("image-list"), Some("web=nginx:1.x"));
        assert_eq!(app.annotations.iter().count(), 2);
        let Sources::Multiple(sources) = &app.sources else {
            panic!("expected several sources");
        };
        assert_eq!(&*sources[0].repo_url, "https://git.example/a");
        let parameters = sources[0]
            .helm
            .as_ref()
            .and_then(|helm| helm.parameters.as_ref());
        let parameters = parameters.expect("parameters are there");
        assert_eq!(&*parameters[1].value, "2");
        assert!(parameters[1].force_string);
        let images = sources[1]
            .kustomize
            .as_ref()
            .and_then(|block| block.images.as_ref());
        assert_eq!(images.map(Vec::len), Some(1));
        assert_eq!(app.source_types.len(), 2);
        assert_eq!(app.images.len(), 2);
        assert!(app.problems.is_empty());
    }

    #[test]
    fn typical_record_is_small() {
        let app = read(&json!({
            "metadata": {"name": "guestbook-prod", "namespace": "argocd", "resourceVersion": "123456789",
                "uid": "5f4dcc3b-5aa7-65d6-1d83-27deb882cf99",
                "annotations": {
                    "argocd-image-updater.argoproj.io/image-list": "web=ghcr.io/team/web:1.x, api=ghcr.io/team/api:1.x",
                    "argocd-image-updater.argoproj.io/web.helm.image-name": "web.image.name",
                    "argocd-image-updater.argoproj.io/web.helm.image-tag": "web.image.tag",
                    "argocd-image-updater.argoproj.io/api.helm.image-spec": "api.image"}},
            "spec": {"source": {"repoURL": "https://github.com/team/deploy.git", "path": "charts/guestbook",
                "targetRevision": "main", "helm": {"parameters": [
                    {"name": "web.image.name", "value": "ghcr.io/team/web", "forceString": true},
                    {"name": "web.image.tag", "value": "1.4.2", "forceString": true}]}}},
            "status": {"sourceType": "Helm", "summary": {"images": ["ghcr.io/team/web:1.4.2", "ghcr.io/team/api:1.0.9"]}}
        }));
        let bytes = size_of::<Application>() + app.heap_bytes();
        assert!(bytes <= 900, "{bytes} bytes");
    }

    #[test]
    fn wrong_types_are_noted_and_the_rest_stands() {
        let mut object = real();
        object["metadata"]["annotations"]["argocd-image-updater.argoproj.io/image-list"] = json!(5);
        object["spec"]["sources"][0]["helm"]["parameters"][1]["name"] = json!([1]);
        object["spec"]["sources"][1] = json!("text");
        object["status"]["sourceTypes"] = json!({});
        object["status"]["summary"]["images"][0] = json!(true);
        let app = read(&object);
        let problems: Vec<String> = app
            .problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.detail))
            .collect();
        let expect = [
            "metadata.annotations[argocd-image-updater.argoproj.io/image-list]: \
             found a number, expected a text",
            "spec.sources[0].helm.parameters[1].name: found a list, expected a text",
            "spec.sources[1]: found a text, expected an object",
            "status.sourceTypes: found an object, expected a list",
            "status.summary.images[0]: found true or false, expected a text",
        ];
        for line in expect {
            assert!(
                problems.iter().any(|problem| problem == line),
                "{line} in {problems:?}"
            );
        }
        assert_eq!(problems.len(), expect.len());
        assert!(matches!(&app.sources, Sources::Multiple(sources) if sources.len() == 2));
        assert_eq!(app.images.len(), 1);
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let app = read(&json!({
            "metadata": {"namespace": "n", "name": "a", "uid": "u", "annotations": null},
            "spec": {"source": {"helm": {"parameters": null}}, "sources": null, "sourceHydrator": null},
            "status": null
        }));
        assert!(app.problems.is_empty());
        assert!(
            matches!(&app.sources, Sources::Single(source) if source.helm == Some(Helm::default()))
        );
    }

    #[test]
    fn application_without_source_is_read() {
        let app = read(&json!({"metadata": {"namespace": "n", "name": "a", "uid": "u"}}));
        assert_eq!(app.sources, Sources::None);
        assert!(app.problems.is_empty());
    }

    #[test]
    fn hydrator_goes_before_sources() {
        let app = read(&json!({
            "metadata": {"namespace": "n", "name": "a", "uid": "u"},
            "spec": {"sources": [{}], "sourceHydrator": {"drySource": {"repoURL": "r", "path": "p"}}}
        }));
        assert!(matches!(&app.sources, Sources::Hydrated(dry) if &*dry.repo_url == "r"));
    }

    #[test]
    fn missing_identity_is_named() {
        let error = Application::from_json(br#"{"metadata": {"name": "a", "uid": 7}}"#);
        let missing = vec!["metadata.namespace", "metadata.uid"];
        assert_eq!(error, Err(ObjectError::Unaddressable(missing)));
        let list: Vec<Application> = serde_json::from_str(r#"[{"metadata": 5}, {}]"#)
            .expect("a list is never failed by one");
        assert!(!list[0].is_addressable());
        assert_eq!(list[1].problems.len(), 3);
    }

    #[test]
    fn deep_documents_are_refused_or_skipped() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let error = Application::from_json(deep.as_bytes());
        assert!(matches!(error, Err(ObjectError::Json(_))), "{error:?}");
        let inside = format!(
            r#"{{"metadata": {{"namespace": "n", "name": "a", "uid": "u"}},
                "spec": {{"unknown": {deep}, "sources": {deep}}}}}"#
        );
        let app = Application::from_json(inside.as_bytes()).expect("what is not wanted is skipped");
        assert_eq!(app.problems.len(), 1);
        let open = "{\"spec\":".repeat(10_000);
        assert!(Application::from_json(open.as_bytes()).is_err());
    }

    #[test]
    fn megabyte_annotation_is_left_out() {
        let mut object = real();
        let key = "argocd-image-updater.argoproj.io/image-list";
        object["metadata"]["annotations"][key] = json!("a".repeat(1 << 20));
        object["metadata"]["annotations"]
            [format!("argocd-image-updater.argoproj.io/{}", "k".repeat(1_000))] = json!("x");
        let app = read(&object);
        assert_eq!(app.annotations.value("image-list"), None);
        assert_eq!(app.problems.len(), 2);
        assert!(app.heap_bytes() < 4_096);
    }

    #[test]
    fn text_lists_and_problems_are_bounded() {
        let mut object = real();
        object["status"]["summary"]["images"] = (0..IMAGES_MAX + 5)
            .map(|n| json!(format!("i{n}")))
            .collect();
        let app = read(&object);
        assert_eq!(app.images.len(), IMAGES_MAX);
        assert_eq!(&*app.problems[0].detail, "found more than 2000 elements");

        object["status"]["summary"]["images"] =
            (0..1_000).map(|_| json!("i".repeat(4_000))).collect();
        let app = read(&object);
        assert!(app.heap_bytes() < KEPT_BYTES_MAX + 64 * 1024);
        assert_eq!(app.problems.len(), PROBLEMS_MAX + 1);
    }

    #[test]
    fn elements_count_against_the_room_of_an_object() {
        let helm = json!({"helm": {"parameters": vec![json!({}); PARAMETERS_MAX]}});
        let mut object = real();
        object["spec"]["sources"] = json!(vec![helm; SOURCES_MAX]);
        let app = read(&object);
        assert!(
            app.heap_bytes() < 2 * KEPT_BYTES_MAX,
            "{}",
            app.heap_bytes()
        );
        assert!(app.images.len() <= 2);
    }

    pub(in super::super) fn read(object: &Value) -> Application {
        Application::from_json(object.to_string().as_bytes()).expect("the object is addressable")
    }

    /// An object with every member that is read; the unread ones are `managedFields` and `x`.
    pub(in super::super) fn real() -> Value {
        json!({
            "metadata": {
                "name": "web", "namespace": "argocd", "uid": "0a1b", "resourceVersion": "77",
                "annotations": {
                    "argocd-image-updater.argoproj.io/image-list": "web=nginx:1.x",
                    "argocd-image-updater.argoproj.io/web.update-strategy": "semver",
                },
            },
            "spec": {"sources": [
                {"repoURL": "https://git.example/a", "path": "p", "targetRevision": "main",
                 "helm": {"parameters": [
                    {"name": "a", "value": "1", "forceString": false},
                    {"name": "b", "value": "2", "forceString": true}]}},
                {"repoURL": "https://git.example/b", "kustomize": {"images": ["nginx:1.2"]}}]},
            "status": {"sourceType": "Helm", "sourceTypes": ["Helm", "Kustomize"],
                "summary": {"images": ["nginx:1.1", "redis:7"]}},
        })
    }
}
