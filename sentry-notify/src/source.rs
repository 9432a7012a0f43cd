//! Where an address or a secret comes from.

use std::path::PathBuf;

use sentry_core::notifier::{NotifyError, NotifyErrorKind};
use sentry_core::secret::{self, FileError, Form, Secret};

/// Where an address or a secret comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// It never changes while the program runs.
    Value(Secret),
    /// A file that holds it, read again for each use.
    File(PathBuf),
}

impl Source {
    /// What it is now, without what is not seen around it. `what` names it in errors.
    pub(crate) async fn read(&self, what: &str) -> Result<Secret, NotifyError> {
        let path = match self {
            Self::Value(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        secret::read(path, Form::Word).await.map_err(|error| {
            let hint = error.hint();
            let path = path.display();
            let local = |text| NotifyError::new(NotifyErrorKind::Local, text);
            match error {
                FileError::Read(error) => local(format!("can't read {path}, the file of {what}"))
                    .with_source(error)
                    .with_hint(hint),
                FileError::Odd(oddity) => local(format!("{path}, the file of {what}, {oddity}"))
                    .with_hint(format!("{hint}; the file is read again by itself")),
            }
        })
    }
}
