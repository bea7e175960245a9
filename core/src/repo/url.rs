//! Names of repositories: how they are compared, and what way leads to them (`writeback.md` 11.4).

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

/// Longest URL that is looked at, in bytes.
pub const URL_BYTES_MAX: usize = 8_192;

/// The way to a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transport<'a> {
    /// `http://`: nothing is encrypted.
    Http,
    /// `https://`.
    Https,
    /// SSH, as this user if one is named.
    Ssh(Option<&'a str>),
    /// Anything else.
    Unknown,
}

impl<'a> Transport<'a> {
    /// The way that a URL names, whatever the case of its scheme (WB-47). `host:path` is SSH, as for Git.
    pub fn of(url: &'a str) -> Self {
        let url = url.trim();
        if let Some((scheme, rest)) = url.split_once("://") {
            if scheme.eq_ignore_ascii_case("https") {
                return Self::Https;
            }
            if scheme.eq_ignore_ascii_case("http") {
                return Self::Http;
            }
            if !scheme.eq_ignore_ascii_case("ssh") {
                return Self::Unknown;
            }
            let authority = rest.split('/').next().unwrap_or(rest);
            let user = authority.rsplit_once('@').map(|(user, _)| user);
            return Self::Ssh(user.filter(|user| !user.is_empty()));
        }
        if let Some(user) = ssh_user(url) {
            return Self::Ssh(Some(user).filter(|user| !user.is_empty()));
        }
        match url.split_once(':') {
            Some((host, path)) if !host.is_empty() && !path.is_empty() && !host.contains('/') => {
                Self::Ssh(None)
            }
            Some(_) | None => Self::Unknown,
        }
    }
}

/// The user of an SSH URL in the grammar of Argo CD; `None` when it is none (`writeback.md` 11.4).
pub fn ssh_user(url: &str) -> Option<&str> {
    let bare = url.strip_prefix("ssh://").unwrap_or(url);
    let (user, rest) = bare.rsplit_once('@')?;
    (!rest.is_empty() && !user.contains(['/', ':'])).then_some(user)
}

/// True for `https://` in lower case.
pub fn is_https(url: &str) -> bool {
    url.starts_with("https://")
}

/// True for `http://` in lower case.
pub fn is_http(url: &str) -> bool {
    url.starts_with("http://")
}

/// True for forty hexadecimal digits.
pub fn is_commit_id(text: &str) -> bool {
    text.len() == 40 && is_short_commit_id(text)
}

/// True for seven or more hexadecimal digits.
pub fn is_short_commit_id(text: &str) -> bool {
    text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// True when both URLs name one repository; one that cannot be read is never the same as another.
pub fn is_same_repository(one: &str, other: &str) -> bool {
    let one = normalised(one);
    !one.is_empty() && one == normalised(other)
}

/// The form in which URLs are compared (`writeback.md` 11.4); empty when it cannot be read.
pub fn normalised(url: &str) -> String {
    if url.len() > URL_BYTES_MAX {
        return String::new();
    }
    let mut text = url.trim().to_lowercase();
    if ssh_user(&text).is_some() && !text.starts_with("ssh://") {
        text = format!("ssh://{}", text.replacen(':', "/", 1));
    }
    let text = text.strip_suffix(".git").unwrap_or(&text);
    let printed = printed(text).unwrap_or_default();
    match printed.strip_prefix("ssh://") {
        Some(rest) => rest.into(),
        None => printed,
    }
}

/// What tells whether two writers meet in one repository (WB-10): host and path alone, whatever the scheme, the
/// user, a usual port, `.git` and slashes at the end.
pub fn serial_key(url: &str) -> String {
    let normalised = normalised(url);
    if normalised.is_empty() {
        return url.trim().into();
    }
    let (scheme, rest) = normalised.split_once("://").unwrap_or(("ssh", &normalised));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => ":22",
    };
    let host = host.strip_suffix(port).unwrap_or(host);
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    format!("{host}{path}")
}

/// A URL as it is printed after it was read; `None` when it cannot be read.
fn printed(url: &str) -> Option<String> {
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return None;
    }
    let (url, fragment) = match url.split_once('#') {
        Some((url, fragment)) => (url, fragment),
        None => (url, ""),
    };
    let (scheme, rest) = split_scheme(url)?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let mut text = String::with_capacity(url.len() + 16);
    if !scheme.is_empty() {
        text.push_str(scheme);
        text.push(':');
    }
    if !rest.starts_with('/') {
        if scheme.is_empty() {
            let first = rest.split('/').next().unwrap_or(rest);
            if first.contains(':') {
                return None;
            }
            text.push_str(&printed_path(rest)?);
        } else {
            // Such a URL has no parts.
            text.push_str(rest);
        }
    } else if let Some(rest) = rest
        .strip_prefix("//")
        .filter(|_| !scheme.is_empty() || !rest.starts_with("///"))
    {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        text.push_str("//");
        text.push_str(&printed_authority(authority)?);
        text.push_str(&printed_path(path)?);
    } else {
        text.push_str(&printed_path(rest)?);
    }
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    if !fragment.is_empty() {
        text.push('#');
        text.push_str(&printed_path(fragment)?);
    }
    Some(text)
}

fn split_scheme(url: &str) -> Option<(&str, &str)> {
    for (at, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((&url[..at], &url[at + 1..])),
            _ => break,
        }
    }
    Some(("", url))
}

fn printed_authority(authority: &str) -> Option<String> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let mut text = String::new();
    if let Some(user) = user {
        let is_plain = user
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte));
        if !is_plain {
            return None;
        }
        let (name, password) = match user.split_once(':') {
            Some((name, password)) => (name, Some(password)),
            None => (user, None),
        };
        text.push_str(&escaped(&unescaped(name)?, b"$&+,;="));
        if let Some(password) = password {
            text.push(':');
            text.push_str(&escaped(&unescaped(password)?, b"$&+,;="));
        }
        text.push('@');
    }
    let port = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.1,
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let is_port = port.strip_prefix(':').map_or(port.is_empty(), |digits| {
        digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let is_host = host.bytes().all(|byte| {
        !byte.is_ascii()
            || byte.is_ascii_alphanumeric()
            || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
    });
    if !is_port || !is_host {
        return None;
    }
    text.push_str(&escaped(host.as_bytes(), b"!$&'()*+,;=:[]<>\""));
    Some(text)
}

/// A path as written where that is a valid one, else with escapes.
fn printed_path(path: &str) -> Option<Cow<'_, str>> {
    const OWN: &[u8] = b"$&+,/:;=@";
    let plain = unescaped(path)?;
    let is_valid = path
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@[]%/".contains(&byte));
    if is_valid {
        return Some(Cow::Borrowed(path));
    }
    Some(Cow::Owned(escaped(&plain, OWN)))
}

/// Bytes with their escapes resolved; `None` for a malformed one.
fn unescaped(text: &str) -> Option<alloc::vec::Vec<u8>> {
    let mut bytes = alloc::vec::Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = tail.get(..2)?;
            let digits = core::str::from_utf8(digits).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    Some(bytes)
}

/// Bytes with escapes for all but letters, digits, `-_.~` and `own`.
fn escaped(bytes: &[u8], own: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) || own.contains(byte) {
            text.push(char::from(*byte));
        } else {
            const DIGITS: [char; 16] = [
                '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
            ];
            text.push('%');
            text.push(DIGITS[usize::from(byte >> 4)]);
            text.push(DIGITS[usize::from(byte & 15)]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    #[test]
    fn ways_are_found_whatever_the_spelling() {
        assert_eq!(Transport::of(" HTTPS://h/a"), Transport::Https);
        assert_eq!(Transport::of("http://h/a"), Transport::Http);
        assert_eq!(Transport::of("ssh://h/a"), Transport::Ssh(None));
        assert_eq!(
            Transport::of("SSH://git@h:22/a"),
            Transport::Ssh(Some("git"))
        );
        assert_eq!(Transport::of("git@h:a/b"), Transport::Ssh(Some("git")));
        assert_eq!(Transport::of("h:a/b"), Transport::Ssh(None));
        assert_eq!(Transport::of("file:///a"), Transport::Unknown);
        assert_eq!(Transport::of("/srv/a"), Transport::Unknown);
        assert_eq!(Transport::of(""), Transport::Unknown);
    }

    #[test]
    fn one_repository_has_one_serial_key() {
        for url in [
            "https://h/a/b",
            "https://h/a/b.git",
            "https://u:p@H/a/b/",
            "https://h:443/a/b.git/",
            "http://h/a/b",
            "git@h:a/b.git",
            "ssh://git@h/a/b",
            "ssh://git@h:22/a/b",
        ] {
            assert_eq!(serial_key(url), "h/a/b", "{url}");
        }
        assert_ne!(serial_key("https://h:8443/a/b"), "h/a/b");
    }

    #[test]
    fn urls_that_cannot_be_read_are_nothing() {
        for url in [
            "ssh://bitbucket.org:org/repo",
            "https://h/%zz",
            ":x",
            "https://h h/a",
            "a:b\x01",
        ] {
            assert_eq!(normalised(url), "", "{url}");
        }
        assert_eq!(normalised(&"a".repeat(URL_BYTES_MAX + 1)), "");
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_text_is_answered(text in "[a-zA-Z:/@%.?#\\[\\] é0-9]{0,40}") {
            let one = normalised(&text);
            prop_assert_eq!(is_same_repository(&text, &text), !one.is_empty());
            serial_key(&text);
            Transport::of(&text);
        }
    }
}
