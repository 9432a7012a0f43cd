//! Where the database is, and how it is reached.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use sentry_core::secret::{Form, Redactor, Secret, SecretSource, SourceError};
use sentry_net::NameError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// So many connections a process has, unless it is told otherwise.
const CONNECTIONS: usize = 8;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// When a network that has gone silent is noticed.
const DEAD: Duration = Duration::from_secs(10);

/// Where a state in PostgreSQL is, and how it is reached.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// All but the hosts.
    target: Config,
    hosts: Vec<(Host, u16)>,
    pub(super) place: Place,
    pub(super) has_tls: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) password: Option<Password>,
    pub(super) connections: usize,
}

/// Why an address is none of a database. A person must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database's URL {0}")]
pub struct PostgresUrlError(String);

/// What is named in errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) database: String,
    pub(super) user: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database {} on {}", self.database, self.host)
    }
}

/// A password as it is now.
#[derive(Debug, Clone)]
pub(super) struct Password {
    source: SecretSource,
    redactor: Redactor,
}

impl Password {
    pub(super) async fn read(&self) -> Result<Secret, SourceError> {
        self.source.read("file with the database's password", Form::Word, &self.redactor).await
    }
}

impl PostgresConfig {
    /// The database of a URL as libpq knows them: `postgres://USER@HOST:PORT/DATABASE?sslmode=MODE`
    /// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>); a directory of sockets is its
    /// parameter `host`.
    ///
    /// `sslmode` is `disable` or one of `require`, `verify-ca` and `verify-full`: each of these verifies the server's
    /// certificate and name. Without it a server over the network is one of `verify-full`.
    ///
    /// # Errors
    /// [`PostgresUrlError`] if it is none, names no host, user or database, or has a password: that is given apart.
    pub fn new(url: &str) -> Result<Self, PostgresUrlError> {
        let wrong = |what: String| PostgresUrlError(what);
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(wrong("does not begin with postgres://".to_owned()));
        }
        let (bare, mode) = without_mode(url);
        let parsed: Config = bare.parse().map_err(|error: tokio_postgres::Error| {
            let why = error.into_source().map(|why| format!(": {why}")).unwrap_or_default();
            wrong(format!("can't be read{why}"))
        })?;
        if parsed.get_password().is_some() {
            return Err(wrong("must not contain a password; give it apart".to_owned()));
        }
        let missing = |what: &str| wrong(format!("names no {what}"));
        let user = parsed.get_user().ok_or_else(|| missing("user"))?.to_owned();
        let database = parsed.get_dbname().ok_or_else(|| missing("database"))?.to_owned();
        let hosts = hosts(&parsed);
        let sockets = hosts.iter().filter(|(host, _)| matches!(host, Host::Unix(_))).count();
        let is_local = match sockets {
            _ if hosts.is_empty() => return Err(missing("host")),
            0 => false,
            all if all == hosts.len() => true,
            _ => return Err(wrong("names hosts and directories of sockets".to_owned())),
        };
        let has_tls = match mode.as_deref() {
            None => !is_local,
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(other) => {
                return Err(wrong(format!(
                    "has sslmode={other}; use verify-full, or disable for a network that nobody else is on"
                )));
            }
        };
        let mode = if has_tls { SslMode::Require } else { SslMode::Disable };
        let target = target(&parsed, &user, &database, mode);
        let place = Place { host: shown(&hosts), database, user };
        let (ca_file, password) = (None, None);
        Ok(Self { target, hosts, place, has_tls, ca_file, password, connections: CONNECTIONS })
    }

    /// What the driver is given for a connection: each address of each host. It would resolve names by the C library, which a
    /// static program can't.
    pub(super) async fn addressed(&self) -> Result<Config, NameError> {
        let mut config = self.target.clone();
        for (host, port) in &self.hosts {
            match host {
                Host::Unix(directory) => drop(config.host_path(directory).port(*port)),
                Host::Tcp(name) => {
                    for address in addresses(name).await? {
                        config.host(name).hostaddr(address).port(*port);
                    }
                }
            }
        }
        Ok(config)
    }

    /// With certificates that are trusted besides the system's, in a PEM file.
    #[must_use]
    pub fn with_ca_file(mut self, file: Option<PathBuf>) -> Self {
        self.ca_file = file;
        self
    }

    /// With a password, which is read again for each new connection: one that is rotated works from then on.
    #[must_use]
    pub fn with_password(mut self, source: SecretSource, redactor: Redactor) -> Self {
        self.password = Some(Password { source, redactor });
        self
    }

    /// With so many connections at most instead of 8, and never fewer than two. Four more are for leases.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(2);
        self
    }
}

/// The URL without its `sslmode`, of which the driver knows fewer words, and that.
fn without_mode(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let is_mode = |pair: &&str| pair.starts_with("sslmode=");
    let mode = query.split('&').find(is_mode).map(|pair| pair["sslmode=".len()..].to_owned());
    let rest: Vec<&str> = query.split('&').filter(|pair| !is_mode(pair)).collect();
    let mark = if rest.is_empty() { "" } else { "?" };
    (format!("{base}{mark}{}", rest.join("&")), mode)
}

async fn addresses(host: &str) -> Result<Vec<IpAddr>, NameError> {
    match host.parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => sentry_net::addresses(host).await,
    }
}

/// What a URL says of connections, apart from hosts; where it says nothing, what is ours.
fn target(parsed: &Config, user: &str, database: &str, mode: SslMode) -> Config {
    let mut target = Config::new();
    target.user(user).dbname(database).ssl_mode(mode);
    target.application_name(parsed.get_application_name().unwrap_or("sentry"));
    target.connect_timeout(parsed.get_connect_timeout().copied().unwrap_or(CONNECT));
    target.target_session_attrs(parsed.get_target_session_attrs());
    target.load_balance_hosts(parsed.get_load_balance_hosts());
    target.channel_binding(parsed.get_channel_binding());
    if let Some(options) = parsed.get_options() {
        target.options(options);
    }
    target.tcp_user_timeout(DEAD).keepalives_idle(DEAD);
    target.keepalives_interval(DEAD / 5).keepalives_retries(3);
    target
}

/// Each host with its port.
fn hosts(parsed: &Config) -> Vec<(Host, u16)> {
    let ports = parsed.get_ports();
    let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
    parsed.get_hosts().iter().cloned().enumerate().map(|(n, host)| (host, port(n))).collect()
}

fn shown(hosts: &[(Host, u16)]) -> String {
    let shown = |(host, port): &(Host, u16)| match host {
        Host::Tcp(name) => format!("{name}:{port}"),
        Host::Unix(directory) => format!("{}/.s.PGSQL.{port}", directory.display()),
    };
    hosts.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_database_is_and_whether_its_server_is_verified() {
        for (url, place, has_tls) in [
            ("postgres://ada@db.example/ci", "database ci on db.example:5432", true),
            ("postgresql://ada@db:6000/ci?sslmode=disable", "database ci on db:6000", false),
            ("postgres://ada@db/ci?sslmode=require", "database ci on db:5432", true),
            (
                "postgres://ada@db/ci?connect_timeout=3&sslmode=verify-full",
                "database ci on db:5432",
                true,
            ),
            (
                "postgres://ada@a:1,b:2/ci?target_session_attrs=read-write",
                "database ci on a:1, b:2",
                true,
            ),
            (
                "postgres:///ci?host=/run/pg&user=ada&port=7",
                "database ci on /run/pg/.s.PGSQL.7",
                false,
            ),
        ] {
            let config = PostgresConfig::new(url).unwrap();
            assert_eq!(
                (config.place.to_string().as_str(), config.has_tls),
                (place, has_tls),
                "{url}"
            );
            assert_eq!(config.place.user, "ada");
        }
    }

    #[test]
    fn a_url_that_is_none_of_a_database_is_refused_with_what_is_wrong_and_never_its_password() {
        for (url, why) in [
            ("mysql://ada@db/ci", "postgres://"),
            ("postgres://ada:hunter2@db/ci", "password"),
            ("postgres://ada@db/ci?password=hunter2", "password"),
            ("postgres://ada@db", "no database"),
            ("postgres://db/ci", "no user"),
            ("postgres:///ci?user=ada", "no host"),
            ("postgres://ada@db/ci?sslmode=prefer", "verify-full"),
            ("postgres://ada@db/ci?sslcert=x", "sslcert"),
            ("postgres://ada@db:port/ci", "port"),
            ("postgres://ada@db/ci?host=/run/pg", "directories of sockets"),
        ] {
            let told = PostgresConfig::new(url).unwrap_err().to_string();
            assert!(told.contains(why) && !told.contains("hunter2"), "{url}: {told}");
        }
    }
}
