//! `audit`: who asked for what.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use sentry_core::store;
use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::words::{ActKind, Word};

/// The answer to `audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// [`VERSION`].
    pub version: u32,
    /// Newest first.
    pub acts: Vec<Act>,
    /// What to pass as `before` for the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What a person did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    /// Its place in the log: a later one has a greater number.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who: the token's name, or the user who gave the command.
    pub by: Option<String>,
    /// What.
    pub act: Word<ActKind>,
    /// On which watch.
    pub watch: String,
    /// The branch that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit of A that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The delivery that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The trigger that was made of it: `triggers/{id}` tells which delivery came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// More of the request: the reason of a suspension, which runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl From<&store::AuditEntry> for Act {
    fn from(store::AuditEntry { number, act }: &store::AuditEntry) -> Self {
        Self {
            number: *number,
            at: act.at,
            by: act.by.clone(),
            act: act.kind.into(),
            watch: act.watch.to_string(),
            branch: act.subject.as_ref().map(|subject| subject.to_string()),
            revision: act.revision.as_ref().map(ToString::to_string),
            delivery: act.delivery.as_ref().map(ToString::to_string),
            trigger: act.trigger.as_ref().map(ToString::to_string),
            detail: act.detail.clone(),
        }
    }
}

impl Audit {
    /// A page of at most `limit` lines, of what was found where one more was asked for.
    pub(crate) fn of(found: &[store::AuditEntry], limit: usize) -> Self {
        let acts: Vec<Act> = found.iter().take(limit).map(Act::from).collect();
        let next = acts.last().map(|act| act.number).filter(|_| found.len() > limit);
        Self { version: VERSION, acts, next }
    }
}
