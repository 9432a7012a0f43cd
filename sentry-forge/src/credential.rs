//! Where a token comes from, and the forms in which git and the APIs take it.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::secret::{Redactor, Secret};
use tokio::io::AsyncReadExt as _;

/// The largest token file that is read, in bytes: a PEM key has about 3 KiB.
const FILE_CAP: u64 = 64 * 1024;

/// What a forge is asked with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credential {
    /// Nothing: public repositories only.
    Anonymous,
    /// A token, or a private key, that never changes while the program runs.
    Token(Secret),
    /// A file that holds one, read again for each use: a rotated token works from the next request on.
    TokenFile(PathBuf),
}

impl Credential {
    /// The token as it is now, without surrounding white space; `None` for [`Credential::Anonymous`].
    ///
    /// The redactor learns it before it is handed out.
    ///
    /// # Errors
    /// [`ForgeErrorKind::Local`] if the file can't be read or holds no text; worth a retry, files get repaired.
    pub async fn token(&self, redactor: &Redactor) -> Result<Option<Secret>, ForgeError> {
        let secret = match self {
            Self::Anonymous => return Ok(None),
            Self::Token(secret) => secret.clone(),
            Self::TokenFile(path) => {
                let text = read_capped(path).await.map_err(|e| {
                    local(format!("can't read the token file {}", path.display()))
                        .with_source(e)
                        .with_hint("check that the file exists and that this account may read it")
                })?;
                if text.trim().is_empty() {
                    return Err(local(format!("the token file {} is empty", path.display()))
                        .with_hint("write the token into it; it is read again by itself"));
                }
                Secret::new(text.trim())
            }
        };
        redactor.learn(&secret);
        Ok(Some(secret))
    }
}

async fn read_capped(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    tokio::fs::File::open(path).await?.take(FILE_CAP).read_to_string(&mut text).await?;
    Ok(text)
}

fn local(message: String) -> ForgeError {
    ForgeError::new(ForgeErrorKind::Local, message)
}

/// `Authorization: Basic …` for git over HTTP; marked sensitive, so that no log shows it.
///
/// # Errors
/// Never in practice: base64 is always a valid header.
pub fn basic(user: &str, password: &Secret) -> Result<HeaderValue, ForgeError> {
    header(&format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
}

/// `Authorization: Bearer …`; marked sensitive, so that no log shows it.
///
/// # Errors
/// [`ForgeErrorKind::Local`] if the token holds characters that no header may hold.
pub fn bearer(token: &Secret) -> Result<HeaderValue, ForgeError> {
    header(&format!("Bearer {}", token.expose()))
}

/// A header value that is marked sensitive.
pub(crate) fn header(text: &str) -> Result<HeaderValue, ForgeError> {
    // The cause is left out: nothing may quote the token.
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        local("the token holds a line break or another character that no header may hold".into())
            .with_hint("write the token on one line, without anything else")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rotated_token_file_gives_the_new_token_and_the_redactor_knows_both() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let (credential, redactor) = (Credential::TokenFile(path.clone()), Redactor::new());
        for token in ["first-token", "second-token"] {
            std::fs::write(&path, format!("{token}\n")).unwrap();
            let read = credential.token(&redactor).await.unwrap().unwrap();
            assert_eq!(read.expose(), token);
        }
        assert_eq!(redactor.redact("first-token second-token"), "[redacted] [redacted]");
    }

    #[tokio::test]
    async fn an_empty_or_missing_token_file_is_a_local_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let credential = Credential::TokenFile(path.clone());
        let missing = credential.token(&Redactor::new()).await.unwrap_err();
        std::fs::write(&path, "\n").unwrap();
        let empty = credential.token(&Redactor::new()).await.unwrap_err();
        for error in [missing, empty] {
            assert_eq!(error.kind(), ForgeErrorKind::Local);
            assert!(error.to_string().contains("token"), "{error}");
        }
    }

    #[test]
    fn headers_never_show_the_token_and_a_broken_token_is_not_quoted() {
        let value = basic("oauth2", &Secret::new("s3cr3t-token")).unwrap();
        assert_eq!(value, "Basic b2F1dGgyOnMzY3IzdC10b2tlbg==");
        assert_eq!(format!("{value:?}"), "Sensitive");
        let error = bearer(&Secret::new("two\nlines")).unwrap_err();
        assert!(!format!("{error:?}").contains("two"), "{error:?}");
    }
}
