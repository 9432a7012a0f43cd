//! Where a secret comes from, and the one reading of it.

use std::io;
use std::path::{Path, PathBuf};

use super::{FileError, Form, Redactor, Secret};
use crate::error::Error;

/// Where a token, password, key or secret address comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// It never changes while the program runs.
    Value(Secret),
    /// A file that holds it, read again for each use: one that is rotated works from the next use on.
    File(PathBuf),
}

/// Why a file gives no secret now. The text names the file; worth a retry, files get repaired.
pub type SourceError = Error<()>;

impl SecretSource {
    /// The secret as it is now, without what is not seen around it. The redactor learns it before it is handed out.
    /// `what` goes before the file's name in errors: `token file`.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn read(
        &self,
        what: &str,
        form: Form,
        redactor: &Redactor,
    ) -> Result<Secret, SourceError> {
        let secret = match self {
            Self::Value(secret) => secret.clone(),
            Self::File(path) => in_file(path, form).await.map_err(|error| {
                let hint = match &error {
                    FileError::Read(_) => error.hint().to_owned(),
                    FileError::Odd(_) => {
                        format!("{}; the file is reread automatically", error.hint())
                    }
                };
                error.of(what, path).with_hint(hint)
            })?,
        };
        redactor.learn(&secret);
        Ok(secret)
    }
}

impl From<Secret> for SecretSource {
    fn from(secret: Secret) -> Self {
        Self::Value(secret)
    }
}

impl FileError {
    /// The error with the file's name, and what that is: `token file`.
    #[must_use]
    pub fn of(self, what: &str, path: &Path) -> SourceError {
        let (hint, path) = (self.hint(), path.display());
        let error = match self {
            Self::Read(error) => {
                Error::new((), format!("can't read the {what} {path}")).with_source(error)
            }
            Self::Odd(oddity) => Error::new((), format!("the {what} {path} {oddity}")),
        };
        error.with_hint(hint)
    }
}

/// As [`Secret::in_file`], where a slow disk must not block others.
async fn in_file(path: &Path, form: Form) -> Result<Secret, FileError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || Secret::in_file(&path, form)).await;
    read.map_err(|error| FileError::Read(io::Error::other(error)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that no other test has.
    fn path() -> PathBuf {
        std::env::temp_dir().join(format!("sentry-secret-{:016x}", fastrand::u64(..)))
    }

    #[tokio::test]
    async fn a_rotated_file_gives_the_new_secret_and_the_redactor_knows_both() {
        let (path, redactor) = (path(), Redactor::new());
        let source = SecretSource::File(path.clone());
        for token in ["first-token", "second-token"] {
            std::fs::write(&path, format!("{token}\n")).unwrap();
            let read = source.read("token file", Form::Word, &redactor).await.unwrap();
            assert_eq!(read.expose(), token);
        }
        std::fs::remove_file(path).unwrap();
        assert_eq!(redactor.redact("first-token second-token"), "[redacted] [redacted]");
    }

    #[tokio::test]
    async fn a_missing_or_empty_file_is_named_with_what_can_be_done() {
        let (path, redactor) = (path(), Redactor::new());
        let source = SecretSource::File(path.clone());
        let missing = source.read("token file", Form::Word, &redactor).await.unwrap_err();
        std::fs::write(&path, "\n").unwrap();
        let empty = source.read("token file", Form::Word, &redactor).await.unwrap_err();
        std::fs::remove_file(&path).unwrap();
        let path = path.display();
        assert_eq!(missing.to_string(), format!("can't read the token file {path}"));
        assert_eq!(empty.to_string(), format!("the token file {path} is empty"));
        assert!(missing.hint().unwrap().contains("exists"), "{missing:?}");
        assert!(empty.hint().unwrap().ends_with("; the file is reread automatically"), "{empty:?}");
    }
}
