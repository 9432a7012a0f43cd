//! Ports before the fakes that count their calls, and at which an agent dies or takes its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::deployer::{
    Checked, DeployError, DeployErrorKind, Deployer, FollowQuery, Retire, RunChange,
};
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, CommitStatus, ForgeError, Heads,
    HeadsAnswer, HeadsQuery, Reporter, Source, Tree, TreeQuery,
};
use sentry_core::plan::{Action, ChangeSet, ObjectOutcome, Plan};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use sentry_core::store::{Claim, Journal, Snapshot, StoreError, Write};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
use sentry_store::MemoryStore;

/// How long a call takes that takes its time: longer than the agent needs to look at its inbox.
const PAUSE: Duration = Duration::from_secs(3);

/// Counts the calls; at the fatal point, and after it, nothing goes on any more.
#[derive(Debug)]
pub(crate) struct Fate {
    passed: AtomicUsize,
    pub(crate) fatal: usize,
    /// The call that takes [`PAUSE`].
    pause: usize,
    /// The create whose answer is lost, counted from 1: with it the cluster is away.
    pub(crate) lost: usize,
    pub(crate) creates: AtomicUsize,
}

impl Fate {
    pub(crate) fn new(fatal: usize, lost: usize) -> Arc<Self> {
        let (passed, creates) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { passed, fatal, pause: usize::MAX, lost, creates })
    }

    /// One whose nth call takes its time.
    pub(crate) fn pausing(pause: usize, fatal: usize) -> Arc<Self> {
        let (passed, creates) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { passed, fatal, pause, lost: usize::MAX, creates })
    }

    async fn point(&self) {
        let nth = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
        if nth >= self.fatal {
            std::future::pending::<()>().await;
        }
        if nth == self.pause {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// True once the call that takes its time was made.
    pub(crate) fn has_paused(&self) -> bool {
        self.passed.load(Ordering::Relaxed) >= self.pause
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.passed.load(Ordering::Relaxed) >= self.fatal
    }
}

#[derive(Debug)]
pub(crate) struct Mortal<T> {
    pub(crate) inner: Arc<T>,
    pub(crate) fate: Arc<Fate>,
}

#[async_trait]
impl Journal for Mortal<MemoryStore> {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let inner = self.inner.claim(holder).await?;
        Ok(Box::new(Mortal { inner: Arc::new(inner), fate: Arc::clone(&self.fate) }))
    }
}

#[async_trait]
impl Claim for Mortal<Box<dyn Claim>> {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.inner.load().await
    }
    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.fate.point().await;
        let kept = self.inner.commit(writes).await;
        self.fate.point().await;
        kept
    }
}

#[async_trait]
impl Heads for Mortal<FakeForge> {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        self.fate.point().await;
        self.inner.heads(queries).await
    }
}

#[async_trait]
impl Source for Mortal<FakeForge> {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        self.fate.point().await;
        self.inner.tree(query).await
    }
    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        Source::commit(self.inner.as_ref(), repo, revision).await
    }
    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.inner.changes(query).await
    }
    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        self.inner.clone_credential(repo).await
    }
}

#[async_trait]
impl Reporter for Mortal<FakeForge> {
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        self.fate.point().await;
        let shown = self.inner.set_status(repo, status).await;
        self.fate.point().await;
        shown
    }
}

#[async_trait]
impl Deployer for Mortal<FakeDeployer> {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.fate.point().await;
        self.inner.check(plan).await
    }
    /// Object by object, so that it can die, or an answer be lost, between any two of them.
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        let (mut objects, mut error) = (Vec::new(), None);
        for planned in &plan.objects {
            if error.is_some() {
                let (object, run) = (planned.object.clone(), planned.is_run());
                objects.push(ObjectOutcome { object, run, action: Action::Skipped, reason: None });
                continue;
            }
            self.fate.point().await;
            let one = Plan { objects: vec![planned.clone()], ..plan.clone() };
            let mut done = self.inner.apply(&one, checked).await?;
            let nth = self.fate.creates.fetch_add(usize::from(planned.is_run()), Ordering::Relaxed);
            if planned.is_run() && nth + 1 == self.fate.lost {
                self.inner.down(true);
                let lost = DeployError::new(DeployErrorKind::Unreachable, "the answer was lost");
                done.objects[0].action = Action::Failed;
                error = Some(lost);
            }
            self.fate.point().await;
            objects.extend(done.objects);
            error = error.or(done.error);
        }
        Ok(ChangeSet { objects, error })
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.inner.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.fate.point().await;
        let done = self.inner.retire(request).await;
        self.fate.point().await;
        done
    }
}
