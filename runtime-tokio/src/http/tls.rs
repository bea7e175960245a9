//! TLS settings towards registries: trusted roots, or no check at all.
//!
//! The provider is `ring` throughout; a second one in the process would panic at the first use.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WantsClientCert};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    WantsVerifier,
};

/// HTTP/2 as TLS names it.
pub(super) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// The roots of the system store, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`. Without any, a warning
/// is logged and plain HTTP still works.
pub fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("cannot read trusted certificates: {error}");
    }
    let mut roots = RootCertStore::empty();
    let (_, n_ignored) = roots.add_parsable_certificates(found.certs);
    if n_ignored > 0 {
        tracing::debug!("{n_ignored} trusted certificates could not be parsed");
    }
    if roots.is_empty() {
        tracing::warn!("no trusted certificates found: registries over TLS will be refused");
    }
    roots
}

/// Makes `ring` the provider of the process; to be called first thing in `main`.
pub fn install_tls_provider() {
    // It fails only where a provider is installed already, which then is this one.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

/// Settings that trust `roots`, and show who we are if a server asks.
pub(super) fn client_config(
    roots: Arc<RootCertStore>,
    identity: Option<&ClientIdentity>,
) -> ClientConfig {
    finish(builder().with_root_certificates(roots), identity)
}

/// Settings that trust everybody.
pub(super) fn insecure_client_config(identity: Option<&ClientIdentity>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(AcceptAny { provider });
    let builder = builder().dangerous();
    finish(builder.with_custom_certificate_verifier(verifier), identity)
}

/// The same settings for somebody who is to be spoken to with HTTP/1.1, such as a proxy.
pub(super) fn http1_only(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    config
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default protocol versions")
}

fn finish(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<&ClientIdentity>,
) -> ClientConfig {
    let mut config = match identity {
        Some(ClientIdentity(resolver)) => {
            let resolver: Arc<dyn ResolvesClientCert> = Arc::<SingleCertAndKey>::clone(resolver);
            builder.with_client_cert_resolver(resolver)
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    config
}

/// A certificate of our own with its key.
#[derive(Clone)]
pub(crate) struct ClientIdentity(Arc<SingleCertAndKey>);

/// Why a certificate of our own cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// There is no certificate in it.
    #[error("the client certificate is no PEM certificate")]
    Certificate,
    /// There is no private key in it.
    #[error("the client certificate's key is no PEM private key without a password")]
    Key,
    /// The two do not belong together, or are of a kind that is not known.
    #[error("the client certificate cannot be used with its key: {0}")]
    Pair(rustls::Error),
}

impl ClientIdentity {
    /// Reads both from PEM.
    pub(crate) fn of_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or(IdentityError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::Key)?;
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(IdentityError::Pair)?;
        Ok(Self(Arc::new(SingleCertAndKey::from(pair))))
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(secret)")
    }
}

/// Accepts every certificate for every name, as `insecure` in `registries.conf` asks.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
