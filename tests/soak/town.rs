//! Three forges with the repositories of fifty products, one cluster, one home.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sentry_apiserver::ApiServer;
use sentry_tests::forges::github::GitHub;
use sentry_tests::forges::gitlab::GitLab;
use sentry_tests::forges::{Budget, ForgeOptions};
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::repo::BareRepo;
use sentry_tests::road::{PIPELINE, TASK, TOKEN};
use sentry_tests::sandbox::{Agent, Sandbox};
use tempfile::TempDir;

const NAMESPACES: usize = 10;
/// How long the newest heads may take once everything is well again: a backoff lasts five minutes at most.
const PATIENCE: Duration = Duration::from_secs(600);
const BASES: [&str; 2] = ["nightly", "smoke"];

pub(crate) struct Town {
    pub(crate) git: GitServer,
    pub(crate) hub: GitHub,
    pub(crate) lab: GitLab,
    pub(crate) cluster: ApiServer,
    pub(crate) sandbox: Sandbox,
    products: Vec<BareRepo>,
    /// The newest head of each product, and how many were pushed in all.
    heads: BTreeMap<usize, String>,
    pushes: usize,
    _repos: TempDir,
}

fn run(name: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{{name}, annotations: \
         {{pipelinesascode.tekton.dev/max-keep-runs: '3'}}}}\nspec: {{pipelineRef: {{name: suite}}}}\n"
    )
}

impl Town {
    pub(crate) fn build(watches: usize) -> Self {
        let repos = TempDir::new().unwrap();
        let root = repos.path();
        let products: Vec<_> = (0..watches)
            .map(|number| {
                let product = BareRepo::create(root, &format!("product/a{number:02}.git"));
                product.commit("main", &[("README.md", &number.to_string())], "first");
                product
            })
            .collect();
        let tests = BareRepo::create(root, "qa/tests.git");
        let (fixed, generated) = (run("name: nightly"), run("generateName: smoke-"));
        let files =
            [("a.yaml", &*fixed), ("b.yaml", &*generated), ("p.yaml", PIPELINE), ("t.yaml", TASK)]
                .map(|(name, text)| (format!(".tekton/{name}"), text));
        let files: Vec<_> = files.iter().map(|(name, text)| (&**name, *text)).collect();
        tests.commit("main", &files, "tests");
        let cluster = ApiServer::start();
        (0..NAMESPACES).for_each(|number| cluster.add_namespace(&format!("qa{number}")));
        cluster.end_new_runs();
        let git = GitServer::start(root, GitOptions::default(), None);
        let hub = GitHub::start(root, ForgeOptions { enterprise: true, ..ForgeOptions::default() });
        let lab = GitLab::start(root, ForgeOptions::default());
        git.tokens().grant(TOKEN);
        hub.tokens().grant(TOKEN);
        lab.tokens().grant(TOKEN);
        let plenty = Budget { limit: 1 << 30, remaining: 1 << 30, reset: 4_102_444_800 };
        hub.set_budget(plenty);
        lab.set_budget(plenty);
        let mut sandbox = Sandbox::new();
        sandbox.env("TOKEN", TOKEN);
        let town = Self {
            git,
            hub,
            lab,
            cluster,
            sandbox,
            products,
            heads: BTreeMap::new(),
            pushes: 0,
            _repos: repos,
        };
        town.configure();
        town
    }

    fn configure(&self) {
        let mut config = "forges:\n".to_owned();
        let origins = [
            ("plain", "git", self.git.http().origin()),
            ("hub", "github", self.hub.http().origin()),
            ("lab", "gitlab", self.lab.http().origin()),
        ];
        for (name, kind, origin) in &origins {
            let url = if *kind == "git" { String::new() } else { format!("url: '{origin}', ") };
            _ = writeln!(config, "  {name}: {{type: {kind}, {url}token: '${{TOKEN}}'}}");
        }
        config += "watches:\n";
        let kubeconfig = self.cluster.kubeconfig(self.sandbox.root());
        for number in 0..self.products.len() {
            let (forge, _, origin) = &origins[number % origins.len()];
            _ = writeln!(
                config,
                "  - {{name: w{number:02}, polling_interval: 5, \
                 source: {{forge: {forge}, url: '{origin}/product/a{number:02}.git', branches: main}}, \
                 manifests: {{forge: plain, url: '{}', branch: main}}, \
                 cluster: {{context: default, namespace: qa{}, kubectl: {{kubeconfig: '{}'}}}}}}",
                self.git.url("qa/tests.git"),
                number % NAMESPACES,
                kubeconfig.display()
            );
        }
        self.sandbox.write_config(&config);
    }

    pub(crate) fn start(&self) -> Agent {
        let mut agent = self.sandbox.spawn(["watch"]);
        // From then on it listens for signals.
        agent.wait_for_log("started");
        agent
    }

    pub(crate) fn wait_for_baseline(&self) {
        let until = Instant::now() + PATIENCE;
        while self.sandbox.sentry(["status", "-o", "json"]).stdout.matches("\"observed\"").count()
            < self.products.len()
        {
            assert!(Instant::now() < until, "{:?}", self.sandbox.sentry(["status"]));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub(crate) fn push(&mut self, product: usize) {
        self.pushes += 1;
        let text = format!("{product} {}", self.pushes);
        let sha = self.products[product].commit("main", &[("README.md", &text)], "work");
        self.heads.insert(product, sha);
    }

    pub(crate) fn pushes(&self) -> usize {
        self.pushes
    }

    pub(crate) fn runs(&self) -> usize {
        self.cluster.creates_of("PipelineRun").len()
    }

    /// How often each document was run for each commit: a run's name holds the document's and the start of the SHA.
    fn made(&self) -> BTreeMap<String, usize> {
        let mut made = BTreeMap::new();
        for name in self.cluster.creates_of("PipelineRun") {
            let (key, _digest) = name.rsplit_once('-').unwrap();
            *made.entry(key.to_owned()).or_default() += 1;
        }
        made
    }

    /// Newest heads that lack a run, and runs beyond one per commit and document.
    pub(crate) fn judge(&self) -> (usize, usize) {
        let made = self.made();
        let has = |sha: &String, base: &&str| made.contains_key(&format!("{base}-{}", &sha[..8]));
        let lost = self.heads.values().filter(|sha| !BASES.iter().all(|base| has(sha, base)));
        (lost.count(), made.values().map(|runs| runs - 1).sum())
    }

    /// How long the newest heads took.
    pub(crate) fn wait_until_delivered(&self) -> Duration {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.judge().0 == 0 {
                return begun.elapsed();
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        panic!("{:?} heads are lost: {:?}", self.judge().0, self.sandbox.sentry(["status"]));
    }
}
