//! What git and kubectl are given for refs, URLs, paths and names of any kind.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sentry_core::deployer::{Cluster as _, Deployer as _, Retire, RetireHow};
use sentry_core::forge::{ChangesQuery, Heads as _, HeadsQuery, TreeLimits, TreeQuery};
use sentry_core::names::{ClusterRef, Namespace};
use sentry_core::repo::{CommitSha, DirPath, RepoUrl, Scheme};
use sentry_core::revision::Revision;
use sentry_core::secret::Redactor;
use sentry_core::subject::Subject;
use sentry_core::watch::BranchSelector;
use sentry_deploy::{Kubectl, KubectlSettings};
use sentry_forge::credential::Credential;
use sentry_forge::git::{GitForge, GitSettings, SshSettings, Transport, TransportSettings};
use sentry_forge::http::{Http, HttpSettings};
use sentry_process::Output;
use sentry_process::stage::{Call, Stage};
use tempfile::TempDir;

use super::argv;
use super::scene::Scene;

const TIMEOUT: Duration = Duration::from_secs(60);
const OID: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
/// A tree.
const TREE: &str = "2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d1a";
/// A commit of it.
const TEXT: &str = "tree 2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d1a\nauthor a <b> 1 +0000\n\nm\n";
/// What git starts for ssh, as Sentry's authors wrote it.
const SSH: &str = "ssh -F /dev/null -i '/key' -o UserKnownHostsFile='/hosts' -o GlobalKnownHostsFile=/dev/null \
    -o StrictHostKeyChecking=yes -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o ForwardAgent=no \
    -o ConnectTimeout=10";

/// Texts as they may stand in a configuration or come from a forge.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// A repository's URL.
    pub url: String,
    /// A branch, or a pattern of branches.
    pub branch: String,
    /// A directory of B.
    pub dir: String,
    /// A commit.
    pub commit: String,
    /// A kubeconfig's context.
    pub context: String,
    /// A namespace.
    pub namespace: String,
    /// An object's name, also its `apiVersion` and kind.
    pub name: String,
}

/// git and kubectl on a stage. One for a thread.
#[derive(Debug)]
pub struct Given {
    scene: Scene,
    kubectl: Kubectl,
    transport: Arc<Transport>,
    forge: GitForge,
    runtime: tokio::runtime::Runtime,
    seen: Rc<RefCell<Found>>,
    _temp: TempDir,
    _stage: Stage,
}

#[derive(Debug, Default)]
struct Found {
    programs: usize,
    problems: Vec<String>,
}

impl Default for Given {
    fn default() -> Self {
        Self::new()
    }
}

impl Given {
    /// Programs that were never started.
    ///
    /// # Panics
    /// If there is no directory for temporary files, or no root certificates.
    pub fn new() -> Self {
        let seen = Rc::new(RefCell::new(Found::default()));
        let stage = Stage::new({
            let seen = Rc::clone(&seen);
            move |call| {
                let mut seen = seen.borrow_mut();
                seen.programs += 1;
                let program = call.program.to_string_lossy();
                seen.problems.extend(argv::problem(&program, &call.args));
                seen.problems.extend(environment(call));
                answer(call)
            }
        });
        let temp = TempDir::new().expect("a temporary directory");
        let http = HttpSettings::new(Redactor::new());
        let settings = || TransportSettings {
            git: PathBuf::from("git"),
            http: http.clone(),
            ssh: Some(SshSettings { key_file: "/key".into(), known_hosts_file: "/hosts".into() }),
            temp_dir: Some(temp.path().to_owned()),
            within: None,
        };
        let transport = Arc::new(Transport::new(settings()));
        let forge = GitForge::new(GitSettings {
            name: "plain".to_owned(),
            credential: Credential::Anonymous,
            username: "git".to_owned(),
            http: Http::new(&http).expect("root certificates"),
            transport: Arc::clone(&transport),
        });
        let mut settings = KubectlSettings::new(Redactor::new());
        settings.path = PathBuf::from("kubectl");
        let kubectl = Kubectl::new(settings).expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let scene = Scene::default();
        Self { scene, kubectl, transport, forge, runtime, seen, _temp: temp, _stage: stage }
    }

    /// Uses what of the names can be parsed as Sentry uses it; how many programs that would have started.
    ///
    /// # Errors
    /// An argument that no author of Sentry wrote.
    pub fn judge(&self, names: &Names) -> Result<usize, String> {
        self.runtime.block_on(async {
            self.git(names).await;
            self.cluster(names).await;
        });
        let found = self.seen.take();
        match found.problems.first() {
            None => Ok(found.programs),
            Some(problem) => Err(format!("{problem}: by {names:?}")),
        }
    }

    async fn git(&self, names: &Names) {
        let Ok(repo) = names.url.parse::<RepoUrl>() else { return };
        let commit: CommitSha = names.commit.parse().unwrap_or_else(|_| fixed());
        if let Ok(dir) = names.dir.parse::<DirPath>() {
            let limits = TreeLimits::default();
            let query = TreeQuery {
                repo: repo.clone(),
                revision: Revision {
                    subject: names.branch.parse().map_or_else(|_| fixed_branch(), Subject::Branch),
                    sha: commit.clone(),
                },
                dir,
                limits,
                timeout: TIMEOUT,
            };
            _ = self.transport.tree(&query, None).await;
        }
        // Over HTTP they are asked for without a program.
        if matches!(repo.scheme(), Scheme::Ssh | Scheme::File)
            && let Ok(branches) = BranchSelector::new([names.branch.as_str()])
        {
            let query =
                HeadsQuery { repo: repo.clone(), subjects: branches.into(), validator: None };
            _ = self.forge.heads(&[query]).await;
        }
        if let Ok(branch) = names.branch.parse() {
            let revision = Revision { subject: Subject::Branch(branch), sha: commit };
            _ = self.transport.commit(&repo, &revision, None).await;
            let query = ChangesQuery { repo, from: fixed().into(), to: revision, timeout: TIMEOUT };
            _ = self.transport.changes(&query, None).await;
        }
    }

    async fn cluster(&self, names: &Names) {
        let Ok(namespace) = names.namespace.parse::<Namespace>() else { return };
        let context = Some(names.context.clone()).filter(|context| !context.is_empty());
        let cluster = ClusterRef { deployer: "deployer".to_owned(), context, namespace };
        let name = serde_json::Value::from(names.name.as_str());
        let documents = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n---\n\
             apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {{name: {name}}}\nspec: {{}}\n"
        );
        let mut plan = self.scene.plan(self.scene.prepare(&[("a.yaml", documents.as_bytes())]));
        plan.cluster = cluster.clone();
        if let Ok(checked) = self.kubectl.check(&plan).await {
            _ = self.kubectl.apply(&plan, &checked).await;
        }
        let object = [&names.name, &names.name, &names.name].map(String::clone).into();
        _ = self.kubectl.exist(&cluster, std::slice::from_ref(&object)).await;
        self.kubectl.forget_kinds(&cluster);
        for how in [RetireHow::Cancel, RetireHow::Delete] {
            let (cluster, runs) = (cluster.clone(), vec![object.clone()]);
            _ = self.kubectl.retire(&Retire { cluster, runs, how, timeout: TIMEOUT }).await;
        }
    }
}

fn fixed_branch() -> Subject {
    sentry_core::testing::sample::subject("main")
}

fn fixed() -> CommitSha {
    sentry_core::testing::sample::sha(7)
}

/// git's settings go through its environment: what is wrong with them, if something is.
fn environment(call: &Call) -> Option<String> {
    let value = |name: &str| call.env.get(OsStr::new(name)).and_then(|value| value.to_str());
    if value("GIT_SSH_COMMAND").is_some_and(|command| command != SSH) {
        return Some("ssh with another command".to_owned());
    }
    let count: usize = value("GIT_CONFIG_COUNT").map_or(0, |count| count.parse().unwrap_or(0));
    let at = (0..count)
        .find(|at| value(&format!("GIT_CONFIG_KEY_{at}")) == Some("remote.origin.url"))?;
    let url = value(&format!("GIT_CONFIG_VALUE_{at}"))?;
    let rest = ["https://", "http://", "ssh://", "file:///"]
        .iter()
        .find_map(|start| url.strip_prefix(start));
    // git decodes a URL before it takes it apart.
    let host = match rest {
        Some(rest) => rest.replace("%2d", "-").replace("%2D", "-"),
        None => match short_of_ssh(url) {
            Some(host) => host,
            None => return Some(format!("a remote {url:?}")),
        },
    };
    host.starts_with('-').then(|| format!("a host that ssh takes for an option: {url:?}"))
}

/// The host of `user@host:path`, which git takes neither for a URL, nor for a directory, nor for a helper's `name::address`.
fn short_of_ssh(url: &str) -> Option<String> {
    let bracket = url.find('[').and_then(|open| Some(open + url[open..].find(']')?)).unwrap_or(0);
    let (place, path) = url.split_at(bracket + url[bracket..].find(':')?);
    let is_short = !place.contains('/') && !path.starts_with("::") && !url.contains("://");
    let host = place.rsplit('@').next()?.trim_matches(['[', ']']);
    (is_short && !place.starts_with('-')).then(|| host.to_owned())
}

/// What git and kubectl would say, so that Sentry goes on and starts the next program.
fn answer(call: &Call) -> Output {
    let has = |word: &str| call.args.iter().any(|arg| arg.to_str() == Some(word));
    let last = call.args.last().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
    if has("fetch") && has(fixed().as_str()) {
        // Then its branch is asked for.
        return Output::of(1, "", format!("error: not our ref {}", fixed()));
    }
    let stdout = if has("--batch-check") {
        let asked = String::from_utf8_lossy(&call.stdin).into_owned();
        let kind = |oid: &str| if oid == TREE { "tree" } else { "commit" };
        asked.lines().map(|oid| format!("{oid} {} {}\n", kind(oid), TEXT.len())).collect()
    } else if has("cat-file") {
        let oid = String::from_utf8_lossy(&call.stdin).trim().to_owned();
        format!("{oid} commit {}\n{TEXT}\n", TEXT.len())
    } else if has("ls-tree") && has("-l") {
        format!("100644 blob {OID} {}\ta.yaml\0", TEXT.len())
    } else if has("ls-tree") {
        format!("040000 tree {TREE}\t{last}\0")
    } else if has("ls-remote") {
        format!("{OID}\trefs/heads/main\n")
    } else if has("version") {
        r#"{"clientVersion":{"minor":"32"}}"#.to_owned()
    } else if has("get") && has("json") {
        // The very runs that are asked for, so that they are cancelled and deleted.
        running(&call.stdin)
    } else {
        String::new()
    };
    Output::of(0, stdout, "")
}

/// The objects of a list as runs of Sentry's: the first goes on, the others ended.
fn running(stdin: &[u8]) -> String {
    let mut list: serde_json::Value = serde_json::from_slice(stdin).unwrap_or_default();
    for item in list["items"].as_array_mut().into_iter().flatten() {
        item["apiVersion"] = "tekton.dev/v1".into();
        item["kind"] = "TaskRun".into();
        item["metadata"]["labels"]["sentry-gitops.dev/delivery"] = "x".into();
    }
    list.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_start_every_program_that_there_is() {
        let given = Given::new();
        let names = |url: &str| Names {
            url: url.to_owned(),
            branch: "main".to_owned(),
            dir: "a/-b".to_owned(),
            commit: OID.to_owned(),
            context: "--token=x".to_owned(),
            namespace: "qa".to_owned(),
            name: "a".to_owned(),
        };
        for url in ["file:///srv/a.git", "ssh://git@host/a.git", "https://host/a/b"] {
            let started = given.judge(&names(url)).unwrap();
            assert!(started >= 12, "{url}: {started}");
        }
    }
}
