//! Which entry of the image list decides about an image of the manifests, in Kustomize.
//!
//! Kustomize has one entry per image of the manifests, the *target*: what `kustomize.image-name` names, else the image
//! itself. Several list entries may have one target, by aliases or by such a name. Exactly one of them decides about
//! it, and which one depends on the plan alone: else two of them undo each other's changes for ever (D-32, D-53).

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::plan::ImagePlan;
use crate::image::Image;

/// How the other entries of the image list lay claim to an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// None does.
    Free,
    /// One is of the same repository, or replaces it without deciding about it.
    Repository,
    /// One decides about it: whatever replaces this image in the manifests is that one's.
    Target,
}

/// The targets of a plan's images.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// Positions of those images that decide about their target, sorted by it; no target stands twice.
    owners: Vec<usize>,
}

impl Claims {
    /// Without any image.
    pub(super) const fn empty() -> Self {
        Self { owners: Vec::new() }
    }

    /// The claims of these images: of several with one target an image that runs decides, then one that names its
    /// target in an annotation, then the first.
    pub(super) fn of(images: &[ImagePlan]) -> Self {
        let mut owners: Vec<usize> = (0..images.len()).collect();
        owners.sort_by(|one, other| {
            let (one, other) = (&images[*one], &images[*other]);
            let rank = |image: &ImagePlan| (image.live.is_none(), image.replaced.is_none());
            order(one.target(), other.target()).then_with(|| rank(one).cmp(&rank(other)))
        });
        owners.dedup_by(|later, first| {
            images[*later]
                .target()
                .is_same_repository(images[*first].target())
        });
        Self { owners }
    }

    /// The position of the image that decides about `target`.
    pub(super) fn owner_of(&self, images: &[ImagePlan], target: &Image) -> Option<usize> {
        let found = self.owners.binary_search_by(|at| {
            let known = images.get(*at).map(ImagePlan::target);
            known.map_or(Ordering::Greater, |known| order(known, target))
        });
        found.ok().and_then(|place| self.owners.get(place).copied())
    }

    /// How the images but that at `at` lay claim to `image`.
    pub(super) fn of_others(&self, images: &[ImagePlan], at: usize, image: &Image) -> Claim {
        if self
            .owner_of(images, image)
            .is_some_and(|owner| owner != at)
        {
            return Claim::Target;
        }
        let mut others = images.iter().enumerate().filter(|(n, _)| *n != at);
        if others.any(|(_, other)| {
            other.entry.is_same_repository(image) || other.target().is_same_repository(image)
        }) {
            Claim::Repository
        } else {
            Claim::Free
        }
    }
}

fn order(one: &Image, other: &Image) -> Ordering {
    (&one.name, &one.registry).cmp(&(&other.name, &other.registry))
}
