//! The arguments of the commands that ask how things stand.

use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::engine::ArgValueCompleter;
use sentry_api::words::BranchState;
use sentry_core::clock::Timestamp;
use sentry_core::delivery::DeliveryState;
use sentry_core::names::WatchName;
use sentry_core::repo::CommitSha;
use sentry_core::subject::Subject;

use super::values::{branch, parse_duration, since, word};
use super::{EventArg, OutputArg};
use crate::complete;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only this watch
    #[arg(add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: Option<WatchName>,
    /// Only this branch
    #[arg(short, long, value_name = "BRANCH", value_parser = branch, add = ArgValueCompleter::new(complete::branches))]
    pub(crate) branch: Option<Subject>,
    /// Only branches in one of these states, with commas between them
    #[arg(long, value_name = "STATES", value_parser = word::<BranchState>(), value_delimiter = ',')]
    pub(crate) state: Vec<BranchState>,
    /// Only branches with this text in their name or their watch's
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) search: Option<String>,
    /// Show it again whenever something changes, until stopped
    #[arg(short = 'w', long = "watch", conflicts_with = "check")]
    pub(crate) follow: bool,
    /// Exit 1 if no agent is running on the state, or one of its loops missed 3 intervals
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Only this watch
    #[arg(add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: Option<WatchName>,
    /// Only this branch
    #[arg(short, long, value_name = "BRANCH", value_parser = branch, add = ArgValueCompleter::new(complete::branches))]
    pub(crate) branch: Option<Subject>,
    /// Only deliveries in one of these states, with commas between them
    #[arg(long, value_name = "STATES", value_parser = word::<DeliveryState>(), value_delimiter = ',')]
    pub(crate) state: Vec<DeliveryState>,
    /// Only deliveries that failed or are parked
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only deliveries started since then: a time (RFC 3339), or how long ago, such as 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Timestamp>,
    /// Only commits of this author, as the forge names them
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) author: Option<String>,
    /// Only deliveries with this in the watch, the branch, the commit's title or author, or at the beginning of its id
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) search: Option<String>,
    /// Only deliveries older than this one: the last one of the list before
    #[arg(long, value_name = "DELIVERY", add = ArgValueCompleter::new(complete::deliveries))]
    pub(crate) before: Option<String>,
    /// The maximum number to list, up to 1000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only this watch
    #[arg(add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: Option<WatchName>,
    /// Only this name: of a token, or of a user of this machine
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) by: Option<String>,
    /// Only the last 12h, 7d or other time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) since: Option<Duration>,
    /// Only lines before this number of the log
    #[arg(long, value_name = "NUMBER")]
    pub(crate) before: Option<u64>,
    /// The maximum number to list, up to 1000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The delivery id, or its first characters
    #[arg(add = ArgValueCompleter::new(complete::deliveries))]
    pub(crate) delivery: String,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The commit id, or its first 7 or more digits
    pub(crate) commit: String,
    /// Only this watch
    #[arg(short, long, value_name = "WATCH", add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: Option<WatchName>,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The watch; optional if there is only one
    #[arg(add = ArgValueCompleter::new(complete::watches))]
    pub(crate) watch: Option<WatchName>,
    /// The branch; optional if the watch has only one
    #[arg(short, long, value_name = "BRANCH", value_parser = branch, add = ArgValueCompleter::new(complete::branches))]
    pub(crate) branch: Option<Subject>,
    #[command(flatten)]
    pub(crate) event: EventArg,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
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
    pub(crate) output: OutputArg,
}
