//! 10: while a branch or a tag is gone nothing is done for it; re-created, it is delivered by the next poll.

use std::time::Duration;

use sentry_core::repo::CommitSha;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::watch::TagSelector;
use sentry_tests::promise::kept;
use sentry_tests::road::Road;
use sentry_tests::sandbox::eventually;

use crate::world::{A, RUNS, World, seconds};

/// A branch, and a tag.
const SUBJECTS: [&str; 2] = ["release/1", "refs/tags/v1"];

/// How often A was asked so far.
fn polls(world: &World) -> usize {
    world.forge.asked().iter().filter(|query| query.repo.as_str() == A).count()
}

/// Deletes the subject and brings it back at a commit, `None` being a new one; the polls between its return and its runs.
async fn away_and_back(
    world: &World,
    subject: &str,
    at: Option<&CommitSha>,
    pause: Duration,
) -> usize {
    world.forge.delete(A, subject);
    // What was begun may end.
    seconds(65).await;
    let before = world.deployer.applies().0;
    seconds(180).await;
    tokio::time::sleep(pause).await;
    assert_eq!(world.deployer.applies().0, before, "it is gone: nothing is to be done");
    assert!(world.branch(subject).await.unwrap().gone.is_some());
    let sha = match at {
        Some(sha) => {
            world.forge.set(A, subject, sha);
            sha.clone()
        }
        None => world.forge.commit(A, subject, "again", &[]),
    };
    let asked = polls(world);
    let settled = || async {
        let state = world.branch(subject).await.unwrap();
        state.gone.is_none() && state.delivered.is_some_and(|mark| mark.sha == sha)
    };
    while !settled().await {
        assert!(polls(world) <= asked + 1, "not delivered by the first poll after its return");
        seconds(1).await;
    }
    assert_eq!(world.deployer.applies().0, before + 1);
    polls(world) - asked
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_left_alone_and_resumed_by_the_first_poll_after_its_return() {
    let (mut times, mut most) = (0, 0);
    for subject in SUBJECTS {
        let mut world = World::new(FakeDeployer::new().taking(Duration::from_secs(2)));
        world.watches[0].source.subjects.tags = TagSelector::names(["v*"]).ok();
        world.start();
        let first = world.forge.commit(A, subject, "cut", &[]);
        seconds(10).await;
        for n in 0..20 {
            let pause = Duration::from_millis(n * 2_600);
            most = most.max(away_and_back(&world, subject, None, pause).await);
            // Back at the commit of long ago, then at the one that it had when it was deleted.
            most = most.max(away_and_back(&world, subject, Some(&first), pause).await);
            most = most.max(away_and_back(&world, subject, Some(&first), pause).await);
        }
        // Those at a commit whose runs are there make none again.
        assert_eq!(world.deployer.created().len(), (1 + 20) * RUNS);
        times += 60;
    }
    let seen = format!(
        "a branch and a tag deleted and re-created {times} times, at new commits and old ones: 0 applies while gone, delivered after at \
         most {most} poll"
    );
    kept(10, "over fakes", &seen);
}

/// The same by the real program, judged by what the API server and the git server were asked.
#[test]
fn the_program_leaves_alone_what_is_deleted_and_delivers_it_when_it_is_back() {
    SUBJECTS.iter().for_each(|subject| deletes(subject));
    kept(
        10,
        "the program",
        "0 writes while gone for 3 polls, delivered after its return: a branch, a tag",
    );
}

fn deletes(subject: &str) {
    let road = Road::new();
    road.configure("branches: [main, 'release/*'], tags: 'v*'");
    let root = road.a.branch_at("main").unwrap();
    road.once();
    let mut agent = road.watch();
    agent.wait_for_log("started");
    road.a.force(subject, &root);
    eventually("a new one at an old commit is delivered", || road.runs().len() == RUNS);
    road.a.delete_branch(subject);
    agent.wait_for_log(if subject.contains("tags") { "tag is gone" } else { "branch is gone" });
    let polls = || road.git.http().log().matching("/a.git/git-upload-pack").len();
    let (writes, asked) = (road.cluster.writes(), polls());
    eventually("three more polls", || polls() >= asked + 3);
    assert_eq!(road.cluster.writes(), writes, "it is gone: nothing is to be done");
    let again = road.a.commit("scratch", &[("n", "1")], "created again");
    road.a.force(subject, &again);
    eventually("it is delivered", || road.runs().len() == 2 * RUNS);
    // Heads are asked for together: had these matched the globs, they would have come with the last push.
    road.a.force("hotfix/release/1", &root);
    road.a.force("release-2", &root);
    let last = road.push();
    eventually("the last push is delivered", || road.why(&last).contains("delivered"));
    assert_eq!(road.runs().len(), 3 * RUNS);
    assert_eq!(agent.term().code, Some(0));
}
