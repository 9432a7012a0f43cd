//! The program itself over a product with hostile branches, authors and messages: its logs and its answers.

use std::io::Write as _;
use std::process::Stdio;

use sentry_core::subject::Subject;
use sentry_tests::http::Fault;
use sentry_tests::promise::{cases, kept};
use sentry_tests::repo::git;
use sentry_tests::road::Road;
use sentry_tests::sandbox::Output;

use super::shown::uncoloured;
use super::{Hostile, raw};

/// A product whose pusher is hostile; the branches.
struct Pusher {
    road: Road,
    hostile: Hostile,
    branches: Vec<String>,
    outputs: usize,
}

impl Pusher {
    fn new() -> Self {
        let road = Road::with(&[(
            ".tekton/run.yaml",
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: qa-\n  annotations:\n    \
             pipelinesascode.tekton.dev/on-cel-expression: \"'{{ source_branch }}' != 'x' && event_title != 'y'\"\nspec:\n  \
             pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{name: s, image: busybox, script: 'true'}]}}]}\n  \
             params: [{name: b, value: '{{ source_branch }} {{ sender }}'}]\n",
        )]);
        road.configure("branches: '**'");
        let pusher = Self {
            road,
            hostile: Hostile(fastrand::Rng::with_seed(58)),
            branches: Vec::new(),
            outputs: 0,
        };
        let first = pusher.road.once();
        assert_eq!(first.code, Some(0), "{first:?}");
        pusher
    }

    /// Commits to so many new branches, with an author and a message of its own each.
    fn push(&mut self, number: usize) {
        let mut stream = String::new();
        while self.branches.len() < number {
            let branch = self.hostile.branch().name().to_owned();
            let clash = |known: &String| {
                let under = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}/"));
                under(known, &branch) || under(&branch, known)
            };
            // A file system holds no path that is longer, and no file that is a directory.
            if !self.branches.iter().any(clash) && !branch.starts_with("main") && branch.len() < 200
            {
                self.branches.push(branch);
            }
        }
        for branch in &self.branches {
            let name: String =
                self.hostile.text().chars().filter(|c| !"<>\n\0".contains(*c)).collect();
            let message = self.hostile.text();
            stream += &format!(
                "commit refs/heads/{branch}\nauthor {name} <a@b.example> 1700000000 +0000\n\
                 committer Ada <a@b.example> 1700000000 +0000\ndata {}\n{message}\n\
                 M 100644 inline f\ndata {}\n{branch}\n",
                message.len(),
                branch.len()
            );
        }
        let mut import = git(self.road.a.path());
        import.args(["fast-import", "--quiet", "--force", "--date-format=raw"]);
        let mut child = import.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Runs a command that tells something.
    fn told(&mut self, args: &[&str]) -> String {
        let output = self.sentry(args);
        assert!(output.code == Some(0) && !output.stdout.is_empty(), "{args:?}: {output:?}");
        output.stdout
    }

    /// Runs a command, whose output holds nothing raw.
    fn sentry(&mut self, args: &[&str]) -> Output {
        let output = self.road.sandbox.sentry([args, &["--color", "always"]].concat());
        for text in [&output.stdout, &output.stderr] {
            assert_eq!(raw(&uncoloured(text)), None, "{args:?}");
        }
        self.outputs += 1;
        output
    }

    /// A pass that logs all there is.
    fn pass(&mut self, format: &str) {
        self.sentry(&["watch", "--once", "--log-level", "debug", "--log-format", format]);
    }

    /// All that the commands tell afterwards.
    fn ask(&mut self, most: usize) {
        let history = self.told(&["history", "-n", "1000", "-o", "json"]);
        let history: serde_json::Value = serde_json::from_str(&history).unwrap();
        let deliveries = history["deliveries"].as_array().unwrap();
        let known = |d: &serde_json::Value| d["branch"].as_str().map(str::to_owned);
        let told: Vec<String> = deliveries.iter().filter_map(known).collect();
        let text = |branch: &String| Subject::Branch(branch.parse().unwrap()).to_string();
        assert!(self.branches.iter().all(|branch| told.contains(&text(branch))), "{told:?}");
        let deliveries: Vec<_> = deliveries.iter().take(most).cloned().collect();
        for format in ["table", "json"] {
            self.told(&["status", "-o", format]);
            self.told(&["history", "-n", "1000", "-o", format]);
            for delivery in &deliveries {
                let text = |key: &str| delivery[key].as_str().unwrap();
                self.told(&["show", text("id"), "-o", format]);
                self.told(&["why", text("revision"), "-o", format]);
                self.told(&["explain", "-b", text("branch"), "-o", format]);
                self.sentry(&["lint", ".tekton", "-b", text("branch"), "-o", format]);
                self.told(&["diff", "-b", text("branch"), "-o", format]);
            }
        }
        for branch in self.branches.clone().iter().take(most) {
            self.sentry(&["trigger", "-b", &text(branch), "--dry-run"]);
            self.sentry(&["explain", "-b", &format!("{branch}-away")]);
        }
        // No branch at all: the errors name what was asked for.
        for _ in 0..most {
            let text = self.hostile.text().replace('\0', "");
            self.sentry(&["explain", &format!("--branch={text}")]);
            self.sentry(&["show", "--", &text]);
            self.sentry(&["why", "--", &text]);
        }
    }
}

#[test]
fn logs_and_answers_about_a_hostile_pusher_hold_nothing_that_moves_or_turns() {
    let number = cases(40, 4);
    let mut pusher = Pusher::new();
    let hostile = pusher.hostile.text();
    pusher.road.sandbox.write(
        &format!(".tekton/a{}.yaml", hostile.replace(['/', '\0'], "")),
        format!("kind: {}\n", serde_json::to_string(&hostile).unwrap()),
    );
    pusher.push(number);
    let refusal = format!("no {} {}", pusher.hostile.text(), "\u{1b}[2J\u{202e}\u{9b}x");
    pusher.road.cluster.faults().refuse_write("PipelineRun", "", 422, &refusal);
    pusher.pass("text");
    pusher.road.cluster.faults().heal();
    pusher.push(number);
    let body = format!("{} \u{1b}[2J\u{202e}\u{2028}", pusher.hostile.text());
    pusher.road.git.http().faults().next(1, "GET /a.git", Fault::status(500).body(&body));
    pusher.pass("json");
    pusher.pass("json");
    pusher.push(number);
    pusher.pass("text");
    pusher.ask(cases(10, 1));
    let runs = pusher.road.runs().len();
    assert!(runs >= number, "{runs} runs");
    kept(
        53,
        "logs and commands",
        &format!(
            "{number} branches with hostile names, authors and messages, {runs} runs, refusals of cluster and git server: \
             {} outputs of 9 commands and logs, 0 control or direction characters",
            pusher.outputs
        ),
    );
}
