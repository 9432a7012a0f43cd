//! The ports to the places that host repositories.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::delivery::CommitNote;
use crate::error::{Error, Kind};
use crate::pull::{PullNumber, PullRequest};
use crate::remote::Remotes;
use crate::repo::{BranchName, CommitSha, DirPath, RepoUrl};
use crate::retry::Retry;
use crate::revision::Revision;
use crate::secret::Secret;
use crate::subject::Subject;
use crate::text;
use crate::watch::SubjectSelector;

/// A forge as an engine gets it: an implementation for each of the ports.
#[derive(Debug, Clone)]
pub struct ForgePorts {
    /// Gives heads.
    pub heads: Arc<dyn Heads>,
    /// Gives what commits hold.
    pub source: Arc<dyn Source>,
    /// Shows statuses; `None` where commits have none, as at a plain git server.
    pub reporter: Option<Arc<dyn Reporter>>,
    /// Gets tasks and pipelines from elsewhere, by the same network; `None`: none can be had.
    pub remotes: Option<Arc<dyn Remotes>>,
}

impl ForgePorts {
    /// One that is read-only: it shows no statuses.
    #[must_use]
    pub fn new(forge: Arc<impl Heads + Source + 'static>) -> Self {
        Self { heads: Arc::clone(&forge) as _, source: forge, reporter: None, remotes: None }
    }

    /// One that shows statuses as well.
    #[must_use]
    pub fn with_statuses(forge: Arc<impl Heads + Source + Reporter + 'static>) -> Self {
        Self { reporter: Some(Arc::clone(&forge) as _), ..Self::new(forge) }
    }
}

/// The port to the heads of repositories, and to what polling them costs.
///
/// An implementation never trusts an answer: a page instead of data, a truncated body, an empty list or an id that
/// is no commit is [`ForgeErrorKind::WrongAnswer`], and never "no branches". Its own deadlines bound every call.
#[async_trait]
pub trait Heads: fmt::Debug + Send + Sync {
    /// The heads of many repositories: one answer per query, in order.
    ///
    /// A subject that is absent from an `Ok` answer does not exist; an error says nothing about any. The head of a tag is
    /// the commit that it stands for, never a tag object.
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>>;

    /// The pull requests of many repositories: one answer per query, in order. Not supported where nothing tells those of
    /// the repository's own people from those of strangers.
    async fn pulls(&self, queries: &[PullsQuery]) -> Vec<Result<PullsAnswer, ForgeError>> {
        let no = |query: &PullsQuery| {
            let text = format!("{}: this forge's pull requests can't be watched", query.repo);
            Err(ForgeError::new(ForgeErrorKind::Unsupported, text))
        };
        queries.iter().map(no).collect()
    }

    /// What is left of the forge's budget for us, as it last said; `None` where it has none.
    fn budget(&self) -> Option<Budget> {
        None
    }

    /// The results of all requests since the start, for any port; those of child processes are not
    /// among them.
    fn requests(&self) -> Requests {
        Requests::default()
    }
}

/// The port to what commits contain: B's manifests, and the metadata of A's commits.
///
/// It trusts no answer either, and bounds every call. A commit that does not exist (anymore) is
/// [`ForgeErrorKind::NoCommit`]; a revision's subject says where to look for it on a server that serves nothing but
/// heads.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// The files of one directory at one commit.
    ///
    /// A directory without files is an empty tree; one that does not exist, or is not a directory, is
    /// [`ForgeErrorKind::NoDirectory`].
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError>;

    /// A commit's metadata.
    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError>;

    /// The paths that differ between two commits of A: between the two trees, whatever lies between the commits, so
    /// that a force-push is no special case.
    ///
    /// [`ForgeErrorKind::Unsupported`] where they can't be compared, for example because the older commit is gone or
    /// the trees are too large; the caller then treats everything as changed.
    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError>;

    /// What the runs of a delivery can clone A with, for as long as the forge allows: where it makes tokens that end, a
    /// new one that can read this repository and nothing more.
    ///
    /// `None` where there is nothing that could be lent: no token, or a URL that takes none.
    async fn clone_credential(&self, repo: &RepoUrl)
    -> Result<Option<CloneCredential>, ForgeError>;
}

/// The port to commit statuses.
#[async_trait]
pub trait Reporter: fmt::Debug + Send + Sync {
    /// Shows a status on a commit of A. A status that is there already is no error, and is not queried before.
    ///
    /// No error fails a delivery. [`ForgeErrorKind::NotFound`] if the forge says that the commit does not exist
    /// (anymore). Not retried are [`ForgeErrorKind::Unauthorized`], where the token may not set statuses, and
    /// [`ForgeErrorKind::Unsupported`], where this kind of token never may or the forge would refuse this status each time.
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError>;

    /// Who may read what is shown in a repository, as far as the forge says.
    ///
    /// No error fails a delivery: as long as nobody says, no more is shown than where everybody may read. It is asked again
    /// after an hour.
    async fn audience(&self, repo: &RepoUrl) -> Result<Audience, ForgeError>;
}

/// Who may read a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Anybody.
    Public,
    /// Those whom somebody let in.
    Members,
    /// The forge does not say.
    Unknown,
}

/// One question for heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadsQuery {
    /// The repository.
    pub repo: RepoUrl,
    /// Which subjects.
    pub subjects: SubjectSelector,
    /// The validator of an earlier answer to the same query, if there is one: allows [`HeadsAnswer::NotModified`].
    pub validator: Option<Validator>,
}

/// An opaque text by which a forge recognises its earlier answer; only the forge that made it reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator(pub String);

/// The answer to a [`HeadsQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadsAnswer {
    /// Nothing changed since the query's validator was given.
    NotModified,
    /// The heads.
    Heads(HeadList),
}

/// All subjects of a repository that a query selects, with the commits they point at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadList {
    /// The heads.
    pub heads: BTreeMap<Subject, CommitSha>,
    /// To be sent with the next query.
    pub validator: Option<Validator>,
    /// Where the forge says the repository is now, if it was renamed on the same host.
    pub renamed_to: Option<RepoUrl>,
}

/// One question for all open pull requests of a repository, or for those that changed since an earlier answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullsQuery {
    /// The repository.
    pub repo: RepoUrl,
    /// The validator of an earlier answer, if all that it told is remembered.
    pub validator: Option<Validator>,
}

/// The answer to a [`PullsQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullsAnswer {
    /// Nothing changed since the query's validator was given.
    NotModified,
    /// What there is, or what changed.
    Pulls(PullChanges),
}

/// Pull requests as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PullChanges {
    /// Those that are open, as far as they are told: an unchanged one may be among them.
    pub open: Vec<PullRequest>,
    /// Those that were closed or merged.
    pub closed: Vec<PullNumber>,
    /// True if every open one was told: any other is closed.
    pub is_whole: bool,
    /// To be sent with the next query.
    pub validator: Option<Validator>,
}

/// One question for a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeQuery {
    /// Repository B.
    pub repo: RepoUrl,
    /// The pinned commit, and whose head it was found as.
    pub revision: Revision,
    /// The directory.
    pub dir: DirPath,
    /// What is refused.
    pub limits: TreeLimits,
    /// The longest time the whole call may take.
    pub timeout: Duration,
}

/// What a tree may hold at most. More is [`ForgeErrorKind::TooLarge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeLimits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Entries of any kind.
    pub entries: usize,
    /// Bytes that a fetch may put on the disk.
    pub repo_bytes: u64,
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self { file_bytes: 1 << 20, total_bytes: 5 << 20, entries: 2_000, repo_bytes: 256 << 20 }
    }
}

/// The manifests of B's directory at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The commit it was read at.
    pub commit: CommitSha,
    /// Regular files that end in `.yaml` or `.yml`, or are called `sentry.lock`, at any depth, sorted by path.
    pub files: Vec<TreeFile>,
    /// Entries that can't be read safely: symlinks, submodules, odd names. Never opened.
    pub refused: Vec<RefusedEntry>,
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Relative to the directory, `/` between parts.
    pub path: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// An entry of a tree that is not a plain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEntry {
    /// Relative to the directory; odd bytes are escaped.
    pub path: String,
    /// What it is, as a clause: `is a symbolic link (mode 120000)`.
    pub what: String,
}

/// A commit's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The whole message.
    pub message: String,
    /// Who wrote it: the forge's user name if it gives one, otherwise the author's name.
    pub author: String,
    /// When it was committed, by the committer's clock; `None` if that can't be read.
    pub committed: Option<Timestamp>,
}

impl CommitInfo {
    /// The first line of the message.
    #[must_use]
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// What a delivery keeps of it.
    #[must_use]
    pub fn note(&self) -> CommitNote {
        CommitNote {
            title: text::cut(self.title().trim_end(), CommitNote::CHARS),
            author: text::cut(&self.author, CommitNote::CHARS),
            committed: self.committed,
        }
    }
}

/// One query for the difference between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesQuery {
    /// Repository A.
    pub repo: RepoUrl,
    /// The older commit.
    pub from: Base,
    /// The newer commit, and whose head both were found as.
    pub to: Revision,
    /// The longest time the whole call may take.
    pub timeout: Duration,
}

/// What a commit is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Another commit.
    Commit(CommitSha),
    /// The commit at which it parted from this branch.
    PartedFrom(BranchName),
}

impl From<CommitSha> for Base {
    fn from(sha: CommitSha) -> Self {
        Self::Commit(sha)
    }
}

/// What differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangedPaths {
    /// Paths that were added, changed or deleted, relative to the repository; of a renamed file both. Sorted.
    pub paths: Vec<String>,
    /// True if there are more than the forge lists, or than [`MAX_CHANGED_PATHS`].
    pub truncated: bool,
}

/// The most changed paths that an answer holds.
pub const MAX_CHANGED_PATHS: usize = 3_000;

/// A status on a commit of A.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// The commit.
    pub revision: Revision,
    /// Which line of the commit's statuses it is: a later status of the same context replaces it.
    pub context: String,
    /// What it says.
    pub state: StatusState,
    /// One sentence, at most 140 characters; without secrets.
    pub description: String,
    /// Where there is more to read.
    pub link: Option<String>,
    /// The delivery it is about: the same one may be reported again after a crash. `None` for a head that waits for one.
    pub delivery: Option<crate::ids::DeliveryId>,
    /// Every subject that the status speaks for, sorted: a forge that keeps a commit's statuses by branch shows it at
    /// each. Never empty.
    pub subjects: Vec<Subject>,
}

crate::closed_list! {
    /// What a commit's status says.
    pub enum StatusState {
        /// A delivery is in progress, or its runs are.
        Pending = "pending",
        /// All runs succeeded.
        Success = "success",
        /// A run failed.
        Failure = "failure",
        /// It could not be started or followed.
        Error = "error",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// Nothing had to run, or a newer head superseded it: neither good nor bad.
        Neutral = "neutral",
    }
}

/// The credential for git over HTTP.
#[derive(Debug, Clone)]
pub struct CloneCredential {
    /// The user name that the forge expects beside the token.
    pub username: String,
    /// The token.
    pub token: Secret,
    /// True for one that ends soon and can read this repository and nothing more: all that may be lent to a fork's runs.
    pub is_read_only: bool,
}

/// A forge's rate limit, as of its last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests left.
    pub left: u64,
    /// Of how many.
    pub limit: u64,
    /// When it is full again.
    pub reset: Option<Timestamp>,
}

/// Requests by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// Answered with a status below 300.
    pub success: u64,
    /// Answered with a status from 300 on: most often "not modified".
    pub redirected: u64,
    /// Refused with a status from 400 on.
    pub refused: u64,
    /// Answered with a status from 500 on.
    pub failed: u64,
    /// Not answered, or not to the end.
    pub unanswered: u64,
}

impl Requests {
    /// Each number with the class of its status: `2xx`, `3xx`, `4xx`, `5xx`, `none`.
    #[must_use]
    pub fn by_class(&self) -> [(&'static str, u64); 5] {
        [
            ("2xx", self.success),
            ("3xx", self.redirected),
            ("4xx", self.refused),
            ("5xx", self.failed),
            ("none", self.unanswered),
        ]
    }
}

/// What kind of error a forge met; decides the exit code and the retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForgeErrorKind {
    /// It can't be reached, or did not answer in time, or answered with a server error.
    Unreachable,
    /// It asks us to wait.
    RateLimited,
    /// It refuses the token, or the token lacks a right (401, 403).
    Unauthorized,
    /// The repository does not exist, or the token may not see it (404).
    NotFound,
    /// The repository exists, and the commit is not in it, or no longer is.
    NoCommit,
    /// The commit exists, and the requested directory is not in it, or is not a directory.
    NoDirectory,
    /// Its answer is not what its API promises.
    WrongAnswer,
    /// The content is larger than the limits.
    TooLarge,
    /// A program that read it ran out of the memory that it may have, or that this machine has.
    OutOfMemory,
    /// The forge can't do this.
    Unsupported,
    /// A program or setting of this machine is missing or unusable.
    Local,
}

impl Kind for ForgeErrorKind {
    /// What is too large, what a commit does not hold, and what can't be done at all wait for a person. A commit that is
    /// gone may have been pushed a moment ago, and memory that was short may be free again: that is tried only so often.
    fn retry(self) -> Retry {
        match self {
            Self::NoDirectory | Self::TooLarge | Self::Unsupported => Retry::Stalled,
            Self::NoCommit | Self::OutOfMemory => Retry::Counted,
            Self::Unreachable
            | Self::RateLimited
            | Self::Unauthorized
            | Self::NotFound
            | Self::WrongAnswer
            | Self::Local => Retry::Backoff,
        }
    }
}

/// An error of a forge. The text names the forge and the repository, never a secret.
pub type ForgeError = Error<ForgeErrorKind>;
