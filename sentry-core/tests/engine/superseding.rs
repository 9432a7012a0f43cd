//! A delivery that started runs is judged by them, whether a newer head took its place or not: what that head cancelled,
//! and what was not started any more, says nothing.

use std::collections::BTreeMap;

use sentry_core::delivery::{RunState, Verdict};
use sentry_core::forge::StatusState;
use sentry_core::plan::Action;
use sentry_core::watch::ReportMode;

use super::following::following;
use super::*;

/// What becomes of a run of the first commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeds,
    Fails,
    /// Somebody cancels it.
    Cancelled,
    /// Somebody deletes it.
    Deleted,
    /// Its document says `cancel-in-progress`; it succeeds where nothing cancels it.
    GivesWay,
}

const ENDS: [End; 5] = [End::Succeeds, End::Fails, End::Cancelled, End::Deleted, End::GivesWay];

/// What happens to the branch while the runs go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    NewerHead,
    BranchDeleted,
}

#[derive(Debug)]
struct Story {
    ends: Vec<End>,
    next: Next,
    /// How many runs the namespace may have.
    limit: u32,
}

fn document(n: usize, end: End) -> (String, String) {
    let cancels = match end {
        End::GivesWay => "{pipelinesascode.tekton.dev/cancel-in-progress: 'true'}",
        _ => "{}",
    };
    let text = format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: r{n}, annotations: {cancels}}}\n"
    );
    (format!("r{n}.yaml"), text)
}

impl World {
    fn put(&self, ends: &[End]) {
        let files: Vec<_> = ends.iter().enumerate().map(|(n, end)| document(n, *end)).collect();
        let files: Vec<_> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        self.forge.commit(B, "main", "runs", &files);
    }

    /// The names of all runs that were made for a commit.
    fn made_for(&self, sha: &CommitSha) -> Vec<String> {
        let created = self.deployer.created().into_iter();
        let of = created
            .filter(|o| o.json["metadata"]["labels"]["sentry-gitops.dev/commit"] == sha.as_str());
        of.map(|o| o.object.name).collect()
    }

    /// What a commit shows last, by context.
    fn last_shown(&self, sha: &CommitSha) -> BTreeMap<String, (StatusState, String)> {
        let of = self.forge.statuses().into_iter().filter(|s| s.revision.sha == *sha);
        of.map(|s| (s.context, (s.state, s.description))).collect()
    }

    /// Ends what goes on of a commit; how each run ended.
    async fn end_runs(&self, sha: &CommitSha, ends: &[End]) -> BTreeMap<String, RunState> {
        let mut ended = BTreeMap::new();
        for _ in 0..=ends.len() {
            let active = self.deployer.active_runs();
            for name in self.made_for(sha).into_iter().filter(|name| active.contains(name)) {
                let n: usize = name[1..2].parse().unwrap();
                let state = match ends[n] {
                    End::Succeeds | End::GivesWay => RunState::Succeeded,
                    End::Fails => RunState::Failed,
                    End::Cancelled => RunState::Cancelled,
                    End::Deleted => RunState::Gone,
                };
                if state == RunState::Gone {
                    self.deployer.delete_run(&name);
                } else {
                    self.deployer.finish(&name, state, "ended");
                }
                ended.insert(name, state);
            }
            seconds(5).await;
        }
        ended
    }
}

/// Plays a story; what the first commit shows, and what it has to by what the cluster saw.
async fn play(story: &Story) {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_active_runs = story.limit;
    world.watch.reporting.mode = ReportMode::PerRun;
    world.watch.timing.polling_interval = Duration::from_secs(10);
    world.put(&story.ends);
    world.forge.commit(A, "release/1", "cut", &[]);
    world.start();
    seconds(5).await;
    let sha = world.forge.commit(A, "release/1", "work", &[]);
    seconds(15).await;
    match story.next {
        Next::Nothing => {}
        Next::NewerHead => drop(world.forge.commit(A, "release/1", "more", &[])),
        Next::BranchDeleted => world.forge.delete(A, "release/1"),
    }
    seconds(25).await;
    let mut ended = world.end_runs(&sha, &story.ends).await;
    // What we did not end was cancelled for the newer head.
    let made = world.made_for(&sha);
    let ours = made.iter().filter(|name| !ended.contains_key(*name)).count();
    for name in &made {
        ended.entry(name.clone()).or_insert(RunState::Running);
    }
    let count = |state| ended.values().filter(|s| **s == state).count();
    let want = match (count(RunState::Failed), count(RunState::Cancelled) + count(RunState::Gone)) {
        (1.., _) => StatusState::Failure,
        (0, 1..) => StatusState::Error,
        (0, 0) if count(RunState::Succeeded) > 0 => StatusState::Success,
        (0, 0) => StatusState::Neutral,
    };
    let shown = world.last_shown(&sha);
    let (state, text) = &shown["sentry-gitops/qa"];
    assert_eq!(*state, want, "{story:?}: {text}; {ended:?}");
    if want == StatusState::Neutral {
        assert!(text.contains("superseded by") || text.contains("deleted"), "{story:?}: {text}");
    }
    assert!(ours == 0 || story.next == Next::NewerHead, "{story:?}");
    for (name, state) in &ended {
        let own = match state {
            RunState::Succeeded => StatusState::Success,
            RunState::Failed => StatusState::Failure,
            RunState::Running => StatusState::Neutral,
            _ => StatusState::Error,
        };
        let context = format!("sentry-gitops/qa/{}", &name[..2]);
        assert_eq!(shown[&context].0, own, "{story:?}: {name} {}", shown[&context].1);
    }
    assert!(
        shown.values().all(|(state, _)| *state != StatusState::Pending),
        "{story:?}: {shown:?}"
    );
    let delivery = world.deliveries().await.into_iter().find(|d| d.revision.sha == sha).unwrap();
    assert!(delivery.state.is_final(), "{story:?}: {delivery:?}");
    let failed = delivery.state == DeliveryState::Failed;
    assert_eq!(failed, matches!(want, StatusState::Failure | StatusState::Error), "{story:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_judged_by_the_runs_it_started_whoever_takes_its_place() {
    let mut played = 0;
    for runs in 1..=3 {
        for case in 0..ENDS.len().pow(runs) {
            let ends: Vec<End> =
                (0..runs).map(|n| ENDS[case / ENDS.len().pow(n) % ENDS.len()]).collect();
            for next in [Next::Nothing, Next::NewerHead, Next::BranchDeleted] {
                for limit in [1, 20] {
                    // Of three runs a part of the cases is enough.
                    if runs < 3 || (case + limit as usize + next as usize).is_multiple_of(9) {
                        play(&Story { ends: ends.clone(), next, limit }).await;
                        played += 1;
                    }
                }
            }
        }
    }
    println!("{played} stories of 1 to 3 runs: each commit shows what its own runs came to");
    assert!(played >= 200, "{played}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_fails_its_commit_though_a_newer_head_cancelled_another_one() {
    let world = following().await;
    world.put(&[End::GivesWay, End::Fails]);
    let first = world.push();
    minutes(2).await;
    let second = world.push();
    minutes(2).await;
    let stay = world.made_for(&first).into_iter().find(|name| name.starts_with("r1")).unwrap();
    assert!(world.deployer.finish(&stay, RunState::Failed, "Failed"));
    seconds(5).await;
    let delivery = world.deliveries().await.into_iter().find(|d| d.revision.sha == first).unwrap();
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Failed, Some(Verdict::Failure)));
    assert_eq!(delivery.superseded_by, Some(second.clone()));
    let (state, text) = world.last_shown(&first).remove("sentry-gitops/qa").unwrap();
    assert_eq!(state, StatusState::Failure);
    assert!(text.starts_with("1 of 2 runs failed: r1 ("), "{text}");
    let why = world.why(&first).await;
    assert_eq!(why.reason, Reason::SupersededBy(second));
    assert!(why.detail.unwrap().contains("1 of 2 runs failed"));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_run_timeout_ends_is_no_success() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_active_runs = 1;
    world.watch.timing.run_timeout = Some(Duration::from_secs(600));
    world.put(&[End::Succeeds, End::Succeeds]);
    world.start();
    minutes(1).await;
    let sha = world.push();
    minutes(2).await;
    world.suspend().await;
    world.end_runs(&sha, &[End::Succeeds]).await;
    minutes(15).await;
    let delivery = world.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Failed, Some(Verdict::Error)));
    assert!(delivery.error.unwrap().contains("was not started: run_timeout passed"));
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_delivery_that_was_given_up_are_followed_over_a_restart() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_retries = 0;
    world.put(&[End::Succeeds, End::Fails]);
    world.start();
    minutes(1).await;
    let sha = world.push();
    let name = |prefix: &str| {
        let runs = world.deployer.active_runs();
        runs.into_iter().find(|name| name.starts_with(prefix))
    };
    world.deployer.refuse(Some("r1"));
    minutes(2).await;
    let first = name("r0").unwrap();
    let parked = world.deliveries().await.remove(0);
    assert_eq!(parked.state, DeliveryState::Parked);
    assert_eq!(parked.runs.len(), 1, "what was refused was never made: {:?}", parked.runs);
    world.kill().await;
    world.deployer.finish(&first, RunState::Failed, "Failed");
    world.start();
    minutes(1).await;
    let parked = world.deliveries().await.remove(0);
    assert_eq!((parked.state, parked.runs[0].state), (DeliveryState::Parked, RunState::Failed));
    assert_eq!(world.why(&sha).await.reason, Reason::Parked);
    let actions: Vec<Action> = parked.objects.iter().map(|o| o.action).collect();
    assert_eq!(actions, [Action::Created, Action::Failed]);
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_attempt_may_still_make_is_waited_for_as_long_as_the_attempt_could_last() {
    let deployer = FakeDeployer::new().following().taking(Duration::from_secs(60));
    let mut world = World::with(deployer);
    world.watch.timing.timeout = Duration::from_secs(900);
    world.start();
    minutes(1).await;
    let sha = world.push();
    while world.deliveries().await.first().is_none_or(|d| d.state != DeliveryState::Applying) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.kill().await;
    let newer = world.push();
    world.start();
    minutes(10).await;
    assert_eq!(world.delivered().await, Some(newer));
    let of = |all: Vec<Delivery>| all.into_iter().find(|d| d.revision.sha == sha).unwrap();
    let waits = of(world.deliveries().await);
    assert_eq!((waits.state, waits.runs.len()), (DeliveryState::Following, 1), "{waits:?}");
    minutes(10).await;
    let over = of(world.deliveries().await);
    assert_eq!((over.state, over.runs.len()), (DeliveryState::Superseded, 0), "{over:?}");
}
