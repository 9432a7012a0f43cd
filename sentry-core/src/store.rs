//! The ports to stored state. Everything the engine knows after a restart comes from here.
//!
//! A state has one owner at a time, the agent that has claimed it ([`Journal`]); only its [`Claim`] commits. Any number of
//! other programs leave requests ([`Inbox`]) and read ([`Archive`]) beside it.

mod audit;
mod sessions;
mod view;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::cursor::Cursors;
use crate::delivery::{Delivery, HeadRecord, Trigger};
use crate::error::Error;
use crate::forge::{Budget, CommitStatus, StatusState, Validator};
use crate::ids::{DeliveryId, NoticeId, TriggerId};
use crate::names::WatchName;
use crate::notifier::Notice;
use crate::plan::ObjectRef;
use crate::repo::{CommitSha, RepoUrl};
use crate::subject::Subject;

pub use audit::{Act, ActKind, AuditEntry, AuditQuery};
pub use sessions::{MOST_ENDED, SESSION, Session, Sessions};
pub use view::{
    Brief, DeliveryQuery, FleetView, MemberView, Overview, OverviewQuery, Past, PastQuery, PastRun,
    QueueView, RECENT, ReceiverView, SubjectFilter, SubjectView, WatchView,
};

/// Whom a state belongs to.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Claims the state for one agent until the claim is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// [`StoreErrorKind::Held`], naming the holder, if another agent has it.
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError>;
}

/// A state that an agent owns. It may lose it to another agent's claim, as when the file that was locked for it is
/// removed: from then on every call is [`StoreErrorKind::Fenced`] and changes nothing.
#[async_trait]
pub trait Claim: fmt::Debug + Send + Sync {
    /// All live state: every branch, watch and validator, deliveries that are not final, pending triggers.
    async fn load(&self) -> Result<Snapshot, StoreError>;

    /// Carries out all writes or none; when it returns `Ok` they survive a crash of the machine. The claim is
    /// verified in the same transaction: no other claim can begin in between.
    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError>;
}

/// What other programs leave for the agent. None of it needs a claim.
#[async_trait]
pub trait Inbox: fmt::Debug + Send + Sync {
    /// Keeps a trigger, with a line of the audit log, and returns it; where one with the same key is kept already, that one is
    /// returned instead.
    async fn request(&self, trigger: &Trigger) -> Result<Trigger, StoreError>;

    /// What became of a trigger, by its id.
    async fn trigger(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError>;

    /// Suspends a watch, or ends that, with a line of the audit log.
    async fn hold(&self, hold: &Hold) -> Result<(), StoreError>;

    /// Requests that wait for the agent: called often, so it must be cheap if nothing changed.
    async fn requests(&self) -> Result<Requests, StoreError>;
}

/// Views of a state, for the agent and for people. Five, because five kinds of records are kept for people (ADR 32).
#[async_trait]
pub trait Archive: fmt::Debug + Send + Sync {
    /// The watches, and their subjects by filter and page: of one moment, and without reading the history.
    async fn overview(&self, query: &OverviewQuery) -> Result<Overview, StoreError>;

    /// Deliveries by filter and page, newest first, whole.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError>;

    /// What was decided about the commits whose id starts with `sha` (lower-case hex), newest first.
    async fn heads(&self, sha: &str) -> Result<Vec<HeadRecord>, StoreError>;

    /// What people asked for, newest first.
    async fn acts(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError>;

    /// What a watch put where and is not known to be deleted.
    async fn inventory(&self, watch: &WatchName) -> Result<Vec<InventoryItem>, StoreError>;
}

/// Documents that a delivery got from elsewhere, kept by their content for as long as it is open. The commit that ends a
/// delivery forgets them; a retry of one that has ended gets them anew.
#[async_trait]
pub trait Blobs: fmt::Debug + Send + Sync {
    /// Keeps a document for a delivery; for one that the state does not hold, or that has ended, nothing is kept.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] may pass; a repeat keeps nothing twice.
    async fn put(&self, delivery: &DeliveryId, bytes: &[u8]) -> Result<(), StoreError>;

    /// The document of a delivery with this sha256 (in hex), if it is kept and whole.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] may pass.
    async fn get(&self, delivery: &DeliveryId, sha256: &str)
    -> Result<Option<Vec<u8>>, StoreError>;
}

/// One state, by its ports.
#[derive(Debug, Clone)]
pub struct State {
    /// Whom it belongs to.
    pub journal: Arc<dyn Journal>,
    /// What is left for the agent.
    pub inbox: Arc<dyn Inbox>,
    /// What it reports.
    pub archive: Arc<dyn Archive>,
    /// What it keeps of open deliveries beside their records.
    pub blobs: Arc<dyn Blobs>,
}

impl<S: Journal + Inbox + Archive + Blobs + 'static> From<Arc<S>> for State {
    fn from(store: Arc<S>) -> Self {
        Self {
            journal: Arc::<S>::clone(&store),
            inbox: Arc::<S>::clone(&store),
            archive: Arc::<S>::clone(&store),
            blobs: store,
        }
    }
}

/// All live state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The cursors of every subject that was ever seen and is not forgotten.
    pub cursors: Vec<Cursors>,
    /// What is known of each watch.
    pub watches: Vec<WatchState>,
    /// Validators of earlier answers, by query key.
    pub validators: Vec<(String, Validator)>,
    /// Deliveries that are not final.
    pub open: Vec<Delivery>,
    /// Statuses that are still to be shown.
    pub reports: Vec<Report>,
    /// Notices that receivers still have to get, oldest first.
    pub outbox: Vec<Outgoing>,
    /// Branches that did not succeed since they failed.
    pub troubles: Vec<Trouble>,
    /// Pending triggers and suspensions.
    pub inbox: Requests,
    /// The agent that last worked on the store.
    pub agent: Option<AgentState>,
}

/// A status that is to be shown on a commit of A, or was. One is kept for each watch, commit and context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The watch.
    pub watch: WatchName,
    /// What is to be shown.
    pub status: CommitStatus,
    /// When that was decided.
    pub at: Timestamp,
    /// What the forge last accepted.
    pub sent: Option<StatusState>,
    /// Failed attempts in a row to show it.
    pub tries: u32,
    /// The last error, without secrets.
    pub error: Option<String>,
    /// True if it will not be tried again: the forge has no statuses, or the token may not set them.
    pub given_up: bool,
}

impl Report {
    /// True if it is still to be shown.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.given_up && self.sent != Some(self.status.state)
    }
}

/// A notice that one receiver still has to get. It is deleted once the receiver took it. One is kept for each
/// receiver and [`Notice::id`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The receiver.
    pub receiver: String,
    /// The notice.
    pub notice: Notice,
    /// Failed attempts to send it.
    pub tries: u32,
    /// The last error, without secrets.
    pub error: Option<String>,
}

/// A branch that failed and has not fully succeeded since: what was notified of that. One is kept for each watch and
/// branch, and none for a branch that is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The watch.
    pub watch: WatchName,
    /// The subject.
    pub subject: Subject,
    /// When this last changed.
    pub at: Timestamp,
    /// The last notice about its tests, while they fail.
    pub tests: Option<Notified>,
    /// The last notice about its start, while nothing can be started.
    pub start: Option<Notified>,
}

/// A failure that was notified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notified {
    /// The commit that it was last seen with.
    pub sha: CommitSha,
    /// Why.
    pub reason: String,
    /// True if all objects were acknowledged, and track of the runs was lost later.
    pub started: bool,
}

/// An object that a delivery put on a cluster. Kept until it is known to be deleted, or its delivery is forgotten and nothing
/// will delete it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryItem {
    /// The watch.
    pub watch: WatchName,
    /// The subject.
    pub subject: Subject,
    /// The cluster, as [`crate::names::ClusterRef`] shows it: context and namespace of the watch.
    pub cluster: String,
    /// The object. An item with the same watch, cluster, group, kind, namespace and name is the same item.
    pub object: ObjectRef,
    /// True for a run.
    pub run: bool,
    /// True for a run of whose document only so many are kept: it is forgotten once it is deleted, however old.
    pub limited: bool,
    /// The delivery that last put it there.
    pub delivery: DeliveryId,
    /// When.
    pub at: Timestamp,
}

impl InventoryItem {
    /// What makes it the same object of its watch: cluster, group, kind, namespace and name, as one text.
    #[must_use]
    pub fn identity(&self) -> String {
        let ObjectRef { api_version, kind, namespace, name, .. } = &self.object;
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let namespace = namespace.as_deref().unwrap_or_default();
        format!("{} {group} {kind} {namespace} {name}", self.cluster)
    }
}

/// What is stored about a watch besides its branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchState {
    /// The watch.
    pub watch: WatchName,
    /// Repository A at the last poll: another one means a new baseline.
    pub repo: RepoUrl,
    /// The patterns of the selector at the last answered poll, as written: a branch that only a newer selector
    /// matches is a first sight, one that these matched is new. Empty before the first answer.
    pub patterns: Vec<String>,
    /// Since when its forge does not answer, if so.
    pub unreachable: Option<Outage>,
    /// The selection of pull requests that they were last asked for with; `None` before their first answer.
    pub pulls: Option<String>,
}

/// A forge that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Since when.
    pub since: Timestamp,
    /// The last error, without secrets.
    pub error: String,
    /// When it is polled again.
    pub next: Option<Timestamp>,
}

/// A watch that a person suspended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The watch.
    pub watch: WatchName,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` is until it is resumed.
    pub until: Option<Timestamp>,
    /// Who suspended it, where that is known.
    pub by: Option<String>,
}

/// The end of a suspension, by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    /// The watch.
    pub watch: WatchName,
    /// When.
    pub at: Timestamp,
    /// Who resumed it, where that is known.
    pub by: Option<String>,
}

/// What a person wants of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Insert or replace its suspension.
    Suspend(Suspension),
    /// End its suspension, if it has one.
    Resume(Resumption),
}

impl Hold {
    /// The watch that it is about.
    #[must_use]
    pub fn watch(&self) -> &WatchName {
        match self {
            Self::Suspend(suspension) => &suspension.watch,
            Self::Resume(resumption) => &resumption.watch,
        }
    }
}

/// What waits for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    /// Triggers that were not taken, oldest first.
    pub triggers: Vec<Trigger>,
    /// All suspensions in force or past.
    pub suspensions: Vec<Suspension>,
}

/// What an agent reports about itself, so that others can see that it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentState {
    /// Who: process id and host.
    pub holder: String,
    /// Since when.
    pub started: Timestamp,
    /// When it last said so.
    pub beat: Timestamp,
    /// When it ended, if it ended on its own or was stopped.
    pub ended: Option<Timestamp>,
    /// Each forge's poll loop.
    pub loops: Vec<LoopState>,
}

/// One poll loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopState {
    /// The forge.
    pub forge: String,
    /// Now, while it keeps its time; else since when the repository that is most late waits for an answer, good or bad.
    pub beat: Timestamp,
    /// How often that repository is to be asked.
    pub interval: Duration,
    /// What is left of the forge's budget.
    pub budget: Option<Budget>,
}

/// So much longer than deliveries are lines of the audit log kept.
pub const AUDIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// One write. A commit takes many, all or none.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Insert or replace the cursors of a subject.
    Cursors(Cursors),
    /// Forget a subject.
    ForgetCursors(WatchName, Subject),
    /// Insert or replace what is kept of a watch.
    Watch(WatchState),
    /// Insert, replace or (with `None`) forget a validator.
    Validator(String, Option<Validator>),
    /// Insert or replace a delivery.
    Delivery(Box<Delivery>),
    /// Replace a trigger's state.
    Trigger(Trigger),
    /// Insert or replace what was decided about a head.
    Head(HeadRecord),
    /// Insert or replace a status that is to be shown.
    Report(Report),
    /// Insert or replace a notice for a receiver.
    Notice(Box<Outgoing>),
    /// A receiver took a notice, or no longer gets it.
    ForgetNotice {
        /// The receiver.
        receiver: String,
        /// The notice's id.
        id: NoticeId,
    },
    /// Insert or replace what was notified of a branch that fails.
    Trouble(Trouble),
    /// A branch succeeded as a whole.
    ForgetTrouble(WatchName, Subject),
    /// Insert or replace an object of the inventory.
    Inventory(InventoryItem),
    /// An object of the inventory is known to be deleted.
    ForgetInventory(InventoryItem),
    /// Replace the agent's own record.
    Agent(AgentState),
    /// Forget final deliveries, answered triggers, settled reports, notices, troubles and decisions older than this, but
    /// never the newest `keep` deliveries of a watch; and what forgotten deliveries put somewhere, but for runs that are
    /// still to be deleted. Of the audit log, what is older by a year more ([`AUDIT`]).
    Prune {
        /// Older than this.
        before: Timestamp,
        /// Never fewer than this many deliveries per watch.
        keep: usize,
    },
}

impl Write {
    /// The watch that it is about; `None` where it is about none, or about what may be forgotten of all.
    #[must_use]
    pub fn watch(&self) -> Option<&WatchName> {
        match self {
            Self::Cursors(Cursors { watch, .. })
            | Self::ForgetCursors(watch, _)
            | Self::Watch(WatchState { watch, .. })
            | Self::Trigger(Trigger { watch, .. })
            | Self::Head(HeadRecord { watch, .. })
            | Self::Report(Report { watch, .. })
            | Self::Trouble(Trouble { watch, .. })
            | Self::ForgetTrouble(watch, _)
            | Self::Inventory(InventoryItem { watch, .. })
            | Self::ForgetInventory(InventoryItem { watch, .. }) => Some(watch),
            Self::Delivery(delivery) => Some(&delivery.watch),
            Self::Notice(outgoing) => Some(&outgoing.notice.watch),
            Self::Validator(..)
            | Self::ForgetNotice { .. }
            | Self::Agent(_)
            | Self::Prune { .. } => None,
        }
    }
}

/// What kind of error a store met. Only [`StoreErrorKind::Unavailable`] may pass on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Another agent has the store.
    Held,
    /// Another agent has claimed the store since: an agent that gets this ends, and lets the other one work.
    Fenced,
    /// It can't be written or read now: full, read-only, an I/O error. May pass.
    Unavailable,
    /// What is kept is damaged. A person must look.
    Corrupt,
    /// It was written by a newer Sentry.
    Newer,
}

/// An error of a store. The text names the place and the remedy.
pub type StoreError = Error<StoreErrorKind>;
