//! `sentry why COMMIT`: for any commit of A, one reason from a closed list, its time, and the next step.

use sentry_api::query::WhyQuery;
use sentry_api::shape::{Why, WhyAnswer};
use sentry_api::words::ReasonKind;
use sentry_api::words::Word::Known;
use sentry_api::{Answers as _, Local};
use sentry_core::clock::Timestamp;
use sentry_core::repo::CommitSha;
use sentry_core::store::State;

use super::Context;
use crate::args::questions::WhyArgs;
use crate::exit::{Exit, Failure};
use crate::runs::totals_tone;
use crate::ui::{Tone, Ui, age, plain, time, tinted};

pub(crate) async fn run(ctx: &Context, args: &WhyArgs) -> Result<Exit, Failure> {
    let query = WhyQuery { watch: args.watch.as_ref().map(ToString::to_string) };
    let why = ctx.source().await?.answers.why(&args.commit, &query).await?;
    let is_known = why.answers.iter().any(|answer| answer.reason != ReasonKind::NotSeen);
    if !is_known && args.output.is_table() {
        return Err(unknown(&why));
    }
    ctx.ui.answer(args.output, &why, names, |why| show(&ctx.ui, &known(why), ctx.now()))?;
    Ok(if is_known { Exit::Done } else { Exit::Usage })
}

/// The deliveries of the answers.
fn names(why: &Why) -> Vec<String> {
    why.answers.iter().filter_map(|answer| answer.delivery.clone()).collect()
}

/// The answers of those watches that know something of the commit.
fn known(why: &Why) -> Why {
    let known = why.answers.iter().filter(|answer| answer.reason != ReasonKind::NotSeen);
    Why { answers: known.cloned().collect(), ..why.clone() }
}

/// A commit that no watch knows of: said once, however many watches there are.
fn unknown(why: &Why) -> Failure {
    let commit = &why.commit;
    let (text, hint) = match why.answers.as_slice() {
        [] => (
            format!("no watch has seen commit {commit}"),
            "no watches are configured: create a configuration with `sentry init`".to_owned(),
        ),
        [only] => {
            let why = only.detail.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            (format!("watch {} has not seen commit {commit}{why}", only.watch), only.next_step.clone())
        }
        all => (
            format!("none of {} watches has seen commit {commit}", all.len()),
            "commits are seen as heads of A's watched branches, `sentry status` shows the newest; for the reason of one watch add \
             --watch"
                .to_owned(),
        ),
    };
    Failure::usage(text).with_hint(hint)
}

/// The answers for a commit as a person sees them.
pub(crate) async fn explain_commit(
    ctx: &Context,
    store: State,
    sha: &CommitSha,
) -> Result<(), Failure> {
    let why = Local::new(store, Vec::new()).why(sha.as_str(), &WhyQuery::default()).await?;
    show(&ctx.ui, &why, ctx.now());
    Ok(())
}

fn show(ui: &Ui, why: &Why, now: Timestamp) {
    let Why { commit, answers, .. } = why;
    if answers.is_empty() {
        ui.line(format!("{}: not seen", plain(commit)));
        ui.line("  next   no watches are configured: create a configuration with `sentry init`");
    }
    for answer in answers {
        let reason = tinted(&plain(&answer.reason_text()), tone(answer));
        ui.line(format!("{}: {reason}", plain(answer.sha.as_deref().unwrap_or(commit))));
        let branch = answer.branch.as_deref().map(|b| format!(", branch {b}")).unwrap_or_default();
        ui.line(format!("  watch  {}{}", plain(&answer.watch), plain(&branch)));
        if let Some(at) = answer.at {
            ui.line(format!("  when   {} ({} ago)", time(at), age(now, at)));
        }
        if let Some(detail) = &answer.detail {
            ui.line(format!("  detail {}", plain(detail)));
        }
        if let Some(runs) = answer.runs {
            ui.line(format!("  runs   {}", tinted(&runs.words(), totals_tone(runs))));
        }
        for note in &answer.notes {
            ui.line(format!("  note   {}", plain(note)));
        }
        ui.line(format!("  next   {}", plain(&answer.next_step)));
    }
}

fn tone(answer: &WhyAnswer) -> Tone {
    match answer.reason {
        Known(ReasonKind::Delivered) => answer.runs.map_or(Tone::Good, totals_tone),
        Known(ReasonKind::Waiting) => Tone::Busy,
        Known(ReasonKind::Parked | ReasonKind::ForgeUnreachable | ReasonKind::WaitsForApproval) => {
            Tone::Bad
        }
        Known(ReasonKind::SupersededBy) if answer.runs.is_some_and(|runs| runs.failed > 0) => {
            Tone::Bad
        }
        _ => Tone::Plain,
    }
}
