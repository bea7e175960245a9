//! Private keys of SSH, for connections and for signatures.

use image_updater_core::registry::base64;
use russh::keys::{PrivateKey, decode_secret_key};

/// Longest key that is read; RSA keys with 16,384 bits take 13,000.
pub(super) const KEY_BYTES_MAX: usize = 64 << 10;

/// What the name of a certificate's kind holds. A certificate has the key that signed it, which may be one too: what
/// reads them goes as deep as they are nested.
const CERTIFICATE: &[u8] = b"-cert-v01@";

/// Why a text is no key that can be used. The text is not shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// It is locked with a password.
    #[error("is encrypted, and nobody can enter its password: use a key without one")]
    Encrypted,
    /// It is none, or of a kind that is not known.
    #[error(
        "is no private key of SSH (ed25519, ecdsa or rsa) in the format of OpenSSH, PKCS#8 or PKCS#1"
    )]
    Malformed,
}

/// Reads a key.
pub(super) fn read_key(text: &str) -> Result<PrivateKey, KeyError> {
    if text.len() > KEY_BYTES_MAX {
        return Err(KeyError::Malformed);
    }
    // As files are pasted: blanks around lines, and lines of any system.
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    if lines.iter().any(|line| line.contains("ENCRYPTED")) {
        return Err(KeyError::Encrypted);
    }
    let begin = lines
        .iter()
        .position(|line| line.starts_with("-----BEGIN "));
    let body = begin.map_or(&[][..], |at| &lines[at + 1..]);
    let body = body.iter().take_while(|line| !line.starts_with('-'));
    let body = base64::decode(&body.copied().collect::<String>());
    let body = body.ok_or(KeyError::Malformed)?;
    let n_bytes = CERTIFICATE.len();
    if body.is_empty() || body.windows(n_bytes).any(|word| word == CERTIFICATE) {
        return Err(KeyError::Malformed);
    }
    let key = decode_secret_key(&lines.join("\n"), None).map_err(|error| {
        if matches!(error, russh::keys::Error::KeyIsEncrypted) {
            KeyError::Encrypted
        } else {
            KeyError::Malformed
        }
    })?;
    if key.is_encrypted() {
        return Err(KeyError::Encrypted);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused_whatever_it_is() {
        let pem = |body: &[u8]| {
            let body = base64::encode(body);
            format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n"
            )
        };
        let check = |text: &str, expected: KeyError| {
            let error = read_key(text).expect_err("no key");
            assert_eq!(error, expected, "{text}");
        };
        check("", KeyError::Malformed);
        check("PuTTY-User-Key-File-3: ssh-ed25519\n", KeyError::Malformed);
        check(
            "-----BEGIN OPENSSH PRIVATE KEY-----\né",
            KeyError::Malformed,
        );
        check(&pem(b""), KeyError::Malformed);
        check(&pem(b"openssh-key-v1"), KeyError::Malformed);
        check(&pem(&[0xff; 4_000]), KeyError::Malformed);
        check(&pem(&nested_certificate()), KeyError::Malformed);
        check(&pem(&vec![7; KEY_BYTES_MAX]), KeyError::Malformed);
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n";
        check(locked, KeyError::Encrypted);
    }

    /// A key whose public half is a certificate that is signed by a certificate, as often as there is room.
    fn nested_certificate() -> Vec<u8> {
        let mut blob = Vec::new();
        while blob.len() < KEY_BYTES_MAX / 2 {
            let mut certificate = text(b"ssh-ed25519-cert-v01@openssh.com");
            for part in [&[0; 32][..], &[0; 32]] {
                certificate.extend(text(part));
            }
            certificate.extend([0; 8]);
            certificate.extend(1_u32.to_be_bytes());
            certificate.extend([text(b"id"), text(b"")].concat());
            certificate.extend([0; 8]);
            certificate.extend([0xff; 8]);
            certificate.extend([text(b""), text(b""), text(b""), text(&blob)].concat());
            certificate.extend(text(b""));
            blob = certificate;
        }
        let mut key = b"openssh-key-v1\0".to_vec();
        key.extend([text(b"none"), text(b"none"), text(b"")].concat());
        key.extend(1_u32.to_be_bytes());
        key.extend([text(&blob), text(b"")].concat());
        key
    }

    fn text(bytes: &[u8]) -> Vec<u8> {
        let n_bytes = u32::try_from(bytes.len()).expect("it is short");
        [&n_bytes.to_be_bytes(), bytes].concat()
    }
}
