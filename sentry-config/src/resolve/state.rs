//! A state that many processes share: where its database is.

use super::Resolver;
use crate::config::PostgresState;
use crate::place::{At, Place};
use crate::raw::RawState;
use crate::read::nearest_hint;

const URL: &str = "write postgres://USER@HOST:5432/DATABASE";
const PASSWORD: &str = "take it out, and put it into a file that `password_file` names";
const MODES: [&str; 4] = ["verify-full", "verify-ca", "require", "disable"];
/// What a URL may say after its question mark.
const PARAMETERS: [&str; 11] = [
    "user",
    "dbname",
    "host",
    "port",
    "sslmode",
    "application_name",
    "connect_timeout",
    "options",
    "target_session_attrs",
    "load_balance_hosts",
    "channel_binding",
];

impl Resolver<'_> {
    pub(super) fn state(
        &mut self,
        at: At<RawState>,
        state_dir: Option<&At<String>>,
    ) -> Option<PostgresState> {
        if state_dir.is_some() {
            let message = "the file has a `state_dir` as well";
            self.report.error(&at.place, message, "keep one of `state_dir` and `state`");
        }
        let Some(At { value: raw, place, .. }) = at.value.postgres else {
            self.report.missing(&at.place, "postgres", "write postgres: {url: ...} below it");
            return None;
        };
        let url = self.database_url(raw.url, &place);
        let ca_file = raw.ca_file.map(|at| {
            if url.as_ref().is_some_and(|url| !Url::of(&url.value).is_encrypted()) {
                let hint = "remove it, or write sslmode=verify-full in the url";
                let message = "is not used: the connection to the database is not encrypted";
                self.report.warn(&at.place, message, hint);
            }
            self.ca_file(&at)
        });
        let password_file = raw.password_file.map(|at| self.secret_file(&at).0);
        Some(PostgresState { url: url?.value, ca_file, password_file })
    }

    fn database_url(&mut self, at: Option<At<String>>, parent: &Place) -> Option<At<String>> {
        let Some(at) = at else {
            self.report.missing(parent, "url", URL);
            return None;
        };
        let Some(text) = without_scheme(&at.value) else {
            self.report.error(&at.place, "is not the URL of a PostgreSQL database", URL);
            return None;
        };
        let (message, hint) = match Url::of(text).fault() {
            None => return Some(At { value: at.value.trim().to_owned(), ..at }),
            Some(fault) => fault,
        };
        self.report.error(&at.place, message, &hint);
        None
    }
}

fn without_scheme(url: &str) -> Option<&str> {
    let url = url.trim();
    url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))
}

/// The parts of a database's URL, as libpq has them: it may name several hosts, which no other URL does.
struct Url<'a> {
    user: &'a str,
    has_password: bool,
    hosts: &'a str,
    database: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Url<'a> {
    /// Those of a text, with or without its scheme.
    fn of(text: &'a str) -> Self {
        let text = without_scheme(text).unwrap_or(text);
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (user, place) = base.rsplit_once('@').unwrap_or(("", base));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let parameters = query.split('&').filter(|pair| !pair.is_empty());
        let parameters: Vec<_> =
            parameters.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        let (user, password) = user.split_once(':').map_or((user, None), |(u, p)| (u, Some(p)));
        let has_password =
            password.is_some() || parameters.iter().any(|(key, _)| *key == "password");
        Self { user, has_password, hosts, database, parameters }
    }

    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value)
    }

    /// Whether the server is asked to encrypt: where nothing is said, one that is reached over the network is.
    fn is_encrypted(&self) -> bool {
        let is_socket = |host: &str| host.starts_with('/') || host.starts_with("%2F");
        let is_local = is_socket(self.hosts) || self.parameter("host").is_some_and(is_socket);
        self.parameter("sslmode").map_or(!is_local, |mode| mode != "disable")
    }

    /// What is wrong with it, and the remedy. Nothing of it is repeated but a key: it may hold a password.
    fn fault(&self) -> Option<(String, String)> {
        let fault = |message: &str, hint: &str| Some((message.to_owned(), hint.to_owned()));
        if self.has_password {
            return fault("contains a password", PASSWORD);
        }
        for (what, written, key) in [
            ("user", self.user, "user"),
            ("host", self.hosts, "host"),
            ("database", self.database, "dbname"),
        ] {
            if written.is_empty() && self.parameter(key).is_none_or(str::is_empty) {
                return fault(&format!("names no {what}"), URL);
            }
        }
        if let Some((key, _)) = self.parameters.iter().find(|(key, _)| !PARAMETERS.contains(key)) {
            let message = format!("has the parameter {key}, which Sentry does not know");
            let hint = match *key {
                "sslrootcert" => "take it out, and name the file in `ca_file`".to_owned(),
                key => nearest_hint(key, &PARAMETERS),
            };
            return Some((message, hint));
        }
        let mode = self.parameter("sslmode").unwrap_or(MODES[0]);
        let hint =
            "write sslmode=verify-full; or sslmode=disable, on a network that nobody else is on";
        if !MODES.contains(&mode) {
            return fault("has an sslmode that may not verify the server", hint);
        }
        None
    }
}
