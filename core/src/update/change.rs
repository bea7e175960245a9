//! What an update changes, and how an event tells it (`images.md` 10.3).

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::image::{Image, Tag};

/// An image that moves to another tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The image with its new tag; the alias is that of the list entry.
    pub image: Image,
    /// What ran; both parts are empty when that is not known.
    pub old: Tag,
    /// What was chosen.
    pub new: Tag,
}

/// Prefix of the annotations of a Kubernetes event.
const EVENT_PREFIX: &str = "argocd-image-updater.image-";

/// The annotations of the Kubernetes event that tells the changes, in their order (`images.md` 10.3 step 5).
pub fn event_annotations(changes: &[Change]) -> Vec<(String, String)> {
    let of_change = |(n, change): (usize, &Change)| {
        let key = |name: &str| format!("{EVENT_PREFIX}{n}/{name}");
        [
            (key("full-image-name"), change.image.full_name()),
            (key("image-name"), change.image.name.clone()),
            (key("old-tag"), change.old.to_string()),
            (key("new-tag"), change.new.to_string()),
        ]
    };
    changes.iter().enumerate().flat_map(of_change).collect()
}
