//! A state in PostgreSQL as a process opens it.

use sentry_core::secret::{Redactor, Secret};
use sentry_store::{PostgresConfig, PostgresStore};

use crate::server::{PASSWORD, server};

/// How a process reaches a database.
pub(crate) fn config(database: &str) -> PostgresConfig {
    let password = Secret::new(PASSWORD).into();
    let config = PostgresConfig::new(&server().url(database)).unwrap();
    config.with_password(password, Redactor::new()).with_connections(4)
}

pub(crate) async fn open(database: &str) -> PostgresStore {
    PostgresStore::open(config(database)).await.unwrap()
}

/// Ends the leases of all members.
pub(crate) fn end_leases(database: &str) {
    server().sql(database, "UPDATE members SET until = clock_timestamp()");
}

/// Ends the connections of all processes.
pub(crate) fn end_connections(database: &str) {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server().sql(database, end);
}
