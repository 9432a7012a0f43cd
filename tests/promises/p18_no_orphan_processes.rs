//! 18: children that hang, ignore TERM, start children of their own, stop themselves or flood their pipes: none is left,
//! and none is a zombie, by /proc.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sentry_tests::processes;
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::{Fetch, Road};

/// How long the system may take to carry out a KILL that was sent.
const SETTLING: Duration = Duration::from_secs(60);

#[test]
fn of_hung_children_nothing_is_left_not_even_a_zombie() {
    let count = cases(1000, 80);
    let output = Command::new(env!("CARGO_BIN_EXE_hung-children"))
        .arg(count.to_string())
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
    road.fetch = Fetch::Program;
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
