//! The grammar of hosts, repository paths and tag names (`images.md` 2.2). Pure predicates, linear in the text.

/// Longest `host/path`.
const NAME_BYTES_MAX: usize = 255;
/// Longest tag name.
const TAG_BYTES_MAX: usize = 128;

/// True for `host[:port]`: labels of letters, digits and inner dashes joined by dots, or a bracketed IPv6 address.
pub fn is_host(text: &str) -> bool {
    let (host, port) = split_port(text);
    port.is_none_or(is_digits)
        && match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']').is_some_and(|address| {
                !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
            }),
            None => host.split('.').all(is_label),
        }
}

/// True for components of lower-case letters and digits, joined inside by `.`, `_`, `__` or dashes, joined by `/`.
pub fn is_path(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && text.split('/').all(is_component)
}

/// True for a legal tag name: at most 128 of letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`.
pub fn is_tag(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    text.len() <= TAG_BYTES_MAX
        && text.bytes().all(legal)
        && text
            .bytes()
            .next()
            .is_some_and(|b| !matches!(b, b'.' | b'-'))
}

/// True when the text before a path's first slash is meant as a host: it has a port or a dot, or is `localhost`.
///
/// Legality does not matter here, but a colon that begins no port is a tag's separator.
pub(super) fn has_host_mark(text: &str) -> bool {
    let (host, port) = split_port(text);
    let plain = !host.contains([':', '=']) || (host.starts_with('[') && host.ends_with(']'));
    plain
        && !host.is_empty()
        && match port {
            Some(port) => is_digits(port),
            None => host.contains(['.', ':']) || host == "localhost",
        }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_component(text: &str) -> bool {
    let is_run = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = [text.bytes().next(), text.bytes().next_back()];
    edges.iter().all(|edge| edge.is_some_and(is_run))
        && text
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_other_texts() {
        for text in [
            "a",
            "a.b-c",
            "A.b:5000",
            "[::1]",
            "[fc00::1]:5000",
            "10.0.0.5",
        ] {
            assert!(is_host(text), "{text}");
        }
        for text in [
            "", "a..b", "-a", "a-.b", "a_b", "a:", "a:x", "[]", "[::1", "[::1]x", "a:1:2",
        ] {
            assert!(!is_host(text), "{text}");
        }
    }

    #[test]
    fn paths_are_told_from_other_texts() {
        for text in ["a", "a/b", "a.b/c_d/e__f/g---h", "0"] {
            assert!(is_path(text), "{text}");
        }
        for text in [
            "", "A", "a//b", "/a", "a/", "a..b", "a___b", "a._b", "-a", "a-", "a b", "ä",
        ] {
            assert!(!is_path(text), "{text}");
        }
    }

    #[test]
    fn tags_are_told_from_other_texts() {
        for text in ["a", "_", "1.0-rc_1", &"a".repeat(128)] {
            assert!(is_tag(text), "{text}");
        }
        for text in ["", ".a", "-a", "a b", "a/b", "ä", "a+b", &"a".repeat(129)] {
            assert!(!is_tag(text), "{text}");
        }
    }
}
