//! The event stream: the data of `GET /events`.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use sentry_core::event::{Event as CoreEvent, EventKind as Core};
use sentry_core::revision::Revision;
use sentry_core::subject as core;
use serde::{Deserialize, Serialize};

use super::Subject;
use crate::VERSION;
use crate::words::{DeliveryState, EventKind, RunStanding, Verdict, Word};

/// Something that happened, sent once to everyone who is listening. Events are not stored: a listener that missed
/// some queries the current state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// [`VERSION`].
    pub version: u32,
    /// What happened.
    pub kind: Word<EventKind>,
    /// When; `null` for [`EventKind::Lagged`].
    pub at: Option<Timestamp>,
    /// The watch, if the event is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// The branch of A, if the event is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The subject in A, if the event is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The commit of A.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The state of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Word<DeliveryState>>,
    /// How its runs ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Word<Verdict>>,
    /// The run whose state changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_state: Option<Word<RunStanding>>,
    /// The trigger that was accepted or rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The forge, if the event is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge: Option<String>,
    /// Why something failed or was not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many events were missed, for [`EventKind::Lagged`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
}

impl Event {
    fn new(kind: EventKind, at: Option<Timestamp>) -> Self {
        Self {
            version: VERSION,
            kind: kind.into(),
            at,
            watch: None,
            branch: None,
            subject: None,
            revision: None,
            delivery: None,
            state: None,
            verdict: None,
            run: None,
            run_state: None,
            trigger: None,
            forge: None,
            reason: None,
            missed: None,
        }
    }

    /// The listener was too slow and missed this many events.
    #[must_use]
    pub fn lagged(missed: u64) -> Self {
        Self { missed: Some(missed), ..Self::new(EventKind::Lagged, None) }
    }

    fn of_subject(self, subject: &core::Subject) -> Self {
        let branch = Some(subject.to_string());
        Self { branch, subject: Some(subject.into()), ..self }
    }

    fn of_head(self, head: &Revision) -> Self {
        Self { revision: Some(head.sha.to_string()), ..self.of_subject(&head.subject) }
    }

    /// An event of the engine; `None` for what changes no answer, such as a round of polling.
    #[must_use]
    pub fn of(event: &CoreEvent) -> Option<Self> {
        let new = |kind| Self::new(kind, Some(event.at));
        let about = |kind, watch: &dyn ToString, revision: &Revision| {
            let watch = Some(watch.to_string());
            Self { watch, ..new(kind).of_head(revision) }
        };
        Some(match &event.kind {
            Core::Started { .. } => new(EventKind::Started),
            Core::Stopping => new(EventKind::Stopping),
            Core::Baseline { watch, revision, why } => {
                Self { reason: Some(why.clone()), ..about(EventKind::Baseline, watch, revision) }
            }
            Core::Change { watch, revision, .. } => about(EventKind::Change, watch, revision),
            Core::Gone { watch, subject } => {
                let watch = Some(watch.to_string());
                Self { watch, ..new(EventKind::BranchGone).of_subject(subject) }
            }
            Core::NotStarted { watch, revision, reason, .. } => Self {
                reason: Some(reason.to_string()),
                ..about(EventKind::NotStarted, watch, revision)
            },
            Core::TriggerAnswered { trigger, watch, answer } => Self {
                trigger: Some(trigger.to_string()),
                watch: Some(watch.to_string()),
                delivery: answer.as_ref().ok().map(ToString::to_string),
                reason: answer.as_ref().err().cloned(),
                ..new(EventKind::TriggerAnswered)
            },
            Core::ForgeUnreachable { forge, error, .. } => Self {
                forge: Some(forge.clone()),
                reason: Some(error.clone()),
                ..new(EventKind::ForgeUnreachable)
            },
            Core::ForgeRecovered { forge, .. } => {
                Self { forge: Some(forge.clone()), ..new(EventKind::ForgeRecovered) }
            }
            Core::StateUnavailable { error } => {
                Self { reason: Some(error.clone()), ..new(EventKind::StateUnavailable) }
            }
            _ => return Self::of_delivery(event),
        })
    }

    fn of_delivery(event: &CoreEvent) -> Option<Self> {
        let of = |kind, id: &dyn ToString, watch: &dyn ToString, revision: &Revision| {
            let (delivery, watch) = (Some(id.to_string()), Some(watch.to_string()));
            Self { delivery, watch, ..Self::new(kind, Some(event.at)).of_head(revision) }
        };
        Some(match &event.kind {
            Core::DeliveryStarted { id, watch, revision, .. } => {
                of(EventKind::DeliveryStarted, id, watch, revision)
            }
            Core::DeliveryStep { id, watch, revision, state } => Self {
                state: Some((*state).into()),
                ..of(EventKind::DeliveryStep, id, watch, revision)
            },
            Core::DeliveryRetrying { id, watch, revision, error, .. } => Self {
                reason: Some(error.clone()),
                ..of(EventKind::DeliveryRetrying, id, watch, revision)
            },
            Core::DeliverySettled {
                id, watch, revision, state, verdict, passed, error, ..
            } => Self {
                state: Some((*state).into()),
                verdict: verdict.map(Into::into),
                reason: error.clone().or_else(|| passed.as_ref().map(ToString::to_string)),
                ..of(EventKind::DeliverySettled, id, watch, revision)
            },
            Core::RunsQueued { id, watch, revision, .. } => {
                of(EventKind::RunsQueued, id, watch, revision)
            }
            Core::RunChanged { id, watch, revision, run } => Self {
                run: Some(run.object.name.clone()),
                run_state: Some(RunStanding::As(run.state).into()),
                ..of(EventKind::RunChanged, id, watch, revision)
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sentry_core::testing::sample;

    use super::*;

    fn told(kind: Core) -> Option<Event> {
        Event::of(&CoreEvent { at: sample::time(1), kind })
    }

    #[test]
    fn a_settled_delivery_is_told_with_its_verdict_and_reads_back() {
        let kind = Core::DeliverySettled {
            id: sample::id(1),
            watch: sample::watch("qa"),
            revision: sample::revision(1),
            state: sentry_core::delivery::DeliveryState::Failed,
            manifests: None,
            objects: Vec::new(),
            runs: Vec::new(),
            verdict: Some(sentry_core::delivery::Verdict::Failure),
            passed: None,
            took: Duration::from_secs(1),
            error: Some("ci failed".into()),
            dry_run: false,
        };
        let event = told(kind).unwrap();
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["kind"], "delivery_settled");
        assert_eq!((&json["state"], &json["verdict"]), (&"failed".into(), &"failure".into()));
        assert_eq!(json["revision"], sample::revision(1).sha.as_str());
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }

    #[test]
    fn a_round_of_polling_is_no_news() {
        let took = Duration::ZERO;
        assert_eq!(told(Core::Polled { forge: "hub".into(), answered: 1, failed: 0, took }), None);
    }
}
