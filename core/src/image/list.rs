//! The `image-list` annotation: its elements, and why some of them name no image (`images.md` 3).
//!
//! Invariants: order and duplicates are kept; empty elements are dropped, invalid ones are told with their
//! reason and never reach a registry (D-06). Text and number of elements are bounded.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use super::reference::{Image, ImageDefect};

/// Longest annotation text; Kubernetes allows 256 KiB for all annotations of an object together.
pub const LIST_BYTES_MAX: usize = 256 * 1024;
/// Most elements of one list, empty ones not counted.
pub const LIST_ENTRIES_MAX: usize = 1000;

/// What an `image-list` annotation says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImageList {
    /// The images, in order, with duplicates.
    pub images: Vec<Image>,
    /// What names no image and deserves a warning, in order.
    pub rejected: Vec<RejectedEntry>,
}

/// An element of the list, or the override of one, that names no image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedEntry {
    /// The text as written, trimmed.
    pub text: String,
    /// True when it is the `kustomize.image-name` of an element that is kept without it.
    pub is_override: bool,
    /// Why it names no image.
    pub defect: ImageDefect,
}

/// Why an `image-list` annotation is not read at all; the application is in error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ImageListError {
    /// Longer than [`LIST_BYTES_MAX`].
    TooLong,
    /// More elements than [`LIST_ENTRIES_MAX`].
    TooMany,
}

impl fmt::Display for ImageListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the image list is longer than {LIST_BYTES_MAX} bytes"),
            Self::TooMany => write!(f, "the image list has more than {LIST_ENTRIES_MAX} images"),
        }
    }
}

impl core::error::Error for ImageListError {}

impl ImageList {
    /// Reads the annotation's `text` (`images.md` 3).
    ///
    /// `override_of` answers with the value of `<alias>.kustomize.image-name` for the alias as it stands in keys;
    /// it is not asked for elements without alias, which have no annotations of their own.
    ///
    /// # Errors
    /// When the text exceeds the bounds of this module.
    pub fn parse<'a>(
        text: &str,
        override_of: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, ImageListError> {
        if text.len() > LIST_BYTES_MAX {
            return Err(ImageListError::TooLong);
        }
        let mut list = Self::default();
        for element in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            if list.images.len() + list.rejected.len() >= LIST_ENTRIES_MAX {
                return Err(ImageListError::TooMany);
            }
            let Some(mut image) = list.take_or_reject(element, false) else {
                continue;
            };
            if !image.alias.is_empty() {
                let replaced = override_of(&image.annotation_alias()).map_or("", str::trim);
                if !replaced.is_empty() {
                    image.kustomize_image = list.take_or_reject(replaced, true).map(Box::new);
                }
            }
            list.images.push(image);
        }
        Ok(list)
    }

    fn take_or_reject(&mut self, text: &str, is_override: bool) -> Option<Image> {
        let image = Image::parse(text);
        match image.defect() {
            None => Some(image),
            Some(defect) => {
                self.rejected.push(RejectedEntry {
                    text: text.to_string(),
                    is_override,
                    defect,
                });
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn empty_elements_are_dropped_and_invalid_ones_are_told() {
        let list = parse(" , a=nginx,, https://x/y ,\n b = redis:~1 ,alias=, a=nginx,");
        let names: Vec<_> = list.images.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a=nginx", "b=redis:~1", "a=nginx"]);
        let rejected: Vec<_> = list
            .rejected
            .iter()
            .map(|entry| (&*entry.text, entry.defect))
            .collect();
        assert_eq!(
            rejected,
            [
                ("https://x/y", ImageDefect::Url),
                ("alias=", ImageDefect::NoName)
            ]
        );
    }

    #[test]
    fn element_survives_without_its_invalid_override() {
        let list = ImageList::parse("t/a=nginx", |alias| {
            assert_eq!(alias, "t_a");
            Some("https://x/y")
        })
        .unwrap();
        assert_eq!(list.images[0].kustomize_image, None);
        assert!(list.rejected[0].is_override);
    }

    #[test]
    fn blank_override_is_none() {
        let list = ImageList::parse("a=nginx", |_| Some("  ")).unwrap();
        assert_eq!(
            (list.images[0].kustomize_image.as_ref(), list.rejected.len()),
            (None, 0)
        );
    }

    #[test]
    fn list_is_bounded() {
        let many = "a,".repeat(LIST_ENTRIES_MAX);
        assert_eq!(parse(&many).images.len(), LIST_ENTRIES_MAX);
        let more = many + "a";
        assert_eq!(
            ImageList::parse(&more, |_| None),
            Err(ImageListError::TooMany)
        );
        let long = "a".repeat(LIST_BYTES_MAX + 1);
        assert_eq!(
            ImageList::parse(&long, |_| None),
            Err(ImageListError::TooLong)
        );
    }

    fn parse(text: &str) -> ImageList {
        ImageList::parse(text, |_| None).expect("the list keeps to the bounds")
    }
}
