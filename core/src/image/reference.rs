//! Image identifiers: `[alias=]reference[:tag-or-constraint][@digest]` (`images.md` 2).

use alloc::boxed::Box;
use alloc::string::String;

/// A tag as written, or as chosen: a name, a digest, or both (`images.md` 1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tag {
    /// The tag's name; empty when only a digest is known. For list entries, the constraint.
    pub name: String,
    /// `algorithm:hex`; empty when unknown.
    pub digest: String,
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
