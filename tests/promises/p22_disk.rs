//! 22: agents that are killed in the middle of a fetch: their next start removes what they left.

use std::collections::BTreeSet;

use rustix::process::{Pid, Signal, kill_process};
use sentry_tests::liar::{GitLiar, Lies, Pack};
use sentry_tests::processes;
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::{Fetch, Road};
use sentry_tests::sandbox::eventually;

use crate::p38_repo_cap::{bytes_below, fetches_in, unnamed_in};

/// What a fetch may take on the disk.
const CAP: u64 = 256 << 20;
/// What each of them has taken when it is killed.
const TAKEN: usize = 24 << 20;

/// Ends what a killed agent had started, as the end of its container or of its unit does.
fn end_all_of(home: &str) {
    eventually("all that the agent had started is gone", || {
        let left = processes::marked(home);
        for process in &left {
            let id = i32::try_from(process.id).ok().and_then(Pid::from_raw);
            id.and_then(|id| kill_process(id, Signal::KILL).ok());
        }
        left.is_empty()
    });
}

#[test]
fn killed_fetches_leave_at_most_the_last_one_behind() {
    let head = "c0ffee".repeat(7)[..40].to_owned();
    let liar = GitLiar::start(Lies::about(&head, Pack::Slowing(TAKEN)));
    let mut road = Road::new();
    road.fetch = Fetch::Program;
    road.configure_b(&liar.url("b.git"), "");
    assert_eq!(road.once().code, Some(0));
    let temp = road.sandbox.root().join("tmp");
    let home = road.sandbox.root().display().to_string();
    let kills = cases(1000, 12);
    let within = killed_within(&head, cases(100, 3));
    let mut most = 0;
    for _ in 0..kills {
        let before = fetches_in(&temp);
        road.push();
        let agent = road.watch();
        eventually("the fetch takes its bytes", || {
            let now = bytes_below(&temp);
            most = most.max(now);
            // What the last one left goes first.
            let fetches = fetches_in(&temp);
            now >= TAKEN as u64 && fetches.len() == 1 && fetches.is_disjoint(&before)
        });
        agent.kill9();
        end_all_of(&home);
        most = most.max(bytes_below(&temp));
    }
    assert!(most <= CAP + (1 << 20), "{most} bytes after {kills} killed fetches");
    let (left, directories) = (bytes_below(&temp), fetches_in(&temp).len());
    assert!(left <= CAP + (1 << 20) && directories == 1, "{left} bytes, {directories} directories");
    // A fetch that ends by itself leaves nothing at all.
    road.configure("branches: [main]");
    assert_eq!(road.once().code, Some(0));
    assert_eq!(road.runs().len(), 2);
    assert_eq!(fetches_in(&temp), BTreeSet::new());
    let seen = format!(
        "{kills} fetches by the git program killed when each had taken {} MiB: {} MiB on the disk at most, 0 after the next \
         whole one; {within} within the process: 0 after each",
        TAKEN >> 20,
        most >> 20
    );
    kept(22, "", &seen);
}

/// Fetches within the process, each killed when it has begun to take its bytes: what they keep has no name, and is gone with
/// them. How many were killed.
fn killed_within(head: &str, kills: usize) -> usize {
    let liar = GitLiar::start(Lies::about(head, Pack::Slowing(TAKEN)));
    let road = Road::new();
    road.configure_b(&liar.url("b.git"), "");
    assert_eq!(road.once().code, Some(0));
    let temp = road.sandbox.root().join("tmp");
    for _ in 0..kills {
        road.push();
        let agent = road.watch();
        eventually("the fetch takes its bytes", || unnamed_in(agent.id(), &temp) >= 8 << 20);
        assert_eq!((bytes_below(&temp), fetches_in(&temp)), (0, BTreeSet::new()));
        agent.kill9();
        end_all_of(&road.sandbox.root().display().to_string());
        assert_eq!((bytes_below(&temp), fetches_in(&temp)), (0, BTreeSet::new()));
    }
    kills
}
