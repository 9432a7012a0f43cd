//! Pull requests: which are delivered, how often, and what a push of theirs starts.

use sentry_core::pull::{Forks, PullRequest, PullSelector};
use sentry_core::watch::{BranchSelector, ManifestsBranch};

use super::*;

const PULL: &str = "refs/pull/12";

/// Runs of every event, each with a name of its own.
fn files() -> Vec<(String, String)> {
    let run = |name: &str, annotations: &[&str]| {
        let lines: String = annotations
            .iter()
            .map(|line| format!("    pipelinesascode.tekton.dev/{line}\n"))
            .collect();
        let text = format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: {name}-\n  annotations:\n{lines}\
             spec:\n  params:\n  - {{name: what, value: '{{{{ source_branch }}}} {{{{ target_branch }}}} \
             {{{{ pull_request_number }}}} {{{{ event_type }}}} {{{{ sender }}}}'}}\n"
        );
        (format!("{name}.yaml"), text)
    };
    vec![
        run("push", &["on-event: '[push]'", "on-target-branch: '[main, topic]'"]),
        run("pull", &["on-event: '[pull_request]'", "on-target-branch: '[main]'"]),
        run("release", &["on-event: '[pull_request]'", "on-target-branch: '[release/*]'"]),
        run(
            "label",
            &["on-event: '[pull_request]'", "on-target-branch: '[main]'", "on-label: '[slow]'"],
        ),
        run("cel", &["on-cel-expression: event == 'pull_request' && source_branch == 'topic'"]),
    ]
}

/// Baselined, and running: `main` and `topic` are watched, and pull requests as selected.
async fn world(selector: PullSelector) -> World {
    let mut world = World::new();
    let files = files();
    let files: Vec<_> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    world.forge.commit(B, "main", "tests", &files);
    world.watch.source.subjects = BranchSelector::new(["main", "topic"]).unwrap().into();
    world.watch.source.subjects.pulls = Some(selector);
    world.start();
    minutes(1).await;
    world
}

fn pull(head: &CommitSha) -> PullRequest {
    PullRequest { head: head.clone(), ..sample::pull(12) }
}

impl World {
    /// The names, up to their dash, of the runs that were made for a commit, each as often as it was made.
    fn names_of(&self, sha: &CommitSha) -> Vec<String> {
        let of = |run: &&PlannedObject| {
            run.json["metadata"]["annotations"]["sentry-gitops.dev/revision"] == sha.as_str()
        };
        let base = |run: &PlannedObject| run.object.name.split('-').next().unwrap().to_owned();
        let mut names: Vec<_> = self.deployer.created().iter().filter(of).map(base).collect();
        names.sort();
        names
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_pull_request_starts_what_is_for_it_once_and_its_branch_nothing() {
    let world = world(PullSelector::default()).await;
    let head = world.forge.commit(A, "topic", "work", &[]);
    world.forge.pull(A, pull(&head));
    minutes(10).await;
    assert_eq!(world.names_of(&head), ["cel", "pull"]);
    let made = world.deployer.created();
    let what = &made.last().unwrap().json["spec"]["params"][0]["value"];
    assert_eq!(*what, "topic main 12 pull_request ada");
    let why = world.branch("topic").await.unwrap().passed.unwrap().reason;
    assert_eq!(why, Reason::InPullRequest);
    let next = world.forge.commit(A, "topic", "more", &[]);
    world.forge.pull(A, pull(&next));
    minutes(10).await;
    assert_eq!(world.names_of(&next), ["cel", "pull"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_open_at_first_sight_is_the_baseline_and_a_merge_runs_for_its_target() {
    let mut world = World::new();
    let head = world.forge.commit(A, "topic", "work", &[]);
    world.forge.pull(A, pull(&head));
    let files = files();
    let files: Vec<_> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    world.forge.commit(B, "main", "tests", &files);
    world.watch.source.subjects.pulls = Some(PullSelector::default());
    world.start();
    minutes(10).await;
    assert_eq!(world.deployer.created().len(), 0);
    assert_eq!(world.branch(PULL).await.unwrap().baseline, Some(head.clone()));
    // By a fast-forward: the target's head is that of the pull request, which is closed.
    world.forge.set(A, "main", &head);
    world.forge.close_pull(A, 12);
    minutes(10).await;
    assert_eq!(world.names_of(&head), ["push"]);
    assert!(world.branch(PULL).await.unwrap().gone.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_retarget_starts_what_is_for_the_other_branch_and_a_label_only_what_is_for_it() {
    let world = world(PullSelector::default()).await;
    let head = world.forge.commit(A, "feature", "work", &[]);
    world.forge.pull(A, pull(&head));
    minutes(5).await;
    assert_eq!(world.names_of(&head), ["cel", "pull"]);
    let mut slow = pull(&head);
    slow.labels.insert("slow".to_owned());
    world.forge.pull(A, slow.clone());
    minutes(5).await;
    assert_eq!(world.names_of(&head), ["cel", "label", "pull"]);
    slow.target_branch = sample::parse("release/1");
    world.forge.pull(A, slow);
    minutes(5).await;
    // Into another branch it is another merge: what is for both runs for each.
    assert_eq!(world.names_of(&head), ["cel", "cel", "label", "pull", "release"]);
    world.forge.close_pull(A, 12);
    minutes(5).await;
    world.forge.pull(A, pull(&head));
    minutes(5).await;
    assert_eq!(
        world.names_of(&head),
        ["cel", "cel", "label", "pull", "release"],
        "reopened as it was"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_selected_starts_nothing_until_it_is() {
    let selector = PullSelector {
        target: BranchSelector::new(["main"]).ok(),
        skips_drafts: true,
        need: ["qa".to_owned()].into(),
        without: ["no-qa".to_owned()].into(),
        forks: Forks::Never,
    };
    let changes: [fn(&mut PullRequest); 5] = [
        |p| p.is_draft = true,
        |p| p.labels.clear(),
        |p| p.labels.extend(["no-qa".to_owned()]),
        |p| p.target_branch = sample::parse("dev"),
        |p| p.is_fork = true,
    ];
    for change in changes {
        let world = world(selector.clone()).await;
        let head = world.forge.commit(A, "feature", "work", &[]);
        let mut unfit = pull(&head);
        change(&mut unfit);
        world.forge.pull(A, unfit.clone());
        minutes(5).await;
        assert_eq!((world.names_of(&head).len(), world.branch(PULL).await), (0, None), "{unfit:?}");
        world.forge.pull(A, pull(&head));
        minutes(5).await;
        assert_eq!(world.names_of(&head).len(), 2, "{unfit:?}");
        world.forge.pull(A, unfit);
        minutes(5).await;
        assert!(world.branch(PULL).await.unwrap().gone.is_some());
        assert_eq!(world.names_of(&head).len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn b_is_taken_from_the_branch_that_it_is_merged_into() {
    let mut world = World::new();
    world.watch.source.subjects.pulls = Some(PullSelector::default());
    let main = ManifestsBranch::Named(sample::parse("main"));
    world.watch.manifests.branches = vec![ManifestsBranch::TargetBranch, main];
    let run = |name: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: {name}\n  annotations:\n    \
                 pipelinesascode.tekton.dev/on-event: pull_request\n    pipelinesascode.tekton.dev/on-target-branch: '*'\nspec: {{}}\n"
        )
    };
    world.forge.commit(B, "main", "tests", &[("run.yaml", &run("main"))]);
    world.forge.commit(B, "release/1", "tests", &[("run.yaml", &run("release"))]);
    world.start();
    minutes(1).await;
    for (number, target, name) in [(1, "release/1", "release"), (2, "dev", "main")] {
        let head = world.forge.commit(A, "feature", "work", &[]);
        let target_branch = sample::parse(target);
        world
            .forge
            .pull(A, PullRequest { head: head.clone(), target_branch, ..sample::pull(number) });
        minutes(5).await;
        assert_eq!(world.names_of(&head), [name]);
    }
}

#[tokio::test(start_paused = true)]
async fn pull_requests_that_cant_be_told_hold_no_branch_up() {
    let mut world = World::new();
    world.watch.source.subjects.pulls = Some(PullSelector::default());
    world.start();
    minutes(1).await;
    assert!(world.forge.pulls_asked() > 0);
    world.forge.fail_pulls(true);
    let head = world.forge.commit(A, "main", "work", &[]);
    minutes(5).await;
    assert_eq!(world.names_of(&head).len(), 1);
    world.forge.fail_pulls(false);
    let head = world.forge.commit(A, "feature", "work", &[]);
    world.forge.pull(A, pull(&head));
    minutes(5).await;
    assert!(world.branch(PULL).await.unwrap().attempted.is_some());
}
