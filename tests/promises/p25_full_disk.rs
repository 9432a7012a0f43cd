//! 25: the disk is full, fails, or can't be written: nothing advances and nothing is sent, it is said, and it goes on by
//! itself when the disk is well again.

#[cfg(feature = "disk")]
mod mounted;

use std::time::Duration;

use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::eventually_within;
use sentry_tests::strace::Strace;
use sentry_tests::tally::{Tally, tree};

/// Attempts that failed are repeated after five minutes at the latest.
const PATIENCE: Duration = Duration::from_secs(330);
/// What the agent says for as long as it lasts.
const DEGRADED: &str = "can't write the state: deliveries are on hold until it is writable";
/// Errors of the system, the calls that meet them (those by which SQLite writes and syncs), and the number of the call
/// of a thread by which they begin at the latest.
const FAILURES: [(&str, &str, usize); 6] = [
    ("ENOSPC", "pwrite64", 12),
    ("EIO", "fsync,fdatasync", 3),
    ("EIO", "pwrite64", 12),
    ("EROFS", "pwrite64", 12),
    ("EDQUOT", "pwrite64", 12),
    ("ENOSPC", "fsync,fdatasync", 3),
];

fn road() -> Road {
    let files = tree();
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let road = Road::with(&files);
    assert_eq!(road.once().code, Some(0));
    road
}

/// Waits for the head's runs; there is exactly one of each.
fn delivered(road: &Road, heads: &[String]) {
    eventually_within(PATIENCE, "the head is delivered", || {
        Tally::of(&road.cluster).lost(heads) == 0
            && road.why(heads.last().unwrap()).contains("delivered")
    });
    assert_eq!(Tally::of(&road.cluster).doubled(), 0);
}

#[test]
fn calls_that_fail_for_a_while_move_nothing_and_are_forgotten_when_they_work_again() {
    let road = road();
    let mut heads = Vec::new();
    let mut random = fastrand::Rng::with_seed(25);
    let (mut failures, mut said, mut refused) = (0, 0, 0);
    let wanted = cases(20 * FAILURES.len(), 2);
    for (error, calls, latest) in FAILURES.iter().cycle() {
        // Which thread makes a call, and so which of them the start already meets, is not always the same.
        let is_shown = said > 0 || heads.len() >= wanted + 10;
        if heads.len() >= wanted && is_shown {
            break;
        }
        // From the start or from the middle of a cycle on, for several attempts to write.
        let (from, long) = (random.usize(1..=*latest), 4 + random.usize(..8));
        let strace = Strace::of_the_program(calls).failing_at(calls, error, from, from + long);
        heads.push(road.push());
        let mut is_traced = true;
        let mut agent = road.sandbox.spawn_under(&strace, ["watch", "--log-level", "debug"]);
        eventually_within(PATIENCE, "the head is delivered, or the start is refused", || {
            !agent.is_running() || Tally::of(&road.cluster).lost(&heads) == 0
        });
        if !agent.is_running() {
            // It does not begin on a disk that fails: whatever keeps it running starts it again.
            let output = agent.wait();
            assert_eq!(output.code, Some(2), "{output:?}");
            assert!(output.stderr.contains("check the disk"), "{output:?}");
            refused += 1;
            is_traced = false;
            agent = road.watch();
        }
        let met = || strace.lines().iter().filter(|line| line.contains("(INJECTED)")).count();
        // Each second there is a write.
        eventually_within(PATIENCE, "the error is met, else the judge is blind", || met() > 0);
        delivered(&road, &heads);
        assert!(agent.is_running(), "{}", agent.stderr_so_far());
        failures += met();
        said += usize::from(agent.stderr_so_far().contains(DEGRADED));
        let stopped = if is_traced { agent.term_traced() } else { agent.term() };
        assert_eq!(stopped.code, Some(0), "{stopped:?}");
    }
    assert!(said > 0, "it is said");
    let seen = format!(
        "{} outages of the disk ({failures} failed calls: ENOSPC, EIO, EROFS, EDQUOT), {refused} \
         at the start and refused, \
         {said} said by a running agent: 0 runs lost or doubled",
        heads.len()
    );
    kept(25, "failing calls", &seen);
}
