//! Who answers: the state that the configuration names, or a server.

use std::sync::Arc;

use sentry_api::{Answers, Local, WatchFacts};
use sentry_config::Config;
use sentry_core::names::WatchName;
use sentry_core::store::State;
use sentry_core::subject::Subject;

use super::Context;
use crate::args::{Command, Global};
use crate::compose::{self, facts};
use crate::exit::Failure;
use crate::remote::{Remote, Settings};

/// Who answers.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) answers: Arc<dyn Answers>,
    /// The server, if it is one that answers.
    pub(crate) server: Option<Arc<Remote>>,
    /// Where that is, for people.
    pub(crate) place: String,
    /// True where no agent has made a state yet.
    pub(crate) is_empty: bool,
}

impl Context {
    /// Refuses a server where none can be asked, and what makes no sense beside one.
    pub(crate) fn check_server(&self, command: &Command) -> Result<(), Failure> {
        let Global { server, token_file, ca_file, config, state_dir, .. } = &self.global;
        if server.is_none() {
            let lost = (token_file.is_some() || ca_file.is_some()) && self.server()?.is_none();
            return if lost {
                Err(Failure::usage("--token-file and --ca-file need a server, and none is set")
                    .with_hint("set it with --server or SENTRY_SERVER"))
            } else {
                Ok(())
            };
        }
        if !command.is_remote() {
            return Err(Failure::usage(
                "this command only works on this machine, not through a server",
            )
            .with_hint(
                "drop --server; it works with status, why, history, show, open, explain, audit, trigger \
                     (without --dry-run), retry, rerun, cancel, suspend and resume",
            ));
        }
        if config.is_some() || state_dir.is_some() {
            return Err(Failure::usage("--server can't be combined with --config or --state-dir")
                .with_hint("a server has its own configuration and state"));
        }
        Ok(())
    }

    /// The server that is to be asked: the flag's, else the environment's, unless a flag names what is on this machine.
    pub(crate) fn server(&self) -> Result<Option<Remote>, Failure> {
        let Global { server, token_file, ca_file, config, state_dir, .. } = &self.global;
        let var = |name: &str| self.env.vars.get(name).filter(|value| !value.is_empty());
        let server = match (server, var("SENTRY_SERVER")) {
            (Some(server), _) => server.clone(),
            (None, Some(text)) if config.is_none() && state_dir.is_none() => {
                text.parse().map_err(|e| {
                    Failure::usage("SENTRY_SERVER is not a server address").with_source(e)
                })?
            }
            _ => return Ok(None),
        };
        let token_file = token_file.clone().or_else(|| var("SENTRY_TOKEN_FILE").map(Into::into));
        let settings = Settings { server, token_file, ca_file: ca_file.clone() };
        let remote = Remote::new(settings, self.redactor.clone())?;
        if remote.is_exposed() {
            let text = "warning: without https the token is sent in the clear";
            self.ui.complain(text);
        }
        Ok(Some(remote))
    }

    /// The server as who answers, if one is to be asked.
    fn remote(&self) -> Result<Option<Source>, Failure> {
        Ok(self.server()?.map(|remote| {
            let place = remote.place().to_owned();
            let remote = Arc::new(remote);
            Source {
                answers: Arc::clone(&remote) as _,
                server: Some(remote),
                place,
                is_empty: false,
            }
        }))
    }

    /// Who answers a question. Makes no state where there is none.
    pub(crate) async fn source(&self) -> Result<Source, Failure> {
        if let Some(source) = self.remote()? {
            return Ok(source);
        }
        let place = self.place(None)?;
        let store = self.read(&place).await?;
        let is_empty = store.is_none();
        let answers = local(store.unwrap_or_else(compose::memory_store), self.known_watches());
        Ok(Source { answers, server: None, place: place.to_string(), is_empty })
    }

    /// Who takes a request. Makes the state where there is none.
    pub(crate) async fn source_to_write(&self) -> Result<Source, Failure> {
        if let Some(source) = self.remote()? {
            return Ok(source);
        }
        let place = self.place(None)?;
        let answers = local(self.open(&place).await?, self.known_watches());
        Ok(Source { answers, server: None, place: place.to_string(), is_empty: false })
    }

    /// The configured watches; none where there is no readable configuration.
    fn known_watches(&self) -> Vec<WatchFacts> {
        self.config().map(|config| facts(&config)).unwrap_or_default()
    }
}

fn local(store: State, watches: Vec<WatchFacts>) -> Arc<dyn Answers> {
    Arc::new(Local::new(store, watches))
}

/// The watch and the subject that a command means, where each may be left out if there is only one.
pub(crate) fn pick(
    config: &Config,
    watch: Option<&WatchName>,
    subject: Option<&Subject>,
) -> Result<(WatchName, Subject), Failure> {
    Ok(sentry_api::pick(&facts(config), watch.cloned(), subject.cloned())?)
}
