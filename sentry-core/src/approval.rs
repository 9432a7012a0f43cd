//! Approvals: whether the head of a fork's pull request may start something.

use crate::clock::Timestamp;
use crate::cursor::Cursors;
use crate::ids::DeliveryId;
use crate::names::WatchName;
use crate::pull::PullNumber;
use crate::repo::{BranchName, CommitSha};

/// Whether a fork's head may start something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// Not before somebody approves it.
    Needed,
    /// Somebody approved it.
    Given(Approved),
}

/// What somebody approved: one head of a pull request, to be merged into one branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// The head.
    pub head: CommitSha,
    /// The branch that it was to be merged into.
    pub base: BranchName,
    /// Who, where that is known: a token's name, or the user who gave the command.
    pub by: Option<String>,
    /// When it was taken up.
    pub at: Timestamp,
    /// The delivery that was made of it.
    pub delivery: DeliveryId,
}

impl Approved {
    /// True for this head into this branch; no other is approved by it.
    #[must_use]
    pub fn covers(&self, head: &CommitSha, base: &BranchName) -> bool {
        self.head == *head && self.base == *base
    }
}

/// What an approval comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approvable<'a> {
    /// It was given before, and this delivery was made of it.
    Already(DeliveryId),
    /// It is what is waited for.
    Now(&'a Cursors),
}

/// Whether a pull request of a watch can be approved as somebody saw it; `state` is what is known of it.
///
/// # Errors
/// Why not, for people.
pub fn judge<'a>(
    watch: &WatchName,
    number: &PullNumber,
    state: Option<&'a Cursors>,
    sha: &CommitSha,
    base: &BranchName,
) -> Result<Approvable<'a>, String> {
    let it = format!("pull request {number} of watch {watch}");
    let Some(state) = state else {
        return Err(format!(
            "{it} was not seen: it is not open or not selected, or was not polled yet; `sentry status {watch}` \
             lists what was"
        ));
    };
    let (Some(pull), Some(approval)) = (state.pull.as_deref(), state.approval.as_deref()) else {
        return Err(format!("{it} needs no approval"));
    };
    if state.gone.is_some() {
        return Err(format!("{it} is closed, or is not selected any more"));
    }
    let (head, target) = (&state.observed.sha, &pull.target_branch);
    if head != sha {
        return Err(format!("the head of {it} is {head}, not {sha}: look at it, and approve that"));
    }
    if target != base {
        return Err(format!(
            "{it} is to be merged into {target}, not into {base}: look at it, and approve it for that"
        ));
    }
    Ok(match approval {
        Approval::Given(given) if given.covers(sha, base) => {
            Approvable::Already(given.delivery.clone())
        }
        Approval::Given(_) | Approval::Needed => Approvable::Now(state),
    })
}
