//! One attempt of the core with its repository: the credential is read, the session run, its end told.
//!
//! An attempt that is given up before the session has begun has changed nothing; from then on the session
//! says what is known.

use std::sync::{Arc, Mutex, PoisonError};

use image_updater_core::git::{Limits, Refusal, RefusalKind, Session};
use image_updater_core::publish::{CredentialReference, GitJob, GitOutcome, Work};
use image_updater_core::repo::credential::GitCredential;
use image_updater_core::repo::record;
use image_updater_core::repo::secret::SecretReference;

use super::client::GitClient;
use super::destination::Destination;
use super::kept::{Kept, KeptKey};
use super::signer::Signer;
use super::work::{Editor, GIVEN_UP};
use crate::kube::{ClusterClient, SecretFailure};
use crate::spawn::Cancelled;

/// What write-back through Git works with.
#[derive(Clone, Debug)]
pub struct GitParts {
    /// Speaks with Git servers.
    pub client: GitClient,
    /// Signs commits.
    pub signer: Signer,
    /// Bounds of a session.
    pub limits: Limits,
    /// Where Argo CD keeps its repositories.
    pub argocd_namespace: String,
}

/// Makes attempts. Beside tokens it keeps trees from one to the next.
#[derive(Clone, Debug)]
pub struct Publisher {
    parts: Arc<GitParts>,
    cluster: ClusterClient,
    kept: Kept,
}

impl Publisher {
    /// A publisher that reads credentials through `cluster`.
    pub fn new(parts: GitParts, cluster: ClusterClient) -> Self {
        Self {
            parts: Arc::new(parts),
            cluster,
            kept: Kept::default(),
        }
    }

    /// Makes one attempt of `job`.
    ///
    /// # Panics
    /// When the session or the edits do.
    pub async fn attempt(self, job: GitJob, mut cancelled: Cancelled) -> GitOutcome {
        let url = job.repository.reveal();
        let destination = match Destination::parse(url) {
            Ok(destination) => destination,
            Err(error) => return refused(RefusalKind::NotGit, error.to_string()),
        };
        let credential = tokio::select! {
            biased;
            () = cancelled.wait() => return refused(RefusalKind::Transport, GIVEN_UP.to_owned()),
            read = self.credential(url, &job.credential) => read,
        };
        let credential = match credential {
            Ok(credential) => credential,
            Err(refusal) => return outcome(refusal),
        };
        let key = KeptKey::of(&job);
        let known = self.kept.take(&key);
        let (job, work) = Work::new(job);
        let session = Session::new(job, destination.remote(), known, self.parts.limits);
        // The session's thread edits; what came of the edits is asked for here.
        let work = Arc::new(Mutex::new(work));
        let editing = Arc::clone(&work);
        let editor: Editor = Box::new(move |worktree| lock(&editing).edit(worktree));
        let finished = self
            .parts
            .client
            .run_until(
                session,
                &destination,
                &credential,
                &self.parts.signer,
                editor,
                cancelled,
            )
            .await;
        self.kept.put(key, finished.known);
        lock(&work).outcome_of(finished.outcome)
    }

    /// Reads the credential for `repository` as it is now (`writeback.md` 11.1, 11.2).
    async fn credential(
        &self,
        repository: &str,
        reference: &CredentialReference,
    ) -> Result<GitCredential, Refusal> {
        let wrong = |error: &dyn std::error::Error| {
            Refusal::new(RefusalKind::Unauthenticated, error.to_string())
        };
        match reference {
            CredentialReference::Repository { project } => {
                let namespace = &self.parts.argocd_namespace;
                let records = self.cluster.read_repositories(namespace).await;
                let records = records.map_err(unread)?;
                let (repositories, templates) = (&records.repositories, &records.templates);
                record::select(repositories, templates, repository, project)
                    .credential(repository)
                    .map_err(|error| wrong(&error))
            }
            CredentialReference::Secret(text) => {
                let secret = SecretReference::parse(text).map_err(|error| wrong(&error))?;
                let fields = self.cluster.read_fields(&secret.namespace, &secret.name);
                let fields = fields.await.map_err(unread)?;
                secret
                    .credential(&fields, repository)
                    .map_err(|error| wrong(&error))
            }
        }
    }
}

/// Why there is no credential, in a class that says whether waiting helps.
fn unread(failure: SecretFailure) -> Refusal {
    let (kind, text) = match failure {
        SecretFailure::Denied(text) | SecretFailure::Missing(text) => {
            (RefusalKind::Unauthenticated, text)
        }
        SecretFailure::Failed(text) => (RefusalKind::Transport, text),
    };
    Refusal::new(kind, text)
}

fn refused(kind: RefusalKind, text: String) -> GitOutcome {
    outcome(Refusal::new(kind, text))
}

fn outcome(refusal: Refusal) -> GitOutcome {
    GitOutcome::Refused {
        refusal,
        ends: Vec::new(),
    }
}

/// An edit that panicked ends the attempt; nobody reads what it left.
fn lock(work: &Mutex<Work>) -> std::sync::MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}
