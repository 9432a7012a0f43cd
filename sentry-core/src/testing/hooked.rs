//! Ports with something before and after each of their calls: a death, a pause, a failure, a note of what was asked.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use crate::deployer::{Checked, DeployError, Deployer, FollowQuery, Retire, RunChange};
use crate::forge::{
    Audience, Budget, ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, CommitStatus,
    ForgeError, Heads, HeadsAnswer, HeadsQuery, PullsAnswer, PullsQuery, Reporter, Requests,
    Source, Tree, TreeQuery,
};
use crate::plan::{Action, ChangeSet, ObjectOutcome, Plan};
use crate::repo::RepoUrl;
use crate::revision::Revision;
use crate::store::{Claim, Journal, Snapshot, StoreError, Write};

/// A call of a port, and what it asks.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Call<'a> {
    /// [`Heads::heads`].
    Heads(&'a [HeadsQuery]),
    /// [`Heads::pulls`].
    Pulls(&'a [PullsQuery]),
    /// [`Source::tree`].
    Tree(&'a TreeQuery),
    /// [`Source::commit`].
    CommitInfo(&'a RepoUrl, &'a Revision),
    /// [`Source::changes`].
    Changes(&'a ChangesQuery),
    /// [`Source::clone_credential`].
    CloneCredential(&'a RepoUrl),
    /// [`Reporter::set_status`].
    SetStatus(&'a CommitStatus),
    /// [`Reporter::audience`].
    Audience(&'a RepoUrl),
    /// [`Deployer::check`].
    Check(&'a Plan),
    /// [`Deployer::apply`].
    Apply(&'a Plan),
    /// [`Deployer::follow`], when its stream is first asked.
    Follow(&'a FollowQuery),
    /// [`Deployer::retire`].
    Retire(&'a Retire),
    /// [`Claim::load`].
    Load,
    /// [`Claim::commit`].
    Commit(&'a [Write]),
}

/// How a call is to fail, whatever its port did.
#[derive(Debug, Clone)]
pub enum Fault {
    /// For the ports of a forge.
    Forge(ForgeError),
    /// For a deployer.
    Deploy(DeployError),
    /// For a claim of the state.
    Store(StoreError),
}

/// What happens around the calls. It may wait, also for ever, as a call does in whose middle the process dies.
#[async_trait]
pub trait Hook: Debug + Send + Sync {
    /// Before the port gets the call.
    ///
    /// # Errors
    /// The call fails so, and the port never gets it.
    async fn before(&self, call: Call<'_>) -> Result<(), Fault>;

    /// After the port did what was asked, whether it went well or not.
    ///
    /// # Errors
    /// The call fails so: the port's answer is lost.
    async fn after(&self, _call: Call<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

/// A port with a hook around each of its calls.
#[derive(Debug)]
pub struct Hooked<T: ?Sized, H: ?Sized> {
    inner: Arc<T>,
    hook: Arc<H>,
}

impl<T: ?Sized, H: Hook + ?Sized> Hooked<T, H> {
    /// The port behind the hook.
    #[must_use]
    pub fn new(inner: &Arc<T>, hook: &Arc<H>) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), hook: Arc::clone(hook) })
    }

    async fn around<A, E: From<Fault>>(
        &self,
        call: Call<'_>,
        work: impl Future<Output = Result<A, E>>,
    ) -> Result<A, E> {
        self.hook.before(call).await?;
        let done = work.await;
        self.hook.after(call).await?;
        done
    }
}

/// What a fault is for a port; the tests that make it know which port they meet.
macro_rules! fault_of {
    ($error:ty, $kind:ident) => {
        impl From<Fault> for $error {
            fn from(fault: Fault) -> Self {
                match fault {
                    Fault::$kind(error) => error,
                    other => unreachable!("{other:?} for a {}", stringify!($error)),
                }
            }
        }
    };
}

fault_of!(ForgeError, Forge);
fault_of!(DeployError, Deploy);
fault_of!(StoreError, Store);

#[async_trait]
impl<T: Heads + ?Sized, H: Hook + ?Sized> Heads for Hooked<T, H> {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let work = async { Ok(self.inner.heads(queries).await) };
        let answers: Result<_, ForgeError> = self.around(Call::Heads(queries), work).await;
        answers.unwrap_or_else(|error| queries.iter().map(|_| Err(error.clone())).collect())
    }
    async fn pulls(&self, queries: &[PullsQuery]) -> Vec<Result<PullsAnswer, ForgeError>> {
        let work = async { Ok(self.inner.pulls(queries).await) };
        let answers: Result<_, ForgeError> = self.around(Call::Pulls(queries), work).await;
        answers.unwrap_or_else(|error| queries.iter().map(|_| Err(error.clone())).collect())
    }
    fn budget(&self) -> Option<Budget> {
        self.inner.budget()
    }
    fn requests(&self) -> Requests {
        self.inner.requests()
    }
}

#[async_trait]
impl<T: Source + ?Sized, H: Hook + ?Sized> Source for Hooked<T, H> {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        self.around(Call::Tree(query), self.inner.tree(query)).await
    }
    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        let call = Call::CommitInfo(repo, revision);
        self.around(call, self.inner.commit(repo, revision)).await
    }
    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.around(Call::Changes(query), self.inner.changes(query)).await
    }
    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        self.around(Call::CloneCredential(repo), self.inner.clone_credential(repo)).await
    }
}

#[async_trait]
impl<T: Reporter + ?Sized, H: Hook + ?Sized> Reporter for Hooked<T, H> {
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        self.around(Call::SetStatus(status), self.inner.set_status(repo, status)).await
    }
    async fn audience(&self, repo: &RepoUrl) -> Result<Audience, ForgeError> {
        self.around(Call::Audience(repo), self.inner.audience(repo)).await
    }
}

#[async_trait]
impl<T: Deployer + ?Sized, H: Hook + ?Sized> Deployer for Hooked<T, H> {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.around(Call::Check(plan), self.inner.check(plan)).await
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        self.around(Call::Apply(plan), self.inner.apply(plan, checked)).await
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        let told = self.inner.follow(query.clone())?;
        let first = async move {
            match self.hook.before(Call::Follow(&query)).await {
                Ok(()) => told,
                Err(fault) => stream::iter([Err(fault.into())]).boxed(),
            }
        };
        Some(stream::once(first).flatten().boxed())
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.around(Call::Retire(request), self.inner.retire(request)).await
    }
}

#[async_trait]
impl<T: Journal + ?Sized, H: Hook + ?Sized + 'static> Journal for Hooked<T, H> {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let inner = Arc::from(self.inner.claim(holder).await?);
        Ok(Box::new(Hooked { inner, hook: Arc::clone(&self.hook) }))
    }
}

#[async_trait]
impl<H: Hook + ?Sized> Claim for Hooked<dyn Claim, H> {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.around(Call::Load, self.inner.load()).await
    }
    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.around(Call::Commit(writes), self.inner.commit(writes)).await
    }
}

/// A deployer that writes one object at a time, so that something may happen between any two of them. The first failure is
/// the end, as it is for kubectl.
#[derive(Debug)]
pub struct OneByOne<T: ?Sized>(
    /// Who gets a plan of one object at a time.
    pub Arc<T>,
);

#[async_trait]
impl<T: Deployer + ?Sized> Deployer for OneByOne<T> {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.0.check(plan).await
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        let mut all = ChangeSet { objects: Vec::new(), error: None };
        for planned in &plan.objects {
            let (object, run) = (planned.object.clone(), planned.is_run());
            let outcome = |action| ObjectOutcome { object, run, action, reason: None };
            if all.error.is_some() {
                all.objects.push(outcome(Action::Skipped));
                continue;
            }
            let one = Plan { objects: vec![planned.clone()], ..plan.clone() };
            match self.0.apply(&one, checked).await {
                Ok(done) => {
                    all.objects.extend(done.objects);
                    all.error = done.error;
                }
                Err(error) => {
                    all.objects.push(outcome(Action::Failed));
                    all.error = Some(error);
                }
            }
        }
        Ok(all)
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.0.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.0.retire(request).await
    }
}
