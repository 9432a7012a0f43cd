//! Honest fakes of the ports: small worlds in memory that keep the ports' contracts and can be told to fail.

mod deployer;
mod held;
mod notifier;
mod remotes;

pub use deployer::FakeDeployer;
pub use notifier::FakeNotifier;
pub use remotes::FakeRemotes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};
use crate::forge::{
    Audience, Base, ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, CommitStatus,
    ForgeError, ForgeErrorKind, HeadList, Heads, HeadsAnswer, HeadsQuery, MAX_CHANGED_PATHS,
    PullChanges, PullsAnswer, PullsQuery, Reporter, Source, Tree, TreeFile, TreeLimits, TreeQuery,
    Validator,
};
use crate::pull::{PullNumber, PullRequest};
use crate::repo::{CommitSha, RepoUrl};
use crate::revision::Revision;
use crate::secret::Secret;
use crate::subject::Subject;
use crate::testing::sample::subject;

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
    heads: BTreeMap<RepoUrl, BTreeMap<Subject, CommitSha>>,
    /// The open ones, and which were closed since.
    pulls: BTreeMap<RepoUrl, (BTreeMap<PullNumber, PullRequest>, BTreeSet<PullNumber>)>,
    pulls_asked: usize,
    no_pulls: bool,
    trees: HashMap<CommitSha, Vec<TreeFile>>,
    infos: HashMap<CommitSha, CommitInfo>,
    down: Option<ForgeErrorKind>,
    trees_lost: Option<ForgeErrorKind>,
    slow: Duration,
    commits: u64,
    asked: Vec<HeadsQuery>,
    trees_asked: Vec<TreeQuery>,
    changes: HashMap<(CommitSha, CommitSha), ChangedPaths>,
    statuses: Vec<CommitStatus>,
    status_calls: usize,
    no_statuses: Option<ForgeErrorKind>,
    /// Members, unless it is set.
    audience: Option<Audience>,
    audience_calls: usize,
    token: Option<Secret>,
}

/// A forge with repositories in memory.
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
        let mut files: Vec<TreeFile> = files.iter().map(file).collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        host.trees.insert(sha.clone(), files);
        let committed = Timestamp::from_second(1_700_000_000).ok();
        let info = CommitInfo { message: message.into(), author: "ada".into(), committed };
        host.infos.insert(sha.clone(), info);
        drop(host);
        self.set(repo, branch, &sha);
        sha
    }

    /// Commits to a branch what holds none of the watched directories, and returns the commit.
    ///
    /// # Panics
    /// If the URL or the branch is not valid.
    pub fn commit_nothing(&self, repo: &str, branch: &str, message: &str) -> CommitSha {
        let sha = self.commit(repo, branch, message, &[]);
        guard(&self.host).trees.remove(&sha);
        sha
    }

    /// Points a branch at a commit.
    ///
    /// # Panics
    /// If the URL or the branch is not valid.
    pub fn set(&self, repo: &str, branch: &str, sha: &CommitSha) {
        let (repo, subject) = (repo.parse().expect("a URL"), subject(branch));
        guard(&self.host).heads.entry(repo).or_default().insert(subject, sha.clone());
    }

    /// Deletes a branch.
    ///
    /// # Panics
    /// If the URL or the branch is not valid.
    pub fn delete(&self, repo: &str, branch: &str) {
        let (repo, subject) = (repo.parse().expect("a URL"), subject(branch));
        guard(&self.host).heads.entry(repo).or_default().remove(&subject);
    }

    /// Opens a pull request, or changes what it says.
    ///
    /// # Panics
    /// If the URL is not valid.
    pub fn pull(&self, repo: &str, pull: PullRequest) {
        let mut host = guard(&self.host);
        let (open, closed) = host.pulls.entry(repo.parse().expect("a URL")).or_default();
        closed.remove(&pull.number);
        open.insert(pull.number.clone(), pull);
    }

    /// Closes a pull request, merged or not.
    ///
    /// # Panics
    /// If the URL is not valid.
    pub fn close_pull(&self, repo: &str, number: u64) {
        let mut host = guard(&self.host);
        let (open, closed) = host.pulls.entry(repo.parse().expect("a URL")).or_default();
        closed.extend(open.remove(&number.into()).map(|pull| pull.number));
    }

    /// From now on pull requests can't be told, while all else goes on; `false` ends it.
    pub fn fail_pulls(&self, fails: bool) {
        guard(&self.host).no_pulls = fails;
    }

    /// How often pull requests were asked for.
    #[must_use]
    pub fn pulls_asked(&self) -> usize {
        guard(&self.host).pulls_asked
    }

    /// From now on every call fails so; `None` ends it.
    pub fn fail(&self, kind: Option<ForgeErrorKind>) {
        guard(&self.host).down = kind;
    }

    /// From now on no tree can be fetched, and the error is this; `None` ends it.
    pub fn lose_trees(&self, kind: Option<ForgeErrorKind>) {
        guard(&self.host).trees_lost = kind;
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

    /// From now on it lends this token for cloning, with the user `git`; at first it has none.
    pub fn lend(&self, token: &str) {
        guard(&self.host).token = Some(Secret::new(token));
    }

    /// From now on every status is refused so; `None` ends it. All else goes on.
    pub fn fail_statuses(&self, kind: Option<ForgeErrorKind>) {
        guard(&self.host).no_statuses = kind;
    }

    /// From now on so many may read the repositories.
    pub fn set_audience(&self, audience: Audience) {
        guard(&self.host).audience = Some(audience);
    }

    /// How often it was asked who may read a repository.
    #[must_use]
    pub fn audience_calls(&self) -> usize {
        guard(&self.host).audience_calls
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

    /// From now on heads arrive so long after they were looked up.
    pub fn answer_after(&self, wait: Duration) {
        guard(&self.host).slow = wait;
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

    /// All of them at first, then all that ever changed.
    fn pulls(&self, query: &PullsQuery) -> Result<PullsAnswer, ForgeError> {
        self.up()?;
        if self.no_pulls {
            return Err(ForgeError::new(ForgeErrorKind::Unauthorized, "no pull requests for you"));
        }
        let (open, closed) = self.pulls.get(&query.repo).cloned().unwrap_or_default();
        let validator = Validator(format!("{open:?} {closed:?}"));
        if query.validator.as_ref() == Some(&validator) {
            return Ok(PullsAnswer::NotModified);
        }
        Ok(PullsAnswer::Pulls(PullChanges {
            open: open.into_values().collect(),
            closed: closed.into_iter().collect(),
            is_whole: query.validator.is_none(),
            validator: Some(validator),
        }))
    }

    fn heads(&self, query: &HeadsQuery) -> Result<HeadsAnswer, ForgeError> {
        self.up()?;
        let none =
            || ForgeError::new(ForgeErrorKind::NotFound, format!("no repository {}", query.repo));
        let all = self.heads.get(&query.repo).ok_or_else(none)?;
        if all.is_empty() {
            let text = format!("{} lists nothing at all", query.repo);
            return Err(ForgeError::new(ForgeErrorKind::WrongAnswer, text));
        }
        let selected = all.iter().filter(|(subject, _)| query.subjects.matches(subject));
        let heads: BTreeMap<_, _> = selected.map(|(b, s)| (b.clone(), s.clone())).collect();
        let validator = Validator(format!("{heads:?}"));
        if query.validator.as_ref() == Some(&validator) {
            return Ok(HeadsAnswer::NotModified);
        }
        Ok(HeadsAnswer::Heads(HeadList { heads, validator: Some(validator), renamed_to: None }))
    }
}

fn within(limits: TreeLimits, files: &[TreeFile]) -> Result<(), ForgeError> {
    let sizes = || files.iter().map(|file| file.bytes.len() as u64);
    let fits = sizes().all(|size| size <= limits.file_bytes)
        && sizes().sum::<u64>() <= limits.total_bytes
        && files.len() <= limits.entries;
    let text = "the tree is larger than the limits";
    fits.then_some(()).ok_or_else(|| ForgeError::new(ForgeErrorKind::TooLarge, text))
}

#[async_trait]
impl Heads for FakeForge {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let (answers, wait) = {
            let mut host = guard(&self.host);
            host.asked.extend(queries.iter().cloned());
            (queries.iter().map(|query| host.heads(query)).collect(), host.slow)
        };
        tokio::time::sleep(wait).await;
        answers
    }

    async fn pulls(&self, queries: &[PullsQuery]) -> Vec<Result<PullsAnswer, ForgeError>> {
        let mut host = guard(&self.host);
        host.pulls_asked += queries.len();
        queries.iter().map(|query| host.pulls(query)).collect()
    }
}

#[async_trait]
impl Source for FakeForge {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        let mut host = guard(&self.host);
        host.trees_asked.push(query.clone());
        host.up()?;
        if let Some(kind) = host.trees_lost {
            return Err(ForgeError::new(kind, "the fake forge was told to lose its trees"));
        }
        let none = || {
            ForgeError::new(ForgeErrorKind::NoCommit, format!("no commit {}", query.revision.sha))
        };
        if !host.infos.contains_key(&query.revision.sha) {
            return Err(none());
        }
        let missing = || {
            let text = format!("there is no directory {} at {}", query.dir, query.revision.sha);
            ForgeError::new(ForgeErrorKind::NoDirectory, text)
        };
        let files = host.trees.get(&query.revision.sha).ok_or_else(missing)?.clone();
        within(query.limits, &files)?;
        Ok(Tree { commit: query.revision.sha.clone(), files, refused: Vec::new() })
    }

    async fn commit(&self, _: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        let (host, sha) = (guard(&self.host), &revision.sha);
        host.up()?;
        let none = || ForgeError::new(ForgeErrorKind::NoCommit, format!("no commit {sha}"));
        host.infos.get(sha).cloned().ok_or_else(none)
    }

    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        let host = guard(&self.host);
        host.up()?;
        let none = || ForgeError::new(ForgeErrorKind::Unsupported, "no difference was told");
        let Base::Commit(from) = &query.from else { return Err(none()) };
        if *from == query.to.sha {
            return Ok(ChangedPaths::default());
        }
        host.changes.get(&(from.clone(), query.to.sha.clone())).cloned().ok_or_else(none)
    }

    async fn clone_credential(&self, _: &RepoUrl) -> Result<Option<CloneCredential>, ForgeError> {
        let host = guard(&self.host);
        host.up()?;
        let username = "git".to_owned();
        Ok(host.token.clone().map(|token| CloneCredential { username, token, is_read_only: false }))
    }
}

#[async_trait]
impl Reporter for FakeForge {
    async fn set_status(&self, _: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        let mut host = guard(&self.host);
        host.status_calls += 1;
        host.up()?;
        if let Some(kind) = host.no_statuses {
            return Err(ForgeError::new(kind, "the fake forge was told to refuse statuses"));
        }
        if !host.infos.contains_key(&status.revision.sha) {
            let text = format!("no commit {}", status.revision.sha);
            return Err(ForgeError::new(ForgeErrorKind::NotFound, text));
        }
        host.statuses.push(status.clone());
        Ok(())
    }

    async fn audience(&self, _: &RepoUrl) -> Result<Audience, ForgeError> {
        let mut host = guard(&self.host);
        host.audience_calls += 1;
        host.up()?;
        Ok(host.audience.unwrap_or(Audience::Members))
    }
}
