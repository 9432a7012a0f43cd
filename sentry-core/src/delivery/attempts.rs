//! Deliveries of one commit that stand together: of each document its newest run counts. Pure. Branch, page and commit status
//! have their verdict from here.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::end::end;
use super::{Delivery, DeliveryState};
use crate::plan::ObjectRef;

impl Delivery {
    /// True if it may bring no more than a part of what its commit makes run, by a person's wish: a rerun, or a single run.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.asked.repeats.is_some() || self.asked.only.is_some()
    }

    /// True if its head needs no other delivery after it: not if a person asked for a single run, or for what another event
    /// makes run.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.asked.only.is_none() && self.asked.event == self.revision.subject.event()
    }

    fn goes_on(&self, earlier: &Self) -> bool {
        self.is_part()
            && self.watch == earlier.watch
            && self.revision == earlier.revision
            && self.asked.event == earlier.asked.event
            && !self.asked.dry_run
            && !earlier.asked.dry_run
    }

    /// As it counts after an earlier delivery: with those runs of that one whose documents it did not run anew.
    fn after(&self, earlier: &Self) -> Self {
        let place = |object: &ObjectRef| (object.path.clone(), object.document);
        let runs = self.runs.iter().map(|run| place(&run.object));
        let outcomes = self.objects.iter().filter(|o| o.run).map(|o| place(&o.object));
        let own: BTreeSet<_> = runs.chain(outcomes).collect();
        let mut all = self.clone();
        let left = earlier.objects.iter().filter(|o| o.run && !own.contains(&place(&o.object)));
        all.objects.extend(left.cloned());
        let left = earlier.runs.iter().filter(|run| !own.contains(&place(&run.object)));
        all.runs.extend(left.cloned());
        let has_ended = match all.state {
            DeliveryState::Succeeded | DeliveryState::NothingRan => true,
            DeliveryState::Failed => all.verdict.is_some(),
            _ => false,
        };
        if has_ended && all.active_runs().next().is_some() {
            (all.state, all.verdict, all.error) = (DeliveryState::Following, None, None);
        } else if has_ended && !all.runs.is_empty() {
            (all.passed, all.error) = (None, None);
            all.state = end(&mut all);
        }
        all
    }
}

/// Each delivery of one commit as it counts at its time, in the order given: oldest first.
#[must_use]
pub fn counted(deliveries: &[Delivery]) -> Vec<Cow<'_, Delivery>> {
    let mut all: Vec<Cow<'_, Delivery>> = Vec::new();
    for delivery in deliveries {
        let earlier = all.iter().rev().find(|earlier| delivery.goes_on(earlier));
        let counts = earlier.map(|earlier| Cow::Owned(delivery.after(earlier)));
        all.push(counts.unwrap_or(Cow::Borrowed(delivery)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Asked, RunRecord, RunState, Verdict};
    use crate::plan::{Action, ObjectOutcome};
    use crate::subject::EventName;
    use crate::testing::sample;

    /// The `n`th delivery, with a run of each of these documents that stands so.
    fn delivery(n: u32, asked: Asked, runs: &[(usize, RunState)]) -> Delivery {
        let object = |document| ObjectRef {
            document,
            name: format!("ci-{document}-{n}"),
            ..sample::object()
        };
        let record = |(document, state): &(usize, RunState)| RunRecord {
            object: object(*document),
            cancelled_by: None,
            ..sample::run(*state)
        };
        let outcome = |(document, _): &(usize, RunState)| ObjectOutcome {
            object: object(*document),
            run: true,
            ..sample::outcome(Action::Created)
        };
        let mut delivery = Delivery {
            revision: sample::revision(1),
            asked,
            error: None,
            passed: None,
            superseded_by: None,
            state: DeliveryState::Following,
            verdict: None,
            runs: runs.iter().map(record).collect(),
            objects: runs.iter().map(outcome).collect(),
            ..sample::delivery(n)
        };
        if delivery.active_runs().next().is_none() {
            delivery.state = end(&mut delivery);
        }
        delivery
    }

    fn whole() -> Asked {
        Asked { dry_run: false, only: None, repeats: None, ..sample::asked(1) }
    }

    fn again(of: u32) -> Asked {
        Asked { repeats: Some(sample::id(of)), ..whole() }
    }

    fn only() -> Asked {
        Asked { only: Some("ci".to_owned()), ..whole() }
    }

    const PASSED: (DeliveryState, Option<Verdict>) =
        (DeliveryState::Succeeded, Some(Verdict::Success));
    const FAILED: (DeliveryState, Option<Verdict>) =
        (DeliveryState::Failed, Some(Verdict::Failure));
    const GOES_ON: (DeliveryState, Option<Verdict>) = (DeliveryState::Following, None);
    /// What a whole delivery came to.
    const FIRST: &[(usize, RunState)] =
        &[(0, RunState::Succeeded), (1, RunState::Failed), (2, RunState::Succeeded)];

    /// How the newest of these attempts, oldest first, counts, with how many runs.
    #[track_caller]
    fn counts(
        attempts: Vec<(Asked, &[(usize, RunState)])>,
        stands: (DeliveryState, Option<Verdict>),
        runs: usize,
    ) {
        let all = (1..).zip(attempts).map(|(n, (asked, runs))| delivery(n, asked, runs));
        let all: Vec<_> = all.collect();
        let newest = counted(&all).pop().unwrap();
        assert_eq!(((newest.state, newest.verdict), newest.run_totals().total), (stands, runs));
        assert_eq!(newest.error.is_some(), stands == FAILED);
    }

    #[test]
    fn after_a_rerun_the_newest_run_of_each_document_counts() {
        use RunState::{Failed as F, Running as R, Succeeded as S};
        let rerun = |runs| vec![(whole(), FIRST), (again(1), runs)];
        counts(rerun(&[(1, S)]), PASSED, 3);
        counts(rerun(&[(1, F)]), FAILED, 3);
        counts(rerun(&[(1, R)]), GOES_ON, 3);
        counts(rerun(&[(0, S), (1, S), (2, S)]), PASSED, 3);
        // Of what passed, one run that is made again fails.
        counts(vec![(whole(), &[(0, S), (1, S)]), (again(1), &[(0, F)])], FAILED, 2);
        let twice = vec![(whole(), FIRST), (again(1), &[(1, F)][..]), (again(2), &[(1, S)])];
        counts(twice, PASSED, 3);
    }

    #[test]
    fn a_single_run_counts_beside_the_others_and_what_is_whole_or_else_asked_for_counts_alone() {
        use RunState::{Failed as F, Running as R, Succeeded as S};
        counts(vec![(whole(), FIRST), (only(), &[(1, S)])], PASSED, 3);
        counts(vec![(whole(), FIRST), (only(), &[(0, S)])], FAILED, 3);
        counts(vec![(whole(), &[(0, R), (1, F)]), (only(), &[(1, S)])], GOES_ON, 2);
        counts(vec![(whole(), FIRST), (whole(), &[(0, S)])], PASSED, 1);
        let another_event = Asked { event: EventName::new("other"), ..again(1) };
        counts(vec![(whole(), FIRST), (another_event, &[(1, S)])], PASSED, 1);
        let dry = Asked { dry_run: true, ..again(1) };
        counts(vec![(whole(), FIRST), (dry, &[]), (again(1), &[(1, S)])], PASSED, 3);
    }
}
