//! What a public commit may show: whatever deliveries come to, nothing from inside stands in what a forge receives.

use proptest::prelude::*;

use super::*;
use crate::delivery::{Cancellation, DeliveryState, RunRecord, RunState, Verdict};
use crate::plan::{Action, ObjectOutcome};
use crate::testing::sample;
use crate::watch::NothingRan;
use crate::watch::sample::watch;

/// What stands for each thing that may not be shown.
const INSIDE: [&str; 7] = [
    "inner.host.internal",
    "n4mespace",
    "secret/path.yaml",
    "runn4me",
    "l0gline: exit code 1",
    "err0r text",
    "t4skname",
];

/// Text that holds all of them.
fn inside() -> String {
    INSIDE.join(" ")
}

fn run(state: RunState) -> RunRecord {
    let mut run =
        RunRecord { reason: Some(inside()), message: Some(inside()), ..sample::run(state) };
    run.object.name = format!("runn4me-{}", run.object.name);
    run.object.path = "secret/path.yaml".to_owned();
    run.object.namespace = Some("n4mespace".to_owned());
    run
}

fn outcome(action: Action) -> ObjectOutcome {
    let mut outcome = ObjectOutcome { run: true, ..sample::outcome(action) };
    outcome.object.name = "runn4me-x".to_owned();
    outcome.object.path = "secret/path.yaml".to_owned();
    outcome.reason = Some(inside());
    outcome
}

prop_compose! {
    /// Any delivery, of which every text speaks of what is inside.
    fn delivery()(
        state in proptest::sample::select(DeliveryState::ALL),
        runs in proptest::collection::vec(proptest::sample::select(RunState::ALL), 0..4),
        verdict in proptest::option::of(proptest::sample::select(Verdict::ALL)),
        tries in 0..6_u32,
        flags in proptest::array::uniform6(any::<bool>()),
        actions in proptest::collection::vec(proptest::sample::select(Action::ALL), 0..4),
    ) -> Delivery {
        let [is_begun, is_passed, is_cancelled, is_superseded, has_error, waits] = flags;
        let mut delivery = sample::delivery(1);
        delivery.state = state;
        delivery.verdict = verdict;
        delivery.attempts.tries = tries;
        delivery.asked.dry_run = false;
        delivery.asked.by = Some(inside());
        delivery.asked.event = delivery.revision.subject.event();
        delivery.asked.repeats = None;
        delivery.asked.only = None;
        delivery.runs = runs.into_iter().map(run).collect();
        delivery.objects = actions.into_iter().map(outcome).collect();
        delivery.notes = vec![inside()];
        delivery.error = has_error.then(inside);
        delivery.intent = delivery.intent.filter(|_| is_begun);
        delivery.passed = delivery.passed.filter(|_| is_passed);
        delivery.superseded_by = delivery.superseded_by.filter(|_| is_superseded);
        delivery.next_attempt = delivery.next_attempt.filter(|_| waits);
        delivery.cancelled =
            is_cancelled.then(|| Cancellation { by: Some(inside()), at: sample::time(1) });
        delivery
    }
}

proptest! {
    #[test]
    fn with_counts_or_state_nothing_from_inside_is_shown_whatever_deliveries_come_to(
        mut deliveries in proptest::collection::vec(delivery(), 1..3),
        mode in proptest::sample::select(ReportMode::ALL),
        detail in proptest::option::of(proptest::sample::select(
            &[ReportDetail::State, ReportDetail::Counts][..]
        )),
        when in proptest::sample::select(NothingRan::ALL),
        has_link in any::<bool>(),
    ) {
        let mut watch = watch("qa", &["main"]);
        watch.cluster.namespace = "n4mespace".parse().unwrap();
        watch.reporting.mode = mode;
        watch.reporting.detail = detail;
        watch.reporting.when_nothing_runs = when;
        let link = "https://page.example/{namespace}/{run}?d={delivery}";
        watch.reporting.link = has_link.then(|| link.to_owned());
        for (n, delivery) in (1..).zip(&mut deliveries) {
            delivery.id = sample::id(n);
            // Nobody decided it: then the forge did not say that only members may read A.
            delivery.detail = (n % 2 == 0).then_some(ReportDetail::Counts);
        }
        for status in statuses(&watch, &deliveries) {
            let CommitStatus { context, description, link, .. } = &status;
            let all = format!("{context}\n{description}\n{}", link.clone().unwrap_or_default());
            for word in INSIDE {
                prop_assert!(!all.contains(word), "{word} is shown: {all}");
            }
            prop_assert!(!description.is_empty(), "{all}");
        }
    }
}
