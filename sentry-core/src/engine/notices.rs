//! Which notices a delivery sends, and to whom: decided from its state now, its state before, and what was last sent
//! of its branch. Pure.

use super::{alike::alike, verdict};
use crate::clock::Timestamp;
use crate::delivery::{Delivery, DeliveryState, RunState, Verdict};
use crate::ids::NoticeId;
use crate::notifier::{FAILED_RUNS, FailedRun, Notice, REASON_CHARS, RunCounts};
use crate::store::{Notified, Trouble, Write};
use crate::subscription::{Occasion, Route};
use crate::text;
use crate::watch::Watch;

/// The state of a delivery, as far as notices tell.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Nothing to report, good or bad.
    Quiet,
    /// It could not be started; true if it was, and its runs were lost sight of.
    Stuck(bool),
    /// Every object is acknowledged.
    Started,
    /// A run failed.
    TestsFailed,
    /// It succeeded as a whole.
    Succeeded,
}

fn standing(watch: &Watch, delivery: &Delivery) -> Standing {
    // What a newer head took the place of says nothing of the branch, but that tests failed; a dry run says nothing of
    // anything.
    let failed = delivery.verdict == Some(Verdict::Failure);
    if delivery.asked.dry_run || delivery.superseded_by.is_some() && !failed {
        return Standing::Quiet;
    }
    match delivery.state {
        DeliveryState::Failed | DeliveryState::Parked => match delivery.verdict {
            Some(Verdict::Failure) => Standing::TestsFailed,
            verdict => Standing::Stuck(verdict.is_some()),
        },
        DeliveryState::Superseded | DeliveryState::NothingRan | DeliveryState::Cancelled => {
            Standing::Quiet
        }
        // How its runs end may not be known: that they started is.
        DeliveryState::Succeeded if delivery.verdict.is_some() => Standing::Succeeded,
        DeliveryState::Following | DeliveryState::Succeeded => Standing::Started,
        // An outage is waited out, however long: the person on call must hear of it before it ends.
        _ if delivery.attempts.tries > watch.timing.max_retries => Standing::Stuck(false),
        DeliveryState::Pending
        | DeliveryState::Fetching
        | DeliveryState::Checking
        | DeliveryState::Applying => Standing::Quiet,
    }
}

/// What a change of a delivery comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// What is reported, in order, with its reason.
    pub(super) told: Vec<(Route, Occasion, Option<String>)>,
    /// What is kept of the branch from now on; the outer `None` is what is kept already.
    pub(super) trouble: Option<Option<Trouble>>,
}

/// Decides. `before` is the delivery as it was last written down, if it was open.
pub(super) fn decide(
    watch: &Watch,
    before: Option<&Delivery>,
    delivery: &Delivery,
    trouble: Option<&Trouble>,
    at: Timestamp,
) -> Decision {
    let now = standing(watch, delivery);
    if watch.notify.is_empty() || before.is_some_and(|before| standing(watch, before) == now) {
        return Decision::default();
    }
    let mut told = Vec::new();
    let mut next = trouble.cloned().unwrap_or_else(|| Trouble {
        watch: delivery.watch.clone(),
        subject: delivery.revision.subject.clone(),
        at,
        tests: None,
        start: None,
    });
    next.at = at;
    match now {
        Standing::Quiet => return Decision::default(),
        Standing::Stuck(started) => stuck(&mut next, &mut told, delivery, started),
        Standing::Started => {
            if next.start.as_ref().is_none_or(|told| told.started) {
                return Decision::default();
            }
            starts_again(&mut next, &mut told);
        }
        Standing::TestsFailed => {
            starts_again(&mut next, &mut told);
            let reason = reason(delivery);
            let sha = delivery.revision.sha.clone();
            // Another attempt at the same commit tells its author nothing new.
            if next.tests.as_ref().is_none_or(|told| told.sha != sha) {
                told.push((Route::TestsFailed, Occasion::Failure, Some(reason.clone())));
            }
            next.tests = Some(Notified { sha, reason, started: true });
        }
        Standing::Succeeded => {
            starts_again(&mut next, &mut told);
            let (occasion, reason) = match (next.tests, trouble) {
                (Some(told), _) => (Occasion::Recovery, Some(told.reason)),
                (None, Some(_)) => (Occasion::FirstSuccess, None),
                (None, None) => (Occasion::Success, None),
            };
            told.push((Route::TestsFailed, occasion, reason));
            return Decision { told, trouble: trouble.map(|_| None) };
        }
    }
    Decision { told, trouble: Some(Some(next)) }
}

type Tellings = Vec<(Route, Occasion, Option<String>)>;

/// Sent once for a commit, and once for a reason, however many commits have it: nobody is paged twice for one outage.
fn stuck(next: &mut Trouble, told: &mut Tellings, delivery: &Delivery, started: bool) {
    let (sha, reason) = (delivery.revision.sha.clone(), reason(delivery));
    let known = next.start.take();
    let repeated = known.filter(|known| known.sha == sha || alike(&known.reason, &reason));
    let reason = match repeated {
        Some(known) => known.reason,
        None => {
            told.push((Route::CouldNotStart, Occasion::Failure, Some(reason.clone())));
            reason
        }
    };
    next.start = Some(Notified { sha, reason, started });
}

fn starts_again(next: &mut Trouble, told: &mut Tellings) {
    if let Some(over) = next.start.take() {
        told.push((Route::CouldNotStart, Occasion::Recovery, Some(over.reason)));
    }
}

fn reason(delivery: &Delivery) -> String {
    text::cut(delivery.error.as_deref().unwrap_or("no reason was given"), REASON_CHARS)
}

impl Decision {
    /// The change of what is kept of the branch.
    pub(super) fn write(&self, delivery: &Delivery) -> Option<Write> {
        Some(match self.trouble.clone()? {
            Some(trouble) => Write::Trouble(trouble),
            None => Write::ForgetTrouble(delivery.watch.clone(), delivery.revision.subject.clone()),
        })
    }
}

/// The notice with all that a receiver may want to show.
pub(super) fn notice(
    watch: &Watch,
    delivery: &Delivery,
    (route, occasion, reason): (Route, Occasion, Option<String>),
    id: NoticeId,
    at: Timestamp,
) -> Notice {
    let count = |state| {
        let runs = delivery.runs.iter().filter(|run| run.state == state).count();
        u32::try_from(runs).unwrap_or(u32::MAX)
    };
    let failed = delivery.runs.iter().filter(|run| run.state == RunState::Failed);
    let failed = failed.take(FAILED_RUNS).map(|run| FailedRun {
        name: run.object.name.clone(),
        reason: run
            .message
            .as_ref()
            .or(run.reason.as_ref())
            .map(|reason| text::cut(reason, REASON_CHARS)),
    });
    Notice {
        id,
        at,
        route,
        occasion,
        watch: watch.name.clone(),
        repo: watch.source.repo.clone(),
        revision: delivery.revision.clone(),
        commit: delivery.commit.clone(),
        manifests: delivery.manifests.as_ref().map(|b| b.sha.clone()),
        namespace: watch.cluster.namespace.to_string(),
        delivery: delivery.id.clone(),
        cause: delivery.asked.cause,
        asked_by: delivery.asked.by.clone(),
        reason,
        attempts: delivery.attempts.tries.max(delivery.attempts.failures),
        runs: RunCounts {
            total: u32::try_from(delivery.runs.len()).unwrap_or(u32::MAX),
            succeeded: count(RunState::Succeeded),
            failed: count(RunState::Failed),
        },
        failed_runs: failed.collect(),
        link: verdict::link(watch, delivery, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Asked, AttemptCounts};
    use crate::subscription::{On, Subscription};
    use crate::testing::sample;
    use crate::watch::sample::watch;

    /// What was told so far of one branch, and what is kept of it.
    struct Story {
        watch: Watch,
        trouble: Option<Trouble>,
        told: Vec<String>,
    }

    impl Story {
        fn new() -> Self {
            let mut watch = watch("app", &["main"]);
            let (routes, on) = (Route::ALL.to_vec(), vec![On::All]);
            watch.notify = vec![Subscription { receiver: "x".into(), routes, on }];
            Self { watch, trouble: None, told: Vec::new() }
        }

        /// The delivery of the `n`th commit goes through these.
        fn goes(mut self, n: u32, states: &[Delivery]) -> Self {
            let mut before = None;
            for state in states {
                let delivery = Delivery { revision: sample::revision(n), ..state.clone() };
                let decision = decide(
                    &self.watch,
                    before.as_ref(),
                    &delivery,
                    self.trouble.as_ref(),
                    sample::time(n),
                );
                if let Some(trouble) = decision.trouble {
                    self.trouble = trouble;
                }
                let told = decision.told.into_iter().map(|(route, occasion, _)| {
                    format!("{n} {} {}", route.as_str(), occasion.as_str())
                });
                self.told.extend(told);
                before = Some(delivery);
            }
            self
        }
    }

    fn plain() -> Delivery {
        Delivery {
            asked: Asked { dry_run: false, ..sample::asked(1) },
            state: DeliveryState::Pending,
            superseded_by: None,
            passed: None,
            verdict: None,
            attempts: AttemptCounts::default(),
            error: None,
            ..sample::delivery(1)
        }
    }

    fn in_state(state: DeliveryState) -> Delivery {
        Delivery { state, ..plain() }
    }

    fn parked(error: &str) -> Delivery {
        Delivery { error: Some(error.into()), ..in_state(DeliveryState::Parked) }
    }

    fn waiting(tries: u32) -> Delivery {
        let attempts = AttemptCounts { tries, ..AttemptCounts::default() };
        Delivery { attempts, error: Some("refused".into()), ..plain() }
    }

    fn ended(verdict: Verdict) -> [Delivery; 3] {
        let state = match verdict {
            Verdict::Success => DeliveryState::Succeeded,
            _ => DeliveryState::Failed,
        };
        let error = (verdict != Verdict::Success).then(|| "1 of 1 run failed".to_owned());
        let end = Delivery { verdict: Some(verdict), error, ..in_state(state) };
        [plain(), in_state(DeliveryState::Following), end]
    }

    #[test]
    fn failed_tests_are_told_for_each_commit_once_and_once_that_they_pass_again() {
        let story = Story::new()
            .goes(1, &ended(Verdict::Success))
            .goes(2, &ended(Verdict::Failure))
            .goes(2, &ended(Verdict::Failure))
            .goes(3, &ended(Verdict::Failure))
            .goes(4, &ended(Verdict::Success))
            .goes(5, &ended(Verdict::Success));
        assert_eq!(
            story.told,
            [
                "1 tests_failed success",
                "2 tests_failed failure",
                "3 tests_failed failure",
                "4 tests_failed recovery",
                "5 tests_failed success",
            ]
        );
        assert_eq!(story.trouble, None);
    }

    #[test]
    fn one_reason_wakes_nobody_twice_and_another_one_does() {
        let story = Story::new()
            .goes(1, &[plain(), parked("no such namespace")])
            .goes(2, &[plain(), parked("no such namespace")])
            .goes(2, &[plain(), parked("forbidden")])
            .goes(3, &[plain(), parked("forbidden")]);
        assert_eq!(story.told, ["1 could_not_start failure", "3 could_not_start failure"]);
    }

    #[test]
    fn an_outage_whose_text_has_another_id_and_time_each_time_wakes_nobody_twice() {
        let text = |n: u32| format!("answered 502 after {n}.5 s (request 8F2A:3C1D{n}:{n}E0FA9)");
        let story =
            (1..9).fold(Story::new(), |story, n| story.goes(n, &[plain(), parked(&text(n))]));
        assert_eq!(story.told, ["1 could_not_start failure"]);
    }

    #[test]
    fn an_outage_that_lasts_is_told_before_it_ends_and_its_end_when_objects_are_acknowledged() {
        let tries: Vec<Delivery> = (0..9).map(waiting).collect();
        let mut story = Story::new().goes(1, &tries);
        assert_eq!(story.told, ["1 could_not_start failure"]);
        let superseded =
            Delivery { superseded_by: Some(sample::sha(2)), ..in_state(DeliveryState::Superseded) };
        story = story.goes(1, &[waiting(9), superseded]).goes(2, &ended(Verdict::Failure));
        assert_eq!(
            story.told[1..],
            ["2 could_not_start recovery", "2 tests_failed failure"],
            "the tests' failure is the author's, the recovery is told to who was woken"
        );
    }

    #[test]
    fn the_first_success_after_a_start_that_failed_is_told_once() {
        let story = Story::new()
            .goes(1, &[plain(), parked("forbidden")])
            .goes(2, &ended(Verdict::Success))
            .goes(3, &ended(Verdict::Success));
        assert_eq!(
            story.told[1..],
            [
                "2 could_not_start recovery",
                "2 tests_failed first_success",
                "3 tests_failed success"
            ]
        );
    }

    #[test]
    fn runs_that_are_lost_sight_of_again_and_again_recover_only_when_one_ends() {
        let story = Story::new()
            .goes(1, &ended(Verdict::Error))
            .goes(2, &ended(Verdict::Error))
            .goes(3, &ended(Verdict::Success));
        assert_eq!(
            story.told,
            [
                "1 could_not_start failure",
                "3 could_not_start recovery",
                "3 tests_failed first_success"
            ]
        );
    }

    #[test]
    fn dry_runs_skipped_and_superseded_heads_and_short_outages_tell_nothing() {
        let dry = Delivery { asked: sample::asked(1), ..in_state(DeliveryState::Succeeded) };
        let reason = Some(crate::delivery::Reason::NoRunMatched);
        let passed = Delivery { passed: reason, ..in_state(DeliveryState::NothingRan) };
        let gone = in_state(DeliveryState::Superseded);
        let mut story = Story::new();
        for end in [dry, passed, gone, waiting(3)] {
            story = story.goes(1, &[plain(), end]);
        }
        assert_eq!((story.told.len(), story.trouble), (0, None));
    }

    #[test]
    fn tests_that_failed_are_told_though_a_newer_head_took_the_place_of_their_commit() {
        let late = |d: Delivery| Delivery { superseded_by: Some(sample::sha(2)), ..d };
        let story = Story::new()
            .goes(1, &ended(Verdict::Failure).map(late))
            .goes(2, &ended(Verdict::Success));
        assert_eq!(story.told, ["1 tests_failed failure", "2 tests_failed recovery"]);
        let story = Story::new().goes(1, &ended(Verdict::Error).map(late));
        assert_eq!(story.told.len(), 0);
    }

    #[test]
    fn where_nobody_listens_nothing_is_kept() {
        let mut story = Story::new();
        story.watch.notify.clear();
        let story = story.goes(1, &ended(Verdict::Failure));
        assert_eq!((story.told.len(), story.trouble), (0, None));
    }

    #[test]
    fn a_notice_names_the_failed_runs_and_is_bounded() {
        let mut delivery = ended(Verdict::Failure)[2].clone();
        delivery.runs = (0..30).map(|_| sample::run(RunState::Failed)).collect();
        delivery.runs[0].message = Some("x".repeat(5_000));
        let telling = (Route::TestsFailed, Occasion::Failure, Some("why".to_owned()));
        let at = sample::time(1);
        let notice = notice(&Story::new().watch, &delivery, telling, sample::notice_id(1), at);
        assert_eq!((notice.runs.total, notice.runs.failed), (30, 30));
        assert_eq!(notice.failed_runs.len(), FAILED_RUNS);
        let longest = notice.failed_runs[0].reason.as_ref().unwrap().chars().count();
        assert_eq!(longest, REASON_CHARS);
    }
}
