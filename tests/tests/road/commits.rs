//! What developers see on A's commits, on GitHub by a token and by an App, and on GitLab: judged by what the forge was
//! asked to show, while the agent stops, dies and is cut off in between.

use sentry_apiserver::{ApiServer, Outcome};
use sentry_tests::forges::{ForgeOptions, PostedStatus, github::GitHub, gitlab::GitLab};
use sentry_tests::http::HttpServer;
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::{Agent, Sandbox, eventually};
use tempfile::TempDir;

const TOKEN: &str = "reporting-token-6c41d2";
/// Two runs for `main` only.
const RUNS: [&str; 2] = ["unit", "smoke"];
const FAILED: Outcome<'_> = Outcome::Failed { task: "t", step: "s", exit_code: 1, log: "no" };

fn run(name: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: {name}-\n  annotations:\n    \
         pipelinesascode.tekton.dev/on-event: '[push]'\n    \
         pipelinesascode.tekton.dev/on-target-branch: '[main]'\n\
         spec: {{pipelineSpec: {{tasks: [{{name: t, taskSpec: {{steps: [{{name: s, image: busybox}}]}}}}]}}}}\n"
    )
}

/// Where statuses are shown.
enum Forge {
    Token(GitHub),
    App(GitHub),
    Lab(GitLab),
}

impl Forge {
    fn http(&self) -> &HttpServer {
        match self {
            Self::Token(hub) | Self::App(hub) => hub.http(),
            Self::Lab(lab) => lab.http(),
        }
    }

    /// The forge's entry of the configuration.
    fn entry(&self, sandbox: &Sandbox) -> String {
        let origin = self.http().origin();
        match self {
            Self::Token(_) => format!("{{type: github, url: '{origin}', token: '${{TOKEN}}'}}"),
            Self::Lab(_) => format!("{{type: gitlab, url: '{origin}', token: '${{TOKEN}}'}}"),
            Self::App(_) => {
                let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
                let file = sandbox.write("app.pem", key.serialize_pem());
                format!(
                    "{{type: github, url: '{origin}', app: {{id: 1, installation_id: 42, private_key_file: '{}'}}}}",
                    file.display()
                )
            }
        }
    }

    fn posted(&self) -> Vec<PostedStatus> {
        match self {
            Self::Token(hub) => hub.statuses(),
            Self::App(hub) => hub.check_requests(),
            Self::Lab(lab) => lab.statuses(),
        }
    }

    /// How many requests wanted to show something, refused ones too.
    fn asked(&self) -> usize {
        let log = self.http().log().all();
        let shows = |path: &str| path.contains("/statuses/") || path.contains("/check-runs");
        log.iter().filter(|r| r.method != "GET" && shows(&r.path)).count()
    }

    /// State and text of a request's body.
    fn read(&self, posted: &PostedStatus) -> (String, String) {
        let body = &posted.body;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        match self {
            Self::App(_) => {
                let state = if body["conclusion"].is_null() { "status" } else { "conclusion" };
                (text(&body[state]), text(&body["output"]["title"]))
            }
            _ => (text(&body["state"]), text(&body["description"])),
        }
    }

    /// What this forge calls a state of ours.
    fn word(&self, state: &'static str) -> &'static str {
        match (self, state) {
            (Self::Token(_), "neutral") | (Self::Lab(_), "neutral") => "success",
            (Self::App(_), "pending") => "in_progress",
            (Self::App(_), "error") => "action_required",
            (Self::Lab(_), "pending") => "running",
            (Self::Lab(_), "failure" | "error") => "failed",
            (_, same) => same,
        }
    }
}

/// A and B on one forge, and a cluster whose runs go on until they are ended.
struct Scene {
    a: BareRepo,
    forge: Forge,
    cluster: ApiServer,
    sandbox: Sandbox,
    _repos: TempDir,
}

impl Scene {
    fn new(forge: impl FnOnce(&std::path::Path) -> Forge) -> Self {
        let repos = TempDir::new().unwrap();
        let a = BareRepo::create(repos.path(), "product/app.git");
        let b = BareRepo::create(repos.path(), "qa/tests.git");
        let root = a.commit("main", &[("README.md", "A")], "first");
        a.force("docs", &root);
        let [unit, smoke] = RUNS.map(run);
        b.commit("main", &[(".tekton/a.yaml", &unit), (".tekton/b.yaml", &smoke)], "tests");
        let (forge, cluster) = (forge(repos.path()), ApiServer::start());
        let mut sandbox = Sandbox::new();
        sandbox.env("TOKEN", TOKEN);
        let scene = Self { a, forge, cluster, sandbox, _repos: repos };
        scene.configure("");
        let first = scene.sandbox.sentry(["watch", "--once"]);
        assert_eq!(first.code, Some(0), "{first:?}");
        scene
    }

    /// The watch with one more setting.
    fn configure(&self, setting: &str) {
        let origin = self.forge.http().origin();
        self.sandbox.write_config(&format!(
            "forges:\n  there: {}\nwatches:\n  - name: qa\n    polling_interval: 1\n    \
             source: {{forge: there, url: '{origin}/product/app', branches: [main, docs]}}\n    \
             manifests: {{forge: there, url: '{origin}/qa/tests', branch: main}}\n    \
             cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\n    {setting}\n",
            self.forge.entry(&self.sandbox),
            self.cluster.kubeconfig(self.sandbox.root()).display()
        ));
    }

    fn agent(&self) -> Agent {
        let mut agent = self.sandbox.spawn(["watch"]);
        agent.wait_for_log("started");
        agent
    }

    fn push(&self, branch: &str, message: &str) -> String {
        self.a.commit(branch, &[("README.md", message)], message)
    }

    /// Pushes, and waits until both runs go on and the commit says so.
    fn begin(&self, agent: &Agent, message: &str) -> String {
        let sha = self.push("main", message);
        eventually("both runs go on", || self.cluster.active_runs().len() == RUNS.len());
        let noted = |line: &str| line.contains("status set") && line.contains(&sha);
        eventually("it is noted that the commit shows it", || {
            agent.stderr_so_far().lines().any(noted)
        });
        assert_eq!(self.states(&sha), [self.forge.word("pending")]);
        sha
    }

    fn end(&self, outcome: Outcome<'_>) {
        let run = self.cluster.active_runs().remove(0);
        assert!(self.cluster.finish_run(&run, outcome));
    }

    fn shown(&self, sha: &str) -> Vec<(String, String)> {
        let posted = self.forge.posted();
        posted.iter().filter(|p| p.sha == sha).map(|p| self.forge.read(p)).collect()
    }

    fn states(&self, sha: &str) -> Vec<String> {
        self.shown(sha).into_iter().map(|(state, _)| state).collect()
    }

    /// The commit comes to show this verdict, after nothing but "pending".
    #[track_caller]
    fn comes_to(&self, sha: &str, state: &'static str, text: &str) {
        eventually(state, || self.shown(sha).last().is_some_and(|(_, last)| last.contains(text)));
        let want = ["pending", state].map(|state| self.forge.word(state));
        assert_eq!(self.states(sha), want, "{:?}", self.shown(sha));
    }

    /// The commit comes to show that nothing runs, and nothing else.
    #[track_caller]
    fn only_says(&self, sha: &str, text: &str) {
        eventually(text, || self.shown(sha).last().is_some_and(|(_, last)| last.contains(text)));
        assert_eq!(self.states(sha), [self.forge.word("neutral")], "{:?}", self.shown(sha));
    }
}

fn every_end_is_shown_once(scene: &Scene) {
    let mut agent = scene.agent();
    let good = scene.begin(&agent, "succeeds, while watches are cut");
    scene.cluster.cut_watches();
    scene.end(Outcome::Succeeded);
    scene.cluster.cut_watches();
    scene.end(Outcome::Succeeded);
    scene.comes_to(&good, "success", "2 runs succeeded");

    let bad = scene.begin(&agent, "fails, while the agent is away");
    scene.end(Outcome::Succeeded);
    assert_eq!(agent.term().code, Some(0));
    scene.end(FAILED);
    agent = scene.agent();
    scene.comes_to(&bad, "failure", "1 of 2 runs failed");

    let slow = scene.begin(&agent, "times out, while the agent is dead");
    agent.kill9();
    scene.end(Outcome::TimedOut);
    agent = scene.agent();
    scene.end(Outcome::Succeeded);
    scene.comes_to(&slow, "failure", "the pipeline timed out after 1h0m0s");

    let stopped = scene.begin(&agent, "is cancelled by somebody");
    scene.end(Outcome::Cancelled);
    scene.cluster.cut_watches();
    scene.end(Outcome::Succeeded);
    scene.comes_to(&stopped, "error", "was cancelled");

    let lost = scene.begin(&agent, "is deleted while it is followed");
    scene.cluster.expire_watches();
    let run = scene.cluster.active_runs().remove(0);
    assert!(scene.cluster.delete("PipelineRun", &run));
    scene.end(Outcome::Succeeded);
    scene.comes_to(&lost, "error", "was deleted");

    let marked = scene.push("main", "words [skip ci]");
    scene.only_says(&marked, "skipped by marker");
    let idle = scene.push("docs", "nothing runs for this branch");
    scene.only_says(&idle, "no run matched");

    assert_eq!(agent.term().code, Some(0));
    for (sha, state) in [
        (&good, "success"),
        (&bad, "failure"),
        (&slow, "failure"),
        (&stopped, "error"),
        (&lost, "error"),
    ] {
        let want = ["pending", state].map(|state| scene.forge.word(state));
        assert_eq!(scene.states(sha), want, "also in the end");
    }
    assert_eq!(scene.forge.asked(), scene.forge.posted().len(), "no request was refused");
    assert_eq!(scene.cluster.creates_of("PipelineRun").len(), 5 * RUNS.len());
}

fn hub(root: &std::path::Path) -> GitHub {
    let hub = GitHub::start(root, ForgeOptions { enterprise: true, ..ForgeOptions::default() });
    hub.tokens().grant(TOKEN);
    hub
}

fn lab(root: &std::path::Path) -> GitLab {
    let lab = GitLab::start(root, ForgeOptions::default());
    lab.tokens().grant(TOKEN);
    lab
}

#[test]
fn github_shows_every_end_of_runs_once_as_a_status_of_a_token() {
    every_end_is_shown_once(&Scene::new(|root| Forge::Token(hub(root))));
}

#[test]
fn github_shows_every_end_of_runs_once_as_a_check_run_of_an_app() {
    every_end_is_shown_once(&Scene::new(|root| Forge::App(hub(root))));
}

#[test]
fn gitlab_shows_every_end_of_runs_once_as_a_status() {
    every_end_is_shown_once(&Scene::new(|root| Forge::Lab(lab(root))));
}

#[test]
fn runs_that_wait_for_room_are_one_pending_status_until_the_last_has_ended() {
    let scene = Scene::new(|root| Forge::Token(hub(root)));
    scene.configure("max_active_runs: 1");
    let agent = scene.agent();
    let sha = scene.push("main", "two runs, one at a time");
    for number in 1..=RUNS.len() {
        eventually("one goes on", || scene.cluster.creates_of("PipelineRun").len() == number);
        scene.end(Outcome::Succeeded);
    }
    scene.comes_to(&sha, "success", "2 runs succeeded");
    assert_eq!(scene.cluster.most_active_runs(), 1);
    assert_eq!(agent.term().code, Some(0));
}

/// Two commits are delivered and end, nothing is shown, and why is told once.
fn deliveries_go_on_and_it_is_told_once(scene: &Scene) {
    scene.cluster.end_new_runs();
    let mut agent = scene.agent();
    for (number, message) in [(1, "first"), (2, "second")] {
        let sha = scene.push("main", message);
        eventually("its runs are over", || {
            scene.sandbox.sentry(["why", &sha]).stdout.contains("2 succeeded")
        });
        assert_eq!(scene.cluster.creates_of("PipelineRun").len(), number * RUNS.len());
    }
    let denied = "the token may not set statuses";
    // Deliveries do not wait for it.
    agent.wait_for_log(denied);
    let ended = agent.term();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = |text: &str| text.matches(denied).count();
    assert_eq!(told(&ended.stderr), 1, "{}", ended.stderr);
    let status = scene.sandbox.sentry(["status"]);
    assert_eq!(told(&status.stdout), 1, "{}", status.stdout);
    assert!(scene.forge.posted().is_empty());
    assert!(scene.forge.asked() >= 1, "it was the forge that refused");
}

#[test]
fn a_github_token_that_may_not_set_statuses_holds_no_delivery_up() {
    let scene = Scene::new(|root| {
        let hub = hub(root);
        hub.let_read_only(TOKEN);
        Forge::Token(hub)
    });
    deliveries_go_on_and_it_is_told_once(&scene);
}

#[test]
fn a_gitlab_token_that_may_not_set_statuses_holds_no_delivery_up() {
    let scene = Scene::new(|root| {
        let lab = lab(root);
        lab.let_read_only(TOKEN);
        Forge::Lab(lab)
    });
    deliveries_go_on_and_it_is_told_once(&scene);
}
