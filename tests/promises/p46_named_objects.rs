//! 46: an owner stands still in the middle of deliveries, others take over and deliver what is newer, and then it goes on: the
//! cluster takes no named object of an older head after that of a newer one.

use std::collections::BTreeMap;
use std::time::Duration;

use sentry_tests::crew::older_after_newer;
use sentry_tests::promise::{cases, kept};

use crate::p45_replicas::Story;

#[test]
fn an_owner_that_stood_still_in_a_delivery_writes_nothing_older_over_what_is_newer() {
    let all = cases(200, 1);
    let (mut written, mut refused) = (0, 0);
    for first in (0..all).step_by(20) {
        let mut story = Story::begin(u64::try_from(first).unwrap());
        for _ in first..all.min(first + 20) {
            let victim = story.victim();
            // Polls come every second: somewhere in what follows a push it stands still.
            story.push();
            std::thread::sleep(Duration::from_millis(story.random.u64(0..2500)));
            let span = Duration::from_secs(story.random.u64(12..=16));
            story.freeze(victim, span);
            story.judge();
        }
        written += story.crew.written().values().map(Vec::len).sum::<usize>();
        refused += story.crew.refused();
        story.end();
    }
    let seen = format!(
        "{all} times frozen within 2.5 s of a push until others had delivered the next one: {written} named objects written, \
         0 older after a newer one; the cluster refused {refused} that came too late"
    );
    kept(46, "", &seen);
}

#[test]
fn the_judge_sees_an_older_object_after_a_newer_one() {
    let pushed: BTreeMap<_, _> =
        [("b".to_owned(), ["1", "2", "3"].map(String::from).into())].into();
    for (order, seen) in [
        (&["1", "2", "3"][..], 0),
        (&["1", "3"], 0),
        (&["2", "2"], 0),
        (&["2", "1", "3"], 1),
        (&["3", "1", "2", "1"], 2),
    ] {
        let commits = order.iter().map(|&commit| commit.to_owned()).collect();
        let written = [("a Task".to_owned(), commits)].into();
        assert_eq!(older_after_newer(&written, &pushed), seen, "{order:?}");
    }
}
