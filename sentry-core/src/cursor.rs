//! What is remembered of one subject: the three cursors, and why a head was passed over.

use std::collections::BTreeMap;

use crate::approval::Approval;
use crate::clock::Timestamp;
use crate::delivery::Reason;
use crate::ids::DeliveryId;
use crate::names::WatchName;
use crate::pull::PullRequest;
use crate::repo::{CommitSha, TagName};
use crate::subject::Subject;
use crate::watch;

/// A commit and when a cursor was moved to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The commit.
    pub sha: CommitSha,
    /// When.
    pub at: Timestamp,
}

/// A head that was settled without a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The head and when it was passed over.
    pub mark: Mark,
    /// [`Reason::Baseline`], or why nothing ran.
    pub reason: Reason,
}

/// A head whose delivery is parked until something changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The head.
    pub mark: Mark,
    /// The delivery that was parked.
    pub delivery: DeliveryId,
    /// The watch's fingerprint then: another one means that a person changed the configuration.
    pub fingerprint: String,
    /// B's commit then, where it was known: another one means that a person changed B.
    pub manifests: Option<CommitSha>,
    /// True if B was not even asked: no change of B matters.
    pub regardless_of_b: bool,
    /// Why, for people.
    pub error: String,
    /// When it is retried automatically; `None` if only a change or a person ends it.
    pub again: Option<Timestamp>,
}

/// All that is remembered of one subject of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursors {
    /// The watch.
    pub watch: WatchName,
    /// The subject.
    pub subject: Subject,
    /// The head that the forge last reported.
    pub observed: Mark,
    /// The head that a delivery was last started for.
    pub attempted: Option<Mark>,
    /// The head whose every object the cluster acknowledged.
    pub delivered: Option<Mark>,
    /// B's commit that was delivered with it.
    pub manifests: Option<CommitSha>,
    /// B's head that a delivery was last started for because B moved, where the watch follows B as well.
    pub manifests_attempted: Option<CommitSha>,
    /// The head that was recorded when the subject was first seen; `None` if none was.
    pub baseline: Option<CommitSha>,
    /// A head that was settled without a run: a later one than `delivered`, or that one, where only objects were
    /// delivered. Cleared when `delivered` moves by a delivery that starts runs.
    pub passed: Option<Passed>,
    /// A parked head; boxed, as there is seldom one. Cleared by another head, a delivery, a person's change, or when it is retried.
    pub parked: Option<Box<Parked>>,
    /// When the subject was found gone, if it is.
    pub gone: Option<Timestamp>,
    /// Of a pull request what is known of it, with the observed head.
    pub pull: Option<Box<PullRequest>>,
    /// Of a pull request whose head must be approved; `None` if it need not. Boxed, as there is seldom one.
    pub approval: Option<Box<Approval>>,
}

impl Cursors {
    /// The state of a subject seen for the first time: nothing is settled yet.
    #[must_use]
    pub fn first_seen(watch: WatchName, subject: Subject, head: Mark) -> Self {
        Self {
            watch,
            subject,
            observed: head,
            attempted: None,
            delivered: None,
            manifests: None,
            manifests_attempted: None,
            baseline: None,
            passed: None,
            parked: None,
            gone: None,
            pull: None,
            approval: None,
        }
    }

    /// The head up to which everything is settled: delivered, or passed over for a reason.
    #[must_use]
    pub fn settled(&self) -> Option<&CommitSha> {
        self.passed.as_ref().map(|p| &p.mark.sha).or(self.delivered.as_ref().map(|m| &m.sha))
    }

    /// The head that a new one is compared with: the last one that every document was judged for, whether delivered
    /// or without a matching run; before that the baseline. Not one that a marker skipped: what it changed was never
    /// judged.
    #[must_use]
    pub fn base(&self) -> Option<&CommitSha> {
        let judged = self.passed.as_ref().filter(|passed| passed.reason == Reason::NoRunMatched);
        let judged = judged.map(|passed| &passed.mark.sha);
        judged.or(self.delivered.as_ref().map(|mark| &mark.sha)).or(self.baseline.as_ref())
    }

    /// True if a delivery was made of what is observed now: its head, and of a pull request what it is judged by.
    #[must_use]
    pub fn is_of(&self, sha: &CommitSha, pull: Option<&PullRequest>) -> bool {
        let same = match (self.pull.as_deref(), pull) {
            (Some(now), Some(then)) => now.is_judged_as(then),
            _ => true,
        };
        self.observed.sha == *sha && same
    }

    /// True if the observed head still has to be delivered; a parked head too.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.gone.is_none() && self.settled() != Some(&self.observed.sha)
    }

    /// True if the observed head may start nothing, as nobody approved it, or not into the branch it is to be merged into
    /// now.
    #[must_use]
    pub fn is_unapproved(&self) -> bool {
        match (self.approval.as_deref(), self.pull.as_deref()) {
            (None, _) => false,
            (Some(Approval::Given(given)), Some(pull)) => {
                !given.covers(&self.observed.sha, &pull.target_branch)
            }
            (Some(Approval::Given(_) | Approval::Needed), _) => true,
        }
    }

    /// True if the observed head would be delivered if somebody approved it.
    #[must_use]
    pub fn waits_for_approval(&self) -> bool {
        self.is_change() && self.is_unapproved()
    }

    /// True if the observed head is the parked one.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.is_change() && self.parked.as_ref().is_some_and(|p| p.mark.sha == self.observed.sha)
    }
}

/// The head that a tag's is compared with: that of the tag before it, among those of its watch that are there. `None` if
/// there is none, or if tags are no versions.
pub(crate) fn base_of_tag<'a>(
    tag: &TagName,
    all: impl Iterator<Item = &'a Cursors>,
) -> Option<&'a CommitSha> {
    let there = all.filter(|cursors| cursors.gone.is_none());
    let there: BTreeMap<&TagName, &Cursors> =
        there.filter_map(|cursors| Some((cursors.subject.tag()?, cursors))).collect();
    let before = watch::before(tag, there.keys().copied())?;
    there.get(before).map(|cursors| &cursors.observed.sha)
}
