//! Reading credentials where the core says they are: the environment, a Secret, a program.
//!
//! Nothing is kept, nothing is logged, and no text of an outcome holds a secret.

mod program;

use std::sync::Arc;
use std::time::Duration;

use image_updater_core::credential::CredentialOutcome;
use image_updater_core::credential::CredentialSource;
use image_updater_core::secret::Secret;
use tokio::sync::Semaphore;

use crate::kube::ClusterClient;

/// Field of a pull secret (`registry.md` 4.1).
const PULL_SECRET_FIELD: &str = ".dockerconfigjson";
/// Longest time for one Secret.
const SECRET_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for one program (`registry.md` 4.2).
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(10);
/// Programs that run at the same time; further ones wait.
const PROGRAMS_MAX: usize = 8;

/// Reads credentials.
#[derive(Clone, Debug)]
pub struct CredentialReader {
    cluster: Option<ClusterClient>,
    program_timeout: Duration,
    programs: Arc<Semaphore>,
}

impl CredentialReader {
    /// A reader that finds Secrets through `cluster`, if there is one.
    pub fn new(cluster: Option<ClusterClient>) -> Self {
        Self {
            cluster,
            program_timeout: PROGRAM_TIMEOUT,
            programs: Arc::new(Semaphore::new(PROGRAMS_MAX)),
        }
    }

    /// Reads the raw content at `source`, once.
    pub async fn read(&self, source: &CredentialSource) -> CredentialOutcome {
        match source {
            CredentialSource::Secret {
                namespace,
                name,
                field,
            } => self.read_secret(namespace, name, field).await,
            CredentialSource::PullSecret { namespace, name } => {
                self.read_secret(namespace, name, PULL_SECRET_FIELD).await
            }
            CredentialSource::Env(variable) => read_variable(variable),
            CredentialSource::Ext(path) => {
                // An error would mean that the semaphore is closed, which nobody does.
                let _place = self.programs.acquire().await.ok();
                match program::run(path, self.program_timeout).await {
                    Ok(output) => CredentialOutcome::Found(output),
                    Err(error) => CredentialOutcome::Failed(error.to_string()),
                }
            }
        }
    }

    async fn read_secret(&self, namespace: &str, name: &str, field: &str) -> CredentialOutcome {
        match &self.cluster {
            Some(cluster) => {
                cluster
                    .read_secret(namespace, name, field, SECRET_TIMEOUT)
                    .await
            }
            None => CredentialOutcome::Failed(format!(
                "cannot read secret {namespace}/{name}: no Kubernetes client given"
            )),
        }
    }
}

fn read_variable(variable: &str) -> CredentialOutcome {
    // The system call panics or errs on names that cannot be those of a variable.
    if variable.is_empty() || variable.contains(['=', '\0']) {
        return CredentialOutcome::Missing(format!("env {variable:?} is not set"));
    }
    match std::env::var_os(variable).map(std::ffi::OsString::into_string) {
        Some(Ok(value)) if !value.is_empty() => CredentialOutcome::Found(Secret::new(value)),
        Some(Err(_)) => CredentialOutcome::Failed(format!("value of {variable} is no text")),
        Some(Ok(_)) | None => CredentialOutcome::Missing(format!("env '{variable}' is not set")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn variable_is_read_and_a_missing_one_is_named() {
        let reader = CredentialReader::new(None);
        let read = async |name: &str| reader.read(&CredentialSource::Env(name.into())).await;
        assert!(matches!(
            read("CARGO_PKG_NAME").await,
            CredentialOutcome::Found(value) if value.reveal() == env!("CARGO_PKG_NAME")
        ));
        assert_eq!(
            read("IMAGE_UPDATER_NO_SUCH_VARIABLE").await,
            CredentialOutcome::Missing("env 'IMAGE_UPDATER_NO_SUCH_VARIABLE' is not set".into())
        );
        for name in ["", "A=B", "A\0"] {
            assert!(
                matches!(read(name).await, CredentialOutcome::Missing(_)),
                "{name:?}"
            );
        }
    }

    #[tokio::test]
    async fn secret_without_a_cluster_says_so() {
        let source = CredentialSource::PullSecret {
            namespace: "argocd".into(),
            name: "regcred".into(),
        };
        assert_eq!(
            CredentialReader::new(None).read(&source).await,
            CredentialOutcome::Failed(
                "cannot read secret argocd/regcred: no Kubernetes client given".into()
            )
        );
    }
}
