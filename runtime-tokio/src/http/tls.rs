//! TLS settings towards registries: trusted roots, or no check at all.
//!
//! The provider is `ring` throughout; a second one in the process would panic at the first use.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
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

/// Settings that trust `roots`.
pub(super) fn client_config(roots: Arc<RootCertStore>) -> ClientConfig {
    with_protocols(
        builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Settings that trust everybody.
pub(super) fn insecure_client_config() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    with_protocols(
        builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny { provider }))
            .with_no_client_auth(),
    )
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

fn with_protocols(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    config
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
