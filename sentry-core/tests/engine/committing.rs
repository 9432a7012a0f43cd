//! What a delivery costs the state: how often it is written, and what.

use std::sync::Mutex;

use async_trait::async_trait;
use sentry_core::delivery::RunState;
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, ForgeError, Source, Tree, TreeQuery,
};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use sentry_core::store::{Claim, Journal, Snapshot, StoreError, Write};
use sentry_core::subscription::{On, Route, Subscription};

use super::*;

/// A state that tells what was kept together.
#[derive(Debug)]
struct Recorded<T> {
    inner: T,
    commits: Arc<Mutex<Vec<Vec<Write>>>>,
}

#[async_trait]
impl Journal for Recorded<Arc<MemoryStore>> {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let inner = self.inner.claim(holder).await?;
        Ok(Box::new(Recorded { inner, commits: Arc::clone(&self.commits) }))
    }
}

#[async_trait]
impl Claim for Recorded<Box<dyn Claim>> {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.inner.load().await
    }
    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.commits.lock().unwrap().push(writes.to_vec());
        self.inner.commit(writes).await
    }
}

/// Starts an agent, and waits until it has its baseline; what it commits from then on.
async fn watched(world: &mut World) -> Arc<Mutex<Vec<Vec<Write>>>> {
    let commits = Arc::default();
    let journal = Recorded { inner: Arc::clone(&world.store), commits: Arc::clone(&commits) };
    let state = State { journal: Arc::new(journal), ..Arc::clone(&world.store).into() };
    let (engine, stop) = (world.builder_on(state).build().unwrap(), world.stop.clone());
    world.agent.spawn(async move { engine.run(&stop).await });
    minutes(1).await;
    commits.lock().unwrap().clear();
    commits
}

/// The agent says each 10 s that it lives: what others took may be written with that.
fn is_beat(commit: &[Write]) -> bool {
    commit.iter().any(|write| matches!(write, Write::Agent(_)))
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_four_commits_notices_included_and_one_for_each_status_that_was_set() {
    let mut world = World::with(FakeDeployer::new().following());
    world.notifiers.push(("chat".to_owned(), Arc::new(FakeNotifier::new())));
    world.watch.notify.push(Subscription {
        receiver: "chat".to_owned(),
        routes: vec![Route::TestsFailed],
        on: vec![On::Failure],
    });
    let commits = watched(&mut world).await;
    let sha = world.push();
    minutes(2).await;
    let run = world.deployer.active_runs().pop().unwrap();
    world.deployer.finish(&run, RunState::Failed, "Failed");
    minutes(2).await;
    let states: Vec<Vec<DeliveryState>> = commits
        .lock()
        .unwrap()
        .iter()
        .filter(|commit| !is_beat(commit))
        .map(|commit| {
            let deliveries = commit.iter().filter_map(|write| match write {
                Write::Delivery(delivery) => Some(delivery.state),
                _ => None,
            });
            deliveries.collect()
        })
        .collect();
    use DeliveryState::{Applying, Failed, Fetching, Following};
    let deliveries: Vec<_> = states.iter().flatten().collect();
    assert_eq!(deliveries, [&Fetching, &Applying, &Following, &Failed]);
    assert_eq!(states.len(), deliveries.len() + 2, "{states:?}");
    let statuses = world.forge.statuses();
    assert_eq!(statuses.iter().filter(|status| status.revision.sha == sha).count(), 2);
    assert_eq!(world.notifiers[0].1.told().len(), 1);
    let kept = world.store.snapshot();
    assert_eq!((kept.reports, kept.outbox), (vec![], vec![]), "what others took is known");
}

/// A forge that is slow to give what commits hold.
#[derive(Debug)]
struct Slow(Arc<FakeForge>);

#[async_trait]
impl Source for Slow {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        minutes(1).await;
        self.0.tree(query).await
    }
    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        Source::commit(self.0.as_ref(), repo, revision).await
    }
    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.0.changes(query).await
    }
    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        self.0.clone_credential(repo).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_long_is_in_the_state_for_others_to_see() {
    let mut world = World::new();
    let source = Arc::new(Slow(Arc::clone(&world.forge)));
    let ports = ForgePorts { source, ..ForgePorts::new(Arc::clone(&world.forge)) };
    let (engine, stop) = (world.builder().forge("forge", ports).build().unwrap(), Stop::new());
    world.agent.spawn(async move { engine.run(&stop).await });
    minutes(1).await;
    world.push();
    while world.deliveries().await.is_empty() {
        seconds(1).await;
    }
    seconds(2).await;
    let fetching = world.deliveries().await.remove(0);
    assert_eq!(fetching.state, DeliveryState::Fetching);
    assert_eq!(fetching.steps.last().unwrap().step, "resolve");
    assert!(fetching.manifests.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_others_took_is_known_after_a_stop_and_in_one_pass() {
    let mut world = World::with(FakeDeployer::new().following());
    watched(&mut world).await;
    world.push();
    seconds(31).await;
    world.stop().await;
    assert_eq!(world.store.snapshot().reports, []);
}
