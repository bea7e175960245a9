//! Content digests: their written form, and whether a content has one.

use alloc::string::String;
use core::fmt;

use sha2::{Digest as _, Sha256, Sha512};

/// The SHA-256 digest of a manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestDigest([u8; 32]);

impl ManifestDigest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Its 32 bytes.
    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads `sha256:` and 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?.as_bytes();
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        if hex.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for ManifestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut hex = [0; 64];
        for (place, digit) in hex.iter_mut().zip(digits) {
            *place = HEX[usize::from(digit)];
        }
        f.write_str("sha256:")?;
        f.write_str(core::str::from_utf8(&hex).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ManifestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// True for `sha256:` or `sha512:` with as many lower-case hexadecimal digits as each has. Only such
/// a text is ever put into a URL.
pub(crate) fn is_digest(text: &str) -> bool {
    let is_hex = |hex: &str, length: usize| {
        hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    match text.split_once(':') {
        Some(("sha256", hex)) => is_hex(hex, 64),
        Some(("sha512", hex)) => is_hex(hex, 128),
        _ => false,
    }
}

/// True when `content` has the digest that `text` names (D-22).
pub(crate) fn is_digest_of(text: &str, content: &[u8]) -> bool {
    match text.split_once(':') {
        Some(("sha256", _)) => ManifestDigest::parse(text) == Some(ManifestDigest::of(content)),
        Some(("sha512", hex)) => {
            let mut own = String::with_capacity(128);
            for byte in Sha512::digest(content) {
                use core::fmt::Write as _;
                write!(own, "{byte:02x}").expect("writing to a String succeeds");
            }
            own == hex
        }
        _ => false,
    }
}
