//! A, B, a git server, a cluster and a home directory.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::gitserver::{GitOptions, GitServer};
use crate::repo::BareRepo;
use crate::sandbox::{Agent, Output, Sandbox};
use sentry_apiserver::ApiServer;

/// The token that the git server demands.
pub const TOKEN: &str = "canary-t0ken-9f2c7a";
/// A Task `unit`.
pub const TASK: &str = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n\
                    spec: {steps: [{name: s, image: busybox, script: 'true'}]}\n";
/// A Pipeline `suite` of that Task.
pub const PIPELINE: &str = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: suite}\n\
                        spec: {tasks: [{name: unit, taskRef: {name: unit}}]}\n";
/// A run with a fixed name that carries its commit in the parameter `sha`.
pub const FIXED: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: nightly}\n\
                     spec: {pipelineRef: {name: suite}, params: [{name: sha, value: '{{ revision }}'}]}\n";
const GENERATED: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: smoke-}\n\
                         spec: {pipelineRef: {name: suite}}\n";
/// Runs sort before what they need, as real trees have it.
pub const TREE: &[(&str, &str)] = &[
    (".tekton/a-run.yaml", FIXED),
    (".tekton/b-smoke.yaml", GENERATED),
    (".tekton/p.yaml", PIPELINE),
    (".tekton/t.yml", TASK),
];

/// Which deployer `sentry` delivers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The real kubectl.
    Kubectl,
    /// Sentry itself.
    Native,
}

impl By {
    /// Both.
    pub const EACH: [Self; 2] = [Self::Kubectl, Self::Native];

    /// The settings of a watch's `cluster` that choose it, for a kubeconfig.
    #[must_use]
    pub fn settings(self, kubeconfig: &Path) -> String {
        let kubeconfig = kubeconfig.display();
        match self {
            Self::Kubectl => format!("kubectl: {{kubeconfig: '{kubeconfig}'}}"),
            Self::Native => format!("deployer: native, native: {{kubeconfig: '{kubeconfig}'}}"),
        }
    }
}

/// What fetches from http repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Sentry itself.
    Within,
    /// The git program.
    Program,
}

impl Fetch {
    /// Both.
    pub const EACH: [Self; 2] = [Self::Within, Self::Program];

    /// The settings of a forge that choose it.
    #[must_use]
    pub fn settings(self) -> &'static str {
        match self {
            Self::Within => "",
            Self::Program => ", git: program",
        }
    }
}

/// A, B, a git server, a cluster and a home directory.
#[derive(Debug)]
pub struct Road {
    /// The product.
    pub a: BareRepo,
    /// The tests.
    pub b: BareRepo,
    /// Serves both, to those who show [`TOKEN`].
    pub git: GitServer,
    /// Has the namespace `qa`; each new run ends at once.
    pub cluster: ApiServer,
    /// Where `sentry` runs.
    pub sandbox: Sandbox,
    /// What it delivers with.
    pub by: By,
    /// What it fetches with, from the next configuration on.
    pub fetch: Fetch,
    _repos: TempDir,
}

impl Default for Road {
    fn default() -> Self {
        Self::new()
    }
}

impl Road {
    /// One whose B holds [`TREE`], and that watches `main` and `release/*`.
    pub fn new() -> Self {
        Self::with(TREE)
    }

    /// One whose B holds these files.
    pub fn with(tree: &[(&str, &str)]) -> Self {
        Self::by(By::Kubectl, tree)
    }

    /// The same, delivered by one or the other.
    pub fn by(by: By, tree: &[(&str, &str)]) -> Self {
        let repos = TempDir::new().expect("a temporary directory");
        let (a, b) =
            (BareRepo::create(repos.path(), "a.git"), BareRepo::create(repos.path(), "b.git"));
        a.commit("main", &[("README.md", "A")], "first");
        b.commit("main", tree, "tests");
        let git = GitServer::start(repos.path(), GitOptions::default(), None);
        git.tokens().grant(TOKEN);
        let cluster = ApiServer::start();
        cluster.add_namespace("qa");
        cluster.end_new_runs();
        let mut sandbox = Sandbox::new();
        sandbox.env("GIT_TOKEN", TOKEN);
        let fetch = Fetch::Within;
        let road = Self { a, b, git, cluster, sandbox, by, fetch, _repos: repos };
        road.configure("branches: [main, 'release/*']");
        road
    }

    /// One where runs go on until they are ended; the first heads are recorded.
    pub fn endless() -> Self {
        let mut road = Self::new();
        road.cluster = ApiServer::start();
        road.configure("branches: [main]");
        road.once();
        road
    }

    /// Writes the configuration with this selection of branches (a YAML line of `source`).
    pub fn configure(&self, branches: &str) {
        self.write_config(branches, "");
    }

    /// The usual watch with one more setting.
    pub fn configure_watch(&self, setting: &str) {
        self.configure_with("branches: [main, 'release/*']", setting);
    }

    /// This selection (a YAML line of `source`), and one more setting of the watch.
    pub fn configure_with(&self, selection: &str, setting: &str) {
        self.write_config(selection, &format!("    {setting}\n"));
    }

    /// The usual watch with B at another place, and with more settings (YAML lines, those after the first indented by 4).
    pub fn configure_b(&self, url: &str, more: &str) {
        let more = if more.is_empty() { String::new() } else { format!("    {more}\n") };
        self.write(&["branches: [main]", url, &more]);
    }

    fn write_config(&self, branches: &str, more: &str) {
        self.write(&[branches, &self.git.url("b.git"), more]);
    }

    fn write(&self, [branches, b, more]: &[&str; 3]) {
        let kubeconfig: PathBuf = self.cluster.kubeconfig(self.sandbox.root());
        // A token goes to one server: B's has a forge of its own.
        let b_forge = if b.starts_with(&self.git.http().origin()) { "plain" } else { "other" };
        self.sandbox.write_config(&format!(
            "forges:\n  plain: {{type: git, token: '${{GIT_TOKEN}}'{fetch}}}\n  \
             other: {{type: git, token: '${{GIT_TOKEN}}'{fetch}}}\nwatches:\n  - name: qa\n    polling_interval: 1\n    \
             source: {{forge: plain, url: '{}', {branches}}}\n    manifests: {{forge: {b_forge}, url: '{}', branch: main}}\n    \
             cluster: {{context: default, namespace: qa, {}}}\n{more}",
            self.git.url("a.git"),
            b,
            self.by.settings(&kubeconfig),
            fetch = self.fetch.settings()
        ));
    }

    /// One cycle: `sentry watch --once`.
    pub fn once(&self) -> Output {
        self.sandbox.sentry(["watch", "--once"])
    }

    /// A running agent.
    pub fn watch(&self) -> Agent {
        self.sandbox.spawn(["watch", "--log-level", "debug"])
    }

    /// A commit on `main` of A; its SHA.
    pub fn push(&self) -> String {
        self.a.commit("main", &[("README.md", &format!("{}", fastrand()))], "work")
    }

    /// The PipelineRuns on the cluster.
    pub fn runs(&self) -> Vec<Value> {
        self.cluster.objects_of("PipelineRun")
    }

    /// What a command answers as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.sandbox.sentry(args);
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {output:?}"))
    }

    /// What `sentry why` says of a commit.
    pub fn why(&self, sha: &str) -> String {
        self.sandbox.sentry(["why", sha]).stdout
    }

    /// Waits until the runs of a commit's delivery ended: what is said of it changes no more.
    ///
    /// # Panics
    /// If that does not happen.
    #[track_caller]
    pub fn until_settled(&self, sha: &str) {
        crate::sandbox::eventually("the delivery and its runs ended", || {
            let history = self.json(&["history", "-o", "json"]);
            let deliveries = history["deliveries"].as_array().expect("a list");
            deliveries.iter().any(|d| d["revision"] == sha && !d["finished"].is_null())
        });
    }
}

/// Different every time.
fn fastrand() -> u128 {
    std::time::Instant::now().elapsed().as_nanos() ^ u128::from(std::process::id()) ^ {
        use std::hash::{BuildHasher as _, Hasher as _};
        u128::from(std::collections::hash_map::RandomState::new().build_hasher().finish())
    }
}
