//! One Application from its JSON, whatever else is in it.
//!
//! An object that the core's lenient reader cannot take at all (nested beyond every limit) still
//! exists, and must not be taken for deleted: it comes through with its identity and the problem.

use image_updater_core::app::{Annotations, Application, Problem, Sources};
use image_updater_core::id::AppKey;
use serde::Deserialize;

use crate::http::redact::one_line;

/// The Application in `json`; `None` when it has no identity, which no API server sends.
pub(super) fn read_application(json: &[u8]) -> Option<Application> {
    match serde_json::from_slice::<Application>(json) {
        Ok(app) => app.is_addressable().then_some(app),
        Err(error) => {
            let Bare { metadata } = serde_json::from_slice(json).ok()?;
            let app = Application {
                key: AppKey::new(metadata.namespace, metadata.name),
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                annotations: Annotations::default(),
                sources: Sources::None,
                project: Box::default(),
                source_type: Box::default(),
                source_types: Box::default(),
                images: Box::default(),
                problems: Box::new([Problem {
                    path: Box::default(),
                    detail: one_line(&error.to_string(), 200).into(),
                }]),
            };
            app.is_addressable().then_some(app)
        }
    }
}

#[derive(Deserialize)]
struct Bare {
    metadata: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    namespace: Box<str>,
    name: Box<str>,
    uid: Box<str>,
    resource_version: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str =
        r#""metadata":{"namespace":"argocd","name":"web","uid":"u","resourceVersion":"5"}"#;

    #[test]
    fn object_nested_beyond_every_limit_keeps_its_identity() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for json in [
            format!("{{{METADATA},\"spec\":{{\"source\":{deep}}}}}"),
            format!("{{{METADATA},\"spec\":{{\"other\":{deep}}}}}"),
            format!("{{{METADATA},\"status\":{{\"summary\":{{\"images\":[{deep}]}}}}}}"),
        ] {
            let app = read_application(json.as_bytes()).expect("it has an identity");
            assert_eq!(app.key, AppKey::new("argocd", "web"));
        }
    }

    #[test]
    fn what_has_no_identity_is_no_application() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"metadata":{"name":"web"}}"#,
            "{\"metadata\":",
        ] {
            assert_eq!(read_application(json.as_bytes()), None, "{json}");
        }
    }
}
