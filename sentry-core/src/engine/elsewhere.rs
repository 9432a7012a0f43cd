//! Gets what runs need of elsewhere: from the directory's lock, from what the delivery has kept of an earlier attempt, or from
//! where it is.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::AttemptError;
use super::lookups::Lookups;
use crate::forge::{
    ForgeError, ForgeErrorKind, ForgePorts, HeadsAnswer, HeadsQuery, TreeLimits, TreeQuery,
};
use crate::ids::DeliveryId;
use crate::manifest::{self, Context, Documents, Remote, RemoteDocuments};
use crate::remote::{
    self, MAX_DEPTH, MAX_DOCUMENTS, Place, RemoteQuery, RemoteRecord, RemoteTasks, RepoFile, Wanted,
};
use crate::repo::{BranchName, CommitSha, RepoUrl};
use crate::revision::Revision;
use crate::store::{Blobs, StoreError};
use crate::subject::Subject;
use crate::watch::{BranchSelector, Watch};

/// What is asked, and where what was got is kept.
#[derive(Debug)]
pub(super) struct Elsewhere<'a> {
    pub(super) lookups: &'a Lookups,
    pub(super) manifests: &'a ForgePorts,
    /// Where the documents of a delivery are kept; `None`: nothing is.
    pub(super) kept: Option<(&'a dyn Blobs, &'a DeliveryId)>,
    /// True if the delivery has begun to write: from then on it brings what it has begun with.
    pub(super) is_begun: bool,
    pub(super) until: Instant,
}

/// A document and where it came from, or why it can't be used.
type Found = Result<(String, Vec<u8>), String>;

impl Elsewhere<'_> {
    /// All that the runs which start need. `records` is what the delivery got before, and gets what it gets now.
    ///
    /// # Errors
    /// What may pass. What is definite refuses the runs that need it.
    pub(super) async fn gather(
        &self,
        documents: &Documents,
        context: &Context<'_>,
        records: &mut Vec<RemoteRecord>,
    ) -> Result<RemoteDocuments, AttemptError> {
        let mut set = RemoteDocuments::default();
        if context.watch.remote.tasks == RemoteTasks::Off || !manifest::may_have_remotes(documents)
        {
            return Ok(set);
        }
        let about = About { watch: context.watch, pinned: context.manifests };
        for depth in 0..=MAX_DEPTH {
            let context = Context { remote: Remote::Got(&set), ..*context };
            let wanted = manifest::remotes_wanted(documents, &context);
            if wanted.is_empty() {
                break;
            }
            for one in wanted {
                if depth == MAX_DEPTH || set.len() >= MAX_DOCUMENTS {
                    let most = format!("{MAX_DOCUMENTS} documents, {MAX_DEPTH} behind each other");
                    set.refuse(one, format!("is one too many from elsewhere: at most {most}"));
                    continue;
                }
                match self.get(documents, &about, &one, records).await? {
                    Ok((origin, bytes)) => set.add(one, origin, &bytes),
                    Err(why) => set.refuse(one, why),
                }
            }
        }
        Ok(set)
    }

    async fn get(
        &self,
        documents: &Documents,
        about: &About<'_>,
        wanted: &Wanted,
        records: &mut Vec<RemoteRecord>,
    ) -> Result<Found, AttemptError> {
        if let Place::File(path) = &wanted.place {
            // B's own commit says what it holds: nothing needs to be locked or kept.
            let (repo, revision) = (&about.watch.manifests.repo, about.pinned);
            return self.file(repo, revision, path).await;
        }
        if let Some(lock) = documents.lock() {
            let found = lock.get(wanted);
            return Ok(found.map(|(bytes, entry)| (entry.url.clone(), bytes.to_owned())));
        }
        if about.watch.remote.tasks == RemoteTasks::Locked {
            let dir = &about.watch.manifests.dir;
            return Ok(Err(format!(
                "is not locked: {dir} has no {}, and the watch has `remote_tasks: locked`; run `sentry vendor`",
                manifest::LOCK
            )));
        }
        let place = wanted.place.to_string();
        let known = records.iter().position(|r| r.kind == wanted.kind && r.place == place);
        let origin = wanted.address(&about.watch.remote).map(|url| url.to_string());
        let origin = origin.unwrap_or_else(|| place.clone());
        if let (Some(at), Some((blobs, id))) = (known, self.kept) {
            let kept = blobs.get(id, &records[at].sha256).await.map_err(|error| state(&error))?;
            if let Some(bytes) = kept {
                return Ok(Ok((origin, bytes)));
            }
        }
        let bytes = match self.fetch(about, wanted).await? {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        let sha256 = remote::digest(&bytes);
        if self.is_begun && known.is_none_or(|at| records[at].sha256 != sha256) {
            return Ok(Err(format!(
                "({origin}) is not what the delivery was begun with: `sentry rerun` takes it as it is now"
            )));
        }
        match known {
            Some(at) => records[at].sha256 = sha256,
            None => records.push(RemoteRecord { kind: wanted.kind, place, sha256 }),
        }
        if let Some((blobs, id)) = self.kept {
            blobs.put(id, &bytes).await.map_err(|error| state(&error))?;
        }
        Ok(Ok((origin, bytes)))
    }

    /// A document as it is now.
    async fn fetch(
        &self,
        about: &About<'_>,
        wanted: &Wanted,
    ) -> Result<Result<Vec<u8>, String>, AttemptError> {
        let (watch, b) = (about.watch, &about.watch.manifests.repo);
        let Some(url) = wanted.address(&watch.remote) else {
            return Ok(Err("has no address".to_owned()));
        };
        if let Some(file) = remote::file_of(&url, b).filter(|file| file.path.contains('/')) {
            let RepoFile { repo, path, .. } = &file;
            let revision = match self.revision(about, &file).await? {
                Ok(revision) => revision,
                Err(why) => return Ok(Err(why)),
            };
            let found = self.file(repo, &revision, path).await?;
            return Ok(found.map(|(_, bytes)| bytes));
        }
        let Some(reach) = watch.remote.reach(&url, &watch.source.repo, b) else {
            return Ok(Err(format!(
                "is at {}, which may not be asked: add it to `remote_hosts`, or put the document into the directory",
                remote::origin(&url)
            )));
        };
        let Some(port) = self.manifests.remotes.clone() else {
            return Ok(Err("can't be fetched by this forge: put it into the directory".to_owned()));
        };
        let query = RemoteQuery { url, is_hub: matches!(wanted.place, Place::Hub { .. }), reach };
        let forge = watch.manifests.forge.clone();
        let answer = self.lookups.remote(port, forge, query).await;
        let what = || format!("can't get {wanted}");
        definite(answer.map(|bytes| bytes.as_ref().clone()), what)
    }

    /// The commit that an address names on B's own forge.
    async fn revision(
        &self,
        about: &About<'_>,
        file: &RepoFile,
    ) -> Result<Result<Revision, String>, AttemptError> {
        let RepoFile { repo, reference, .. } = file;
        if let Ok(sha) = reference.parse::<CommitSha>() {
            return Ok(Ok(Revision { subject: about.pinned.subject.clone(), sha }));
        }
        let Ok(branch) = reference.parse::<BranchName>() else {
            return Ok(Err(format!("names {reference}, which is no branch")));
        };
        let subjects = BranchSelector::named([&branch]).into();
        let query = HeadsQuery { repo: repo.clone(), subjects, validator: None };
        let answer = self.manifests.heads.heads(std::slice::from_ref(&query)).await.pop();
        let what = || format!("can't read the head of {branch} in {repo}");
        let heads = answer.transpose().map(|answer| match answer {
            Some(HeadsAnswer::Heads(list)) => list.heads,
            _ => BTreeMap::new(),
        });
        let mut heads = match definite(heads, what)? {
            Ok(heads) => heads,
            Err(why) => return Ok(Err(why)),
        };
        let subject = Subject::Branch(branch);
        let sha = heads.remove(&subject);
        let none = || format!("names {reference}, and {repo} has no such branch: write a commit");
        Ok(sha.map(|sha| Revision { subject, sha }).ok_or_else(none))
    }

    /// A file of a repository on B's forge, by git.
    async fn file(
        &self,
        repo: &RepoUrl,
        revision: &Revision,
        path: &str,
    ) -> Result<Found, AttemptError> {
        let Some((folder, name)) = path.rsplit_once('/') else {
            return Ok(Err("is at the root of the repository: put it into a folder".to_owned()));
        };
        let Ok(dir) = folder.parse() else {
            return Ok(Err(format!("is in {folder}, which is no folder")));
        };
        let query = TreeQuery {
            repo: repo.clone(),
            revision: revision.clone(),
            dir,
            limits: TreeLimits::default(),
            timeout: self
                .until
                .saturating_duration_since(Instant::now())
                .max(Duration::from_secs(1)),
        };
        let what = || format!("can't fetch {path} of {repo} at {}", revision.sha);
        let tree = match definite(self.manifests.source.tree(&query).await, what)? {
            Ok(tree) => tree,
            Err(why) => return Ok(Err(why)),
        };
        let found = tree.files.into_iter().find(|file| file.path == name);
        let none = || format!("is not there: {repo} has no file {path} at {}", revision.sha);
        let origin = format!("{path} of {repo} at {}", revision.sha);
        Ok(found.map(|file| (origin, file.bytes)).ok_or_else(none))
    }
}

/// Whose documents they are.
struct About<'a> {
    watch: &'a Watch,
    pinned: &'a Revision,
}

/// What may pass is an error of the attempt; what is definite is told of the document.
fn definite<T>(
    answer: Result<T, ForgeError>,
    what: impl Fn() -> String,
) -> Result<Result<T, String>, AttemptError> {
    match answer {
        Ok(found) => Ok(Ok(found)),
        Err(error) => match error.kind() {
            ForgeErrorKind::NotFound
            | ForgeErrorKind::NoCommit
            | ForgeErrorKind::NoDirectory
            | ForgeErrorKind::TooLarge
            | ForgeErrorKind::Unsupported => {
                Ok(Err(format!("can't be used: {}", crate::error::told(&error, error.hint()))))
            }
            _ => Err(AttemptError::Forge { what: what(), source: error }),
        },
    }
}

fn state(error: &StoreError) -> AttemptError {
    AttemptError::State(crate::error::text(error))
}
