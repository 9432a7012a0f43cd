//! What can go wrong with the database, before it is put into words for a person.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use sentry_core::store::{StoreError, StoreErrorKind};

use super::BUSY_TIMEOUT;
use crate::dto::DtoError;

/// An error below the port.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite says no.
    Sql(rusqlite::Error),
    /// What was read is not what was written.
    Damaged(String),
    /// A record can't be written, or a row can't be read.
    Record(DtoError),
    /// The schema is newer than the second one, the newest that this program works on.
    NewerSchema(i64, i64),
    /// A newer claim than this one, by whom.
    Fenced(String),
    /// A file that is in use is no longer at its place.
    Displaced(PathBuf, &'static str),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<DtoError> for Failure {
    fn from(error: DtoError) -> Self {
        Self::Record(error)
    }
}

impl Failure {
    /// What kind of error a caller sees.
    pub(super) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Damaged(_) | Self::Record(DtoError::Unreadable(_)) => StoreErrorKind::Corrupt,
            Self::NewerSchema(..) | Self::Record(_) => StoreErrorKind::Newer,
            Self::Fenced(_) => StoreErrorKind::Fenced,
            Self::Displaced(..) => StoreErrorKind::Unavailable,
            Self::Sql(error) => sql_kind(error),
        }
    }

    /// What was found, in a clause.
    pub(super) fn clause(&self) -> String {
        match self {
            Self::Damaged(what) => what.clone(),
            Self::Sql(error) => error.to_string(),
            Self::Record(error) => error.to_string(),
            Self::NewerSchema(..) | Self::Fenced(_) | Self::Displaced(..) => String::new(),
        }
    }

    /// Whether the disk has no room.
    pub(super) fn is_full_disk(&self) -> bool {
        matches!(self, Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// The error for a caller: what, where, and what to do.
    pub(super) fn at(self, db: &Path) -> StoreError {
        let kind = self.kind();
        let what = match (&self, kind) {
            (Self::Displaced(file, what), _) => {
                format!("is no longer in use: {} {what}; {RETURN}", file.display())
            }
            (Self::Fenced(holder), _) => {
                format!("was claimed by {holder}; only one agent may use it, and this one stops")
            }
            (Self::Damaged(what), _) => format!("is damaged ({what}); {RESTART}"),
            (_, StoreErrorKind::Corrupt) => format!("is damaged; {RESTART}"),
            (Self::Sql(error), _) => unavailable(error),
            (Self::NewerSchema(version, known), _) => format!(
                "was written by a newer Sentry (schema {version}, this one knows {known}); run that \
                 one, or use another state directory"
            ),
            (Self::Record(_), _) => {
                "does not match this Sentry version; run the newest Sentry that \
                                     used it, or use another state directory"
                    .to_owned()
            }
        };
        self.cause_of(StoreError::new(kind, format!("the state in {} {what}", db.display())))
    }

    /// The error with this one's own cause, if it has one.
    pub(super) fn cause_of(self, error: StoreError) -> StoreError {
        match self {
            Self::Sql(cause) => error.with_source(cause),
            Self::Record(cause) => error.with_source(cause),
            Self::Damaged(_) | Self::NewerSchema(..) | Self::Fenced(_) | Self::Displaced(..) => {
                error
            }
        }
    }
}

const RESTART: &str =
    "restart the agent: it moves the damaged file aside and explains what happens next";

const RETURN: &str = "nothing is delivered until the same files are back, and then it continues automatically; to \
                      continue without them, restart the agent: it starts with what is there then";

/// Damage, as far as SQLite can tell; a statement of ours that it does not understand means another schema.
fn sql_kind(error: &rusqlite::Error) -> StoreErrorKind {
    match error.sqlite_error_code() {
        None
        | Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::Unknown
            | ErrorCode::TypeMismatch
            | ErrorCode::ConstraintViolation,
        ) => StoreErrorKind::Corrupt,
        Some(_) => StoreErrorKind::Unavailable,
    }
}

fn unavailable(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            "can't be written: the disk is full; free some space, and Sentry continues automatically"
                .into()
        }
        Some(ErrorCode::ReadOnly) => {
            "can't be written: it is read-only; check the directory's permissions and its mount".into()
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "can't be opened; check that the directory exists and that this user can write to it"
                .into()
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => format!(
            "was locked by another program for {} s; end that program (an open sqlite3 shell?)",
            BUSY_TIMEOUT.as_secs()
        ),
        _ => "can't be read or written; check the disk".into(),
    }
}
