//! Where an address or a secret comes from.

use std::path::PathBuf;

use sentry_core::notifier::{NotifyError, NotifyErrorKind};
use sentry_core::secret::Secret;
use tokio::io::AsyncReadExt as _;

/// The largest file that is read, in bytes.
const FILE_CAP: u64 = 64 * 1024;

/// Where an address or a secret comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// It never changes while the program runs.
    Value(Secret),
    /// A file that holds it, read again for each use.
    File(PathBuf),
}

impl Source {
    /// What it is now, without surrounding white space. `what` names it in errors.
    pub(crate) async fn read(&self, what: &str) -> Result<Secret, NotifyError> {
        let path = match self {
            Self::Value(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        let text = read_capped(path).await.map_err(|error| {
            NotifyError::new(
                NotifyErrorKind::Local,
                format!("can't read {}, the file of {what}", path.display()),
            )
            .with_source(error)
            .with_hint("check that the file exists and that this account may read it")
        })?;
        if text.trim().is_empty() {
            let text = format!("{}, the file of {what}, is empty", path.display());
            return Err(NotifyError::new(NotifyErrorKind::Local, text)
                .with_hint("write it; the file is read again by itself"));
        }
        Ok(Secret::new(text.trim()))
    }
}

async fn read_capped(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    tokio::fs::File::open(path).await?.take(FILE_CAP).read_to_string(&mut text).await?;
    Ok(text)
}
