//! The command line as clap sees it, and nothing else.

pub(crate) mod given;
pub(crate) mod questions;
pub(crate) mod requests;
pub(crate) mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValue};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use sentry_config::LogLevel;
use sentry_core::names::Namespace;
use sentry_core::repo::{BranchName, DirPath};
use sentry_core::subject::Subject;
use url::Url;

use self::questions::{
    AuditArgs, DiffArgs, ExplainArgs, HistoryArgs, ShowArgs, StatusArgs, WhyArgs,
};
use self::requests::{
    ApproveArgs, CancelArgs, RerunArgs, ResumeArgs, RetryArgs, SuspendArgs, TriggerArgs,
};
use self::values::{TypedUrl, branch, place, word};
use crate::complete;

/// Watches git branches and runs what another repository keeps for them, on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "sentry", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The configuration file [default: $SENTRY_CONFIG, ./sentry.yaml, /config/sentry.yaml, /etc/sentry/sentry.yaml]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The state directory [default: $SENTRY_STATE_DIR, `state_dir` of the configuration, $STATE_DIRECTORY, ~/.local/state/sentry]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Use this server instead of the state on this machine [default: $SENTRY_SERVER]
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) server: Option<Url>,
    /// A file with the server's token [default: $SENTRY_TOKEN_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// CA certificates (PEM) to trust for the server, in addition to the system's
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// The log level [default: `log_level` of the configuration, else info]
    #[arg(long, value_name = "LEVEL", global = true, value_parser = word::<LogLevel>())]
    pub(crate) log_level: Option<LogLevel>,
    /// The format of log lines
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// When to use colours
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// How a result is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct OutputArg {
    /// The output format; `wide` cuts nothing, `json` and `yaml` are stable
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

impl OutputArg {
    pub(crate) fn is_wide(self) -> bool {
        self.output == Format::Wide
    }

    /// True if a person reads the result.
    pub(crate) fn is_table(self) -> bool {
        matches!(self.output, Format::Table | Format::Wide)
    }
}

/// How the result of `lint` is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LintFormat {
    Plain(Format),
    /// SARIF 2.1.0.
    Sarif,
    /// JUnit's XML.
    Junit,
    /// GitHub's workflow commands.
    Github,
}

impl ValueEnum for LintFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Plain(Format::Table),
            Self::Plain(Format::Wide),
            Self::Plain(Format::Json),
            Self::Plain(Format::Yaml),
            Self::Plain(Format::Name),
            Self::Sarif,
            Self::Junit,
            Self::Github,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Plain(format) => format.to_possible_value(),
            Self::Sarif => Some(PossibleValue::new("sarif")),
            Self::Junit => Some(PossibleValue::new("junit")),
            Self::Github => Some(PossibleValue::new("github")),
        }
    }
}

/// The event that runs are asked for.
#[derive(Debug, Clone, Args)]
pub(crate) struct EventArg {
    /// Only runs whose `on-event` has this event [default: push]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) event: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch the configured branches and deliver their changes until stopped
    Watch(WatchArgs),
    /// Deliver a branch's head now, or a given commit of it
    Trigger(TriggerArgs),
    /// Approve the head of a fork's pull request and deliver it: that head into that branch, and nothing later
    Approve(ApproveArgs),
    /// Check the configuration, and with --online all that it names
    Validate(ValidateArgs),
    /// Show what was seen and delivered per branch, and what comes next
    Status(StatusArgs),
    /// List deliveries, newest first
    #[command(visible_alias = "get")]
    History(HistoryArgs),
    /// Show one delivery: its objects, steps and errors
    Show(ShowArgs),
    /// Explain why a commit was delivered, or why not
    Why(WhyArgs),
    /// List who asked for what, newest first
    Audit(AuditArgs),
    /// Show what would happen to each document of the manifests repository
    Explain(ExplainArgs),
    /// Check a local directory of manifests, offline
    Lint(LintArgs),
    /// Fetch the tasks and pipelines that a local directory names, and lock them
    Vendor(VendorArgs),
    /// Show what a delivery would change on the cluster; nothing is written
    Diff(DiffArgs),
    /// Resume a failed or parked delivery; nothing that ran runs twice
    Retry(RetryArgs),
    /// Cancel a delivery: nothing more of it is started, and its runs are cancelled
    Cancel(CancelArgs),
    /// Start new runs of an earlier delivery's commits
    Rerun(RerunArgs),
    /// Suspend a watch: start nothing new until it is resumed
    Suspend(SuspendArgs),
    /// Resume a suspended watch
    Resume(ResumeArgs),
    /// Copy a whole state, from a directory to a database or back
    State(StateArgs),
    /// Open the page, or print where it is
    Open(OpenArgs),
    /// Send a test notification
    Notify(NotifyArgs),
    /// Write a commented sentry.yaml and .env.example
    Init(Box<InitArgs>),
    /// See it work from end to end on this machine, without any setup
    Demo(DemoArgs),
    /// Print the JSON Schema of the configuration
    Schema {
        /// Print the description of the HTTP API instead (OpenAPI 3.1)
        #[arg(long)]
        api: bool,
    },
    /// Print a script that makes a shell complete commands, options and names
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write all of them
    Man(ManArgs),
    /// Print the version, its commit and what it supports
    Version {
        #[command(flatten)]
        output: OutputArg,
    },
}

impl Command {
    /// True if it works through a server.
    pub(crate) fn is_remote(&self) -> bool {
        match self {
            Self::Trigger(args) => !args.dry_run,
            Self::Status(_)
            | Self::History(_)
            | Self::Show(_)
            | Self::Open(_)
            | Self::Why(_)
            | Self::Audit(_)
            | Self::Explain(_)
            | Self::Approve(_)
            | Self::Retry(_)
            | Self::Cancel(_)
            | Self::Rerun(_)
            | Self::Suspend(_)
            | Self::Resume(_) => true,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WatchArgs {
    /// One pass over all watches: deliver what changed, wait until it is settled, exit
    #[arg(long)]
    pub(crate) once: bool,
    /// Write nothing, neither to a cluster nor to the state, and take no lock
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Serve health, metrics and webhooks at this address: 127.0.0.1:8080 [default: `server.listen` of the configuration]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "once")]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ValidateArgs {
    /// Also ask the forges and the cluster
    #[arg(long)]
    pub(crate) online: bool,
    /// Print the configuration in its long form, without secrets
    #[arg(long)]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The directory
    #[arg(default_value = ".tekton")]
    pub(crate) dir: PathBuf,
    /// The branch of A to evaluate runs for [default: main]
    #[arg(short, long, value_name = "BRANCH", value_parser = branch, add = ArgValueCompleter::new(complete::branches))]
    pub(crate) branch: Option<Subject>,
    #[command(flatten)]
    pub(crate) event: EventArg,
    /// The output format; `json` and `yaml` are stable, `sarif`, `junit` and `github` are for CI systems
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: LintFormat,
}

#[derive(Debug, Args)]
pub(crate) struct VendorArgs {
    /// The directory
    #[arg(default_value = ".tekton")]
    pub(crate) dir: PathBuf,
    /// Another place that may be asked, like `remote_hosts` of a watch: tasks.example.com
    #[arg(long, value_name = "HOST", value_parser = place)]
    pub(crate) host: Vec<Url>,
    /// The hub [default: https://artifacthub.io]
    #[arg(long, value_name = "URL", value_parser = place)]
    pub(crate) hub: Option<Url>,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DemoArgs {
    /// Serve the page on this machine afterwards, until Ctrl-C
    #[arg(long)]
    pub(crate) page: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// What to do with it
    #[arg(value_name = "copy")]
    pub(crate) what: StateAction,
    /// What to copy: a state directory, or `postgres` for the database of the configuration
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: PathBuf,
    /// Where to: the same, and there must be no state yet
    #[arg(long, value_name = "PLACE")]
    pub(crate) to: PathBuf,
}

/// What is done with a whole state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateAction {
    /// Copy it
    Copy,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// A watch or a delivery; without one, the page of all
    #[arg(value_name = "WATCH|DELIVERY", add = ArgValueCompleter::new(complete::watches_and_deliveries))]
    pub(crate) what: Option<String>,
    /// Only print the address, on a terminal too
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NotifyArgs {
    /// Send a test notification
    #[arg(long, required = true)]
    pub(crate) test: bool,
    /// Only to this receiver
    pub(crate) receiver: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command; without one, the page of the program
    pub(crate) command: Option<String>,
    /// Write the page of the program and of every command to this directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The directory to write the files to
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Repository A, whose branches are watched
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<TypedUrl>,
    /// The branches of A, separated by commas [default: main]
    #[arg(long, value_name = "LIST")]
    pub(crate) branches: Option<String>,
    /// Repository B, with the manifests to run
    #[arg(long, value_name = "URL")]
    pub(crate) manifests: Option<TypedUrl>,
    /// The branch of B [default: main]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) manifests_branch: Option<BranchName>,
    /// The directory of B [default: .tekton]
    #[arg(long, value_name = "DIR")]
    pub(crate) manifests_dir: Option<DirPath>,
    /// The kubeconfig context [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The namespace to deliver to [default: qa]
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<Namespace>,
    /// Only show what would be delivered: use the dry-run deployer
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Replace existing files
    #[arg(long)]
    pub(crate) force: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn clap_finds_no_contradiction_in_the_commands() {
        Cli::command().debug_assert();
    }
}
