//! Tolerant semantic versions: what is one, and which is newer (`images.md` 8.1, 8.2).
//!
//! Parsing borrows from the tag and allocates nothing. [`Ord`] is total: precedence first, then the text.

use core::cmp::Ordering;

/// A version as some tag spells it.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// First number.
    pub major: u64,
    /// Second number; 0 when not written.
    pub minor: u64,
    /// Third number; 0 when not written.
    pub patch: u64,
    /// Identifiers behind the dash, joined by dots; empty without any.
    pub prerelease: &'a str,
    /// Identifiers behind the plus, joined by dots; never matters for precedence.
    pub metadata: &'a str,
    /// The text it was parsed from; breaks ties and is what gets written.
    pub original: &'a str,
}

impl<'a> Version<'a> {
    /// Reads `[v]MAJOR[.MINOR[.PATCH]][-PRERELEASE][+METADATA]` (`images.md` 8.1); `None` when the text is no version.
    pub fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (rest, metadata) = match rest.split_once('+') {
            Some((rest, metadata)) => (rest, is_metadata(metadata).then_some(metadata)?),
            None => (rest, ""),
        };
        let (numbers, prerelease) = match rest.split_once('-') {
            Some((numbers, prerelease)) => {
                (numbers, is_prerelease(prerelease).then_some(prerelease)?)
            }
            None => (rest, ""),
        };
        let mut numbers = numbers.split('.');
        let major = parse_number(numbers.next()?)?;
        let minor = numbers.next().map_or(Some(0), parse_number)?;
        let patch = numbers.next().map_or(Some(0), parse_number)?;
        numbers.next().is_none().then_some(Self {
            major,
            minor,
            patch,
            prerelease,
            metadata,
            original: text,
        })
    }

    /// Order of the versions meant, whatever their spelling (`images.md` 8.2).
    pub fn cmp_precedence(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| cmp_prerelease(self.prerelease, other.prerelease))
    }

    /// True when both texts are versions, and the same one: `1.0` and `v1.0.0` (`images.md` 13, D-34).
    pub fn is_same(a: &str, b: &str) -> bool {
        Version::parse(a)
            .zip(Version::parse(b))
            .is_some_and(|(a, b)| a.cmp_precedence(&b).is_eq())
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_precedence(other)
            .then_with(|| self.original.cmp(other.original))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.original == other.original
    }
}

impl Eq for Version<'_> {}

/// Digits, leading zeros allowed, within 64 bits.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    // The standard parser would take a sign as well.
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Order of prereleases; the absence of any is the highest.
pub(super) fn cmp_prerelease(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let mut ours = a.split('.');
            let mut theirs = b.split('.');
            loop {
                let order = match (ours.next(), theirs.next()) {
                    (None, None) => return Ordering::Equal,
                    (None, Some(_)) => Ordering::Less,
                    (Some(_), None) => Ordering::Greater,
                    (Some(a), Some(b)) => cmp_identifier(a, b),
                };
                if order.is_ne() {
                    return order;
                }
            }
        }
    }
}

/// Numbers numerically and below words; digits beyond 64 bits are a word.
fn cmp_identifier(a: &str, b: &str) -> Ordering {
    match (parse_number(a), parse_number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Non-empty identifiers joined by dots.
pub(super) fn is_metadata(text: &str) -> bool {
    text.split('.').all(|identifier| {
        !identifier.is_empty()
            && identifier
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// Like metadata, but numbers have no leading zeros.
pub(super) fn is_prerelease(text: &str) -> bool {
    is_metadata(text)
        && text.split('.').all(|identifier| {
            identifier.len() == 1
                || !identifier.starts_with('0')
                || !identifier.bytes().all(|b| b.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;
    use crate::fixed_cases::{CASES, config};

    #[test]
    fn versions_are_told_from_other_texts() {
        for (text, numbers) in [
            ("1", Some((1, 0, 0))),
            ("v01.02", Some((1, 2, 0))),
            ("18446744073709551615", Some((u64::MAX, 0, 0))),
            ("0018446744073709551615", Some((u64::MAX, 0, 0))),
            ("18446744073709551616", None),
            ("2024-01-05", Some((2024, 0, 0))),
            ("1-a.-.b+0.00", Some((1, 0, 0))),
            ("1.2.3+a-b", Some((1, 2, 3))),
            ("", None),
            ("v", None),
            ("vv1", None),
            ("1.", None),
            ("1..2", None),
            ("+1", None),
            ("1-", None),
            ("1-a..b", None),
            ("1-01", None),
            ("1-00a", Some((1, 0, 0))),
            ("1+", None),
            ("1+a+b", None),
            ("1.2.3.4", None),
            ("1.\u{660}", None),
        ] {
            let got = Version::parse(text).map(|v| (v.major, v.minor, v.patch));
            assert_eq!(got, numbers, "{text}");
        }
    }

    #[test]
    fn spelling_does_not_matter_for_sameness() {
        assert!(Version::is_same("1.0", "v1.0.0+x"));
        assert!(!Version::is_same("1.0", "1.0.0-rc1"));
        assert!(!Version::is_same("latest", "latest"));
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn order_is_total_and_agrees_with_equality(a in text(), b in text(), c in text()) {
            let (Some(a), Some(b), Some(c)) = (Version::parse(&a), Version::parse(&b), Version::parse(&c)) else {
                return Err(TestCaseError::fail("the generated texts are versions"));
            };
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a.cmp_precedence(&b).is_lt() {
                prop_assert!(a < b);
            }
        }

        #[test]
        fn parse_gives_back_what_is_written(major: u64, minor: u64, patch: u64, v in "v?") {
            let text = alloc::format!("{v}{major}.{minor}.{patch}-rc.1+b");
            let got = Version::parse(&text).map(|v| (v.major, v.minor, v.patch, v.prerelease, v.metadata));
            prop_assert_eq!(got, Some((major, minor, patch, "rc.1", "b")));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[v0-9.+a-z-]{0,12}|\\PC{0,8}") {
            let _ = Version::parse(&text);
        }
    }

    fn text() -> impl Strategy<Value = String> {
        "v?[0-2](\\.0?[0-2]){0,2}(-([1-9]|1[0-9]{20}|a|rc1|-)(\\.([1-9]|b|A)){0,2})?(\\+[ab])?"
    }
}
