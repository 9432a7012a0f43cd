//! What a delivery would do, found out without writing or locking anything.

use std::time::Duration;

use tokio::time::Instant;

use super::courier;
use super::elsewhere::Elsewhere;
use super::failure::AttemptError;
use super::{EngineError, Parts, references, refusals};
use crate::cursor::base_of_tag;
use crate::delivery::Selection;
use crate::deployer::{DeployError, DeployErrorKind, ObjectDiff};
use crate::forge::{
    Base, ChangedPaths, ChangesQuery, CommitInfo, ForgeError, ForgeErrorKind, Heads, HeadsAnswer,
    HeadsQuery, Source,
};
use crate::ids::DeliveryId;
use crate::manifest::{self, Context, Documents, ManifestSet, Remote, RemoteDocuments};
use crate::names::WatchName;
use crate::plan::{GitAuth, Plan};
use crate::pull::PullRequest;
use crate::repo::CommitSha;
use crate::revision::Revision;
use crate::store::OverviewQuery;
use crate::subject::Subject;
use crate::watch::{Refusals, SubjectSelector, Watch};

/// What a delivery would do.
#[derive(Debug)]
#[non_exhaustive]
pub struct Preview {
    /// The branch and commit of A.
    pub revision: Revision,
    /// The branch and commit of B.
    pub manifests: Revision,
    /// Every document and what would be done with it.
    pub set: ManifestSet,
    /// What the deployer would be asked to do; `None` if the delivery would be refused or has nothing to do.
    pub plan: Option<Plan>,
    /// Whether the cluster would accept the plan.
    pub check: Result<(), DeployError>,
}

/// What to preview: a head, and which runs would be wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) watch: &'a WatchName,
    pub(super) subject: &'a Subject,
    /// The subject's head where it is left out.
    pub(super) sha: Option<&'a CommitSha>,
    pub(super) selection: &'a Selection,
}

/// What a delivery would do, and whether the cluster would accept it.
pub(super) async fn preview(parts: &Parts, question: Question<'_>) -> Result<Preview, EngineError> {
    let mut preview = prepare(parts, question).await?;
    check(parts, &mut preview, question.watch).await;
    Ok(preview)
}

/// Asks the cluster about the plan. What it refuses is taken out, where the watch is lenient.
async fn check(parts: &Parts, preview: &mut Preview, watch: &WatchName) {
    let (Ok(()), Some(plan)) = (&preview.check, &mut preview.plan) else { return };
    let rule = parts.known.watches[watch].refusals;
    let result = parts.deployers[&plan.cluster.deployer].deployer.check(plan).await;
    match result.and_then(|checked| refusals::without(plan, &checked, rule)) {
        Ok(left_out) => preview.set.leave_out(&left_out),
        Err(error) => preview.check = Err(error),
    }
}

/// What a delivery would do, and what that would change; nothing where there is no plan or no cluster to ask.
pub(super) async fn diff(
    parts: &Parts,
    question: Question<'_>,
) -> Result<(Preview, Vec<ObjectDiff>), EngineError> {
    let mut preview = prepare(parts, question).await?;
    if parts.known.watches[question.watch].refusals == Refusals::Lenient {
        check(parts, &mut preview, question.watch).await;
    }
    let (Ok(()), Some(plan)) = (&preview.check, &preview.plan) else {
        return Ok((preview, Vec::new()));
    };
    let failed = |source| EngineError::Deploy {
        what: format!("can't tell what would change on {}", plan.cluster),
        source,
    };
    let diffs = parts.deployers[&plan.cluster.deployer].cluster.diff(plan).await.map_err(failed)?;
    Ok((preview, diffs))
}

/// All but the deployer's word on the plan; `check` holds only whether it could be asked.
async fn prepare(parts: &Parts, question: Question<'_>) -> Result<Preview, EngineError> {
    let Question { watch, subject, sha, selection } = question;
    let watch = parts.known.watches.get(watch).ok_or_else(|| unknown_watch(parts, watch))?;
    let a = &parts.forges[&watch.source.forge];
    let source = a.source.as_ref();
    let asked_for = sha.is_some() || *selection != Selection::default();
    let pull = pull(parts, watch, subject).await?;
    let sha = match (sha, &pull) {
        (Some(sha), _) => sha.clone(),
        (None, Some(pull)) => pull.head.clone(),
        (None, None) => head(a.heads.as_ref(), watch, subject).await?,
    };
    let pull = pull.as_deref();
    let revision = Revision { subject: subject.clone(), sha };
    let info = commit_info(source, watch, &revision).await?;
    let (pinned, documents) = manifests(parts, watch, subject, pull).await?;
    let delivery = DeliveryId::new(parts.clock.now(), fastrand::u128(..));
    let changed = if asked_for {
        None
    } else {
        changed(parts, source, watch, &revision, pull, &documents).await
    };
    let event = selection.event.clone().unwrap_or_else(|| subject.event());
    let cluster = parts.deployers[&watch.cluster.deployer].cluster.as_ref();
    let kinds = cluster.kinds(&watch.cluster, &manifest::wanted(&documents)).await;
    let context = Context {
        watch,
        revision: &revision,
        pull,
        delivery: &delivery,
        again: None,
        manifests: &pinned,
        sender: Some(&info.author),
        title: info.title(),
        event: &event,
        only: selection.run.as_deref(),
        changed: changed.as_ref(),
        remote: Remote::Off,
        kinds: kinds.as_ref().ok().and_then(Option::as_deref),
    };
    let remote = elsewhere(parts, &documents, &context).await?;
    let context = Context { remote: courier::of_watch(watch, &remote), ..context };
    let mut set = manifest::prepare(&documents, &context);
    if let Some(marker) = courier::skip_marker(&info).filter(|_| !asked_for) {
        set.notes
            .push(format!("the commit message contains {marker}: it starts nothing on its own"));
    }
    let check = match &kinds {
        Ok(_) => references::refuse_missing(cluster, watch, &mut set).await,
        Err(error) => Err(error.clone()),
    };
    let git_auth = lent(source, &context, &mut set).await?;
    let plan = plan(watch, delivery.clone(), &set, git_auth);
    Ok(Preview { revision, manifests: pinned, set, plan, check })
}

/// What would be sent, if nothing of it is refused.
fn plan(
    watch: &Watch,
    delivery: DeliveryId,
    set: &ManifestSet,
    git_auth: Vec<GitAuth>,
) -> Option<Plan> {
    let refused = watch.refusals == Refusals::Strict && set.refusals().next().is_some();
    (!refused && !set.objects.is_empty()).then(|| Plan {
        delivery,
        cluster: watch.cluster.clone(),
        force_conflicts: watch.force_conflicts,
        objects: set.objects.clone(),
        git_auth,
        timeout: watch.timing.timeout.max(Duration::from_secs(1)),
    })
}

/// B's commit, and what its directory holds.
async fn manifests(
    parts: &Parts,
    watch: &Watch,
    subject: &Subject,
    pull: Option<&PullRequest>,
) -> Result<(Revision, Documents), EngineError> {
    let b = &parts.forges[&watch.manifests.forge];
    let names = watch.manifests_branches(subject, pull);
    let pinned = courier::resolve(b.heads.as_ref(), watch, names).await;
    let pinned = pinned.map_err(|error| attempt_error(error, watch))?;
    let tree = courier::fetch(b.source.as_ref(), watch, &pinned, watch.timing.timeout).await;
    let documents = manifest::parse(&tree.map_err(|error| attempt_error(error, watch))?);
    Ok((pinned, documents))
}

/// What the runs that start need of elsewhere.
async fn elsewhere(
    parts: &Parts,
    documents: &Documents,
    context: &Context<'_>,
) -> Result<RemoteDocuments, EngineError> {
    let watch = context.watch;
    let elsewhere = Elsewhere {
        lookups: &parts.lookups,
        manifests: &parts.forges[&watch.manifests.forge],
        kept: None,
        is_begun: false,
        until: Instant::now() + watch.timing.timeout,
    };
    let got = elsewhere.gather(documents, context, &mut Vec::new()).await;
    got.map_err(|error| attempt_error(error, watch))
}

/// What is known of a pull request by the state; `None` of any other subject.
async fn pull(
    parts: &Parts,
    watch: &Watch,
    subject: &Subject,
) -> Result<Option<Box<PullRequest>>, EngineError> {
    if !matches!(subject, Subject::PullRequest(_)) {
        return Ok(None);
    }
    let query = OverviewQuery::subject(&watch.name, subject);
    let known = parts.state.archive.overview(&query).await.map_err(EngineError::Store)?;
    let cursors = known.subjects.into_iter().map(|known| known.cursors);
    let mut open = cursors.filter(|cursors| cursors.gone.is_none());
    let pull = open.next().and_then(|cursors| cursors.pull);
    let (kind, called) = (subject.kind(), subject.name());
    let none = || EngineError::Unknown(format!("no open {kind} {called} is known of this watch"));
    pull.ok_or_else(none).map(Some)
}

/// The head of a subject of A, requested now.
async fn head(
    forge: &dyn Heads,
    watch: &Watch,
    subject: &Subject,
) -> Result<CommitSha, EngineError> {
    let repo = &watch.source.repo;
    let (kind, called) = (subject.kind(), subject.name());
    let none = || EngineError::Unknown(format!("{repo} has no {kind} {called}"));
    let subjects = SubjectSelector::named([subject]);
    let query = HeadsQuery { repo: repo.clone(), subjects, validator: None };
    let failed = |source| EngineError::Forge {
        what: format!("can't read the head of {subject} in {repo}"),
        source,
    };
    match forge.heads(std::slice::from_ref(&query)).await.pop().transpose().map_err(failed)? {
        Some(HeadsAnswer::Heads(mut heads)) => heads.heads.remove(subject).ok_or_else(none),
        _ => Err(none()),
    }
}

async fn commit_info(
    source: &dyn Source,
    watch: &Watch,
    revision: &Revision,
) -> Result<CommitInfo, EngineError> {
    let failed = |source| EngineError::Forge {
        what: format!("can't read commit {} of {}", revision.sha, watch.source.repo),
        source,
    };
    source.commit(&watch.source.repo, revision).await.map_err(failed)
}

/// What changed in A since the head that a delivery would compare with, if a document asks for it; `None` where that is not known.
async fn changed(
    parts: &Parts,
    source: &dyn Source,
    watch: &Watch,
    revision: &Revision,
    pull: Option<&PullRequest>,
    documents: &Documents,
) -> Option<ChangedPaths> {
    if !manifest::needs_changes(documents) {
        return None;
    }
    let query = match revision.subject {
        Subject::Branch(_) | Subject::PullRequest(_) => {
            OverviewQuery::subject(&watch.name, &revision.subject)
        }
        Subject::Tag(_) => OverviewQuery { watch: Some(watch.name.clone()), ..Default::default() },
    };
    let known = parts.state.archive.overview(&query).await.ok()?;
    let mut all = known.subjects.iter().map(|subject| &subject.cursors);
    let from = match &revision.subject {
        Subject::Branch(_) => all.next()?.base(),
        Subject::Tag(tag) => base_of_tag(tag, all),
        Subject::PullRequest(_) => None,
    };
    let from = match pull {
        Some(pull) => Base::PartedFrom(pull.target_branch.clone()),
        None => Base::Commit(from?.clone()),
    };
    let (repo, timeout) = (watch.source.repo.clone(), watch.timing.timeout);
    let to = revision.clone();
    source.changes(&ChangesQuery { repo, from, to, timeout }).await.ok()
}

/// What the set's runs would clone A with.
async fn lent(
    source: &dyn Source,
    context: &Context<'_>,
    set: &mut ManifestSet,
) -> Result<Vec<GitAuth>, EngineError> {
    let (secrets, repo) = (set.git_auth(context), &context.watch.source.repo);
    if secrets.is_empty() {
        return Ok(secrets);
    }
    let what = || format!("can't get a token for cloning {repo}");
    let credential = source.clone_credential(repo).await;
    let credential = credential.map_err(|source| EngineError::Forge { what: what(), source })?;
    Ok(set.lend(secrets, context, credential.as_ref()))
}

fn attempt_error(error: AttemptError, watch: &Watch) -> EngineError {
    match error {
        AttemptError::Forge { what, source } => EngineError::Forge { what, source },
        AttemptError::Deploy { what, source } => EngineError::Deploy { what, source },
        AttemptError::NoBranch { .. } => {
            let text = error.to_string();
            let what = format!("watch {} has nothing to deliver", watch.name);
            EngineError::Forge { what, source: ForgeError::new(ForgeErrorKind::NotFound, text) }
        }
        other => {
            let source = DeployError::new(DeployErrorKind::Refused, other.to_string());
            EngineError::Deploy { what: format!("watch {} can't be delivered", watch.name), source }
        }
    }
}

fn unknown_watch(parts: &Parts, watch: &WatchName) -> EngineError {
    let names: Vec<_> = parts.known.watches.keys().map(WatchName::as_str).collect();
    EngineError::Unknown(format!("there is no watch {watch}; there is {}", names.join(", ")))
}
