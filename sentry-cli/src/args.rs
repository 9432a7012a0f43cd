//! The command line as clap sees it, and nothing else.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use sentry_api::words::BranchState;
use sentry_config::LogLevel;
use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_core::closed_list::ClosedList;
use sentry_core::delivery::DeliveryState;
use sentry_core::names::{Namespace, WatchName};
use sentry_core::repo::{self, BranchName, CommitSha, DirPath, ParseError, RepoUrl};
use sentry_core::subject::Subject;
use url::Url;

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

/// One word of a closed list.
fn word<T: ClosedList + Send + Sync>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::all().map(T::as_str))
        .try_map(|word| T::from_word(&word).ok_or("is not an allowed value"))
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
    /// Open the page, or print where it is
    Open(OpenArgs),
    /// Send a test notification
    Notify(NotifyArgs),
    /// Write a commented sentry.yaml and .env.example
    Init(Box<InitArgs>),
    /// See it work from end to end on this machine; needs only git
    Demo,
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

/// A branch name.
fn branch(text: &str) -> Result<Subject, ParseError> {
    text.parse().map(Subject::Branch)
}

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
    #[command(flatten)]
    pub(crate) output: OutputArg,
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
    pub(crate) source: Option<RepoUrl>,
    /// The branches of A, separated by commas [default: main]
    #[arg(long, value_name = "LIST")]
    pub(crate) branches: Option<String>,
    /// Repository B, with the manifests to run
    #[arg(long, value_name = "URL")]
    pub(crate) manifests: Option<RepoUrl>,
    /// The branch of B [default: main]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) manifests_branch: Option<BranchName>,
    /// The directory of B [default: .tekton]
    #[arg(long, value_name = "DIR")]
    pub(crate) manifests_dir: Option<DirPath>,
    /// The kubeconfig context [default: default]
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

/// A moment, or how long ago it was.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago =
        parse_duration(text).map_err(|_| "is neither a time (RFC 3339) nor such as 12h or 7d")?;
    SystemClock.now().checked_sub(ago).map_err(|_| "is too long ago".to_owned())
}

/// `90`, `90s`, `30m`, `2h`, `3d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("expected a number with s, m, h or d, such as 2h".to_owned()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "expected a number with s, m, h or d, such as 2h")?;
    match number.checked_mul(seconds).filter(|all| (1..=366 * 86_400).contains(all)) {
        Some(all) => Ok(Duration::from_secs(all)),
        None => Err("must be longer than 0 and at most 366d".to_owned()),
    }
}

/// Rewrites the form that older scripts use, `sentry -action=watch`, to `sentry watch`.
pub(crate) fn modernised(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let args: Vec<OsString> = args.into_iter().collect();
    let action = |arg: &OsString| {
        let text = arg.to_str()?;
        let rest = text.strip_prefix("--action").or_else(|| text.strip_prefix("-action"))?;
        (rest.is_empty() || rest.starts_with('=')).then(|| rest.trim_start_matches('=').to_owned())
    };
    let Some(at) = args.iter().position(|arg| action(arg).is_some()) else { return args };
    let mut rest = args;
    let inline = action(&rest.remove(at)).filter(|value| !value.is_empty());
    let command = match inline {
        Some(value) => OsString::from(value),
        None if at < rest.len() => rest.remove(at),
        None => OsString::from(""),
    };
    let program = if rest.is_empty() { OsString::from("sentry") } else { rest.remove(0) };
    let rest = rest.into_iter().map(two_dashes);
    [program, command].into_iter().chain(rest).collect()
}

/// `-config=x` as `--config=x`: with one dash clap would read it as `-c onfig=x`.
fn two_dashes(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            OsString::from(format!("-{text}"))
        }
        _ => arg,
    }
}

/// What the parser complains of, without the credentials that somebody wrote into an argument: it repeats them as they are.
pub(crate) fn without_credentials(complaint: &str, args: &[OsString]) -> String {
    let texts: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let values = texts.iter().filter_map(|text| Some(text.split_once('=')?.1));
    let written = texts.iter().map(AsRef::as_ref).chain(values);
    written.fold(complaint.to_owned(), |shown, text| {
        shown.replace(text, &repo::without_credentials(text))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn modern(args: &[&str]) -> Vec<String> {
        modernised(args.iter().map(OsString::from))
            .into_iter()
            .map(|arg| arg.into_string().unwrap())
            .collect()
    }

    #[test]
    fn clap_finds_no_contradiction_in_the_commands() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_one_dash_form_means_the_command() {
        assert_eq!(modern(&["sentry", "-action=watch"]), ["sentry", "watch"]);
        assert_eq!(modern(&["sentry", "-action", "status"]), ["sentry", "status"]);
        assert_eq!(
            modern(&["sentry", "-config=/etc/s.yaml", "--action=trigger", "-branch", "main"]),
            ["sentry", "trigger", "--config=/etc/s.yaml", "--branch", "main"]
        );
        assert_eq!(modern(&["sentry", "-c", "x", "why", "-h"]), ["sentry", "-c", "x", "why", "-h"]);
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        for bad in ["", "h", "2w", "-1h", "0", "367d", "99999999999999999999d", "1.5h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_complaint_about_an_argument_repeats_a_credential_in_it() {
        let token = "glpat-AAAABBBBCCCCDDDD";
        let mut urls = Vec::new();
        for scheme in [
            "https://",
            "HTTPS://",
            "http://",
            "ssh://",
            "git://",
            "https:/",
            "https:",
            "https:\\\\",
            "",
        ] {
            for place in
                ["h.example/o/r.git", "h.example:99999/o/r", "[::1/o", ":o/r", "", "h ex/o"]
            {
                for user in ["", "u:", "oauth2:", "x-access-token:", ":"] {
                    urls.push(format!("{scheme}{user}{token}@{place}"));
                }
                urls.push(format!("{scheme}u:{token}@b@{place}"));
                urls.push(format!("{scheme}{place}?private_token={token}"));
                urls.push(format!("{scheme}{place}#{token}"));
            }
        }
        let mut refused = 0;
        for url in &urls {
            for form in [
                "init --source @",
                "init --source=@",
                "init --manifests @",
                "init @",
                "@",
                "--server=@ status",
                "status --server @",
                "validate --@",
            ] {
                let args = form.split(' ').map(|part| OsString::from(part.replace('@', url)));
                let args: Vec<_> = std::iter::once("sentry".into()).chain(args).collect();
                let Err(error) = Cli::try_parse_from(&args) else { continue };
                refused += 1;
                let shown = without_credentials(&error.render().to_string(), &args);
                let is_user = url.starts_with(token);
                assert!(is_user || !shown.contains(token), "{form} {url}: {shown}");
            }
        }
        println!("{refused} refused command lines repeat no credential");
        assert!(refused > 1_000);
    }
}
