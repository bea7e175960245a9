//! The little of URLs that a registry client needs, on texts that are kept byte for byte.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

/// An absolute `http` or `https` URL, taken apart but not changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UrlParts<'a> {
    /// True for `https`.
    pub is_https: bool,
    /// Host with optional port, as written.
    pub authority: &'a str,
    /// Path, starting with `/`, or empty.
    pub path: &'a str,
    /// Query with its `?`, or empty.
    pub query: &'a str,
}

/// Why a text is no URL of a registry or token server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UrlError {
    /// It is no absolute `http` or `https` URL, has no host, or holds more than visible ASCII.
    NotHttp,
    /// It holds a user, or user and password.
    HasUser,
    /// Its port is no number from 1 to 65535.
    InvalidPort,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "is no http or https URL",
            Self::HasUser => {
                "holds a user, which does not belong there: user and password are given by credentials"
            }
            Self::InvalidPort => "has a port that is no number from 1 to 65535",
        })
    }
}

impl core::error::Error for UrlError {}

/// Takes an absolute URL apart; `None` unless it is `http` or `https`, has a host, holds no user
/// part and consists of visible ASCII, and its port, if any, is one.
pub fn split(url: &str) -> Option<UrlParts<'_>> {
    split_strictly(url).ok()
}

/// The same, with the reason why not.
///
/// # Errors
/// [`UrlError`].
pub fn split_strictly(url: &str) -> Result<UrlParts<'_>, UrlError> {
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UrlError::NotHttp);
    }
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::NotHttp)?;
    let is_https = if scheme.eq_ignore_ascii_case("https") {
        true
    } else if scheme.eq_ignore_ascii_case("http") {
        false
    } else {
        return Err(UrlError::NotHttp);
    };
    let rest = rest.split('#').next().unwrap_or(rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        return Err(UrlError::HasUser);
    }
    if authority.is_empty() || authority.contains('\\') {
        return Err(UrlError::NotHttp);
    }
    check_port(authority)?;
    let (path, query) = tail.split_at(tail.find('?').unwrap_or(tail.len()));
    Ok(UrlParts {
        is_https,
        authority,
        path,
        query,
    })
}

/// Whatever stands behind the host must be a port: a client that takes another text for none would speak to
/// another server than was meant.
fn check_port(authority: &str) -> Result<(), UrlError> {
    let (host, tail) = match authority.find(']') {
        Some(end) if authority.starts_with('[') => authority.split_at(end + 1),
        Some(_) => return Err(UrlError::NotHttp),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() {
        return Err(UrlError::NotHttp);
    }
    if tail.is_empty() {
        return Ok(());
    }
    let port = tail.strip_prefix(':').unwrap_or_default();
    let number = port
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| port.parse::<u16>().ok())
        .flatten();
    match number {
        Some(1..) => Ok(()),
        Some(0) | None => Err(UrlError::InvalidPort),
    }
}

impl UrlParts<'_> {
    /// True when both URLs have one scheme, host and port; a port left out is the scheme's own.
    pub fn has_origin_of(&self, other: &UrlParts<'_>) -> bool {
        self.is_https == other.is_https
            && without_own_port(self.authority, self.is_https)
                .eq_ignore_ascii_case(without_own_port(other.authority, other.is_https))
    }
}

/// Scheme, host and port of a URL, in one way of writing; `None` when it is no `http` or `https` URL.
pub(crate) fn origin(url: &str) -> Option<String> {
    let parts = split(url)?;
    let scheme = if parts.is_https { "https" } else { "http" };
    let authority = without_own_port(parts.authority, parts.is_https).to_ascii_lowercase();
    Some(format!("{scheme}://{authority}"))
}

/// The authority without `:443` of `https` or `:80` of `http`.
pub(crate) fn without_own_port(authority: &str, is_https: bool) -> &str {
    authority
        .strip_suffix(if is_https { ":443" } else { ":80" })
        .unwrap_or(authority)
}

/// Resolves `reference` against the absolute URL `base`, keeping it byte for byte
/// (`registry.md` 6.1). `None` when the result is no `http` or `https` URL.
pub fn resolve(base: &str, reference: &str) -> Option<String> {
    let parts = split(base)?;
    let scheme = if parts.is_https { "https" } else { "http" };
    let reference = reference.split('#').next().unwrap_or(reference);
    let absolute = if has_scheme(reference) {
        String::from(reference)
    } else if reference.starts_with("//") {
        format!("{scheme}:{reference}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{}{reference}", parts.authority)
    } else if reference.is_empty() {
        format!(
            "{scheme}://{}{}{}",
            parts.authority, parts.path, parts.query
        )
    } else if reference.starts_with('?') {
        format!("{scheme}://{}{}{reference}", parts.authority, parts.path)
    } else {
        let folder = parts.path.rfind('/').map_or("", |at| &parts.path[..at]);
        format!("{scheme}://{}{folder}/{reference}", parts.authority)
    };
    split(&absolute).is_some().then_some(absolute)
}

/// True when the text begins with a scheme and `://`.
fn has_scheme(reference: &str) -> bool {
    reference.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}

/// Joins an API URL and a path below it; a path in the API URL is kept whole
/// (`registry.md` 5.8, D-10).
pub fn join_api(api_url: &str, path: &str) -> String {
    format!("{}{path}", api_url.strip_suffix('/').unwrap_or(api_url))
}

/// Encodes pairs as a query or form: keys in alphabetical order, pairs of one key in their order,
/// a space as `+` (`registry.md` 5.7.3).
pub fn encode_form(pairs: &[(&str, &str)]) -> String {
    let mut sorted: Vec<&(&str, &str)> = pairs.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    let mut text = String::new();
    for (key, value) in sorted {
        if !text.is_empty() {
            text.push('&');
        }
        push_encoded(&mut text, key);
        text.push('=');
        push_encoded(&mut text, value);
    }
    text
}

fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            b' ' => text.push('+'),
            _ => write!(text, "%{byte:02X}").expect("writing to a String succeeds"),
        }
    }
}

/// The pairs of a query without its `?`; bytes that are no UTF-8 once decoded are replaced.
pub fn decode_form(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_component(key), decode_component(value))
        })
        .collect()
}

fn decode_component(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| core::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        at += if escaped.is_some() { 3 } else { 1 };
        decoded.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_without_changing_a_byte_of_them() {
        let base = "https://reg.example:5000/v2/org/app/tags/list?n=2";
        for (reference, expected) in [
            (
                "/v2/x?last=a;b%2f",
                Some("https://reg.example:5000/v2/x?last=a;b%2f"),
            ),
            (
                "list?last=b",
                Some("https://reg.example:5000/v2/org/app/tags/list?last=b"),
            ),
            (
                "?last=c",
                Some("https://reg.example:5000/v2/org/app/tags/list?last=c"),
            ),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            (
                "http://other/x?to=https://y",
                Some("http://other/x?to=https://y"),
            ),
            (
                "/x?to=https://y",
                Some("https://reg.example:5000/x?to=https://y"),
            ),
            ("ftp://other/x", None),
            ("/with space", None),
            ("/\u{e9}", None),
        ] {
            assert_eq!(resolve(base, reference).as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn what_is_no_port_is_not_taken_for_none() {
        let check = |authority: &str, expected: Result<(), UrlError>| {
            let url = format!("https://{authority}/v2/");
            let parts = split_strictly(&url);
            assert_eq!(
                parts.map(|parts| parts.authority == authority),
                expected.map(|()| true),
                "{url}"
            );
        };
        for good in [
            "a.io",
            "a.io:1",
            "a.io:65535",
            "[::1]",
            "[::1]:5000",
            "localhost:05000",
        ] {
            check(good, Ok(()));
        }
        for bad in [
            "a.io:",
            "a.io:0",
            "a.io:65536",
            "a.io:99999999999",
            "a.io:https",
            "a.io:+80",
            "a.io:-1",
            "a.io:80:80",
            "[::1]:",
            "[::1]:x",
            "[::1]5000",
        ] {
            check(bad, Err(UrlError::InvalidPort));
        }
        for bad in ["", ":80", "::1", "]:80", "a]:80"] {
            check(bad, Err(UrlError::NotHttp));
        }
        check("user:word@a.io", Err(UrlError::HasUser));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let is_same = |a, b| {
            split(a)
                .zip(split(b))
                .is_some_and(|(a, b)| a.has_origin_of(&b))
        };
        assert!(is_same("https://a.io/x", "HTTPS://A.io:443"));
        assert!(!is_same("https://a.io", "http://a.io"));
        assert!(!is_same("https://a.io", "https://a.io:8443"));
        assert!(!is_same("https://a.io", "https://a.io.evil"));
        assert_eq!(split("https://user@a.io/"), None);
        assert_eq!(split("https:///x"), None);
    }
}
