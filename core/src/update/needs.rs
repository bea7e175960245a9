//! Whether the chosen tag is another one than what runs (`images.md` 10.2).

use crate::image::{Image, Strategy, Tag, Version};

/// True when an update from what runs to `chosen` is wanted (`images.md` 10.2).
///
/// A tag of equal precedence is no update under `semver` (D-34), nor is a tag that runs pinned to a digest (D-30).
/// Where the list entry replaces another image in Kustomize, a different registry or name is a change too.
pub fn needs_update(
    strategy: Strategy,
    entry: &Image,
    live: &Image,
    running: &Tag,
    chosen: &Tag,
) -> bool {
    let is_other_tag = match strategy {
        Strategy::Digest => chosen.is_digest() && running.digest != chosen.digest,
        Strategy::Semver => {
            !running.is_same_as(chosen) && !Version::is_same(&running.name, &chosen.name)
        }
        Strategy::NewestBuild | Strategy::Alphabetical => !running.is_same_as(chosen),
    };
    let is_other_repository = entry.kustomize_image.is_some() && !entry.is_same_repository(live);
    is_other_tag || is_other_repository
}
