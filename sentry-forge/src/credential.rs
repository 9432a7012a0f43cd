//! Where a token comes from, and the forms in which git and the APIs take it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::secret::{Form, Oddity, Redactor, Secret, SecretSource};

/// What a forge is asked with.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing: public repositories only.
    Anonymous,
    /// A token.
    Token(SecretSource),
    /// A private key in PEM.
    Key(SecretSource),
}

impl Credential {
    /// The token or key as it is now; `None` for [`Credential::Anonymous`]. The redactor learns it before it is handed out.
    ///
    /// # Errors
    /// [`ForgeErrorKind::Local`] if the file can't be read or holds no valid token; worth a retry, files get
    /// repaired.
    pub async fn token(&self, redactor: &Redactor) -> Result<Option<Secret>, ForgeError> {
        let read = match self {
            Self::Anonymous => return Ok(None),
            Self::Token(source) => source.read("token file", Form::Word, redactor).await,
            Self::Key(source) => source.read("key file", Form::Lines, redactor).await,
        };
        read.map(Some).map_err(|error| error.of_kind(ForgeErrorKind::Local))
    }
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
        ForgeError::new(ForgeErrorKind::Local, format!("the token can't be sent: its header {why}"))
            .with_hint("write the token on one line, with nothing else")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_never_show_the_token_and_a_broken_token_is_not_quoted() {
        let value = basic("oauth2", &Secret::new("s3cr3t-token")).unwrap();
        assert_eq!(value, "Basic b2F1dGgyOnMzY3IzdC10b2tlbg==");
        assert_eq!(format!("{value:?}"), "Sensitive");
        let error = bearer(&Secret::new("two\nlines")).unwrap_err();
        assert!(!format!("{error:?}").contains("two"), "{error:?}");
    }
}
