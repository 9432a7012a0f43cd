//! Why a request has no answer: what did not work, whose fault it is, and what a person can do.

use std::error::Error as StdError;
use std::io;

use reqwest::Url;
use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::names::NameError;
use crate::proxies::Proxies;

/// Why a request has no answer. The client's own error stays the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What did not work, as a clause that a name goes before: `can't be reached: its certificate has expired`.
    pub what: String,
    /// What a person can do, where it is known.
    pub hint: Option<&'static str>,
}

const PROXY: &str = "check `proxy`, or HTTPS_PROXY and NO_PROXY, and that the proxy runs";

impl Failure {
    /// What an error of a client with these proxies means.
    #[must_use]
    pub fn of(error: &reqwest::Error, url: &Url, proxies: &Proxies) -> Self {
        if let Some(tls) = find::<TlsError>(error) {
            let (why, hint) = tls_reason(tls);
            return Self { what: format!("can't be reached: {why}"), hint };
        }
        if let Some(proxy) = proxies.of(url).map(crate::shown).filter(|_| error.is_connect()) {
            let (why, hint) = proxy_reason(error);
            let what = format!("can't be reached: the proxy {proxy} {why}");
            return Self { what, hint: Some(hint) };
        }
        let what = if error.is_timeout() {
            "did not answer in time"
        } else if error.is_connect() {
            "can't be reached"
        } else if error.is_body() || error.is_decode() {
            "closed the connection in the middle of its answer"
        } else {
            "gave an unusable answer"
        };
        let hint = error.is_connect().then(|| reach_hint(error)).flatten();
        Self { what: what.to_owned(), hint }
    }
}

/// What the client says of a proxy that answers a CONNECT in another way than with a 200; the type is its own secret.
const TUNNEL: [(&str, &str, &str); 4] = [
    (
        "proxy authorization required",
        "requires a user and password, or refuses the given ones",
        "write them into the proxy's URL: http://USER:PASSWORD@HOST:PORT",
    ),
    (
        "tunnel error: unsuccessful",
        "refuses to connect there",
        "have the proxy allow this host and port, or bypass it for the host: `no_proxy` or \
         NO_PROXY",
    ),
    ("tunnel error: unexpected end of file", "does not answer like a proxy", PROXY),
    ("tunnel error: proxy response headers too long", "does not answer like a proxy", PROXY),
];

fn proxy_reason(error: &reqwest::Error) -> (&'static str, &'static str) {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let said: Vec<String> = causes.map(ToString::to_string).collect();
    let known = TUNNEL.iter().find(|(sign, ..)| said.iter().any(|said| said.contains(sign)));
    known.map_or(("can't be reached", PROXY), |&(_, what, hint)| (what, hint))
}

/// The first error of a kind among the causes; an error of the system may have it inside.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

fn reach_hint(error: &reqwest::Error) -> Option<&'static str> {
    if let Some(name) = find::<NameError>(error) {
        return Some(name.hint());
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            Some("check the URL's host and port: nothing is listening there")
        }
        _ if error.is_timeout() => Some(
            "check the URL's host and port, and whether a proxy is needed: `proxy` or HTTPS_PROXY",
        ),
        _ => None,
    }
}

fn tls_reason(error: &TlsError) -> (&'static str, Option<&'static str>) {
    match error {
        TlsError::InvalidCertificate(error) => certificate_reason(error),
        TlsError::InvalidMessage(_) | TlsError::InappropriateHandshakeMessage { .. } => (
            "what answers there does not speak TLS",
            Some("check the URL's scheme and port, and whether a proxy answers instead"),
        ),
        TlsError::PeerIncompatible(_)
        | TlsError::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
        ) => (
            "has no TLS version or cipher in common with us",
            Some("have the server support TLS 1.2 or 1.3"),
        ),
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::UnknownCA,
        ) => ("requires a client certificate, which Sentry does not have", None),
        _ => ("the TLS handshake failed", None),
    }
}

fn certificate_reason(error: &CertificateError) -> (&'static str, Option<&'static str>) {
    use CertificateError as E;
    let clock = "renew it; if it is valid, correct this machine's clock";
    match error {
        E::UnknownIssuer => (
            "its certificate is signed by an untrusted CA",
            Some(
                "put the CA's certificate, or the server's own, into a PEM file and set `ca_file` \
                 to it",
            ),
        ),
        E::Expired | E::ExpiredContext { .. } => ("its certificate has expired", Some(clock)),
        E::NotValidYet | E::NotValidYetContext { .. } => {
            ("its certificate is not valid yet", Some(clock))
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => (
            "its certificate is for other names",
            Some(
                "use a name from the certificate in the URL, or issue a certificate with this \
                 name as subjectAltName",
            ),
        ),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => (
            "its certificate is not for servers",
            Some("issue one with extendedKeyUsage serverAuth"),
        ),
        E::Revoked => ("its certificate was revoked", Some("issue a new one")),
        E::BadSignature | E::BadEncoding => ("its certificate is broken", Some("issue a new one")),
        // An authority's own, most often: https://docs.rs/rustls-webpki has no other that a server meets with.
        E::Other(_) => (
            "its certificate is a CA's, not a server's",
            Some(
                "set the certificate itself as `ca_file`, or issue one with basicConstraints \
                 CA:FALSE",
            ),
        ),
        _ => ("its certificate is not trusted", None),
    }
}
