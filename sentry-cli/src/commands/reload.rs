//! Another configuration while the agent runs: noticed, checked as a whole, and taken only if all of it is right.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sentry_config::{Config, LoadError, LogLevel, MAX_SIZE};
use sentry_core::store::State;
use sentry_server::{Counters, Server};
use sha2::{Digest as _, Sha256};

use super::Context;
use crate::args::WatchArgs;
use crate::compose::{self, Composition, Place, Sharing};
use crate::exit::Failure;
use crate::signals::Hangup;

/// The file is looked at this often.
const LOOK: Duration = Duration::from_secs(3);

/// What stays while configurations change.
pub(super) struct Kept {
    pub(super) args: WatchArgs,
    pub(super) place: Place,
    listen: Option<SocketAddr>,
    state: State,
    /// Where many processes share the state.
    shared: Option<Sharing>,
}

impl Kept {
    /// The state as the configuration has it. A database is not asked yet: one that is away is waited for by who works.
    pub(super) fn new(
        ctx: &Context,
        args: WatchArgs,
        listen: Option<SocketAddr>,
        config: &Config,
    ) -> Result<Self, Failure> {
        let place = ctx.place(Some(config))?;
        let (state, shared) = match &place {
            _ if args.dry_run => (compose::memory_store(), None),
            Place::Directory(dir) => (compose::open_store(dir)?, None),
            Place::Postgres(_) if args.once => {
                let text = "--once does not work with a state that many agents share";
                return Err(Failure::usage(text).with_hint(
                    "start `sentry watch` without it, or add --dry-run to see what would be done",
                ));
            }
            Place::Postgres(postgres) => {
                let store = compose::shared_store(postgres, &ctx.redactor)?;
                (Arc::clone(&store).into(), Some(store.into()))
            }
        };
        Ok(Self { args, place, listen, state, shared })
    }

    /// All that a configuration becomes, or nothing; nobody was asked anything yet.
    pub(super) async fn compose(
        &self,
        ctx: &Context,
        mut config: Config,
    ) -> Result<Composition, Failure> {
        if self.args.dry_run {
            compose::dry_run(&mut config);
        }
        let parts = Composition::new(config, self.state.clone(), &ctx.redactor)?;
        match &self.shared {
            Some(sharing) => Ok(parts.share(sharing.clone()).await?),
            None => Ok(parts),
        }
    }

    /// Its server, if one is wanted; it counts on from an earlier one.
    pub(super) fn server(&self, parts: &Composition, counters: Option<Counters>) -> Option<Server> {
        self.listen?;
        let shown = self.place.directory().filter(|_| !self.args.dry_run);
        Some(parts.server(shown, counters))
    }

    /// Why an agent can't begin: where another one has the state it also has the port, and another port would not help.
    pub(super) async fn or_held(&self, failure: Failure) -> Failure {
        if self.shared.is_some() {
            return failure;
        }
        match self.state.journal.claim("").await {
            Ok(_) => failure,
            Err(error) => error.into(),
        }
    }
}

/// Waits for another configuration.
pub(super) struct Reloader {
    file: PathBuf,
    hangup: Hangup,
    look: Look,
    taken: bool,
}

impl Reloader {
    /// `file` was just loaded.
    pub(super) fn new(file: PathBuf) -> Result<Self, Failure> {
        let look = Look::new(digest(&file));
        Ok(Self { hangup: Hangup::listen()?, file, look, taken: false })
    }

    /// True once a configuration took the place of another one.
    pub(super) fn was_taken(&self) -> bool {
        self.taken
    }

    /// The next configuration that is right, with everything that it becomes. What is refused is told, and waited over.
    pub(super) async fn next(
        &mut self,
        ctx: &Context,
        kept: &Kept,
        log_level: LogLevel,
        counters: Option<&Counters>,
    ) -> Composition {
        loop {
            let asked = tokio::select! {
                () = self.hangup.next() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let seen = digest(&self.file);
            match self.look.at(seen, asked) {
                Noticed::Nothing => continue,
                Noticed::Back => {
                    tracing::info!("the configuration matches the running one again");
                    if let Some(counters) = counters {
                        counters.config_is_as_taken();
                    }
                    continue;
                }
                Noticed::Another => {}
            }
            match load(ctx, kept, &self.file, log_level).await {
                Ok(parts) => {
                    self.look.taken(seen);
                    self.taken = true;
                    if let Some(counters) = counters {
                        counters.config_reloaded(true);
                    }
                    tracing::info!(
                        config = %self.file.display(),
                        watches = parts.config.watches.len(),
                        "loading the new configuration: applies in progress finish first"
                    );
                    return parts;
                }
                Err(failure) => refused(&failure, counters),
            }
        }
    }
}

fn refused(failure: &ReloadError, counters: Option<&Counters>) {
    match failure {
        ReloadError::Config(LoadError::Problems(problems)) => {
            for problem in problems.iter() {
                let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
                let (path, message, remedy) = (&problem.path, &problem.message, &problem.hint);
                tracing::error!(place, path, remedy, "{message}");
            }
        }
        ReloadError::Config(other) => {
            tracing::error!(error = sentry_core::error::text(other), "refused")
        }
        ReloadError::Other(failure) => {
            tracing::error!(error = failure.render().replace('\n', "; "), "refused");
        }
    }
    tracing::error!("configuration rejected; the running one stays in effect");
    if let Some(counters) = counters {
        counters.config_reloaded(false);
    }
}

/// Why a configuration is not taken.
enum ReloadError {
    Config(LoadError),
    Other(Failure),
}

impl From<Failure> for ReloadError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// All that the file becomes, or nothing.
async fn load(
    ctx: &Context,
    kept: &Kept,
    file: &Path,
    log_level: LogLevel,
) -> Result<Composition, ReloadError> {
    let config = sentry_config::load(file, &ctx.env).map_err(ReloadError::Config)?;
    compose::learn_secrets(&config, &ctx.redactor);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    needs_a_restart(ctx, kept, &config)?;
    if config.log_level != log_level {
        tracing::warn!("a new log_level takes effect at the next start");
    }
    Ok(kept.compose(ctx, config).await?)
}

/// What a running program can't change.
fn needs_a_restart(ctx: &Context, kept: &Kept, config: &Config) -> Result<(), Failure> {
    let stop = |what: &str| {
        Err(Failure::usage(format!("{what} can't change while the agent is running"))
            .with_hint("restart it, or restore the old value"))
    };
    let place = ctx.place(Some(config))?;
    if !kept.args.dry_run && place != kept.place {
        let both_directories = place.directory().and(kept.place.directory()).is_some();
        return stop(if both_directories { "the state directory" } else { "`state`" });
    }
    if kept.args.listen.or(config.server.listen) != kept.listen {
        return stop("server.listen");
    }
    Ok(())
}

/// What a look at the file came to.
#[derive(Debug, PartialEq, Eq)]
enum Noticed {
    /// It is as it was, or is just being written.
    Nothing,
    /// It is another one.
    Another,
    /// It is the one that runs, after another one was refused.
    Back,
}

type Sha = [u8; 32];

/// What was seen of the file and of `.env` beside it.
#[derive(Debug)]
struct Look {
    /// The one that runs.
    running: Sha,
    /// The last one that was tried.
    tried: Sha,
    /// One that was seen once: it may be half written.
    fresh: Option<Sha>,
}

impl Look {
    fn new(running: Sha) -> Self {
        Self { running, tried: running, fresh: None }
    }

    /// A file that changes is tried once it was the same for two looks; at once, and in any case, if a person asks.
    fn at(&mut self, seen: Sha, asked: bool) -> Noticed {
        if asked {
            (self.tried, self.fresh) = (seen, None);
            return Noticed::Another;
        }
        if seen == self.tried {
            self.fresh = None;
            return Noticed::Nothing;
        }
        if self.fresh.replace(seen) != Some(seen) {
            return Noticed::Nothing;
        }
        (self.tried, self.fresh) = (seen, None);
        if seen == self.running { Noticed::Back } else { Noticed::Another }
    }

    fn taken(&mut self, seen: Sha) {
        self.running = seen;
    }
}

/// The content of the file and of `.env` beside it; a file that is not there, or can't be read, is another content.
/// Content and not the time of change: a mount that swaps symbolic links changes none, and a touch changes nothing.
fn digest(file: &Path) -> Sha {
    let mut hash = Sha256::new();
    for path in [file.to_path_buf(), file.with_file_name(".env")] {
        let size = std::fs::metadata(&path).map(|about| about.len());
        let content = size.ok().filter(|size| *size <= MAX_SIZE as u64);
        let content = content.and_then(|_| std::fs::read(&path).ok());
        hash.update([u8::from(content.is_some())]);
        hash.update(Sha256::digest(content.unwrap_or_default()));
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(n: u8) -> Sha {
        [n; 32]
    }

    #[test]
    fn a_file_that_is_being_written_is_tried_once_it_stands_still() {
        let mut look = Look::new(sha(1));
        assert_eq!(look.at(sha(1), false), Noticed::Nothing);
        for half in [2, 3, 4] {
            assert_eq!(look.at(sha(half), false), Noticed::Nothing);
        }
        assert_eq!(look.at(sha(4), false), Noticed::Another);
        assert_eq!(look.at(sha(4), false), Noticed::Nothing, "it is tried once, right or wrong");
    }

    #[test]
    fn a_file_that_was_refused_and_is_as_before_restarts_nothing() {
        let mut look = Look::new(sha(1));
        look.at(sha(2), false);
        assert_eq!(look.at(sha(2), false), Noticed::Another);
        look.at(sha(1), false);
        assert_eq!(look.at(sha(1), false), Noticed::Back);
        assert_eq!(look.at(sha(1), false), Noticed::Nothing);
    }

    #[test]
    fn a_person_who_asks_waits_for_no_second_look() {
        let mut look = Look::new(sha(1));
        assert_eq!(look.at(sha(2), true), Noticed::Another);
        look.taken(sha(2));
        assert_eq!(look.at(sha(2), false), Noticed::Nothing);
        assert_eq!(look.at(sha(2), true), Noticed::Another, "files that it names may be others");
    }

    #[test]
    fn the_content_counts_and_so_does_dotenv_and_whether_the_file_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sentry.yaml");
        let mut seen = vec![digest(&file)];
        for (name, text) in [("sentry.yaml", ""), ("sentry.yaml", "a: 1"), (".env", "A=1")] {
            std::fs::write(dir.path().join(name), text).unwrap();
            seen.push(digest(&file));
        }
        let all: std::collections::BTreeSet<Sha> = seen.iter().copied().collect();
        assert_eq!(all.len(), 4);
        std::fs::write(&file, "a: 1").unwrap();
        assert_eq!(digest(&file), seen[3]);
    }
}
