//! The arguments of the commands that ask for something to be done.

use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::engine::ArgValueCompleter;
use sentry_core::names::WatchName;
use sentry_core::pull::PullNumber;
use sentry_core::repo::{BranchName, CommitSha};
use sentry_core::subject::Subject;

use super::EventArg;
use super::values::{branch, parse_duration};
use crate::complete;

#[derive(Debug, Args)]
pub(crate) struct TriggerArgs {
    /// The watch; optional if there is only one
    #[arg(add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: Option<WatchName>,
    /// The branch; optional if the watch has only one
    #[arg(short, long, value_name = "BRANCH", value_parser = branch, add = ArgValueCompleter::new(complete::branches))]
    pub(crate) branch: Option<Subject>,
    /// The full commit id [default: the branch's head]
    #[arg(short, long, value_name = "SHA")]
    pub(crate) revision: Option<CommitSha>,
    #[command(flatten)]
    pub(crate) event: EventArg,
    /// Only the run with this name (`name` or `generateName` in its document)
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) run: Option<String>,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the trigger's id and return once it is stored
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) no_wait: bool,
    /// A second trigger with the same key returns the first one
    #[arg(long, value_name = "KEY", conflicts_with = "dry_run")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The watch
    #[arg(add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: WatchName,
    /// The pull request's number
    pub(crate) number: PullNumber,
    /// The full commit id of the head that was looked at
    #[arg(short, long, value_name = "SHA")]
    pub(crate) revision: CommitSha,
    /// The branch that it was to be merged into [default: the one that it is to be merged into now]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) base: Option<BranchName>,
    /// Return once the request is stored
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The delivery id, or its first characters
    #[arg(add = ArgValueCompleter::new(complete::deliveries))]
    pub(crate) delivery: String,
    /// Return once the request is stored
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The delivery id, or its first characters
    #[arg(add = ArgValueCompleter::new(complete::deliveries))]
    pub(crate) delivery: String,
    /// Return once the request is stored
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The delivery id, or its first characters
    #[arg(add = ArgValueCompleter::new(complete::deliveries))]
    pub(crate) delivery: String,
    /// Only what failed
    #[arg(long)]
    pub(crate) failed: bool,
    /// Return once the request is stored
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SuspendArgs {
    /// The watch
    #[arg(add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: WatchName,
    /// The reason; shown in status
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// How long, such as 30m, 2h or 3d [default: until resumed]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The watch
    #[arg(add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: WatchName,
}
