//! A, B, a git server, a cluster and a home directory.

use std::path::PathBuf;

use sentry_tests::apiserver::ApiServer;
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::{Agent, Output, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "canary-t0ken-9f2c7a";
pub(crate) const TASK: &str = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n\
                    spec: {steps: [{name: s, image: busybox, script: 'true'}]}\n";
pub(crate) const PIPELINE: &str = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: suite}\n\
                        spec: {tasks: [{name: unit, taskRef: {name: unit}}]}\n";
pub(crate) const FIXED: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: nightly}\n\
                     spec: {pipelineRef: {name: suite}, params: [{name: sha, value: '{{ revision }}'}]}\n";
const GENERATED: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: smoke-}\n\
                         spec: {pipelineRef: {name: suite}}\n";
/// Runs sort before what they need, as real trees have it.
pub(crate) const TREE: &[(&str, &str)] = &[
    (".tekton/a-run.yaml", FIXED),
    (".tekton/b-smoke.yaml", GENERATED),
    (".tekton/p.yaml", PIPELINE),
    (".tekton/t.yml", TASK),
];

/// A, B, a git server, a cluster and a home directory.
pub(crate) struct Road {
    pub(crate) a: BareRepo,
    pub(crate) b: BareRepo,
    pub(crate) git: GitServer,
    pub(crate) cluster: ApiServer,
    pub(crate) sandbox: Sandbox,
    _repos: TempDir,
}

impl Road {
    pub(crate) fn new() -> Self {
        Self::with(TREE)
    }

    /// One whose B holds these files.
    pub(crate) fn with(tree: &[(&str, &str)]) -> Self {
        let repos = TempDir::new().unwrap();
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
        let road = Self { a, b, git, cluster, sandbox, _repos: repos };
        road.configure("branches: [main, 'release/*']");
        road
    }

    /// One where runs go on until they are ended; the first heads are recorded.
    pub(crate) fn endless() -> Self {
        let mut road = Self::new();
        road.cluster = ApiServer::start();
        road.configure("branches: [main]");
        road.once();
        road
    }

    pub(crate) fn configure(&self, branches: &str) {
        self.write_config(branches, "");
    }

    /// The usual watch with one more setting.
    pub(crate) fn configure_watch(&self, setting: &str) {
        self.write_config("branches: [main, 'release/*']", &format!("    {setting}\n"));
    }

    fn write_config(&self, branches: &str, more: &str) {
        let kubeconfig: PathBuf = self.cluster.kubeconfig(self.sandbox.root());
        self.sandbox.write_config(&format!(
            "forges:\n  plain: {{type: git, token: '${{GIT_TOKEN}}'}}\nwatches:\n  - name: qa\n    polling_interval: 1\n    \
             source: {{forge: plain, url: '{}', {branches}}}\n    manifests: {{forge: plain, url: '{}', branch: main}}\n    \
             cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\n{more}",
            self.git.url("a.git"),
            self.git.url("b.git"),
            kubeconfig.display()
        ));
    }

    pub(crate) fn once(&self) -> Output {
        self.sandbox.sentry(["watch", "--once"])
    }

    pub(crate) fn watch(&self) -> Agent {
        self.sandbox.spawn(["watch", "--log-level", "debug"])
    }

    pub(crate) fn push(&self) -> String {
        self.a.commit("main", &[("README.md", &format!("{}", fastrand()))], "work")
    }

    pub(crate) fn runs(&self) -> Vec<Value> {
        self.cluster.objects_of("PipelineRun")
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.sandbox.sentry(args);
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {output:?}"))
    }

    pub(crate) fn why(&self, sha: &str) -> String {
        self.sandbox.sentry(["why", sha]).stdout
    }
}

/// Different every time.
fn fastrand() -> u128 {
    std::time::Instant::now().elapsed().as_nanos() ^ u128::from(std::process::id()) ^ {
        use std::hash::{BuildHasher as _, Hasher as _};
        u128::from(std::collections::hash_map::RandomState::new().build_hasher().finish())
    }
}
