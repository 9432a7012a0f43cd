//! What one watch, one repository or one delivery meets does not hold the others up.

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::deployer::{
    Checked, DeployError, DeployErrorKind, Deployer, DeployerPorts, FollowQuery, Retire, RunChange,
};
use sentry_core::event::EventKind;
use sentry_core::forge::{ForgeError, ForgeErrorKind, Heads, HeadsAnswer, HeadsQuery};
use sentry_core::plan::{ChangeSet, Plan};

use super::*;

const OTHER: &str = "https://example.com/product/other";

/// A forge whose code breaks down at one repository.
#[derive(Debug)]
struct Brittle(Arc<FakeForge>);

#[async_trait]
impl Heads for Brittle {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        assert!(queries.iter().all(|query| query.repo.as_str() != OTHER), "it breaks down");
        self.0.heads(queries).await
    }
}

/// Another watch, of another repository, with a namespace of its own.
fn other() -> Watch {
    let mut watch = watch("other", &["main", "release/*"]);
    watch.source.repo = OTHER.parse().unwrap();
    watch.cluster.namespace = "other".parse().unwrap();
    watch
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_breaks_down_at_one_repository_is_told_of_and_still_asked_for_the_others() {
    let mut world = World::new();
    world.forge.commit(OTHER, "main", "first", &[]);
    let heads = Arc::new(Brittle(Arc::clone(&world.forge)));
    let engine = Engine::builder(Arc::clone(&world.store))
        .clock(Arc::clone(&world.clock) as _)
        .watch(world.watch.clone())
        .watch(other())
        .forge("forge", ForgePorts { heads, ..ForgePorts::new(Arc::clone(&world.forge)) })
        .deployer("deployer", DeployerPorts::new(Arc::clone(&world.deployer)))
        .build()
        .unwrap();
    world.agent.spawn(async move { engine.run(&Stop::new()).await });
    minutes(1).await;
    let sha = world.push();
    minutes(1).await;
    assert_eq!(world.delivered().await, Some(sha));
    let watches = world.store.snapshot().watches;
    let broken = watches.iter().find(|watch| watch.watch.as_str() == "other").unwrap();
    let outage = broken.unreachable.as_ref().unwrap();
    assert!(outage.error.contains("crashed"), "{outage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_applies_hang_leaves_half_of_the_places_to_the_others() {
    let mut world = World::with(FakeDeployer::new().taking(Duration::from_secs(600)));
    let mut engine = Engine::builder(Arc::clone(&world.store));
    let options = Options { max_parallel: 4, ..Options::default() };
    engine = engine.clock(Arc::clone(&world.clock) as _).options(options);
    world.forge.commit(OTHER, "main", "first", &[]);
    let forge = ForgePorts::with_statuses(Arc::clone(&world.forge));
    let engine = engine.watch(world.watch.clone()).watch(other()).forge("forge", forge);
    let engine = engine
        .deployer("deployer", DeployerPorts::new(Arc::clone(&world.deployer)))
        .build()
        .unwrap();
    world.agent.spawn(async move { engine.run(&Stop::new()).await });
    minutes(1).await;
    for n in 0..10 {
        world.forge.commit(A, &format!("release/{n}"), "cut", &[]);
    }
    minutes(2).await;
    world.forge.commit(OTHER, "main", "work", &[]);
    minutes(2).await;
    let open = world.store.snapshot().open;
    let begun = |name: &str| {
        open.iter()
            .filter(|d| d.watch.as_str() == name && d.state != DeliveryState::Pending)
            .count()
    };
    assert_eq!((begun("qa"), begun("other")), (2, 1));
}

/// Branches of A that move at once.
const MANY: usize = 40;

#[tokio::test(start_paused = true)]
async fn where_all_heads_of_a_repository_move_at_once_b_is_fetched_once_and_its_head_asked_for_by_many()
 {
    let mut world = World::new();
    world.forge.answer_after(Duration::from_millis(100));
    world.start();
    minutes(2).await;
    let of_b =
        |world: &World| world.forge.asked().iter().filter(|query| query.repo.as_str() == B).count();
    let before = of_b(&world);
    for n in 0..MANY {
        world.forge.commit(A, &format!("release/{n}"), "cut", &[]);
    }
    minutes(2).await;
    assert_eq!(world.deployer.created().len(), MANY, "each is delivered");
    assert_eq!(world.forge.trees_asked().len(), 1);
    // Eight are under way at a time: who comes while the question is being asked is one of the next.
    let asked = of_b(&world) - before;
    assert!(asked <= MANY / 2, "asked for B's head {asked} times");
    let newer = world.forge.commit(B, "main", "more tests", &[TASK, RUN]);
    world.forge.commit(A, "main", "second", &[]);
    minutes(2).await;
    let trees = world.forge.trees_asked();
    assert_eq!((trees.len(), &trees[1].revision.sha), (2, &newer), "what moved is fetched");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_b_is_that_of_all_who_asked_and_nothing_of_it_is_kept() {
    let mut world = World::new();
    world.forge.answer_after(Duration::from_millis(100));
    world.start();
    minutes(2).await;
    world.forge.lose_trees(Some(ForgeErrorKind::Unreachable));
    for n in 0..3 {
        world.forge.commit(A, &format!("release/{n}"), "cut", &[]);
    }
    minutes(2).await;
    let open = world.store.snapshot().open;
    let told = open.iter().filter(|d| d.error.as_ref().is_some_and(|e| e.contains("can't fetch")));
    assert_eq!(told.count(), 3);
    world.forge.lose_trees(None);
    minutes(10).await;
    assert_eq!(world.deployer.created().len(), 3);
}

/// How long an apply of [`Deliberate`] takes.
const APPLY: Duration = Duration::from_secs(250);

/// A deployer that gives up an apply at its deadline, as kubectl is.
#[derive(Debug)]
struct Deliberate(Arc<FakeDeployer>);

#[async_trait]
impl Deployer for Deliberate {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.0.check(plan).await
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        tokio::time::sleep(APPLY.min(plan.timeout)).await;
        if plan.timeout < APPLY {
            return Err(DeployError::new(DeployErrorKind::Timeout, "killed at the deadline"));
        }
        self.0.apply(plan, checked).await
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.0.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.0.retire(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_in_which_others_hold_the_target_is_not_the_deliverys_own() {
    let mut world = World::new();
    world.watch.timing.timeout = Duration::from_secs(300);
    let engine = Engine::builder(Arc::clone(&world.store))
        .clock(Arc::clone(&world.clock) as _)
        .watch(world.watch.clone())
        .forge("forge", ForgePorts::with_statuses(Arc::clone(&world.forge)))
        .deployer(
            "deployer",
            DeployerPorts {
                deployer: Arc::new(Deliberate(Arc::clone(&world.deployer))),
                ..DeployerPorts::new(Arc::clone(&world.deployer))
            },
        )
        .build()
        .unwrap();
    let mut events = engine.events();
    world.agent.spawn(async move { engine.run(&Stop::new()).await });
    minutes(1).await;
    for n in 0..4 {
        world.forge.commit(A, &format!("release/{n}"), "cut", &[]);
    }
    minutes(20).await;
    assert_eq!(world.deployer.created().len(), 4);
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event.kind, EventKind::DeliveryRetrying { .. }), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn however_long_a_cluster_was_away_its_return_is_seen_within_half_a_minute() {
    let world = World::running().await;
    for outage in 1..=6 {
        world.deployer.down(true);
        world.forge.commit(A, "main", &format!("work {outage}"), &[]);
        minutes(20).await;
        world.deployer.down(false);
        seconds(35).await;
        assert_eq!(world.deployer.created().len(), outage);
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_heads_that_wait_for_a_cluster_one_asks_often_and_its_answer_wakes_the_others() {
    let world = World::running().await;
    world.deployer.down(true);
    for n in 0..10 {
        world.forge.commit(A, &format!("release/{n}"), "cut", &[]);
    }
    minutes(30).await;
    let asked = world.forge.trees_asked().len();
    minutes(30).await;
    let asked = world.forge.trees_asked().len() - asked;
    // Each by itself: 10 × 30 min / 150 s. One of them often: 30 min / 15 s more.
    assert!(asked < 400, "B was fetched {asked} times in 30 minutes");
    world.deployer.down(false);
    seconds(45).await;
    assert_eq!(world.deployer.created().len(), 10);
}
