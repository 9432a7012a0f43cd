//! 48: three agents take a new configuration, one after the other: no slot is without an owner for long, and nothing is lost or
//! made twice.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sentry_tests::promise::{AtMost, cases, kept};

use crate::p45_replicas::Story;

const UNOWNED: AtMost = AtMost::seconds(20.0);
const LOADED: &str = "loading the new configuration";

/// Has an agent load its configuration anew; for how long a slot had no owner until all had one again.
fn reload(story: &Story, agent: usize) -> Duration {
    let loads = || story.agents[agent].stderr_so_far().matches(LOADED).count();
    let before = loads();
    story.agents[agent].signal(Signal::HUP);
    story.wait("it is loaded", |_| loads() > before);
    let (begun, mut since, mut longest) = (Instant::now(), None, Duration::ZERO);
    // Its slots are given back one after the other: it is not over with the first moment in which all have an owner.
    while begun.elapsed() < Duration::from_secs(3) || since.is_some() {
        if story.crew.unowned() > 0 {
            longest = longest.max(since.get_or_insert_with(Instant::now).elapsed());
        } else {
            since = None;
        }
        assert!(longest < Duration::from_secs(180), "a slot stays without an owner");
        std::thread::sleep(Duration::from_millis(100));
    }
    longest
}

#[test]
fn agents_that_load_their_configuration_in_turn_leave_no_slot_without_an_owner_for_long() {
    let all = cases(50, 1);
    let (mut heads, mut longest) = (0, Duration::ZERO);
    for first in (0..all).step_by(10) {
        let mut story = Story::begin(u64::try_from(first).unwrap());
        for _ in first..all.min(first + 10) {
            for agent in 0..story.agents.len() {
                story.push();
                let unowned = reload(&story, agent);
                UNOWNED.hold_time("a reload", unowned);
                longest = longest.max(unowned);
            }
            story.judge();
        }
        heads += story.end().0;
    }
    let seen = format!(
        "{all} times three agents in turn: a slot without an owner for {} at most; {heads} heads: 0 lost, 0 runs doubled, \
         0 older objects after newer, each last status its verdict",
        UNOWNED.told_time(longest)
    );
    kept(48, "reloads", &seen);
}
