//! What becomes of a delivery, in the API's shapes: told by our own engine, or seen in another agent's answers.

use std::time::Duration;

use sentry_api::shape::{Object, Revision, Run, Show};
use sentry_api::words::Word::{self, Known};
use sentry_api::words::{Action, Cause, DeliveryState, ReasonKind, RunStanding, RunState, Verdict};
use sentry_core::delivery::RunRecord;
use sentry_core::event::EventKind;

/// What became of a delivery.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(super) id: String,
    pub(super) watch: String,
    pub(super) step: Step,
}

#[derive(Debug)]
pub(super) enum Step {
    /// An attempt began.
    Started { revision: Revision, cause: Word<Cause>, attempt: u32 },
    /// It stands otherwise.
    Reached(Word<DeliveryState>),
    /// A run of it stands otherwise.
    Run { revision: Revision, kind: String, run: Run },
    /// It ended.
    Settled(Box<Settled>),
}

/// How a delivery ended.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) revision: Revision,
    pub(super) manifests: Option<String>,
    pub(super) state: Word<DeliveryState>,
    pub(super) objects: Vec<Word<Action>>,
    /// Those that were created.
    pub(super) runs: Vec<Run>,
    pub(super) verdict: Option<Word<Verdict>>,
    pub(super) nothing_ran: Option<Word<ReasonKind>>,
    pub(super) took: Duration,
    pub(super) error: Option<String>,
    pub(super) dry_run: bool,
}

impl Progress {
    /// What an event tells of a delivery; `None` if it tells of something else.
    pub(super) fn of(event: &EventKind) -> Option<Self> {
        let (id, watch, step) = match event {
            EventKind::DeliveryStarted { id, watch, revision, cause, attempt } => {
                let (revision, cause, attempt) = (revision.into(), (*cause).into(), *attempt);
                (id, watch, Step::Started { revision, cause, attempt })
            }
            EventKind::DeliveryStep { id, watch, state, .. } => {
                (id, watch, Step::Reached((*state).into()))
            }
            EventKind::RunChanged { id, watch, revision, run } => {
                let (revision, kind) = (revision.into(), run.object.kind.clone());
                (id, watch, Step::Run { revision, kind, run: created(run) })
            }
            EventKind::DeliverySettled {
                id,
                watch,
                revision,
                state,
                manifests,
                objects,
                runs,
                verdict,
                passed,
                took,
                error,
                dry_run,
            } => {
                let settled = Settled {
                    revision: revision.into(),
                    manifests: manifests.as_ref().map(ToString::to_string),
                    state: (*state).into(),
                    objects: objects.iter().map(|object| object.action.into()).collect(),
                    runs: runs.iter().map(created).collect(),
                    verdict: verdict.map(Into::into),
                    nothing_ran: passed.as_ref().map(|reason| reason.kind().into()),
                    took: *took,
                    error: error.clone(),
                    dry_run: *dry_run,
                };
                (id, watch, Step::Settled(Box::new(settled)))
            }
            _ => return None,
        };
        Some(Self { id: id.to_string(), watch: watch.to_string(), step })
    }

    /// What became of a delivery of another agent since the last look.
    pub(crate) fn since(last: Option<&Show>, now: &Show) -> Vec<Self> {
        let delivery = &now.delivery;
        let mut steps = Vec::new();
        if last.is_none() {
            let (revision, cause, attempt) = (revision(now), delivery.trigger, attempt(now));
            steps.push(Step::Started { revision, cause, attempt });
        }
        for (object, run) in runs(now) {
            let before = last.and_then(|last| runs(last).find(|(other, _)| is_same(object, other)));
            let before = before.map_or(RunStanding::As(RunState::Running).into(), |(_, r)| r.state);
            if before != run.state {
                let (kind, run) = (object.kind.clone(), run.clone());
                steps.push(Step::Run { revision: revision(now), kind, run });
            }
        }
        if delivery.state.is(DeliveryState::is_final) {
            steps.push(Step::Settled(Box::new(settled(now))));
        } else if last.is_none_or(|last| last.delivery.state != delivery.state) {
            steps.push(Step::Reached(delivery.state));
        }
        let (id, watch) = (&delivery.id, &delivery.watch);
        let progress = |step| Self { id: id.clone(), watch: watch.clone(), step };
        steps.into_iter().map(progress).collect()
    }
}

/// A run that our own engine created.
fn created(run: &RunRecord) -> Run {
    Run {
        name: run.object.name.clone(),
        state: RunStanding::As(run.state).into(),
        reason: run.reason.clone(),
        message: run.message.clone(),
        failure: run.failure.map(Into::into),
        started: run.started,
        ended: run.completed,
        usual_ms: None,
        tasks: Vec::new(),
    }
}

fn revision(show: &Show) -> Revision {
    Revision { branch: show.delivery.branch.clone(), sha: show.delivery.revision.clone() }
}

/// Which attempt works, or comes next.
fn attempt(show: &Show) -> u32 {
    let failed = match show.delivery.state {
        Known(DeliveryState::Pending) => true,
        Known(DeliveryState::Failed | DeliveryState::Parked) => show.delivery.verdict.is_none(),
        _ => false,
    };
    show.attempts.saturating_sub(u32::from(!failed)) + 1
}

/// The runs that were created; in a dry run none is.
fn runs(show: &Show) -> impl Iterator<Item = (&Object, &Run)> {
    let objects = show.delivery.objects.iter().filter(|object| object.run);
    objects.zip(&show.delivery.runs).filter(|(object, run)| {
        object.action.is(Action::is_acknowledged) && run.state != RunStanding::Planned
    })
}

fn is_same(one: &Object, other: &Object) -> bool {
    (&one.kind, &one.namespace, &one.name) == (&other.kind, &other.namespace, &other.name)
}

fn settled(show: &Show) -> Settled {
    let delivery = &show.delivery;
    let end = delivery.finished.unwrap_or(delivery.started);
    Settled {
        revision: revision(show),
        manifests: delivery.manifests_revision.clone(),
        state: delivery.state,
        objects: delivery.objects.iter().map(|object| object.action).collect(),
        runs: runs(show).map(|(_, run)| run.clone()).collect(),
        verdict: delivery.verdict,
        nothing_ran: delivery.nothing_ran,
        took: end.duration_since(delivery.started).unsigned_abs(),
        error: delivery.error.clone(),
        dry_run: delivery.dry_run,
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::delivery::{Asked, Delivery};
    use sentry_core::testing::sample;

    use super::*;

    fn show(state: DeliveryState, run: RunState) -> Show {
        let objects = vec![sample::outcome(Action::Created)];
        let runs = vec![sample::run(run)];
        let asked = Asked { dry_run: false, ..sample::asked(1) };
        (&Delivery { state, objects, runs, asked, ..sample::delivery(1) }).into()
    }

    fn told(last: Option<&Show>, now: &Show) -> Vec<&'static str> {
        let word = |progress: &Progress| match &progress.step {
            Step::Started { .. } => "started",
            Step::Reached(state) => state.as_str(),
            Step::Run { run, .. } => run.state.as_str(),
            Step::Settled(settled) => settled.state.as_str(),
        };
        Progress::since(last, now).iter().map(word).collect()
    }

    #[test]
    fn what_another_agent_does_is_told_once_and_to_its_end() {
        let applying = show(DeliveryState::Applying, RunState::Running);
        let following = show(DeliveryState::Following, RunState::Running);
        let failed = show(DeliveryState::Failed, RunState::Failed);
        assert_eq!(told(None, &applying), ["started", "applying"]);
        assert_eq!(told(Some(&applying), &following), ["following"]);
        assert_eq!(told(Some(&following), &following), [""; 0]);
        assert_eq!(told(Some(&following), &failed), ["failed", "failed"]);
        assert_eq!(told(None, &failed), ["started", "failed", "failed"]);
    }

    #[test]
    fn a_state_of_a_newer_agent_is_no_end() {
        let following = show(DeliveryState::Following, RunState::Running);
        let mut newer = following.clone();
        newer.delivery.state = Word::Unknown;
        assert_eq!(told(Some(&following), &newer), ["unknown"]);
    }
}
