//! 47: the database of three agents crashes and comes back, at once or after a while, at any moment of what they do: what it has
//! acknowledged is there, and what was pushed meanwhile is delivered, each head once.

use std::sync::Arc;
use std::time::Duration;

use sentry_tests::postgres::Server;
use sentry_tests::promise::{cases, kept};

use crate::p45_replicas::Story;

/// What the database holds of deliveries, in their order of ids.
const DELIVERIES: &str = "SELECT coalesce(string_agg(id || ' ' || state, ',' ORDER BY id), '') FROM deliveries WHERE final";

#[test]
fn a_database_that_crashes_and_comes_back_loses_nothing_and_nothing_is_delivered_twice() {
    let all = cases(50, 1);
    let (mut heads, mut away) = (0, Duration::ZERO);
    for first in (0..all).step_by(10) {
        let server = Arc::new(Server::start());
        let mut story = Story::on(&server, u64::try_from(first).unwrap());
        for n in first..all.min(first + 10) {
            story.push();
            std::thread::sleep(Duration::from_millis(story.random.u64(0..2500)));
            // One in ten is away for ten minutes, one in two for less than a lease.
            let span = match n % 10 {
                9 => Duration::from_secs(600),
                n if n % 2 == 0 => Duration::from_millis(story.random.u64(0..3000)),
                _ => Duration::from_secs(story.random.u64(5..60)),
            };
            let before = story.crew.sql(DELIVERIES);
            server.crash();
            std::thread::sleep(span);
            server.recover();
            let after = story.crew.sql(DELIVERIES);
            let is_there = |one: &str| after.split(',').any(|kept| kept == one);
            assert!(before.split(',').all(is_there), "{before} was there, and now {after} is");
            away += span;
            story.judge();
        }
        heads += story.end().0;
        server.crash();
    }
    let seen = format!(
        "{all} crashes in the middle of deliveries, away for {} s in all: 0 of what was acknowledged lost, {heads} heads: 0 lost, \
         0 runs doubled, 0 older objects after newer, each last status its verdict",
        away.as_secs()
    );
    kept(47, "crashes", &seen);
}
