//! Who answers: the state on this machine.

use std::sync::Arc;

use sentry_api::{Answers, Local, WatchFacts};
use sentry_config::{Config, ForgeKind};
use sentry_core::repo::BranchName;
use sentry_core::store::StateStore;
use sentry_core::watch::{Watch, WatchName};

use super::Context;
use crate::compose;
use crate::exit::Failure;

/// Who answers.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) answers: Box<dyn Answers>,
    /// Where that is, for people.
    pub(crate) place: String,
    /// True where no agent has made a state yet.
    pub(crate) is_empty: bool,
}

impl Context {
    /// Who answers a question. Makes no state where there is none.
    pub(crate) fn source(&self) -> Result<Source, Failure> {
        let dir = self.state_dir(None)?;
        let store = compose::read_store(&dir)?;
        let is_empty = store.is_none();
        let answers = local(store.unwrap_or_else(compose::memory_store), self.known_watches());
        Ok(Source { answers, place: dir.display().to_string(), is_empty })
    }

    /// Who takes a request. Makes the state where there is none.
    pub(crate) fn source_to_write(&self) -> Result<Source, Failure> {
        let dir = self.state_dir(None)?;
        let answers = local(compose::open_store(&dir)?, self.known_watches());
        Ok(Source { answers, place: dir.display().to_string(), is_empty: false })
    }

    /// The configured watches; none where there is no readable configuration.
    fn known_watches(&self) -> Vec<WatchFacts> {
        self.config().map(|config| facts(&config)).unwrap_or_default()
    }
}

fn local(store: Arc<dyn StateStore>, watches: Vec<WatchFacts>) -> Box<dyn Answers> {
    Box::new(Local::new(store, watches))
}

/// What answers need to know of a configuration.
pub(crate) fn facts(config: &Config) -> Vec<WatchFacts> {
    let forge = |watch: &Watch| config.forge(&watch.source.forge).map(|forge| forge.kind);
    let facts = |watch: &Watch| WatchFacts {
        name: watch.name.clone(),
        branches: watch.source.branches.clone(),
        has_statuses: forge(watch) != Some(ForgeKind::Git),
    };
    config.watches.iter().map(facts).collect()
}

/// The watch and the branch that a command means, where each may be left out if there is only one.
pub(crate) fn pick(
    config: &Config,
    watch: Option<&WatchName>,
    branch: Option<&BranchName>,
) -> Result<(WatchName, BranchName), Failure> {
    Ok(sentry_api::pick(&facts(config), watch.cloned(), branch.cloned())?)
}
