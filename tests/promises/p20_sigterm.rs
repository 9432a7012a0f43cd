//! 20: SIGTERM at system calls and at random times: the process has ended within its grace period and 2 s, no head is
//! lost and no run is made twice.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sentry_tests::http::Fault;
use sentry_tests::processes;
use sentry_tests::promise::{AtMost, cases, full, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::{Agent, eventually};
use sentry_tests::strace::Strace;
use sentry_tests::tally::{Tally, tree};

/// How long a begun apply may take after the first signal.
const GRACE: Duration = Duration::from_secs(25);
/// How long an end may take: the grace period, and the promised 2 s.
const LIMIT: AtMost = AtMost::seconds(27.0);
/// How long an agent may take to come to a call, or to its end. What hangs here hangs longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// State writes and syncs, children before their start, after it and at their end, questions to the network.
const CALLS: [(&str, usize); 6] = [
    ("pwrite64", 40),
    ("fsync,fdatasync", 25),
    ("clone,?vfork", 8),
    ("pidfd_open", 8),
    ("wait4,waitid", 8),
    ("connect,sendto", 6),
];

/// How long an agent that was told to stop at this time went on.
fn until_ended(agent: &mut Agent, told: Instant) -> Duration {
    while agent.is_running() {
        assert!(told.elapsed() < PATIENCE, "not at its end: {}", agent.stderr_so_far());
        std::thread::sleep(Duration::from_millis(5));
    }
    LIMIT.hold_time("the end", told.elapsed());
    told.elapsed()
}

struct Story {
    road: Road,
    heads: Vec<String>,
    worst: Duration,
    /// How often the signal came at a system call, and at other times.
    terms: [usize; 2],
}

impl Story {
    fn begin() -> Self {
        let files = tree();
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        let road = Road::with(&files);
        assert_eq!(road.once().code, Some(0));
        Self { road, heads: Vec::new(), worst: Duration::ZERO, terms: [0; 2] }
    }

    fn push(&mut self) {
        self.heads.push(self.road.push());
    }

    /// Waits for the end of an agent that was told to stop at this time.
    fn ends(&mut self, mut agent: Agent, told: Instant) {
        self.worst = self.worst.max(until_ended(&mut agent, told));
        let output = agent.wait();
        // Before it listens for signals, the signal ends it by itself.
        let early = output.code.is_none() && !output.stderr.contains("started");
        // Two threads that come to their n-th call are two signals, and the second one aborts.
        let aborted = output.code == Some(130) && output.stderr.contains("aborting");
        assert!(output.code == Some(0) || early || aborted, "{output:?}");
        // What is left alone is delivered, once.
        let whole = self.road.once();
        assert_eq!(whole.code, Some(0), "{whole:?}");
        let tally = Tally::of(&self.road.cluster);
        assert_eq!((tally.lost(&self.heads), tally.doubled()), (0, 0), "{output:?}\n{whole:?}");
    }

    fn at_a_call(&mut self, calls: &str, n: usize) {
        self.push();
        let strace = Strace::of_the_program(calls).signalling_at(calls, "TERM", n);
        let mut agent = self.road.sandbox.spawn_under(&strace, ["watch"]);
        let (begun, mut by_hand) = (Instant::now(), false);
        // One that never comes to the call is told by hand.
        while agent.is_running() && !agent.stderr_so_far().contains("stopping") {
            let waited = begun.elapsed();
            if waited > Duration::from_secs(4) && agent.stderr_so_far().contains("started") {
                agent.signal_traced(Signal::TERM);
                by_hand = true;
                break;
            }
            assert!(waited < PATIENCE, "it does not start: {}", agent.stderr_so_far());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.terms[usize::from(by_hand)] += 1;
        self.ends(agent, Instant::now());
    }

    fn after(&mut self, wait: Duration) {
        self.push();
        let agent = self.road.watch();
        std::thread::sleep(wait);
        agent.signal(Signal::TERM);
        self.terms[1] += 1;
        self.ends(agent, Instant::now());
    }
}

#[test]
fn stopped_at_any_moment_it_ends_in_time_loses_no_head_and_makes_no_run_twice() {
    let mut story = Story::begin();
    let mut random = fastrand::Rng::with_seed(20);
    for (calls, reach) in CALLS {
        let step = reach.div_ceil(cases(reach, 1));
        let first = if full() { 1 } else { random.usize(1..=reach) };
        for n in (first..=reach).step_by(step) {
            story.at_a_call(calls, n);
        }
    }
    for _ in 0..cases(100, 5) {
        story.after(Duration::from_millis(random.u64(..2500)));
    }
    let [at_calls, at_random] = story.terms;
    assert!(at_calls > 0, "no call was come to: are these still the calls that mark a moment?");
    let seen = format!(
        "{at_calls} times at a system call, {at_random} at random times: the slowest end took \
         {}, 0 lost, 0 doubled",
        LIMIT.told_time(story.worst)
    );
    kept(20, "any moment", &seen);
}

/// What hangs when the signal comes.
#[derive(Debug, Clone, Copy)]
enum Hung {
    Fetch,
    Check,
    Apply,
}

#[test]
fn while_a_git_server_or_a_cluster_hangs_it_ends_within_its_grace_period() {
    let mut story = Story::begin();
    let home = story.road.sandbox.root().display().to_string();
    let mut slowest = Vec::new();
    for hung in [Hung::Fetch, Hung::Check, Hung::Apply] {
        let (faults, git) = (story.road.cluster.faults(), story.road.git.http().faults());
        match hung {
            Hung::Fetch => git.until_cleared("GET /b.git/info/refs", Fault::Hang),
            Hung::Check => faults.hang(),
            Hung::Apply => faults.hang_writes(),
        }
        // Longer than the grace period; in a small run the end of an apply comes first.
        let timeout = if matches!(hung, Hung::Apply) { cases(300, 4) } else { 300 };
        story.road.configure_watch(&format!("timeout: {timeout}"));
        story.push();
        story.road.git.http().log().clear();
        let before = story.road.cluster.writes();
        let mut agent = story.road.watch();
        let asked = || !story.road.git.http().log().matching("GET /b.git/info/refs").is_empty();
        eventually("it hangs", || match hung {
            Hung::Fetch => asked(),
            Hung::Check => processes::marked(&home).len() > 1,
            Hung::Apply => story.road.cluster.writes() > before,
        });
        let told = Instant::now();
        agent.signal(Signal::TERM);
        let took = until_ended(&mut agent, told);
        // Only a begun apply is waited for: until it has failed, or the grace period is over.
        agent.wait_for_log("stopping");
        let log = agent.stderr_so_far();
        let waited = took >= GRACE || log.contains("delivery will be retried");
        assert_eq!(waited, matches!(hung, Hung::Apply), "{hung:?}, {took:?}: {log}");
        slowest.push(format!("{hung:?} {:.1} s", took.as_secs_f32()).to_lowercase());
        story.road.cluster.faults().heal();
        story.road.git.http().faults().clear();
        story.ends(agent, Instant::now());
    }
    let seen = format!("ended after: {} (at most {LIMIT})", slowest.join(", "));
    kept(20, "while something hangs", &seen);
}
