//! A throw-away certificate authority: a server certificate for 127.0.0.1, localhost and names of a test, and certificates of
//! clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The authority, its PEM file and what a server needs to serve under it.
#[derive(Debug)]
pub struct Tls {
    _dir: TempDir,
    ca: PathBuf,
    ca_der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// A client's certificate and its key, in PEM.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
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
        let issuer = Issuer::new(ca, ca_key);
        let certificate = leaf.signed_by(&key, &issuer).expect("a certificate for the server");

        let dir = TempDir::new().expect("a temporary directory");
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, ca_certificate.pem()).expect("ca.pem is written");
        Self {
            _dir: dir,
            ca: path,
            ca_der: ca_certificate.der().clone(),
            issuer,
            certificate: certificate.der().clone(),
            key,
        }
    }

    /// The authority's certificate: what a client must trust (`http.sslCAInfo`, `SSL_CERT_FILE`).
    pub fn ca_pem(&self) -> &Path {
        &self.ca
    }

    /// What a server of this crate is started with to speak TLS under this authority.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.serves(provider(), Arc::new(NoClientAuth))
    }

    /// The same, and it speaks to nobody who has no certificate of this authority.
    ///
    /// # Panics
    /// When the authority can't be used.
    pub fn demanding_server(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca_der.clone()).expect("an authority");
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        self.serves(provider(), clients.build().expect("who may come"))
    }

    fn serves(
        &self,
        provider: Arc<CryptoProvider>,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own protocol versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![self.certificate.clone()], key);
        Arc::new(server.expect("a certificate and its key"))
    }

    /// A certificate for a client.
    ///
    /// # Panics
    /// When keys can't be made.
    pub fn client(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key for the client");
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name.push(DnType::CommonName, name);
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = leaf.signed_by(&key, &self.issuer).expect("a certificate for the client");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
