//! The engine's own copy of the live state: as it is once everything that was decided is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::clock::Timestamp;
use crate::cursor::{self, Cursors};
use crate::delivery::{Delivery, DeliveryState, TriggerState};
use crate::forge::{Base, Validator};
use crate::ids::{DeliveryId, NoticeId};
use crate::names::WatchName;
use crate::pull::PullRequest;
use crate::repo::CommitSha;
use crate::store::{
    Archive, Claim, DeliveryQuery, Outgoing, Report, Requests, StoreError, Suspension, Trouble,
    WatchState, Write,
};
use crate::subject::{Subject, SubjectKey};

/// Of so many deliveries, the newest ones, runs are followed that go on although the delivery was given up.
const RECENT: usize = 1_000;

#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// Boxed, as most watches have one, and a map's smallest node has room for eleven.
    pub(super) cursors: BTreeMap<WatchName, BTreeMap<Subject, Box<Cursors>>>,
    /// Those of each watch whose head waits for a delivery to be begun, by the time it was seen: where `cursors` may be
    /// thousands, the next one is found at once.
    pub(super) changes: BTreeMap<WatchName, BTreeSet<(Timestamp, Subject)>>,
    /// Those of each watch whose head is parked: where B is not followed, they alone ask for it.
    parked: BTreeMap<WatchName, BTreeSet<Subject>>,
    /// Heads that a dry run has shown: no cursor tells of them.
    shown: HashMap<SubjectKey, CommitSha>,
    /// The open delivery of each head that moved, whose objects are not all acknowledged.
    open_changes: HashMap<SubjectKey, DeliveryId>,
    pub(super) watches: BTreeMap<WatchName, WatchState>,
    pub(super) validators: HashMap<String, Validator>,
    /// Those that are not through, and those that were given up with runs that go on.
    pub(super) open: BTreeMap<DeliveryId, Delivery>,
    /// Statuses that are still to be shown.
    pub(super) reports: BTreeMap<ReportKey, Report>,
    /// What receivers are still to be told, for each oldest first.
    pub(super) outbox: BTreeMap<OutboxKey, Outgoing>,
    /// The ids of those, by receiver and subject.
    outbox_of: BTreeMap<(String, SubjectKey), BTreeSet<NoticeId>>,
    /// Branches that failed and did not succeed since.
    pub(super) troubles: BTreeMap<SubjectKey, Trouble>,
    pub(super) inbox: Requests,
    /// The newest delivery that there was at the start.
    pub(super) newest: Option<DeliveryId>,
}

/// A receiver, and the id of a notice for it.
pub(super) type OutboxKey = (String, NoticeId);

/// One line of a commit's statuses.
pub(super) type ReportKey = (WatchName, CommitSha, String);

pub(super) fn report_key(report: &Report) -> ReportKey {
    let status = &report.status;
    (report.watch.clone(), status.revision.sha.clone(), status.context.clone())
}

impl Ledger {
    pub(super) async fn load(claim: &dyn Claim, archive: &dyn Archive) -> Result<Self, StoreError> {
        let snapshot = claim.load().await?;
        let recent = DeliveryQuery { limit: Some(RECENT), ..DeliveryQuery::default() };
        let mut given_up = archive.deliveries(&recent).await?;
        let newest = given_up.iter().map(|delivery| delivery.id.clone()).max();
        given_up.retain(|delivery| delivery.state.is_final() && !delivery.is_through());
        let mut ledger = Self {
            validators: snapshot.validators.into_iter().collect(),
            inbox: snapshot.inbox,
            newest,
            ..Self::default()
        };
        let live = snapshot.cursors.into_iter().map(Write::Cursors);
        let live = live.chain(snapshot.watches.into_iter().map(Write::Watch));
        let live = live.chain(snapshot.reports.into_iter().map(Write::Report));
        let live = live.chain(snapshot.troubles.into_iter().map(Write::Trouble));
        let live = live.chain(snapshot.outbox.into_iter().map(|o| Write::Notice(Box::new(o))));
        let open = snapshot.open.into_iter().chain(given_up);
        for write in live.chain(open.map(|d| Write::Delivery(Box::new(d)))) {
            ledger.apply(write);
        }
        Ok(ledger)
    }

    /// Takes a write in.
    pub(super) fn apply(&mut self, write: Write) {
        match write {
            Write::Cursors(state) => {
                let key = (state.watch.clone(), state.subject.clone());
                self.forget_change(&key);
                self.note_parked(&key, state.is_parked());
                let watch = self.cursors.entry(state.watch.clone()).or_default();
                watch.insert(state.subject.clone(), Box::new(state));
                self.note_change(&key);
            }
            Write::ForgetCursors(watch, subject) => {
                let key = (watch, subject);
                self.forget_change(&key);
                self.note_parked(&key, false);
                self.cursors.entry(key.0).or_default().remove(&key.1);
            }
            Write::Watch(state) => {
                self.watches.insert(state.watch.clone(), state);
            }
            Write::Validator(key, Some(validator)) => {
                self.validators.insert(key, validator);
            }
            Write::Validator(key, None) => {
                self.validators.remove(&key);
            }
            Write::Delivery(delivery) => self.apply_delivery(*delivery),
            Write::Trigger(trigger) => {
                self.inbox.triggers.retain(|t| t.id != trigger.id);
                if trigger.state == TriggerState::Pending {
                    self.inbox.triggers.push(trigger);
                }
            }
            Write::Report(report) => {
                let key = report_key(&report);
                if report.is_due() {
                    self.reports.insert(key, report);
                } else {
                    self.reports.remove(&key);
                }
            }
            told @ (Write::Notice(_)
            | Write::ForgetNotice { .. }
            | Write::Trouble(_)
            | Write::ForgetTrouble(..)) => self.apply_told(told),
            Write::Head(_)
            | Write::Inventory(_)
            | Write::ForgetInventory(_)
            | Write::Agent(_)
            | Write::Prune { .. } => {}
        }
    }

    fn apply_delivery(&mut self, delivery: Delivery) {
        let (key, id) = (key_of(&delivery), delivery.id.clone());
        self.forget_change(&key);
        if is_open_change(&delivery) {
            self.open_changes.insert(key.clone(), id.clone());
        } else if self.open_changes.get(&key) == Some(&id) {
            self.open_changes.remove(&key);
        }
        self.note_change(&key);
        if delivery.is_through() {
            self.open.remove(&id);
        } else {
            self.open.insert(id, delivery);
        }
    }

    /// What receivers are told, and what they were told.
    fn apply_told(&mut self, write: Write) {
        match write {
            Write::Notice(outgoing) => {
                let key = (outgoing.receiver.clone(), outgoing.notice.id.clone());
                self.outbox_of.entry(branch_of(&outgoing)).or_default().insert(key.1.clone());
                self.outbox.insert(key, *outgoing);
            }
            Write::ForgetNotice { receiver, id } => {
                let Some(outgoing) = self.outbox.remove(&(receiver, id)) else { return };
                let branch = branch_of(&outgoing);
                if let Some(ids) = self.outbox_of.get_mut(&branch) {
                    ids.remove(&outgoing.notice.id);
                    if ids.is_empty() {
                        self.outbox_of.remove(&branch);
                    }
                }
            }
            Write::Trouble(trouble) => {
                let key = (trouble.watch.clone(), trouble.subject.clone());
                self.troubles.insert(key, trouble);
            }
            Write::ForgetTrouble(watch, subject) => {
                self.troubles.remove(&(watch, subject));
            }
            _ => {}
        }
    }

    /// What waits for a receiver of a subject, oldest first.
    pub(super) fn waiting_notices(&self, receiver: &str, key: &SubjectKey) -> Vec<NoticeId> {
        let ids = self.outbox_of.get(&(receiver.to_owned(), key.clone()));
        ids.into_iter().flatten().cloned().collect()
    }

    /// The oldest notice that waits for a receiver.
    pub(super) fn next_notice(&self, receiver: &str) -> Option<&Outgoing> {
        let from = (receiver.to_owned(), NoticeId::of(0));
        let (_, outgoing) = self.outbox.range(from..).next()?;
        Some(outgoing).filter(|outgoing| outgoing.receiver == receiver)
    }

    pub(super) fn cursors(&self, key: &SubjectKey) -> Option<&Cursors> {
        self.cursors.get(&key.0)?.get(&key.1).map(AsRef::as_ref)
    }

    /// What a subject's head is compared with, if that is known.
    pub(super) fn base(&self, key: &SubjectKey) -> Option<Base> {
        let base = match &key.1 {
            Subject::Branch(_) => self.cursors(key)?.base(),
            Subject::Tag(tag) => {
                let all = self.cursors.get(&key.0)?.values().map(AsRef::as_ref);
                cursor::base_of_tag(tag, all)
            }
            Subject::PullRequest(_) => {
                let pull = self.cursors(key)?.pull.as_ref()?;
                return Some(Base::PartedFrom(pull.target_branch.clone()));
            }
        };
        base.cloned().map(Base::Commit)
    }

    /// What is known of a pull request.
    pub(super) fn pull(&self, watch: &WatchName, subject: &Subject) -> Option<Box<PullRequest>> {
        self.cursors.get(watch)?.get(subject)?.pull.clone()
    }

    /// The open delivery of a head that moved, if there is one whose objects are not all acknowledged.
    pub(super) fn open_change(&self, key: &SubjectKey) -> Option<&Delivery> {
        self.open.get(self.open_changes.get(key)?)
    }

    /// A dry run has shown a head: it waits no more.
    pub(super) fn shown(&mut self, key: &SubjectKey, head: CommitSha) {
        self.forget_change(key);
        self.shown.insert(key.clone(), head);
        self.note_change(key);
    }

    fn forget_change(&mut self, key: &SubjectKey) {
        let seen = self.cursors(key).map(|state| state.observed.at);
        if let Some((seen, changes)) = seen.zip(self.changes.get_mut(&key.0)) {
            changes.remove(&(seen, key.1.clone()));
            if changes.is_empty() {
                self.changes.remove(&key.0);
            }
        }
    }

    /// Whether the subject's head waits for a delivery to be begun, as everything stands now.
    fn note_change(&mut self, key: &SubjectKey) {
        let Some(state) = self.cursors(key) else { return };
        let waits = state.is_change()
            && !state.is_parked()
            && !state.is_unapproved()
            && self.shown.get(key) != Some(&state.observed.sha)
            && !self.open_changes.contains_key(key);
        if waits {
            let change = (state.observed.at, key.1.clone());
            self.changes.entry(key.0.clone()).or_default().insert(change);
        }
    }

    fn note_parked(&mut self, key: &SubjectKey, is_parked: bool) {
        if is_parked {
            self.parked.entry(key.0.clone()).or_default().insert(key.1.clone());
        } else if let Some(parked) = self.parked.get_mut(&key.0) {
            parked.remove(&key.1);
        }
    }

    /// The subjects of a watch whose head is parked.
    pub(super) fn parked(&self, watch: &WatchName) -> impl Iterator<Item = &Cursors> {
        let cursors = self.cursors.get(watch);
        let subjects = self.parked.get(watch).into_iter().flatten();
        subjects.filter_map(move |subject| cursors?.get(subject).map(AsRef::as_ref))
    }

    pub(super) fn suspension(&self, watch: &WatchName, now: Timestamp) -> Option<&Suspension> {
        self.inbox
            .suspensions
            .iter()
            .find(|s| s.watch == *watch && s.until.is_none_or(|until| now < until))
    }
}

fn is_open_change(delivery: &Delivery) -> bool {
    let only_followed = delivery.state.is_final()
        || delivery.state == DeliveryState::Following && !delivery.is_queued();
    delivery.asked.cause.is_automatic() && delivery.asked.trigger.is_none() && !only_followed
}

fn branch_of(outgoing: &Outgoing) -> (String, SubjectKey) {
    let (receiver, notice) = (outgoing.receiver.clone(), &outgoing.notice);
    (receiver, (notice.watch.clone(), notice.revision.subject.clone()))
}

pub(super) fn key_of(delivery: &Delivery) -> SubjectKey {
    (delivery.watch.clone(), delivery.revision.subject.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample;

    proptest::proptest! {
        #[test]
        fn the_notices_of_a_branch_are_those_that_a_walk_over_all_finds(
            steps in proptest::collection::vec((0..3_u128, 0..2_usize, 0..2_usize, proptest::bool::ANY), 0..30),
        ) {
            let (receivers, branches) = (["chat", "hook"], ["main", "dev"]);
            let mut ledger = Ledger::default();
            for (id, receiver, branch, told) in steps {
                let (id, receiver) = (NoticeId::of(id), receivers[receiver].to_owned());
                let known = ledger.outbox.get(&(receiver.clone(), id.clone()));
                let mut outgoing = known.cloned().unwrap_or_else(|| {
                    let mut new = sample::outgoing(&receiver, 1);
                    new.notice.revision.subject = sample::subject(branches[branch]);
                    new
                });
                outgoing.notice.id = id.clone();
                ledger.apply(if told {
                    Write::ForgetNotice { receiver, id }
                } else {
                    Write::Notice(Box::new(outgoing))
                });
            }
            for receiver in receivers {
                let all: Vec<_> = ledger.outbox.values().filter(|o| o.receiver == receiver).collect();
                assert_eq!(ledger.next_notice(receiver), all.first().copied());
                for branch in branches.map(sample::subject) {
                    let of_branch = all.iter().filter(|o| o.notice.revision.subject == branch);
                    let key = (sample::outgoing(receiver, 1).notice.watch, branch.clone());
                    let ids: Vec<_> = of_branch.map(|o| o.notice.id.clone()).collect();
                    assert_eq!(ledger.waiting_notices(receiver, &key), ids);
                }
            }
        }
    }
}
