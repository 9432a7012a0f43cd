//! From what the file says to what the program uses: names become checked types, defaults are filled in.

mod files;
mod forge;
mod notify;
mod rules;
mod server;
mod short;
mod source;
mod state;
mod watch;

pub(crate) use server::SERVER_TOKENS;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sentry_core::repo::ParseError;
use sentry_core::watch::BranchSelector;

use crate::config::{Config, DeployerConfig, ForgeConfig, LogLevel, PostgresState};
use crate::environment::Environment;
use crate::place::{At, Place};
use crate::problem::{Problem, Problems, Report};
use crate::raw::{RawConfig, RawKept, RawLong};

/// What resolving needs besides the raw values, and what it collects.
pub(crate) struct Resolver<'a> {
    pub(crate) env: &'a Environment,
    /// The directory that relative paths start from.
    pub(crate) base: &'a Path,
    pub(crate) report: &'a mut Report,
    /// Values that were filled and must not be shown, by path in the long form.
    pub(crate) references: BTreeMap<String, String>,
    pub(crate) deployers: Vec<DeployerConfig>,
    /// Where the credentials of plain git forges go, by the forge's name.
    pub(crate) origins: BTreeMap<String, String>,
    pub(crate) receivers: notify::Receivers,
    /// The address of Sentry's own page, without a slash at its end.
    pub(crate) public_url: Option<String>,
    /// By their patterns.
    pub(crate) selectors: BTreeMap<Vec<String>, BranchSelector>,
    /// Whether the state is one that many processes share.
    pub(crate) is_shared: bool,
}

/// A configuration without its warnings.
pub(crate) fn resolve(
    raw: RawConfig,
    env: &Environment,
    base: &Path,
    report: &mut Report,
) -> Option<Config> {
    Resolver::new(env, base, report).run(raw)
}

/// The database that the state is kept in, if the file names one; the rest of the file is not looked at.
pub(crate) fn database(
    raw: RawKept,
    env: &Environment,
    base: &Path,
    report: &mut Report,
) -> Option<PostgresState> {
    let (state, state_dir) = (raw.state?, raw.state_dir);
    Resolver::new(env, base, report).state(state, state_dir.as_ref())
}

/// Joins the configuration with what was found on the way.
pub(crate) fn finish(config: Option<Config>, report: Report) -> Result<Config, Problems> {
    let warnings = report.finish()?;
    config.map(|config| Config { warnings, ..config }).ok_or_else(|| {
        // Nothing resolved without a reason: kept so that a slip here can't start an agent with no watches.
        let hint = "report this as a bug in Sentry";
        Problems::new(vec![Problem::at_line("", 1, "", "can't be resolved", hint)])
    })
}

impl<'a> Resolver<'a> {
    fn new(env: &'a Environment, base: &'a Path, report: &'a mut Report) -> Self {
        Self {
            env,
            base,
            report,
            references: BTreeMap::new(),
            deployers: Vec::new(),
            origins: BTreeMap::new(),
            receivers: notify::Receivers::default(),
            public_url: None,
            selectors: BTreeMap::new(),
            is_shared: false,
        }
    }

    fn run(mut self, raw: RawConfig) -> Option<Config> {
        let raw = match raw {
            RawConfig::Long(long) => *long,
            RawConfig::Short(short) => short::to_long(*short, self.report),
        };
        let RawLong {
            state_dir,
            state,
            log_level,
            max_parallel,
            server,
            notify,
            defaults,
            forges,
            watches,
        } = raw;
        self.is_shared = state.is_some();
        let postgres = state.and_then(|at| self.state(at, state_dir.as_ref()));
        let server = self.server(server);
        self.public_url.clone_from(&server.public_url);
        self.receivers(notify);
        let mut forges = self.forges(forges);
        let known: Vec<&ForgeConfig> = forges.iter().collect();
        let watches = self.watches(watches, defaults.map(|at| at.value), &known);
        for forge in &mut forges {
            forge.origin = self.origins.remove(&forge.name);
        }
        let max_parallel = match max_parallel {
            None => NonZeroUsize::new(4),
            Some(at) => {
                let number = usize::try_from(at.value).ok().and_then(NonZeroUsize::new);
                if number.is_none() {
                    self.report.error(
                        &at.place,
                        "is 0: nothing would ever be delivered",
                        "write 1 or more",
                    );
                }
                number
            }
        };
        Some(Config {
            state_dir: state_dir.map(|at| self.path(&at.value)),
            postgres,
            log_level: log_level.map_or(LogLevel::Info, |at| at.value.0),
            max_parallel: max_parallel?,
            server,
            deployers: self.deployers,
            receivers: self.receivers.all,
            watches: watches?,
            warnings: Vec::new(),
            references: self.references,
            forges,
        })
    }

    /// A path with `~` filled in, relative to the file's directory.
    fn path(&self, text: &str) -> PathBuf {
        self.env.path(text, self.base)
    }

    /// A value of one of core's checked types.
    fn parsed<T: std::str::FromStr<Err = ParseError>>(
        &mut self,
        at: &At<String>,
        hint: &str,
    ) -> Option<T> {
        match at.value.trim().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(&at.place, &error, hint);
                None
            }
        }
    }

    /// Says what is wrong with a value without repeating it: it may have come from the environment.
    fn problem(&mut self, place: &Place, error: &ParseError, hint: &str) {
        self.report.error(place, error.problem(), hint);
    }
}
