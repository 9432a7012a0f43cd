//! How the runs of a delivery stand, counted and in words: for status, history, why and live lines.

use sentry_core::delivery::{Delivery, RunRecord, RunState, Verdict};
use sentry_core::plan::{Action, ObjectOutcome};

use crate::ui::{Tone, count};

/// The runs of a delivery, counted. Those that were not created are not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) running: usize,
    /// Not created yet: the namespace has no room.
    pub(crate) queued: usize,
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
    /// Cancelled by somebody, deleted, or not followed.
    pub(crate) other: usize,
}

impl Totals {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        delivery.objects.iter().filter(|o| o.run).fold(Self::default(), |mut totals, outcome| {
            *match (outcome.action, record(delivery, outcome).map(|run| run.state)) {
                (Action::Queued, _) => &mut totals.queued,
                (action, _) if !action.is_acknowledged() => return totals,
                (_, Some(RunState::Running)) => &mut totals.running,
                (_, Some(RunState::Succeeded)) => &mut totals.succeeded,
                (_, Some(RunState::Failed)) => &mut totals.failed,
                _ => &mut totals.other,
            } += 1;
            totals
        })
    }

    pub(crate) fn total(self) -> usize {
        self.running + self.queued + self.succeeded + self.failed + self.other
    }

    /// `1 failed, 2 running, 1 queued`; empty where there are none.
    pub(crate) fn words(self) -> String {
        let parts = [
            (self.failed, "failed"),
            (self.running, "running"),
            (self.queued, "queued"),
            (self.succeeded, "succeeded"),
            (self.other, "with unknown end"),
        ];
        let parts = parts.iter().filter(|(number, _)| *number > 0);
        parts.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn tone(self) -> Tone {
        match self {
            Self { failed: 1.., .. } => Tone::Bad,
            Self { running: 1.., .. } | Self { queued: 1.., .. } => Tone::Busy,
            Self { other: 1.., .. } => Tone::Plain,
            _ => Tone::Good,
        }
    }
}

/// What is known of a run that was created, or is to be.
pub(crate) fn record<'d>(delivery: &'d Delivery, outcome: &ObjectOutcome) -> Option<&'d RunRecord> {
    let object = &outcome.object;
    delivery.runs.iter().find(|run| {
        run.object.kind == object.kind
            && run.object.name == object.name
            && run.object.namespace == object.namespace
    })
}

/// The word for a run of a delivery: how it stands, or why it was not created.
pub(crate) fn word(delivery: &Delivery, outcome: &ObjectOutcome) -> &'static str {
    match outcome.action {
        Action::Queued => "queued",
        Action::Failed => "failed",
        action if !action.is_acknowledged() => "skipped",
        _ if delivery.dry_run => "planned",
        _ => record(delivery, outcome).map_or(RunState::Unfollowed, |run| run.state).as_str(),
    }
}

pub(crate) fn word_tone(word: &str) -> Tone {
    match word {
        "failed" => Tone::Bad,
        "running" | "queued" => Tone::Busy,
        "succeeded" => Tone::Good,
        _ => Tone::Quiet,
    }
}

/// `1 of 3 runs failed: smoke-1a2b (PipelineRunTimeout)`; `None` where none failed.
pub(crate) fn failures(runs: &[RunRecord]) -> Option<String> {
    let failed: Vec<&RunRecord> = runs.iter().filter(|r| r.state == RunState::Failed).collect();
    let names = failed.iter().map(|run| {
        let why = run.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{}{why}", run.object.name)
    });
    let all = count(runs.len(), "run");
    (!failed.is_empty()).then(|| {
        format!("{} of {all} failed: {}", failed.len(), names.collect::<Vec<_>>().join(", "))
    })
}

pub(crate) fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Success => Tone::Good,
        Verdict::Failure | Verdict::Error => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::plan::ObjectRef;
    use sentry_core::testing::sample;

    use super::*;

    /// A delivery with a run object of each action and, where one is given, a record of its state.
    pub(crate) fn with(runs: &[(Action, Option<RunState>)]) -> Delivery {
        let mut delivery = Delivery { dry_run: false, ..sample::delivery(1) };
        (delivery.objects, delivery.runs) = (Vec::new(), Vec::new());
        for (n, (action, state)) in runs.iter().enumerate() {
            let record = sample::run(state.unwrap_or(RunState::Running));
            let object = ObjectRef { name: format!("ci-{n}"), ..record.object.clone() };
            let (object_of_run, reason) = (object.clone(), None);
            delivery.objects.push(ObjectOutcome { object, run: true, action: *action, reason });
            if state.is_some() {
                delivery.runs.push(RunRecord { object: object_of_run, ..record });
            }
        }
        delivery
    }

    #[test]
    fn runs_are_counted_by_how_they_stand_and_those_that_were_not_created_are_not() {
        let delivery = with(&[
            (Action::Created, Some(RunState::Running)),
            (Action::Exists, Some(RunState::Failed)),
            (Action::Created, Some(RunState::Gone)),
            (Action::Created, None),
            (Action::Queued, None),
            (Action::Failed, None),
            (Action::Skipped, None),
        ]);
        let totals = Totals::of(&delivery);
        assert_eq!(totals, Totals { running: 1, queued: 1, succeeded: 0, failed: 1, other: 2 });
        assert_eq!((totals.total(), totals.tone()), (5, Tone::Bad));
        assert_eq!(totals.words(), "1 failed, 1 running, 1 queued, 2 with unknown end");
        let words: Vec<_> = delivery.objects.iter().map(|o| word(&delivery, o)).collect();
        assert_eq!(
            words,
            ["running", "failed", "gone", "unfollowed", "queued", "failed", "skipped"]
        );
        assert!(failures(&delivery.runs).unwrap().starts_with("1 of 3 runs failed: ci-1"));
        assert_eq!(failures(&[]), None);
    }
}
