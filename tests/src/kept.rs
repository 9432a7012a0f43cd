//! A state that a release left behind: where it was made, and where another `sentry` opens it.
//!
//! What the state holds of its surroundings — addresses, names, commits — is the same on every machine: the proxy of the
//! environment leads constant addresses to the servers of this process.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::forges::{ForgeOptions, gitlab::GitLab};
use crate::gitserver::{GitOptions, GitServer};
use crate::proxy::HttpProxy;
use crate::receiver::Receiver;
use crate::repo::BareRepo;
use crate::sandbox::{Sandbox, eventually};
use sentry_apiserver::{ApiServer, Outcome};

/// The token for GitLab, which its fake takes.
const TOKEN: &str = "canary-lab-t0ken-5d20";
/// How a run ends badly.
pub const FAILED: Outcome<'static> =
    Outcome::Failed { task: "unit", step: "s", exit_code: 1, log: "expected 4, got 5\n" };

/// Where a state was made by a release, as it was kept: `state/`, `sentry.yaml`, the repositories' heads, the cluster's
/// objects, and what that release said of it all.
#[must_use]
pub fn of_release(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The product on GitLab, a library and the tests on a plain git server, a cluster, and two receivers of notifications.
#[derive(Debug)]
pub struct Kept {
    /// `product/app`, on GitLab.
    pub app: BareRepo,
    /// `product/lib`, on the git server.
    pub lib: BareRepo,
    /// `qa/tests`, on the git server: what is delivered.
    pub tests: BareRepo,
    /// Takes statuses.
    pub lab: GitLab,
    /// Has no statuses.
    pub git: GitServer,
    /// Has the namespaces `qa` and `narrow`; runs go on until they are ended.
    pub cluster: ApiServer,
    /// Is told of tests that fail.
    pub chat: Receiver,
    /// Is told of what can't be started.
    pub on_call: Receiver,
    /// Where `sentry` runs, with its state in [`Kept::state`].
    pub sandbox: Sandbox,
    _repos: TempDir,
    _proxy: HttpProxy,
}

impl Kept {
    /// Empty repositories, an empty cluster, no state, and the configuration that was kept in this directory.
    ///
    /// # Panics
    /// Where a file can't be read or written.
    #[must_use]
    pub fn empty(kept: &Path, mut sandbox: Sandbox) -> Self {
        let repos = TempDir::new().expect("a temporary directory");
        let [app, lib, tests] = ["product/app.git", "product/lib.git", "qa/tests.git"]
            .map(|name| BareRepo::create(repos.path(), name));
        let lab = GitLab::start(repos.path(), ForgeOptions::default());
        lab.tokens().grant(TOKEN);
        let git = GitServer::start(repos.path(), GitOptions::default(), None);
        let (chat, on_call) = (Receiver::start(), Receiver::start());
        let proxy = HttpProxy::start(None);
        for (port, server) in [
            (3000, git.http()),
            (8929, lab.http()),
            (9101, chat.server()),
            (9102, on_call.server()),
        ] {
            proxy.lead(&format!("localhost:{port}"), server.port());
        }
        let cluster = ApiServer::start();
        cluster.add_namespace("narrow");
        let kubeconfig = cluster.kubeconfig(sandbox.root());
        sandbox
            .env("LAB_TOKEN", TOKEN)
            .env("http_proxy", proxy.url())
            .env("KUBECONFIG", kubeconfig);
        sandbox.env("SENTRY_STATE_DIR", sandbox.root().join("state"));
        let config = std::fs::read_to_string(kept.join("sentry.yaml")).expect("a configuration");
        sandbox.write_config(&config);
        Self {
            app,
            lib,
            tests,
            lab,
            git,
            cluster,
            chat,
            on_call,
            sandbox,
            _repos: repos,
            _proxy: proxy,
        }
    }

    /// All as it was kept in this directory: nothing moved, but that every server is there.
    ///
    /// # Panics
    /// Where a file can't be read or written.
    #[must_use]
    pub fn open(kept: &Path) -> Self {
        let ground = Self::empty(kept, Sandbox::new());
        let read = |name: &str| std::fs::read(kept.join(name)).expect("a file that was kept");
        for (repo, name) in ground.repos() {
            repo.import(&read(name));
        }
        let objects: Vec<Value> = serde_json::from_slice(&read("cluster.json")).expect("objects");
        ground.cluster.restore(&objects);
        copy(&kept.join("state"), &ground.state());
        ground
    }

    /// Keeps all in this directory, with what `sentry` says of it. No agent may run.
    ///
    /// # Panics
    /// Where a file can't be read or written.
    pub fn keep(&self, kept: &Path) {
        let said = self.said(&self.commits());
        let write = |name: &str, text: String| {
            std::fs::write(kept.join(name), text + "\n").expect("a file can be kept");
        };
        for (repo, name) in self.repos() {
            write(name, repo.git(&["fast-export", "--all", "--use-done-feature"]));
        }
        write("cluster.json", json!(self.cluster.objects()).to_string());
        write("said.json", said.to_string());
        copy(&self.state(), &kept.join("state"));
    }

    fn repos(&self) -> [(&BareRepo, &'static str); 3] {
        [
            (&self.app, "app.fast-export"),
            (&self.lib, "lib.fast-export"),
            (&self.tests, "tests.fast-export"),
        ]
    }

    /// The state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.sandbox.root().join("state")
    }

    /// What a command answers as JSON.
    ///
    /// # Panics
    /// Where it answers something else.
    #[must_use]
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.sandbox.sentry([args, &["-o", "json"]].concat());
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {output:?}"))
    }

    /// All deliveries, newest first.
    #[must_use]
    #[track_caller]
    pub fn deliveries(&self) -> Vec<Value> {
        let history = self.json(&["history", "-n", "1000"]);
        history["deliveries"].as_array().cloned().expect("a list")
    }

    /// Every commit of A that is a branch's or was delivered.
    fn commits(&self) -> BTreeSet<String> {
        let listed = [&self.app, &self.lib].map(|repo| repo.git(&["rev-list", "--all"]));
        let delivered = self.deliveries();
        let delivered = delivered.iter().filter_map(|d| d["revision"].as_str());
        listed.iter().flat_map(|list| list.lines()).chain(delivered).map(str::to_owned).collect()
    }

    /// All that `sentry` says: its status, each delivery by id, and why of each commit. Left out is what depends on the time of
    /// asking: the health of an agent that has ended, and the next step, which says in how long.
    #[must_use]
    #[track_caller]
    pub fn said(&self, commits: &BTreeSet<String>) -> Value {
        let mut status = self.json(&["status"]);
        if let Some(agent) = status["agent"].as_object_mut() {
            agent.retain(|key, _| key == "holder" || key == "started");
        }
        let ids = self.deliveries().into_iter().map(|d| d["id"].as_str().map(str::to_owned));
        let show = |id: String| (id.clone(), self.json(&["show", &id]));
        let shows: serde_json::Map<_, _> = ids.flatten().map(show).collect();
        let why = |sha: &String| {
            let mut answers = self.json(&["why", sha])["answers"].take();
            for answer in answers.as_array_mut().into_iter().flatten() {
                answer.as_object_mut().expect("an answer is an object").remove("next_step");
            }
            (sha.clone(), answers)
        };
        let why: serde_json::Map<_, _> = commits.iter().map(why).collect();
        json!({"status": status, "show": shows, "why": why})
    }

    /// Waits until `sentry why` gives this reason for a commit of a watch.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn until(&self, watch: &str, sha: &str, reason: &str) {
        let why = || self.json(&["why", sha, "--watch", watch]);
        eventually(&format!("{sha} of {watch} is {reason}"), || {
            why()["answers"][0]["reason"] == reason
        });
    }

    /// A watch's runs of this document that are there, ended or not: their names.
    #[must_use]
    pub fn runs_of(&self, watch: &str, document: &str) -> Vec<String> {
        self.runs(|run| is_of(run, watch) && name(run).starts_with(document))
    }

    /// The names of a watch's runs of a commit that go on.
    #[must_use]
    pub fn active(&self, watch: &str, sha: &str) -> Vec<String> {
        let active = self.cluster.active_runs();
        let revision =
            |run: &Value| run["metadata"]["annotations"]["sentry-gitops.dev/revision"] == sha;
        self.runs(|run| is_of(run, watch) && revision(run) && active.contains(&name(run)))
    }

    fn runs(&self, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
        let runs = self.cluster.objects_of("PipelineRun");
        runs.iter().filter(|run| wanted(run)).map(name).collect()
    }

    /// Waits until so many runs of a commit go on, and ends them: those of this document so, the others well.
    ///
    /// # Panics
    /// When there are never so many.
    #[track_caller]
    pub fn end(&self, (watch, sha): (&str, &str), runs: usize, document: &str, how: Outcome<'_>) {
        eventually(&format!("{runs} runs of {sha} of {watch} go on"), || {
            self.active(watch, sha).len() == runs
        });
        for run in self.active(watch, sha) {
            let outcome = if run.starts_with(document) { how } else { Outcome::Succeeded };
            assert!(self.cluster.finish_run(&run, outcome), "{run} ended by itself");
        }
    }

    /// Waits until so many deliveries of a commit have ended.
    ///
    /// # Panics
    /// When they do not.
    #[track_caller]
    pub fn until_ended(&self, (watch, sha): (&str, &str), deliveries: usize) {
        let ended =
            |d: &&Value| d["watch"] == watch && d["revision"] == sha && !d["finished"].is_null();
        eventually(&format!("{deliveries} deliveries of {sha} of {watch} ended"), || {
            self.deliveries().iter().filter(ended).count() == deliveries
        });
    }
}

fn is_of(run: &Value, watch: &str) -> bool {
    run["metadata"]["labels"]["sentry-gitops.dev/watch"] == watch
}

fn name(run: &Value) -> String {
    run["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Copies the files of a state that nobody has open, without SQLite's side files, which hold nothing then.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for file in std::fs::read_dir(from).expect("a state directory").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with("-wal") {
            assert_eq!(
                file.metadata().expect("its length").len(),
                0,
                "{name} holds what the state lacks"
            );
        } else if !name.ends_with("-shm") {
            std::fs::copy(file.path(), to.join(name)).expect("a file can be copied");
        }
    }
}
