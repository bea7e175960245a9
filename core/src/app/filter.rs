//! Which applications are considered, and why the others are not (`images.md` 5.2, `ops.md` 13.3).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::annotation::IMAGE_LIST;
use super::application::Application;
use super::source::SourceKind;
use crate::id::AppKey;
use crate::image::Glob;

/// The patterns of `--match-application-name`; none match every name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NamePatterns {
    globs: Vec<Glob>,
    malformed: Vec<Box<str>>,
}

impl NamePatterns {
    /// Reads patterns. A malformed one matches nothing and is told by [`Self::malformed`].
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut read = Self::default();
        for pattern in patterns {
            match Glob::parse(pattern) {
                Ok(glob) => read.globs.push(glob),
                Err(_) => read.malformed.push(pattern.into()),
            }
        }
        read
    }

    /// True when there is no pattern, or one of them matches the whole bare name.
    pub fn is_match(&self, name: &str) -> bool {
        (self.globs.is_empty() && self.malformed.is_empty())
            || self.globs.iter().any(|glob| glob.is_match(name))
    }

    /// The malformed patterns, for a warning.
    pub fn malformed(&self) -> impl Iterator<Item = &str> {
        self.malformed.iter().map(|pattern| &**pattern)
    }
}

/// What the filter says of an application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It takes part.
    Considered,
    /// It does not.
    Ignored(IgnoreReason),
}

/// Why an application does not take part; the first reason that holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum IgnoreReason {
    /// It has no `image-list` annotation: it is not meant for us.
    NoImageList,
    /// Its effective source type, told here, is neither Helm nor Kustomize; worth a warning, once.
    UnsupportedType(Box<str>),
    /// Its name matches none of the patterns.
    NameNotMatched,
}

impl fmt::Display for IgnoreReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImageList => write!(f, "no {IMAGE_LIST} annotation"),
            Self::UnsupportedType(found) if found.is_empty() => {
                f.write_str("source type not known yet, expected Helm or Kustomize")
            }
            Self::UnsupportedType(found) => {
                write!(f, "source type {found}, expected Helm or Kustomize")
            }
            Self::NameNotMatched => f.write_str("name matches no --match-application-name"),
        }
    }
}

impl Application {
    /// Whether it takes part (`images.md` 5.2). An image list that could not be read counts as one, so that its
    /// problem is reported instead of passed over.
    pub fn admission(&self, patterns: &NamePatterns) -> Admission {
        if !self.has_image_list() {
            return Admission::Ignored(IgnoreReason::NoImageList);
        }
        match self.source_kind() {
            SourceKind::Helm | SourceKind::Kustomize => {}
            SourceKind::Unsupported => {
                let found = self.effective_source_type().into();
                return Admission::Ignored(IgnoreReason::UnsupportedType(found));
            }
        }
        if patterns.is_match(&self.key.name) {
            Admission::Considered
        } else {
            Admission::Ignored(IgnoreReason::NameNotMatched)
        }
    }
}

/// Why no single application has a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LookupError {
    /// None has it.
    NotFound,
    /// Several namespaces have one.
    Ambiguous,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "application not found",
            Self::Ambiguous => "several applications of that name, name the namespace too",
        })
    }
}

impl core::error::Error for LookupError {}

/// The one key with that exact name, in `namespace` or else in any (`images.md` 5.5, D-43).
///
/// # Errors
/// When there is none or, without a namespace, more than one.
pub fn find_by_name<'k>(
    keys: impl IntoIterator<Item = &'k AppKey>,
    name: &str,
    namespace: Option<&str>,
) -> Result<&'k AppKey, LookupError> {
    let mut found = keys.into_iter().filter(|key| {
        *key.name == *name && namespace.is_none_or(|namespace| *key.namespace == *namespace)
    });
    match (found.next(), found.next()) {
        (None, _) => Err(LookupError::NotFound),
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(LookupError::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn first_reason_that_holds_is_told() {
        check(&json!({}), "Directory", &Err(IgnoreReason::NoImageList));
        check(&list(""), "Helm", &Ok(()));
        check(
            &list("nginx"),
            "",
            &Err(IgnoreReason::UnsupportedType("".into())),
        );
        check(
            &list("nginx"),
            "Plugin",
            &Err(IgnoreReason::UnsupportedType("Plugin".into())),
        );
        let app = application(&list("nginx"), "Helm");
        let other = NamePatterns::parse(["other", "["]);
        assert_eq!(
            app.admission(&other),
            Admission::Ignored(IgnoreReason::NameNotMatched)
        );
        assert_eq!(other.malformed().count(), 1);
    }

    #[test]
    fn unreadable_image_list_is_considered() {
        let key = "argocd-image-updater.argoproj.io/image-list";
        check(&json!({key: 5}), "Helm", &Ok(()));
        check(&list(&"a".repeat(1 << 20)), "Helm", &Ok(()));
        check(
            &json!({"argocd-image-updater.argoproj.io/platforms": 5}),
            "Helm",
            &Err(IgnoreReason::NoImageList),
        );
    }

    #[test]
    fn only_malformed_patterns_match_nothing() {
        assert!(NamePatterns::parse([]).is_match("a"));
        assert!(!NamePatterns::parse(["["]).is_match("a"));
        assert!(!NamePatterns::parse([""]).is_match("a"));
    }

    #[test]
    fn name_in_two_namespaces_needs_the_namespace() {
        let keys = [
            AppKey::new("a", "x"),
            AppKey::new("b", "x"),
            AppKey::new("b", "y*"),
        ];
        assert_eq!(find_by_name(&keys, "x", None), Err(LookupError::Ambiguous));
        assert_eq!(find_by_name(&keys, "x", Some("b")), Ok(&keys[1]));
        assert_eq!(find_by_name(&keys, "y*", None), Ok(&keys[2]));
        assert_eq!(find_by_name(&keys, "*", None), Err(LookupError::NotFound));
    }

    fn check(annotations: &Value, source_type: &str, expect: &Result<(), IgnoreReason>) {
        let got = match application(annotations, source_type).admission(&NamePatterns::default()) {
            Admission::Considered => Ok(()),
            Admission::Ignored(reason) => Err(reason),
        };
        assert_eq!(&got, expect);
    }

    fn list(text: &str) -> Value {
        json!({"argocd-image-updater.argoproj.io/image-list": text})
    }

    fn application(annotations: &Value, source_type: &str) -> Application {
        let document = json!({
            "metadata": {"namespace": "n", "name": "a", "uid": "u", "annotations": annotations},
            "spec": {"source": {}}, "status": {"sourceType": source_type},
        });
        serde_json::from_value(document).expect("an object is always read")
    }
}
