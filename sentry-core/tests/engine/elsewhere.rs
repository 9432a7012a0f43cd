//! What runs need of elsewhere: got within bounds, kept while the delivery is open, the same at every attempt.

use std::collections::BTreeMap;

use sentry_core::forge::ForgeErrorKind;
use sentry_core::manifest::{Lock, LockEntry};
use sentry_core::plan::Action;
use sentry_core::remote::{RemoteKind, RemoteTasks, digest};
use sentry_core::store::Blobs as _;
use sentry_core::testing::fakes::FakeRemotes;

use super::*;

const HUB: &str = "https://artifacthub.io/api/v1/packages/tekton-task/tekton-catalog-tasks";

fn task(name: &str, image: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {{name: {name}}}\nspec: {{steps: [{{image: {image}}}]}}\n"
    )
}

fn run(name: &str, annotation: &str, task: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: {name}\n  annotations:\n    \
         pipelinesascode.tekton.dev/on-event: push\n    pipelinesascode.tekton.dev/on-target-branch: main\n    \
         pipelinesascode.tekton.dev/task: '{annotation}'\n\
         spec: {{pipelineSpec: {{tasks: [{{name: x, taskRef: {{name: {task}}}}}]}}}}\n"
    )
}

/// A world whose B holds these files, and places elsewhere.
fn world(files: &[(&str, &str)]) -> (World, Arc<FakeRemotes>) {
    let mut world = World::with(FakeDeployer::new().following());
    world.forge.commit(B, "main", "tests", files);
    world.watch.timing.max_retries = 2;
    (world, Arc::new(FakeRemotes::new()))
}

/// Starts an agent that may ask elsewhere.
fn start(world: &mut World, remotes: &Arc<FakeRemotes>) {
    let ports = ForgePorts {
        remotes: Some(Arc::clone(remotes) as _),
        ..ForgePorts::with_statuses(Arc::clone(&world.forge))
    };
    let engine = world.builder().forge("forge", ports).build().unwrap();
    let stop = world.stop.clone();
    world.agent.spawn(async move { engine.run(&stop).await });
}

/// Baselined, then pushed to.
async fn pushed(world: &mut World, remotes: &Arc<FakeRemotes>) -> CommitSha {
    start(world, remotes);
    minutes(1).await;
    let sha = world.push();
    minutes(2).await;
    sha
}

fn images(world: &World) -> Vec<String> {
    let image = |o: &PlannedObject| {
        o.json.pointer("/spec/pipelineSpec/tasks/0/taskSpec/steps/0/image").unwrap().to_string()
    };
    world.deployer.created().iter().map(image).collect()
}

#[tokio::test(start_paused = true)]
async fn a_name_of_the_hub_is_put_into_the_run_and_told() {
    let (mut world, remotes) = world(&[("run.yaml", &run("r", "git-clone:0.9.0", "git-clone"))]);
    remotes.put(&format!("{HUB}/git-clone/0.9.0"), &task("git-clone", "one"));
    pushed(&mut world, &remotes).await;
    assert_eq!(images(&world), ["\"one\""]);
    let delivery = world.last().await;
    assert_eq!(delivery.remotes[0].sha256, digest(task("git-clone", "one").as_bytes()));
    let told = delivery
        .notes
        .iter()
        .any(|n| n.contains("task git-clone comes from https://artifacthub.io"));
    assert!(told, "{:?}", delivery.notes);
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_for_room_get_what_the_first_ones_got_whatever_the_place_holds_by_then() {
    let files = [("a.yaml", run("a", "t", "t")), ("b.yaml", run("b", "t", "t"))];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let (mut world, remotes) = world(&files);
    world.watch.timing.max_active_runs = 1;
    remotes.put(&format!("{HUB}/t"), &task("t", "one"));
    pushed(&mut world, &remotes).await;
    assert_eq!(images(&world), ["\"one\""]);
    let delivery = world.last().await;
    let sha = delivery.remotes[0].sha256.clone();
    assert!(world.store.get(&delivery.id, &sha).await.unwrap().is_some());
    // Another version, and a kill; then the hub is gone.
    remotes.put(&format!("{HUB}/t"), &task("t", "two"));
    world.kill().await;
    remotes.fail(Some(ForgeErrorKind::Unreachable));
    start(&mut world, &remotes);
    world.deployer.finish(
        &world.only_run(),
        sentry_core::delivery::RunState::Succeeded,
        "Succeeded",
    );
    minutes(2).await;
    assert_eq!(images(&world), ["\"one\"", "\"one\""]);
    assert_eq!(remotes.asked().len(), 1);
    world.deployer.finish(
        &world.only_run(),
        sentry_core::delivery::RunState::Succeeded,
        "Succeeded",
    );
    minutes(1).await;
    assert_eq!(world.last().await.state, DeliveryState::Succeeded);
    assert_eq!(world.store.get(&delivery.id, &sha).await.unwrap(), None, "it is through");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_was_begun_takes_nothing_else_once_what_it_kept_is_gone() {
    let (mut world, remotes) = world(&[("run.yaml", &run("r", "t", "t"))]);
    remotes.put(&format!("{HUB}/t"), &task("t", "one"));
    world.deployer.refuse(Some("r"));
    pushed(&mut world, &remotes).await;
    let parked = world.last().await;
    assert!(parked.state.is_final() && parked.intent.is_some(), "{parked:?}");
    remotes.put(&format!("{HUB}/t"), &task("t", "two"));
    world.ask(TriggerKind::Retry(parked.id.clone())).await;
    minutes(2).await;
    let delivery = world.last().await;
    let error = delivery.error.unwrap();
    assert!(error.contains("is not what the delivery was begun with"), "{error}");
    // As it was: the retry goes through.
    world.deployer.refuse(None);
    remotes.put(&format!("{HUB}/t"), &task("t", "one"));
    world.ask(TriggerKind::Retry(parked.id.clone())).await;
    minutes(2).await;
    assert_eq!(images(&world), ["\"one\""]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_and_what_is_definite_parks_the_head() {
    for (kind, is_waited_for) in [
        (ForgeErrorKind::Unreachable, true),
        (ForgeErrorKind::RateLimited, true),
        (ForgeErrorKind::WrongAnswer, true),
        (ForgeErrorKind::NotFound, false),
        (ForgeErrorKind::TooLarge, false),
        (ForgeErrorKind::Unsupported, false),
    ] {
        let (mut world, remotes) = world(&[("run.yaml", &run("r", "t", "t"))]);
        remotes.put(&format!("{HUB}/t"), &task("t", "one"));
        remotes.fail(Some(kind));
        pushed(&mut world, &remotes).await;
        let parked = world.branch("main").await.unwrap().is_parked();
        assert_eq!(parked, !is_waited_for, "{kind:?}");
        remotes.fail(None);
        minutes(20).await;
        assert_eq!(images(&world).len(), usize::from(is_waited_for), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_hosts_that_are_listed_are_asked_and_none_in_a_watch_without() {
    for (address, tasks, hosts, asked) in [
        ("https://evil.example/t.yaml", RemoteTasks::Fetch, &[][..], 0),
        ("http://169.254.169.254/t.yaml", RemoteTasks::Fetch, &[], 0),
        ("https://tasks.example/t.yaml", RemoteTasks::Fetch, &["https://tasks.example"], 1),
        ("https://tasks.example/t.yaml", RemoteTasks::Locked, &["https://tasks.example"], 0),
        ("https://tasks.example/t.yaml", RemoteTasks::Off, &["https://tasks.example"], 0),
    ] {
        let (mut world, remotes) = world(&[("run.yaml", &run("r", address, "t"))]);
        remotes.put(address, &task("t", "one"));
        world.watch.remote.tasks = tasks;
        world.watch.remote.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        pushed(&mut world, &remotes).await;
        assert_eq!(
            (remotes.asked().len(), images(&world).len()),
            (asked, asked),
            "{address} {tasks}"
        );
        if asked == 0 {
            let error = world.last().await.error.unwrap();
            let word = match tasks {
                RemoteTasks::Fetch => "may not be asked: add it to `remote_hosts`",
                RemoteTasks::Locked => "is not locked",
                RemoteTasks::Off => "Task t is neither in the directory nor in the namespace",
            };
            assert!(error.contains(word), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_of_bs_own_forge_is_read_by_git_and_not_by_its_address() {
    let other = "https://example.com/qa/shared";
    let (mut world, remotes) = world(&[(
        "run.yaml",
        &run("r", "https://example.com/qa/shared/raw/main/tasks/t.yaml", "t"),
    )]);
    world.forge.commit(other, "main", "tasks", &[("t.yaml", &task("t", "shared"))]);
    pushed(&mut world, &remotes).await;
    assert_eq!(images(&world), ["\"shared\""]);
    assert!(remotes.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_a_lock_nobody_is_asked_and_a_changed_byte_is_refused() {
    let held = task("t", "locked");
    let entry = LockEntry {
        kind: RemoteKind::Task,
        name: "t".to_owned(),
        url: format!("{HUB}/t"),
        version: None,
        sha256: digest(held.as_bytes()),
        file: "vendor/t.yaml".to_owned(),
    };
    let lock = Lock::text(&[entry]);
    let text = run("r", "t", "t");
    let changed = held.replace("locked", "locket");
    for (vendored, is_run) in [(&held, true), (&changed, false)] {
        for tasks in [RemoteTasks::Fetch, RemoteTasks::Locked] {
            let files =
                [("run.yaml", text.as_str()), ("sentry.lock", &lock), ("vendor/t.yaml", vendored)];
            let (mut world, remotes) = world(&files);
            remotes.put(&format!("{HUB}/t"), &task("t", "fresh"));
            world.watch.remote.tasks = tasks;
            pushed(&mut world, &remotes).await;
            assert!(remotes.asked().is_empty());
            assert_eq!(images(&world).len(), usize::from(is_run), "{tasks}");
            if !is_run {
                let error = world.last().await.error.unwrap();
                assert!(error.contains("is not what sentry.lock names"), "{error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_delivery_gets_more_than_fifty() {
    let names: Vec<String> = (0..60).map(|n| format!("t{n:02}")).collect();
    let (mut world, remotes) =
        world(&[("run.yaml", &run("r", &format!("[{}]", names.join(", ")), "t00"))]);
    for name in &names {
        remotes.put(&format!("{HUB}/{name}"), &task(name, "x"));
    }
    pushed(&mut world, &remotes).await;
    assert_eq!(remotes.asked().len(), 50);
    let error = world.last().await.error.unwrap();
    assert!(error.contains("is one too many from elsewhere"), "{error}");
    let actions: BTreeMap<_, _> =
        world.last().await.objects.iter().map(|o| (o.object.name.clone(), o.action)).collect();
    assert!(actions.values().all(|action| *action != Action::Created));
}

#[tokio::test(start_paused = true)]
async fn each_of_several_documents_is_its_own_at_the_first_attempt_and_at_the_next() {
    let text = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: r\n  annotations:\n    \
         pipelinesascode.tekton.dev/task: '[t, u]'\n\
         spec: {pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}, {name: y, taskRef: {name: u}}]}}\n";
    let (mut world, remotes) = world(&[("run.yaml", text)]);
    remotes.put(&format!("{HUB}/t"), &task("t", "one"));
    remotes.put(&format!("{HUB}/u"), &task("u", "two"));
    world.watch.timing.max_retries = 100;
    world.deployer.refuse(Some("r"));
    pushed(&mut world, &remotes).await;
    world.deployer.refuse(None);
    minutes(20).await;
    let run = &world.deployer.created()[0];
    let image = |n: usize| {
        let at = format!("/spec/pipelineSpec/tasks/{n}/taskSpec/steps/0/image");
        run.json.pointer(&at).unwrap().clone()
    };
    assert_eq!((image(0), image(1)), ("one".into(), "two".into()));
    assert_eq!(world.last().await.remotes.len(), 2);
    assert_eq!(remotes.asked().len(), 2, "the next attempts have it");
}
