//! What an answer about a watch's A changes: heads that came, moved and went, and which of them start nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Absorbed, is_current, is_same_place, pulls_of};
use crate::change::{Finding, Sighting, detect, detect_pulls};
use crate::clock::Timestamp;
use crate::cursor::{Cursors, Passed};
use crate::delivery::{HeadRecord, Reason};
use crate::engine::ledger::Ledger;
use crate::engine::machine::Undelivered;
use crate::event::EventKind;
use crate::forge::{PullChanges, StatusState};
use crate::repo::{BranchName, CommitSha};
use crate::revision::Revision;
use crate::store::{WatchState, Write};
use crate::subject::Subject;
use crate::watch::Watch;

static NOTHING: BTreeMap<Subject, Box<Cursors>> = BTreeMap::new();

/// A watch at the moment of an answer, and all that was known of it before.
pub(super) struct Sight<'a> {
    watch: &'a Watch,
    known: Option<&'a WatchState>,
    before: &'a BTreeMap<Subject, Box<Cursors>>,
    ledger: &'a Ledger,
    stamp: Timestamp,
    /// The branches that open pull requests of the watch come from, each with its head there.
    pulled: BTreeSet<(&'a BranchName, &'a CommitSha)>,
}

impl<'a> Sight<'a> {
    pub(super) fn of(watch: &'a Watch, ledger: &'a Ledger, stamp: Timestamp) -> Self {
        let known = ledger.watches.get(&watch.name);
        let before = ledger.cursors.get(&watch.name).unwrap_or(&NOTHING);
        let selects_pulls = watch.source.subjects.pulls.is_some();
        let all = before.values().filter(|cursors| selects_pulls && cursors.gone.is_none());
        // A branch of a fork may be called as one of A.
        let own = |cursors: &'a Cursors| cursors.pull.as_ref().filter(|pull| !pull.is_fork);
        let head = |cursors: &'a Cursors| Some((&own(cursors)?.source_branch, cursors));
        let pulled = all.filter_map(|cursors| head(cursors)).map(|(b, c)| (b, &c.observed.sha));
        let pulled = pulled.collect();
        Self { watch, known, before, ledger, stamp, pulled }
    }

    /// Heads of branches and tags.
    pub(super) fn heads(&self, heads: &BTreeMap<Subject, CommitSha>, absorbed: &mut Absorbed) {
        let Self { watch, known, before, stamp, .. } = *self;
        for sighting in detect(watch, known, before, heads, stamp) {
            self.found(sighting, absorbed);
        }
        if known.is_none_or(|k| !is_current(k, watch)) {
            absorbed.writes.push(Write::Watch(WatchState {
                watch: watch.name.clone(),
                repo: watch.source.repo.clone(),
                patterns: watch.source.subjects.patterns().map(Cow::into_owned).collect(),
                unreachable: None,
                pulls: known.filter(|k| is_same_place(k, watch)).and_then(|k| k.pulls.clone()),
            }));
        }
    }

    pub(super) fn pulls(&self, changes: &PullChanges, absorbed: &mut Absorbed) {
        let Self { watch, known, before, stamp, .. } = *self;
        for sighting in detect_pulls(watch, known, before, changes, stamp) {
            self.found(sighting, absorbed);
        }
        let pulls = pulls_of(watch);
        let is_new = known.is_none_or(|k| k.pulls != pulls || !is_same_place(k, watch));
        if is_new && changes.is_whole {
            let same = known.filter(|k| is_same_place(k, watch));
            let state = same.cloned().unwrap_or_else(|| WatchState {
                watch: watch.name.clone(),
                repo: watch.source.repo.clone(),
                patterns: Vec::new(),
                unreachable: None,
                pulls: None,
            });
            absorbed.writes.push(Write::Watch(WatchState { pulls, ..state }));
        }
    }

    fn found(&self, sighting: Sighting, absorbed: &mut Absorbed) {
        let Sighting { mut state, finding } = sighting;
        let name = self.watch.name.clone();
        let key = (name.clone(), state.subject.clone());
        let Cursors { subject, observed, .. } = &state;
        let revision = Revision { subject: subject.clone(), sha: observed.sha.clone() };
        match finding {
            Finding::Baseline { why } => {
                let why = why.to_owned();
                let told = Some(why.clone());
                absorbed.writes.push(self.record(revision.clone(), Reason::Baseline, told));
                absorbed.events.push(EventKind::Baseline { watch: name, revision, why });
            }
            Finding::Moved { unsettled } if self.is_in_pull(&state) => {
                self.supersede(&revision, unsettled, absorbed);
                let passed = Passed { mark: state.observed.clone(), reason: Reason::InPullRequest };
                state.passed = Some(passed);
                absorbed.events.push(self.not_started(&revision, Reason::InPullRequest, None));
                absorbed.writes.push(self.record(revision, Reason::InPullRequest, None));
            }
            Finding::Moved { unsettled } => {
                self.supersede(&revision, unsettled, absorbed);
                self.moved(&state, revision, absorbed);
            }
            Finding::Gone { unsettled } => {
                if let Some(old) = unsettled.clone().filter(|_| state.is_unapproved()) {
                    let old = Revision { sha: old, ..revision.clone() };
                    let text =
                        "was closed, or is not selected any more, before anybody approved it";
                    absorbed.undelivered.push(self.undelivered(old, StatusState::Neutral, text));
                }
                absorbed.events.push(EventKind::Gone { watch: name, subject: revision.subject });
                absorbed.closed.extend(unsettled.map(|_| (key, None)));
            }
            Finding::Forgotten => {
                absorbed.writes.push(Write::ForgetCursors(name, state.subject));
                absorbed.closed.push((key, None));
                return;
            }
        }
        absorbed.writes.push(Write::Cursors(state));
    }

    /// True for a branch whose head is that of a pull request from it, which is open and selected. A branch that a pull
    /// request is merged into is no such branch, whatever its head.
    fn is_in_pull(&self, state: &Cursors) -> bool {
        let Subject::Branch(branch) = &state.subject else { return false };
        self.pulled.contains(&(branch, &state.observed.sha))
    }

    /// The head before that was still to be delivered is not any more.
    fn supersede(&self, by: &Revision, unsettled: Option<CommitSha>, absorbed: &mut Absorbed) {
        let Some(old) = unsettled else { return };
        let reason = Reason::SupersededBy(by.sha.clone());
        let old = Revision { subject: by.subject.clone(), sha: old };
        if self.before.get(&by.subject).is_some_and(|before| before.is_unapproved()) {
            let text = "a newer commit took its place before anybody approved it";
            absorbed.undelivered.push(self.undelivered(old.clone(), StatusState::Neutral, text));
        }
        absorbed.events.push(self.not_started(&old, reason.clone(), None));
        absorbed.writes.push(self.record(old, reason, None));
        let key = (self.watch.name.clone(), by.subject.clone());
        absorbed.closed.push((key, Some(by.sha.clone())));
    }

    fn moved(&self, state: &Cursors, revision: Revision, absorbed: &mut Absorbed) {
        let from = self.before.get(&state.subject).and_then(|before| before.settled().cloned());
        let watch = self.watch.name.clone();
        absorbed.events.push(EventKind::Change { watch, revision: revision.clone(), from });
        if !state.is_change() {
            return;
        }
        if state.is_unapproved() {
            absorbed.undelivered.push(self.undelivered(
                revision.clone(),
                StatusState::Pending,
                "waits for approval",
            ));
            let reason = Reason::WaitsForApproval;
            absorbed.events.push(self.not_started(&revision, reason.clone(), None));
            absorbed.writes.push(self.record(revision, reason, None));
            return;
        }
        let suspended = self.ledger.suspension(&self.watch.name, self.stamp);
        let detail = suspended.and_then(|s| s.reason.clone());
        let reason = if suspended.is_some() { Reason::Suspended } else { Reason::Waiting };
        if suspended.is_some() {
            absorbed.events.push(self.not_started(&revision, reason.clone(), detail.clone()));
        }
        absorbed.writes.push(self.record(revision, reason, detail));
    }

    fn undelivered(
        &self,
        revision: Revision,
        state: StatusState,
        text: &'static str,
    ) -> Undelivered {
        Undelivered { watch: self.watch.name.clone(), revision, state, text }
    }

    fn record(&self, revision: Revision, reason: Reason, detail: Option<String>) -> Write {
        let (watch, at) = (self.watch.name.clone(), self.stamp);
        Write::Head(HeadRecord { watch, revision, reason, at, delivery: None, detail })
    }

    fn not_started(
        &self,
        revision: &Revision,
        reason: Reason,
        detail: Option<String>,
    ) -> EventKind {
        let (watch, revision) = (self.watch.name.clone(), revision.clone());
        EventKind::NotStarted { watch, revision, reason, detail }
    }
}
