//! What is read of a delivery where its runs are not asked for.

use sentry_core::ids::DeliveryId;
use sentry_core::names::WatchName;
use sentry_core::{delivery, store};
use serde::Deserialize;

use super::{CommitNote, Revision};
use crate::dto::values::{Stamp, Text, Word};
use crate::dto::{DtoError, Mirror, Record as _, VERSION};

/// What a delivery's text says in brief: all but its runs.
#[derive(Deserialize)]
struct Brief {
    id: Text<DeliveryId>,
    watch: Text<WatchName>,
    revision: Revision,
    commit: Option<CommitNote>,
    dry_run: bool,
    state: Word<delivery::DeliveryState>,
    tries: u32,
    next_attempt: Option<Stamp>,
    verdict: Option<Word<delivery::Verdict>>,
    error: Option<String>,
    only: Option<String>,
    repeats: Option<String>,
}

impl Mirror<store::Brief> for Brief {
    fn of(value: store::Brief) -> Self {
        let store::Brief { id, watch, revision, commit, dry_run, state, .. } = value;
        let store::Brief { tries, next_attempt, verdict, error, .. } = value;
        Self {
            id: Mirror::of(id),
            watch: Mirror::of(watch),
            revision: Mirror::of(revision),
            commit: Mirror::of(commit),
            dry_run,
            state: Mirror::of(state),
            tries,
            next_attempt: Mirror::of(next_attempt),
            verdict: Mirror::of(verdict),
            error,
            only: None,
            repeats: None,
        }
    }

    fn back(self) -> store::Brief {
        store::Brief {
            id: self.id.back(),
            watch: self.watch.back(),
            revision: self.revision.back(),
            commit: self.commit.back(),
            dry_run: self.dry_run,
            state: self.state.back(),
            tries: self.tries,
            next_attempt: self.next_attempt.back(),
            verdict: self.verdict.back(),
            error: self.error,
            runs: delivery::RunTotals::default(),
            is_part: self.only.is_some() || self.repeats.is_some(),
        }
    }
}

/// What a delivery's text says in brief, without its runs.
pub(crate) fn brief(version: u32, json: &str) -> Result<store::Brief, DtoError> {
    match version {
        VERSION => serde_json::from_str(json).map(Brief::back).map_err(DtoError::Unreadable),
        _ => delivery::Delivery::decode(version, json).map(|whole| (&whole).into()),
    }
}
