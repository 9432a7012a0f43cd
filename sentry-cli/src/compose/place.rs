//! Where a state is, and what is done with it there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentry_config::PostgresState;
use sentry_core::secret::Redactor;
use sentry_core::store::{State, StoreError};
use sentry_store::{AnyStore, Copied, CopyError, PostgresStore, SqliteStore};

use super::shared::database;
use super::{ComposeError, open_store, read_store};

/// Where a state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Directory(PathBuf),
    /// A database that many processes share.
    Postgres(PostgresState),
}

/// A database's URL holds no password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => dir.display().fmt(f),
            Self::Postgres(postgres) => f.write_str(&postgres.url),
        }
    }
}

/// Why a state can't be opened, or copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// It can't be reached as it is configured. A person must act.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// It can't be used; its kind says whether that may pass.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none to copy. A person must act.
    #[error("there is no state in {0}")]
    None(String),
    /// It is not copied. A person must act.
    #[error("the state is not copied")]
    Copy(#[source] CopyError),
}

impl Place {
    /// The directory, if it is one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(dir) => Some(dir),
            Self::Postgres(_) => None,
        }
    }

    /// Its state, made if it isn't there.
    pub(crate) async fn open(&self, redactor: &Redactor) -> Result<State, StateError> {
        Ok(match self {
            Self::Directory(dir) => open_store(dir)?,
            Self::Postgres(it) => {
                Arc::new(PostgresStore::open(database(it, redactor)?).await?).into()
            }
        })
    }

    /// Its state, to look at; `None` if there is none yet.
    pub(crate) async fn read(&self, redactor: &Redactor) -> Result<Option<State>, StateError> {
        Ok(match self {
            Self::Directory(dir) => read_store(dir)?,
            Self::Postgres(it) => {
                let store = PostgresStore::open_read_only(database(it, redactor)?).await?;
                store.map(|store| Arc::new(store).into())
            }
        })
    }

    /// Copies all of it to another place, where there is nothing.
    pub(crate) async fn copy_to(
        &self,
        to: &Self,
        redactor: &Redactor,
    ) -> Result<Vec<Copied>, StateError> {
        if self.read(redactor).await?.is_none() {
            return Err(StateError::None(self.to_string()));
        }
        let (from, to) = (Whole::open(self, redactor).await?, Whole::open(to, redactor).await?);
        sentry_store::copy(from.store(), to.store()).await.map_err(|error| match error {
            CopyError::Store(error) => StateError::Store(error),
            other => StateError::Copy(other),
        })
    }
}

/// A state with all that it keeps.
enum Whole {
    Directory(SqliteStore),
    Postgres(Box<PostgresStore>),
}

impl Whole {
    async fn open(place: &Place, redactor: &Redactor) -> Result<Self, StateError> {
        Ok(match place {
            Place::Directory(dir) => Self::Directory(SqliteStore::open(dir)?),
            Place::Postgres(it) => {
                Self::Postgres(Box::new(PostgresStore::open(database(it, redactor)?).await?))
            }
        })
    }

    fn store(&self) -> AnyStore<'_> {
        match self {
            Self::Directory(store) => AnyStore::Sqlite(store),
            Self::Postgres(store) => AnyStore::Postgres(store),
        }
    }
}
