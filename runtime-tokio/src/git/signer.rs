//! How commits are signed (`writeback.md` 8.4).
//!
//! With a key of SSH in this process. With `OpenPGP` by `gpg`: its key has an id, by which only `gpg` finds it
//! in its folder (`GNUPGHOME`) or on a card.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::HashAlg;
use russh::keys::ssh_key::LineEnding;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::key::{KEY_BYTES_MAX, read_key};
use crate::args::SigningMethod;
use crate::group::Group;
use crate::http::redact::one_line;

/// What git calls its signatures.
const NAMESPACE: &str = "git";
/// Longest signature.
const SIGNATURE_BYTES_MAX: u64 = 64 << 10;
const DETAIL_CHARS_MAX: usize = 300;
/// What `gpg` says when it has signed; its exit status alone does not tell.
const SIGNED: &str = "[GNUPG:] SIG_CREATED ";

/// What signs commits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Signer {
    /// Nothing does.
    #[default]
    None,
    /// A private key of SSH, whose file this is. It is read for each signature.
    Ssh(PathBuf),
    /// A key that `gpg` knows.
    OpenPgp {
        /// Its id, or whose it is.
        id: String,
        /// The folder with `gpg`'s keys; where that is not given, `GNUPGHOME` of the process (WB-52).
        home: Option<PathBuf>,
    },
}

impl Signer {
    /// The signer of the settings; none without a key.
    pub fn of(method: SigningMethod, key: &str) -> Self {
        match (key, method) {
            ("", _) => Self::None,
            (path, SigningMethod::Ssh) => Self::Ssh(PathBuf::from(path)),
            (id, SigningMethod::Openpgp) => Self::OpenPgp {
                id: id.to_owned(),
                home: None,
            },
        }
    }

    /// The signature of a commit, armored; else why there is none.
    pub(super) async fn sign(&self, payload: &[u8], limit: Duration) -> Result<String, String> {
        let signed = async {
            match self {
                Self::None => Err("no signing key is configured".to_owned()),
                Self::Ssh(path) => sign_with_ssh(path, payload).await,
                Self::OpenPgp { id, home } => sign_with_gpg(id, home.as_deref(), payload).await,
            }
        };
        let passed = |_| Err(format!("no signature within {limit:?}"));
        timeout(limit, signed).await.unwrap_or_else(passed)
    }
}

async fn sign_with_ssh(path: &Path, payload: &[u8]) -> Result<String, String> {
    let place = format!("the signing key {}", path.display());
    let read = async {
        let mut text = String::new();
        let file = tokio::fs::File::open(path).await?;
        let mut file = file.take(KEY_BYTES_MAX as u64 + 1);
        file.read_to_string(&mut text).await?;
        Ok(text)
    };
    let text: std::io::Result<String> = read.await;
    let text = text.map_err(|error| format!("{place} cannot be read: {error}"))?;
    let key = read_key(&text).map_err(|error| format!("{place} {error}"))?;
    let signature = key.sign(NAMESPACE, HashAlg::Sha512, payload);
    signature
        .and_then(|signature| signature.to_pem(LineEnding::LF))
        .map_err(|error| format!("{place} does not sign: {error}"))
}

async fn sign_with_gpg(id: &str, home: Option<&Path>, payload: &[u8]) -> Result<String, String> {
    let user = format!("--local-user={id}");
    let home = home.map(|home| format!("--homedir={}", home.display()));
    let mut arguments = vec![
        "--batch",
        "--no-tty",
        // Nobody is there who could enter a password.
        "--pinentry-mode=error",
        "--status-fd=2",
        "--armor",
        "--detach-sign",
        &user,
    ];
    arguments.extend(home.as_deref());
    let group = Group::start(Path::new("gpg"), &arguments);
    let group = group.map_err(|error| format!("gpg cannot be run: {error}"))?;
    let ended = group.run(payload, SIGNATURE_BYTES_MAX).await;
    let ended = ended.map_err(|error| format!("gpg cannot be spoken to: {error}"))?;
    let said = String::from_utf8_lossy(&ended.complaint);
    if !ended.status.success() || !said.lines().any(|line| line.starts_with(SIGNED)) {
        let words = said.lines().filter(|line| !line.starts_with("[GNUPG:]"));
        let words = one_line(&words.collect::<Vec<_>>().join("; "), DETAIL_CHARS_MAX);
        return Err(format!(
            "gpg does not sign with key {id}: {words}; its keys are those in GNUPGHOME"
        ));
    }
    String::from_utf8(ended.output).map_err(|_| "gpg prints no armored signature".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_sign_is_told_by_its_place_and_not_by_its_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let limit = Duration::from_mins(1);
        let check = async |name: &str, text: Option<&str>, expected: &str| {
            let path = folder.path().join(name);
            if let Some(text) = text {
                tokio::fs::write(&path, text).await.expect("it is written");
            }
            let signer = Signer::of(SigningMethod::Ssh, &path.display().to_string());
            let error = signer.sign(b"x", limit).await.expect_err("no key");
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert!(!error.contains("canary"), "{error}");
        };
        check("none", None, "cannot be read: No such file").await;
        check("empty", Some(""), "is no private key of SSH").await;
        check("text", Some("a canary"), "is no private key of SSH").await;
        let locked = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\ncanary\n";
        check("locked", Some(locked), "is encrypted").await;
        check(
            "long",
            Some(&"x".repeat(1 << 20)),
            "is no private key of SSH",
        )
        .await;
        let none = Signer::of(SigningMethod::Openpgp, "");
        assert_eq!(none, Signer::None);
        assert!(none.sign(b"x", limit).await.is_err());
    }
}
