//! How commits are signed (`writeback.md` 8.4).

use std::time::Duration;

/// What signs commits.
#[derive(Clone, Debug, Default)]
pub enum Signer {
    /// Nothing does.
    #[default]
    None,
}

impl Signer {
    /// The signature of a commit, armored; else why there is none.
    pub(super) async fn sign(&self, _payload: &[u8], _limit: Duration) -> Result<String, String> {
        match self {
            Self::None => Err("no signing key is configured".to_owned()),
        }
    }
}
