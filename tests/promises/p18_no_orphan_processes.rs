//! 18: children that hang, ignore TERM, start children of their own, stop themselves or flood their pipes: none is left,
//! and none is a zombie, by /proc.
//!
//! The children are started by a process of their own, which everything that loses its parent falls to, as it falls to
//! the first process of a container: there an unreaped grandchild stays for good.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sentry_core::process::Program;
use sentry_tests::processes::{self, Process};
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::eventually;
use tokio::task::JoinSet;

/// Set for the process that starts the children: how many.
const CHILDREN: &str = "SENTRY_PROMISE_18";
/// In the environment of every child: the process that started it, for there may be other runs of this proof.
const MARK: &str = "SENTRY_PROMISE_18_CHILD_OF";
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
            let mut lines = program.deadline(short).lines().unwrap();
            while let Ok(Some(_)) = lines.next().await {}
            drop(lines.end().await);
        }
        Leaving::ByDroppingTheLines => {
            let mut lines = program.deadline(long).lines().unwrap();
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

/// Not a proof by itself: the process that starts the children.
#[tokio::test]
async fn child_that_starts_children() {
    let Ok(count) = std::env::var(CHILDREN) else { return };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let mut hanging = JoinSet::new();
    let count: usize = count.parse().unwrap();
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
    let _sleeper = Command::new("sleep").arg("900").env(MARK, mine()).spawn().map(Sleeper).unwrap();
    eventually("it is seen as a child and by its mark", || left().len() == 2);
    println!("\nall {count} are gone");
}

struct Sleeper(std::process::Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn of_hung_children_nothing_is_left_not_even_a_zombie() {
    let count = cases(1000, 80);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["p18_no_orphan_processes::child_that_starts_children", "--exact", "--nocapture"])
        .env(CHILDREN, count.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.contains(&format!("all {count} are gone")), "{said}\n{failed}");
    kept(18, "the process module", &format!("{count} hung children: 0 left, 0 zombies"));
}

#[test]
fn a_git_and_a_kubectl_that_hang_are_gone_when_sentry_has_ended() {
    let mut road = Road::new();
    assert_eq!(road.once().code, Some(0));
    let stubs = road.sandbox.root().join("stubs");
    std::fs::create_dir(&stubs).unwrap();
    let path = format!("{}:{}", stubs.display(), std::env::var("PATH").unwrap());
    road.sandbox.env("PATH", path);
    road.configure_watch("timeout: 4\n    max_retries: 0");
    let home = road.sandbox.root().display().to_string();
    let hang = "#!/bin/sh\ntrap '' TERM\nsleep 900 &\nsh -c 'sleep 900 & wait; sleep 900' &\nwait\nsleep 900\n";
    let mut hung = 0;
    let rounds = cases(50, 4);
    for round in 0..rounds {
        let stub = stubs.join(if round % 2 == 0 { "git" } else { "kubectl" });
        std::fs::write(&stub, hang).unwrap();
        std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
        road.push();
        let mut agent = road.sandbox.spawn(["watch", "--once"]);
        let mut seen = 0;
        while agent.is_running() {
            seen = seen.max(processes::marked(&home).len());
            std::thread::sleep(Duration::from_millis(20));
        }
        // On a busy machine the attempt may be over before the stub has started all of its own.
        hung += usize::from(seen > 3);
        assert_ne!(agent.wait().code, Some(0));
        let begun = Instant::now();
        while !processes::marked(&home).is_empty() && begun.elapsed() < SETTLING {
            std::thread::sleep(Duration::from_millis(20));
        }
        let left = processes::marked(&home);
        assert!(left.is_empty(), "{left:?}");
        std::fs::remove_file(&stub).unwrap();
    }
    assert!(hung > 0, "no stub was seen to hang in {rounds} rounds");
    kept(
        18,
        "the binary",
        &format!("{hung} runs with a git or a kubectl that hangs: 0 processes left"),
    );
}
