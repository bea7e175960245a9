//! The images of an application: those of its list, those that run, and which belong together
//! (`images.md` 3, 6).

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::annotation::{IMAGE_LIST, KUSTOMIZE_IMAGE_NAME, image_key};
use super::application::{ANNOTATION_PREFIX, Application, Problem};
use super::options;
use crate::image::{Image, ImageList, ImageListError, find_live};

/// Why an application has no image list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImageListProblem {
    /// The annotation is not there.
    Missing,
    /// The annotation was there, and could not be read from the object.
    Unreadable(Box<str>),
    /// The list exceeds a bound.
    Refused(ImageListError),
}

impl fmt::Display for ImageListProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "no {ANNOTATION_PREFIX}{IMAGE_LIST} annotation"),
            Self::Unreadable(detail) => write!(f, "{ANNOTATION_PREFIX}{IMAGE_LIST}: {detail}"),
            Self::Refused(error) => write!(f, "{ANNOTATION_PREFIX}{IMAGE_LIST}: {error}"),
        }
    }
}

impl core::error::Error for ImageListProblem {}

impl Application {
    /// True when the `image-list` annotation is there, readable or not.
    pub fn has_image_list(&self) -> bool {
        self.annotations.value(IMAGE_LIST).is_some() || self.image_list_problem().is_some()
    }

    /// The images of the `image-list` annotation with their Kustomize overrides (`images.md` 3).
    ///
    /// # Errors
    /// When the annotation is missing, was no text, or exceeds the bounds.
    pub fn image_list(&self) -> Result<ImageList, ImageListProblem> {
        let Some(text) = self.annotations.value(IMAGE_LIST) else {
            return Err(match self.image_list_problem() {
                Some(problem) => ImageListProblem::Unreadable(problem.detail.clone()),
                None => ImageListProblem::Missing,
            });
        };
        let override_of = |alias: &str| {
            self.annotations
                .value(&image_key(alias, KUSTOMIZE_IMAGE_NAME))
        };
        ImageList::parse(text, override_of).map_err(ImageListProblem::Refused)
    }

    fn image_list_problem(&self) -> Option<&Problem> {
        let path = format!("metadata.annotations[{ANNOTATION_PREFIX}{IMAGE_LIST}]");
        self.problems.iter().find(|problem| *problem.path == *path)
    }

    /// The running images in order, then the entries of `listed` that are forced and do not run, without their
    /// tag (`images.md` 6, D-59). One that only runs as its Kustomize override is added too: [`find_live`] finds
    /// the override first, and an entry given without it finds itself.
    pub fn live_images(&self, listed: &[Image]) -> Vec<Image> {
        let mut live: Vec<Image> = self.images.iter().map(|text| Image::parse(text)).collect();
        for entry in listed {
            let runs = live.iter().any(|image| image.is_same_repository(entry));
            if !runs && options::is_forced(&self.annotations, &entry.annotation_alias()) {
                live.push(Image {
                    tag: None,
                    ..entry.clone()
                });
            }
        }
        live
    }
}

/// The live images with the aliases of the list, for values files (`images.md` 6): the entry's alias, or its name
/// when it has none. Further aliases of one live image stand on copies at the end.
pub fn with_aliases(mut live: Vec<Image>, listed: &[Image]) -> Vec<Image> {
    for entry in listed {
        let Some(at) = find_live(&live, entry) else {
            continue;
        };
        let alias = if entry.alias.is_empty() {
            &entry.name
        } else {
            &entry.alias
        };
        if live[at].alias.is_empty() {
            live[at].alias.clone_from(alias);
        } else {
            let copy = Image {
                alias: alias.clone(),
                ..live[at].clone()
            };
            live.push(copy);
        }
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString as _};
    use serde_json::{Value, json};

    #[test]
    fn forced_entry_is_added_once_and_only_if_it_does_not_run() {
        let listed = "a=nginx:1.x, b=redis:7, b=redis:8";
        check(
            listed,
            &json!({"force-update": " true "}),
            &["nginx:1", "b=redis"],
        );
        check(
            listed,
            &json!({"b.force-update": "true"}),
            &["nginx:1", "b=redis"],
        );
        check(
            listed,
            &json!({"b.force-update": "no", "force-update": "true"}),
            &["nginx:1"],
        );
        check(listed, &json!({}), &["nginx:1"]);
    }

    #[test]
    fn forced_entry_is_added_beside_its_override() {
        let more = json!({"force-update": "true", "a.kustomize.image-name": "nginx"});
        check(
            "a=example.com/web:1.x",
            &more,
            &["nginx:1", "a=example.com/web"],
        );
    }

    #[test]
    fn unreadable_list_is_told_with_its_reason() {
        let app = application("x", &json!({}));
        assert!(app.image_list().is_ok());
        let app = application(&"x".repeat(1 << 20), &json!({}));
        let text = app.image_list().expect_err("it is too long").to_string();
        assert!(
            text.ends_with("found a text of 1048576 bytes, expected at most 65536"),
            "{text}"
        );
        let app = application(&"x,".repeat(2_000), &json!({}));
        assert!(matches!(
            app.image_list(),
            Err(ImageListProblem::Refused(_))
        ));
    }

    #[test]
    fn aliases_go_to_the_image_that_runs() {
        let app = application("foo=nginx, bar=nginx, redis, other=x", &json!({}));
        let listed = app.image_list().expect("a list").images;
        let live = [Image::parse("nginx:1"), Image::parse("redis:7")];
        let aliases: Vec<String> = with_aliases(live.into(), &listed)
            .into_iter()
            .map(|image| image.alias)
            .collect();
        assert_eq!(aliases, ["foo", "redis", "bar"]);
    }

    fn check(listed: &str, more: &Value, expect: &[&str]) {
        let app = application(listed, more);
        let listed = app.image_list().expect("a list").images;
        let live: Vec<String> = app
            .live_images(&listed)
            .iter()
            .map(Image::to_string)
            .collect();
        assert_eq!(live, expect);
    }

    fn application(listed: &str, more: &Value) -> Application {
        let mut annotations = serde_json::Map::new();
        annotations.insert(format!("{ANNOTATION_PREFIX}{IMAGE_LIST}"), json!(listed));
        for (key, value) in more.as_object().expect("an object") {
            annotations.insert(format!("{ANNOTATION_PREFIX}{key}"), value.clone());
        }
        let document = json!({
            "metadata": {"namespace": "n", "name": "a", "uid": "u", "annotations": annotations},
            "status": {"summary": {"images": ["nginx:1"]}},
        });
        serde_json::from_value(document).expect("an object is always read")
    }
}
