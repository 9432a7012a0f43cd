//! Cancel, from the command and the API to the cluster's API server and the commit at the forge.

use std::thread::{ScopedJoinHandle, scope};

use sentry_apiserver::{ApiServer, Outcome};
use sentry_tests::forges::{ForgeOptions, github::GitHub};
use sentry_tests::repo::BareRepo;
use sentry_tests::road::TREE;
use sentry_tests::sandbox::{Output, Sandbox, eventually};
use sentry_tests::wire::Wired;
use serde_json::Value;
use tempfile::TempDir;

const TOKEN: &str = "github-token-90ab12";
const ASK: &str = "trigger-t0ken-1b7f";

/// A and B on GitHub, a cluster whose runs go on until they are ended, and a home directory.
struct Scene {
    a: BareRepo,
    hub: GitHub,
    cluster: ApiServer,
    sandbox: Sandbox,
    _repos: TempDir,
}

/// A run's name, and what its `spec.status` was set to.
type Patch = (String, String);

impl Scene {
    /// The first heads are recorded. With more settings of the watch: YAML lines, indented by 4.
    fn with(more: &str) -> Self {
        let repos = TempDir::new().unwrap();
        let a = BareRepo::create(repos.path(), "o/a.git");
        let b = BareRepo::create(repos.path(), "o/b.git");
        a.commit("main", &[("README.md", "A")], "first");
        a.commit("release/1", &[("README.md", "R")], "first");
        b.commit("main", TREE, "tests");
        let hub = GitHub::start(
            repos.path(),
            ForgeOptions { enterprise: true, ..ForgeOptions::default() },
        );
        hub.tokens().grant(TOKEN);
        let cluster = ApiServer::start();
        cluster.add_namespace("qa");
        let mut sandbox = Sandbox::new();
        sandbox.env("HUB", TOKEN).env("ASK", ASK);
        let url = |repo: &str| hub.clone_url(repo).trim_end_matches(".git").to_owned();
        sandbox.write_config(&format!(
            "server: {{tokens: [{{name: ada, token: '${{ASK}}', may: [read, trigger]}}]}}\n\
             forges:\n  hub: {{type: github, url: '{}', token: '${{HUB}}'}}\nwatches:\n  - name: qa\n    \
             polling_interval: 1\n    source: {{forge: hub, url: '{}', branches: [main, 'release/*']}}\n    \
             manifests: {{forge: hub, url: '{}', branch: main}}\n    \
             cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\n{more}",
            hub.http().origin(),
            url("o/a"),
            url("o/b"),
            cluster.kubeconfig(sandbox.root()).display()
        ));
        let first = sandbox.sentry(["watch", "--once"]);
        assert_eq!(first.code, Some(0), "{first:?}");
        Self { a, hub, cluster, sandbox, _repos: repos }
    }

    fn agent(&self) -> Wired {
        let mut wired = Wired::start(&self.sandbox, &[]);
        wired.agent.wait_for_log("started");
        wired
    }

    fn push(&self, branch: &str, text: &str) -> String {
        self.a.commit(branch, &[("README.md", text)], "work")
    }

    fn sentry(&self, args: &[&str]) -> Output {
        self.sandbox.sentry(args)
    }

    /// The deliveries of a commit, newest first.
    fn deliveries(&self, sha: &str) -> Vec<Value> {
        let history = self.sentry(&["history", "-o", "json"]);
        let history: Value = serde_json::from_str(&history.stdout).unwrap();
        let all = history["deliveries"].as_array().unwrap().clone();
        all.into_iter().filter(|delivery| delivery["revision"] == sha).collect()
    }

    /// The id of a commit's newest delivery, once it is in this state.
    #[track_caller]
    fn once(&self, sha: &str, state: &str) -> String {
        let mut id = String::new();
        eventually(&format!("{sha} is {state}"), || {
            let newest = self.deliveries(sha).into_iter().next();
            let newest = newest.filter(|delivery| delivery["state"] == state);
            newest.map(|delivery| id = delivery["id"].as_str().unwrap().to_owned()).is_some()
        });
        id
    }

    /// What the API server was told of runs that are to end, in order.
    fn patches(&self) -> Vec<Patch> {
        let asked =
            self.cluster.requests().into_iter().filter(|r| r.method == "PATCH" && r.status == 200);
        let word = |status: &Value| status.as_str().map(ToOwned::to_owned);
        asked
            .filter_map(|request| {
                let word = word(&request.body["spec"]["status"])?;
                Some((request.path.rsplit('/').next()?.to_owned(), word))
            })
            .collect()
    }

    /// The states and texts that a commit was shown, in order.
    fn told(&self, sha: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mine = self.hub.statuses().into_iter().filter(|status| status.sha == sha);
        mine.map(|s| (text(&s.body["state"]), text(&s.body["description"]))).collect()
    }

    /// The commit says by whom, once; so does `why`; and nothing of it goes on.
    #[track_caller]
    fn is_cancelled(&self, sha: &str, by: &str) {
        self.once(sha, "cancelled");
        let text = format!("cancelled by {by}");
        let is_told = || self.told(sha).into_iter().filter(|(_, t)| t.starts_with(&text)).count();
        eventually("the commit says so", || is_told() > 0);
        let told = self.told(sha);
        assert_eq!((is_told(), told.last().unwrap().0.as_str()), (1, "error"), "{told:?}");
        let why = self.sentry(&["why", sha]).stdout;
        assert!(why.lines().next().unwrap().ends_with(": cancelled"), "{why}");
        assert!(why.contains(&text), "{why}");
        let runs = self.cluster.objects_of("PipelineRun");
        let left = runs.iter().filter(|run| run.to_string().contains(sha));
        let active = self.cluster.active_runs();
        let left: Vec<_> = left
            .filter(|run| active.iter().any(|name| run["metadata"]["name"] == **name))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Who gives commands here.
fn user() -> String {
    let id = std::process::Command::new("id").args(["-un"]).output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

#[track_caller]
fn joined(command: ScopedJoinHandle<'_, Output>) -> Output {
    command.join().unwrap()
}

#[test]
fn runs_that_go_on_are_asked_to_end_once_and_all_others_are_left_alone() {
    let scene = Scene::with("");
    let wired = scene.agent();
    let other = scene.push("release/1", "r");
    scene.once(&other, "following");
    let others = scene.cluster.active_runs();
    let waits = scope(|scope| {
        let command = scope.spawn(|| scene.sentry(&["trigger", "--branch", "main"]));
        eventually("its runs go on", || scene.cluster.active_runs().len() == 4);
        let mut mine = scene.cluster.active_runs();
        mine.retain(|run| !others.contains(run));
        assert!(scene.cluster.finish_run(&mine[0], Outcome::Succeeded));
        let sha = scene.a.branch_at("main").unwrap();
        let id = scene.once(&sha, "following");
        let cancel = scene.sentry(&["cancel", &id]);
        assert_eq!(cancel.code, Some(0), "{cancel:?}");
        assert!(cancel.stdout.contains("state      cancelled"), "{}", cancel.stdout);
        assert_eq!(scene.patches(), [(mine[1].clone(), "CancelledRunFinally".to_owned())]);
        scene.is_cancelled(&sha, &user());
        let again = scene.sentry(&["cancel", &id]);
        assert_eq!(again.code, Some(2), "{again:?}");
        assert!(again.stderr.contains(&format!("delivery {id} has ended: cancelled")), "{again:?}");
        joined(command)
    });
    assert_eq!(waits.code, Some(1), "who waits for it learns of it: {waits:?}");
    assert_eq!(scene.cluster.active_runs(), others);
    scene.once(&other, "following");
    let unknown = scene.sentry(&["cancel", "01aaaaaaaa"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("01aaaaaaaa"), "{unknown:?}");
    assert_eq!(scene.patches().len(), 1);
    wired.agent.term();
}

#[test]
fn the_api_cancels_by_the_tokens_name_and_of_several_at_once_each_run_is_asked_once() {
    let scene = Scene::with("");
    let wired = scene.agent();
    let json = ("content-type", "application/json");
    let bearer = format!("Bearer {ASK}");
    let token = ("authorization", bearer.as_str());
    let sha = scene.push("main", "3");
    let id = scene.once(&sha, "following");
    let path = format!("/api/v1/deliveries/{id}/cancel");
    let answers = scope(|scope| {
        let asks: Vec<_> =
            (0..4).map(|_| scope.spawn(|| wired.post(&path, &[json, token], b"{}").0)).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(answers.iter().all(|status| [202, 200, 409].contains(status)), "{answers:?}");
    scene.is_cancelled(&sha, "ada");
    let patched = scene.patches();
    let mut names: Vec<_> = patched.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), patched.len()), (2, 2), "each run once: {patched:?}");
    wired.agent.term();
}

#[test]
fn what_is_checked_written_or_queued_begins_no_more_runs() {
    let scene = Scene::with("    max_active_runs: 3\n");
    let wired = scene.agent();
    let first = scene.push("release/1", "r");
    scene.once(&first, "following");
    let held = scene.cluster.active_runs();
    // One run of two has room.
    let sha = scene.push("main", "queued");
    let id = scene.once(&sha, "following");
    assert_eq!(scene.cluster.active_runs().len(), 3);
    assert_eq!(scene.sentry(&["cancel", &id]).code, Some(0));
    scene.is_cancelled(&sha, &user());
    assert_eq!((scene.patches().len(), scene.cluster.active_runs()), (1, held));
    // A write that hangs is completed, or known not to be, before what it made is cancelled.
    scene.cluster.faults().hang_writes();
    let sha = scene.push("main", "writing");
    eventually("it is at work", || {
        scene
            .deliveries(&sha)
            .first()
            .is_some_and(|d| ["checking", "applying"].iter().any(|s| d["state"] == *s))
    });
    let id = scene.deliveries(&sha)[0]["id"].as_str().unwrap().to_owned();
    let kept = scene.sentry(&["cancel", &id, "--no-wait"]);
    assert_eq!(kept.code, Some(0), "{kept:?}");
    scene.cluster.faults().heal();
    let newer = scene.push("main", "newer");
    scene.is_cancelled(&sha, &user());
    scene.once(&newer, "following");
    wired.agent.term();
}

#[test]
fn while_the_cluster_is_away_or_the_watch_is_suspended_the_cancel_holds_and_a_rerun_begins_anew() {
    let scene = Scene::with("");
    let wired = scene.agent();
    let sha = scene.push("main", "1");
    let id = scene.once(&sha, "following");
    assert_eq!(scene.sentry(&["suspend", "qa"]).code, Some(0));
    scene.cluster.faults().answer_all(503, None);
    scene.cluster.cut_watches();
    assert_eq!(scene.sentry(&["cancel", &id, "--no-wait"]).code, Some(0));
    eventually("it is taken up", || scene.sentry(&["why", &sha]).stdout.contains("cancelled by"));
    scene.once(&sha, "following");
    scene.cluster.faults().heal();
    scene.is_cancelled(&sha, &user());
    assert_eq!(scene.patches().len(), 2);
    assert_eq!(scene.sentry(&["resume", "qa"]).code, Some(0));
    let again = scope(|scope| {
        let command = scope.spawn(|| scene.sentry(&["rerun", &id]));
        eventually("new runs go on", || scene.cluster.active_runs().len() == 2);
        scene.cluster.active_runs().iter().for_each(|run| {
            assert!(scene.cluster.finish_run(run, Outcome::Succeeded));
        });
        joined(command)
    });
    assert_eq!(again.code, Some(0), "{again:?}");
    eventually("the commit says so", || scene.told(&sha).last().unwrap().0 == "success");
    assert_eq!(scene.deliveries(&sha).len(), 2, "nothing began by itself");
    wired.agent.term();
}

#[test]
fn without_an_agent_the_command_that_delivers_is_cancelled_by_another_one() {
    let scene = Scene::with("");
    let sha = scene.a.branch_at("main").unwrap();
    let (cancel, waits) = scope(|scope| {
        let command = scope.spawn(|| scene.sentry(&["trigger", "--branch", "main"]));
        let id = scene.once(&sha, "following");
        let cancel = scene.sentry(&["cancel", &id]);
        (cancel, joined(command))
    });
    assert_eq!((cancel.code, waits.code), (Some(0), Some(1)), "{cancel:?} {waits:?}");
    scene.is_cancelled(&sha, &user());
    assert_eq!(scene.patches().len(), 2);
    // And where nobody is at work at all, the command does it by itself.
    let newer = scene.push("main", "2");
    let agent = scene.agent();
    let id = scene.once(&newer, "following");
    agent.agent.kill9();
    let cancel = scene.sentry(&["cancel", &id]);
    assert_eq!(cancel.code, Some(0), "{cancel:?}");
    scene.is_cancelled(&newer, &user());
    assert_eq!(scene.patches().len(), 4);
}
