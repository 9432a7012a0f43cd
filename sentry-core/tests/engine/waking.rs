//! The engine sleeps until something is due: it wakes for that though no request is looked for and no poll comes by.

use async_trait::async_trait;
use sentry_core::delivery::RunState;
use sentry_core::forge::{ForgeErrorKind, StatusState};
use sentry_core::notifier::NotifyErrorKind;
use sentry_core::subscription::{On, Route, Subscription};
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};
use tokio::time::Instant;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// The seconds that a wait after a failure takes at most, whatever chance makes of it (`Backoff::default`), and the next look.
const LONGEST: u64 = 301;

/// Fetching takes two minutes.
#[derive(Debug)]
struct SlowTrees;

#[async_trait]
impl Hook for SlowTrees {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        if matches!(call, Call::Tree(_)) {
            minutes(2).await;
        }
        Ok(())
    }
}

impl World {
    /// Starts an engine that looks for requests, and polls, once a day.
    fn asleep(&mut self, change: impl FnOnce(Builder) -> Builder) -> Engine {
        self.watch.timing.polling_interval = DAY;
        let options = Options { inbox_interval: DAY, ..Options::default() };
        let engine = change(self.builder().options(options)).build().unwrap();
        self.events = engine.events();
        let (agent, stop) = (engine.clone(), self.stop.clone());
        self.agent.spawn(async move { agent.run(&stop).await });
        engine
    }

    /// Pushes, and says so.
    fn push_and_hint(&self, engine: &Engine) -> CommitSha {
        let sha = self.push();
        assert!(engine.hint("forge", &self.watch.source.repo.path()));
        sha
    }

    /// How long until this holds.
    async fn until_so(&self, most: u64, so: impl AsyncFn() -> bool) -> u64 {
        let begun = Instant::now();
        while !so().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(begun.elapsed().as_secs() <= most, "it does not become so in {most} s");
        }
        begun.elapsed().as_secs()
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_within_the_second_after_an_answer_wakes_it_when_that_is_over() {
    let mut world = World::new();
    let engine = world.asleep(|builder| builder);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sha = world.push_and_hint(&engine);
    let is_seen = async || world.branch("main").await.is_some_and(|b| b.observed.sha == sha);
    world.until_so(2, is_seen).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_begins_in_time_and_a_parked_head_is_looked_at() {
    let mut world = World::new();
    let engine = world.asleep(|builder| builder);
    seconds(5).await;
    world.deployer.down(true);
    let sha = world.push_and_hint(&engine);
    seconds(20).await;
    world.deployer.down(false);
    let is_delivered = async |sha: &CommitSha| world.delivered().await.as_ref() == Some(sha);
    world.until_so(40, async || is_delivered(&sha).await).await;

    world.deployer.refuse(Some("unit"));
    let refused = world.push_and_hint(&engine);
    let is_parked = async || world.deliveries().await[0].state == DeliveryState::Parked;
    world.until_so(60, is_parked).await;
    world.deployer.refuse(None);
    let after = world.until_so(65, async || is_delivered(&refused).await).await;
    assert!(after >= 55, "{after} s");
}

#[tokio::test(start_paused = true)]
async fn a_status_and_a_notice_that_were_not_taken_are_tried_again_in_time() {
    let mut world = World::with(FakeDeployer::new().following());
    let receiver = Arc::new(FakeNotifier::new());
    world.notifiers.push(("chat".to_owned(), Arc::clone(&receiver)));
    let (routes, on) = (Route::ALL.to_vec(), vec![On::All]);
    world.watch.notify = vec![Subscription { receiver: "chat".to_owned(), routes, on }];
    let engine = world.asleep(|builder| builder);
    seconds(5).await;
    world.forge.fail_statuses(Some(ForgeErrorKind::Unreachable));
    receiver.fail(Some(NotifyErrorKind::Unreachable));
    world.push_and_hint(&engine);
    seconds(10).await;
    world.deployer.finish(&world.only_run(), RunState::Failed, "Failed");
    seconds(20).await;
    world.forge.fail_statuses(None);
    receiver.fail(None);
    let is_shown = async || {
        let last = world.forge.statuses().pop();
        last.is_some_and(|status| status.state == StatusState::Failure)
    };
    world.until_so(LONGEST, is_shown).await;
    world.until_so(LONGEST, async || receiver.told().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_can_not_be_followed_is_followed_again_and_run_timeout_ends_it_in_time() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.run_timeout = Some(Duration::from_secs(600));
    let engine = world.asleep(|builder| builder);
    seconds(5).await;
    world.push_and_hint(&engine);
    seconds(10).await;
    world.deployer.down(true);
    seconds(20).await;
    world.deployer.down(false);
    world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
    let has_ended = async |state| world.deliveries().await[0].state == state;
    world.until_so(LONGEST, async || has_ended(DeliveryState::Succeeded).await).await;
    world.push_and_hint(&engine);
    seconds(10).await;
    let after = world.until_so(600, async || has_ended(DeliveryState::Failed).await).await;
    assert!(after >= 580, "{after} s");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_long_is_written_down_after_a_second() {
    let mut world = World::new();
    let hook = Arc::new(SlowTrees);
    let forge = ForgePorts::with_statuses(Hooked::new(&world.forge, &hook));
    let engine = world.asleep(|builder| builder.forge("forge", forge));
    seconds(5).await;
    world.push_and_hint(&engine);
    let has_begun = async || !world.deliveries().await.is_empty();
    world.until_so(3, has_begun).await;
    // The attempt's beginning holds no commit of B yet, its step does.
    let is_written = async || world.deliveries().await[0].manifests.is_some();
    let after = world.until_so(3, is_written).await;
    assert_eq!(after, 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_grace_wakes_it() {
    let mut world = World::with(FakeDeployer::new().taking(DAY));
    let engine = world.asleep(|builder| builder);
    seconds(5).await;
    world.push_and_hint(&engine);
    seconds(10).await;
    let told = Instant::now();
    world.stop.soft();
    world.agent.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(told.elapsed().as_secs(), 25);
}
