//! What a webhook may do: have a configured repository asked now, and nothing else.

use sentry_core::forge::ForgeErrorKind;
use sentry_core::repo::RepoPath;

use super::*;

fn repo(path: &str) -> RepoPath {
    format!("https://example.com/{path}").parse::<sentry_core::repo::RepoUrl>().unwrap().path()
}

impl World {
    /// Baselined and running, with an engine that hints can be told to.
    async fn hinted() -> (Self, Engine) {
        let mut world = Self::new();
        let (engine, stop) = (world.engine(), world.stop.clone());
        let agent = engine.clone();
        world.agent.spawn(async move { agent.run(&stop).await });
        seconds(2).await;
        (world, engine)
    }

    fn asked(&self) -> usize {
        self.forge.asked().len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_brings_a_push_to_its_delivery_within_a_second_however_its_case_is_written() {
    for path in ["product/app", "Product/APP"] {
        let (world, engine) = World::hinted().await;
        let sha = world.push();
        assert!(engine.hint("forge", &repo(path)));
        seconds(1).await;
        assert_eq!(world.delivered().await, Some(sha), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_about_what_is_not_watched_asks_nobody() {
    let (world, engine) = World::hinted().await;
    let before = world.asked();
    assert!(!engine.hint("forge", &repo("product/other")));
    assert!(!engine.hint("another-forge", &repo("product/app")));
    seconds(3).await;
    assert_eq!(world.asked(), before);
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_one_forge_asks_no_other_one_that_has_a_repository_of_that_path() {
    let mut world = World::new();
    let namesake = "https://another.example/product/app";
    world.forge.commit(namesake, "main", "first", &[]);
    let mut watch = watch("another", &["main"]);
    watch.source.forge = "another".into();
    watch.source.repo = namesake.parse().unwrap();
    let another = ForgePorts::with_statuses(Arc::clone(&world.forge));
    let engine = world.builder().watch(watch).forge("another", another).build().unwrap();
    let agent = engine.clone();
    world.agent.spawn(async move { agent.run(&Stop::new()).await });
    seconds(2).await;
    let before = world.forge.asked().len();
    assert!(engine.hint("forge", &repo("product/app")));
    seconds(3).await;
    let asked: Vec<_> = world.forge.asked().split_off(before);
    let asked: Vec<_> = asked.iter().map(|query| query.repo.as_str()).collect();
    assert_eq!(asked, [A]);
}

#[tokio::test(start_paused = true)]
async fn however_many_hints_come_a_repository_is_asked_once_a_second() {
    let (world, engine) = World::hinted().await;
    let before = world.asked();
    for _ in 0..1000 {
        assert!(engine.hint("forge", &repo("product/app")));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = world.asked() - before;
    assert!((5..=11).contains(&asked), "{asked} times in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_hinted_at_while_its_repository_is_being_asked_is_not_missed() {
    let (world, engine) = World::hinted().await;
    world.forge.answer_after(Duration::from_secs(5));
    assert!(engine.hint("forge", &repo("product/app")));
    seconds(1).await;
    let sha = world.push();
    assert!(engine.hint("forge", &repo("product/app")));
    seconds(12).await;
    assert_eq!(world.branch("main").await.unwrap().observed.sha, sha);
}

#[tokio::test(start_paused = true)]
async fn a_hint_does_not_shorten_the_wait_of_a_repository_that_fails() {
    let (world, engine) = World::hinted().await;
    world.forge.fail(Some(ForgeErrorKind::RateLimited));
    assert!(engine.hint("forge", &repo("product/app")));
    seconds(1).await;
    let before = world.asked();
    for _ in 0..60 {
        assert!(engine.hint("forge", &repo("product/app")));
        seconds(1).await;
    }
    // After 2, 4, 8, 16 and 32 seconds, or half of each.
    assert!(world.asked() - before <= 6, "{}", world.asked() - before);
}
