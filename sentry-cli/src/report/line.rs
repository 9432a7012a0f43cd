//! An event as one line for a person.

use sentry_api::shape::{Revision, Run};
use sentry_api::text::short;
use sentry_api::words::Word::Known;
use sentry_api::words::{DeliveryState, RunStanding, RunState, Verdict};
use sentry_core::event::EventKind;

use super::progress::{Progress, Settled, Step};
use super::{tally, waiting};
use crate::runs::failures;
use crate::ui::{Tone, count, plain, span, tinted};

/// `main 1a2b3c4d`: for a line that a person reads now; the whole id is in the logs and in `sentry show`.
pub(super) fn brief(revision: &Revision) -> String {
    format!("{} {}", revision.branch, short(&revision.sha))
}

/// An event as one line for a person, with a sign that says how it is meant; `None` if it is of no interest.
pub(super) fn line(event: &EventKind) -> Option<String> {
    let (sign, tone, text) = match event {
        EventKind::Baseline { watch, revision, why } => (
            "·",
            Tone::Quiet,
            format!("{watch}  {}  recorded as the baseline ({why})", brief(&revision.into())),
        ),
        EventKind::Change { watch, revision, from } => {
            let from = from.as_ref().map(|s| format!(", was {}", s.short())).unwrap_or_default();
            ("→", Tone::Busy, format!("{watch}  {}  is new{from}", brief(&revision.into())))
        }
        EventKind::Gone { watch, subject } => {
            ("·", Tone::Quiet, format!("{watch}  {subject}  is gone"))
        }
        EventKind::NotStarted { watch, revision, reason, .. } => (
            "·",
            Tone::Quiet,
            format!("{watch}  {}  not started: {reason}", brief(&revision.into())),
        ),
        EventKind::DeliveryRetrying { watch, revision, error, wait, .. } => (
            "!",
            Tone::Bad,
            format!("{watch}  {}  retrying in {}: {error}", brief(&revision.into()), span(*wait)),
        ),
        EventKind::TriggerAnswered { watch, answer: Err(why), .. } => {
            ("✗", Tone::Bad, format!("{watch}  trigger rejected: {why}"))
        }
        EventKind::NotifyFailed { receiver, error, tries: 1, .. }
        | EventKind::NotifyFailed { receiver, error, wait: None, .. } => {
            ("!", Tone::Bad, format!("can't notify receiver {receiver}: {error}"))
        }
        other => return run_line(other).or_else(|| forge_line(other)),
    };
    Some(format!("{} {}", tinted(sign, tone), plain(&text)))
}

/// What becomes of runs that wait or are followed, and of what is shown of them on A's commits.
fn run_line(event: &EventKind) -> Option<String> {
    let (sign, tone, text) = match event {
        EventKind::RunsQueued { watch, queued, limit, .. } => {
            ("·", Tone::Quiet, format!("{watch}  {}", waiting(*queued, *limit)))
        }
        EventKind::FollowFailed { cluster, error, wait } => {
            let text = format!("{cluster}  can't follow runs, retrying in {}", span(*wait));
            ("!", Tone::Bad, format!("{text}: {error}"))
        }
        EventKind::ReportFailed { watch, status, error, wait } => {
            let again =
                wait.map_or("not retried".to_owned(), |wait| format!("retrying in {}", span(wait)));
            let what =
                format!("{watch}  {}  status not set, {again}", brief(&(&status.revision).into()));
            ("!", Tone::Bad, format!("{what}: {error}"))
        }
        _ => return None,
    };
    Some(format!("{} {}", tinted(sign, tone), plain(&text)))
}

fn forge_line(event: &EventKind) -> Option<String> {
    let (sign, tone, text) = match event {
        EventKind::ForgeUnreachable { forge, error, wait, .. } => {
            ("!", Tone::Bad, format!("{forge}  retrying in {}: {error}", span(*wait)))
        }
        EventKind::ForgeRecovered { forge, repo, after } => {
            ("✓", Tone::Good, format!("{forge}  {repo} answers again after {}", span(*after)))
        }
        EventKind::RepoRenamed { from, to } => {
            ("!", Tone::Busy, format!("{from} is now {to}: update the configuration"))
        }
        EventKind::PatternsIdle { watch, patterns } if patterns.is_empty() => {
            ("✓", Tone::Good, format!("{watch}  every pattern of `branches` matches again"))
        }
        EventKind::PatternsIdle { watch, patterns } => {
            let patterns = patterns.join(", ");
            (
                "!",
                Tone::Busy,
                format!("{watch}  no branch matches {patterns}: see `sentry validate --online`"),
            )
        }
        EventKind::StateUnavailable { error } => {
            ("✗", Tone::Bad, format!("can't write the state, deliveries are on hold: {error}"))
        }
        EventKind::SlotLost { slot, why } => {
            let text = format!("slot {slot} lost, what was under way there was cut off: {why}");
            ("!", Tone::Busy, text)
        }
        _ => return None,
    };
    Some(format!("{} {}", tinted(sign, tone), plain(&text)))
}

/// What became of a delivery as one line for a person; `None` if it only goes on.
pub(super) fn progress_line(progress: &Progress) -> Option<String> {
    let (sign, tone, text) = match &progress.step {
        Step::Started { .. } | Step::Reached(_) => return None,
        Step::Run { revision, run, .. } => run_text(revision, run),
        Step::Settled(settled) => settled_text(settled),
    };
    let text = format!("{}  {text}", progress.watch);
    Some(format!("{} {}", tinted(sign, tone), plain(&text)))
}

fn run_text(revision: &Revision, run: &Run) -> (&'static str, Tone, String) {
    let (sign, tone) = match run.state {
        Known(RunStanding::As(RunState::Running)) => ("·", Tone::Quiet),
        Known(RunStanding::As(RunState::Succeeded)) => ("✓", Tone::Good),
        Known(RunStanding::As(RunState::Failed)) => ("✗", Tone::Bad),
        _ => ("!", Tone::Busy),
    };
    let why = run.message.as_ref().or(run.reason.as_ref());
    let why = why.filter(|_| run.state != RunStanding::As(RunState::Succeeded));
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    (sign, tone, format!("{}  {} {}{why}", brief(revision), run.name, run.state))
}

fn settled_text(settled: &Settled) -> (&'static str, Tone, String) {
    let (sign, tone) = match settled.state {
        Known(DeliveryState::Succeeded) => ("✓", Tone::Good),
        Known(DeliveryState::NothingRan | DeliveryState::Superseded | DeliveryState::Cancelled) => {
            ("·", Tone::Quiet)
        }
        _ => ("✗", Tone::Bad),
    };
    let Settled { revision, runs, verdict, took, .. } = settled;
    let mut text = format!("{}  ", brief(revision));
    match verdict.and(failures(runs)) {
        Some(failures) => text.push_str(&format!("{failures}, after {}", span(*took))),
        None => {
            text.push_str(&match (settled.state, settled.nothing_ran) {
                (Known(DeliveryState::Succeeded), _) => "delivered".to_owned(),
                (Known(DeliveryState::NothingRan), Some(cause)) => format!("nothing ran: {cause}"),
                (state, _) => state.to_string(),
            });
            text.push_str(if settled.dry_run { " (dry run, nothing written)" } else { "" });
            if !settled.objects.is_empty() {
                text.push_str(&format!(": {}", tally(&settled.objects)));
            }
            if *verdict == Some(Known(Verdict::Success)) {
                text.push_str(&format!(", {} succeeded", count(runs.len(), "run")));
            }
            text.push_str(&format!(" in {}", span(*took)));
            if let Some(error) = &settled.error {
                text.push_str(&format!(": {error}"));
            }
        }
    }
    (sign, tone, text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sentry_core::testing::sample;

    use super::*;

    fn shown(event: &EventKind) -> String {
        let text = match Progress::of(event) {
            Some(progress) => progress_line(&progress),
            None => line(event),
        };
        anstream::adapter::strip_str(&text.unwrap()).to_string()
    }

    fn settled(state: DeliveryState, verdict: Option<Verdict>, runs: &[RunState]) -> EventKind {
        EventKind::DeliverySettled {
            id: sample::id(1),
            watch: sample::watch("qa"),
            revision: sample::revision(1),
            state,
            manifests: None,
            objects: Vec::new(),
            runs: runs.iter().map(|state| sample::run(*state)).collect(),
            verdict,
            passed: None,
            took: Duration::from_secs(90),
            error: verdict.filter(|v| *v != Verdict::Success).map(|_| "a run failed".to_owned()),
            dry_run: false,
        }
    }

    #[test]
    fn a_delivery_whose_run_failed_names_the_run_and_is_no_success() {
        use RunState::{Failed, Gone, Succeeded};
        let failed = settled(DeliveryState::Failed, Some(Verdict::Failure), &[Failed, Succeeded]);
        let good = settled(DeliveryState::Succeeded, Some(Verdict::Success), &[Succeeded]);
        let gone = settled(DeliveryState::Failed, Some(Verdict::Error), &[Gone]);
        let shown = [failed, good, gone].iter().map(shown).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(shown, @r"
        ✗ qa  main 0a1b2c3d  1 of 2 runs failed: ci-0a1b2c3d-abcdefghijklmnop (PipelineRunTimeout), after 1m
        ✓ qa  main 0a1b2c3d  delivered, 1 run succeeded in 1m
        ✗ qa  main 0a1b2c3d  failed in 1m: a run failed
        ");
    }

    #[test]
    fn a_runs_end_is_told_with_what_it_says_of_itself() {
        let changed = |state| EventKind::RunChanged {
            id: sample::id(1),
            watch: sample::watch("qa"),
            revision: sample::revision(1),
            run: sample::run(state),
        };
        let lines = [RunState::Failed, RunState::Succeeded, RunState::Gone].map(changed);
        let shown = lines.iter().map(shown).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(shown, @r"
        ✗ qa  main 0a1b2c3d  ci-0a1b2c3d-abcdefghijklmnop failed: task unit, step test: exit code 1
        ✓ qa  main 0a1b2c3d  ci-0a1b2c3d-abcdefghijklmnop succeeded
        ! qa  main 0a1b2c3d  ci-0a1b2c3d-abcdefghijklmnop gone: task unit, step test: exit code 1
        ");
    }

    #[test]
    fn what_waits_and_what_is_not_shown_is_told_with_the_next_attempt() {
        let report = |wait| EventKind::ReportFailed {
            watch: sample::watch("qa"),
            status: sample::report(1).status,
            error: "hub: 403; give the token `statuses: write`".into(),
            wait,
        };
        let queued = EventKind::RunsQueued {
            id: sample::id(1),
            watch: sample::watch("qa"),
            revision: sample::revision(1),
            queued: 3,
            limit: 20,
        };
        let lines = [queued, report(None), report(Some(Duration::from_secs(4)))];
        let shown = lines.iter().map(shown).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(shown, @r"
        · qa  3 runs queued: the namespace is limited to 20
        ! qa  main 0a1b2c3d  status not set, not retried: hub: 403; give the token `statuses: write`
        ! qa  main 0a1b2c3d  status not set, retrying in 4s: hub: 403; give the token `statuses: write`
        ");
    }

    fn one_of_each() -> [EventKind; 13] {
        let (watch, revision, wait) =
            (|| sample::watch("qa"), || sample::revision(1), Duration::from_secs(90));
        let (error, reason) = ("hub: 502".to_owned(), sentry_core::delivery::Reason::Suspended);
        let (forge, repo) = ("hub".to_owned(), "https://github.com/acme/app");
        let repo = || sample::parse(repo);
        [
            EventKind::Baseline { watch: watch(), revision: revision(), why: "first seen".into() },
            EventKind::Change { watch: watch(), revision: revision(), from: Some(sample::sha(2)) },
            EventKind::Gone { watch: watch(), subject: sample::subject("main") },
            EventKind::NotStarted { watch: watch(), revision: revision(), reason, detail: None },
            EventKind::DeliveryRetrying {
                id: sample::id(1),
                watch: watch(),
                revision: revision(),
                error: error.clone(),
                wait,
                counted: true,
            },
            EventKind::TriggerAnswered {
                trigger: sample::trigger_id(1),
                watch: watch(),
                answer: Err(error.clone()),
            },
            EventKind::NotifyFailed {
                receiver: "chat".into(),
                notice: Box::new(sample::notice(1)),
                error: error.clone(),
                tries: 1,
                wait: Some(wait),
            },
            EventKind::ForgeUnreachable {
                forge: forge.clone(),
                repo: repo(),
                error: error.clone(),
                wait,
            },
            EventKind::ForgeRecovered { forge, repo: repo(), after: wait },
            EventKind::RepoRenamed {
                from: repo(),
                to: sample::parse("https://github.com/acme/new"),
            },
            EventKind::PatternsIdle { watch: watch(), patterns: vec!["mian".into()] },
            EventKind::PatternsIdle { watch: watch(), patterns: Vec::new() },
            EventKind::StateUnavailable { error },
        ]
    }

    #[test]
    fn each_event_reads_as_one_plain_sentence() {
        let shown = one_of_each().iter().map(shown).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(shown, @r"
        · qa  main 0a1b2c3d  recorded as the baseline (first seen)
        → qa  main 0a1b2c3d  is new, was 0a1b2c3d
        · qa  main  is gone
        · qa  main 0a1b2c3d  not started: suspended
        ! qa  main 0a1b2c3d  retrying in 1m: hub: 502
        ✗ qa  trigger rejected: hub: 502
        ! can't notify receiver chat: hub: 502
        ! hub  retrying in 1m: hub: 502
        ✓ hub  https://github.com/acme/app answers again after 1m
        ! https://github.com/acme/app is now https://github.com/acme/new: update the configuration
        ! qa  no branch matches mian: see `sentry validate --online`
        ✓ qa  every pattern of `branches` matches again
        ✗ can't write the state, deliveries are on hold: hub: 502
        ");
    }
}
