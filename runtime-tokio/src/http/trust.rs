//! Whose certificates a pool trusts, and the TLS settings that follow (`registry.md` 18, D-42).
//!
//! - Authorities of a registry are added to the system's; `insecure` needs none.
//! - A file is read again for each connection that is opened, so that a rotated one is noticed; the
//!   settings, and with them the sessions that can be resumed, change only when its content does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use image_updater_core::http::{PoolKey, TrustAnchors};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt as _;

use super::target::Target;
use super::tls::{ClientIdentity, client_config, insecure_client_config};

/// Longest file of authorities: the whole system's are a quarter of it.
pub(crate) const PEM_BYTES_MAX: u64 = 1 << 20;

/// Why a server's authorities cannot be used. It ends every connection over TLS to that server.
#[derive(Debug, thiserror::Error)]
#[error("certificate authorities of {registry} cannot be used: {origin}: {problem}")]
pub(super) struct TrustError {
    registry: String,
    /// The file, or the setting.
    origin: String,
    problem: PemProblem,
}

#[derive(Debug, thiserror::Error)]
enum PemProblem {
    #[error("{0}")]
    Read(io::Error),
    #[error("longer than {PEM_BYTES_MAX} bytes")]
    TooLong,
    #[error("no PEM: {0}")]
    Pem(rustls::pki_types::pem::Error),
    #[error("there is no certificate in it")]
    Empty,
    #[error("certificate {number} is none: {source}")]
    Certificate {
        number: usize,
        source: rustls::Error,
    },
}

/// The trust of one pool.
#[derive(Debug)]
pub(super) struct Trust {
    registry: String,
    anchors: Anchors,
    system: Arc<RootCertStore>,
    /// Who we are, for servers that ask.
    identity: Option<ClientIdentity>,
    built: Mutex<Option<Built>>,
}

#[derive(Debug)]
enum Anchors {
    /// Certificates are not checked.
    Anything,
    /// The system's alone.
    System,
    /// A file that need not be there.
    Folder(PathBuf),
    /// A file that must be there.
    File(PathBuf),
    /// PEM from the settings.
    Data(Arc<[u8]>),
}

#[derive(Debug)]
struct Built {
    pem: Option<Arc<[u8]>>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// What `key` says, beside `system`. The file in `folder` that counts is named after the API host,
    /// without its port.
    pub(super) fn new(key: &PoolKey, system: Arc<RootCertStore>, folder: &Path) -> Self {
        let anchors = match (&key.trust, key.insecure) {
            (_, true) => Anchors::Anything,
            (TrustAnchors::File(path), false) => Anchors::File(PathBuf::from(path)),
            (TrustAnchors::Data(pem), false) => Anchors::Data(pem.as_bytes().into()),
            (TrustAnchors::System, false) => match Target::of_url(&key.registry) {
                Ok((_, target)) if !target.host.starts_with('.') => {
                    Anchors::Folder(folder.join(target.host))
                }
                Ok(_) | Err(_) => Anchors::System,
            },
        };
        Self {
            registry: key.registry.clone(),
            anchors,
            system,
            identity: None,
            built: Mutex::default(),
        }
    }

    /// The same with a certificate of our own.
    pub(super) fn with_identity(mut self, identity: Option<ClientIdentity>) -> Self {
        self.identity = identity;
        self
    }

    /// The settings for the next connection.
    pub(super) async fn client_config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let pem: Option<Arc<[u8]>> = match &self.anchors {
            Anchors::Anything | Anchors::System => None,
            Anchors::Data(pem) => Some(Arc::clone(pem)),
            Anchors::File(path) => Some(self.read(path).await?),
            Anchors::Folder(path) => match self.read(path).await {
                Ok(pem) => Some(pem),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error),
            },
        };
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = built.as_ref().filter(|built| built.pem == pem) {
            return Ok(Arc::clone(&built.config));
        }
        if built.is_some() {
            tracing::info!(
                "certificate authorities of {} have changed: {}",
                self.registry,
                self.origin()
            );
        }
        let config = Arc::new(self.build(pem.as_deref())?);
        *built = Some(Built {
            pem,
            config: Arc::clone(&config),
        });
        Ok(config)
    }

    fn build(&self, pem: Option<&[u8]>) -> Result<ClientConfig, TrustError> {
        if matches!(self.anchors, Anchors::Anything) {
            return Ok(insecure_client_config(self.identity.as_ref()));
        }
        let Some(pem) = pem else {
            let system = Arc::clone(&self.system);
            return Ok(client_config(system, self.identity.as_ref()));
        };
        let mut roots = RootCertStore::clone(&self.system);
        add_pem(&mut roots, pem).map_err(|problem| self.error(problem))?;
        Ok(client_config(Arc::new(roots), self.identity.as_ref()))
    }

    async fn read(&self, path: &Path) -> Result<Arc<[u8]>, TrustError> {
        let read = async {
            let mut pem = Vec::new();
            let file = tokio::fs::File::open(path).await?;
            file.take(PEM_BYTES_MAX + 1).read_to_end(&mut pem).await?;
            Ok(pem)
        };
        let pem = read
            .await
            .map_err(|error| self.error(PemProblem::Read(error)))?;
        if pem.len() as u64 > PEM_BYTES_MAX {
            return Err(self.error(PemProblem::TooLong));
        }
        Ok(pem.into())
    }

    fn error(&self, problem: PemProblem) -> TrustError {
        TrustError {
            registry: self.registry.clone(),
            origin: self.origin(),
            problem,
        }
    }

    fn origin(&self) -> String {
        match &self.anchors {
            Anchors::File(path) | Anchors::Folder(path) => path.display().to_string(),
            Anchors::Data(_) => "ca_data".to_owned(),
            Anchors::Anything | Anchors::System => "the system's".to_owned(),
        }
    }
}

/// What is wrong with PEM certificates of a registry, before any connection needs them.
///
/// # Errors
/// A clause for people.
pub(crate) fn check_authorities(pem: &[u8]) -> Result<(), String> {
    if pem.len() as u64 > PEM_BYTES_MAX {
        return Err(PemProblem::TooLong.to_string());
    }
    add_pem(&mut RootCertStore::empty(), pem).map_err(|problem| problem.to_string())
}

impl TrustError {
    fn is_missing(&self) -> bool {
        matches!(&self.problem, PemProblem::Read(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

fn add_pem(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), PemProblem> {
    let mut n_added = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(PemProblem::Pem)?;
        n_added += 1;
        roots
            .add(certificate)
            .map_err(|source| PemProblem::Certificate {
                number: n_added,
                source,
            })?;
    }
    if n_added == 0 {
        return Err(PemProblem::Empty);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn authorities_that_cannot_be_used_are_named_with_their_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        let check = async |content: Option<&[u8]>, expected: &str| {
            match content {
                Some(content) => tokio::fs::write(&file, content)
                    .await
                    .expect("it is written"),
                None => drop(tokio::fs::remove_file(&file).await),
            }
            let path = file.display().to_string();
            let trust = trust(TrustAnchors::File(path.clone()), folder.path());
            let error = trust.client_config().await.expect_err("it is no use");
            let error = error.to_string();
            assert!(error.contains("https://r.test:5000"), "{error}");
            assert!(error.contains(&path) && error.contains(expected), "{error}");
        };
        check(None, "No such file").await;
        check(Some(b""), "no certificate").await;
        check(Some(b"hello"), "no certificate").await;
        let cut_off = b"-----BEGIN CERTIFICATE-----\nMIIB\n";
        check(Some(cut_off), "no PEM").await;
        let no_certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(Some(no_certificate), "certificate 1 is none").await;
        check(Some(&vec![b'x'; 1 << 21]), "longer than").await;
    }

    #[tokio::test]
    async fn file_of_the_folder_is_named_after_the_host_and_noticed_when_it_comes_and_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let trust = trust(TrustAnchors::System, folder.path());
        let first = trust.client_config().await.expect("the system's");
        let again = trust.client_config().await.expect("the system's");
        assert!(Arc::ptr_eq(&first, &again), "unchanged settings are kept");

        let file = folder.path().join("r.test");
        let made = rcgen::generate_simple_self_signed(["r.test".to_owned()]).expect("it is made");
        tokio::fs::write(&file, made.cert.pem())
            .await
            .expect("it is written");
        let second = trust.client_config().await.expect("a certificate");
        assert!(!Arc::ptr_eq(&first, &second), "the file was noticed");

        tokio::fs::write(&file, "broken")
            .await
            .expect("it is written");
        assert!(
            trust.client_config().await.is_err(),
            "it is named, not ignored"
        );

        tokio::fs::remove_file(&file).await.expect("it was there");
        assert!(trust.client_config().await.is_ok(), "the system's");
    }

    #[tokio::test]
    async fn insecure_pool_reads_no_file() {
        let key = PoolKey {
            registry: "https://r.test".to_owned(),
            insecure: true,
            trust: TrustAnchors::File("/no/such/file".to_owned()),
        };
        let trust = Trust::new(&key, Arc::new(RootCertStore::empty()), Path::new("/"));
        assert!(trust.client_config().await.is_ok());
    }

    fn trust(anchors: TrustAnchors, folder: &Path) -> Trust {
        let key = PoolKey {
            registry: "https://r.test:5000".to_owned(),
            insecure: false,
            trust: anchors,
        };
        Trust::new(&key, Arc::new(RootCertStore::empty()), folder)
    }
}
