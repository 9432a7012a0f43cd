//! The hardened git client: one directory at one commit, without a clone and without a check-out.
//!
//! The commit is fetched with its root tree only, the way to the directory is walked tree by tree, and only the
//! directory itself is fetched whole: a few kilobytes more than its own pack, whatever the repository's size.
//! Objects are read from git's pipes; no path of a repository is ever opened on this disk.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use sentry_core::forge::{CommitInfo, ForgeError, ForgeErrorKind, Tree, TreeLimits, TreeQuery};
use sentry_core::repo::{CommitSha, DirPath, RepoUrl, Scheme};
use sentry_core::revision::Revision;
use sentry_core::subject::Subject;
use sentry_process::{Output, Program, sweep};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::TransportSettings;
use super::about::{About, the_directory};
use super::cache::{self, Cache, Content, Key};
use super::command::{self, HELPERS, Remote};
use super::commit::{commit_info, root_of};
use super::failure;
use super::filter::{Filter, Filters};
use super::listing;
use super::ls_refs::{self, ANSWER_CAP, IsKnown, Listed, NoList};
use super::scratch::{PREFIX, Scratch};
use super::within::id::Algorithm;
use super::within::{Place, Within};

/// The longest time for what a query sets no time for.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// Fetches from any git server. Clones of settings are cheap; the transport itself is shared.
#[derive(Debug)]
pub struct Transport {
    settings: TransportSettings,
    pub(super) filters: Filters,
    cache: Mutex<Cache>,
    /// Where git keeps its helpers, once it was asked.
    helpers: OnceCell<PathBuf>,
    /// What fetches over HTTP without a program, where it may.
    within: Option<Within>,
}

/// Where the directories of fetches are made.
fn temp_dir(settings: &TransportSettings) -> PathBuf {
    settings.temp_dir.clone().unwrap_or_else(std::env::temp_dir)
}

impl Transport {
    /// One with these settings. Starts nothing, and removes what killed processes left of their fetches.
    #[must_use]
    pub fn new(settings: TransportSettings) -> Self {
        sweep(&temp_dir(&settings), PREFIX);
        let within = settings.within.clone().map(|http| Within::new(http, temp_dir(&settings)));
        Self {
            within,
            settings,
            filters: Filters::default(),
            cache: Mutex::new(cache::cache()),
            helpers: OnceCell::new(),
        }
    }

    /// The manifests of one directory at one commit. `authorization` is sent to the repository's own origin only.
    ///
    /// # Errors
    /// [`ForgeErrorKind::NotFound`] if the repository is not there, [`ForgeErrorKind::NoCommit`] if the commit is not
    /// (any more), [`ForgeErrorKind::NoDirectory`] if it holds no such directory, [`ForgeErrorKind::TooLarge`] if a
    /// limit is exceeded, [`ForgeErrorKind::OutOfMemory`] if git's memory is not enough, [`ForgeErrorKind::Local`] if
    /// git or the disk fails, and whatever the server makes of the question.
    pub async fn tree(
        &self,
        query: &TreeQuery,
        authorization: Option<&HeaderValue>,
    ) -> Result<Tree, ForgeError> {
        if let Some(tree) = self.tree_within(query, authorization).await? {
            return Ok(tree);
        }
        let remote = self.remote(&query.repo, authorization);
        let bounds =
            Bounds { room: query.limits.repo_bytes, deadline: Instant::now() + query.timeout };
        let mut attempt = self.attempt(remote, &query.revision, bounds)?;
        attempt.fetch_commit(self.filters.of(&query.repo)).await?;
        let oid = attempt.find(&query.dir).await?;
        let Content { files, refused } = self.content(&mut attempt, oid, query).await?;
        Ok(Tree { commit: query.revision.sha.clone(), files, refused })
    }

    /// The directory's content, fetched unless it was read before.
    async fn content(
        &self,
        attempt: &mut Attempt<'_>,
        oid: String,
        query: &TreeQuery,
    ) -> Result<Content, ForgeError> {
        let key = Key { repo: query.repo.to_string(), oid, limits: query.limits };
        if let Some(content) = self.cache().get(&key) {
            return Ok(content);
        }
        attempt.fetch_directory(&key.oid).await?;
        let content = attempt.read(&key.oid, &query.limits).await?;
        self.cache().put(key, content.clone(), content.size());
        Ok(content)
    }

    /// A commit's own metadata, by a fetch of nothing else.
    ///
    /// # Errors
    /// As [`Transport::tree`].
    pub async fn commit(
        &self,
        repo: &RepoUrl,
        revision: &Revision,
        authorization: Option<&HeaderValue>,
    ) -> Result<CommitInfo, ForgeError> {
        if let Some(info) = self.commit_within(repo, revision, authorization).await? {
            return Ok(info);
        }
        let remote = self.remote(repo, authorization);
        let room = TreeLimits::default().repo_bytes;
        let bounds = Bounds { room, deadline: Instant::now() + DEADLINE };
        let mut attempt = self.attempt(remote, revision, bounds)?;
        attempt.fetch_commit(self.filters.of(repo).max_of_commit()).await?;
        Ok(commit_info(&attempt.raw_commit().await?))
    }

    /// The branches and tags of a repository, asked for by a child process: for ssh, for directories of this machine, and
    /// for servers that speak only older protocols. May name more than `prefixes` ask for.
    pub(crate) async fn refs(
        &self,
        repo: &RepoUrl,
        prefixes: &[String],
        authorization: Option<&HeaderValue>,
        is_known: IsKnown<'_>,
    ) -> Result<Listed, ForgeError> {
        if let Some(within) = self.within(repo) {
            let place = Place { repo, authorization };
            if let Some(listed) = within.refs(place, prefixes, is_known).await? {
                return Ok(listed);
            }
        }
        let remote = self.remote(repo, authorization);
        let deadline = Instant::now() + DEADLINE;
        let local = match local_path(repo)? {
            Some(path) => self.local_refs(remote, &path, prefixes, deadline, is_known).await?,
            None => None,
        };
        let list = match local {
            Some(list) => list,
            None => self.ls_remote(remote, prefixes, deadline, is_known).await?,
        };
        list.not_empty(repo)
    }

    /// One process, where `ls-remote` would start three. `None` if the repository has ids of another kind.
    async fn local_refs(
        &self,
        remote: Remote<'_>,
        path: &std::path::Path,
        prefixes: &[String],
        deadline: Instant,
        is_known: IsKnown<'_>,
    ) -> Result<Option<Listed>, ForgeError> {
        let program =
            remote.upload_pack(path, deadline).stdin(ls_refs::request(prefixes, Algorithm::Sha1));
        let output = run(remote.repo, READING, program).await?;
        if !output.status.success() {
            let text = self.said(&output);
            if text.contains("mismatched object format") {
                return Ok(None);
            }
            return Err(failure::from_text(remote.repo, READING, &text));
        }
        match Listed::of(&output.stdout, is_known, ls_refs::parse) {
            Ok(list) => Ok(Some(list)),
            Err(NoList::Silent) => Ok(None),
            Err(no) => Err(no.into_error(remote.repo, &|text| self.redact(text))),
        }
    }

    async fn ls_remote(
        &self,
        remote: Remote<'_>,
        prefixes: &[String],
        deadline: Instant,
        is_known: IsKnown<'_>,
    ) -> Result<Listed, ForgeError> {
        let scratch = self.scratch(remote.repo, "sha1")?;
        let program = remote
            .git(&scratch, deadline)
            .map_err(|e| failure::from_disk(remote.repo, "prepare a fetch", e))?
            .args(["ls-remote", "--quiet", "--heads"])
            .args(prefixes.iter().any(|p| p.starts_with(ls_refs::TAGS)).then_some("--tags"))
            .args(["--end-of-options", "origin"])
            .output_cap(ANSWER_CAP);
        let output = run(remote.repo, READING, program).await?;
        if !output.status.success() {
            return Err(failure::from_text(remote.repo, READING, &self.said(&output)));
        }
        Listed::of(&output.stdout, is_known, ls_refs::parse_ls_remote)
            .map_err(|no| no.into_error(remote.repo, &|text| self.redact(text)))
    }

    /// What fetches from a repository without a program; `None` if the program does.
    pub(super) fn within(&self, repo: &RepoUrl) -> Option<&Within> {
        self.within.as_ref().filter(|_| matches!(repo.scheme(), Scheme::Http | Scheme::Https))
    }

    /// The hash of a repository's ids, as far as it is known.
    pub(super) fn algorithm(&self, repo: &RepoUrl) -> Algorithm {
        self.within.as_ref().map_or(Algorithm::Sha1, |within| within.algorithm(repo))
    }

    pub(super) fn remote<'a>(
        &'a self,
        repo: &'a RepoUrl,
        authorization: Option<&'a HeaderValue>,
    ) -> Remote<'a> {
        Remote { settings: &self.settings, repo, authorization }
    }

    pub(super) fn attempt<'a>(
        &'a self,
        remote: Remote<'a>,
        revision: &'a Revision,
        bounds: Bounds,
    ) -> Result<Attempt<'a>, ForgeError> {
        local_path(remote.repo)?;
        let Revision { subject, sha: commit } = revision;
        let scratch = self.scratch(remote.repo, commit.algorithm())?;
        let filter = Filter::RootTree;
        Ok(Attempt { transport: self, remote, commit, subject, bounds, scratch, filter })
    }

    fn scratch(&self, repo: &RepoUrl, algorithm: &str) -> Result<Scratch, ForgeError> {
        if repo.scheme() == Scheme::Ssh && self.settings.ssh.is_none() {
            let text = format!("{repo}: no ssh key and known hosts file are configured");
            return Err(ForgeError::new(ForgeErrorKind::Local, text)
                .with_hint("set the forge's `ssh`, or use the repository's https URL"));
        }
        let parent = temp_dir(&self.settings);
        Scratch::new(&parent, algorithm).map_err(|e| {
            failure::from_disk(repo, &format!("make a directory under {}", parent.display()), e)
        })
    }

    /// Where git keeps its helpers.
    async fn helpers(&self, repo: &RepoUrl, deadline: Instant) -> Result<&PathBuf, ForgeError> {
        let ask = async {
            let left = deadline.saturating_duration_since(Instant::now());
            let program = command::program(&self.settings).arg("--exec-path").deadline(left);
            let output = run(repo, "asking git for its helpers", program).await?;
            Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
        };
        self.helpers.get_or_try_init(|| ask).await
    }

    pub(super) fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn redact(&self, text: &str) -> String {
        self.settings.http.redactor.redact(text)
    }

    /// What a program that failed said, without secrets, and the signal that ended it, if one did.
    fn said(&self, output: &Output) -> String {
        let text = self.redact(&output.stderr_text());
        match output.status.signal() {
            Some(signal) => format!("{text}\nfatal: git died of signal {signal}"),
            None => text,
        }
    }
}

const READING: &str = "reading its refs";

/// One fetch: its directory is gone when it is dropped, however it ended.
pub(super) struct Attempt<'a> {
    transport: &'a Transport,
    remote: Remote<'a>,
    pub(super) commit: &'a CommitSha,
    pub(super) subject: &'a Subject,
    bounds: Bounds,
    pub(super) scratch: Scratch,
    filter: Filter,
}

/// What one fetch may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes on the disk.
    pub(super) room: u64,
    pub(super) deadline: Instant,
}

impl Attempt<'_> {
    /// Fetches the commit with as little else as the server can be talked into.
    async fn fetch_commit(&mut self, filter: Filter) -> Result<(), ForgeError> {
        self.filter = filter;
        loop {
            let output = self.obtain(&[self.commit], &self.filter.arg()).await?;
            let text = self.said(&output);
            let spoken = failure::spoken(&text);
            if output.status.success() {
                if spoken.contains("filtering not recognized by server") {
                    self.filter = Filter::Nothing;
                }
                break;
            }
            match self.filter.weaker() {
                Some(weaker) if spoken.contains("filter") => self.filter = weaker,
                _ => return Err(failure::from_text(self.repo(), &self.about().fetching(), &text)),
            }
            self.start_anew()?;
        }
        if self.filter != filter {
            self.transport.filters.remember(self.repo(), self.filter);
        }
        Ok(())
    }

    /// What a failed fetch leaves is never built upon.
    pub(super) fn start_anew(&mut self) -> Result<(), ForgeError> {
        self.scratch = self.transport.scratch(self.repo(), self.commit.algorithm())?;
        Ok(())
    }

    /// What git said, without secrets.
    pub(super) fn said(&self, output: &Output) -> String {
        self.transport.said(output)
    }

    /// Walks from the commit's root down to the directory's tree.
    async fn find(&mut self, dir: &DirPath) -> Result<String, ForgeError> {
        let mut tree = root_of(&self.raw_commit().await?)
            .ok_or_else(|| self.about().wrong("the commit names no tree"))?
            .to_string();
        let mut present = self.filter != Filter::Commit;
        let mut walked = String::new();
        for part in dir.parts() {
            if !present {
                self.fetch_object(&tree, "--filter=tree:0").await?;
            }
            present = self.filter == Filter::Nothing;
            let place = if walked.is_empty() { "its root" } else { &walked };
            self.weigh_trees(&[(place, &tree)]).await?;
            walked = if walked.is_empty() { part.to_owned() } else { format!("{walked}/{part}") };
            let output =
                self.git(["ls-tree", "-z", "--end-of-options", &tree, part], &[], 1 << 20).await?;
            let entries =
                listing::entries(&output).map_err(|problem| self.about().bad(problem, &walked))?;
            let found: Vec<_> = entries.iter().map(|entry| (entry.mode, entry.oid)).collect();
            tree = the_directory(&found, &walked)?.to_owned();
        }
        Ok(tree)
    }

    async fn fetch_directory(&mut self, oid: &str) -> Result<(), ForgeError> {
        match self.filter {
            Filter::Nothing => Ok(()),
            _ => self.fetch_object(oid, "--no-filter").await,
        }
    }

    /// Fetches a tree by its id, or the whole commit where the server gives out no trees.
    async fn fetch_object(&mut self, oid: &str, filter: &str) -> Result<(), ForgeError> {
        let output = self.fetch(&[oid], &[filter]).await?;
        if output.status.success() {
            return Ok(());
        }
        let text = self.said(&output);
        if !failure::is_withheld(&text) {
            return Err(failure::from_text(self.repo(), &self.about().fetching(), &text));
        }
        self.start_anew()?;
        self.fetch_commit(Filter::Nothing).await?;
        self.transport.filters.remember(self.repo(), Filter::Nothing);
        Ok(())
    }

    /// One `git fetch`. No file may take more than half of what is left of the room: a pack has an index as well.
    pub(super) async fn fetch(&self, oids: &[&str], args: &[&str]) -> Result<Output, ForgeError> {
        if matches!(self.repo().scheme(), Scheme::Http | Scheme::Https) {
            let helpers = self.transport.helpers(self.repo(), self.bounds.deadline).await?;
            self.scratch
                .confine(helpers, HELPERS)
                .map_err(|e| failure::from_disk(self.repo(), "prepare a fetch", e))?;
        }
        let (used, _) = self.used()?;
        let cap = self.bounds.room.saturating_sub(used) / 2;
        let program = self
            .program()?
            .args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-recurse-submodules",
                "--no-auto-maintenance",
            ])
            .args(args)
            .args(["--end-of-options", "origin"])
            .args(oids)
            .file_cap(cap);
        let output = run(self.repo(), &self.about().fetching(), program).await?;
        let (used, largest) = self.used()?;
        // The system ends the process that writes beyond the cap, without a word.
        if used > self.bounds.room || (largest >= cap && !output.status.success()) {
            return Err(self.about().too_much(self.bounds.room));
        }
        Ok(output)
    }

    /// Bytes on the disk, and of the largest file.
    fn used(&self) -> Result<(u64, u64), ForgeError> {
        self.scratch.bytes().map_err(|e| failure::from_disk(self.repo(), "measure the fetch", e))
    }

    /// Runs a git that only reads what is here.
    pub(super) async fn git<const N: usize>(
        &self,
        args: [&str; N],
        stdin: &[u8],
        cap: usize,
    ) -> Result<Vec<u8>, ForgeError> {
        let program = self.program()?.args(args).stdin(stdin).output_cap(cap);
        let doing = format!("reading commit {}", self.commit.short());
        let output = run(self.repo(), &doing, program).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let error = failure::from_text(self.repo(), &doing, &self.said(&output));
        // Nothing was asked of the network: what is here is broken, as the server sent it.
        Err(match error.kind() {
            ForgeErrorKind::Unreachable => {
                self.about().wrong("the objects it sent are corrupt").with_source(error)
            }
            _ => error,
        })
    }

    fn program(&self) -> Result<Program, ForgeError> {
        let program = self.remote.git(&self.scratch, self.bounds.deadline);
        program.map_err(|e| failure::from_disk(self.repo(), "prepare a fetch", e))
    }

    pub(super) fn repo(&self) -> &RepoUrl {
        self.remote.repo
    }

    pub(super) fn about(&self) -> About<'_> {
        About { repo: self.repo(), commit: self.commit }
    }
}

async fn run(repo: &RepoUrl, doing: &str, program: Program) -> Result<Output, ForgeError> {
    program.run().await.map_err(|e| failure::from_process(repo, doing, e))
}

/// The directory that a file URL names; `None` for other URLs.
fn local_path(repo: &RepoUrl) -> Result<Option<PathBuf>, ForgeError> {
    if repo.scheme() != Scheme::File {
        return Ok(None);
    }
    repo.url()
        .to_file_path()
        .map(Some)
        .map_err(|()| ForgeError::new(ForgeErrorKind::Local, format!("{repo}: names no directory")))
}
