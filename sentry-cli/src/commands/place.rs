//! Where the state of a command is.

use std::path::PathBuf;

use sentry_config::Config;
use sentry_core::store::State;

use super::Context;
use crate::compose::Place;
use crate::exit::Failure;

impl Context {
    /// Where state is kept: a flag, a database of the configuration, the environment, a directory of the configuration, systemd,
    /// home. An agent's configuration is given; who only asks has none, and one that can't be read must not send us to another
    /// state.
    pub(crate) fn place(&self, config: Option<&Config>) -> Result<Place, Failure> {
        let var = |name: &str| self.env.vars.get(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let postgres = match (config, &self.global.state_dir) {
            (Some(Config { postgres: Some(_), .. }), Some(_)) => {
                let text = "--state-dir names a directory, and the configuration keeps the state in a database";
                return Err(Failure::usage(text).with_hint("drop --state-dir, or remove `state`"));
            }
            (_, Some(dir)) => return Ok(Place::Directory(dir.clone())),
            (Some(config), None) => config.postgres.clone(),
            (None, None) => match self.given_config_file()? {
                Some(file) => sentry_config::database(&file, &self.env)?,
                None => None,
            },
        };
        if let Some(postgres) = postgres {
            return Ok(Place::Postgres(postgres));
        }
        if let Some(dir) = var("SENTRY_STATE_DIR") {
            return Ok(Place::Directory(dir));
        }
        let configured = match config {
            Some(config) => config.state_dir.clone(),
            None if self.given_config_file()?.is_none() => None,
            None => self.config()?.state_dir,
        };
        let systemd = || {
            let list = self.env.vars.get("STATE_DIRECTORY")?;
            list.split(':').find(|dir| !dir.is_empty()).map(PathBuf::from)
        };
        let xdg = || var("XDG_STATE_HOME").filter(|dir| dir.is_absolute());
        let home = || self.env.home.as_ref().map(|home| home.join(".local/state"));
        configured
            .or_else(systemd)
            .or_else(|| xdg().or_else(home).map(|dir| dir.join("sentry")))
            .map(Place::Directory)
            .ok_or_else(|| {
                Failure::usage("no state directory: HOME is not set")
                    .with_hint("set one with --state-dir or SENTRY_STATE_DIR")
            })
    }

    /// The configuration's file; `None` where none is named and none is there.
    fn given_config_file(&self) -> Result<Option<PathBuf>, Failure> {
        match self.config_file() {
            Ok(file) => Ok(Some(file)),
            Err(_) if self.global.config.is_none() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The state at a place, made if it isn't there.
    pub(crate) async fn open(&self, place: &Place) -> Result<State, Failure> {
        Ok(place.open(&self.redactor).await?)
    }

    /// The state at a place, to look at; `None` if there is none yet.
    pub(crate) async fn read(&self, place: &Place) -> Result<Option<State>, Failure> {
        Ok(place.read(&self.redactor).await?)
    }
}
