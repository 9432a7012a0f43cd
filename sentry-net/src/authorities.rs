//! The file with certificates that are trusted besides the system's.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject, SectionKind};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The largest file that is read, in bytes: every public authority together has 250 KiB.
const LARGEST: u64 = 4 << 20;
/// What a file in DER is made into PEM with.
const CONVERT: &str = "convert it: openssl x509 -inform der -in FILE -out FILE.pem";

/// Certificates that are trusted: authorities', or servers' own.
#[derive(Debug, Clone, Default)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a file gives no certificates. A person must act.
#[derive(Debug, thiserror::Error)]
#[error("the CA file {} {problem}", path.display())]
pub struct AuthoritiesError {
    path: PathBuf,
    problem: String,
    hint: &'static str,
    source: Option<io::Error>,
}

impl AuthoritiesError {
    /// What is wrong, as a clause without the file's name.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.hint
    }
}

impl Authorities {
    /// Those of a file, if there is one.
    ///
    /// # Errors
    /// As [`Authorities::read`].
    pub fn of(file: Option<&Path>) -> Result<Self, AuthoritiesError> {
        file.map_or_else(|| Ok(Self::default()), Self::read)
    }

    /// All certificates of a PEM file, whatever else stands in it.
    ///
    /// # Errors
    /// [`AuthoritiesError`] if it can't be read, holds no certificate, or one that is none.
    pub fn read(path: &Path) -> Result<Self, AuthoritiesError> {
        let failed = |problem: String, hint, source| AuthoritiesError {
            path: path.to_owned(),
            problem,
            hint,
            source,
        };
        let size = fs::metadata(path).map(|file| file.len()).unwrap_or_default();
        if size > LARGEST {
            let hint = "use a file that contains only certificates";
            return Err(failed("is larger than 4 MiB".into(), hint, None));
        }
        let bytes = fs::read(path).map_err(|error| {
            let hint = "check that the file exists and that this account may read it";
            failed("can't be read".into(), hint, Some(error))
        })?;
        Self::from_pem(&bytes).map_err(|(problem, hint)| failed(problem, hint, None))
    }

    fn from_pem(bytes: &[u8]) -> Result<Self, (String, &'static str)> {
        let whole = "copy it again, from -----BEGIN to -----END";
        let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
            let (kind, der) = section.map_err(|error| (broken(&error), whole))?;
            if kind == SectionKind::Certificate {
                let number = certificates.len() + 1;
                if !is_certificate(&der) {
                    return Err((
                        format!("contains an invalid certificate, number {number}"),
                        whole,
                    ));
                }
                certificates.push(der.into());
            }
        }
        if certificates.is_empty() {
            return Err(without(bytes));
        }
        Ok(Self { certificates })
    }

    /// The certificates, in the file's order.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The certificates alone, in PEM: what git is given.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.certificates.iter().map(|der| pem(der)).collect()
    }

    /// Who each certificate that has ended was made for, and when it ended.
    #[must_use]
    pub fn ended(&self) -> Vec<String> {
        let parsed = self.certificates.iter().filter_map(|der| X509Certificate::from_der(der).ok());
        parsed
            .filter(|(_, certificate)| {
                certificate.validity().not_after < x509_parser::time::ASN1Time::now()
            })
            .map(|(_, certificate)| {
                format!("{} on {}", certificate.subject(), certificate.validity().not_after)
            })
            .collect()
    }
}

fn is_certificate(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty())
}

/// What a file without a certificate is instead.
fn without(bytes: &[u8]) -> (String, &'static str) {
    let text = String::from_utf8_lossy(bytes);
    let label = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----"));
    let authority = "use the CA's certificate, or the server's own, in PEM format";
    match label.map(|(label, _)| label) {
        _ if bytes.iter().all(u8::is_ascii_whitespace) => ("is empty".into(), authority),
        _ if is_certificate(bytes) => ("is DER, not PEM".into(), CONVERT),
        Some("TRUSTED CERTIFICATE" | "X509 CERTIFICATE") => (
            "contains a certificate in a format that only OpenSSL knows".into(),
            "convert it: openssl x509 -in FILE -out FILE.pem",
        ),
        Some(label)
            if label.len() <= 40
                && label
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ') =>
        {
            (format!("contains no certificate, but a {label}"), authority)
        }
        _ if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) => {
            ("is UTF-16 text".into(), "save it as UTF-8, or plain ASCII")
        }
        _ => ("contains no PEM certificate".into(), authority),
    }
}

fn broken(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { .. } => {
            "contains a certificate without an end marker".to_owned()
        }
        PemError::Base64Decode(_) => "contains a certificate that is not valid base64".to_owned(),
        _ => "is broken PEM".to_owned(),
    }
}

/// A certificate in PEM (RFC 7468).
fn pem(der: &[u8]) -> String {
    let text = base64(der);
    let lines =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
