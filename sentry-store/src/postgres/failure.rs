//! What can go wrong with the database, before it is put into words for a person.

use std::time::Duration;

use sentry_core::secret::SourceError;
use sentry_core::store::{StoreError, StoreErrorKind};
use sentry_net::NameError;
use tokio_postgres::error::{DbError, SqlState};

use super::config::Place;
use crate::dto::DtoError;

/// An error below the port.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database says no, or nothing.
    Sql(tokio_postgres::Error),
    /// There was no answer within this time.
    Silent(Duration),
    /// No connection was free within this time, of so many.
    Busy(usize, Duration),
    /// The host has no address.
    Host(NameError),
    /// The password can't be read.
    Password(SourceError),
    /// What was read is not what was written.
    Damaged(String),
    /// A record can't be written, or a row can't be read.
    Record(DtoError),
    /// The server is of this version, which is too old.
    OldServer(String),
    /// The schema is older than the second one, which this program reads.
    OlderSchema(i32, i32),
    /// The schema is newer than the second one, the newest that this program works on.
    NewerSchema(i32, i32),
    /// The slot is another's: who has it, if anybody does.
    Fenced(String),
    /// What was to be taken is another's: what, and who has it, if anybody does.
    Held(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
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
            Self::Held(_) => StoreErrorKind::Held,
            Self::Sql(error) => error.code().map_or(StoreErrorKind::Unavailable, sql_kind),
            Self::Silent(_)
            | Self::Busy(..)
            | Self::Host(_)
            | Self::Password(_)
            | Self::OldServer(_)
            | Self::OlderSchema(..) => StoreErrorKind::Unavailable,
        }
    }

    /// Whether the connection may be used again: the database has answered on it.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Sql(error) => error.as_db_error().is_some(),
            Self::Silent(_) => false,
            _ => true,
        }
    }

    /// Whether a lock was waited for in vain.
    pub(super) fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Sql(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
    }

    /// The error for a caller: what, where, and what to do.
    pub(super) fn at(self, place: &Place) -> StoreError {
        let (what, hint) = self.told(place);
        let error = StoreError::new(self.kind(), format!("the state in {place} {what}"));
        let error = error.with_optional_hint(hint);
        match self {
            Self::Sql(cause) => error.with_source(cause),
            Self::Record(cause) => error.with_source(cause),
            Self::Host(cause) => error.with_source(cause),
            Self::Password(cause) => error.with_source(cause),
            _ => error,
        }
    }

    fn told(&self, place: &Place) -> (String, Option<String>) {
        let plain = |text: &str| (text.to_owned(), None);
        match self {
            Self::Sql(error) => sql_told(error, place),
            Self::Silent(after) => (
                format!("did not answer within {} s", after.as_secs()),
                Some("check the database's load and the network between".to_owned()),
            ),
            Self::Busy(connections, after) => (
                format!(
                    "has no free connection: all {connections} were in use for {} s",
                    after.as_secs()
                ),
                Some("check the database's load".to_owned()),
            ),
            Self::Host(error) => ("can't be reached".to_owned(), Some(error.hint().to_owned())),
            Self::Password(error) => {
                ("can't be opened without its password".to_owned(), error.hint().map(str::to_owned))
            }
            Self::Damaged(what) => (
                format!("is damaged ({what})"),
                Some("restore the database from a backup, or use another one".to_owned()),
            ),
            Self::Record(DtoError::Unreadable(_)) => (
                "is damaged: it holds a record that no version writes".to_owned(),
                Some("restore the database from a backup, or use another one".to_owned()),
            ),
            Self::Record(_) => plain(
                "does not match this Sentry version; run the newest Sentry that used it, or use another database",
            ),
            Self::OldServer(version) => (
                format!("is on PostgreSQL {version}, which is too old"),
                Some(format!("use PostgreSQL {OLDEST} or newer")),
            ),
            Self::OlderSchema(version, known) => (
                format!("is of an older Sentry (schema {version}, this one reads {known})"),
                Some("start an agent of this version: it brings the database forward".to_owned()),
            ),
            Self::NewerSchema(version, known) => (
                format!("was written by a newer Sentry (schema {version}, this one knows {known})"),
                Some("run that one, or use another database".to_owned()),
            ),
            Self::Fenced(what) | Self::Held(what) => plain(what),
        }
    }
}

/// The oldest major version of the server that this works with.
pub(super) const OLDEST: u32 = 14;

/// A statement of ours that the database does not understand, or data that it refuses, means another schema; what its
/// resources, rights and connections say may pass.
fn sql_kind(code: &SqlState) -> StoreErrorKind {
    let is_right = *code == SqlState::INSUFFICIENT_PRIVILEGE;
    match code.code().get(..2) {
        Some("21" | "22" | "23" | "42" | "XX") if !is_right => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Unavailable,
    }
}

const AWAY: &str = "check that the database runs, its address, and the network between";
const TLS: &str = "check the server's certificate, its name, and ca_file; a server without TLS needs sslmode=disable, on a \
                   network that nobody else is on";

fn sql_told(error: &tokio_postgres::Error, place: &Place) -> (String, Option<String>) {
    let Some(answer) = error.as_db_error() else {
        let (what, hint) = if error.to_string().contains("TLS") {
            ("can't be reached by TLS", TLS)
        } else if error.is_closed() {
            ("broke the connection off", AWAY)
        } else {
            ("can't be reached", AWAY)
        };
        return (what.to_owned(), Some(hint.to_owned()));
    };
    let (what, hint) = match *answer.code() {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            format!("refuses user {}", place.user),
            "check user and password; the password is read again for each new connection"
                .to_owned(),
        ),
        SqlState::INVALID_CATALOG_NAME => (
            "can't be opened: there is no such database".to_owned(),
            format!("make it: CREATE DATABASE \"{}\" OWNER \"{}\"", place.database, place.user),
        ),
        SqlState::INSUFFICIENT_PRIVILEGE => right(answer, place),
        SqlState::READ_ONLY_SQL_TRANSACTION => (
            "can't be written: it is a standby".to_owned(),
            "use the address of the primary".to_owned(),
        ),
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => (
            format!("was too slow ({})", answer.message()),
            "check the database's load, and for other programs that lock its tables".to_owned(),
        ),
        SqlState::TOO_MANY_CONNECTIONS => (
            "has no connection left".to_owned(),
            "raise max_connections, or end other programs' connections".to_owned(),
        ),
        SqlState::DISK_FULL => (
            "can't be written: its disk is full".to_owned(),
            "free some space; Sentry continues automatically".to_owned(),
        ),
        _ if sql_kind(answer.code()) == StoreErrorKind::Corrupt => (
            format!("is not as Sentry left it ({})", answer.message()),
            "restore the database from a backup, or use another one".to_owned(),
        ),
        _ => {
            (format!("can't be used ({})", answer.message()), "check the database's log".to_owned())
        }
    };
    (what, Some(hint))
}

/// Which right is missing: the server names what it is a right to.
fn right(answer: &DbError, place: &Place) -> (String, String) {
    let (message, user) = (answer.message(), &place.user);
    let object = message.strip_prefix("permission denied for ");
    let grant = match object.and_then(|object| object.split_once(' ')) {
        Some(("schema", name)) => format!("GRANT USAGE, CREATE ON SCHEMA \"{name}\""),
        Some(("database", name)) => format!("GRANT CONNECT, CREATE ON DATABASE {name}"),
        Some(("table", name)) => {
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE \"{name}\"")
        }
        Some(("function", name)) => format!("GRANT EXECUTE ON FUNCTION \"{name}\""),
        _ => {
            let hint = format!("make {user} the owner of database {}", place.database);
            return (format!("lacks a right ({message})"), hint);
        }
    };
    (
        format!("lacks a right ({message})"),
        format!("{grant} TO \"{user}\", or make {user} the owner of the database"),
    )
}
