//! Why an answer of git's protocol can't be used.

use std::io;

use sentry_core::forge::{ForgeError, ForgeErrorKind};

use super::attempt::Attempt;

/// Why an answer, a pack or an object can't be used; the texts are clauses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It is not what git's formats promise.
    #[error("{0}")]
    Garbled(String),
    /// It holds more than is allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The server says why, in its own words.
    #[error("{0}")]
    Refused(String),
    /// It ends before its end.
    #[error("the answer ends before its end")]
    Cut,
    /// There is no more time.
    #[error("did not answer in time")]
    Late,
    /// This machine's disk.
    #[error("can't keep the pack on the disk")]
    Disk(#[source] io::Error),
}

impl Fault {
    /// What is not in git's formats.
    pub(crate) fn garbled(what: impl Into<String>) -> Self {
        Self::Garbled(what.into())
    }
}

/// A reader can only tell errors of the system: a fault is taken out of the one that it was put into.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Cut;
        }
        error.downcast::<Self>().unwrap_or_else(Self::Disk)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault)
    }
}

impl Attempt<'_> {
    /// What is wrong with an answer.
    pub(super) fn fault(&self, fault: Fault) -> ForgeError {
        let (repo, doing) = (self.repo(), self.about().fetching());
        let kind = match &fault {
            Fault::Refused(text) => return self.refused(&self.within().http.redact(text)),
            Fault::Garbled(_) | Fault::Cut => ForgeErrorKind::WrongAnswer,
            Fault::TooLarge(_) => ForgeErrorKind::TooLarge,
            Fault::Late => ForgeErrorKind::Unreachable,
            Fault::Disk(_) => ForgeErrorKind::Local,
        };
        match fault {
            Fault::Late | Fault::Cut | Fault::Refused(_) => {
                ForgeError::new(kind, format!("{repo}: {fault} ({doing})"))
            }
            // It may quote the server, which may echo anything.
            Fault::Garbled(what) => {
                let what = self.within().http.redact(&what);
                ForgeError::new(kind, format!("{repo}: the answer {what} ({doing})"))
            }
            Fault::TooLarge(what) => {
                ForgeError::new(kind, format!("{repo}: the answer {what} ({doing})")).with_hint(
                    "push a commit without it, or keep the manifests in a smaller repository",
                )
            }
            Fault::Disk(error) => {
                let dir = self.within().dir.display();
                let text = format!("{repo}: can't keep a pack under {dir} ({doing})");
                ForgeError::new(kind, text)
                    .with_hint("make room in the temporary directory")
                    .with_source(error)
            }
        }
    }
}
