//! How the runs of a delivery stand, in words and tones: for status, history, why and live lines.

use sentry_api::shape::RunTotals;
use sentry_api::words::{RunState, Verdict};
use sentry_core::delivery::{self as core, RunRecord};

use crate::ui::{Tone, count};

pub(crate) fn totals_tone(totals: RunTotals) -> Tone {
    match totals {
        RunTotals { failed: 1.., .. } => Tone::Bad,
        RunTotals { running: 1.., .. } | RunTotals { queued: 1.., .. } => Tone::Busy,
        totals if totals.cancelled + totals.other() > 0 => Tone::Plain,
        _ => Tone::Good,
    }
}

pub(crate) fn state_tone(state: RunState) -> Tone {
    match state {
        RunState::Failed => Tone::Bad,
        RunState::Running | RunState::Queued => Tone::Busy,
        RunState::Succeeded => Tone::Good,
        _ => Tone::Quiet,
    }
}

pub(crate) fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Success => Tone::Good,
        Verdict::Failure | Verdict::Error => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// `1 of 3 runs failed: smoke-1a2b (PipelineRunTimeout)`; `None` where none failed.
pub(crate) fn failures(runs: &[RunRecord]) -> Option<String> {
    let failed: Vec<&RunRecord> =
        runs.iter().filter(|r| r.state == core::RunState::Failed).collect();
    let names = failed.iter().map(|run| {
        let why = run.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{}{why}", run.object.name)
    });
    let all = count(runs.len(), "run");
    (!failed.is_empty()).then(|| {
        format!("{} of {all} failed: {}", failed.len(), names.collect::<Vec<_>>().join(", "))
    })
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;

    #[test]
    fn what_failed_is_named_and_sets_the_tone() {
        let runs = [core::RunState::Failed, core::RunState::Succeeded].map(sample::run);
        let text = failures(&runs).unwrap();
        assert!(text.starts_with("1 of 2 runs failed: ci-"), "{text}");
        assert_eq!(failures(&runs[1..]), None);
        let totals = RunTotals { total: 3, running: 1, failed: 1, ..RunTotals::default() };
        assert_eq!(totals_tone(totals), Tone::Bad);
        assert_eq!(totals_tone(RunTotals { failed: 0, ..totals }), Tone::Busy);
        assert_eq!(totals_tone(RunTotals { total: 1, ..RunTotals::default() }), Tone::Plain);
    }
}
