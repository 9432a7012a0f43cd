//! `why`: for any commit of A, one reason from a closed list, its time, and the next step.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{RunTotals, Subject};
use crate::words::{ReasonKind, Verdict, Word};

/// The answer to `why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The commit as requested, in lower case.
    pub commit: String,
    /// One for each watch and branch that had the commit as its head; if none had, one for each watch.
    pub answers: Vec<WhyAnswer>,
}

/// The answer for one watch and branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhyAnswer {
    /// The watch.
    pub watch: String,
    /// The branch, if known.
    pub branch: Option<String>,
    /// The subject in A, if known.
    #[serde(default)]
    pub subject: Option<Subject>,
    /// The full commit id, if known.
    pub sha: Option<String>,
    /// The reason.
    pub reason: Word<ReasonKind>,
    /// The newer head, for `Reason::Superseded`.
    pub superseded_by: Option<String>,
    /// Since when, for `Reason::ForgeUnreachable`.
    pub since: Option<Timestamp>,
    /// When it was decided.
    pub at: Option<Timestamp>,
    /// The delivery it is about.
    pub delivery: Option<String>,
    /// One more sentence.
    pub detail: Option<String>,
    /// The runs that its delivery started, if any.
    pub runs: Option<RunTotals>,
    /// How those runs ended, once all have.
    pub verdict: Option<Word<Verdict>>,
    /// If nothing ran: what was decided about each document.
    pub notes: Vec<String>,
    /// What comes next, and what a person can do.
    pub next_step: String,
}

impl WhyAnswer {
    /// The reason with its arguments, as [`sentry_core::delivery::Reason`] shows it.
    #[must_use]
    pub fn reason_text(&self) -> String {
        match (&self.superseded_by, self.since) {
            (Some(sha), _) => format!("superseded by {sha}"),
            (None, Some(since)) => format!("forge unreachable since {since}"),
            (None, None) if self.reason.is(ReasonKind::is_nothing_ran) => {
                format!("nothing ran: {}", self.reason)
            }
            (None, None) => self.reason.to_string(),
        }
    }
}
