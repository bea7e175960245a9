//! Host keys of SSH servers in the format of OpenSSH's `ssh_known_hosts` (`writeback.md` 12.3).
//!
//! A key of the host must stand there. `@revoked` keys are refused. Certificates are not asked for, so that
//! `@cert-authority` alone makes no host known.

use image_updater_core::registry::base64;
use ring::hmac;
use russh::keys::{Algorithm, HashAlg, PublicKey, parse_public_key_base64};

/// Lines that are looked at.
const LINES_MAX: usize = 50_000;
/// Keys of one host that are kept.
const KEYS_MAX: usize = 64;

/// What is known of one host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct HostKeys {
    keys: Vec<PublicKey>,
    revoked: Vec<PublicKey>,
    has_authority: bool,
}

/// Why a host is not spoken to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum HostKeyError {
    /// No line names it.
    #[error(
        "it is not in ssh_known_hosts: add what `ssh-keyscan` prints for it, once you have checked that"
    )]
    Unknown,
    /// Only an authority is named.
    #[error(
        "ssh_known_hosts has a @cert-authority for it, which is not supported: add its own key"
    )]
    Authority,
    /// The key is another one.
    #[error(
        "its key {0} is not the one in ssh_known_hosts: either it has changed, or somebody stands between"
    )]
    Changed(String),
    /// The key must not be used any more.
    #[error("its key {0} is @revoked in ssh_known_hosts")]
    Revoked(String),
}

impl HostKeys {
    /// What `text` says of a host. Lines for `[host]:port` come first; where there are none, those of the
    /// host count for all its ports.
    pub(super) fn parse(text: &str, host: &str, port: u16) -> Self {
        let full = format!("[{host}]:{port}");
        let names: &[&str] = if port == 22 {
            &[host, &full]
        } else {
            &[&full, host]
        };
        let mut found = Self::default();
        for name in names {
            let mut named = Self::of_name(text, name);
            found.revoked.append(&mut named.revoked);
            if found.keys.is_empty() && !found.has_authority {
                found.keys = named.keys;
                found.has_authority = named.has_authority;
            }
        }
        found
    }

    fn of_name(text: &str, name: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines().take(LINES_MAX) {
            let mut words = line.split_ascii_whitespace().peekable();
            let marker = words.next_if(|word| word.starts_with('@'));
            let Some(hosts) = words.next().filter(|hosts| !hosts.starts_with('#')) else {
                continue;
            };
            if !is_named(hosts, name) {
                continue;
            }
            let (kind, key) = (words.next(), words.next().map(parse_public_key_base64));
            let Some(Ok(key)) = key else {
                continue;
            };
            if kind != Some(key.algorithm().as_str()) {
                continue;
            }
            match marker {
                None if found.keys.len() < KEYS_MAX => found.keys.push(key),
                Some("@revoked") => found.revoked.push(key),
                Some("@cert-authority") => found.has_authority = true,
                None | Some(_) => {}
            }
        }
        found
    }

    /// Fails when no key could be accepted.
    pub(super) fn check_any(&self) -> Result<(), HostKeyError> {
        match (self.keys.is_empty(), self.has_authority) {
            (false, _) => Ok(()),
            (true, true) => Err(HostKeyError::Authority),
            (true, false) => Err(HostKeyError::Unknown),
        }
    }

    /// Accepts a key that is known.
    pub(super) fn check(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        let is_in =
            |keys: &[PublicKey]| keys.iter().any(|known| known.key_data() == key.key_data());
        let shown = || key.fingerprint(HashAlg::Sha256).to_string();
        if is_in(&self.revoked) {
            Err(HostKeyError::Revoked(shown()))
        } else if is_in(&self.keys) {
            Ok(())
        } else {
            self.check_any()?;
            Err(HostKeyError::Changed(shown()))
        }
    }

    /// True when a key of this kind is known: the host is asked for no other.
    pub(super) fn has_kind(&self, algorithm: &Algorithm) -> bool {
        let is_rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
        let is_kind = |own: Algorithm| own == *algorithm || is_rsa(&own) && is_rsa(algorithm);
        self.keys.iter().any(|key| is_kind(key.algorithm()))
    }
}

/// True when the first word of a line names the host: in clear, as a pattern, or hashed.
fn is_named(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        return is_hash_of(hashed, name).unwrap_or(false);
    }
    let name = name.to_ascii_lowercase();
    let mut is_named = false;
    for pattern in hosts.split(',') {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix('!') {
            Some(excluded) if is_like(excluded.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => is_named |= is_like(pattern.as_bytes(), name.as_bytes()),
        }
    }
    is_named
}

fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let (salt, hash) = (base64::decode(salt)?, base64::decode(hash)?);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    Some(hmac::verify(&key, name.as_bytes(), &hash).is_ok())
}

/// `*` stands for any characters, `?` for one. Looks back to the last `*` alone, so that it takes no more than
/// the product of both lengths.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut n_read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n_read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, n_read));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[n_read] => {
                at += 1;
                n_read += 1;
            }
            Some(_) | None => match star {
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    n_read = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf";

    #[test]
    fn a_host_is_known_by_the_lines_that_name_it() {
        for (hosts, host, port, is_known) in [
            ("git.test", "git.test", 22, true),
            ("GIT.test,10.0.0.1", "git.test", 22, true),
            ("other.test", "git.test", 22, false),
            ("*.test", "git.test", 22, true),
            ("git.?est", "git.test", 22, true),
            ("*.test,!git.test", "git.test", 22, false),
            ("[git.test]:2222", "git.test", 2222, true),
            ("[git.test]:2222", "git.test", 22, false),
            ("[git.test]:22", "git.test", 22, true),
            ("git.test", "git.test", 2222, true),
            ("# git.test", "git.test", 22, false),
            // `ssh-keygen -H` made it of git.test.
            (
                "|1|c2FsdHNhbHRzYWx0c2FsdHNhbHQ=|XaXBkzZR9W1pMqwMmXoUQb5vOYo=",
                "git.test",
                22,
                false,
            ),
            ("|1|", "git.test", 22, false),
            ("|1|x|y", "git.test", 22, false),
        ] {
            let known = HostKeys::parse(&format!("{hosts} {ONE} comment"), host, port);
            assert_eq!(
                known.check(&key(ONE)).is_ok(),
                is_known,
                "{hosts} {host}:{port}"
            );
            assert_eq!(known.check_any().is_ok(), is_known, "{hosts}");
        }
    }

    #[test]
    fn hashed_names_are_recognised() {
        let salt = [7; 20];
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        let hash = hmac::sign(&key, b"[git.test]:2222");
        let (salt, hash) = (base64::encode(&salt), base64::encode(hash.as_ref()));
        let text = format!("|1|{salt}|{hash} {ONE}");
        assert_eq!(
            HostKeys::parse(&text, "git.test", 2222).check(&self::key(ONE)),
            Ok(())
        );
        let other = HostKeys::parse(&text, "git.test", 2223);
        assert_eq!(other.check_any(), Err(HostKeyError::Unknown));
    }

    #[test]
    fn what_is_not_known_is_told_apart() {
        let check = |text: &str, expected: Result<(), HostKeyError>| {
            let known = HostKeys::parse(text, "h", 22);
            assert_eq!(known.check(&key(ONE)), expected, "{text}");
        };
        let shown = key(ONE).fingerprint(HashAlg::Sha256).to_string();
        check("", Err(HostKeyError::Unknown));
        check("h ssh-ed25519 AAAA", Err(HostKeyError::Unknown));
        check(
            &format!("h {}", ONE.replace("ssh-ed25519", "ssh-rsa")),
            Err(HostKeyError::Unknown),
        );
        check(&format!("h {ONE}\r\n"), Ok(()));
        check(&format!("h {OTHER}\nh {ONE}"), Ok(()));
        check(
            &format!("h {OTHER}"),
            Err(HostKeyError::Changed(shown.clone())),
        );
        check(
            &format!("@cert-authority h {ONE}"),
            Err(HostKeyError::Authority),
        );
        check(
            &format!("h {ONE}\n@revoked * {ONE}"),
            Err(HostKeyError::Revoked(shown.clone())),
        );
        check(&format!("@unknown h {ONE}"), Err(HostKeyError::Unknown));
        check(
            &format!("[h]:22 {ONE}\n@revoked h {ONE}"),
            Err(HostKeyError::Revoked(shown)),
        );
        // A line for the port has the say over one for the host.
        let text = format!("h {OTHER}\n[h]:23 {ONE}");
        assert_eq!(HostKeys::parse(&text, "h", 23).check(&key(ONE)), Ok(()));
    }

    #[test]
    fn patterns_are_matched_in_bounded_time() {
        let pattern = "*a".repeat(2_000);
        assert!(!is_like(pattern.as_bytes(), "a".repeat(1_900).as_bytes()));
        assert!(is_like(b"**", b""));
        assert!(is_like(b"a*c*", b"abcbc"));
        assert!(!is_like(b"", b"a"));
    }

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).expect("a key")
    }
}
