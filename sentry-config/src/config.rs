//! The configuration as the program uses it: checked, with every default filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sentry_core::secret::{Secret, SecretSource};
use sentry_core::watch::Watch;
use url::Url;

pub use crate::forge_kind::ForgeKind;
use crate::problem::Problem;
pub use crate::words::{GitClient, LogLevel, Polling, ReceiverKind, TokenKind, TokenRight};

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory that the state is kept in, if the file names one.
    pub state_dir: Option<PathBuf>,
    /// The database that the state is kept in, if the file names one; then every watch has the native deployer.
    pub postgres: Option<PostgresState>,
    /// How much is logged.
    pub log_level: LogLevel,
    /// How many deliveries may run at the same time.
    pub max_parallel: NonZeroUsize,
    /// What is served over HTTP.
    pub server: ServerConfig,
    /// The forges that watches name.
    pub forges: Vec<ForgeConfig>,
    /// The deployers that watches name.
    pub deployers: Vec<DeployerConfig>,
    /// The receivers that watches subscribe.
    pub receivers: Vec<ReceiverConfig>,
    /// The watches, in the order of the file; at least one.
    pub watches: Vec<Watch>,
    /// What a person should know though nothing fails by it.
    pub warnings: Vec<Problem>,
    /// How values were written that `${…}` was filled into and that must not be shown: by path in the long form.
    pub(crate) references: BTreeMap<String, String>,
}

impl Config {
    /// Every secret that the file or the environment gave, for the redactor. What stands in token files is not read here.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let values = self.sources().filter_map(|source| match source {
            SecretSource::Value(secret) => Some(secret),
            SecretSource::File(_) => None,
        });
        let proxies = self.forges.iter().filter_map(|forge| forge.proxy.as_ref());
        let passwords = proxies.filter_map(|proxy| proxy.credentials.as_ref());
        values.chain(passwords.map(|(_, password)| password))
    }

    /// Every file that holds a secret: tokens, keys, addresses of receivers, the database's password.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let files = self.sources().filter_map(|source| match source {
            SecretSource::Value(_) => None,
            SecretSource::File(path) => Some(path.as_path()),
        });
        let database = self.postgres.as_ref().and_then(|it| it.password_file.as_deref());
        files.chain(database).chain(self.forges.iter().filter_map(|forge| match &forge.auth {
            ForgeAuth::App { private_key_file, .. } => Some(private_key_file.as_path()),
            ForgeAuth::Token(_) | ForgeAuth::Anonymous => None,
        }))
    }

    fn sources(&self) -> impl Iterator<Item = &SecretSource> {
        let server = self.server.tokens.iter().map(|token| Some(&token.source));
        let forges = self.forges.iter().flat_map(|forge| {
            let token = match &forge.auth {
                ForgeAuth::Token(token) => Some(token),
                ForgeAuth::App { .. } | ForgeAuth::Anonymous => None,
            };
            [token, forge.report_token.as_ref(), forge.webhook_secret.as_ref()]
        });
        let told = self.receivers.iter().flat_map(|r| [Some(&r.url), r.secret.as_ref()]);
        server.chain(forges).chain(told).flatten()
    }

    /// The forge of a name.
    #[must_use]
    pub fn forge(&self, name: &str) -> Option<&ForgeConfig> {
        self.forges.iter().find(|forge| forge.name == name)
    }
}

/// A state in PostgreSQL, which many processes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresState {
    /// Where it is, without a password: `postgres://USER@HOST:5432/DATABASE`.
    pub url: String,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The file with the password, read again for each new connection.
    pub password_file: Option<PathBuf>,
}

/// What is served over HTTP.
#[derive(Debug, Clone, Default)]
pub struct ServerConfig {
    /// Where it listens; `None`: nothing is served.
    pub listen: Option<SocketAddr>,
    /// The address at which people reach the page, without a slash at its end.
    pub public_url: Option<String>,
    /// The bearer tokens for page and API.
    pub tokens: Vec<TokenConfig>,
}

/// A bearer token for page and API.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// Its name in the audit log: its own, or the key of the file that it stands at (`read_token`, `trigger_token`).
    pub name: String,
    /// The token.
    pub source: SecretSource,
    /// What its holder may do.
    pub right: TokenRight,
}

/// Who is told how deliveries end.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// The name that watches subscribe.
    pub name: String,
    /// What it understands.
    pub kind: ReceiverKind,
    /// Its address.
    pub url: SecretSource,
    /// What events are signed with; `None`: they are not signed.
    pub secret: Option<SecretSource>,
    /// The text, as a template; `None`: one for each route.
    pub template: Option<String>,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// One forge.
#[derive(Debug, Clone)]
pub struct ForgeConfig {
    /// The name that watches refer to it by.
    pub name: String,
    /// What it is.
    pub kind: ForgeKind,
    /// Its base URL; `None` for the public instance of its kind, and for plain git, which takes any.
    pub url: Option<Url>,
    /// Plain git: the one `scheme://host[:port]` that its credentials are for; `None` without credentials.
    pub origin: Option<String>,
    /// How it is told who we are.
    pub auth: ForgeAuth,
    /// By which token commit statuses are set, and nothing else; `None`: as everything.
    pub report_token: Option<SecretSource>,
    /// What its webhooks prove themselves with; `None`: none are taken.
    pub webhook_secret: Option<SecretSource>,
    /// GitLab: what kind of token it is.
    pub token_kind: TokenKind,
    /// Plain git: the user that goes with the token; `None` is the forge's own default.
    pub username: Option<String>,
    /// Plain git over ssh.
    pub ssh: Option<SshConfig>,
    /// The proxy for API calls and git.
    pub proxy: Option<ProxyUrl>,
    /// Hosts that are reached without the proxy.
    pub no_proxy: Vec<String>,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How heads are asked for.
    pub polling: Polling,
    /// What fetches from its http(s) repositories.
    pub git: GitClient,
}

impl ForgeConfig {
    /// The host that its repositories are on; `None` for plain git without a URL, which takes any.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match &self.url {
            Some(url) => url.host_str(),
            None => self.kind.public_host(),
        }
    }
}

/// How a forge is told who we are.
#[derive(Debug, Clone)]
pub enum ForgeAuth {
    /// Not at all: public repositories only.
    Anonymous,
    /// By a token.
    Token(SecretSource),
    /// As an installation of a GitHub App.
    App {
        /// The app's id.
        id: u64,
        /// The installation's id.
        installation_id: u64,
        /// The app's private key (PEM).
        private_key_file: PathBuf,
    },
}

/// ssh credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshConfig {
    /// The private key.
    pub key_file: PathBuf,
    /// The servers' keys.
    pub known_hosts: PathBuf,
}

/// A proxy's address. Neither `Debug` nor `Display` shows its password.
#[derive(Debug, Clone)]
pub struct ProxyUrl {
    pub(crate) url: Url,
    pub(crate) credentials: Option<(String, Secret)>,
}

impl ProxyUrl {
    /// Takes the credentials out of a URL. A password in it may be percent-encoded, and is kept so.
    #[must_use]
    pub fn new(mut url: Url) -> Self {
        let user = url.username().to_owned();
        let password = url.password().map(Secret::new);
        // Both calls fail only for URLs that can't hold credentials: then there are none to take out.
        let taken = url.set_username("").and_then(|()| url.set_password(None)).is_ok();
        let credentials = (taken && (!user.is_empty() || password.is_some()))
            .then(|| (user, password.unwrap_or_else(|| Secret::new(""))));
        Self { url, credentials }
    }

    /// The address without credentials.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The whole address with its credentials: for the one place that connects, never for a message.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut url = self.url.clone();
        if let Some((user, password)) = &self.credentials {
            let password = Some(password.expose()).filter(|p| !p.is_empty());
            // They came out of this URL, so they fit in again.
            let _ = url.set_username(user).and_then(|()| url.set_password(password));
        }
        url.into()
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// One deployer. Watches with the same settings share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployerConfig {
    /// The name that a watch's cluster refers to it by; the same settings always get the same name.
    pub name: String,
    /// What it is.
    pub kind: DeployerKind,
}

/// What carries out plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeployerKind {
    /// kubectl.
    Kubectl {
        /// The program: a name that is looked for in PATH, or a path.
        path: PathBuf,
        /// The kubeconfig; `None` is kubectl's own choice.
        kubeconfig: Option<PathBuf>,
    },
    /// Sentry itself, over the cluster's API.
    Native {
        /// The kubeconfig; `None` is what kubectl would take.
        kubeconfig: Option<PathBuf>,
    },
    /// Nothing is written.
    DryRun,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_password_is_given_only_when_asked_for() {
        let text = "http://user:s3cr%40t@proxy.example.com:3128/";
        let proxy = ProxyUrl::new(text.parse().unwrap());
        assert_eq!(proxy.to_string(), "http://proxy.example.com:3128/");
        assert!(!format!("{proxy:?}").contains("s3cr"));
        assert_eq!(proxy.expose(), text);
    }
}
