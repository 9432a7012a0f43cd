//! Starts as many children as it is told to that hang, ignore TERM, start children of their own, stop themselves or flood
//! their pipes, turns away from each, and panics if any of them is left.
//!
//! Everything that loses its parent falls to it, as it falls to the first process of a container: there an unreaped
//! grandchild stays for good.

#![expect(clippy::print_stdout, reason = "whoever started it listens")]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use sentry_process::Program;
use sentry_tests::processes::{self, Process};
use sentry_tests::sandbox::eventually;
use tokio::task::JoinSet;

/// In the environment of every child: the process that started it, for there may be others like it.
const MARK: &str = "SENTRY_TEST_CHILD_OF";
/// How many children hang at a time.
const AT_ONCE: usize = 20;
/// How long the system may take to carry out a KILL that was sent.
const SETTLING: Duration = Duration::from_secs(60);

/// What the children do.
const SCRIPTS: [&str; 10] = [
    "sleep 900",
    "trap '' TERM; sleep 900; sleep 900",
    "sleep 900 & sleep 900 & wait",
    "trap '' TERM; sh -c 'sleep 900 & sleep 900 & wait; sleep 900' & wait; sleep 900",
    "exec >&- 2>&-; sleep 900",
    // The parent ends and leaves a child that holds the pipes, one that does not.
    "sleep 900 & exit 0",
    "sleep 900 >/dev/null 2>&1 & exit 0",
    "yes",
    "kill -STOP $$",
    "while :; do sleep 0.01 & sleep 0.01 & wait; done",
];

/// How the one who started a child turns away from it.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    AtTheDeadline,
    ByDroppingTheRun,
    LinesToTheDeadline,
    ByDroppingTheLines,
}

const LEAVINGS: [Leaving; 4] = [
    Leaving::AtTheDeadline,
    Leaving::ByDroppingTheRun,
    Leaving::LinesToTheDeadline,
    Leaving::ByDroppingTheLines,
];

/// This process, as its children are marked.
fn mine() -> String {
    format!("[{}]", std::process::id())
}

async fn hang(script: &'static str, leaving: Leaving) {
    let (short, long) = (Duration::from_millis(250), Duration::from_secs(600));
    let program = Program::new("sh").args(["-c", script]).env(MARK, mine()).output_cap(1 << 20);
    // Whatever comes of it: what is left of it is counted.
    match leaving {
        Leaving::AtTheDeadline => drop(program.deadline(short).run().await),
        Leaving::ByDroppingTheRun => {
            drop(tokio::time::timeout(short, program.deadline(long).run()).await);
        }
        Leaving::LinesToTheDeadline => {
            let mut lines = program.deadline(short).lines().expect("a shell");
            while let Ok(Some(_)) = lines.next().await {}
            drop(lines.end().await);
        }
        Leaving::ByDroppingTheLines => {
            let mut lines = program.deadline(long).lines().expect("a shell");
            drop(tokio::time::timeout(short, lines.next()).await);
        }
    }
}

/// Every process that fell to this one, zombies among them, and every marked one wherever it is.
fn left() -> Vec<Process> {
    let mut left = processes::children_of(std::process::id());
    left.extend(processes::marked(&format!("{MARK}={}", mine())));
    left
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let count: usize = count.expect("say how many");
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("Linux");
    let mut hanging = JoinSet::new();
    for n in 0..count {
        if hanging.len() == AT_ONCE {
            hanging.join_next().await;
        }
        hanging
            .spawn(hang(SCRIPTS[n % SCRIPTS.len()], LEAVINGS[n / SCRIPTS.len() % LEAVINGS.len()]));
    }
    while hanging.join_next().await.is_some() {}
    let begun = Instant::now();
    while !left().is_empty() && begun.elapsed() < SETTLING {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = left();
    assert!(found.is_empty(), "{} of {count} are left: {found:?}", found.len());
    // The judge sees what is left, once the kernel shows its environment.
    let _sleeper = Sleeper::start();
    eventually("it is seen as a child and by its mark", || left().len() == 2);
    println!("all {count} are gone");
}

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let child = Command::new("sleep").arg("900").env(MARK, mine()).spawn();
        Self(child.expect("a sleep"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        ended.expect("the end of a sleep");
    }
}
