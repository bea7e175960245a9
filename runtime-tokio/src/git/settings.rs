//! Settings of the ways to Git servers (`writeback.md` 1.2, 12.3, 12.4).

use std::path::PathBuf;
use std::time::Duration;

use crate::args::{Environment, GitVariables};
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

impl GitSettings {
    /// What the variables of the process say; `http` brings its proxies and limits.
    pub fn of(variables: &GitVariables, environment: &Environment, http: &HttpSettings) -> Self {
        let mut settings = Self {
            http: http.clone(),
            exchange_timeout: variables.exchange_timeout,
            request_timeout: variables.request_timeout,
            token_lifetime: variables.github_token_lifetime,
            ..Self::default()
        };
        if let Some(folder) = environment.text("ARGOCD_TLS_DATA_PATH") {
            settings.http.ca_folder = PathBuf::from(folder);
        }
        if let Some(folder) = environment.text("ARGOCD_SSH_DATA_PATH") {
            settings.known_hosts = PathBuf::from(folder).join("ssh_known_hosts");
        }
        settings
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_argo_cd_unless_variables_name_others() {
        let check = |pairs: &[(&str, &str)], ca_folder: &str, known_hosts: &str| {
            let environment: Environment = pairs.iter().copied().collect();
            let variables = GitVariables::of(&environment, &mut Vec::new());
            let settings = GitSettings::of(&variables, &environment, &HttpSettings::default());
            assert_eq!(settings.http.ca_folder, PathBuf::from(ca_folder));
            assert_eq!(settings.known_hosts, PathBuf::from(known_hosts));
        };
        check(&[], "/app/config/tls", "/app/config/ssh/ssh_known_hosts");
        check(
            &[
                ("ARGOCD_SSH_DATA_PATH", "/s"),
                ("ARGOCD_TLS_DATA_PATH", "/t"),
            ],
            "/t",
            "/s/ssh_known_hosts",
        );
    }
}
