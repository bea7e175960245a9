//! Which platforms a lookup is for: exact keys `os/arch` or `os/arch/variant` (`registry.md` 8.2).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A sorted set of platform keys; empty means any platform. Cheap to clone, part of lookup keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PlatformKeySet(Arc<[Box<str>]>);

impl PlatformKeySet {
    /// The set of the given keys.
    pub fn new<T: Into<Box<str>>>(keys: impl IntoIterator<Item = T>) -> Self {
        let mut keys: Vec<Box<str>> = keys.into_iter().map(Into::into).collect();
        keys.sort_unstable();
        keys.dedup();
        Self(keys.into())
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| &**key)
    }

    /// True when a candidate is wanted: its key is in the set, or it has a variant and the key without
    /// variant is; `arm64` and `arm64/v8` are one. An unknown platform (an attestation) never matches,
    /// anything else matches the empty set.
    pub fn has_match(&self, os: &str, arch: &str, variant: &str) -> bool {
        if os == "unknown" || arch == "unknown" {
            return false;
        }
        if self.0.is_empty() {
            return true;
        }
        let bare = format!("{os}/{arch}");
        let has = |key: &str| self.0.binary_search_by(|own| (**own).cmp(key)).is_ok();
        let full = if variant.is_empty() {
            String::new()
        } else {
            format!("{bare}/{variant}")
        };
        has(&bare)
            || (!full.is_empty() && has(&full))
            || (arch == "arm64" && variant.is_empty() && has(&format!("{bare}/v8")))
    }

    /// True when every platform is wanted.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }
}
