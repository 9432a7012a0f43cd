//! The default wiring: which concrete forge, deployer and store a configuration means. For the command line, and for
//! programs that embed an engine and keep sentry.yaml as its configuration.
//!
//! This is the one file that names concrete types.
//!
//! ```no_run
//! use sentry_cli::compose::{self, Composition};
//! use sentry_config::Environment;
//! use sentry_core::engine::Stop;
//! use sentry_core::secret::Redactor;
//!
//! # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
//! let config = sentry_config::load("sentry.yaml".as_ref(), &Environment::from_process())?;
//! let state = compose::open_store("/var/lib/sentry".as_ref())?;
//! let composition = Composition::new(config, state, &Redactor::new())?;
//! composition.run(&Stop::new()).await?;
//! # Ok(())
//! # }
//! ```

mod keys;
mod page;
mod place;
mod receivers;
mod shared;
mod webhooks;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sentry_api::{Answers, Local, WatchFacts};
use sentry_config::{
    Config, DeployerConfig, DeployerKind, ForgeAuth, ForgeConfig, ForgeKind, GitClient, Polling,
    TokenKind,
};
use sentry_core::deployer::{DeployError, DeployerPorts};
use sentry_core::engine::{BuildError, Engine, Options};
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::notifier::NotifyError;
use sentry_core::remote::Remotes;
use sentry_core::secret::{Form, Redactor, Secret, SecretSource};
use sentry_core::store::{State, StoreError};
use sentry_core::watch::Watch;
use sentry_deploy::{Kubectl, KubectlSettings, Native, NativeSettings};
use sentry_forge::Hosted;
use sentry_forge::Probed;
use sentry_forge::credential::Credential;
use sentry_forge::git::{GitForge, GitSettings, SshSettings, Transport, TransportSettings};
use sentry_forge::gitea::GiteaSettings;
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::http::{Http, HttpSettings};
use sentry_forge::remote::RemoteFiles;
use sentry_forge::webhook::Sender;
use sentry_server::api::Keys;
use sentry_server::page::Setup;
use sentry_server::{Bounded, Counters, Server, Services};
use sentry_store::{MemorySessions, MemoryStore, SqliteStore};

pub(crate) use place::{Place, StateError};
pub(crate) use receivers::receivers;
pub use shared::{Sharing, shared_store};

/// Why a configuration that is right in itself can't be put to work here. A person must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// A forge can't be set up.
    #[error("can't set up the forge {name}")]
    Forge {
        /// The forge.
        name: String,
        /// Why.
        source: ForgeError,
    },
    /// A deployer can't be set up.
    #[error("can't set up the deployer {name}")]
    Deployer {
        /// The deployer.
        name: String,
        /// Why.
        source: DeployError,
    },
    /// A receiver of notifications can't be set up.
    #[error("can't set up the receiver {name}")]
    Receiver {
        /// The receiver.
        name: String,
        /// Why.
        source: NotifyError,
    },
    /// The state can't be set up: the address of its database, or a file that it needs.
    #[error("can't use the database of `state.postgres`")]
    State {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The parts don't fit together.
    #[error("can't set up the engine")]
    Engine(#[from] BuildError),
}

/// All that a configuration becomes, made once and whole. Nobody was asked anything yet.
#[derive(Debug)]
pub struct Composition {
    /// What it was made of.
    pub config: Config,
    /// The engine, over the state.
    pub engine: Engine,
    /// By name, to be asked what else they can tell.
    pub(crate) forges: BTreeMap<String, Arc<dyn Probed>>,
    /// By name.
    pub(crate) deployers: BTreeMap<String, DeployerPorts>,
    state: State,
    shared: Option<shared::Shared>,
    redactor: Redactor,
}

impl Composition {
    /// Puts everything together that the configuration names. Every secret is made known to the redactor.
    ///
    /// # Errors
    /// [`ComposeError`] names the part that can't be set up.
    pub fn new(
        config: Config,
        state: impl Into<State>,
        redactor: &Redactor,
    ) -> Result<Self, ComposeError> {
        learn_secrets(&config, redactor);
        let (state, redactor) = (state.into(), redactor.clone());
        let forges = by_name(&config.forges, |one| Ok((&one.name, forge(one, &redactor)?)))?;
        let deployers =
            by_name(&config.deployers, |one| Ok((&one.name, deployer(one, &redactor)?)))?;
        let options = Options { max_parallel: config.max_parallel.get(), ..Options::default() };
        let mut builder = Engine::builder(state.clone()).options(options).holder(holder());
        for one in &config.forges {
            let mut ports = Arc::clone(&forges[&one.name]).ports();
            ports.remotes = Some(remotes(one, &redactor)?);
            builder = builder.forge(&one.name, ports);
        }
        for (name, deployer) in &deployers {
            builder = builder.deployer(name, deployer.clone());
        }
        for receiver in receivers(&config, &redactor)? {
            builder = builder.notifier(receiver.name().to_owned(), receiver);
        }
        for watch in &config.watches {
            builder = builder.watch(watch.clone());
        }
        let engine = builder.build()?;
        Ok(Self { config, engine, forges, deployers, state, shared: None, redactor })
    }

    /// What people ask, answered from the state and by the engine.
    #[must_use]
    pub fn answers(&self) -> Local {
        Local::new(self.state.clone(), facts(&self.config)).with_engine(self.engine.clone())
    }

    /// The server of the engine: health, metrics, the page and the API if there is a token for them, and the webhooks of
    /// every forge that has a secret for them. It is ready to serve, and counts from now on.
    ///
    /// `state_dir` is the directory whose size is shown; `None` for a state in memory or in a database. `counters` are those of the server
    /// before it, if there was one.
    #[must_use]
    pub fn server(&self, state_dir: Option<&Path>, counters: Option<Counters>) -> Server {
        let mut services = Services::new(self.engine.clone(), self.state.clone());
        if let Some(counters) = &counters {
            services.guesses = counters.guesses();
        }
        services.counters = counters;
        let webhook = |forge| webhooks::endpoint(forge, &self.redactor);
        services.webhooks = self.config.forges.iter().filter_map(webhook).collect();
        services.state_dir = state_dir.map(Path::to_owned);
        env!("CARGO_PKG_VERSION").clone_into(&mut services.version);
        services.routes = match keys::Tokens::of(&self.config.server, &self.redactor) {
            None => sentry_server::page::closed(),
            Some(tokens) => {
                let answers: Arc<dyn Answers> = Arc::new(Bounded::new(Arc::new(self.answers())));
                let keys: Arc<dyn Keys> = Arc::new(tokens);
                let (live, guesses) = (services.live.clone(), services.guesses.clone());
                let (asked, known) = (Arc::clone(&answers), Arc::clone(&keys));
                let sessions = self.shared.as_ref().map(|shared| Arc::clone(&shared.with.sessions));
                let sessions = sessions.unwrap_or_else(|| Arc::new(MemorySessions::new()));
                let mut page = Setup::new(asked, known, sessions, live.clone(), guesses.clone());
                page.watches = page::places(&self.config);
                page.version.clone_from(&services.version);
                sentry_server::api::routes(answers, keys, live, guesses)
                    .merge(sentry_server::page::routes(page))
            }
        };
        Server::new(services)
    }
}

fn by_name<'a, C, T>(
    configured: &'a [C],
    make: impl Fn(&'a C) -> Result<(&'a String, T), ComposeError>,
) -> Result<BTreeMap<String, T>, ComposeError> {
    configured.iter().map(|one| make(one).map(|(name, made)| (name.clone(), made))).collect()
}

/// What answers need to know of a configuration.
pub(crate) fn facts(config: &Config) -> Vec<WatchFacts> {
    let forge = |watch: &Watch| config.forge(&watch.source.forge);
    let facts = |watch: &Watch| WatchFacts {
        name: watch.name.clone(),
        subjects: watch.source.subjects.clone(),
        has_statuses: forge(watch).is_none_or(|forge| forge.kind.is_hosted()),
    };
    config.watches.iter().map(facts).collect()
}

/// Makes the redactor know every secret that the configuration holds, and those in files before they are used: a server may
/// repeat them all the same. A file that can't be read is told of where it is used.
pub(crate) fn learn_secrets(config: &Config, redactor: &Redactor) {
    config.secrets().for_each(|secret| redactor.learn(secret));
    for file in config.secret_files() {
        if let Ok(secret) = Secret::in_file(file, Form::Lines) {
            redactor.learn(&secret);
        }
    }
}

/// What gets documents from elsewhere without a configuration: by the system's proxies and authorities.
///
/// # Errors
/// [`ForgeErrorKind::Local`] if the network's settings are not usable.
pub(crate) fn remote_files(redactor: &Redactor) -> Result<Arc<dyn Remotes>, ForgeError> {
    Ok(Arc::new(RemoteFiles::new(&HttpSettings::new(redactor.clone()))?))
}

/// Makes every deployer of the configuration one that writes nothing.
pub(crate) fn dry_run(config: &mut Config) {
    config.deployers.iter_mut().for_each(|deployer| deployer.kind = DeployerKind::DryRun);
}

/// The state in a directory, made if it isn't there.
///
/// # Errors
/// As [`SqliteStore::open`].
pub fn open_store(dir: &Path) -> Result<State, StoreError> {
    Ok(Arc::new(SqliteStore::open(dir)?).into())
}

/// The state in a directory, for reading beside an agent; `None` if there is none yet.
///
/// # Errors
/// As [`SqliteStore::open_read_only`].
pub fn read_store(dir: &Path) -> Result<Option<State>, StoreError> {
    Ok(SqliteStore::open_read_only(dir)?.map(|store| Arc::new(store).into()))
}

/// A state that ends with the program.
#[must_use]
pub fn memory_store() -> State {
    Arc::new(MemoryStore::new()).into()
}

/// What another agent, or a person, is told about who holds the state.
fn holder() -> String {
    let system = rustix::system::uname();
    format!("process {} on {}", std::process::id(), system.nodename().to_string_lossy())
}

/// The forge that a configuration describes.
fn forge(config: &ForgeConfig, redactor: &Redactor) -> Result<Arc<dyn Probed>, ComposeError> {
    let settings = http_settings(config, redactor);
    let failed = |source| ComposeError::Forge { name: config.name.clone(), source };
    let http = Http::new(&settings).map_err(failed)?;
    let git = transport(config, &http);
    of_kind(config, http, git).map_err(failed)
}

/// What gets documents from elsewhere by the network of a forge.
fn remotes(config: &ForgeConfig, redactor: &Redactor) -> Result<Arc<dyn Remotes>, ComposeError> {
    let files = RemoteFiles::new(&http_settings(config, redactor));
    let failed = |source| ComposeError::Forge { name: config.name.clone(), source };
    Ok(Arc::new(files.map_err(failed)?))
}

fn of_kind(
    config: &ForgeConfig,
    http: Http,
    git: Transport,
) -> Result<Arc<dyn Probed>, ForgeError> {
    let (name, url, polling) = (config.name.clone(), config.url.clone(), polling(config.polling));
    let report = config.report_token.clone().map(Credential::Token);
    Ok(match config.kind {
        ForgeKind::GitHub => {
            let (api, auth) = (url.map(GitHubSettings::api_at), github_auth(config)?);
            let settings = GitHubSettings { name, api, auth, report, polling, http, git };
            Arc::new(Hosted::github(settings)?)
        }
        ForgeKind::GitLab => {
            let credential = credential(&config.auth)?;
            let token_kind = gitlab_token(config.token_kind);
            let settings =
                GitLabSettings { name, url, credential, token_kind, report, polling, http, git };
            Arc::new(Hosted::gitlab(settings)?)
        }
        ForgeKind::Gitea => {
            let (url, credential) = (url.ok_or_else(no_url)?, credential(&config.auth)?);
            let settings = GiteaSettings { name, url, credential, report, http, git };
            Arc::new(Hosted::gitea(settings)?)
        }
        ForgeKind::Git => {
            let forge = GitForge::new(GitSettings {
                name,
                credential: credential(&config.auth)?,
                username: config.username.clone().unwrap_or_else(|| "git".to_owned()),
                http,
                transport: Arc::new(git),
            });
            Arc::new(match &config.origin {
                Some(origin) => forge.only_for(origin),
                None => forge,
            })
        }
    })
}

/// Who sends webhooks for a forge of this kind.
fn sender(kind: ForgeKind) -> Option<Sender> {
    match kind {
        ForgeKind::GitHub => Some(sentry_forge::github::SENDER),
        ForgeKind::GitLab => Some(sentry_forge::gitlab::SENDER),
        ForgeKind::Gitea => Some(sentry_forge::gitea::SENDER),
        ForgeKind::Git => None,
    }
}

fn transport(config: &ForgeConfig, http: &Http) -> Transport {
    let mut settings = match config.git {
        GitClient::Within => TransportSettings::within(http),
        GitClient::Program => TransportSettings::new(http.settings().clone()),
    };
    settings.ssh = config.ssh.as_ref().map(|ssh| SshSettings {
        key_file: ssh.key_file.clone(),
        known_hosts_file: ssh.known_hosts.clone(),
    });
    Transport::new(settings)
}

fn http_settings(config: &ForgeConfig, redactor: &Redactor) -> HttpSettings {
    let mut settings = HttpSettings::new(redactor.clone());
    settings.proxy = config.proxy.as_ref().and_then(|proxy| proxy.expose().parse().ok());
    settings.no_proxy = (!config.no_proxy.is_empty()).then(|| config.no_proxy.join(","));
    settings.ca_file.clone_from(&config.ca_file);
    settings
}

fn github_auth(config: &ForgeConfig) -> Result<GitHubAuth, ForgeError> {
    Ok(match &config.auth {
        ForgeAuth::App { id, installation_id, private_key_file } => GitHubAuth::App {
            app_id: *id,
            installation_id: *installation_id,
            key: Credential::Key(SecretSource::File(private_key_file.clone())),
        },
        other => GitHubAuth::Token(credential(other)?),
    })
}

fn credential(auth: &ForgeAuth) -> Result<Credential, ForgeError> {
    Ok(match auth {
        ForgeAuth::Anonymous => Credential::Anonymous,
        ForgeAuth::Token(source) => Credential::Token(source.clone()),
        ForgeAuth::App { .. } => {
            let text = "an app can't be used here, only a token";
            return Err(ForgeError::new(ForgeErrorKind::Local, text).with_hint(
                "`app` only works for reading from a forge of type github; use a token here",
            ));
        }
    })
}

/// A configuration that was read has one.
fn no_url() -> ForgeError {
    ForgeError::new(ForgeErrorKind::Local, "the forge has no url")
        .with_hint("set its address: https://gitea.example.com")
}

fn gitlab_token(kind: TokenKind) -> GitLabToken {
    match kind {
        TokenKind::Private => GitLabToken::Private,
        TokenKind::OAuth => GitLabToken::OAuth,
        TokenKind::Job => GitLabToken::Job,
    }
}

fn polling(polling: Polling) -> sentry_forge::Polling {
    match polling {
        Polling::Auto => sentry_forge::Polling::Auto,
        Polling::Api => sentry_forge::Polling::Api,
        Polling::Git => sentry_forge::Polling::Git,
    }
}

/// The deployer that a configuration describes.
fn deployer(config: &DeployerConfig, redactor: &Redactor) -> Result<DeployerPorts, ComposeError> {
    match &config.kind {
        DeployerKind::Kubectl { path, kubeconfig } => {
            let mut settings = KubectlSettings::new(redactor.clone());
            settings.path.clone_from(path);
            settings.kubeconfig.clone_from(kubeconfig);
            let failed = |source| ComposeError::Deployer { name: config.name.clone(), source };
            let kubectl = Arc::new(Kubectl::new(settings).map_err(failed)?);
            Ok(DeployerPorts::new(kubectl))
        }
        DeployerKind::Native { kubeconfig } => {
            let mut settings = NativeSettings::new(redactor.clone());
            settings.kubeconfig.clone_from(kubeconfig);
            Ok(DeployerPorts::new(Arc::new(Native::new(settings))))
        }
        DeployerKind::DryRun => Ok(sentry_deploy::dry_run()),
    }
}

#[cfg(test)]
mod tests {
    use sentry_config::Environment;

    use super::*;

    const CONFIG: &str = "\
forges:
  hub: {type: github}
  lab: {type: gitlab}
  tea: {type: gitea, url: 'https://gitea.example.com'}
  git: {type: git}
watches:
  - name: app
    source: {forge: hub, url: https://github.com/example/app, branches: [main]}
    manifests: {forge: lab, url: https://gitlab.com/example/qa, branch: main}
    cluster: {deployer: dry-run, namespace: qa}
";

    #[test]
    fn an_apps_key_where_only_a_token_can_stand_is_an_error_and_never_anonymous() {
        let config = sentry_config::parse(CONFIG, "sentry.yaml", &Environment::new([].into()));
        let app = || ForgeAuth::App { id: 1, installation_id: 2, private_key_file: "key".into() };
        for given in config.unwrap().forges {
            let own = ForgeConfig { auth: app(), ..given.clone() };
            assert!(forge(&given, &Redactor::new()).is_ok(), "{}", given.name);
            if given.kind != ForgeKind::GitHub {
                let Err(ComposeError::Forge { name, source }) = forge(&own, &Redactor::new())
                else {
                    panic!("{} is asked as nobody", given.name);
                };
                assert_eq!((name, source.kind()), (given.name, ForgeErrorKind::Local));
                assert!(source.hint().unwrap().contains("use a token"), "{source}");
            }
        }
    }
}
