//! What is handed to a decision: the outcome of the lookups of one image.

use alloc::boxed::Box;

use crate::image::TagListSort;
use crate::time::UnixTime;

/// The tags of a repository, whole and in registry order.
pub trait TagListing {
    /// How many there are.
    fn n_tags(&self) -> usize;

    /// The names in registry order.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    /// What the order of the names means at this registry (`images.md` 7.4).
    fn sort(&self) -> TagListSort {
        TagListSort::Unsorted
    }

    /// What was read of a tag's manifest. Asked only of candidates, and only under strategies that need it.
    fn facts(&self, name: &str) -> TagFacts<'_>;
}

/// What is known of one tag beyond its name (`images.md` 7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TagFacts<'a> {
    /// When its image was built, and the digest of its manifest; each only as far as the strategy asked for it.
    Known {
        /// Build time; `None` when it was not asked for or the image does not tell.
        created: Option<UnixTime>,
        /// `sha256:...`; empty when it was not asked for.
        digest: &'a str,
    },
    /// There is no image for the wanted platforms behind it, or no image at all; the text says which. It takes no
    /// part.
    NotUsable(&'a str),
    /// It could not be read this time, for this reason (D-29).
    Failed(&'a str),
}

/// The outcome of the lookups of one image.
pub enum Lookup<'a> {
    /// Nothing was asked, or no answer is there yet: nothing is decided, nothing is wrong.
    Absent,
    /// A lookup failed.
    Failed(FailureKind, &'a str),
    /// The listing broke off. No decision is ever taken on it.
    Partial,
    /// The tags.
    Tags(&'a dyn TagListing),
}

/// Which lookup failed (`images.md` 10.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FailureKind {
    /// There is no usable registry endpoint or client (steps 3 and 7).
    Registry,
    /// The credentials could not be had (steps 5 and 6).
    Credential,
    /// The tags could not be listed (step 8).
    Listing,
    /// A manifest or an image configuration could not be read (step 8).
    Metadata,
}
