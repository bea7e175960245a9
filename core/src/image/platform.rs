//! Platforms: what a manifest is made for, and which ones an image wants (`images.md` 7.3).

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;

/// Longest `platforms` text that is read.
pub const PLATFORMS_BYTES_MAX: usize = 16 * 1024;
/// What builders write into the platform of an attestation, which is no image.
const UNKNOWN: &str = "unknown";

/// An operating system, an architecture and possibly a variant, by their Go names (`images.md` 9.4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Architecture, such as `arm64`.
    pub arch: String,
    /// Variant, such as `v7`; empty when there is none.
    pub variant: String,
}

impl Platform {
    /// A platform without variant.
    pub fn new(os: impl Into<String>, arch: impl Into<String>) -> Self {
        Self {
            os: os.into(),
            arch: arch.into(),
            variant: String::new(),
        }
    }

    /// Reads `os/arch[/variant]`; empty parts are accepted, further slashes belong to the variant (`images.md` 7.3).
    ///
    /// `None` when there is no slash.
    pub fn parse(text: &str) -> Option<Self> {
        let (os, rest) = text.split_once('/')?;
        let (arch, variant) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self {
            os: os.to_string(),
            arch: arch.to_string(),
            variant: variant.to_string(),
        })
    }

    /// True for what builders say of attestations, which lie beside the images of an index.
    pub fn is_unknown(&self) -> bool {
        self.os == UNKNOWN && self.arch == UNKNOWN
    }
}

/// The key: `os/arch` or `os/arch/variant`.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

/// The platforms an image wants; empty wants any (`images.md` 7.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PlatformSet {
    keys: BTreeSet<String>,
}

impl PlatformSet {
    /// The set that accepts every platform.
    pub const fn any() -> Self {
        Self {
            keys: BTreeSet::new(),
        }
    }

    /// The platform that is wanted when nothing is configured: the one the program runs on, never its variant.
    pub fn runtime(runtime: &Platform) -> Self {
        Self {
            keys: BTreeSet::from([format!("{}/{}", runtime.os, runtime.arch)]),
        }
    }

    /// Reads the comma-separated text of a `platforms` annotation (`images.md` 7.3).
    ///
    /// Elements are trimmed. One that is no platform becomes the key `<raw text>/`, which matches nothing real, so
    /// that no wrong architecture is pulled; [`Self::malformed_keys`] tells them. So does a text that is too long.
    pub fn parse(text: &str) -> Self {
        if text.len() > PLATFORMS_BYTES_MAX {
            return Self {
                keys: BTreeSet::from([String::from("too long/")]),
            };
        }
        let keys = text
            .split(',')
            .map(|element| {
                Platform::parse(element.trim())
                    .map_or_else(|| format!("{element}/"), |platform| platform.to_string())
            })
            .collect();
        Self { keys }
    }

    /// The set of `keys`, taken as they are.
    pub fn of_keys(keys: impl IntoIterator<Item = String>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
        }
    }

    /// The wanted keys in order; none means any.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }

    /// Keys that name no operating system or no architecture, for a warning.
    pub fn malformed_keys(&self) -> impl Iterator<Item = &str> {
        self.keys().filter(|key| {
            Platform::parse(key)
                .is_none_or(|platform| platform.os.is_empty() || platform.arch.is_empty())
        })
    }

    /// True when a manifest for `platform` is wanted: any is, or its exact key, or its key without the variant
    /// (`images.md` 7.3). Attestations are never wanted.
    pub fn accepts(&self, platform: &Platform) -> bool {
        if platform.is_unknown() {
            return false;
        }
        self.keys.is_empty()
            || self.keys.contains(&platform.to_string())
            || (!platform.variant.is_empty()
                && self
                    .keys
                    .contains(&format!("{}/{}", platform.os, platform.arch)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn variant_is_optional_for_who_wants_none_and_needed_by_who_wants_one() {
        for (wanted, platform, accepted) in [
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/arm64", false),
            ("linux/arm64, linux/amd64", "linux/amd64", true),
            ("bogus", "bogus/", true),
            ("unknown/unknown", "unknown/unknown", false),
        ] {
            let platform = Platform::parse(platform).expect("the platform has a slash");
            let set = PlatformSet::parse(wanted);
            assert_eq!(set.accepts(&platform), accepted, "{wanted} {platform}");
        }
    }

    #[test]
    fn malformed_element_is_told_and_matches_nothing_real() {
        let set = PlatformSet::parse("linux/amd64, bogus");
        assert_eq!(set.keys().collect::<Vec<_>>(), [" bogus/", "linux/amd64"]);
        assert_eq!(set.malformed_keys().collect::<Vec<_>>(), [" bogus/"]);
        assert_eq!(
            PlatformSet::parse("").malformed_keys().collect::<Vec<_>>(),
            ["/"]
        );
        let long = "linux/amd64,".repeat(PLATFORMS_BYTES_MAX);
        assert!(!PlatformSet::parse(&long).accepts(&Platform::new("linux", "amd64")));
    }
}
