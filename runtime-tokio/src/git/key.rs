//! Private keys of SSH, for connections and for signatures.

use russh::keys::{PrivateKey, decode_secret_key};

/// Longest key that is read; RSA keys with 16,384 bits take 13,000.
pub(super) const KEY_BYTES_MAX: usize = 64 << 10;

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
