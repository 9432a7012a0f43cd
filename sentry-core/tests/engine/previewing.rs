//! What is asked before a delivery tells what the delivery would do.

use sentry_core::engine::Preview;
use sentry_core::forge::ForgeErrorKind;
use sentry_core::names::WatchName;
use sentry_core::pull::{PullRequest, PullSelector};
use sentry_core::subject::{EventName, Subject};
use sentry_core::testing::fakes::FakeRemotes;
use sentry_core::watch::{BranchSelector, Refusals, TagSelector};

use super::comparing::prepare;
use super::*;

impl World {
    async fn preview(
        &self,
        subject: &Subject,
        sha: Option<&CommitSha>,
        selection: &Selection,
    ) -> Result<Preview, EngineError> {
        self.engine().preview(&self.watch.name, subject, sha, selection).await
    }

    async fn previewed(&self, subject: &str) -> Result<Preview, EngineError> {
        self.preview(&sample::subject(subject), None, &Selection::default()).await
    }
}

/// The names, up to their dash, of the runs of a plan.
fn runs(preview: &Preview) -> Vec<String> {
    let objects = preview.plan.iter().flat_map(|plan| &plan.objects).filter(|o| o.is_run());
    objects.map(|o| o.object.name.split('-').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn it_compares_as_a_change_would_and_takes_all_where_a_person_asks() {
    let mut world = World::new();
    let baseline = prepare(&world, "*");
    world.start();
    minutes(1).await;
    world.kill().await;
    let head = world.forge.commit(A, "main", "work", &[]);
    world.forge.change_paths(&baseline, &head, &["docs/a.md"]);
    let main = sample::subject("main");
    let of = async |sha: Option<&CommitSha>, selection: &Selection| {
        let preview = world.preview(&main, sha, selection).await.unwrap();
        assert_eq!(preview.revision.sha, head);
        runs(&preview)
    };
    assert_eq!(of(None, &Selection::default()).await, ["docs"]);
    assert_eq!(of(Some(&head), &Selection::default()).await, ["docs", "src"]);
    let push = Selection { event: Some(EventName::new("push")), run: None };
    assert_eq!(of(None, &push).await, ["docs", "src"]);
    assert_eq!(of(None, &Selection { run: Some("src".into()), event: None }).await, ["src"]);
    // What it would be compared with is not known of another branch.
    world.forge.set(A, "release/1", &head);
    assert_eq!(runs(&world.previewed("release/1").await.unwrap()), ["docs", "src"]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_compared_with_the_one_before_it_that_its_own_watch_has_seen() {
    let mut world = World::new();
    let first = prepare(&world, "refs/tags/*");
    world.watch.source.subjects.tags = TagSelector::names(["v1.0"]).ok();
    world.forge.set(A, "refs/tags/v1.0", &first);
    let between = world.forge.commit(A, "refs/tags/v1.1", "work", &[]);
    let mut other = watch("another", &["main"]);
    other.source.subjects.tags = TagSelector::names(["v1.1"]).ok();
    let engine = world.builder().watch(other).build().unwrap();
    engine.once(&Stop::new()).await.unwrap();
    let head = world.forge.commit(A, "refs/tags/v1.2", "more", &[]);
    world.forge.change_paths(&first, &head, &["docs/a.md"]);
    world.forge.change_paths(&between, &head, &["src/a.rs"]);
    assert_eq!(runs(&world.previewed("refs/tags/v1.2").await.unwrap()), ["docs"]);
}

#[tokio::test(start_paused = true)]
async fn a_pull_request_is_taken_as_it_is_known_while_it_is_open() {
    let run = |name: &str, event: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: {name}\n  annotations:\n    \
             pipelinesascode.tekton.dev/on-event: '[{event}]'\n    pipelinesascode.tekton.dev/on-target-branch: '[main]'\n"
        )
    };
    let (push, pull) = (run("push", "push"), run("pull", "pull_request"));
    let mut world = World::new();
    world.forge.commit(B, "main", "tests", &[("push.yaml", &push), ("pull.yaml", &pull)]);
    world.watch.source.subjects = BranchSelector::new(["main"]).unwrap().into();
    world.watch.source.subjects.pulls = Some(PullSelector::default());
    let head = world.forge.commit(A, "topic", "work", &[]);
    world.forge.pull(A, PullRequest { head: head.clone(), ..sample::pull(12) });
    world.start();
    minutes(1).await;
    let number = |number: u64| Subject::PullRequest(number.into());
    let ask = async |n| world.preview(&number(n), None, &Selection::default()).await;
    let preview = ask(12).await.unwrap();
    assert_eq!((runs(&preview), preview.revision.sha), (vec!["pull".to_owned()], head));
    assert_eq!(runs(&world.previewed("main").await.unwrap()), ["push"]);
    let text = |n| format!("no open pull request {n} is known of this watch");
    assert_eq!(ask(13).await.unwrap_err().to_string(), text(13));
    world.forge.close_pull(A, 12);
    minutes(2).await;
    assert_eq!(ask(12).await.unwrap_err().to_string(), text(12));
}

/// What was asked of a forge without an answer, and the kind of its error.
fn unanswered(asked: Result<Preview, EngineError>) -> (String, ForgeErrorKind) {
    match asked.unwrap_err() {
        EngineError::Forge { what, source } => (what, source.kind()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_asked_or_is_not_there_is_named() {
    let world = World::new();
    let name: WatchName = "aq".parse().unwrap();
    let main = sample::subject("main");
    let error = world.engine().preview(&name, &main, None, &Selection::default()).await;
    assert_eq!(error.unwrap_err().to_string(), "there is no watch aq; there is qa");
    let none = |error: EngineError| {
        assert!(matches!(error, EngineError::Unknown(_)), "{error:?}");
        error.to_string()
    };
    for (subject, called) in [("gone", "branch gone"), ("refs/tags/v1", "tag v1")] {
        let error = world.previewed(subject).await.unwrap_err();
        assert_eq!(none(error), format!("{A} has no {called}"));
    }
    let unknown = sample::sha(7);
    let (what, kind) =
        unanswered(world.preview(&main, Some(&unknown), &Selection::default()).await);
    assert_eq!(what, format!("can't read commit {unknown} of {A}"));
    assert_eq!(kind, ForgeErrorKind::NoCommit);

    let tests = world.forge.commit_nothing(B, "main", "nothing here");
    let (what, kind) = unanswered(world.previewed("main").await);
    assert_eq!(what, format!("can't fetch .tekton of {B} at {tests}"));
    assert_eq!(kind, ForgeErrorKind::NoDirectory);
    world.forge.set(B, "other", &tests);
    world.forge.delete(B, "main");
    let (what, kind) = unanswered(world.previewed("main").await);
    assert_eq!(
        (what.as_str(), kind),
        ("watch qa has nothing to deliver", ForgeErrorKind::NotFound)
    );
    world.forge.fail(Some(ForgeErrorKind::Unreachable));
    let (what, kind) = unanswered(world.previewed("main").await);
    assert_eq!(what, format!("can't read the head of main in {A}"));
    assert_eq!(kind, ForgeErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_refuses_is_told_or_left_out_as_a_delivery_would_do() {
    let lonely =
        ("lonely.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: lonely}\n");
    // A strict watch is told what would change, whatever the cluster says of it.
    for (refusals, refused, left, changed) in [
        (Refusals::Strict, &["lonely"][..], None, 3),
        (Refusals::Strict, &[], Some(3), 3),
        (Refusals::Lenient, &["lonely"], Some(2), 2),
        (Refusals::Lenient, &[], Some(3), 3),
        // Nothing would run.
        (Refusals::Lenient, &["qa"], None, 0),
    ] {
        let mut world = World::new();
        world.forge.commit(B, "main", "tests", &[TASK, RUN, lonely]);
        world.watch.refusals = refusals;
        world.deployer.refuse_at_check(refused);
        let preview = world.previewed("main").await.unwrap();
        let told = format!("{refusals:?} {refused:?}");
        let taken = preview.plan.as_ref().filter(|_| preview.check.is_ok());
        assert_eq!(taken.map(|plan| plan.objects.len()), left, "{told}");
        let is_left_out = left == Some(2);
        assert_eq!(preview.set.refusals().count(), usize::from(is_left_out), "{told}");
        let (main, none) = (sample::subject("main"), Selection::default());
        let (_, diffs) = world.engine().diff(&world.watch.name, &main, None, &none).await.unwrap();
        assert_eq!(diffs.len(), changed, "{told}");
        assert!(world.deployer.names().is_empty() && world.deliveries().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_need_of_elsewhere_is_got_and_nothing_of_it_is_kept() {
    let text = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: r\n  annotations:\n    \
         pipelinesascode.tekton.dev/task: 'https://example.com/qa/shared/raw/main/tasks/t.yaml'\n\
         spec: {pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}]}}\n";
    let task = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t}\nspec: {steps: [{image: shared}]}\n";
    let world = World::new();
    world.forge.commit(B, "main", "tests", &[("run.yaml", text)]);
    world.forge.commit("https://example.com/qa/shared", "main", "tasks", &[("t.yaml", task)]);
    let ports = ForgePorts {
        remotes: Some(Arc::new(FakeRemotes::new())),
        ..ForgePorts::with_statuses(Arc::clone(&world.forge))
    };
    let engine = world.builder().forge("forge", ports).build().unwrap();
    let (main, none) = (sample::subject("main"), Selection::default());
    let preview = engine.preview(&world.watch.name, &main, None, &none).await.unwrap();
    let run = &preview.plan.unwrap().objects[0];
    let image = run.json.pointer("/spec/pipelineSpec/tasks/0/taskSpec/steps/0/image").unwrap();
    assert_eq!(image, "shared");
    // As long as the watch allows, of which nothing has passed.
    let trees = world.forge.trees_asked();
    assert_eq!(trees.last().unwrap().timeout, world.watch.timing.timeout);
    assert_eq!(world.store.snapshot(), Default::default());
}
