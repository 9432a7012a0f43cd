//! Receivers hear how deliveries end: once, in order, each on its route, whatever happens to the agent or to them.

use sentry_core::delivery::RunState;
use sentry_core::notifier::NotifyErrorKind;
use sentry_core::subscription::{Occasion, On, Route, Subscription};
use sentry_core::testing::fakes::FakeNotifier;

use super::following::following;
use super::*;

/// `could_not_start failure`, and the commit.
type Heard = (Route, Occasion, CommitSha);

fn heard(receiver: &FakeNotifier) -> Vec<Heard> {
    let told = receiver.told().into_iter();
    told.map(|n| (n.route, n.occasion, n.revision.sha)).collect()
}

/// A receiver that the watch subscribes.
fn subscribe(world: &mut World, name: &str, routes: &[Route], on: &[On]) -> Arc<FakeNotifier> {
    let receiver = Arc::new(FakeNotifier::new());
    world.notifiers.push((name.to_owned(), Arc::clone(&receiver)));
    world.watch.notify.push(Subscription {
        receiver: name.to_owned(),
        routes: routes.to_vec(),
        on: on.to_vec(),
    });
    receiver
}

/// Baselined and running, with receivers for author and on-call.
async fn world() -> (World, Arc<FakeNotifier>, Arc<FakeNotifier>) {
    let mut world = World::with(FakeDeployer::new().following());
    let on = [On::Failure, On::Recovery];
    let author = subscribe(&mut world, "author", &[Route::TestsFailed], &on);
    let on_call = subscribe(&mut world, "on-call", &[Route::CouldNotStart], &on);
    world.start();
    minutes(1).await;
    (world, author, on_call)
}

/// Pushes, and ends the run so.
async fn push_and_end(world: &World, state: RunState) -> CommitSha {
    let sha = world.push();
    minutes(2).await;
    world.deployer.finish(&world.only_run(), state, "Ended");
    minutes(1).await;
    sha
}

#[tokio::test(start_paused = true)]
async fn the_author_hears_of_tests_and_who_is_on_call_of_what_could_not_start() {
    use Occasion::{Failure, Recovery};
    use Route::{CouldNotStart, TestsFailed};
    let (world, author, on_call) = world().await;
    let red = push_and_end(&world, RunState::Failed).await;
    let green = push_and_end(&world, RunState::Succeeded).await;
    push_and_end(&world, RunState::Succeeded).await;
    world.deployer.refuse(Some("unit"));
    let refused = world.push();
    minutes(10).await;
    world.deployer.refuse(None);
    let again = push_and_end(&world, RunState::Succeeded).await;
    assert_eq!(heard(&author), [(TestsFailed, Failure, red), (TestsFailed, Recovery, green)]);
    assert_eq!(
        heard(&on_call),
        [(CouldNotStart, Failure, refused), (CouldNotStart, Recovery, again)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_for_ten_minutes_hears_everything_once_and_in_order() {
    let (world, author, _) = world().await;
    author.fail(Some(NotifyErrorKind::Unreachable));
    let mut pushed = Vec::new();
    for state in [RunState::Failed, RunState::Failed, RunState::Succeeded] {
        pushed.push(push_and_end(&world, state).await);
    }
    assert_eq!(world.delivered().await.as_ref(), pushed.last(), "deliveries go on meanwhile");
    minutes(2).await;
    assert!(author.told().is_empty() && author.calls() > 5, "{}", author.calls());
    author.fail(None);
    minutes(2).await;
    let told: Vec<CommitSha> = heard(&author).into_iter().map(|(_, _, sha)| sha).collect();
    assert_eq!(told, pushed);
    minutes(10).await;
    assert_eq!(author.told().len(), 3);
    let mut ids: Vec<_> = author.told().into_iter().map(|n| n.id).collect();
    ids.dedup();
    assert!(ids.is_sorted() && ids.len() == 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_survives_a_kill_and_keeps_its_id() {
    let (mut world, author, _) = world().await;
    author.fail(Some(NotifyErrorKind::Unreachable));
    let red = push_and_end(&world, RunState::Failed).await;
    let before = world.store.snapshot().outbox;
    assert_eq!(before.len(), 1);
    world.kill().await;
    author.fail(None);
    world.start();
    minutes(1).await;
    let told = author.told();
    assert_eq!((told.len(), &told[0].revision.sha), (1, &red));
    assert_eq!(told[0].id, before[0].notice.id);
    let after = world.store.snapshot();
    assert_eq!(after.outbox, []);
    assert_eq!(after.troubles.len(), 1, "what was told outlives the telling");
    world.kill().await;
    world.start();
    minutes(5).await;
    assert_eq!(author.told().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_outage_of_the_cluster_wakes_who_is_on_call_once_and_its_end_is_told() {
    let (world, author, on_call) = world().await;
    world.deployer.down(true);
    for _ in 0..10 {
        world.push();
        minutes(2).await;
    }
    assert_eq!(on_call.told().len(), 1);
    let told = &on_call.told()[0];
    assert_eq!((told.route, told.occasion), (Route::CouldNotStart, Occasion::Failure));
    assert!(told.reason.as_ref().is_some_and(|reason| !reason.is_empty()));
    world.deployer.down(false);
    minutes(2).await;
    assert_eq!(on_call.told().len(), 2);
    assert_eq!(on_call.told()[1].occasion, Occasion::Recovery);
    assert_eq!(author.told(), []);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_is_asked_again_only_with_the_next_notice() {
    let (world, author, _) = world().await;
    author.fail(Some(NotifyErrorKind::Refused));
    push_and_end(&world, RunState::Failed).await;
    minutes(30).await;
    assert_eq!(author.calls(), 1);
    author.fail(None);
    push_and_end(&world, RunState::Failed).await;
    assert_eq!(author.told().len(), 2, "the one that was refused as well");
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_is_not_taken_holds_up_no_other() {
    let (world, author, _) = world().await;
    author.fail(Some(NotifyErrorKind::Rejected));
    push_and_end(&world, RunState::Failed).await;
    author.fail(None);
    let red = push_and_end(&world, RunState::Failed).await;
    assert_eq!(heard(&author), [(Route::TestsFailed, Occasion::Failure, red)]);
    assert_eq!(world.store.snapshot().outbox, []);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_is_not_asked_before_the_time_that_it_named() {
    let (world, author, _) = world().await;
    author.limit(Duration::from_secs(20 * 60));
    push_and_end(&world, RunState::Failed).await;
    minutes(15).await;
    assert_eq!(author.calls(), 1);
    author.fail(None);
    minutes(5).await;
    assert_eq!(author.told().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn for_a_receiver_that_is_away_for_long_the_newest_of_a_branch_are_kept() {
    let (world, author, _) = world().await;
    author.fail(Some(NotifyErrorKind::Unreachable));
    let mut pushed = Vec::new();
    for _ in 0..14 {
        pushed.push(push_and_end(&world, RunState::Failed).await);
    }
    assert_eq!(world.store.snapshot().outbox.len(), 10);
    author.fail(None);
    minutes(2).await;
    let told: Vec<CommitSha> = heard(&author).into_iter().map(|(_, _, sha)| sha).collect();
    assert_eq!(told, pushed[4..]);
}

#[tokio::test(start_paused = true)]
async fn a_single_pass_tells_what_it_decided_and_does_not_wait_for_a_dead_receiver() {
    let mut world = World::with(
        FakeDeployer::new().following().auto_finish(Duration::from_secs(5), RunState::Failed),
    );
    let author = subscribe(&mut world, "author", Route::ALL, &[On::Failure]);
    world.engine().once(&Stop::new()).await.unwrap();
    let first = world.push();
    world.engine().once(&Stop::new()).await.unwrap();
    assert_eq!(heard(&author), [(Route::TestsFailed, Occasion::Failure, first)]);
    author.fail(Some(NotifyErrorKind::Unreachable));
    world.push();
    let summary = world.engine().once(&Stop::new()).await.unwrap();
    assert_eq!(summary.deliveries[0].state, DeliveryState::Failed);
    author.fail(None);
    world.engine().once(&Stop::new()).await.unwrap();
    assert_eq!(author.told().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_listens_nothing_is_written_down() {
    let world = following().await;
    push_and_end(&world, RunState::Failed).await;
    let snapshot = world.store.snapshot();
    assert_eq!((snapshot.outbox.len(), snapshot.troubles.len()), (0, 0));
}

/// A receiver whose code breaks down at the first notice.
#[derive(Debug)]
struct Brittle(Arc<FakeNotifier>, std::sync::atomic::AtomicUsize);

#[async_trait::async_trait]
impl sentry_core::notifier::Notifier for Brittle {
    async fn notify(
        &self,
        notice: &sentry_core::notifier::Notice,
    ) -> Result<(), sentry_core::notifier::NotifyError> {
        let nth = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert!(nth > 0, "it breaks down");
        self.0.notify(notice).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_whose_code_breaks_down_is_asked_again_after_a_minute() {
    let mut world = World::with(FakeDeployer::new().following());
    let receiver = subscribe(&mut world, "chat", Route::ALL, &[On::All]);
    let brittle = Brittle(Arc::clone(&receiver), Default::default());
    let engine = world.builder().notifier("chat", Arc::new(brittle)).build().unwrap();
    let stop = world.stop.clone();
    world.agent.spawn(async move { engine.run(&stop).await });
    minutes(1).await;
    world.push();
    minutes(2).await;
    world.deployer.finish(&world.only_run(), RunState::Failed, "Ended");
    seconds(55).await;
    assert_eq!(receiver.calls(), 0);
    seconds(8).await;
    assert_eq!(heard(&receiver).len(), 1);
}
