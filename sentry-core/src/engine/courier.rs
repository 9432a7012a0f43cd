//! One attempt of one delivery: named steps, each made of what the last one gave.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};
use tokio::time::Instant;

use super::elsewhere::Elsewhere;
use super::failure::AttemptError;
use super::lookups::Lookups;
use super::outcomes::Outcomes;
use super::{Stop, idle, references, refusals, verdict};
use crate::clock::Clock;
use crate::delivery::{Cause, Delivery, DeliveryState, Intent, Reason, RunRecord, StepTiming};
use crate::deployer::{Checked, Cluster, DeployError, DeployErrorKind, Deployer, KindTable};
use crate::fleet::Lease;
use crate::forge::{
    Audience, Base, ChangedPaths, ChangesQuery, CommitInfo, ForgeError, ForgeErrorKind, ForgePorts,
    Heads, HeadsAnswer, HeadsQuery, Reporter, Source, Tree, TreeLimits, TreeQuery,
};
use crate::ids::TriggerId;
use crate::manifest::{
    self, Context, DocumentDecision, Documents, LeftOut, ManifestSet, Remote, RemoteDocuments,
    RemoteUse,
};
use crate::plan::{Action, ChangeSet, GitAuth, ObjectOutcome, Operation, Plan};
use crate::remote::RemoteTasks;
use crate::repo::{BranchName, CommitSha};
use crate::revision::Revision;
use crate::store::Blobs;
use crate::subject::Subject;
use crate::watch::{BranchSelector, Refusals, ReportDetail, ReportMode, Watch};

/// PaC's markers in a commit's message: with one of them a push starts nothing
/// (Pipelines-as-Code, "Skip CI commands").
const SKIP_MARKERS: &[&str] = &["[skip ci]", "[ci skip]", "[skip tkn]", "[tkn skip]"];

/// The marker by which a commit asks not to be delivered.
pub(super) fn skip_marker(info: &CommitInfo) -> Option<&'static str> {
    SKIP_MARKERS.iter().copied().find(|marker| info.message.contains(marker))
}

/// A port that is told its deadline has a better error than ours: it goes first.
const SLACK: Duration = Duration::from_secs(2);

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Every object is acknowledged.
    Done,
    /// Nothing was to be delivered.
    Passed(Reason),
    /// A newer head took its place before anything was written.
    Superseded(CommitSha),
    /// It failed.
    Failed(AttemptError),
    /// It was stopped.
    Interrupted,
}

/// The delivery as the attempt left it.
#[derive(Debug)]
pub(super) struct AttemptEnd {
    pub(super) delivery: Delivery,
    pub(super) outcome: Outcome,
    /// How many of the delivery's runs, the first ones, an earlier attempt was to create.
    pub(super) earlier: usize,
}

/// Why an attempt must not go on.
#[derive(Debug)]
pub(super) enum Halt {
    Superseded(CommitSha),
    Cancelled,
    Stopping,
}

/// A delivery that reached another step, and where the answer goes: the step begins with it.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) delivery: Box<Delivery>,
    /// The runs that it wants to create now.
    pub(super) wanted: Vec<RunRecord>,
    /// How many of them it may, the first ones first.
    pub(super) go: oneshot::Sender<Result<usize, Halt>>,
}

/// Everything one attempt needs.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) delivery: Delivery,
    pub(super) watch: Arc<Watch>,
    pub(super) lookups: Arc<Lookups>,
    pub(super) source: Arc<dyn Source>,
    /// What shows statuses on A's commits, where there is anything.
    pub(super) reporter: Option<Arc<dyn Reporter>>,
    pub(super) manifests: ForgePorts,
    /// What the delivery keeps of elsewhere.
    pub(super) blobs: Arc<dyn Blobs>,
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) deployer: Arc<dyn Deployer>,
    /// Held while objects are checked and written: one at a time per cluster and namespace.
    pub(super) target: Arc<Mutex<()>>,
    /// The head that changed paths are counted from, where there is one.
    pub(super) base: Option<Base>,
    /// Only these (path, document) are run, in a rerun of what failed.
    pub(super) only: Option<BTreeSet<(String, usize)>>,
    pub(super) progress: mpsc::Sender<Progress>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: Stop,
    pub(super) lease: Lease,
}

enum Interrupt {
    Halt(Halt),
    Error(AttemptError),
    Passed(Reason),
}

impl From<AttemptError> for Interrupt {
    fn from(error: AttemptError) -> Self {
        Self::Error(error)
    }
}

impl Attempt {
    /// Carries the delivery through its steps; returns the turn at the target as well, if it got that far.
    pub(super) async fn run(mut self) -> (AttemptEnd, Option<OwnedMutexGuard<()>>) {
        let mut turn = None;
        let earlier = self.delivery.runs.len();
        self.delivery.steps.clear();
        self.delivery.notes.clear();
        let outcome = match self.steps(&mut turn).await {
            Ok(()) => Outcome::Done,
            Err(Interrupt::Passed(reason)) => Outcome::Passed(reason),
            Err(Interrupt::Error(error)) => Outcome::Failed(error),
            Err(Interrupt::Halt(Halt::Superseded(by))) => Outcome::Superseded(by),
            Err(Interrupt::Halt(Halt::Stopping | Halt::Cancelled)) => Outcome::Interrupted,
        };
        (AttemptEnd { delivery: self.delivery, outcome, earlier }, turn)
    }

    async fn steps(&mut self, turn: &mut Option<OwnedMutexGuard<()>>) -> Result<(), Interrupt> {
        let until = Instant::now() + self.watch.timing.timeout;
        let info = self.commit_info(until).await?;
        let pinned = self.resolve(until).await?;
        self.delivery.manifests = Some(pinned.clone());
        self.enter(DeliveryState::Fetching, Vec::new()).await?;
        let documents = self.documents(&pinned, until).await?;
        let changed = self.changed(&documents, until).await?;
        let about = About { info: &info, changed: changed.as_ref() };
        let remote = self.remote(&documents, &pinned, &about, until).await?;

        // Waiting for the target is not the delivery's own time.
        let waited = Instant::now();
        *turn = Some(Arc::clone(&self.target).lock_owned().await);
        let until = until + waited.elapsed();
        self.enter(DeliveryState::Checking, Vec::new()).await?;
        let read = Read { documents: &documents, remote: &remote };
        let (plan, checked) = self.check(read, &pinned, &about, until).await?;
        drop(documents);

        self.delivery.intent =
            Some(Intent { manifests: pinned, digest: plan.digest(), at: self.clock.now() });
        let wanted = if self.delivery.asked.dry_run {
            Vec::new()
        } else {
            verdict::wanted(&plan, &self.delivery.runs)
        };
        // What is sent now has no outcome before the deployer tells one: after a kill nobody knows it.
        let stands = |o: &ObjectOutcome| o.action.is_acknowledged() || o.action == Action::Queued;
        self.delivery.objects.retain(stands);
        let allowed = self.enter(DeliveryState::Applying, wanted.clone()).await?;
        self.delivery.runs.extend(wanted.into_iter().take(allowed));
        self.apply(plan, &checked, until).await
    }

    /// Asks whether a step may begin, with the runs that it wants to create. Returns how many of them the namespace has room
    /// for.
    async fn enter(
        &mut self,
        state: DeliveryState,
        wanted: Vec<RunRecord>,
    ) -> Result<usize, Interrupt> {
        self.delivery.state = state;
        let (go, answer) = oneshot::channel();
        let told = Progress { delivery: Box::new(self.delivery.clone()), wanted, go };
        if self.progress.send(told).await.is_err() {
            return Err(Interrupt::Halt(Halt::Stopping));
        }
        answer.await.unwrap_or(Err(Halt::Stopping)).map_err(Interrupt::Halt)
    }

    /// Runs one step that writes nothing: a stop or the deadline ends it.
    async fn timed<T>(
        &mut self,
        step: &str,
        until: Instant,
        work: impl Future<Output = Result<T, AttemptError>>,
    ) -> Result<T, Interrupt> {
        let (started, clock) = (self.clock.now(), Instant::now());
        let result = tokio::select! {
            biased;
            result = work => result.map_err(Interrupt::Error),
            () = self.stop.soft.cancelled() => Err(Interrupt::Halt(Halt::Stopping)),
            () = tokio::time::sleep_until(until) => {
                Err(AttemptError::Timeout { limit: self.watch.timing.timeout }.into())
            }
        };
        self.delivery.steps.push(StepTiming {
            step: step.to_owned(),
            started,
            took: clock.elapsed(),
        });
        result
    }

    /// What A's commit says of itself: a skip marker ends the delivery of a change here.
    async fn commit_info(&mut self, until: Instant) -> Result<CommitInfo, Interrupt> {
        let (lookups, source) = (Arc::clone(&self.lookups), Arc::clone(&self.source));
        let (watch, revision) = (Arc::clone(&self.watch), self.delivery.revision.clone());
        let ask = async move {
            let info = lookups.commit(source, &watch, &revision).await;
            info.map_err(|source| AttemptError::Forge {
                what: format!("can't read commit {} of {}", revision.sha, watch.source.repo),
                source,
            })
        };
        let info = self.timed("inspect", until, ask).await?;
        self.delivery.commit = Some(info.note());
        self.delivery.detail = self.detail(until).await?;
        let marked = skip_marker(&info).is_some();
        if marked && self.delivery.asked.cause.is_automatic() {
            return Err(Interrupt::Passed(Reason::SkippedByMarker));
        }
        Ok(info)
    }

    /// How much statuses may say, where the watch leaves that to who may read A. Not knowing is no failure: then they say less.
    async fn detail(&mut self, until: Instant) -> Result<Option<ReportDetail>, Interrupt> {
        let reporting = &self.watch.reporting;
        let is_open = reporting.detail.is_none() && reporting.mode != ReportMode::Off;
        let Some(reporter) = self.reporter.clone().filter(|_| is_open) else { return Ok(None) };
        let (lookups, watch) = (Arc::clone(&self.lookups), Arc::clone(&self.watch));
        let ask = async move { Ok(lookups.audience(reporter, &watch).await) };
        Ok(Some(match self.timed("audience", until, ask).await? {
            Audience::Members => ReportDetail::Reasons,
            Audience::Public | Audience::Unknown => ReportDetail::Counts,
        }))
    }

    async fn resolve(&mut self, until: Instant) -> Result<Revision, Interrupt> {
        if let Some(intent) = &self.delivery.intent {
            // What was begun with one commit of B is finished with it.
            return Ok(intent.manifests.clone());
        }
        let (lookups, heads) = (Arc::clone(&self.lookups), Arc::clone(&self.manifests.heads));
        let watch = Arc::clone(&self.watch);
        let pull = self.delivery.pull.as_deref();
        let names = watch.manifests_branches(&self.delivery.revision.subject, pull);
        let work = async move { lookups.head(heads, watch, names).await };
        self.timed("resolve", until, work).await
    }

    async fn documents(
        &mut self,
        pinned: &Revision,
        until: Instant,
    ) -> Result<Arc<Documents>, Interrupt> {
        let (lookups, source) = (Arc::clone(&self.lookups), Arc::clone(&self.manifests.source));
        let (watch, pinned) = (Arc::clone(&self.watch), pinned.clone());
        let left = until.saturating_duration_since(Instant::now());
        let work = async move { lookups.documents(source, watch, &pinned, left).await };
        self.timed("fetch", until + SLACK, work).await
    }

    /// What changed in A since the base, if a document asks for it. Not knowing is no failure: then
    /// everything counts as changed.
    async fn changed(
        &mut self,
        documents: &Documents,
        until: Instant,
    ) -> Result<Option<ChangedPaths>, Interrupt> {
        let Some(from) = self.base.clone().filter(|_| manifest::needs_changes(documents)) else {
            return Ok(None);
        };
        let (source, repo) = (Arc::clone(&self.source), self.watch.source.repo.clone());
        let to = self.delivery.revision.clone();
        // A comparison that never ends leaves half of the time for what starts without it.
        let timeout = until.saturating_duration_since(Instant::now()) / 2;
        let query = ChangesQuery { repo, from, to, timeout };
        let ask = async move { Ok(source.changes(&query).await.ok()) };
        self.timed("compare", until + SLACK, ask).await
    }

    /// What the runs that start need of elsewhere; the delivery keeps it.
    async fn remote(
        &mut self,
        documents: &Documents,
        pinned: &Revision,
        about: &About<'_>,
        until: Instant,
    ) -> Result<RemoteDocuments, Interrupt> {
        let (watch, delivery) = (Arc::clone(&self.watch), self.delivery.clone());
        let (lookups, blobs) = (Arc::clone(&self.lookups), Arc::clone(&self.blobs));
        let manifests = self.manifests.clone();
        let context = about.context(&watch, &delivery, pinned, None);
        let elsewhere = Elsewhere {
            lookups: &lookups,
            manifests: &manifests,
            kept: Some((blobs.as_ref(), &delivery.id)),
            is_begun: delivery.intent.is_some(),
            until,
        };
        if !manifest::may_have_remotes(documents) {
            return Ok(RemoteDocuments::default());
        }
        let mut records = delivery.remotes.clone();
        let gather = elsewhere.gather(documents, &context, &mut records);
        let found = self.timed("remote", until + SLACK, gather).await;
        self.delivery.remotes = records;
        found
    }

    async fn check(
        &mut self,
        read: Read<'_>,
        pinned: &Revision,
        about: &About<'_>,
        until: Instant,
    ) -> Result<(Plan, Checked), Interrupt> {
        let Read { documents, remote } = read;
        let (cluster, watch) = (Arc::clone(&self.cluster), Arc::clone(&self.watch));
        let deployer = Arc::clone(&self.deployer);
        let delivery = self.delivery.clone();
        let kinds = self.kinds(documents, until).await?;
        let context = Context {
            remote: of_watch(&watch, remote),
            ..about.context(&watch, &delivery, pinned, kinds.as_deref())
        };
        let mut set = manifest::prepare(documents, &context);
        let what = || format!("can't ask {} for the objects that runs refer to", watch.cluster);
        let missing = async {
            references::refuse_missing(cluster.as_ref(), &watch, &mut set)
                .await
                .map_err(|source| AttemptError::Deploy { what: what(), source })
        };
        self.timed("references", until, missing).await?;
        if let Some(text) = set.no_such_run.take() {
            return Err(AttemptError::NoSuchRun(text).into());
        }
        if let Some(only) = &self.only {
            set.objects.retain(|o| {
                let place = (o.object.path.clone(), o.object.document);
                o.operation == Operation::Apply || only.contains(&place)
            });
        }
        let git_auth = self.lend(&context, &mut set, until).await?;
        self.delivery.notes = notes(&set, watch.refusals);
        self.delivery.passed = idle::cause(&set);
        let timeout = until.saturating_duration_since(Instant::now());
        let mut plan = Plan { git_auth, ..plan(set, &watch, &self.delivery, timeout)? };
        let work = async { refusals::check(deployer.as_ref(), &mut plan, watch.refusals).await };
        let (mut checked, left_out) = self.timed("check", until + SLACK, work).await?;
        if self.lease.is_limited() {
            checked.bind();
        }
        self.delivery.notes.extend(left_out.iter().map(LeftOut::told));
        Ok((plan, checked))
    }

    /// The cluster's kinds; `None` where it can't tell.
    async fn kinds(
        &mut self,
        documents: &Documents,
        until: Instant,
    ) -> Result<Option<Arc<KindTable>>, Interrupt> {
        let (asked, cluster) = (Arc::clone(&self.cluster), self.watch.cluster.clone());
        let wanted = manifest::wanted(documents);
        let kinds = async {
            let what = || format!("can't ask {cluster} for its kinds");
            asked
                .kinds(&cluster, &wanted)
                .await
                .map_err(|source| AttemptError::Deploy { what: what(), source })
        };
        self.timed("discover", until, kinds).await
    }

    /// What the set's runs clone A with.
    async fn lend(
        &mut self,
        context: &Context<'_>,
        set: &mut ManifestSet,
        until: Instant,
    ) -> Result<Vec<GitAuth>, Interrupt> {
        let secrets = set.git_auth(context);
        if secrets.is_empty() {
            return Ok(secrets);
        }
        let (source, repo) = (Arc::clone(&self.source), &context.watch.source.repo);
        let ask = async {
            let what = || format!("can't get a token for cloning {repo}");
            let credential = source.clone_credential(repo).await;
            credential.map_err(|source| AttemptError::Forge { what: what(), source })
        };
        let credential = self.timed("lend", until, ask).await?;
        Ok(set.lend(secrets, context, credential.as_ref()))
    }

    /// A begun apply is never cut off from here: the deployer keeps the deadline, a hard stop drops the whole task.
    async fn apply(
        &mut self,
        plan: Plan,
        checked: &Checked,
        until: Instant,
    ) -> Result<(), Interrupt> {
        let (started, clock) = (self.clock.now(), Instant::now());
        let mut outcomes = Outcomes::of(&plan, &self.delivery);
        let timeout = until.saturating_duration_since(Instant::now());
        let (objects, git_auth) = (outcomes.to_send(plan.objects), outcomes.to_lend(plan.git_auth));
        let sent = Plan { timeout, objects, git_auth, ..plan };
        let what = || format!("the delivery to {} was not completed", self.watch.cluster);
        let result = if sent.objects.is_empty() && sent.git_auth.is_empty() {
            Ok(ChangeSet { objects: Vec::new(), error: None })
        } else {
            self.lease.allows().await;
            self.deployer.apply(&sent, checked).await
        };
        self.delivery.steps.push(StepTiming {
            step: "apply".into(),
            started,
            took: clock.elapsed(),
        });

        if result.as_ref().is_err_and(|error| error.kind().is_answer()) {
            self.delivery.objects = outcomes.unsent(&sent.objects);
        }
        let changes = result.map_err(|source| AttemptError::Deploy { what: what(), source })?;
        let complete = changes.is_complete() && changes.objects.len() == sent.objects.len();
        let ChangeSet { objects, error } = changes;
        self.delivery.objects = outcomes.with(objects);
        if complete {
            return Ok(());
        }
        let source = error.unwrap_or_else(|| {
            DeployError::new(
                DeployErrorKind::Unreachable,
                "the deployer did not say why an object was not acknowledged",
            )
        });
        let objects = &self.delivery.objects;
        let acknowledged = objects.iter().filter(|o| o.action.is_acknowledged()).count();
        let what = format!(
            "{acknowledged} of {} objects were acknowledged by {}",
            objects.len(),
            self.watch.cluster
        );
        Err(AttemptError::Deploy { what, source }.into())
    }
}

/// What was read for a delivery.
#[derive(Clone, Copy)]
struct Read<'a> {
    documents: &'a Documents,
    remote: &'a RemoteDocuments,
}

/// What is known of elsewhere, as the watch allows it.
pub(super) fn of_watch<'a>(watch: &Watch, got: &'a RemoteDocuments) -> Remote<'a> {
    match watch.remote.tasks {
        RemoteTasks::Off => Remote::Off,
        RemoteTasks::Fetch | RemoteTasks::Locked => Remote::Got(got),
    }
}

/// What is known of A's head beside its name.
struct About<'a> {
    info: &'a CommitInfo,
    changed: Option<&'a ChangedPaths>,
}

impl About<'_> {
    /// All that a document's fate depends on, but for what is elsewhere.
    fn context<'c>(
        &'c self,
        watch: &'c Watch,
        delivery: &'c Delivery,
        pinned: &'c Revision,
        kinds: Option<&'c KindTable>,
    ) -> Context<'c> {
        Context {
            watch,
            revision: &delivery.revision,
            pull: delivery.pull.as_deref(),
            delivery: &delivery.id,
            again: again(delivery, pinned),
            manifests: pinned,
            sender: Some(&self.info.author),
            title: self.info.title(),
            event: &delivery.asked.event,
            only: delivery.asked.only.as_deref(),
            changed: self.changed,
            remote: Remote::Off,
            kinds,
        }
    }
}

/// What stops nothing but is worth knowing: the manifests' own notes, runs that do not start and why, and what a
/// lenient watch leaves out.
fn notes(set: &ManifestSet, refusals: Refusals) -> Vec<String> {
    let told = |word: &str, d: &DocumentDecision| {
        format!("{word} {}:{} (document {}): {}", d.path, d.line, d.document, d.reason)
    };
    let skipped =
        set.decisions.iter().filter(|d| idle::is_skipped_run(d)).map(|d| told("skipped", d));
    let left_out =
        set.refusals().filter(|_| refusals == Refusals::Lenient).map(|d| told("left out", d));
    let remotes = set.remotes.iter().map(RemoteUse::told);
    set.notes.iter().cloned().chain(remotes).chain(skipped).chain(left_out).collect()
}

/// The first of these branches of B that is there, and its head.
pub(super) async fn resolve(
    forge: &dyn Heads,
    watch: &Watch,
    names: Vec<BranchName>,
) -> Result<Revision, AttemptError> {
    let repo = watch.manifests.repo.clone();
    let wanted = names.iter().map(BranchName::as_str).collect::<Vec<_>>().join(", ");
    let none = || AttemptError::NoBranch { repo: repo.to_string(), wanted: wanted.clone() };
    let subjects = BranchSelector::named(names.iter()).into();
    let query = HeadsQuery { repo: repo.clone(), subjects, validator: None };
    let failed = |source| AttemptError::Forge {
        what: format!("can't read the head of {wanted} in {repo}"),
        source,
    };
    let answer = forge.heads(std::slice::from_ref(&query)).await.pop();
    let mut heads = match answer.transpose().map_err(failed)? {
        Some(HeadsAnswer::Heads(heads)) => heads.heads,
        Some(HeadsAnswer::NotModified) | None => {
            let text = "the forge did not answer a request that had no validator";
            return Err(failed(ForgeError::new(ForgeErrorKind::WrongAnswer, text)));
        }
    };
    names
        .into_iter()
        .find_map(|name| {
            heads
                .remove_entry(&Subject::Branch(name))
                .map(|(subject, sha)| Revision { subject, sha })
        })
        .ok_or_else(none)
}

/// B's directory at the pinned commit.
pub(super) async fn fetch(
    forge: &dyn Source,
    watch: &Watch,
    pinned: &Revision,
    timeout: Duration,
) -> Result<Tree, AttemptError> {
    let Watch { manifests, .. } = watch;
    let query = TreeQuery {
        repo: manifests.repo.clone(),
        revision: pinned.clone(),
        dir: manifests.dir.clone(),
        limits: TreeLimits::default(),
        timeout,
    };
    forge.tree(&query).await.map_err(|source| AttemptError::Forge {
        what: format!("can't fetch {} of {} at {}", manifests.dir, manifests.repo, pinned.sha),
        source,
    })
}

/// The plan, if the watch's rule for refused documents allows one and there is something to do.
fn plan(
    set: ManifestSet,
    watch: &Watch,
    delivery: &Delivery,
    timeout: Duration,
) -> Result<Plan, Interrupt> {
    let refusals: Vec<_> = set.refusals().cloned().collect();
    if !refusals.is_empty() && watch.refusals == Refusals::Strict {
        return Err(AttemptError::Refused { refusals, total: set.decisions.len() }.into());
    }
    if let Some(cause) = delivery.passed.clone().filter(|_| set.objects.is_empty()) {
        return Err(Interrupt::Passed(cause));
    }
    Ok(Plan {
        delivery: delivery.id.clone(),
        cluster: watch.cluster.clone(),
        force_conflicts: watch.force_conflicts,
        objects: set.objects,
        git_auth: Vec::new(),
        timeout,
    })
}
/// What sets a delivery apart from earlier ones of its head, if there can be any.
fn again<'a>(delivery: &'a Delivery, manifests: &'a Revision) -> Option<&'a str> {
    match delivery.asked.cause {
        Cause::Manifests => Some(manifests.sha.as_str()),
        Cause::Change | Cause::Manual | Cause::Webhook | Cause::Rerun => {
            delivery.asked.trigger.as_ref().map(TriggerId::as_str)
        }
    }
}
