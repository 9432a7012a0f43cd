//! How the runs of a delivery stand, in words and tones: for status, history, why and live lines.

use sentry_api::shape::{Run, RunTotals};
use sentry_api::words::Word::{self, Known, Unknown};
use sentry_api::words::{RunStanding, RunState, Verdict};

use crate::ui::{Tone, count};

pub(crate) fn totals_tone(totals: RunTotals) -> Tone {
    match totals {
        RunTotals { failed: 1.., .. } => Tone::Bad,
        RunTotals { running: 1.., .. } | RunTotals { queued: 1.., .. } => Tone::Busy,
        totals if totals.cancelled + totals.other() > 0 => Tone::Plain,
        _ => Tone::Good,
    }
}

pub(crate) fn state_tone(state: Word<RunStanding>) -> Tone {
    match state {
        Known(RunStanding::As(RunState::Failed)) => Tone::Bad,
        Known(RunStanding::As(RunState::Running) | RunStanding::Queued) => Tone::Busy,
        Known(RunStanding::As(RunState::Succeeded)) => Tone::Good,
        _ => Tone::Quiet,
    }
}

pub(crate) fn verdict_tone(verdict: Word<Verdict>) -> Tone {
    match verdict {
        Known(Verdict::Success) => Tone::Good,
        Known(Verdict::Failure | Verdict::Error) => Tone::Bad,
        Unknown => Tone::Plain,
    }
}

/// `1 of 3 runs failed: smoke-1a2b (PipelineRunTimeout)`; `None` where none failed.
pub(crate) fn failures(runs: &[Run]) -> Option<String> {
    let is_failed = |run: &&Run| run.state == RunStanding::As(RunState::Failed);
    let failed: Vec<&Run> = runs.iter().filter(is_failed).collect();
    let names = failed.iter().map(|run| {
        let why = run.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{}{why}", run.name)
    });
    let all = count(runs.len(), "run");
    (!failed.is_empty()).then(|| {
        format!("{} of {all} failed: {}", failed.len(), names.collect::<Vec<_>>().join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_named_and_sets_the_tone() {
        let runs = [RunState::Failed, RunState::Succeeded].map(|state| Run {
            name: "ci-1a2b".into(),
            state: RunStanding::As(state).into(),
            reason: None,
            message: None,
            failure: None,
            started: None,
            ended: None,
            usual_ms: None,
            tasks: Vec::new(),
        });
        let text = failures(&runs).unwrap();
        assert_eq!(text, "1 of 2 runs failed: ci-1a2b");
        assert_eq!(failures(&runs[1..]), None);
        let totals = RunTotals { total: 3, running: 1, failed: 1, ..RunTotals::default() };
        assert_eq!(totals_tone(totals), Tone::Bad);
        assert_eq!(totals_tone(RunTotals { failed: 0, ..totals }), Tone::Busy);
        assert_eq!(totals_tone(RunTotals { total: 1, ..RunTotals::default() }), Tone::Plain);
    }
}
