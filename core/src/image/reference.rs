//! Image identifiers: `[alias=]reference[:tag-or-constraint][@digest]` (`images.md` 2).
//!
//! Parsing never fails and there is one normalisation for plain tags and for constraints, so that adding
//! an operator to a constraint never makes it another image (D-02 to D-05, D-07).
//! What can be parsed but names no image is told by [`Image::defect`].

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use core::fmt;

use super::name;

/// The registry that is meant when none is written.
const DOCKER_HUB: &str = "docker.io";
/// Another host name of Docker Hub; reads as if no registry were written.
const DOCKER_HUB_INDEX: &str = "index.docker.io";
/// The namespace of Docker Hub's official images.
const OFFICIAL: &str = "library/";

/// A tag as written, or as chosen: a name, a digest, or both (`images.md` 1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tag {
    /// The tag's name; empty when only a digest is known. For list entries, the constraint.
    pub name: String,
    /// `algorithm:hex`; empty when unknown.
    pub digest: String,
}

impl Tag {
    /// A tag known by its name only.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            digest: String::new(),
        }
    }

    /// True when the digest is known (`images.md` 1).
    pub fn is_digest(&self) -> bool {
        !self.digest.is_empty()
    }

    /// True when both mean the same content: by digest where both know it, else by name (`images.md` 1, D-30).
    ///
    /// A digest that only one side knows does not make them different.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let digests_decide = self.is_digest() && other.is_digest();
        let names_unknown = self.name.is_empty() && other.name.is_empty();
        if digests_decide || names_unknown {
            self.digest == other.digest
        } else {
            self.name == other.name
        }
    }
}

/// The digest where there is one, else the name.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_digest() {
            &self.digest
        } else {
            &self.name
        })
    }
}

/// An image as an identifier names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Image {
    /// Symbolic name used inside annotation keys; empty when none was given.
    pub alias: String,
    /// Registry host; empty when none was written.
    pub registry: String,
    /// Path without the registry.
    pub name: String,
    /// Tag, digest or constraint; absent when none was written.
    pub tag: Option<Tag>,
    /// The image that this one replaces in Kustomize, from `<alias>.kustomize.image-name`.
    pub kustomize_image: Option<Box<Image>>,
    /// The text it was parsed from.
    pub original: String,
}

/// Why a text that was parsed names no image (`images.md` 13, D-06).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ImageDefect {
    /// Nothing is left for the image's name.
    NoName,
    /// The text is a URL; identifiers have no scheme.
    Url,
}

impl fmt::Display for ImageDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoName => "the image has no name",
            Self::Url => "an image is written without a scheme such as https://",
        })
    }
}

impl Image {
    /// Reads `[alias=]reference`; never fails (`images.md` 2). White space is kept but around the `=` (D-08).
    pub fn parse(text: &str) -> Self {
        let (alias, reference) = split_alias(text);
        let (host, rest) = split_host(reference);
        let (path, tag) = split_tag(rest);
        let (registry, path) = normalise(host, path);
        Self {
            alias: alias.to_string(),
            registry: registry.to_string(),
            name: path.to_string(),
            tag,
            kustomize_image: None,
            original: text.to_string(),
        }
    }

    /// Why this names no image, judged from the text it was parsed from (D-06).
    pub fn defect(&self) -> Option<ImageDefect> {
        if self.original.contains("://") {
            Some(ImageDefect::Url)
        } else if self.name.is_empty() {
            Some(ImageDefect::NoName)
        } else {
            None
        }
    }

    /// True when registry and name keep to the grammar of references, so that a registry can know them (`images.md` 2.2).
    pub fn is_well_formed(&self) -> bool {
        (self.registry.is_empty() || name::is_host(&self.registry)) && name::is_path(&self.name)
    }

    /// `registry/name`, or the name alone without a registry (`images.md` 1).
    pub fn full_name(&self) -> String {
        let mut text = String::with_capacity(self.registry.len() + 1 + self.name.len());
        if !self.registry.is_empty() {
            text.push_str(&self.registry);
            text.push('/');
        }
        text.push_str(&self.name);
        text
    }

    /// The full name, then `:name` and `@digest` of the tag as far as they are known (`images.md` 1).
    pub fn full_name_with_tag(&self) -> String {
        let mut text = self.full_name();
        if let Some(tag) = &self.tag {
            if !tag.name.is_empty() {
                text.push(':');
                text.push_str(&tag.name);
            }
            if !tag.digest.is_empty() {
                text.push('@');
                text.push_str(&tag.digest);
            }
        }
        text
    }

    /// The tag as a Helm tag parameter holds it: `name@digest`, with `latest` for an unknown name (`images.md` 1).
    pub fn tag_with_digest(&self) -> String {
        let Some(tag) = &self.tag else {
            return String::new();
        };
        let mut text = tag.name.clone();
        if tag.is_digest() {
            if text.is_empty() {
                text.push_str("latest");
            }
            text.push('@');
            text.push_str(&tag.digest);
        }
        text
    }

    /// The name of the tag, or the constraint of a list entry; empty without one.
    pub fn tag_name(&self) -> &str {
        self.tag.as_ref().map_or("", |tag| &tag.name)
    }

    /// The same image with another tag; override and original text are not carried over (`images.md` 1).
    #[must_use]
    pub fn with_tag(&self, tag: &Tag) -> Self {
        Self {
            alias: self.alias.clone(),
            registry: self.registry.clone(),
            name: self.name.clone(),
            tag: Some(tag.clone()),
            kustomize_image: None,
            original: String::new(),
        }
    }

    /// True when registry and name are the same texts (`images.md` 2.4).
    pub fn is_same_repository(&self, other: &Self) -> bool {
        self.name == other.name && self.registry == other.registry
    }

    /// True when the repository differs or, with `check_version`, the tag's name (`images.md` 1).
    pub fn differs_from(&self, other: &Self, check_version: bool) -> bool {
        !self.is_same_repository(other) || (check_version && self.tag_name() != other.tag_name())
    }

    /// The repository as registry calls name it: names of one part get the registry's default namespace (`images.md` 2.5).
    pub fn repository_name(&self, default_namespace: &str) -> String {
        repository_name(&self.name, default_namespace)
    }

    /// The alias as it stands in annotation keys, with `_` for `/`; empty without an alias (`images.md` 4).
    pub fn annotation_alias(&self) -> Cow<'_, str> {
        if self.alias.contains('/') {
            Cow::Owned(self.alias.replace('/', "_"))
        } else {
            Cow::Borrowed(&self.alias)
        }
    }
}

/// `alias=` where there is one, then the full name with tag (`images.md` 1).
impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.alias.is_empty() {
            write!(f, "{}=", self.alias)?;
        }
        f.write_str(&self.full_name_with_tag())
    }
}

/// The repository of the image path `name` at a registry with that default namespace (`images.md` 2.5).
pub fn repository_name(name: &str, default_namespace: &str) -> String {
    let mut text = String::with_capacity(default_namespace.len() + 1 + name.len());
    if !name.contains('/') && !default_namespace.is_empty() {
        text.push_str(default_namespace);
        text.push('/');
    }
    text.push_str(name);
    text
}

/// Splits off the alias: what stands before the first `=`, unless that already holds a tag separator (D-03).
fn split_alias(text: &str) -> (&str, &str) {
    match text.split_once('=') {
        Some((alias, reference)) if !behind_last_slash(alias).contains(':') => {
            (alias.trim_end(), reference.trim_start())
        }
        _ => ("", text),
    }
}

/// Splits off the registry host and its slash (`images.md` 2.2 and 2.3, one detection for both).
fn split_host(reference: &str) -> (Option<&str>, &str) {
    let Some((first, rest)) = reference.split_once('/') else {
        return (None, reference);
    };
    let (path, _) = split_path(rest);
    let is_host = if name::is_host(first) {
        name::has_host_mark(first)
            || (first.contains(|c: char| c.is_ascii_uppercase()) && name::is_path(path))
    } else {
        // An underscore makes `foo_bar.com/x` a legal path and no host; what is no legal path either is
        // read as its author must have meant it.
        name::has_host_mark(first) && {
            let together = &reference[..first.len() + 1 + path.len()];
            !name::is_path(together)
        }
    };
    if is_host {
        (Some(first), rest)
    } else {
        (None, reference)
    }
}

/// Splits what follows the host into path and tag.
fn split_tag(rest: &str) -> (&str, Option<Tag>) {
    let (path, behind) = split_path(rest);
    let tag = match behind.strip_prefix(':') {
        _ if behind.is_empty() => None,
        Some(tag) => Some(match tag.split_once('@') {
            Some((name, digest)) => Tag {
                name: name.to_string(),
                digest: digest.to_string(),
            },
            None => Tag::named(tag),
        }),
        None => Some(Tag {
            name: String::new(),
            digest: behind[1..].to_string(),
        }),
    };
    (path, tag)
}

/// Splits into the path and what follows it, beginning with its `:` or `@`; nothing follows a bare path.
fn split_path(rest: &str) -> (&str, &str) {
    let end = match rest.find('@') {
        Some(at) => {
            let left = &rest[..at];
            let tail = behind_last_slash(left);
            let base = left.len() - tail.len();
            tail.rfind(':').map_or(at, |colon| base + colon)
        }
        None => rest.find(':').unwrap_or(rest.len()),
    };
    rest.split_at(end)
}

/// Docker Hub under its index's name is the unwritten default, and its official images have short names.
fn normalise<'a>(host: Option<&'a str>, path: &'a str) -> (&'a str, &'a str) {
    match host {
        Some(host) if host == DOCKER_HUB || host == DOCKER_HUB_INDEX => {
            let registry = if host == DOCKER_HUB { host } else { "" };
            let short = path
                .strip_prefix(OFFICIAL)
                .filter(|short| !short.is_empty());
            (registry, short.unwrap_or(path))
        }
        Some(host) => (host, path),
        None => ("", path),
    }
}

fn behind_last_slash(text: &str) -> &str {
    text.rsplit_once('/').map_or(text, |(_, tail)| tail)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;
    use crate::fixed_cases::{CASES, config};

    #[test]
    fn host_is_told_from_path_alike_for_tags_and_constraints() {
        for (text, registry, name) in [
            ("registry:5000/web", "registry:5000", "web"),
            ("localhost/web", "localhost", "web"),
            ("foo_bar.com/web", "", "foo_bar.com/web"),
            ("foo_bar.com/Web", "foo_bar.com", "Web"),
            ("foo_bar.com:5000/web", "foo_bar.com:5000", "web"),
            ("Foo/bar", "Foo", "bar"),
            ("Org/App", "", "Org/App"),
            ("docker.io/library/nginx", "docker.io", "nginx"),
            ("index.docker.io/library/nginx", "", "nginx"),
            (
                "harbor.example.com/library/app",
                "harbor.example.com",
                "library/app",
            ),
            ("[::1]:5000/web", "[::1]:5000", "web"),
        ] {
            for tag in ["1.0", "~1.0", ">=1.0 <2", "^1 || ^2", "*"] {
                check(&format!("{text}:{tag}"), "", registry, name, tag, "");
                check(&format!("a={text}:{tag}"), "a", registry, name, tag, "");
            }
        }
    }

    #[test]
    fn odd_texts_are_read_without_failing() {
        check("nginx:=1.2", "", "", "nginx", "=1.2", "");
        check("a = nginx:=1.2", "a", "", "nginx", "=1.2", "");
        check("nginx:1/2", "", "nginx:1", "2", "", "");
        check("nginx:>=1.0/2", "", "", "nginx", ">=1.0/2", "");
        check("a=b=gcr.io/x:1", "a", "", "b=gcr.io/x", "1", "");
        check("nginx@sha256:ab@c", "", "", "nginx", "", "sha256:ab@c");
        check("r:1/n:t@d:e", "", "r:1", "n", "t", "d:e");
        assert_eq!(Image::parse("nginx@").tag, Some(Tag::default()));
    }

    #[test]
    fn text_that_names_no_image_has_a_defect() {
        for (text, defect) in [
            ("", Some(ImageDefect::NoName)),
            ("alias=", Some(ImageDefect::NoName)),
            (":1.0", Some(ImageDefect::NoName)),
            ("gcr.io/", Some(ImageDefect::NoName)),
            ("https://gcr.io/foo:1", Some(ImageDefect::Url)),
            ("a=https://gcr.io/foo:1", Some(ImageDefect::Url)),
            ("nginx", None),
        ] {
            assert_eq!(Image::parse(text).defect(), defect, "{text}");
        }
    }

    #[test]
    fn digest_known_to_one_side_only_does_not_make_tags_differ() {
        let tag = |name: &str, digest: &str| Tag {
            name: name.to_string(),
            digest: digest.to_string(),
        };
        for (a, b, same) in [
            (tag("v1", "d"), tag("v1", ""), true),
            (tag("v1", "d"), tag("v2", "d"), true),
            (tag("v1", "d"), tag("v1", "e"), false),
            (tag("", "d"), tag("v1", ""), false),
            (tag("", "d"), tag("", ""), false),
            (tag("", ""), tag("", ""), true),
        ] {
            assert_eq!(a.is_same_as(&b), same, "{a:?} {b:?}");
            assert_eq!(b.is_same_as(&a), same, "{b:?} {a:?}");
        }
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_text_is_read(text in "\\PC{0,40}") {
            let image = Image::parse(&text);
            prop_assert_eq!(&image.original, &text);
            let _ = image.defect();
        }

        #[test]
        fn legal_reference_survives_rendering(
            text in "([a-z0-9/-]{1,9}=)?((gcr\\.io|localhost:5000|docker\\.io|h-1\\.example:1)/)?[a-z0-9]{1,5}(/[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?){0,2}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,9})?(@sha256:[0-9a-f]{64})?"
        ) {
            let image = Image::parse(&text);
            prop_assert!(image.defect().is_none());
            let again = Image::parse(&image.to_string());
            prop_assert_eq!(again.to_string(), image.to_string());
            prop_assert!(!again.differs_from(&image, true));
            prop_assert_eq!((again.tag, again.alias), (image.tag, image.alias));
        }
    }

    fn check(text: &str, alias: &str, registry: &str, name: &str, tag: &str, digest: &str) {
        let image = Image::parse(text);
        let got = image.tag.clone().unwrap_or_default();
        assert_eq!(
            (
                &*image.alias,
                &*image.registry,
                &*image.name,
                &*got.name,
                &*got.digest
            ),
            (alias, registry, name, tag, digest),
            "{text}"
        );
    }
}
