//! State for as long as the program lives: for tests, dry runs and trying things out.

mod sessions;
mod slots;
mod wire;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sentry_core::clock::Timestamp;
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{Delivery, HeadRecord, Trigger, TriggerState};
use sentry_core::forge::Validator;
use sentry_core::ids::{DeliveryId, NoticeId, TriggerId};
use sentry_core::names::WatchName;
use sentry_core::remote::digest;
use sentry_core::repo::CommitSha;
use sentry_core::revision::Revision;
use sentry_core::store::{
    AUDIT, Act, AgentState, Archive, AuditEntry, AuditQuery, Blobs, Brief, Claim, DeliveryQuery,
    Hold, Inbox, InventoryItem, Journal, Outgoing, Overview, OverviewQuery, Past, PastQuery,
    QueueView, RECENT, ReceiverView, Report, Requests, Snapshot, StoreError, StoreErrorKind,
    SubjectView, Suspension, Trouble, WatchState, WatchView, Write,
};
use sentry_core::subject::{Subject, SubjectKey};
use tokio::time::Instant;

pub use self::sessions::MemorySessions;
pub use self::wire::MemoryWire;

/// Keeps state in memory. A clone is another handle on the same state.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    cursors: BTreeMap<SubjectKey, Cursors>,
    watches: BTreeMap<WatchName, WatchState>,
    validators: BTreeMap<String, Validator>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// What open deliveries got from elsewhere, by its digest.
    blobs: BTreeMap<DeliveryId, BTreeMap<String, Vec<u8>>>,
    triggers: BTreeMap<TriggerId, Trigger>,
    heads: BTreeMap<(CommitSha, WatchName, Subject), HeadRecord>,
    reports: BTreeMap<(WatchName, CommitSha, String), Report>,
    outbox: BTreeMap<(NoticeId, String), Outgoing>,
    troubles: BTreeMap<SubjectKey, Trouble>,
    inventory: BTreeMap<(WatchName, String), InventoryItem>,
    suspensions: BTreeMap<WatchName, Suspension>,
    acts: Vec<AuditEntry>,
    /// The number of the newest act.
    acted: u64,
    agent: Option<AgentState>,
    holder: Option<String>,
    /// The number of the newest claim.
    epoch: u64,
    fleet: slots::Fleet,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next agent in although one works on it, as a lease does that ran out.
    pub fn give_up(&self) {
        self.kept().holder = None;
    }

    /// All live state, as [`Claim::load`] tells it to who has it: for tests of an agent that works.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.kept().snapshot()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryStore {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let mut kept = self.kept();
        if let Some(other) = &kept.holder {
            let message =
                format!("the state in memory is in use by {other}; stop that agent first");
            return Err(StoreError::new(StoreErrorKind::Held, message));
        }
        kept.holder = Some(holder.to_owned());
        kept.epoch += 1;
        Ok(Box::new(Claimed { store: self.clone(), epoch: kept.epoch }))
    }
}

/// A claim, which lets the next agent in when it is dropped.
#[derive(Debug)]
struct Claimed {
    store: MemoryStore,
    epoch: u64,
}

impl Claimed {
    fn kept(&self) -> Result<MutexGuard<'_, Kept>, StoreError> {
        let kept = self.store.kept();
        if kept.epoch == self.epoch {
            return Ok(kept);
        }
        let message = "the state in memory was claimed by another agent";
        Err(StoreError::new(StoreErrorKind::Fenced, message))
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Ok(mut kept) = self.kept() {
            kept.holder = None;
        }
    }
}

#[async_trait]
impl Claim for Claimed {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(self.kept()?.snapshot())
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut kept = self.kept()?;
        writes.iter().for_each(|write| kept.apply(write.clone()));
        Ok(())
    }
}

#[async_trait]
impl Inbox for MemoryStore {
    async fn request(&self, trigger: &Trigger) -> Result<Trigger, StoreError> {
        let mut kept = self.kept();
        let first = kept.triggers.values().find(|kept| kept.key == trigger.key).cloned();
        Ok(first.unwrap_or_else(|| {
            Act::of(trigger).into_iter().for_each(|act| kept.act(act));
            kept.triggers.insert(trigger.id.clone(), trigger.clone());
            trigger.clone()
        }))
    }

    async fn trigger(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError> {
        Ok(self.kept().triggers.get(id).cloned())
    }

    async fn hold(&self, hold: &Hold) -> Result<(), StoreError> {
        let mut kept = self.kept();
        match hold {
            Hold::Suspend(it) => drop(kept.suspensions.insert(it.watch.clone(), it.clone())),
            Hold::Resume(it) => drop(kept.suspensions.remove(&it.watch)),
        }
        kept.act(hold.into());
        Ok(())
    }

    async fn requests(&self) -> Result<Requests, StoreError> {
        Ok(self.kept().requests())
    }
}

#[async_trait]
impl Archive for MemoryStore {
    async fn overview(&self, query: &OverviewQuery) -> Result<Overview, StoreError> {
        Ok(self.kept().overview(query))
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let kept = self.kept();
        let newest_first = kept.deliveries.values().rev().filter(|d| query.selects(d));
        Ok(newest_first.take(query.limit.unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn acts(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        let kept = self.kept();
        let newest_first = kept.acts.iter().rev().filter(|entry| query.selects(entry));
        Ok(newest_first.take(query.limit.unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn inventory(&self, watch: &WatchName) -> Result<Vec<InventoryItem>, StoreError> {
        let kept = self.kept();
        Ok(kept.inventory.values().filter(|item| item.watch == *watch).cloned().collect())
    }

    async fn heads(&self, sha: &str) -> Result<Vec<HeadRecord>, StoreError> {
        let kept = self.kept();
        let wanted = |head: &&HeadRecord| head.revision.sha.as_str().starts_with(sha);
        let mut heads: Vec<HeadRecord> = kept.heads.values().filter(wanted).cloned().collect();
        heads.sort_by_key(|head| Reverse(head.at));
        Ok(heads)
    }
}

#[async_trait]
impl Blobs for MemoryStore {
    async fn put(&self, delivery: &DeliveryId, bytes: &[u8]) -> Result<(), StoreError> {
        let mut kept = self.kept();
        if kept.deliveries.get(delivery).is_some_and(|delivery| !delivery.state.is_final()) {
            let own = kept.blobs.entry(delivery.clone()).or_default();
            own.insert(digest(bytes), bytes.to_owned());
        }
        Ok(())
    }

    async fn get(
        &self,
        delivery: &DeliveryId,
        sha256: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kept().blobs.get(delivery).and_then(|own| own.get(sha256)).cloned())
    }
}

impl Kept {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            cursors: self.cursors.values().cloned().collect(),
            watches: self.watches.values().cloned().collect(),
            validators: self.validators.clone().into_iter().collect(),
            open: self.deliveries.values().filter(|d| !d.state.is_final()).cloned().collect(),
            reports: self.reports.values().filter(|r| r.is_due()).cloned().collect(),
            outbox: self.outbox.values().cloned().collect(),
            troubles: self.troubles.values().cloned().collect(),
            inbox: self.requests(),
            agent: self.agent.clone(),
        }
    }

    fn act(&mut self, act: Act) {
        self.acted += 1;
        self.acts.push(AuditEntry { number: self.acted, act });
    }

    fn requests(&self) -> Requests {
        let pending = self.triggers.values().filter(|t| t.state == TriggerState::Pending);
        let mut triggers: Vec<Trigger> = pending.cloned().collect();
        triggers.sort_by_key(|trigger| trigger.at);
        Requests { triggers, suspensions: self.suspensions.values().cloned().collect() }
    }

    fn overview(&self, query: &OverviewQuery) -> Overview {
        let names: BTreeSet<&WatchName> =
            self.watches.keys().chain(self.suspensions.keys()).collect();
        let asked = |watch: &WatchName| query.watch.as_ref().is_none_or(|only| only == watch);
        let open = self.deliveries.values().filter(|d| !d.state.is_final() && asked(&d.watch));
        let wanted = |cursors: &&Cursors| asked(&cursors.watch) && query.selects(cursors);
        let limit = query.limit.unwrap_or(usize::MAX);
        let past = query.watch.as_ref().zip(query.past.as_ref());
        let subjects = self.cursors.values().filter(wanted).take(limit);
        Overview {
            watches: names.into_iter().filter(|name| asked(name)).map(|n| self.watch(n)).collect(),
            subjects: subjects.map(|cursors| self.subject(cursors)).collect(),
            queue: QueueView::of(open),
            receivers: self.receivers(asked),
            agent: self.agent.clone(),
            past: past.map(|(watch, past)| self.past(watch, past)).unwrap_or_default(),
            fleet: self.fleet.view(Instant::now()),
        }
    }

    fn past(&self, watch: &WatchName, query: &PastQuery) -> Vec<Past> {
        let of_watch = self.deliveries.values().rev().filter(|d| d.watch == *watch);
        let newest = of_watch.filter(|d| query.selects(d)).take(query.limit).enumerate();
        newest.map(|(n, delivery)| Past::of(delivery, n < query.with_runs)).collect()
    }

    fn watch(&self, watch: &WatchName) -> WatchView {
        let reports = || self.reports.values().filter(|report| report.watch == *watch);
        let newest = reports().filter(|report| !report.is_due()).max_by_key(|report| report.at);
        let given_up = newest.filter(|report| report.given_up && report.error.is_some());
        let in_vain = || reports().filter(|report| report.is_due() && report.error.is_some());
        let reporting = given_up.or_else(|| in_vain().min_by_key(|report| report.at));
        let cursors = self.cursors.values().filter(|cursors| cursors.watch == *watch);
        let succeeded = |cursors: &Cursors| {
            let delivered = cursors.delivered.as_ref();
            let passed = cursors.passed.as_ref().map(|passed| &passed.mark.sha);
            delivered.filter(|mark| passed != Some(&mark.sha)).map(|mark| mark.at)
        };
        let deliveries = self.deliveries.values().rev().filter(|d| d.watch == *watch);
        WatchView {
            watch: watch.clone(),
            state: self.watches.get(watch).cloned(),
            suspension: self.suspensions.get(watch).cloned(),
            reporting: reporting.cloned(),
            triggers: self.requests().triggers.iter().filter(|t| t.watch == *watch).count(),
            last_success: cursors.filter_map(succeeded).max(),
            recent: deliveries.take(RECENT).map(|delivery| delivery.state).collect(),
        }
    }

    fn subject(&self, cursors: &Cursors) -> SubjectView {
        let mine =
            |d: &&Delivery| d.watch == cursors.watch && d.revision.subject == cursors.subject;
        let newest_first = || self.deliveries.values().rev().filter(mine);
        let of_head = |d: &&Delivery| {
            let delivered = cursors.delivered.as_ref();
            delivered.is_some_and(|mark| mark.sha == d.revision.sha) && Brief::from(*d).has_runs()
        };
        let open = self.deliveries.values().filter(mine).filter(|d| !d.state.is_final());
        let counted = |delivery: &Delivery| {
            let of_head = self.deliveries.values().filter(mine);
            let of_head = of_head.filter(|d| d.revision == delivery.revision).cloned();
            let brief = Brief::counted(&of_head.collect::<Vec<_>>(), &delivery.id);
            brief.unwrap_or_else(|| delivery.into())
        };
        SubjectView {
            open: open.map(counted).collect(),
            newest: newest_first().next().map(Brief::from),
            delivered: newest_first().find(of_head).map(counted),
            cursors: cursors.clone(),
        }
    }

    fn receivers(&self, asked: impl Fn(&WatchName) -> bool) -> Vec<ReceiverView> {
        let mut receivers: BTreeMap<&str, ReceiverView> = BTreeMap::new();
        for one in self.outbox.values().filter(|one| asked(&one.notice.watch)) {
            let view = receivers.entry(&one.receiver).or_insert_with(|| ReceiverView {
                receiver: one.receiver.clone(),
                waiting: 0,
                since: one.notice.at,
                error: None,
            });
            view.waiting += 1;
            view.since = view.since.min(one.notice.at);
            view.error = view.error.take().or_else(|| one.error.clone());
        }
        receivers.into_values().collect()
    }

    /// Carries out one write.
    fn apply(&mut self, write: Write) {
        match write {
            Write::Cursors(c) => drop(self.cursors.insert((c.watch.clone(), c.subject.clone()), c)),
            Write::ForgetCursors(watch, subject) => drop(self.cursors.remove(&(watch, subject))),
            Write::Watch(state) => drop(self.watches.insert(state.watch.clone(), state)),
            Write::Validator(key, Some(value)) => drop(self.validators.insert(key, value)),
            Write::Validator(key, None) => drop(self.validators.remove(&key)),
            Write::Delivery(d) => {
                if d.state.is_final() {
                    self.blobs.remove(&d.id);
                }
                drop(self.deliveries.insert(d.id.clone(), *d));
            }
            Write::Trigger(trigger) => {
                if let Some(kept) = self.triggers.get_mut(&trigger.id) {
                    kept.state = trigger.state;
                }
            }
            Write::Head(head) => {
                let Revision { subject, sha } = head.revision.clone();
                self.heads.insert((sha, head.watch.clone(), subject), head);
            }
            Write::Report(r) => {
                let sha = r.status.revision.sha.clone();
                self.reports.insert((r.watch.clone(), sha, r.status.context.clone()), r);
            }
            Write::Notice(o) => {
                drop(self.outbox.insert((o.notice.id.clone(), o.receiver.clone()), *o));
            }
            Write::ForgetNotice { receiver, id } => drop(self.outbox.remove(&(id, receiver))),
            Write::Trouble(t) => {
                drop(self.troubles.insert((t.watch.clone(), t.subject.clone()), t));
            }
            Write::ForgetTrouble(watch, subject) => drop(self.troubles.remove(&(watch, subject))),
            Write::Inventory(item) => {
                drop(self.inventory.insert((item.watch.clone(), item.identity()), item));
            }
            Write::ForgetInventory(item) => {
                drop(self.inventory.remove(&(item.watch.clone(), item.identity())));
            }
            Write::Agent(state) => self.agent = Some(state),
            Write::Prune { before, keep } => self.prune(before, keep),
        }
    }

    fn prune(&mut self, before: Timestamp, keep: usize) {
        let mut newer: BTreeMap<WatchName, usize> = BTreeMap::new();
        let mut forgotten = Vec::new();
        for delivery in self.deliveries.values().rev() {
            let count = newer.entry(delivery.watch.clone()).or_default();
            *count += 1;
            let ended = delivery.finished.unwrap_or(delivery.started);
            if *count > keep && delivery.state.is_final() && ended < before {
                forgotten.push(delivery.id.clone());
            }
        }
        self.deliveries.retain(|id, _| !forgotten.contains(id));
        self.triggers.retain(|_, t| t.state == TriggerState::Pending || t.at >= before);
        if let Ok(year) = before.checked_sub(AUDIT) {
            self.acts.retain(|entry| entry.act.at >= year);
        }
        self.outbox.retain(|_, outgoing| outgoing.notice.at >= before);
        self.troubles.retain(|_, trouble| trouble.at >= before);
        self.heads.retain(|_, head| head.at >= before);
        self.reports.retain(|_, report| report.is_due() || report.at >= before);
        let kept = &self.deliveries;
        self.inventory.retain(|_, item| {
            item.at >= before || kept.contains_key(&item.delivery) || item.run && item.limited
        });
    }
}
