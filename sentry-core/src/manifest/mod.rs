//! From the files of B to the objects of a plan. Pure: the same input gives the same output, nothing is asked.
//!
//! `parse` → `selection` → `variables` → `policy` → `refs` → `naming` → `order`, each a file; `preparation` is the way
//! through them. Selection comes first, so that a run which does not start can stop nothing; policy comes after
//! variables: what is checked is what is sent.

mod annotations;
mod budget;
mod cel;
mod charts;
mod dependents;
mod elsewhere;
mod fields;
mod flows;
mod fuel;
mod git_auth;
mod glob;
mod globs;
mod kinds;
mod lock;
mod marked;
mod naming;
mod notes;
mod order;
mod own;
mod ownership;
mod parse;
mod policy;
mod preparation;
mod refs;
mod remotes;
mod selection;
mod variables;
mod yaml;

#[cfg(test)]
mod tests;

pub use self::dependents::left_out;
pub use self::elsewhere::RemoteDocuments;
pub use self::kinds::kinds_named;
pub use self::lock::{LOCK, Lock, LockEntry, VENDOR};
pub use self::parse::{
    Documents, MAX_DEPTH, MAX_DOCUMENTS, MAX_FILE_BYTES, MAX_NODES, MAX_TOTAL_BYTES, parse,
};

use std::borrow::Cow;
use std::collections::BTreeSet;

use self::parse::{Content, printable};
use crate::deployer::{KindTable, KindsQuery};
use crate::forge::{ChangedPaths, CloneCredential};
use crate::ids::DeliveryId;
use crate::plan::{GitAuth, ObjectRef, PlannedObject};
use crate::pull::PullRequest;
use crate::remote::{RemoteKind, Wanted};
use crate::repo::TagName;
use crate::revision::Revision;
use crate::subject::{EventName, Subject};
use crate::watch::Watch;

/// All that a document's fate depends on beside the document.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The watch.
    pub watch: &'a Watch,
    /// The head of A.
    pub revision: &'a Revision,
    /// Of a pull request what is known of it.
    pub pull: Option<&'a PullRequest>,
    /// The delivery.
    pub delivery: &'a DeliveryId,
    /// Where the head was delivered before, what sets this delivery apart: with it, runs get names of their own.
    pub again: Option<&'a str>,
    /// The branch and commit of B.
    pub manifests: &'a Revision,
    /// Who made A's commit, where it is known.
    pub sender: Option<&'a str>,
    /// The first line of A's commit's message; empty where it is not known.
    pub title: &'a str,
    /// The event that runs must be meant for (`on-event`).
    pub event: &'a EventName,
    /// Only the run whose name or generateName in its document is this one.
    pub only: Option<&'a str>,
    /// What changed in A since the head it is compared with; `None` where it is not known: then everything counts as changed.
    pub changed: Option<&'a ChangedPaths>,
    /// What is known of tasks and pipelines from elsewhere.
    pub remote: Remote<'a>,
    /// The kinds of the cluster; `None` means the built-in table, which can't tell that a kind does not exist.
    pub kinds: Option<&'a KindTable>,
}

/// What is known of tasks and pipelines from elsewhere.
#[derive(Debug, Clone, Copy)]
pub enum Remote<'a> {
    /// None is used: a note says what does the same as the annotation.
    Off,
    /// Nobody was asked: what a run refers to may come from there.
    Unasked,
    /// What was got. A run that needs anything else is refused.
    Got(&'a RemoteDocuments),
}

/// A document from elsewhere that a run uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUse {
    /// The run's file, relative to B's directory.
    pub path: String,
    /// The run's place in its file, from 1.
    pub document: usize,
    /// What it is.
    pub kind: RemoteKind,
    /// Its name.
    pub name: String,
    /// Where it is, as the annotation names it.
    pub place: String,
    /// Where it came from.
    pub origin: String,
    /// sha256 of its bytes, in hex.
    pub sha256: String,
}

impl RemoteUse {
    /// As a note of the delivery.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { path, document, kind, name, origin, sha256, .. } = self;
        format!("{path} (document {document}): {kind} {name} comes from {origin} (sha256 {sha256})")
    }
}

/// What a branch or a tag is called as a branch.
fn own_branch(subject: &Subject) -> &str {
    subject.tag().map_or(subject.name(), TagName::full_ref)
}

impl Context<'_> {
    /// The branch that the head comes from, as Pipelines-as-Code passes it to runs: of a tag the whole reference.
    fn source_branch(&self) -> &str {
        match (&self.revision.subject, self.pull) {
            (Subject::PullRequest(_), pull) => pull.map_or("", |pull| pull.source_branch.as_str()),
            (subject, _) => own_branch(subject),
        }
    }

    /// The branch that the head is meant for: of a pull request the one that it is to be merged into.
    fn target_branch(&self) -> &str {
        match (&self.revision.subject, self.pull) {
            (Subject::PullRequest(_), pull) => pull.map_or("", |pull| pull.target_branch.as_str()),
            (subject, _) => own_branch(subject),
        }
    }

    /// The subject's part of a run's key. A pull request that is to be merged into another branch has other runs.
    fn subject_key(&self) -> Cow<'_, str> {
        let key = self.revision.subject.key();
        match self.pull {
            Some(pull) => format!("{key} to {}", pull.target_branch).into(),
            None => key,
        }
    }
}

crate::closed_list! {
    /// What is done with a document.
    pub enum Decision {
        /// It is applied.
        Apply = "apply",
        /// It is created as a run.
        Run = "run",
        /// It is no object for the cluster, or a run that does not start now: left out, which stops nothing.
        Skip = "skip",
        /// It may not go to the cluster.
        Refuse = "refuse",
    }
}

/// What is done with one document, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentDecision {
    /// The file, relative to B's directory.
    pub path: String,
    /// The document's place in its file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// The line it starts at, or the line of what is wrong, from 1.
    pub line: usize,
    /// The column of what is wrong, from 1, where there is one.
    pub column: Option<usize>,
    /// `kind`, where it could be read.
    pub kind: Option<String>,
    /// True if it is a run, where it could be read.
    pub run: bool,
    /// The name in the file (`generateName` with its dash), where it could be read.
    pub name: Option<String>,
    /// What is done.
    pub decision: Decision,
    /// Why: for a refusal with the remedy.
    pub reason: String,
    /// True for a refusal that a change of the cluster would end: it lacks the kind, or what a run refers to.
    pub of_cluster: bool,
}

/// All documents of a delivery with what is done with them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ManifestSet {
    /// One decision per document, in file order.
    pub decisions: Vec<DocumentDecision>,
    /// What goes to the cluster, in the order it must be written.
    pub objects: Vec<PlannedObject>,
    /// Things to know that stop nothing: an unknown variable, a variable inside a script.
    pub notes: Vec<String>,
    /// What came from elsewhere, by run.
    pub remotes: Vec<RemoteUse>,
    /// What runs refer to by name and the tree does not hold: the cluster must. Empty where the watch allows it.
    pub missing: Vec<MissingRef>,
    /// Set if one run was requested by name and the tree holds none of that name: what there is instead.
    pub no_such_run: Option<String>,
}

/// A task, pipeline or step action that a run refers to by name and the tree does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRef {
    /// The run's file, relative to B's directory.
    pub path: String,
    /// The run's place in its file, from 1.
    pub document: usize,
    /// `Task`, `Pipeline` or `StepAction`, of the group `tekton.dev`.
    pub kind: String,
    /// The namespace it is looked for in.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where Pipelines-as-Code would have fetched it from, and what to write instead.
    pub hint: Option<String>,
}

/// An object that is not sent, since the cluster would not take it or what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which object.
    pub object: ObjectRef,
    /// Why.
    pub reason: String,
}

impl LeftOut {
    /// As a note of the delivery.
    #[must_use]
    pub fn told(&self) -> String {
        let ObjectRef { path, line, document, .. } = &self.object;
        let reason = printable(&self.reason, MAX_TEXT_CHARS);
        format!("left out {path}:{line} (document {document}): {reason}")
    }
}

impl ManifestSet {
    /// The refused documents.
    pub fn refusals(&self) -> impl Iterator<Item = &DocumentDecision> {
        self.decisions.iter().filter(|d| d.decision == Decision::Refuse)
    }

    /// Refuses the runs that refer to what `exists` says is not on the cluster either.
    ///
    /// A caller that can ask the cluster calls this before the plan is made; others leave the runs in.
    pub fn refuse_missing(&mut self, exists: impl Fn(&MissingRef) -> bool) {
        for missing in self.missing.iter().filter(|missing| !exists(missing)) {
            let MissingRef { kind, name, namespace, hint, .. } = missing;
            let remedy = hint.clone().unwrap_or_else(|| {
                "add it to the directory, refer to it with a `resolver`, or set `allow_missing_refs`"
                    .to_owned()
            });
            let reason = format!(
                "{kind} {name} is neither in the directory nor in the namespace {namespace}: {remedy}"
            );
            refuse(
                &mut self.decisions,
                &mut self.objects,
                (&missing.path, missing.document),
                reason,
                true,
            );
        }
    }

    /// Refuses what [`left_out`] names.
    pub fn leave_out(&mut self, left_out: &[LeftOut]) {
        for LeftOut { object, reason } in left_out {
            let place = (object.path.as_str(), object.document);
            refuse(&mut self.decisions, &mut self.objects, place, reason.clone(), false);
        }
    }

    /// The Secrets by which runs of the set clone A, one for each namespace, still without data. Empty unless the watch
    /// wants them made and a run uses one.
    ///
    /// A caller that can ask A's forge calls this once the set is complete, and [`Self::lend`] with the answer.
    #[must_use]
    pub fn git_auth(&self, context: &Context<'_>) -> Vec<GitAuth> {
        git_auth::wanted(self, context)
    }

    /// Puts a credential into the Secrets. Without one, the runs that use them are refused, and no Secret is left.
    pub fn lend(
        &mut self,
        mut secrets: Vec<GitAuth>,
        context: &Context<'_>,
        credential: Option<&CloneCredential>,
    ) -> Vec<GitAuth> {
        let may = |credential: &&CloneCredential| git_auth::may_be_lent(credential, context);
        let Some(credential) = credential.filter(may) else {
            for user in secrets.iter().flat_map(|secret| &secret.users) {
                let place = (user.path.as_str(), user.document);
                let why = git_auth::nothing_to_lend(context);
                refuse(&mut self.decisions, &mut self.objects, place, why, false);
            }
            return Vec::new();
        };
        for secret in &mut secrets {
            secret.data = git_auth::data(&context.watch.source.repo, credential);
            self.notes.extend(git_auth::note(secret, context));
        }
        secrets
    }
}

/// Refuses a document that was accepted, or adds a reason.
fn refuse(
    decisions: &mut [DocumentDecision],
    objects: &mut Vec<PlannedObject>,
    place: (&str, usize),
    reason: String,
    of_cluster: bool,
) {
    objects.retain(|o| (o.object.path.as_str(), o.object.document) != place);
    let own = decisions.iter_mut().find(|d| (d.path.as_str(), d.document) == place);
    let Some(own) = own else { return };
    own.of_cluster = of_cluster && (own.decision != Decision::Refuse || own.of_cluster);
    let earlier = (own.decision == Decision::Refuse).then(|| std::mem::take(&mut own.reason));
    let reasons: Vec<_> = earlier.into_iter().chain([reason]).collect();
    own.decision = Decision::Refuse;
    own.reason = printable(&reasons.join("; "), MAX_TEXT_CHARS);
}

/// The longest reason or note, and the longest name, that is kept.
const MAX_TEXT_CHARS: usize = 2_000;
const MAX_NAME_CHARS: usize = 253;
/// The most notes that are kept.
const MAX_NOTES: usize = 100;
/// Bytes of one object as JSON: etcd's own limit for a request.
pub const MAX_OBJECT_BYTES: usize = 3 << 19;
/// Bytes of all objects of a delivery as JSON, with what is put into runs.
pub const MAX_PLAN_BYTES: usize = 16 << 20;
/// Mappings, lists, keys and values of all objects of a delivery, with what is put into runs.
pub const MAX_PLAN_NODES: usize = 400_000;

/// Decides about every document and makes the objects of those that go to the cluster.
///
/// [`crate::watch::Refusals`] changes nothing here: what a refusal does to the delivery is the engine's to say.
#[must_use]
pub fn prepare(documents: &Documents, context: &Context<'_>) -> ManifestSet {
    preparation::prepare(documents, context)
}

/// What of a cluster's kinds must be known to decide about the documents: whether it serves theirs, and the fields of
/// those that have some which the built-in table lacks.
#[must_use]
pub fn wanted(documents: &Documents) -> KindsQuery {
    let mut wanted = KindsQuery::default();
    for entry in &documents.entries {
        let Content::Parsed(value) = &entry.content else { continue };
        let text = |field| value.as_object().and_then(|object| policy::text(object, field));
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else { continue };
        wanted.kinds.insert((api_version.to_owned(), kind.to_owned()));
        if fields::has_unknown(value) {
            wanted.fields.insert(api_version.to_owned());
        }
    }
    wanted
}

/// What has to be got from elsewhere for the runs that start, beside what [`Context::remote`] has already. More may be known
/// once that is there: a pipeline names its tasks.
#[must_use]
pub fn remotes_wanted(documents: &Documents, context: &Context<'_>) -> BTreeSet<Wanted> {
    preparation::remotes_wanted(documents, context)
}

/// What of elsewhere any run of the directory may need, whether it starts or not; and why that can't be told of a run, by its
/// place. What depends on a variable can't.
#[must_use]
pub fn remotes_of_all(
    documents: &Documents,
    context: &Context<'_>,
) -> (BTreeSet<Wanted>, Vec<String>) {
    preparation::remotes_of_all(documents, context)
}

/// True if a document has an annotation that names something from elsewhere: only then need anybody ask for it.
#[must_use]
pub fn may_have_remotes(documents: &Documents) -> bool {
    documents.entries.iter().any(|entry| match &entry.content {
        Content::Parsed(value) => remotes::is_annotated(value),
        Content::Skip(_) | Content::Refused { .. } => false,
    })
}

/// True if which runs start depends on which paths of A changed: only then need anybody ask for
/// [`Context::changed`].
#[must_use]
pub fn needs_changes(documents: &Documents) -> bool {
    documents.entries.iter().any(|entry| match &entry.content {
        Content::Parsed(value) => policy::is_run(value) && selection::needs_changes(value),
        Content::Skip(_) | Content::Refused { .. } => false,
    })
}
