//! The contracts of a forge's ports, clause by clause, against the fake: the engine's tests are worth what it keeps of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sentry_core::forge::{ForgeErrorKind, ForgePorts};
use sentry_core::repo::CommitSha;
use sentry_core::testing::fakes::FakeForge;
use sentry_core::testing::forge_contract::{Host, Scene, Wrong};

const REPO: &str = "https://forge.test/o/r";
const EMPTY: &str = "https://forge.test/o/empty";

type Files = BTreeMap<String, String>;

/// Knows what the fake is only told: what a branch holds, and what differs.
#[derive(Debug, Default)]
struct Pusher {
    forge: Arc<FakeForge>,
    branches: Mutex<BTreeMap<String, Files>>,
    commits: Mutex<Vec<(CommitSha, Files)>>,
}

impl Pusher {
    fn differ(&self, one: &(CommitSha, Files), other: &(CommitSha, Files)) {
        let all = one.1.keys().chain(other.1.keys());
        let paths: Vec<&str> =
            all.filter(|p| one.1.get(*p) != other.1.get(*p)).map(String::as_str).collect();
        self.forge.change_paths(&one.0, &other.0, &paths);
        self.forge.change_paths(&other.0, &one.0, &paths);
    }
}

impl Host for Pusher {
    fn commit(&self, branch: &str, message: &str, files: &[(&str, &str)]) -> CommitSha {
        let mut branches = self.branches.lock().unwrap();
        let held = branches.entry(branch.to_owned()).or_default();
        held.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
        let below: Vec<(&str, &str)> = held
            .iter()
            .filter_map(|(path, text)| Some((path.strip_prefix(".tekton/")?, text.as_str())))
            .collect();
        let sha = if below.is_empty() {
            self.forge.commit_nothing(REPO, branch, message)
        } else {
            self.forge.commit(REPO, branch, message, &below)
        };
        let new = (sha.clone(), held.clone());
        let mut commits = self.commits.lock().unwrap();
        commits.iter().for_each(|old| self.differ(old, &new));
        commits.push(new);
        sha
    }

    fn delete(&self, branch: &str) {
        self.branches.lock().unwrap().remove(branch);
        self.forge.delete(REPO, branch);
    }

    fn tag(&self, name: &str, commit: &CommitSha, _: usize) {
        self.forge.set(REPO, &format!("refs/tags/{name}"), commit);
    }

    fn answer_wrongly(&self, _: Wrong) {
        self.forge.fail(Some(ForgeErrorKind::WrongAnswer));
    }
}

async fn scene() -> Scene {
    let host = Box::new(Pusher::default());
    host.forge.lend("a-token");
    host.forge.commit(EMPTY, "main", "a repository", &[]);
    host.forge.delete(EMPTY, "main");
    Scene {
        forge: ForgePorts::with_statuses(Arc::clone(&host.forge)),
        repo: REPO.parse().unwrap(),
        empty: EMPTY.parse().unwrap(),
        missing: "https://forge.test/o/missing".parse().unwrap(),
        host,
    }
}

sentry_core::heads_contract_tests!(scene);
sentry_core::source_contract_tests!(scene);
sentry_core::reporter_contract_tests!(scene);
