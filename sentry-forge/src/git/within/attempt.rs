//! One fetch: what is asked for, step by step, and what was sent so far.

use std::sync::Arc;

use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::repo::{CommitSha, DirPath, RepoUrl};
use sentry_core::revision::Revision;
use sentry_core::subject::Subject;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::capabilities::Capabilities;
use super::fault::Fault;
use super::id::{Algorithm, Id, Kind};
use super::inflate::Meter;
use super::objects::Objects;
use super::received::{Pieces, Received, read};
use super::{Place, Within, tree};
use crate::git::about::{About, the_directory};
use crate::git::commit::root_of;
use crate::git::failure;
use crate::git::filter::{Filter, Filters};
use crate::git::history::{DEPTHS, branch_is_gone, not_among_the_last, not_in_history};
use crate::git::ls_refs::{self, NEW, RESULT_TYPE};
use crate::git::objects::{COMMIT_CAP, TREE_CAP};
use crate::git::pkt_line::push_line;
use crate::git::transport::Bounds;

/// How many bytes may be inflated for each that may arrive. Text becomes some five times smaller.
const UNFOLDED: u64 = 16;
/// Pieces of an answer that wait to be read.
const WAITING: usize = 4;

/// One fetch. What it keeps of it is gone when it is dropped.
pub(super) struct Attempt<'a> {
    within: &'a Within,
    filters: &'a Filters,
    place: Place<'a>,
    pub(super) commit: &'a CommitSha,
    subject: &'a Subject,
    bounds: Bounds,
    pub(super) capabilities: Capabilities,
    pub(super) id: Id,
    filter: Filter,
    pub(super) objects: Objects,
    /// Bytes that arrived.
    received: u64,
}

/// What came of asking.
#[derive(Debug)]
pub(super) enum Sent {
    /// A pack, and whether the history goes on behind it.
    Pack { is_shallow: bool },
    /// The server says why not.
    Refused(String),
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        within: &'a Within,
        filters: &'a Filters,
        place: Place<'a>,
        revision: &'a Revision,
        (bounds, capabilities): (Bounds, Capabilities),
    ) -> Result<Self, ForgeError> {
        let Revision { subject, sha: commit } = revision;
        let about = About { repo: place.repo, commit };
        let algorithm = capabilities.algorithm;
        if Algorithm::of(commit) != algorithm {
            let text = format!("its ids are of {}, and {commit} is not", algorithm.word());
            return Err(about.wrong(&text));
        }
        let id = Id::of(commit).ok_or_else(|| about.wrong("the commit has no id"))?;
        if !capabilities.shallow {
            let text =
                format!("{}: the server sends commits with their whole past alone", place.repo);
            return Err(ForgeError::new(ForgeErrorKind::Unsupported, text)
                .with_hint("let another git server host the repository"));
        }
        let until = bounds.deadline.into_std();
        let meter = Meter::new(bounds.room.saturating_mul(UNFOLDED), until);
        let (objects, filter) = (Objects::new(algorithm, meter), Filter::RootTree);
        Ok(Self {
            within,
            filters,
            place,
            commit,
            subject,
            bounds,
            capabilities,
            id,
            filter,
            objects,
            received: 0,
        })
    }

    /// Fetches the commit with as little else as the server can be talked into.
    pub(super) async fn fetch_commit(&mut self, filter: Filter) -> Result<(), ForgeError> {
        self.filter = if self.capabilities.filter { filter } else { Filter::Nothing };
        while let Sent::Refused(text) =
            self.obtain(std::slice::from_ref(self.commit), self.filter.spec()).await?
        {
            match self.filter.weaker() {
                Some(weaker) if is_about_filters(&text) => self.filter = weaker,
                _ => return Err(self.refused(&text)),
            }
            self.start_anew();
        }
        if self.filter != filter {
            self.filters.remember(self.repo(), self.filter);
        }
        Ok(())
    }

    /// Walks from the commit's root down to the directory's tree.
    pub(super) async fn find(&mut self, dir: &DirPath) -> Result<Id, ForgeError> {
        let about = self.about();
        let mut id = root_of(&self.raw_commit().await?)
            .filter(|root| Algorithm::of(root) == self.objects.algorithm)
            .and_then(|root| Id::of(&root))
            .ok_or_else(|| about.wrong("the commit names no tree"))?;
        let mut walked = String::new();
        for part in dir.parts() {
            let place = if walked.is_empty() { "its root" } else { &walked };
            let raw = self.tree(id, place).await?;
            walked = if walked.is_empty() { part.to_owned() } else { format!("{walked}/{part}") };
            let mut found = Vec::new();
            for entry in tree::entries(self.objects.algorithm, &raw) {
                let entry = entry.map_err(|fault| self.fault(fault))?;
                if entry.name == part.as_bytes() {
                    found.push((entry.mode, entry.id));
                }
            }
            id = the_directory(&found, &walked)?;
        }
        Ok(id)
    }

    /// A tree on the way, which may be known or still has to be asked for.
    async fn tree(&mut self, id: Id, place: &str) -> Result<Arc<[u8]>, ForgeError> {
        let key = (self.repo().clone(), id);
        if let Some(known) = self.within.trees().get(&key) {
            return Ok(known);
        }
        if self.objects.weigh(&id).is_none() && self.filter != Filter::Nothing {
            self.fetch_object(id, Filter::Commit.spec()).await?;
        }
        let raw: Arc<[u8]> = self.raw_tree(id, place).await?.into();
        self.within.trees().put(key, Arc::clone(&raw), raw.len().max(256));
        Ok(raw)
    }

    pub(super) async fn fetch_directory(&mut self, id: Id) -> Result<(), ForgeError> {
        match self.filter {
            Filter::Nothing => Ok(()),
            _ => self.fetch_object(id, None).await,
        }
    }

    /// Fetches a tree by its id, or the whole commit where the server gives out no trees.
    async fn fetch_object(&mut self, id: Id, filter: Option<&str>) -> Result<(), ForgeError> {
        match self.fetch(&[id], None, filter).await? {
            Sent::Pack { .. } => Ok(()),
            Sent::Refused(text) if failure::is_withheld(&text) => {
                self.start_anew();
                self.fetch_commit(Filter::Nothing).await?;
                self.filters.remember(self.repo(), Filter::Nothing);
                Ok(())
            }
            Sent::Refused(text) => Err(self.refused(&text)),
        }
    }

    /// Fetches commits by their ids or, where the server does not give them out so, with their branch.
    pub(super) async fn obtain(
        &mut self,
        commits: &[CommitSha],
        filter: Option<&str>,
    ) -> Result<Sent, ForgeError> {
        let ids: Vec<Id> = commits.iter().filter_map(Id::of).collect();
        match self.fetch(&ids, Some(1), filter).await? {
            Sent::Refused(text) if failure::is_withheld(&text) => {
                self.fetch_history(&ids, filter).await
            }
            sent => Ok(sent),
        }
    }

    /// Fetches more and more of the branch, until it holds the commits or has no more.
    async fn fetch_history(
        &mut self,
        commits: &[Id],
        filter: Option<&str>,
    ) -> Result<Sent, ForgeError> {
        let mut missing = commits[0].to_string();
        let Some(head) = self.head().await? else {
            return Err(self.about().gone(&missing, &branch_is_gone(self.subject)));
        };
        for depth in DEPTHS {
            self.start_anew();
            let sent = self.fetch(&[head], Some(depth), filter).await?;
            let Sent::Pack { is_shallow } = sent else { return Ok(sent) };
            match commits.iter().find(|id| self.objects.weigh(id).is_none()) {
                None => return Ok(sent),
                Some(id) => missing = id.to_string(),
            }
            if !is_shallow {
                return Err(self.about().gone(&missing, &not_in_history(self.subject)));
            }
        }
        Err(self.about().gone(&missing, &not_among_the_last(self.subject)))
    }

    /// Where the subject is now; `None` if it is gone.
    async fn head(&self) -> Result<Option<Id>, ForgeError> {
        let Place { repo, authorization } = self.place;
        // Such a server gives out a tag's own object and not what it stands for.
        let body = ls_refs::request_tips(&[self.subject.reference()], self.objects.algorithm);
        let listed = ls_refs::asked(&self.within.http, repo, body, authorization, NEW).await?;
        let refs = listed.into_refs().refs;
        Ok(refs.iter().find(|(subject, _)| subject == self.subject).and_then(|(_, id)| Id::of(id)))
    }

    /// One request. What of the room is left bounds what may arrive.
    pub(super) async fn fetch(
        &mut self,
        wants: &[Id],
        depth: Option<u32>,
        filter: Option<&str>,
    ) -> Result<Sent, ForgeError> {
        let Place { repo, authorization } = self.place;
        let http = &self.within.http;
        let body = request(wants, depth, filter, self.objects.algorithm);
        let left = self.bounds.deadline.saturating_duration_since(Instant::now());
        let request = ls_refs::post(http, repo, body, authorization)
            .timeout(left)
            .build()
            .map_err(|e| ls_refs::unaskable(repo, e))?;
        let room = self.bounds.room.saturating_sub(self.received);
        let (to, from) = mpsc::channel(WAITING);
        let (algorithm, meter) = (self.objects.algorithm, self.objects.meter);
        let dir = self.within.dir.clone();
        let reading = spawn_blocking(move || read(Pieces::new(from), algorithm, meter, &dir));
        let cap = usize::try_from(room).unwrap_or(usize::MAX);
        let answer = http.receive(request, cap, to).await.map_err(|error| match error.kind() {
            ForgeErrorKind::TooLarge => self.about().too_much(self.bounds.room),
            _ => error,
        })?;
        ls_refs::check_answer(http, repo, &answer, RESULT_TYPE)?;
        let Received { outcome, meter, bytes } = reading.await.map_err(|e| self.broken(e))?;
        self.objects.meter = meter;
        self.received += bytes;
        match outcome {
            Ok(Some((is_shallow, pack))) => {
                self.objects.add(pack);
                Ok(Sent::Pack { is_shallow })
            }
            Ok(None) => Err(self.about().wrong("the server answers a fetch with nothing")),
            Err(Fault::Refused(text)) => Ok(Sent::Refused(http.redact(&text))),
            Err(fault) => Err(self.fault(fault)),
        }
    }

    /// What a failed fetch leaves is never built upon.
    pub(super) fn start_anew(&mut self) {
        self.objects = Objects::new(self.objects.algorithm, self.objects.meter);
    }

    /// The commit's own text; proves that it is here, and a commit.
    pub(super) async fn raw_commit(&mut self) -> Result<Vec<u8>, ForgeError> {
        let about = self.about();
        match self.objects.weigh(&self.id) {
            Some((Kind::Commit, size)) if size > COMMIT_CAP => {
                Err(about.too_heavy("the commit itself, with its message", size, COMMIT_CAP))
            }
            Some((Kind::Commit, _)) => self.content(self.id).await,
            Some((kind, _)) => {
                Err(about.wrong(&format!("{} is a {}, not a commit", self.commit, kind.word())))
            }
            None => Err(match self.objects.passed_over() {
                Some(fault) => self.fault(fault),
                None => about.gone(self.commit.as_str(), "the server sent something else"),
            }),
        }
    }

    /// A tree that has to be here.
    async fn raw_tree(&mut self, id: Id, place: &str) -> Result<Vec<u8>, ForgeError> {
        let about = self.about();
        match self.objects.weigh(&id) {
            Some((Kind::Tree, size)) if size > TREE_CAP => {
                Err(about.too_heavy(&format!("the tree of {place}"), size, TREE_CAP))
            }
            Some((Kind::Tree, _)) => self.content(id).await,
            Some((kind, _)) => {
                Err(about.wrong(&format!("{place} is a {}, not a tree", kind.word())))
            }
            None => Err(about.wrong(&format!("the tree of {place} was not sent"))),
        }
    }

    async fn content(&mut self, id: Id) -> Result<Vec<u8>, ForgeError> {
        let content = self.with_objects(move |objects| objects.content(&id)).await?;
        let content = content.map_err(|fault| self.fault(fault))?;
        content.ok_or_else(|| self.about().wrong("an object can't be read"))
    }

    /// Does what takes a while on a thread of its own.
    pub(super) async fn with_objects<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Objects) -> T + Send + 'static,
    ) -> Result<T, ForgeError> {
        let empty = Objects::new(self.objects.algorithm, self.objects.meter);
        let mut objects = std::mem::replace(&mut self.objects, empty);
        let done = spawn_blocking(move || {
            let value = work(&mut objects);
            (objects, value)
        });
        let (objects, value) = done.await.map_err(|e| self.broken(e))?;
        self.objects = objects;
        Ok(value)
    }

    pub(super) fn repo(&self) -> &'a RepoUrl {
        self.place.repo
    }

    pub(super) fn within(&self) -> &'a Within {
        self.within
    }

    pub(super) fn about(&self) -> About<'a> {
        About { repo: self.repo(), commit: self.commit }
    }

    /// What a server said instead of a pack.
    pub(super) fn refused(&self, text: &str) -> ForgeError {
        failure::from_text(self.repo(), &self.about().fetching(), text)
    }

    /// A thread that did not end as it should.
    fn broken(&self, error: tokio::task::JoinError) -> ForgeError {
        let text = format!("{}: can't read the answer", self.repo());
        ForgeError::new(ForgeErrorKind::Local, text).with_source(error)
    }
}

/// True if a server refuses what was to be left out.
pub(super) fn is_about_filters(text: &str) -> bool {
    text.contains("filter")
}

/// The body of a request for objects (gitprotocol-v2(5), "fetch").
fn request(
    wants: &[Id],
    depth: Option<u32>,
    filter: Option<&str>,
    algorithm: Algorithm,
) -> Vec<u8> {
    let mut body = ls_refs::command("fetch", algorithm);
    body.extend_from_slice(b"0001");
    push_line(&mut body, "no-progress");
    push_line(&mut body, "ofs-delta");
    wants.iter().for_each(|id| push_line(&mut body, &format!("want {id}")));
    if let Some(depth) = depth {
        push_line(&mut body, &format!("deepen {depth}"));
    }
    if let Some(filter) = filter {
        push_line(&mut body, &format!("filter {filter}"));
    }
    push_line(&mut body, "done");
    body.extend_from_slice(b"0000");
    body
}
