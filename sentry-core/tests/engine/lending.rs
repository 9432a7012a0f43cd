//! What runs clone A with: made for them, owned by them, and told to nobody.

use sentry_core::delivery::RunState;
use sentry_core::plan::GitAuth;
use sentry_core::testing::sample;
use sentry_core::watch::GitAuthSecret;

use super::*;

const TOKEN: &str = "ghs-c4nary";

fn user(name: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: {name}}}\n\
         spec: {{workspaces: [{{name: auth, secret: {{secretName: '{{{{ git_auth_secret }}}}'}}}}]}}\n"
    )
}

/// A watch that lends, over a B with these runs that clone A.
async fn lending(runs: &[&str], change: impl FnOnce(&mut World)) -> World {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.reading.git_auth_secret = GitAuthSecret::PerRun;
    world.forge.lend(TOKEN);
    let texts: Vec<_> = runs.iter().map(|run| (format!("{run}.yaml"), user(run))).collect();
    let files = texts.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let files: Vec<_> = [TASK].into_iter().chain(files).collect();
    world.forge.commit(B, "main", "lending", &files);
    change(&mut world);
    world.start();
    minutes(1).await;
    world
}

fn owners(secret: &GitAuth) -> Vec<&str> {
    secret.users.iter().map(|run| run.name.split('-').next().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_lent_to_the_runs_that_ask_for_it_and_goes_with_the_last_of_them() {
    let mut world = lending(&["one", "two"], |_| {}).await;
    world.push();
    minutes(2).await;
    let lent = world.deployer.lent();
    assert_eq!(lent.iter().map(owners).collect::<Vec<_>>(), [["one", "two"]]);
    assert_eq!(lent[0].data["git-provider-token"].expose(), TOKEN);
    for run in world.deployer.created() {
        let secret = &run.json["spec"]["workspaces"][0]["secret"]["secretName"];
        assert_eq!(secret, lent[0].name.as_str());
    }
    assert!(!world.inventory().await.contains(&lent[0].name), "it is no object of B's");
    let mut told = format!("{:?} {:?}", world.deliveries().await, world.store.snapshot());
    while let Ok(event) = world.events.try_recv() {
        told += &format!("{event:?}");
    }
    assert!(told.contains(&lent[0].name), "a note tells of it");
    assert!(!told.contains(TOKEN) && !told.contains("Z2hzLWM0bmFyeQ"), "{told}");
    for left in [1, 0] {
        let run = world.only_run();
        world.deployer.finish(&run, RunState::Succeeded, "Succeeded");
        assert!(world.deployer.delete_run(&run));
        assert_eq!(world.deployer.lent().len(), left);
    }
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_for_room_own_it_as_well_and_get_the_token_of_their_own_time() {
    let world = lending(&["one", "two"], |world| world.watch.timing.max_active_runs = 1).await;
    world.push();
    minutes(2).await;
    assert_eq!(world.deployer.lent().iter().map(owners).collect::<Vec<_>>(), [["one"]]);
    world.forge.lend("ghs-fresh");
    world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
    minutes(1).await;
    let lent = world.deployer.lent();
    assert_eq!(lent.iter().map(owners).collect::<Vec<_>>(), [["one", "two"]]);
    assert_eq!(lent[0].data["git-provider-token"].expose(), "ghs-fresh");
}

#[tokio::test(start_paused = true)]
async fn without_a_run_nothing_is_left_and_another_token_is_no_other_plan() {
    let world = lending(&["one"], |_| {}).await;
    world.deployer.refuse(Some("unit"));
    world.push();
    while world.deliveries().await.first().is_none_or(|d| d.attempts.failures == 0) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(world.deployer.lent().is_empty());
    let digest = |delivery: Delivery| delivery.intent.unwrap().digest;
    let before = digest(world.deliveries().await.remove(0));
    world.deployer.refuse(None);
    world.forge.lend("ghs-fresh");
    minutes(1).await;
    assert_eq!(world.deployer.lent()[0].data["git-provider-token"].expose(), "ghs-fresh");
    assert_eq!(digest(world.deliveries().await.remove(0)), before);
}

#[tokio::test(start_paused = true)]
async fn a_forge_without_a_token_parks_the_delivery_with_the_remedy() {
    let mut world = World::new();
    world.watch.reading.git_auth_secret = GitAuthSecret::PerRun;
    world.forge.commit(B, "main", "lending", &[("one.yaml", &user("one"))]);
    world.start();
    minutes(1).await;
    world.push();
    minutes(30).await;
    let delivery = world.deliveries().await.remove(0);
    assert_eq!(delivery.state, DeliveryState::Parked);
    let error = delivery.error.unwrap();
    assert!(error.contains("the forge forge has no token to lend"), "{error}");
    assert!(world.deployer.created().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_preview_lends_as_a_delivery_would_and_writes_nothing() {
    let world = lending(&["one"], |_| {}).await;
    let name = world.watch.name.clone();
    let preview = world
        .engine()
        .preview(&name, &sample::subject("main"), None, &Selection::default())
        .await
        .unwrap();
    assert!(!format!("{preview:?}").contains(TOKEN));
    let plan = preview.plan.unwrap();
    assert_eq!(plan.git_auth.iter().map(owners).collect::<Vec<_>>(), [["one"]]);
    assert!(world.deployer.lent().is_empty());
}
