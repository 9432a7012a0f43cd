//! Whether a server is who it says: by the system's authorities and the given certificates.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::authorities::Authorities;

/// TLS as every HTTP client of ours speaks it.
///
/// # Errors
/// As [`tls`].
pub(crate) fn config(authorities: &Authorities) -> Result<ClientConfig, Error> {
    let mut config = tls(authorities)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// TLS for a client of another protocol, which trusts whom our HTTP clients trust.
///
/// # Errors
/// The system has no authorities, and none were given. A person must act.
pub fn tls(authorities: &Authorities) -> Result<ClientConfig, Error> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let trust = Arc::new(Trust::new(authorities, Arc::clone(&provider))?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(trust)
        .with_no_client_auth();
    Ok(config)
}

/// A chain up to an authority counts, as everywhere; and so does, as in curl and git, a server's own certificate that was
/// given itself, whoever signed it. Its time, name and purpose must fit all the same.
#[derive(Debug)]
struct Trust {
    chains: Verifier,
    given: Vec<CertificateDer<'static>>,
}

impl Trust {
    fn new(authorities: &Authorities, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let given = authorities.certificates().to_vec();
        // What can sign nothing may still be a server's own.
        let signs =
            |der: &CertificateDer<'_>| RootCertStore::empty().add(der.clone().into_owned()).is_ok();
        let roots = given.iter().filter(|der| signs(der)).cloned();
        Ok(Self { chains: Verifier::new_with_extra_roots(roots, provider)?, given })
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.given.iter().any(|der| der.as_ref() == end_entity.as_ref()) {
            return fits(end_entity, server_name, now)
                .map(|()| ServerCertVerified::assertion())
                .map_err(Error::InvalidCertificate);
        }
        self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Whether a trusted certificate is good now, for servers, and for this one.
fn fits(
    der: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
    let second = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if second < certificate.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet);
    }
    if second > certificate.validity().not_after.timestamp() {
        return Err(CertificateError::Expired);
    }
    let purpose = certificate.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    if purpose.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
        return Err(CertificateError::InvalidPurpose);
    }
    if is_named(&certificate, der, name)? { Ok(()) } else { Err(CertificateError::NotValidForName) }
}

/// Whether the certificate is the server's by its alternative names; by its common name only where it has none of them.
/// curl and git take that (RFC 6125, 6.4.4), and `openssl req -x509` writes nothing else.
fn is_named(
    certificate: &X509Certificate<'_>,
    der: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> Result<bool, CertificateError> {
    let names =
        certificate.subject_alternative_name().map_err(|_| CertificateError::BadEncoding)?;
    let is_host = |name: &GeneralName<'_>| {
        matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_))
    };
    if names.is_some_and(|names| names.value.general_names.iter().any(is_host)) {
        let end =
            webpki::EndEntityCert::try_from(der).map_err(|_| CertificateError::BadEncoding)?;
        return Ok(end.verify_is_valid_for_subject_name(name).is_ok());
    }
    let host = match name {
        ServerName::DnsName(name) => name.as_ref().to_owned(),
        ServerName::IpAddress(ip) => IpAddr::from(*ip).to_string(),
        _ => return Ok(false),
    };
    let mut common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    Ok(common.any(|common| is_common(common, &host)))
}

/// `*.example.com` stands for one label more.
fn is_common(common: &str, host: &str) -> bool {
    let below =
        |rest: &str| host.split_once('.').is_some_and(|(_, host)| host.eq_ignore_ascii_case(rest));
    common.eq_ignore_ascii_case(host) || common.strip_prefix("*.").is_some_and(below)
}
