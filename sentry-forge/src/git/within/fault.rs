//! Why an answer of git's protocol can't be used.

use std::io;

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
