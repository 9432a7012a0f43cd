//! The audit log: what people asked for.

use super::Hold;
use crate::clock::Timestamp;
use crate::delivery::{Trigger, TriggerKind};
use crate::ids::{DeliveryId, TriggerId};
use crate::names::WatchName;
use crate::repo::CommitSha;
use crate::subject::Subject;

crate::closed_list! {
    /// What a person did.
    pub enum ActKind {
        /// Requested a delivery.
        Trigger = "trigger",
        /// Approved the head of a fork's pull request.
        Approve = "approve",
        /// Requested another attempt.
        Retry = "retry",
        /// Requested the end of a delivery.
        Cancel = "cancel",
        /// Requested new runs of an earlier delivery's commits.
        Rerun = "rerun",
        /// Suspended a watch.
        Suspend = "suspend",
        /// Resumed a watch.
        Resume = "resume",
    }
}

/// What a person did, in one line. A store keeps it with the request itself, both or none; a request that repeats an earlier one
/// by its key is no act. It is kept for a year longer than deliveries are ([`Write::Prune`](super::Write::Prune)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who: the token's name, or the user who gave the command; `None` for those kept before names were.
    pub by: Option<String>,
    /// What.
    pub kind: ActKind,
    /// On which watch.
    pub watch: WatchName,
    /// The subject that was named.
    pub subject: Option<Subject>,
    /// The commit of A that was named.
    pub revision: Option<CommitSha>,
    /// The delivery that was named.
    pub delivery: Option<DeliveryId>,
    /// The trigger that was made of it: it tells which delivery came of it.
    pub trigger: Option<TriggerId>,
    /// More of the request, for people: the reason of a suspension, which runs.
    pub detail: Option<String>,
}

impl Act {
    /// What a trigger is an act of; `None` where no person asked.
    #[must_use]
    pub fn of(trigger: &Trigger) -> Option<Self> {
        let act = Self {
            at: trigger.at,
            by: trigger.by.clone(),
            kind: ActKind::Retry,
            watch: trigger.watch.clone(),
            subject: None,
            revision: None,
            delivery: None,
            trigger: Some(trigger.id.clone()),
            detail: None,
        };
        Some(match &trigger.kind {
            TriggerKind::Look(_) => return None,
            TriggerKind::Deliver { subject, sha, selection } => {
                let event = selection.event.as_ref().map(|event| format!("event {event}"));
                let run = selection.run.as_ref().map(|run| format!("run {run}"));
                let which: Vec<String> = event.into_iter().chain(run).collect();
                Self {
                    kind: ActKind::Trigger,
                    subject: Some(subject.clone()),
                    revision: sha.clone(),
                    detail: (!which.is_empty()).then(|| which.join(", ")),
                    ..act
                }
            }
            TriggerKind::Approve { number, sha, base } => Self {
                kind: ActKind::Approve,
                subject: Some(number.clone().into()),
                revision: Some(sha.clone()),
                detail: Some(format!("into {base}")),
                ..act
            },
            TriggerKind::Retry(delivery) => Self { delivery: Some(delivery.clone()), ..act },
            TriggerKind::Cancel(delivery) => {
                Self { kind: ActKind::Cancel, delivery: Some(delivery.clone()), ..act }
            }
            TriggerKind::Rerun { delivery, failed_only } => Self {
                kind: ActKind::Rerun,
                delivery: Some(delivery.clone()),
                detail: failed_only.then(|| "only what failed".to_owned()),
                ..act
            },
        })
    }
}

impl From<&Hold> for Act {
    fn from(hold: &Hold) -> Self {
        let (at, by, kind, watch, detail) = match hold {
            Hold::Suspend(it) => (it.since, &it.by, ActKind::Suspend, &it.watch, it.reason.clone()),
            Hold::Resume(it) => (it.at, &it.by, ActKind::Resume, &it.watch, None),
        };
        let (by, watch) = (by.clone(), watch.clone());
        let (subject, revision, delivery, trigger) = (None, None, None, None);
        Self { at, by, kind, watch, subject, revision, delivery, trigger, detail }
    }
}

/// One line of the audit log, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the log: a later one has a greater number.
    pub number: u64,
    /// What was done.
    pub act: Act,
}

/// Which lines of the audit log are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// Only those on this watch.
    pub watch: Option<WatchName>,
    /// Only those by this name.
    pub by: Option<String>,
    /// Only those at this time or later.
    pub since: Option<Timestamp>,
    /// Only earlier ones than this number: the last one of the page before.
    pub before: Option<u64>,
    /// At most so many; `None` is all.
    pub limit: Option<usize>,
}

impl AuditQuery {
    /// Whether a line is wanted, whatever the limit: for a store that has no index.
    #[must_use]
    pub fn selects(&self, entry: &AuditEntry) -> bool {
        let act = &entry.act;
        self.watch.as_ref().is_none_or(|watch| *watch == act.watch)
            && self.by.as_ref().is_none_or(|by| Some(by) == act.by.as_ref())
            && self.since.is_none_or(|since| act.at >= since)
            && self.before.is_none_or(|before| entry.number < before)
    }
}
