//! From a push to the start of its delivery, when a webhook tells of it.
//!
//! `cargo build --release -p sentry-cli && cargo bench -p sentry-tests --bench webhook`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::time::Duration;

use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_tests::forges::{ForgeOptions, github::GitHub, gitlab::GitLab};
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::repo::BareRepo;
use sentry_tests::road::TREE;
use sentry_tests::sandbox::{Sandbox, eventually};
use sentry_tests::wire::{Wired, borrowed, github, gitlab, hourly};
use serde_json::{Value, json};
use tempfile::TempDir;

const HOW: &str = "\
Everything is on this machine, over loopback: fakes of GitHub's and GitLab's APIs that answer from bare repositories, a
git server with B, the real git, a deployer that only plans. A is polled once an hour, so what happens sooner happens
because of the webhook. The time is taken when the commit is on A, before its webhook is sent, and ends with the start
in the delivery's own record: the webhook is verified, the forge is asked for the head, the intent is on the disk.";
const PUSHES: usize = 30;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The times that the forge's pushes took, from the quickest to the slowest.
fn measure(forge: &str, a: &BareRepo, sandbox: &Sandbox, served: &Wired) -> Vec<Duration> {
    let name = format!("{forge}/app");
    let mut times = Vec::new();
    for push in 1..=PUSHES {
        let sha = a.commit("main", &[("README.md", &format!("{push}"))], "work");
        let body = json!({"ref": "refs/heads/main", "event_name": "push", "after": sha,
            "repository": {"full_name": name}, "project": {"path_with_namespace": name}})
        .to_string();
        let pushed = SystemClock.now();
        let (path, headers) = if forge == "hub" {
            ("/webhooks/github", github(SECRET, "push", body.as_bytes()))
        } else {
            let headers = gitlab(SECRET, "Push Hook", &sha, pushed.as_second(), body.as_bytes());
            ("/webhooks/gitlab", headers)
        };
        assert_eq!(served.post(path, &borrowed(&headers), body.as_bytes()).0, 202);
        let mut started = None;
        eventually("the delivery ends", || {
            let shown = sandbox.sentry(["history", forge, "-n", "1", "-o", "json"]);
            let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
            let newest = &shown["deliveries"][0];
            started = newest["started"].as_str().map(|at| at.parse::<Timestamp>().unwrap());
            newest["revision"] == sha && !newest["finished"].is_null()
        });
        times.push(Duration::try_from(started.unwrap().duration_since(pushed)).unwrap());
    }
    times.sort();
    times
}

fn main() {
    println!("{HOW}\n");
    let repos = TempDir::new().unwrap();
    let root = repos.path();
    let [hub_app, lab_app, b] =
        ["hub/app.git", "lab/app.git", "b.git"].map(|name| BareRepo::create(root, name));
    for a in [&hub_app, &lab_app] {
        a.commit("main", &[("README.md", "A")], "first");
    }
    b.commit("main", TREE, "tests");
    let options = || ForgeOptions { enterprise: true, ..ForgeOptions::default() };
    let (hub, lab) = (GitHub::start(root, options()), GitLab::start(root, options()));
    let git = GitServer::start(root, GitOptions::default(), None);
    let sandbox = Sandbox::new();
    sandbox.write_config(&hourly(&hub, &lab, &git, [SECRET, SECRET]));
    let served = Wired::start(&sandbox, &[]);
    eventually("all were asked once", || served.get("/readyz").0 == 200);
    for (forge, a) in [("hub", &hub_app), ("lab", &lab_app)] {
        let times = measure(forge, a, &sandbox, &served);
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        println!(
            "{forge}: {PUSHES} pushes: median {:.0} ms, slowest {:.0} ms",
            ms(&times[PUSHES / 2]),
            ms(times.last().unwrap())
        );
    }
    assert_eq!(served.agent.term().code, Some(0));
}
