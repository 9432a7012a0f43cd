//! Where a token comes from, and the forms in which git and the APIs take it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::secret::{self, FileError, Form, Oddity, Redactor, Secret};

/// What a forge is asked with.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing: public repositories only.
    Anonymous,
    /// A token, or a private key, that never changes while the program runs.
    Token(Secret),
    /// A file that holds a token, read again for each use: a rotated token works from the next request on.
    TokenFile(PathBuf),
    /// A file that holds a private key in PEM, read again for each use.
    KeyFile(PathBuf),
}

impl Credential {
    /// The token or key as it is now, without what is not seen around it; `None` for [`Credential::Anonymous`].
    ///
    /// The redactor learns it before it is handed out.
    ///
    /// # Errors
    /// [`ForgeErrorKind::Local`] if the file can't be read or holds what can be no token; worth a retry, files get
    /// repaired.
    pub async fn token(&self, redactor: &Redactor) -> Result<Option<Secret>, ForgeError> {
        let secret = match self {
            Self::Anonymous => return Ok(None),
            Self::Token(secret) => secret.clone(),
            Self::TokenFile(path) => read(path, "token file", Form::Word).await?,
            Self::KeyFile(path) => read(path, "key file", Form::Lines).await?,
        };
        redactor.learn(&secret);
        Ok(Some(secret))
    }
}

async fn read(path: &Path, what: &str, form: Form) -> Result<Secret, ForgeError> {
    secret::read(path, form).await.map_err(|error| {
        let hint = error.hint();
        let path = path.display();
        match error {
            FileError::Read(error) => {
                local(format!("can't read the {what} {path}")).with_source(error).with_hint(hint)
            }
            FileError::Odd(oddity) => local(format!("the {what} {path} {oddity}"))
                .with_hint(format!("{hint}; the file is read again by itself")),
        }
    })
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
        let odd = text.chars().enumerate().find(|(_, c)| !matches!(c, ' '..='~'));
        let at = odd.map(|(n, character)| Oddity::Character { character, at: n + 1 });
        let why = at.map(|oddity| oddity.to_string()).unwrap_or_default();
        local(format!("the token can't be sent: its header {why}"))
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
