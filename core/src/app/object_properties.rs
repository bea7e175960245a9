//! Property tests of reading objects: whatever is wrong with one member, the others are read.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::application::{ANNOTATION_PREFIX, Application, Source, Sources};
use super::object::tests::{read, real};
use crate::fixed_cases::{CASES, config};

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn any_document_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        drop(Application::from_json(&bytes));
    }

    #[test]
    fn one_wrong_member_spoils_nothing_else(place in any::<prop::sample::Index>(), wrong in json_value()) {
        let mut object = real();
        let paths = leaves(&object);
        let path = &paths[place.index(paths.len())];
        let member = object.pointer_mut(path).expect("the path was taken from the object");
        *member = wrong;
        let spoilt: Application =
            serde_json::from_value(object.clone()).expect("an object is always read");
        let again: Application = serde_json::from_str(&object.to_string()).expect("and as text");
        prop_assert_eq!(&spoilt, &again);
        let whole = read(&real());
        if !path.starts_with("/metadata") {
            prop_assert_eq!(&spoilt.annotations, &whole.annotations);
            prop_assert_eq!(&spoilt.key, &whole.key);
        }
        if !path.starts_with("/spec") {
            prop_assert_eq!(&spoilt.sources, &whole.sources);
        }
        if !path.starts_with("/status") {
            prop_assert_eq!(&spoilt.images, &whole.images);
        }
    }

    #[test]
    fn number_instead_of_any_member_is_noted(place in any::<prop::sample::Index>()) {
        let mut object = real();
        let paths = leaves(&object);
        let path = &paths[place.index(paths.len())];
        let member = object.pointer_mut(path).expect("the path was taken from the object");
        *member = json!(-1.5);
        let app: Application = serde_json::from_value(object).expect("an object is always read");
        prop_assert!(!app.problems.is_empty(), "{}", path);
    }

    #[test]
    fn what_was_read_reads_the_same_again(object in mutated()) {
        let app: Application = serde_json::from_value(object).expect("an object is always read");
        let mut again: Application =
            serde_json::from_value(written(&app)).expect("an object is always read");
        again.problems.clone_from(&app.problems);
        prop_assert_eq!(again, app);
    }
}

/// JSON pointers of all members of `value`, itself excepted.
fn leaves(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), value)];
    while let Some((path, value)) = open.pop() {
        let mut inner: Vec<(String, &Value)> = match value {
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (format!("{path}/{}", key.replace('/', "~1")), value))
                .collect(),
            Value::Array(list) => list
                .iter()
                .enumerate()
                .map(|(index, value)| (format!("{path}/{index}"), value))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        found.extend(inner.iter().map(|(path, _)| path.clone()));
        open.append(&mut inner);
    }
    found
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop::sample::select(vec!["name", "value", "images", "helm", "parameters", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (String::from(name), value))
                    .collect()
            }),
        ]
    })
}

fn mutated() -> impl Strategy<Value = Value> {
    prop::collection::vec((any::<prop::sample::Index>(), json_value()), 0..4).prop_map(|changes| {
        let mut object = real();
        for (place, value) in changes {
            let paths = leaves(&object);
            if paths.is_empty() {
                break;
            }
            let path = &paths[place.index(paths.len())];
            *object
                .pointer_mut(path)
                .expect("the path was taken from the object") = value;
        }
        object
    })
}

/// The record as an object again.
fn written(app: &Application) -> Value {
    let annotations: serde_json::Map<String, Value> = app
        .annotations
        .iter()
        .map(|(key, value)| (format!("{ANNOTATION_PREFIX}{key}"), json!(value)))
        .collect();
    let mut spec = match &app.sources {
        Sources::None => json!({}),
        Sources::Single(source) => json!({"source": source_value(source)}),
        Sources::Multiple(sources) => {
            json!({"sources": sources.iter().map(source_value).collect::<Vec<_>>()})
        }
        Sources::Hydrated(dry) => json!({"sourceHydrator": {"drySource": source_value(dry)}}),
    };
    spec["project"] = json!(app.project);
    json!({
        "metadata": {"namespace": app.key.namespace, "name": app.key.name, "uid": app.uid,
            "resourceVersion": app.resource_version, "annotations": annotations},
        "spec": spec,
        "status": {"sourceType": app.source_type, "sourceTypes": app.source_types,
            "summary": {"images": app.images}},
    })
}

fn source_value(source: &Source) -> Value {
    let helm = source.helm.as_ref().map(|helm| {
        json!({"parameters": helm.parameters.as_ref().map(|parameters| parameters.iter()
            .map(|one| json!({"name": one.name, "value": one.value, "forceString": one.force_string}))
            .collect::<Vec<_>>())})
    });
    let kustomize = source
        .kustomize
        .as_ref()
        .map(|block| json!({"images": block.images}));
    json!({"repoURL": source.repo_url, "path": source.path,
        "targetRevision": source.target_revision, "helm": helm, "kustomize": kustomize})
}
