//! A and B on a git server, and a cluster: the one in memory, or a real API server that the environment names.

use std::path::{Path, PathBuf};
use std::process::Command;

use sentry_apiserver::ApiServer;
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::{Agent, Sandbox, eventually};
use serde_json::Value;
use tempfile::TempDir;

use sentry_tests::road::TOKEN;

/// Where runs go. No controller of Tekton's works on them: they go on for ever.
pub(crate) enum Cluster {
    Memory(ApiServer),
    /// A kubeconfig, and a namespace of this test's own.
    Real(PathBuf, String),
}

impl Cluster {
    pub(crate) fn memory() -> Self {
        Self::Memory(ApiServer::start())
    }

    /// The one of `SENTRY_E2E_KUBECONFIG` (context `default`, with Tekton's CRDs) with a namespace named after the
    /// test, which goes when this is dropped.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "only tests of a real one"))]
    pub(crate) fn real(test: &str) -> Self {
        let kubeconfig = std::env::var_os("SENTRY_E2E_KUBECONFIG").expect("it names a kubeconfig");
        let (kubeconfig, namespace) =
            (PathBuf::from(kubeconfig), format!("sentry-{test}-{}", std::process::id()));
        kubectl(&kubeconfig, &["create", "namespace", &namespace]);
        Self::Real(kubeconfig, namespace)
    }

    fn namespace(&self) -> &str {
        match self {
            Self::Memory(_) => "qa",
            Self::Real(_, namespace) => namespace,
        }
    }

    fn kubeconfig(&self, dir: &Path) -> PathBuf {
        match self {
            Self::Memory(server) => server.kubeconfig(dir),
            Self::Real(kubeconfig, _) => kubeconfig.clone(),
        }
    }

    /// Every run that is there.
    pub(crate) fn runs(&self) -> Vec<Value> {
        match self {
            Self::Memory(server) => ["PipelineRun", "TaskRun", "CustomRun"]
                .iter()
                .flat_map(|kind| server.objects_of(kind))
                .collect(),
            Self::Real(kubeconfig, namespace) => {
                let kinds = "pipelineruns,taskruns,customruns";
                let text = kubectl(kubeconfig, &["get", kinds, "-o", "json", "-n", namespace]);
                let list: Value = serde_json::from_str(&text).unwrap();
                list["items"].as_array().unwrap().clone()
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Self::Real(kubeconfig, namespace) = self {
            // The namespace may be gone, and another failure must be told before this one.
            Command::new("kubectl")
                .arg(format!("--kubeconfig={}", kubeconfig.display()))
                .args(["delete", "namespace", namespace, "--wait=false"])
                .output()
                .ok();
        }
    }
}

pub(crate) fn kubectl(kubeconfig: &Path, args: &[&str]) -> String {
    let mut command = Command::new("kubectl");
    command.arg(format!("--kubeconfig={}", kubeconfig.display())).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A and B on a git server, a cluster and a home directory.
pub(crate) struct Ground {
    pub(crate) a: BareRepo,
    pub(crate) b: BareRepo,
    pub(crate) cluster: Cluster,
    pub(crate) sandbox: Sandbox,
    git: GitServer,
    _repos: TempDir,
}

impl Ground {
    /// B is empty, and nothing is configured.
    pub(crate) fn with(cluster: Cluster) -> Self {
        let repos = TempDir::new().unwrap();
        let (a, b) =
            (BareRepo::create(repos.path(), "a.git"), BareRepo::create(repos.path(), "b.git"));
        a.commit("main", &[("README.md", "A")], "first");
        let git = GitServer::start(repos.path(), GitOptions::default(), None);
        git.tokens().grant(TOKEN);
        let mut sandbox = Sandbox::new();
        sandbox.env("GIT_TOKEN", TOKEN);
        Self { a, b, cluster, sandbox, git, _repos: repos }
    }

    /// The branches of A and of B as YAML, and further settings of the watch, `key: value` each.
    pub(crate) fn configure(&self, branches: &str, manifests: &str, settings: &[&str]) {
        let more: String = settings.iter().map(|setting| format!("    {setting}\n")).collect();
        self.sandbox.write_config(&format!(
            "forges:\n  plain: {{type: git, token: '${{GIT_TOKEN}}'}}\nwatches:\n  - name: qa\n    \
             polling_interval: 1\n    source: {{forge: plain, url: '{}', branches: {branches}}}\n    \
             manifests: {{forge: plain, url: '{}', branch: {manifests}}}\n    \
             cluster: {{context: default, namespace: {}, kubectl: {{kubeconfig: '{}'}}}}\n{more}",
            self.git.url("a.git"),
            self.git.url("b.git"),
            self.cluster.namespace(),
            self.cluster.kubeconfig(self.sandbox.root()).display()
        ));
    }

    /// Records the heads that there are: nothing is delivered yet.
    pub(crate) fn baseline(&self) {
        let first = self.sandbox.sentry(["watch", "--once"]);
        assert_eq!(first.code, Some(0), "{first:?}");
        assert!(self.cluster.runs().is_empty());
    }

    pub(crate) fn agent(&self) -> Agent {
        let mut agent = self.sandbox.spawn(["watch"]);
        agent.wait_for_log("started");
        agent
    }

    /// What became of a commit, once all its objects are acknowledged or it is clear that none will be.
    pub(crate) fn settled(&self, sha: &str) -> Value {
        let mut answer = Value::Null;
        eventually("the commit is settled", || {
            let why = self.sandbox.sentry(["why", sha, "-o", "json"]);
            let why: Value = serde_json::from_str(&why.stdout).unwrap();
            answer = why["answers"][0].clone();
            !["not seen", "waiting"].contains(&answer["reason"].as_str().unwrap())
        });
        answer
    }
}

/// A mark that Sentry left on an object.
pub(crate) fn mark<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["annotations"][format!("sentry-gitops.dev/{name}")]
        .as_str()
        .unwrap_or_default()
}
