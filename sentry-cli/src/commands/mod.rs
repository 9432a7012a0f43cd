//! The commands, one file per command or family, and what they share.

pub(crate) mod audit;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod explain;
mod follow;
pub(crate) mod generate;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod lint;
pub(crate) mod man;
pub(crate) mod notify;
pub(crate) mod online;
pub(crate) mod open;
mod place;
mod reload;
pub(crate) mod request;
mod source;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod suspend;
pub(crate) mod trigger;
pub(crate) mod validate;
pub(crate) mod vendor;
pub(crate) mod version;
pub(crate) mod watch;
pub(crate) mod why;

use std::path::PathBuf;

use indicatif::MultiProgress;
use sentry_config::{Config, Environment, LogLevel};
use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_core::secret::Redactor;

use crate::args::{Command, Global, LogFormat};
use crate::compose;
use crate::exit::{Exit, Failure};
use crate::logging;
use crate::report::{Live, Reporter};
use crate::ui::Ui;

pub(crate) use source::Source;

/// What every command works with.
pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) global: Global,
    pub(crate) env: Environment,
    pub(crate) redactor: Redactor,
    lines: MultiProgress,
}

/// Carries out a command.
pub(crate) async fn dispatch(ctx: &Context, command: &Command) -> Result<Exit, Failure> {
    ctx.check_server(command)?;
    match command {
        Command::Watch(args) => watch::run(ctx, *args).await,
        Command::Trigger(args) => trigger::run(ctx, args).await,
        Command::Validate(args) => validate::run(ctx, *args).await,
        Command::Status(args) => status::run(ctx, args).await,
        Command::Audit(args) => audit::audit(ctx, args).await,
        Command::History(args) => history::history(ctx, args).await,
        Command::Show(args) => history::show(ctx, args).await,
        Command::Why(args) => why::run(ctx, args).await,
        Command::Explain(args) => explain::run(ctx, args).await,
        Command::Lint(args) => lint::run(ctx, args),
        Command::Vendor(args) => vendor::run(ctx, args).await,
        Command::Diff(args) => diff::run(ctx, args).await,
        Command::Approve(args) => trigger::approve(ctx, args).await,
        Command::Retry(args) => trigger::retry(ctx, args).await,
        Command::Cancel(args) => trigger::cancel(ctx, args).await,
        Command::Rerun(args) => trigger::rerun(ctx, args).await,
        Command::Suspend(args) => suspend::suspend(ctx, args).await,
        Command::Resume(args) => suspend::resume(ctx, args).await,
        Command::State(args) => state::run(ctx, args).await,
        Command::Open(args) => open::run(ctx, args).await,
        Command::Notify(args) => notify::run(ctx, args).await,
        Command::Init(args) => init::run(ctx, args),
        Command::Demo(args) => demo::run(ctx, *args).await,
        Command::Schema { api } => generate::schema(ctx, *api),
        Command::Completions { shell } => generate::completions(ctx, *shell),
        Command::Man(args) => man::run(ctx, args),
        Command::Version { output } => version::run(ctx, *output),
    }
}

impl Context {
    pub(crate) fn new(global: Global, env: Environment) -> Self {
        let redactor = Redactor::new();
        let columns = env.vars.get("COLUMNS").map(String::as_str);
        let ui = Ui::new(global.color, redactor.clone(), columns);
        Self { ui, global, env, redactor, lines: MultiProgress::new() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// The configuration's file.
    pub(crate) fn config_file(&self) -> Result<PathBuf, Failure> {
        sentry_config::locate(self.global.config.as_deref(), &self.env).map_err(|e| {
            Failure::usage(e.to_string())
                .with_hint("create one with `sentry init`, or name one with --config")
        })
    }

    /// The configuration; all its problems as one failure.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let file = self.config_file()?;
        Ok(sentry_config::load(&file, &self.env)?)
    }

    /// Takes what holds for the whole process from the configuration: its secrets and its log level.
    pub(crate) fn adopt(&self, config: &Config) {
        compose::learn_secrets(config, &self.redactor);
        self.start_logging(config.log_level);
    }

    /// The configuration, with logging as it says.
    pub(crate) fn start(&self) -> Result<Config, Failure> {
        let config = self.config()?;
        self.adopt(&config);
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        Ok(config)
    }

    /// From now on log lines reach stderr. A flag comes before what the configuration says.
    pub(crate) fn start_logging(&self, configured: LogLevel) {
        let settings = logging::Settings {
            level: self.global.log_level.unwrap_or(configured),
            format: self.global.log_format,
            color: self.global.color,
            live: self.is_live(),
        };
        logging::init(settings, logging::Sink::new(self.redactor.clone(), self.lines.clone()));
    }

    /// Live lines for a person at a terminal who didn't ask for a program's or a developer's view.
    fn is_live(&self) -> bool {
        use std::io::IsTerminal as _;
        std::io::stderr().is_terminal()
            && self.global.log_format == LogFormat::Text
            && self.global.log_level != Some(LogLevel::Debug)
    }

    /// A line for whoever waits at the terminal, else for the log.
    pub(crate) fn announce(&self, text: &str) {
        if self.is_live() {
            self.lines.println(text).ok();
        } else {
            tracing::info!("{text}");
        }
    }

    pub(crate) fn reporter(&self) -> Reporter {
        if self.is_live() { Reporter::Live(Live::new(self.lines.clone())) } else { Reporter::Log }
    }
}
