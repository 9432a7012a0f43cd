//! Several agents that share a state in PostgreSQL, each with a link of its own to the database; a forge that keeps statuses, and a
//! cluster. Each of its watches has a branch of A and a namespace, and so a slot, of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sentry_core::clock::{Clock as _, SystemClock};
use sentry_core::plan::COMMIT_LABEL;
use tempfile::TempDir;

use crate::forges::github::GitHub;
use crate::forges::{Budget, ForgeOptions};
use crate::postgres::{PASSWORD, Server, server};
use crate::proxy::FaultProxy;
use crate::repo::BareRepo;
use crate::sandbox::{Agent, Output, Sandbox, eventually};
use crate::tally::{DOCUMENTS, Tally, tree};
use sentry_apiserver::ApiServer;

/// The token that the forge demands.
const TOKEN: &str = "canary-t0ken-of-the-crew";

/// Agents that share a state, and everything around them.
#[derive(Debug)]
pub struct Crew {
    /// The product: a branch for each watch.
    pub a: BareRepo,
    /// Serves A and B, and keeps the statuses.
    pub hub: GitHub,
    /// Its runs end at once.
    pub cluster: ApiServer,
    /// Where `sentry` runs.
    pub sandbox: Sandbox,
    /// What was pushed to each branch, oldest first.
    pub pushed: BTreeMap<String, Vec<String>>,
    server: Arc<Server>,
    database: String,
    watches: usize,
    _repos: TempDir,
}

/// An agent with its link to the database.
#[derive(Debug)]
pub struct Member {
    /// What stands between it and the database.
    pub link: FaultProxy,
    config: PathBuf,
}

impl Crew {
    /// One with so many watches; the first heads are there, and nobody has seen them.
    ///
    /// # Panics
    /// If a server can't be started.
    #[must_use]
    pub fn new(watches: usize) -> Self {
        Self::on(server(), watches)
    }

    /// The same, with its state on this server.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn on(server: &Arc<Server>, watches: usize) -> Self {
        let repos = TempDir::new().expect("a temporary directory");
        let a = BareRepo::create(repos.path(), "product/app.git");
        let b = BareRepo::create(repos.path(), "qa/tests.git");
        let files = tree();
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        b.commit("main", &files, "tests");
        let hub = GitHub::start(
            repos.path(),
            ForgeOptions { enterprise: true, ..ForgeOptions::default() },
        );
        hub.tokens().grant(TOKEN);
        let reset = SystemClock.now().as_second() + 100_000;
        hub.set_budget(Budget { limit: 10_000_000, remaining: 10_000_000, reset });
        let cluster = ApiServer::start();
        cluster.end_new_runs();
        let mut sandbox = Sandbox::new();
        sandbox.env("HUB", TOKEN);
        sandbox.write("password", PASSWORD);
        for n in 0..watches {
            a.commit(&branch(n), &[("README.md", "A")], "first");
            cluster.add_namespace(&namespace(n));
        }
        let pushed = BTreeMap::new();
        let (server, database) = (Arc::clone(server), server.database());
        Self { server, a, hub, cluster, sandbox, pushed, database, watches, _repos: repos }
    }

    /// A place for an agent, with a link to the database.
    #[must_use]
    pub fn member(&self, name: &str) -> Member {
        let link = FaultProxy::to(self.server.port);
        let config =
            self.sandbox.write(&format!("{name}.yaml"), self.config(link.port(), self.watches));
        Member { link, config }
    }

    /// The configuration of an agent that reaches the database at this port, with the first so many watches.
    #[must_use]
    pub fn config(&self, port: u16, watches: usize) -> String {
        let kubeconfig = self.cluster.kubeconfig(self.sandbox.root());
        let mut config = format!(
            "state: {{postgres: {{url: '{}', password_file: password}}}}\n\
             forges: {{hub: {{type: github, url: '{}', token: '${{HUB}}'}}}}\n\
             defaults:\n  polling_interval: 1\n  manifests: {{forge: hub, url: '{}', branch: main}}\n  \
             cluster: {{context: default, deployer: native, native: {{kubeconfig: '{}'}}}}\nwatches:\n",
            self.server.url_at(port, &self.database),
            self.hub.http().origin(),
            self.hub.clone_url("qa/tests").trim_end_matches(".git"),
            kubeconfig.display(),
        );
        let a = self.hub.clone_url("product/app");
        let a = a.trim_end_matches(".git");
        for n in 0..watches {
            config += &format!(
                "  - name: w{n}\n    source: {{forge: hub, url: '{a}', branches: '{}'}}\n    \
                 cluster: {{namespace: {}}}\n",
                branch(n),
                namespace(n)
            );
        }
        config
    }

    /// The branches, one for each watch.
    pub fn branches(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.watches).map(branch)
    }

    /// Starts an agent.
    #[must_use]
    pub fn start(&self, member: &Member) -> Agent {
        let config = member.config.display().to_string();
        self.sandbox.spawn(["watch", "--config", &config, "--listen", "127.0.0.1:0"])
    }

    /// Runs a command with the configuration of an agent.
    #[must_use]
    pub fn sentry(&self, member: &Member, args: &[&str]) -> Output {
        let config = member.config.display().to_string();
        self.sandbox.sentry([args, &["--config", &config]].concat())
    }

    /// A commit on a branch of A.
    pub fn push(&mut self, branch: &str) {
        let heads = self.pushed.entry(branch.to_owned()).or_default();
        let content = format!("{}", heads.len());
        heads.push(self.a.commit(branch, &[("README.md", &content)], "work"));
    }

    /// The newest head that was pushed to each branch.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.pushed.values().filter_map(|heads| heads.last().cloned()).collect()
    }

    /// True once each newest head has all its runs.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        Tally::of(&self.cluster).lost(&self.heads()) == 0
    }

    /// True once the last status of each commit that has runs says how they ended.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        let tally = Tally::of(&self.cluster);
        let mut last: BTreeMap<(String, String), String> = BTreeMap::new();
        for status in self.hub.statuses() {
            let text = |key: &str| status.body[key].as_str().unwrap_or_default().to_owned();
            last.insert((status.sha.clone(), text("context")), text("state"));
        }
        let heads = self.pushed.values().flatten().filter(|sha| tally.runs_of(sha) > 0);
        let shown = |sha: &String| {
            let mut of_commit = last.iter().filter(|((of, _), _)| of == sha).peekable();
            of_commit.peek().is_some() && of_commit.all(|(_, state)| state == "success")
        };
        heads.into_iter().all(shown)
    }

    /// How many runs there are beyond one for each commit and document.
    #[must_use]
    pub fn doubled(&self) -> usize {
        Tally::of(&self.cluster).doubled()
    }

    /// How many runs there are.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.cluster.creates_of("PipelineRun").len()
    }

    /// How many named objects the cluster took of an older commit of a branch after it had taken those of a newer one.
    #[must_use]
    pub fn older_after_newer(&self) -> usize {
        older_after_newer(&self.written(), &self.pushed)
    }

    /// The commits whose named objects the cluster took, in order, by namespace and object.
    #[must_use]
    pub fn written(&self) -> BTreeMap<String, Vec<String>> {
        let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for request in self.cluster.requests() {
            let is_taken = request.method == "PATCH" && (200..300).contains(&request.status);
            if is_taken
                && request.is_write()
                && let Some(commit) = request.body["metadata"]["labels"][COMMIT_LABEL].as_str()
            {
                written.entry(request.path.clone()).or_default().push(commit.to_owned());
            }
        }
        written
    }

    /// How many named objects the cluster refused because they were not as the agent had seen them.
    #[must_use]
    pub fn refused(&self) -> usize {
        let requests = self.cluster.requests();
        requests.iter().filter(|r| r.method == "PATCH" && r.is_write() && r.status == 409).count()
    }

    /// How many deliveries' worth of runs a push to every branch makes.
    #[must_use]
    pub fn runs_of_all(&self) -> usize {
        self.watches * DOCUMENTS.len()
    }

    /// Has the database's superuser carry out a statement in the agents' database.
    pub fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.database, statement)
    }

    /// Waits until the first head of each branch was seen, by whoever owns its watch.
    ///
    /// # Panics
    /// If that does not happen.
    #[track_caller]
    pub fn until_seen(&self) {
        eventually("the first heads are seen", || {
            self.sql("SELECT to_regclass('cursors') IS NOT NULL") == "t"
                && self.sql("SELECT count(*) FROM cursors") == self.watches.to_string()
        });
    }

    /// How many slots a process owns, by what the database says of it.
    ///
    /// # Panics
    /// If the database has no answer.
    #[must_use]
    pub fn slots_of(&self, process: u32) -> usize {
        let owned = format!(
            "SELECT count(*) FROM slots s JOIN members m ON m.id = s.owner
             WHERE s.given_at IS NULL AND m.holder LIKE 'process {process} on %'"
        );
        self.sql(&owned).parse().expect("a number")
    }

    /// How many slots have no live owner, of those that were ever taken.
    ///
    /// # Panics
    /// If the database has no answer.
    #[must_use]
    pub fn unowned(&self) -> usize {
        let unowned = "SELECT count(*) FROM slots s LEFT JOIN members m ON m.id = s.owner
            WHERE s.given_at IS NOT NULL OR m.until IS NULL OR m.until < clock_timestamp()";
        self.sql(unowned).parse().expect("a number")
    }
}

impl Member {
    /// Where its configuration is.
    #[must_use]
    pub fn config(&self) -> &PathBuf {
        &self.config
    }
}

/// How often a commit comes after a newer one of its branch, in lists of commits by what they were written to.
#[must_use]
pub fn older_after_newer(
    written: &BTreeMap<String, Vec<String>>,
    pushed: &BTreeMap<String, Vec<String>>,
) -> usize {
    let place =
        |sha: &String| pushed.values().find_map(|heads| heads.iter().position(|h| h == sha));
    let steps = |commits: &Vec<String>| {
        let places: Vec<usize> = commits.iter().filter_map(place).collect();
        places.windows(2).filter(|pair| pair[1] < pair[0]).count()
    };
    written.values().map(steps).sum()
}

fn branch(n: usize) -> String {
    format!("b{n}")
}

fn namespace(n: usize) -> String {
    format!("team-{n}")
}
