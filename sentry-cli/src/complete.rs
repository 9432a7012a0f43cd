//! Names for a shell to complete: watches and branches, and ids of deliveries, from the state or from a server.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Parser as _;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use sentry_api::query::{HistoryQuery, StatusQuery};
use sentry_api::shape::{Delivery, Status};
use sentry_config::Environment;

use crate::args::Cli;
use crate::commands::{Context, Source};
use crate::exit::Failure;
use crate::help;

/// The variable by which a completion script says which shell asks. The words come behind `--`.
pub(crate) const VARIABLE: &str = "SENTRY_COMPLETE";
/// Somebody waits at the keyboard: who has not answered by then is left out.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many deliveries are offered.
const DELIVERIES: u32 = 50;
/// Options that say whom to ask.
const WHOM: [&str; 5] = ["--config", "--state-dir", "--server", "--token-file", "--ca-file"];

/// The script that makes a shell ask us.
pub(crate) fn script(shell: &str) -> Result<Vec<u8>, Failure> {
    let mut script = Vec::new();
    let failed = |e| Failure::usage("can't write the completion script").with_source(e);
    if let Some(shell) = Shells::builtins().completer(shell) {
        let (name, program) = ("sentry", "sentry");
        shell.write_registration(VARIABLE, name, name, program, &mut script).map_err(failed)?;
    }
    Ok(script)
}

/// What a shell may put in, one a line as it reads them.
pub(crate) fn answer(shell: &str, words: Vec<OsString>) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Some(shell) = Shells::builtins().completer(shell) {
        let here = std::env::current_dir().ok();
        let mut command = help::command();
        // Half a command line is often none: then nothing is offered.
        shell.write_complete(&mut command, words, here.as_deref(), &mut answer).ok();
    }
    answer
}

/// The words behind `--`.
pub(crate) fn words(args: &[OsString]) -> Vec<OsString> {
    args.iter().skip_while(|arg| *arg != "--").skip(1).cloned().collect()
}

/// Names of watches.
pub(crate) fn watches(current: &OsStr) -> Vec<CompletionCandidate> {
    let watches = status().watches.into_iter();
    offered(current, watches.map(|watch| (watch.name, String::new())))
}

/// Branches of A, of the watch that is named already if one is.
pub(crate) fn branches(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = words(&std::env::args_os().collect::<Vec<_>>());
    let status = status().watches;
    let is_named = |name: &str| words.iter().any(|word| word == name);
    let is_one_named = status.iter().any(|watch| is_named(&watch.name));
    let wanted = status.iter().filter(|watch| !is_one_named || is_named(&watch.name));
    let branches = wanted.flat_map(|watch| {
        watch.branches.iter().map(|branch| (branch.branch.clone(), watch.name.clone()))
    });
    let mut branches: Vec<_> = branches.collect();
    branches.sort();
    branches.dedup_by(|one, other| one.0 == other.0);
    offered(current, branches)
}

/// Ids of deliveries, newest first.
pub(crate) fn deliveries(current: &OsStr) -> Vec<CompletionCandidate> {
    let history = ask(async |source| {
        let query = HistoryQuery { limit: Some(DELIVERIES), ..HistoryQuery::default() };
        Some(source.answers.history(&query).await.ok()?.deliveries)
    });
    let about = |one: &Delivery| format!("{} {} {}", one.watch, one.branch, one.state_text());
    let deliveries = history.unwrap_or_default().into_iter();
    offered(current, deliveries.map(|one| (one.id.clone(), about(&one))))
}

/// What has a page of its own.
pub(crate) fn watches_and_deliveries(current: &OsStr) -> Vec<CompletionCandidate> {
    watches(current).into_iter().chain(deliveries(current)).collect()
}

/// Those that begin as what is typed already.
fn offered(
    current: &OsStr,
    names: impl IntoIterator<Item = (String, String)>,
) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let fitting = names.into_iter().filter(|(name, _)| name.starts_with(typed.as_ref()));
    let fitting = fitting.filter(|(name, _)| crate::ui::plain(name) == *name).enumerate();
    fitting
        .map(|(order, (name, about))| {
            let about = Some(crate::ui::plain(&about)).filter(|about| !about.is_empty());
            CompletionCandidate::new(name).help(about.map(Into::into)).display_order(Some(order))
        })
        .collect()
}

fn status() -> Status {
    let asked = ask(async |source| source.answers.status(&StatusQuery::default()).await.ok());
    asked.unwrap_or(Status {
        version: sentry_api::VERSION,
        watches: Vec::new(),
        queue: Vec::new(),
        notifications: Vec::new(),
        next: None,
        agent: None,
        fleet: None,
    })
}

/// Asks whom the words mean. Nothing is said of what goes wrong: it would land in the middle of the typed line.
fn ask<T>(question: impl AsyncFnOnce(&Source) -> Option<T>) -> Option<T> {
    let words = words(&std::env::args_os().collect::<Vec<_>>());
    let cli = Cli::try_parse_from(whom(&words)).ok()?;
    let ctx = Context::new(cli.global, Environment::from_process());
    let runtime = crate::runtime().ok()?;
    let asked = async { question(&ctx.source().await.ok()?).await };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await.ok().flatten() })
}

/// A whole command line with what the words say of whom to ask.
fn whom(words: &[OsString]) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["sentry".into(), "status".into()];
    for (n, word) in words.iter().enumerate() {
        let text = word.to_string_lossy();
        let flag = if text == "-c" { "--config" } else { text.as_ref() };
        if WHOM.contains(&flag) {
            let value = words.get(n + 1).filter(|value| !value.is_empty());
            line.extend(value.into_iter().flat_map(|value| [flag.into(), value.clone()]));
        } else if WHOM.iter().any(|whom| text.starts_with(&format!("{whom}="))) {
            line.push(word.clone());
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_is_read_from_half_a_command_line() {
        let whom = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            whom(&words)[2..].join(OsStr::new(" ")).into_string().unwrap()
        };
        assert_eq!(whom("sentry trigger --branch ma"), "");
        assert_eq!(
            whom("sentry -c a.yaml trigger --state-dir=/s q"),
            "--config a.yaml --state-dir=/s"
        );
        assert_eq!(
            whom("sentry --server https://s.example --token-file"),
            "--server https://s.example"
        );
    }
}
