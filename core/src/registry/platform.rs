//! Which platforms a lookup is for (`registry.md` 8.2).

use alloc::string::String;
use alloc::sync::Arc;

use crate::image::{Platform, PlatformSet};

/// A set of wanted platforms as part of a lookup's key: cheap to clone and to compare.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PlatformKeySet(Arc<PlatformSet>);

impl PlatformKeySet {
    /// The set of the given keys; none means any platform.
    pub fn new<T: Into<String>>(keys: impl IntoIterator<Item = T>) -> Self {
        Self::from(PlatformSet::of_keys(keys.into_iter().map(Into::into)))
    }

    /// True when a candidate is wanted: as [`PlatformSet::accepts`] says, and `arm64` and `arm64/v8` are
    /// one (D-05). What is unknown in any part is an attestation and never wanted (D-06).
    pub fn has_match(&self, os: &str, arch: &str, variant: &str) -> bool {
        let is_wanted = |variant: &str| {
            self.0.accepts(&Platform {
                os: os.into(),
                arch: arch.into(),
                variant: variant.into(),
            })
        };
        let is_attestation = os == "unknown" || arch == "unknown";
        let is_bare_arm64 = arch == "arm64" && variant.is_empty();
        !is_attestation && (is_wanted(variant) || is_bare_arm64 && is_wanted("v8"))
    }
}

impl From<PlatformSet> for PlatformKeySet {
    fn from(platforms: PlatformSet) -> Self {
        Self(Arc::new(platforms))
    }
}
