//! A throw-away certificate authority and a server certificate for 127.0.0.1, localhost and names of a test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The authority, its PEM file and what a server needs to serve under it.
#[derive(Debug)]
pub struct Tls {
    _dir: TempDir,
    ca: PathBuf,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// A new authority that no one trusts yet.
    ///
    /// # Panics
    /// When keys cannot be made or the temporary directory cannot be written.
    #[expect(clippy::new_without_default, reason = "it makes keys and files: not a default value")]
    pub fn new() -> Self {
        Self::with_names(&[])
    }

    /// The same, and the server may also have these names: a proxy can lead to it by them.
    ///
    /// # Panics
    /// As [`Tls::new`].
    pub fn with_names(more: &[&str]) -> Self {
        let ca_key = KeyPair::generate().expect("a key for the authority");
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "Sentry test authority");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key).expect("a self-signed authority");

        let key = KeyPair::generate().expect("a key for the server");
        let names = ["127.0.0.1", "localhost"].iter().chain(more).map(ToString::to_string);
        let mut leaf = CertificateParams::new(names.collect::<Vec<_>>()).expect("plain names");
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let certificate =
            leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate for the server");

        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider's own protocol versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .expect("a certificate and its key");

        let dir = TempDir::new().expect("a temporary directory");
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, ca_certificate.pem()).expect("ca.pem is written");
        Self { _dir: dir, ca: path, server: Arc::new(server) }
    }

    /// The authority's certificate: what a client must trust (`http.sslCAInfo`, `SSL_CERT_FILE`).
    pub fn ca_pem(&self) -> &Path {
        &self.ca
    }

    /// What a server of this crate is started with to speak TLS under this authority.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}
