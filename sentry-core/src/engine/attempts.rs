//! Attempts at one commit that stand together: of each document its newest run counts. Pure. Branch, page and commit status
//! have their verdict from here.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::conclude::end;
use crate::delivery::{Delivery, DeliveryState};
use crate::ids::DeliveryId;
use crate::plan::ObjectRef;
use crate::store::Brief;

impl Delivery {
    /// True if it may bring no more than a part of what its commit makes run, by a person's wish: a rerun, or a single run.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.asked.repeats.is_some() || self.asked.only.is_some()
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

/// How a delivery counts among all of its commit, oldest first.
#[must_use]
pub fn counted_brief(deliveries: &[Delivery], id: &DeliveryId) -> Option<Brief> {
    counted(deliveries).iter().find(|delivery| delivery.id == *id).map(|d| Brief::from(d.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Asked, RunRecord, RunState, Verdict};
    use crate::plan::{Action, ObjectOutcome};
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

    #[test]
    fn of_each_document_the_newest_run_counts_among_attempts_that_repeat_one_another() {
        use DeliveryState::{Failed, Following, Succeeded};
        use RunState::{Failed as F, Running as R, Succeeded as S};
        let first: &[_] = &[(0, S), (1, F), (2, S)];
        let only = || Asked { only: Some("ci".to_owned()), ..whole() };
        let nightly =
            |asked: Asked| Asked { event: crate::subject::EventName::new("other"), ..asked };
        let dry = |asked: Asked| Asked { dry_run: true, ..asked };
        let (success, failure) = (Some(Verdict::Success), Some(Verdict::Failure));
        for (what, attempts, state, verdict, runs) in [
            (
                "the failed one passes",
                vec![(whole(), first), (again(1), &[(1, S)][..])],
                Succeeded,
                success,
                3,
            ),
            ("it fails again", vec![(whole(), first), (again(1), &[(1, F)])], Failed, failure, 3),
            ("it goes on", vec![(whole(), first), (again(1), &[(1, R)])], Following, None, 3),
            (
                "a rerun of one that passed fails",
                vec![(whole(), &[(0, S), (1, S)]), (again(1), &[(0, F)])],
                Failed,
                failure,
                2,
            ),
            (
                "one run of several, asked for by name",
                vec![(whole(), first), (only(), &[(1, S)])],
                Succeeded,
                success,
                3,
            ),
            (
                "another one passes, the failed one counts",
                vec![(whole(), first), (only(), &[(0, S)])],
                Failed,
                failure,
                3,
            ),
            (
                "a rerun of a rerun",
                vec![(whole(), first), (again(1), &[(1, F)]), (again(2), &[(1, S)])],
                Succeeded,
                success,
                3,
            ),
            (
                "a rerun of all",
                vec![(whole(), first), (again(1), &[(0, S), (1, S), (2, S)])],
                Succeeded,
                success,
                3,
            ),
            (
                "a whole delivery counts alone",
                vec![(whole(), first), (whole(), &[(0, S)])],
                Succeeded,
                success,
                1,
            ),
            (
                "another event",
                vec![(whole(), first), (nightly(again(1)), &[(1, S)])],
                Succeeded,
                success,
                1,
            ),
            (
                "a dry run changes nothing",
                vec![(whole(), first), (dry(again(1)), &[]), (again(1), &[(1, S)])],
                Succeeded,
                success,
                3,
            ),
            (
                "an earlier one still goes on",
                vec![(whole(), &[(0, R), (1, F)]), (only(), &[(1, S)])],
                Following,
                None,
                2,
            ),
        ] {
            let all: Vec<_> =
                (1..).zip(attempts).map(|(n, (asked, runs))| delivery(n, asked, runs)).collect();
            let newest = all.last().map(|newest| newest.id.clone()).unwrap();
            let brief = counted_brief(&all, &newest).unwrap();
            assert_eq!(
                (brief.state, brief.verdict, brief.runs.total),
                (state, verdict, runs),
                "{what}"
            );
            assert_eq!(brief.error.is_some(), verdict == failure, "{what}");
        }
    }
}
