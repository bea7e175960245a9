//! Settings of the ways to Git servers (`writeback.md` 1.2, 12.3, 12.4).

use std::path::PathBuf;
use std::time::Duration;

use crate::http::HttpSettings;

/// Settings of all attempts.
#[derive(Clone, Debug)]
pub struct GitSettings {
    /// Proxies of the process, folder of authorities (`ARGOCD_TLS_DATA_PATH`), limits while connecting.
    pub http: HttpSettings,
    /// `ARGOCD_EXEC_TIMEOUT`: for one exchange with a Git server, and for one signature.
    pub exchange_timeout: Duration,
    /// `ARGOCD_GIT_REQUEST_TIMEOUT`: for one request for a token.
    pub request_timeout: Duration,
    /// `ARGOCD_GITHUB_APP_CREDS_EXPIRATION_DURATION`: how long a token is used at most.
    pub token_lifetime: Duration,
    /// `ssh_known_hosts` in `ARGOCD_SSH_DATA_PATH`: the keys of SSH servers. It is read for each connection.
    pub known_hosts: PathBuf,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            http: HttpSettings::default(),
            exchange_timeout: Duration::from_secs(90),
            request_timeout: Duration::from_secs(15),
            token_lifetime: Duration::from_hours(1),
            known_hosts: PathBuf::from("/app/config/ssh/ssh_known_hosts"),
        }
    }
}
