//! A private certificate authority: what stands behind registries inside companies.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};

const MADE: &str = "certificates can be made of fixed parameters";

/// Issues certificates for servers on loopback.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, both PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new one that nobody else trusts.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect(MADE);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect(MADE);
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect(MADE),
        }
    }

    /// The certificate that clients have to trust, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `127.0.0.1`, `localhost`, and `git.test`, which only a proxy finds.
    pub fn issue(&self) -> Issued {
        let names = ["127.0.0.1", "localhost", "git.test"]
            .map(str::to_owned)
            .to_vec();
        let key = KeyPair::generate().expect(MADE);
        let mut params = CertificateParams::new(names).expect(MADE);
        // The issuer's own name would mean to OpenSSL that the certificate signs itself.
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "issued");
        params.distinguished_name = name;
        let certificate = params.signed_by(&key, &self.issuer).expect(MADE);
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
