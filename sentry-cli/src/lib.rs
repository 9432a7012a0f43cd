//! The command line of Sentry, as a library: [`run`] is the whole program, [`compose`] is the default wiring from
//! a configuration to an engine for programs that embed one.
//!
//! ```no_run
//! let code: std::process::ExitCode = sentry_cli::run(std::env::args_os());
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `args`, `help` | what can be written on the command line, and how that is explained |
//! | `complete` | the names that a shell completes |
//! | [`compose`] | which concrete forge, deployer and store a configuration means |
//! | `commands` | what each command does |
//! | `remote` | what a server answers instead of the state on this machine |
//! | `report` | how an event looks to a person |
//! | `runs` | how the runs of a delivery stand, in words and tones |
//! | `exit` | how an error looks, and which code the process ends with |
//! | `ui`, `table`, `json` | how results look, to people and to programs; `sentry_api` has the JSON of answers |
//! | `logging`, `signals` | where log lines go; how the process is stopped |

mod args;
mod commands;
mod complete;
pub mod compose;
mod exit;
mod help;
mod json;
mod logging;
mod remote;
mod report;
mod runs;
#[cfg(test)]
mod shipped;
mod signals;
mod table;
mod ui;
mod user;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::FromArgMatches as _;
use sentry_config::Environment;
use sentry_core::secret::Redactor;
use tokio::task::JoinSet;

pub use exit::{Exit, Failure};

/// Runs the program with its arguments, the program's own name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = args::given::modernised(args);
    if let Ok(shell) = std::env::var(complete::VARIABLE) {
        let answer = complete::answer(&shell, complete::words(&args));
        std::io::stdout().write_all(&answer).ok();
        return Exit::Done.into();
    }
    let parsed = help::command().try_get_matches_from(&args);
    let cli = match parsed.and_then(|parsed| args::Cli::from_arg_matches(&parsed)) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // It repeats arguments, which others may have chosen.
            let ui = ui::Ui::new(args::Color::Auto, Redactor::new(), None);
            ui.complain(&args::given::without_credentials(&error.render().to_string(), &args));
            return Exit::Usage.into();
        }
        Err(answer) => {
            // Help and version.
            answer.print().ok();
            return Exit::Done.into();
        }
    };
    let ctx = Arc::new(commands::Context::new(cli.global, Environment::from_process()));
    match runtime().and_then(|rt| rt.block_on(as_a_task(Arc::clone(&ctx), cli.command))) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            ctx.ui.failure(&failure);
            failure.exit().into()
        }
    }
}

/// Runs the command as a task: each wake-up of the future that the runtime blocks on costs two system calls and a
/// turn of the event loop, also when it comes from the same thread; that of a task costs none.
async fn as_a_task(ctx: Arc<commands::Context>, command: args::Command) -> Result<Exit, Failure> {
    let mut task = JoinSet::new();
    task.spawn(async move { commands::dispatch(&ctx, &command).await });
    match task.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => Err(Failure::usage("the command was cancelled")),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // The work is waiting for others: more threads would only cost memory, and CPU to wake each other. What blocks
    // (SQLite, files, names of hosts) has tokio's pool, children have processes of their own.
    tokio::runtime::Builder::new_current_thread()
        // Longer than the time between two beats: else each would make a thread of its own.
        .thread_keep_alive(Duration::from_secs(15))
        .enable_all()
        .build()
        .map_err(|e| Failure::usage("can't start the runtime").with_source(e))
}
