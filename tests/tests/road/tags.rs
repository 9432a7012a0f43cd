//! Tags, from a push to the cluster, on every kind of forge.

use std::collections::BTreeMap;
use std::path::Path;

use sentry_apiserver::ApiServer;
use sentry_tests::forges::desk::Desk;
use sentry_tests::forges::gitea::Gitea;
use sentry_tests::forges::github::GitHub;
use sentry_tests::forges::gitlab::GitLab;
use sentry_tests::forges::{ForgeOptions, PostedStatus};
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::http::HttpServer;
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::{Sandbox, eventually};
use tempfile::TempDir;

const TOKEN: &str = "canary-t0ken-41aa07";
/// Runs for branches, for tags of version 1, and for all tags; each carries what it was started for.
const RUNS: [(&str, &str); 3] =
    [("branches", "[main]"), ("ones", "[refs/tags/v1.*]"), ("tags", "[refs/tags/*]")];

fn run(name: &str, branch: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: {name}\n  annotations:\n    \
         pipelinesascode.tekton.dev/on-event: '[push]'\n    pipelinesascode.tekton.dev/on-target-branch: '{branch}'\n\
         spec:\n  pipelineSpec: {{tasks: [{{name: t, taskSpec: {{steps: [{{name: s, image: busybox}}]}}}}]}}\n  params:\n  \
         - {{name: what, value: '{name} {{{{ git_tag }}}} {{{{ target_branch }}}} {{{{ revision }}}}'}}\n"
    )
}

pub(crate) enum Server {
    Git(GitServer),
    Hub(GitHub),
    Lab(GitLab),
    Tea(Gitea),
}

impl Server {
    const KINDS: [&str; 4] = ["git", "github", "gitlab", "gitea"];

    fn start(kind: &str, root: &Path) -> Self {
        let options = |enterprise| ForgeOptions { enterprise, ..ForgeOptions::default() };
        match kind {
            "git" => Self::Git(GitServer::start(root, GitOptions::default(), None)),
            "github" => Self::Hub(GitHub::start(root, options(true))),
            "gitlab" => Self::Lab(GitLab::start(root, options(false))),
            _ => Self::Tea(Gitea::start(root, options(false))),
        }
    }

    fn grant(&self) {
        match self {
            Self::Git(server) => server.tokens().grant(TOKEN),
            Self::Hub(server) => server.tokens().grant(TOKEN),
            Self::Lab(server) => server.tokens().grant(TOKEN),
            Self::Tea(server) => server.tokens().grant(TOKEN),
        }
    }

    fn http(&self) -> &HttpServer {
        match self {
            Self::Git(server) => server.http(),
            Self::Hub(server) => server.http(),
            Self::Lab(server) => server.http(),
            Self::Tea(server) => server.http(),
        }
    }

    /// The pull requests.
    pub(crate) fn desk(&self) -> &Desk {
        match self {
            Self::Git(_) => panic!("a git server has none"),
            Self::Hub(server) => server.desk(),
            Self::Lab(server) => server.desk(),
            Self::Tea(server) => server.desk(),
        }
    }

    /// The statuses that were set.
    pub(crate) fn statuses(&self) -> Vec<PostedStatus> {
        match self {
            Self::Git(_) => Vec::new(),
            Self::Hub(server) => server.statuses(),
            Self::Lab(server) => server.statuses(),
            Self::Tea(server) => server.statuses(),
        }
    }

    /// The forge's settings.
    fn settings(&self) -> String {
        let origin = self.http().origin();
        match self {
            Self::Git(_) => "type: git".to_owned(),
            Self::Hub(_) => format!("type: github, url: '{origin}'"),
            Self::Lab(_) => format!("type: gitlab, url: '{origin}'"),
            Self::Tea(_) => format!("type: gitea, url: '{origin}'"),
        }
    }
}

/// A forge with A and B, a cluster, and a watch.
pub(crate) struct Scene {
    pub(crate) a: BareRepo,
    pub(crate) cluster: ApiServer,
    pub(crate) sandbox: Sandbox,
    pub(crate) server: Server,
    pub(crate) root: TempDir,
}

impl Scene {
    /// A watch of `main` and of versions from 1 on.
    fn new(kind: &str) -> Self {
        let runs = RUNS.map(|(name, branch)| (name, run(name, branch)));
        let source = "branches: main, tags: {semver: '>=1'}";
        Self::of(kind, &runs, source, "['{source_branch}', main]")
    }

    /// A watch of this selection, whose B has these runs, by their names.
    pub(crate) fn of(kind: &str, runs: &[(&str, String)], source: &str, branch: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let a = BareRepo::create(root.path(), "o/a.git");
        let b = BareRepo::create(root.path(), "o/b.git");
        a.commit("main", &[("README.md", "A")], "first");
        let paths: Vec<_> = runs.iter().map(|(name, _)| format!(".tekton/{name}.yaml")).collect();
        let runs = paths.iter().zip(runs).map(|(path, (_, text))| (&**path, &**text));
        let runs: Vec<_> = runs.collect();
        b.commit("main", &runs, "tests");
        let cluster = ApiServer::start();
        cluster.add_namespace("qa");
        cluster.end_new_runs();
        let mut sandbox = Sandbox::new();
        sandbox.env("TOKEN", TOKEN);
        let server = Server::start(kind, root.path());
        server.grant();
        let (origin, kubeconfig) = (server.http().origin(), cluster.kubeconfig(sandbox.root()));
        sandbox.write_config(&format!(
            "forges:\n  it: {{{}, token: '${{TOKEN}}'}}\nwatches:\n  - name: qa\n    polling_interval: 1\n    \
             max_active_runs: 100\n    source: {{forge: it, url: '{origin}/o/a.git', {source}}}\n    \
             manifests: {{forge: it, url: '{origin}/o/b.git', branch: {branch}}}\n    \
             cluster: {{namespace: qa, deployer: native, native: {{kubeconfig: '{}'}}}}\n",
            server.settings(),
            kubeconfig.display()
        ));
        Self { a, cluster, sandbox, server, root }
    }

    /// How often a run was made for each name, tag, branch and commit.
    pub(crate) fn made(&self) -> BTreeMap<String, usize> {
        let mut made = BTreeMap::new();
        for run in self.cluster.objects_of("PipelineRun") {
            let what = run["spec"]["params"][0]["value"].as_str().unwrap();
            *made.entry(what.to_owned()).or_default() += 1;
        }
        made
    }

    /// A push of 20 tags at once, from a commit each, some through objects of their own: what each must come to.
    fn push_twenty(&self) -> BTreeMap<String, usize> {
        let mut expected = BTreeMap::new();
        let mut refs = Vec::new();
        for n in 0..20 {
            let tag = if n < 15 { format!("v1.{n}") } else { format!("v2.0.{n}") };
            let sha = self.a.commit("scratch", &[("n", &n.to_string())], "work");
            let object = if n % 3 == 0 { self.a.annotate("later", &sha) } else { sha.clone() };
            refs.push((format!("refs/tags/{tag}"), object));
            let names = RUNS.iter().skip(if n < 15 { 1 } else { 2 });
            expected
                .extend(names.map(|(name, _)| (format!("{name} {tag} refs/tags/{tag} {sha}"), 1)));
        }
        self.a.push_refs(refs.iter().map(|(name, object)| (&**name, &**object)));
        expected
    }
}

#[test]
fn twenty_tags_of_one_push_are_twenty_deliveries_on_every_forge_and_each_starts_its_runs_once() {
    for kind in Server::KINDS {
        let scene = Scene::new(kind);
        let root = scene.a.branch_at("main").unwrap();
        scene.a.force("refs/tags/v1.99", &root);
        let agent = scene.sandbox.spawn(["watch"]);
        eventually("the tag that is there is the baseline", || {
            let status = scene.sandbox.sentry(["status", "-o", "json"]);
            status.stdout.contains("refs/tags/v1.99")
        });
        // One that is no version, and one that is too old.
        scene.a.push_refs([("refs/tags/nightly", &*root), ("refs/tags/v0.9", &*root)]);
        let expected = scene.push_twenty();
        eventually(&format!("{kind}: all runs are there"), || scene.made().len() >= expected.len());
        let last = scene.a.commit("main", &[("n", "last")], "work");
        eventually("a later push is delivered", || {
            scene.made().keys().any(|what| what.contains(&format!("branches  main {last}")))
        });
        let mut made = scene.made();
        made.retain(|what, _| !what.starts_with("branches  main"));
        assert_eq!(made, expected, "{kind}");
        let history = scene.sandbox.sentry(["history", "-n", "100", "-o", "json"]);
        let history: serde_json::Value = serde_json::from_str(&history.stdout).unwrap();
        let deliveries = history["deliveries"].as_array().unwrap();
        let tags = deliveries.iter().filter(|d| d["subject"]["kind"] == "tag").count();
        assert_eq!((tags, deliveries.len()), (20, 21), "{kind}: one each");
        assert_eq!(agent.term().code, Some(0));
    }
}

#[test]
fn a_tag_is_moved_deleted_asked_for_and_explained_by_its_reference() {
    let scene = Scene::new("git");
    assert_eq!(scene.sandbox.sentry(["watch", "--once"]).code, Some(0));
    let sha = scene.a.commit("scratch", &[("n", "1")], "work");
    scene.a.annotate("v1.0", &sha);
    assert_eq!(scene.sandbox.sentry(["watch", "--once"]).code, Some(0));
    let moved = scene.a.commit("scratch", &[("n", "2")], "work");
    scene.a.force("refs/tags/v1.0", &moved);
    assert_eq!(scene.sandbox.sentry(["watch", "--once"]).code, Some(0));
    let of = |sha: &str| {
        ["ones", "tags"].map(|name| (format!("{name} v1.0 refs/tags/v1.0 {sha}"), 1_usize))
    };
    let expected: BTreeMap<_, _> = of(&sha).into_iter().chain(of(&moved)).collect();
    assert_eq!(scene.made(), expected);

    let explained = scene.sandbox.sentry(["explain", "qa", "--branch", "refs/tags/v1.0"]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    assert!(explained.stdout.contains("refs/tags/v1.*"), "{explained:?}");
    let why = scene.sandbox.sentry(["why", &moved]);
    assert!(why.stdout.contains("refs/tags/v1.0") && why.stdout.contains("delivered"), "{why:?}");
    let unknown =
        scene.sandbox.sentry(["trigger", "qa", "--branch", "refs/tags/v0.1", "--dry-run"]);
    assert!(unknown.stderr.contains("does not watch tag v0.1"), "{unknown:?}");

    let asked = scene.sandbox.sentry(["trigger", "qa", "--branch", "refs/tags/v1.0"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(scene.made().values().sum::<usize>(), 6);

    scene.a.delete_branch("refs/tags/v1.0");
    let last = scene.sandbox.sentry(["watch", "--once"]);
    assert_eq!(last.code, Some(0), "{last:?}");
    let status = scene.sandbox.sentry(["status", "qa", "--branch", "refs/tags/v1.0", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let tag = &status["watches"][0]["branches"][0];
    assert_eq!((&tag["subject"]["name"], &tag["state"]), (&"v1.0".into(), &"gone".into()));
    assert_eq!(scene.made().values().sum::<usize>(), 6);
}
