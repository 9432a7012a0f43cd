//! Certificates as private servers have them: signed by an authority of one's own, by nobody but themselves, made by hand.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A server with its certificate, and what its operator hands out as the file to trust.
#[derive(Debug, Clone)]
pub struct Kind {
    /// What it is, in words.
    pub name: &'static str,
    /// The file to trust.
    pub trusted: Vec<u8>,
    /// What a server of this crate is started with.
    pub server: Arc<ServerConfig>,
}

/// How a certificate is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// As subjectAltName.
    Alternative,
    /// In the subject alone, as `openssl req -x509` writes them.
    Common,
    /// Those of another host.
    Other,
}

fn params(names: Names, is_ca: bool) -> CertificateParams {
    let alternative: &[&str] = match names {
        Names::Alternative => &["localhost", "127.0.0.1"],
        Names::Common => &[],
        Names::Other => &["other.example"],
    };
    let names = alternative.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).expect("plain names");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.is_ca =
        if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn server(chain: &[&Certificate], key: &KeyPair) -> Arc<ServerConfig> {
    let chain: Vec<CertificateDer<'static>> = chain.iter().map(|one| one.der().clone()).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider's own protocol versions")
        .with_no_client_auth()
        .with_single_cert(
            chain,
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .expect("a certificate and its key");
    Arc::new(config)
}

/// One that nobody signed but itself.
fn own(name: &'static str, params: &CertificateParams) -> Kind {
    let key = key();
    let certificate = params.self_signed(&key).expect("a certificate");
    Kind { name, trusted: certificate.pem().into_bytes(), server: server(&[&certificate], &key) }
}

/// An authority and a server's certificate by way of one between: what is trusted is up to the caller.
fn signed(
    name: &'static str,
    trusted: impl Fn(&Certificate, &Certificate, &Certificate) -> Vec<u8>,
) -> Kind {
    let (root_key, middle_key, leaf_key) = (key(), key(), key());
    let mut root = params(Names::Other, true);
    root.distinguished_name.push(DnType::CommonName, "Root");
    let mut middle = params(Names::Other, true);
    middle.distinguished_name.push(DnType::CommonName, "Between");
    let leaf = params(Names::Alternative, false);
    let root_certificate = root.self_signed(&root_key).expect("a root");
    let root_issuer = Issuer::new(root, root_key);
    let middle_certificate = middle.signed_by(&middle_key, &root_issuer).expect("one between");
    let middle_issuer = Issuer::new(middle, middle_key);
    let leaf_certificate = leaf.signed_by(&leaf_key, &middle_issuer).expect("a server's");
    Kind {
        name,
        trusted: trusted(&root_certificate, &middle_certificate, &leaf_certificate),
        server: server(&[&leaf_certificate, &middle_certificate], &leaf_key),
    }
}

/// Each kind that a private server has, then those that are not to be trusted.
///
/// # Panics
/// When no keys can be made.
pub fn kinds() -> Vec<Kind> {
    let ended = |mut params: CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        params
    };
    let future = |mut params: CertificateParams| {
        params.not_before = date_time_ymd(2150, 1, 1);
        params.not_after = date_time_ymd(2151, 1, 1);
        params
    };
    let mut for_clients = params(Names::Alternative, false);
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let bag = |root: &Certificate, middle: &Certificate, _: &Certificate| {
        let text = format!("# trusted here\n{}subject=x\n{}", middle.pem(), root.pem());
        text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
    };
    let another = own("", &params(Names::Other, true)).trusted;
    let second = |root: &Certificate, _: &Certificate, _: &Certificate| {
        [another.clone(), root.pem().into_bytes()].concat()
    };
    vec![
        signed("the root authority", |root, _, _| root.pem().into_bytes()),
        signed("the root authority behind another one", second),
        signed("the authority between alone", |_, middle, _| middle.pem().into_bytes()),
        signed("the server's own, signed by somebody unknown", |_, _, leaf| {
            leaf.pem().into_bytes()
        }),
        signed("a bag with comments and line breaks of Windows", bag),
        own("self-signed, of no authority", &params(Names::Alternative, false)),
        own("self-signed, an authority's", &params(Names::Alternative, true)),
        own("self-signed, with a common name alone", &params(Names::Common, true)),
        own("self-signed, ended", &ended(params(Names::Alternative, true))),
        own("self-signed, not begun", &future(params(Names::Alternative, true))),
        own("self-signed, for another name", &params(Names::Other, true)),
        own("self-signed, for clients", &for_clients),
        Kind {
            trusted: own("", &params(Names::Alternative, true)).trusted,
            ..signed("another authority", |_, _, _| Vec::new())
        },
    ]
}
