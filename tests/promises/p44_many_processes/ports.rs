//! The ports of a process that freezes, and what stands behind them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::delivery::Trigger;
use sentry_core::deployer::{Checked, DeployError, Deployer, FollowQuery, Retire, RunChange};
use sentry_core::fleet::{Member, MemberId, Slot, Slots, Table, Term};
use sentry_core::forge::{Audience, CommitStatus, ForgeError, Reporter};
use sentry_core::ids::TriggerId;
use sentry_core::names::WatchName;
use sentry_core::plan::{Action, COMMIT_LABEL, ChangeSet, Plan};
use sentry_core::repo::RepoUrl;
use sentry_core::store::{Hold, Inbox, Requests, State, StoreError};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};
use sentry_store::MemoryStore;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// All ports of one process: at some of its calls it freezes, and nothing of it goes on before that is over.
#[derive(Debug)]
pub(super) struct Process {
    calls: AtomicUsize,
    /// At which of its calls, and for how long.
    freezes: BTreeMap<usize, Duration>,
    until: Mutex<Instant>,
    /// Requests that are on their way: they arrive, whatever became of who sent them.
    sent: Mutex<JoinSet<()>>,
}

impl Process {
    pub(super) fn new(freezes: BTreeMap<usize, Duration>) -> Arc<Self> {
        let until = Mutex::new(Instant::now());
        let (calls, sent) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { calls, freezes, until, sent })
    }

    async fn point(&self) {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(frozen_for) = self.freezes.get(&nth) {
            let until = Instant::now() + *frozen_for;
            let mut last = self.until.lock().unwrap();
            *last = until.max(*last);
        }
        let until = *self.until.lock().unwrap();
        sleep_until(until).await;
    }

    /// Sends a request, and waits for its answer.
    async fn send<T: Send + 'static>(
        self: &Arc<Self>,
        request: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (process, (answer, answered)) = (Arc::clone(self), oneshot::channel());
        self.sent.lock().unwrap().spawn(async move {
            process.point().await;
            let result = request.await;
            process.point().await;
            // Who asked may be gone.
            answer.send(result).ok();
        });
        answered.await.unwrap()
    }

    pub(super) fn die(&self) {
        self.sent.lock().unwrap().abort_all();
    }

    pub(super) fn frozen(&self) -> usize {
        self.freezes.range(..=self.calls.load(Ordering::Relaxed)).count()
    }
}

#[async_trait]
impl Hook for Process {
    async fn before(&self, _: Call<'_>) -> Result<(), Fault> {
        self.point().await;
        Ok(())
    }

    async fn after(&self, _: Call<'_>) -> Result<(), Fault> {
        self.point().await;
        Ok(())
    }
}

/// A port whose requests may be on their way for as long as the process is frozen.
#[derive(Debug)]
pub(super) struct Distant<T: ?Sized> {
    pub(super) inner: Arc<T>,
    pub(super) process: Arc<Process>,
}

#[async_trait]
impl Reporter for Distant<FakeForge> {
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        let (inner, repo, status) = (Arc::clone(&self.inner), repo.clone(), status.clone());
        self.process.send(async move { inner.set_status(&repo, &status).await }).await
    }

    async fn audience(&self, repo: &RepoUrl) -> Result<Audience, ForgeError> {
        self.process.point().await;
        self.inner.audience(repo).await
    }
}

#[async_trait]
impl Deployer for Distant<Cluster> {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.process.point().await;
        self.inner.check(plan).await
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        let (inner, plan, checked) = (Arc::clone(&self.inner), plan.clone(), checked.clone());
        self.process.send(async move { inner.apply(&plan, &checked).await }).await
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.inner.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        let (inner, request) = (Arc::clone(&self.inner), request.clone());
        self.process.send(async move { inner.retire(&request).await }).await
    }
}

#[async_trait]
impl Inbox for Distant<dyn Inbox> {
    async fn request(&self, trigger: &Trigger) -> Result<Trigger, StoreError> {
        self.process.point().await;
        self.inner.request(trigger).await
    }
    async fn trigger(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError> {
        self.process.point().await;
        self.inner.trigger(id).await
    }
    async fn hold(&self, hold: &Hold) -> Result<(), StoreError> {
        self.process.point().await;
        self.inner.hold(hold).await
    }
    async fn requests(&self) -> Result<Requests, StoreError> {
        self.process.point().await;
        self.inner.requests().await
    }
}

/// The slots as a process reaches them.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) store: Arc<MemoryStore>,
    pub(super) process: Arc<Process>,
}

#[async_trait]
impl Slots for Reached {
    async fn renew(&self, me: &Member) -> Result<Table, StoreError> {
        self.process.point().await;
        let table = self.store.renew(me).await;
        self.process.point().await;
        table
    }
    async fn take(
        &self,
        me: &MemberId,
        slot: Slot,
        seen: Option<&Term>,
    ) -> Result<Term, StoreError> {
        self.process.point().await;
        let term = self.store.take(me, slot, seen).await;
        self.process.point().await;
        term
    }
    async fn give(&self, slot: Slot, term: &Term) -> Result<(), StoreError> {
        self.process.point().await;
        self.store.give(slot, term).await
    }
    async fn settle(
        &self,
        slot: Slot,
        term: &Term,
        watches: &[WatchName],
    ) -> Result<Vec<WatchName>, StoreError> {
        self.process.point().await;
        self.store.settle(slot, term, watches).await
    }
    fn state(&self, slot: Slot, term: &Term) -> State {
        let State { journal, inbox, archive, blobs } = self.store.state(slot, term);
        let inbox = Arc::new(Distant { inner: inbox, process: Arc::clone(&self.process) });
        State { journal: Hooked::new(&journal, &self.process), inbox, archive, blobs }
    }
}

/// The cluster, which keeps the order in which named objects were written: each with the commit that it is for.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) fake: Arc<FakeDeployer>,
    pub(super) written: Mutex<BTreeMap<String, Vec<String>>>,
}

#[async_trait]
impl Deployer for Cluster {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.fake.check(plan).await
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        let changes = self.fake.apply(plan, checked).await?;
        let mut written = self.written.lock().unwrap();
        for (planned, outcome) in plan.objects.iter().zip(&changes.objects) {
            if !planned.is_run() && matches!(outcome.action, Action::Created | Action::Configured) {
                let commit = planned.json["metadata"]["labels"][COMMIT_LABEL].as_str().unwrap();
                let of = written.entry(plan.cluster.namespace.to_string()).or_default();
                of.push(commit.to_owned());
            }
        }
        Ok(changes)
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.fake.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.fake.retire(request).await
    }
}
