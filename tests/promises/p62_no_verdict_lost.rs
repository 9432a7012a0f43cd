//! 62: a verdict is never lost. Whatever ends a delivery between the cluster's create and its record, every run that the
//! cluster made is followed and judged, by what the cluster made and how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sentry_apiserver::Outcome;
use sentry_core::delivery::RunState;
use sentry_core::forge::{CommitStatus, StatusState};
use sentry_core::repo::CommitSha;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::fate::Fate;
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::eventually;

use crate::mortal::Mortal;
use crate::world::{A, World, commit_of, seconds};

/// How long the cluster is away, in seconds.
const AWAY: u64 = 180;

/// What happens to the branch while the cluster is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    NewerHead,
    BranchDeleted,
}

/// How the first commit's runs end, and when.
#[derive(Debug, Clone, Copy)]
struct End {
    state: RunState,
    while_dead: bool,
}

struct Story {
    world: World,
    sha: CommitSha,
}

impl Story {
    /// A commit is pushed, and the agent that delivers it meets its fate; `None` if that never comes.
    async fn begin(fate: &Arc<Fate>, lost: usize) -> Option<Self> {
        let deployer = FakeDeployer::new().following();
        let mut world = World::new(deployer).polled_every(Duration::from_secs(20));
        world.options.inbox_interval = Duration::from_secs(60);
        world.forge.commit(A, "release/1", "cut", &[]);
        world.start();
        seconds(5).await;
        world.kill().await;
        let sha = world.forge.commit(A, "release/1", "work", &[]);
        let mortal = Mortal::start_losing(&mut world, fate, lost);
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if fate.is_sealed() {
                break;
            }
        }
        (fate.is_sealed() || mortal.has_lost()).then_some(Self { world, sha })
    }

    /// The agent dies, the cluster is away for minutes, and the branch goes on.
    async fn outage(&mut self, next: Next, end: End) {
        let world = &mut self.world;
        world.kill().await;
        world.deployer.down(true);
        match next {
            Next::Nothing => {}
            Next::NewerHead => drop(world.forge.commit(A, "release/1", "more", &[])),
            Next::BranchDeleted => world.forge.delete(A, "release/1"),
        }
        if end.while_dead {
            self.end_runs(end.state);
        }
        self.world.start();
        seconds(AWAY).await;
        self.world.deployer.down(false);
        seconds(60).await;
    }

    /// The names of the runs that the cluster made for the commit.
    fn made(&self) -> Vec<String> {
        let created = self.world.deployer.created();
        let mine = created.iter().filter(|run| commit_of(run) == self.sha.as_str());
        mine.map(|run| run.object.name.clone()).collect()
    }

    fn end_runs(&self, state: RunState) {
        let active = self.world.deployer.active_runs();
        for run in self.made().iter().filter(|run| active.contains(run)) {
            assert!(self.world.deployer.finish(run, state, "ended"));
        }
    }

    /// How every run of the commit stands, over all of its deliveries.
    async fn followed(&self) -> BTreeMap<String, RunState> {
        let all = self.world.deliveries().await.into_iter();
        let mine = all.filter(|delivery| delivery.revision.sha == self.sha);
        mine.flat_map(|d| d.runs).map(|run| (run.object.name, run.state)).collect()
    }

    /// What the commit shows last.
    fn shown(&self) -> Option<(StatusState, String)> {
        let of = |s: &CommitStatus| s.revision.sha == self.sha && s.context == "sentry-gitops/qa";
        let last = self.world.forge.statuses().into_iter().rfind(of);
        last.map(|status| (status.state, status.description))
    }

    /// Every run that the cluster made is followed to its end, and the commit shows it. How many runs those were.
    async fn judge(&self, next: Next, end: End, at: &str) -> usize {
        let made = self.made();
        let followed = self.followed().await;
        let want: BTreeMap<String, RunState> =
            made.iter().map(|n| (n.clone(), end.state)).collect();
        assert_eq!(followed, want, "{at}, {next:?}, {end:?}");
        let shown = self.shown().map(|(state, _)| state);
        let fits = match (made.is_empty(), end.state) {
            (true, _) => shown.is_none_or(|state| state == StatusState::Neutral),
            (false, RunState::Failed) => shown == Some(StatusState::Failure),
            (false, _) => shown == Some(StatusState::Success),
        };
        assert!(fits, "{at}, {next:?}, {end:?}: {:?}, made {made:?}", self.shown());
        made.len()
    }
}

const ENDS: [End; 4] = [
    End { state: RunState::Failed, while_dead: true },
    End { state: RunState::Failed, while_dead: false },
    End { state: RunState::Succeeded, while_dead: true },
    End { state: RunState::Succeeded, while_dead: false },
];
const NEXT: [Next; 3] = [Next::NewerHead, Next::BranchDeleted, Next::Nothing];

/// Plays one story; how many runs the cluster made, `None` if its fate never came.
async fn play(fatal: usize, lost: usize, next: Next, end: End) -> Option<usize> {
    let at = format!("killed at call {fatal}, answer {lost} lost");
    let mut story = Story::begin(&Fate::dying_at(fatal), lost).await?;
    story.outage(next, end).await;
    // What is still to be made is made now, and may wait for what was sent before the kill.
    for _ in 0..3 {
        story.end_runs(end.state);
        seconds(300).await;
    }
    Some(story.judge(next, end, &at).await)
}

#[tokio::test(start_paused = true)]
async fn killed_after_each_call_with_the_cluster_away_every_run_is_followed_and_judged() {
    let (mut kills, mut partly, mut runs) = (0, 0, 0);
    for (n, end) in ENDS.into_iter().enumerate().take(cases(ENDS.len(), 2)) {
        for next in NEXT.into_iter().skip(n % 2).take(cases(NEXT.len(), 1)) {
            let mut fatal = 1;
            while let Some(made) = play(fatal, usize::MAX, next, end).await {
                kills += 1;
                runs += made;
                partly += usize::from(made == 1);
                fatal += 1;
            }
        }
    }
    assert!(kills >= 40 && partly > 0, "{kills}, {partly}");
    let mut lost = 0;
    for end in ENDS.into_iter().take(cases(ENDS.len(), 2)) {
        for next in NEXT {
            for answer in 1..=crate::world::RUNS {
                let made = play(usize::MAX, answer, next, end).await;
                lost += 1;
                runs += made.unwrap();
            }
        }
    }
    let seen = format!(
        "{kills} kills, one after each call of a delivery, and {lost} lost answers, the cluster away for {AWAY} s, then \
         a newer head, a deleted branch or neither: {runs} runs made ({partly} times one of two), each followed and judged"
    );
    kept(62, "the engine", &seen);
}

/// The newest delivery of a commit, as `history` has it.
fn delivery(road: &Road, sha: &str) -> serde_json::Value {
    let history = road.json(&["history", "-o", "json"]);
    let all = history["deliveries"].as_array().unwrap();
    all.iter().find(|d| d["revision"] == sha).cloned().unwrap_or_default()
}

#[test]
fn the_binary_killed_as_the_run_is_made_shows_its_failure_though_a_newer_head_came() {
    let kills = cases(20, 2);
    let mut states = BTreeMap::<String, usize>::new();
    for kill in 0..kills {
        let road = Road::endless();
        let agent = road.watch();
        // A Task and a Pipeline come before the runs: the server makes a run, and its answer never comes.
        road.cluster.faults().lose_response_of_write(3 + kill % 2);
        let first = road.push();
        eventually("the run is made", || !road.runs().is_empty());
        agent.kill9();
        let state = delivery(&road, &first)["state"].as_str().unwrap_or("none").to_owned();
        *states.entry(state).or_default() += 1;
        road.cluster.faults().answer_all(503, None);
        let second = road.push();
        let agent = road.watch();
        eventually("the newer head is seen", || !delivery(&road, &second).is_null());
        let runs =
            road.runs().into_iter().map(|run| run["metadata"]["name"].as_str().unwrap().to_owned());
        let runs: BTreeSet<String> = runs.collect();
        for run in &runs {
            let failed = Outcome::Failed { task: "unit", step: "test", exit_code: 2, log: "no" };
            assert!(road.cluster.finish_run(run, failed));
        }
        road.cluster.faults().heal();
        eventually("the runs are judged", || {
            let told = delivery(&road, &first)["runs"].as_array().cloned().unwrap_or_default();
            let failed = told.iter().filter(|run| run["state"] == "failed");
            let failed: BTreeSet<_> =
                failed.map(|run| run["name"].as_str().unwrap().to_owned()).collect();
            failed.is_superset(&runs)
        });
        agent.term();
    }
    let seen = format!(
        "{kills} kills with a kubectl under way, in the states {states:?}: the run's failure is shown"
    );
    kept(62, "the binary and kubectl", &seen);
}
