//! Honest fakes of the ports: small worlds in memory that keep the ports' contracts and can be told to fail.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};
use crate::deployer::{DeployError, DeployErrorKind, Deployer};
use crate::forge::{
    ChangedPaths, ChangesQuery, CommitInfo, CommitStatus, Forge, ForgeError, ForgeErrorKind, Heads,
    HeadsAnswer, HeadsQuery, MAX_CHANGED_PATHS, Tree, TreeFile, TreeQuery, Validator,
};
use crate::plan::{Action, ChangeSet, ObjectOutcome, Operation, Plan, PlannedObject};
use crate::repo::{BranchName, CommitSha, RepoUrl};

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that goes with tokio's, from a fixed start: with tokio's time paused, tests hold both.
#[derive(Debug)]
pub struct TokioClock {
    origin: Instant,
    start: Timestamp,
}

impl TokioClock {
    /// Starts at 2026-01-01T00:00:00Z.
    ///
    /// # Panics
    /// Never: the start is a valid time.
    #[must_use]
    pub fn new() -> Self {
        let start = Timestamp::from_second(1_767_225_600).expect("a valid time");
        Self { origin: Instant::now(), start }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.start.checked_add(self.origin.elapsed()).unwrap_or(self.start)
    }
}

#[derive(Debug, Default)]
struct Host {
    branches: BTreeMap<RepoUrl, BTreeMap<BranchName, CommitSha>>,
    trees: HashMap<CommitSha, Vec<TreeFile>>,
    infos: HashMap<CommitSha, CommitInfo>,
    down: Option<ForgeErrorKind>,
    commits: u64,
    asked: Vec<HeadsQuery>,
    trees_asked: Vec<TreeQuery>,
    changes: HashMap<(CommitSha, CommitSha), ChangedPaths>,
    statuses: Vec<CommitStatus>,
    status_calls: usize,
    no_statuses: Option<ForgeErrorKind>,
}

/// A forge called `forge` with repositories in memory.
#[derive(Debug, Default)]
pub struct FakeForge {
    host: Mutex<Host>,
}

impl FakeForge {
    /// One without repositories.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits to a branch and returns the commit; the files are the whole of every watched directory.
    ///
    /// # Panics
    /// If the URL or the branch is not valid.
    pub fn commit(
        &self,
        repo: &str,
        branch: &str,
        message: &str,
        files: &[(&str, &str)],
    ) -> CommitSha {
        let mut host = guard(&self.host);
        host.commits += 1;
        let sha: CommitSha =
            format!("{:040x}", host.commits + 0xabc0_0000_0000).parse().expect("hex");
        let file =
            |(path, text): &(&str, &str)| TreeFile { path: (*path).into(), bytes: (*text).into() };
        host.trees.insert(sha.clone(), files.iter().map(file).collect());
        host.infos
            .insert(sha.clone(), CommitInfo { message: message.into(), author: "ada".into() });
        drop(host);
        self.set(repo, branch, &sha);
        sha
    }

    /// Points a branch at a commit.
    ///
    /// # Panics
    /// If the URL or the branch is not valid.
    pub fn set(&self, repo: &str, branch: &str, sha: &CommitSha) {
        let (repo, branch) = (repo.parse().expect("a URL"), branch.parse().expect("a branch"));
        guard(&self.host).branches.entry(repo).or_default().insert(branch, sha.clone());
    }

    /// Deletes a branch.
    ///
    /// # Panics
    /// If the URL or the branch is not valid.
    pub fn delete(&self, repo: &str, branch: &str) {
        let (repo, branch): (RepoUrl, BranchName) =
            (repo.parse().expect("a URL"), branch.parse().expect("a branch"));
        guard(&self.host).branches.entry(repo).or_default().remove(&branch);
    }

    /// From now on every call fails so; `None` ends it.
    pub fn fail(&self, kind: Option<ForgeErrorKind>) {
        guard(&self.host).down = kind;
    }

    /// From now on these paths differ between the two commits; where nothing was told, the difference is
    /// [`ForgeErrorKind::Unsupported`]. Of more than [`MAX_CHANGED_PATHS`] the first are told, as truncated.
    pub fn change_paths(&self, from: &CommitSha, to: &CommitSha, paths: &[&str]) {
        let mut paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        paths.sort();
        paths.dedup();
        let truncated = paths.len() > MAX_CHANGED_PATHS;
        paths.truncate(MAX_CHANGED_PATHS);
        let changed = ChangedPaths { paths, truncated };
        guard(&self.host).changes.insert((from.clone(), to.clone()), changed);
    }

    /// From now on every status is refused so; `None` ends it. All else goes on.
    pub fn fail_statuses(&self, kind: Option<ForgeErrorKind>) {
        guard(&self.host).no_statuses = kind;
    }

    /// Every status that was set, in order; refused ones are not in it.
    #[must_use]
    pub fn statuses(&self) -> Vec<CommitStatus> {
        guard(&self.host).statuses.clone()
    }

    /// How often a status was to be set, refusals included.
    #[must_use]
    pub fn status_calls(&self) -> usize {
        guard(&self.host).status_calls
    }

    /// Every question for heads so far.
    #[must_use]
    pub fn asked(&self) -> Vec<HeadsQuery> {
        guard(&self.host).asked.clone()
    }

    /// Every question for a tree so far.
    #[must_use]
    pub fn trees_asked(&self) -> Vec<TreeQuery> {
        guard(&self.host).trees_asked.clone()
    }
}

impl Host {
    fn up(&self) -> Result<(), ForgeError> {
        self.down
            .map_or(Ok(()), |kind| Err(ForgeError::new(kind, "the fake forge was told to fail")))
    }

    fn heads(&self, query: &HeadsQuery) -> Result<HeadsAnswer, ForgeError> {
        self.up()?;
        let none =
            || ForgeError::new(ForgeErrorKind::NotFound, format!("no repository {}", query.repo));
        let all = self.branches.get(&query.repo).ok_or_else(none)?;
        let selected = all.iter().filter(|(branch, _)| query.branches.matches(branch));
        let heads: BTreeMap<_, _> = selected.map(|(b, s)| (b.clone(), s.clone())).collect();
        let validator = Validator(format!("{heads:?}"));
        if query.validator.as_ref() == Some(&validator) {
            return Ok(HeadsAnswer::NotModified);
        }
        Ok(HeadsAnswer::Heads(Heads { heads, validator: Some(validator), renamed_to: None }))
    }
}

#[async_trait]
impl Forge for FakeForge {
    fn name(&self) -> &'static str {
        "forge"
    }

    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let mut host = guard(&self.host);
        host.asked.extend(queries.iter().cloned());
        queries.iter().map(|query| host.heads(query)).collect()
    }

    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        let mut host = guard(&self.host);
        host.trees_asked.push(query.clone());
        host.up()?;
        let none =
            || ForgeError::new(ForgeErrorKind::NotFound, format!("no commit {}", query.commit));
        let files = host.trees.get(&query.commit).ok_or_else(none)?.clone();
        Ok(Tree { commit: query.commit.clone(), files, refused: Vec::new() })
    }

    async fn commit(&self, _: &RepoUrl, sha: &CommitSha) -> Result<CommitInfo, ForgeError> {
        let host = guard(&self.host);
        host.up()?;
        let none = || ForgeError::new(ForgeErrorKind::NotFound, format!("no commit {sha}"));
        host.infos.get(sha).cloned().ok_or_else(none)
    }

    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        let host = guard(&self.host);
        host.up()?;
        let none = || ForgeError::new(ForgeErrorKind::Unsupported, "no difference was told");
        host.changes.get(&(query.from.clone(), query.to.clone())).cloned().ok_or_else(none)
    }

    async fn set_status(&self, _: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        let mut host = guard(&self.host);
        host.status_calls += 1;
        host.up()?;
        if let Some(kind) = host.no_statuses {
            return Err(ForgeError::new(kind, "the fake forge was told to refuse statuses"));
        }
        host.statuses.push(status.clone());
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Cluster {
    objects: BTreeMap<(String, String), PlannedObject>,
    created: Vec<PlannedObject>,
    refused: Option<String>,
    down: bool,
    busy: usize,
    busiest: usize,
    applies: usize,
    checks: usize,
}

/// A deployer called `deployer` with a cluster in memory.
#[derive(Debug, Default)]
pub struct FakeDeployer {
    cluster: Mutex<Cluster>,
    takes: Duration,
}

impl FakeDeployer {
    /// One with an empty cluster that answers at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every apply takes this long.
    #[must_use]
    pub fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// From now on the cluster refuses the object of this name when it is applied; `None` ends it.
    pub fn refuse(&self, name: Option<&str>) {
        guard(&self.cluster).refused = name.map(str::to_owned);
    }

    /// From now on the cluster can't be reached, or can again.
    pub fn down(&self, down: bool) {
        guard(&self.cluster).down = down;
    }

    /// Every run that was made, in order; one that was made before is not in it twice.
    #[must_use]
    pub fn created(&self) -> Vec<PlannedObject> {
        guard(&self.cluster).created.clone()
    }

    /// The names of all objects that are on the cluster.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        guard(&self.cluster).objects.keys().map(|(_, name)| name.clone()).collect()
    }

    /// How many applies were asked for, and how many of them went on at once at most.
    #[must_use]
    pub fn applies(&self) -> (usize, usize) {
        let cluster = guard(&self.cluster);
        (cluster.applies, cluster.busiest)
    }
}

impl Cluster {
    fn put(&mut self, planned: &PlannedObject) -> Result<Action, DeployError> {
        let name = &planned.object.name;
        if self.refused.as_deref() == Some(name.as_str()) {
            let text = format!("{} {name} is refused by the cluster", planned.object.kind);
            return Err(DeployError::new(DeployErrorKind::Refused, text)
                .with_object(planned.object.clone()));
        }
        let slot = (planned.object.kind.clone(), name.clone());
        let before = self.objects.get(&slot).map(|o| o.operation.clone());
        let action = match (&planned.operation, before) {
            (Operation::Create { .. }, Some(earlier)) if earlier == planned.operation => {
                return Ok(Action::Exists);
            }
            (Operation::Create { .. }, Some(_)) => {
                let text = format!("{} {name} exists with another key", planned.object.kind);
                return Err(DeployError::new(DeployErrorKind::NameConflict, text));
            }
            (Operation::Create { .. }, None) => {
                self.created.push(planned.clone());
                Action::Created
            }
            (Operation::Apply, None) => Action::Created,
            (Operation::Apply, Some(_)) => Action::Configured,
        };
        self.objects.insert(slot, planned.clone());
        Ok(action)
    }

    fn reach(&self) -> Result<(), DeployError> {
        let away = || {
            DeployError::new(DeployErrorKind::Unreachable, "the fake cluster was told to be away")
        };
        if self.down { Err(away()) } else { Ok(()) }
    }
}

/// Counts an apply as going on until it is dropped.
struct Busy<'a>(&'a Mutex<Cluster>);

impl<'a> Busy<'a> {
    fn start(cluster: &'a Mutex<Cluster>) -> Self {
        let mut c = guard(cluster);
        c.applies += 1;
        c.busy += 1;
        c.busiest = c.busiest.max(c.busy);
        Self(cluster)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        guard(self.0).busy -= 1;
    }
}

#[async_trait]
impl Deployer for FakeDeployer {
    fn name(&self) -> &'static str {
        "deployer"
    }

    async fn check(&self, _: &Plan) -> Result<(), DeployError> {
        let mut cluster = guard(&self.cluster);
        cluster.checks += 1;
        cluster.reach()
    }

    async fn apply(&self, plan: &Plan) -> Result<ChangeSet, DeployError> {
        guard(&self.cluster).reach()?;
        let _busy = Busy::start(&self.cluster);
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let mut cluster = guard(&self.cluster);
        let mut error = None;
        let mut objects = Vec::new();
        for planned in &plan.objects {
            let put = if error.is_none() { cluster.put(planned) } else { Ok(Action::Skipped) };
            let (action, reason) = match put {
                Ok(action) => (action, None),
                Err(failure) => {
                    let reason = failure.to_string();
                    error = Some(failure);
                    (Action::Failed, Some(reason))
                }
            };
            let run = matches!(planned.operation, Operation::Create { .. });
            objects.push(ObjectOutcome { object: planned.object.clone(), run, action, reason });
        }
        Ok(ChangeSet { objects, error })
    }
}
