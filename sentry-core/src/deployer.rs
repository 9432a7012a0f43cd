//! The port to what executes a plan.

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::clock::Timestamp;
use crate::delivery::{FailureClass, RunState, TaskRecord};
use crate::names::ClusterRef;
use crate::plan::{Action, ChangeSet, ObjectRef, Plan};
use crate::repo::CommitSha;

pub use error::{DeployError, DeployErrorKind};

/// Read-only queries to a cluster.
#[async_trait]
pub trait Cluster: fmt::Debug + Send + Sync {
    /// The kinds that the cluster knows; `None` where it can't be asked: then a built-in table is used. The wanted
    /// kinds are always in the table, if the cluster has them.
    async fn kinds(
        &self,
        cluster: &ClusterRef,
        wanted: &KindsQuery,
    ) -> Result<Option<Arc<KindTable>>, DeployError>;

    /// Which of these objects, each an `apiVersion`, `kind` and name, exist in the cluster's namespace: their kinds and
    /// names. For judging references that the plan itself does not answer.
    ///
    /// `None` if that is unknown: then nothing may be concluded.
    async fn exist(
        &self,
        cluster: &ClusterRef,
        objects: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError>;

    /// What the plan would change, object by object in its order. Nothing secret is shown.
    async fn diff(&self, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError>;

    /// Whether the cluster is reachable and allows what deliveries need in its namespace; with `lends` also creating
    /// the Secrets that runs clone A with. Empty if there is no cluster to ask.
    ///
    /// `Err` only if the question could not be sent: whatever the cluster says is an answer.
    async fn probe(&self, cluster: &ClusterRef, lends: bool) -> Result<Vec<Probe>, DeployError>;
}

/// Executes plans on one kind of target.
///
/// Calls for the same [`ClusterRef`] never overlap. An implementation bounds every call by the plan's timeout, and
/// a repeated plan must not make anything twice. `sentry_core::testing::deployer_contract` has the contract as tests.
#[async_trait]
pub trait Deployer: fmt::Debug + Send + Sync {
    /// Asks the target whether it would accept every object. Nothing is written.
    ///
    /// `Err` if that can't be determined.
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError>;

    /// Brings every object to the target: the named ones first, in order, and no run after a named one that failed.
    /// `checked` is what the check of this plan, or of one that this one is a part of, found out. `Err` only if nothing
    /// was attempted: what happened to each object is in the [`ChangeSet`].
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError>;

    /// Streams the states of the wanted runs: first each one that exists, then [`RunChange::Synced`], then every
    /// change, until it is dropped. It ends only with an error; the caller follows again, which replays all of
    /// them.
    ///
    /// `None` where runs can't be followed: then a delivery ends when its objects are acknowledged.
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>>;

    /// Asks the cluster to cancel or delete runs that Sentry made. A run that is gone is not an error; a run without
    /// Sentry's labels is left alone.
    async fn retire(&self, request: &Retire) -> Result<(), DeployError>;
}

/// A deployer as an engine gets it: an implementation for each of the ports.
#[derive(Debug, Clone)]
pub struct DeployerPorts {
    /// True if it never writes: then no cursor moves.
    pub dry_run: bool,
    /// Whom to ask.
    pub cluster: Arc<dyn Cluster>,
    /// Who writes.
    pub deployer: Arc<dyn Deployer>,
}

impl DeployerPorts {
    /// One that writes, and is both ports itself.
    #[must_use]
    pub fn new(deployer: Arc<impl Cluster + Deployer + 'static>) -> Self {
        Self { dry_run: false, cluster: Arc::clone(&deployer) as _, deployer }
    }
}

/// One check of a cluster and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What was checked: `reach the cluster`, `create pipelineruns.tekton.dev`.
    pub what: String,
    /// True if it is there or allowed.
    pub allowed: bool,
    /// More for people: the server's version, or the reason and the remedy.
    pub detail: String,
}

/// What a check found out: what the target would not accept, for the engine; the state of each object, for the apply.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// The errors about objects that the target would not accept, in the plan's order.
    pub refused: ObjectErrors,
    stood: BTreeMap<Identity, Stood>,
    is_binding: bool,
}

/// [`ObjectRef::identity`], owned.
type Identity = (String, Option<String>, String);

/// An object's state when it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stood {
    /// It was not there.
    Absent,
    /// It was there in this version, in the target's own words.
    At(String),
}

impl Checked {
    /// Only what would not be taken.
    #[must_use]
    pub fn refusing(refused: ObjectErrors) -> Self {
        Self { refused, ..Self::default() }
    }

    /// Keeps an object's state. Only for the deployer itself.
    pub fn learn(&mut self, object: &ObjectRef, stood: Stood) {
        self.stood.insert(identity(object), stood);
    }

    /// From now on an object is written only if it still is as the check saw it; where it is not, the apply ends with
    /// [`DeployErrorKind::Stale`]. Asked for where another process may own the state by then: each delivery changes an object's
    /// labels, so that an apply which was held up can't undo what a newer delivery wrote.
    pub fn bind(&mut self) {
        self.is_binding = true;
    }

    /// The state that an object must still have to be written; `None` if any will do.
    #[must_use]
    pub fn binding(&self, object: &ObjectRef) -> Option<&Stood> {
        self.stood(object).filter(|_| self.is_binding)
    }

    /// An object's state; `None` if the check did not learn it.
    #[must_use]
    pub fn stood(&self, object: &ObjectRef) -> Option<&Stood> {
        self.stood.get(&identity(object))
    }
}

fn identity(object: &ObjectRef) -> Identity {
    let (kind, namespace, name) = object.identity();
    (kind.to_owned(), namespace.map(str::to_owned), name.to_owned())
}

/// Which runs are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowQuery {
    /// Where they are: only the namespace it names is used.
    pub cluster: ClusterRef,
    /// The commits of A that they were made for, by the label [`crate::plan::COMMIT_LABEL`]: whichever delivery made
    /// a run, its commit stays.
    pub commits: Vec<CommitSha>,
    /// `apiVersion` and `kind` of the runs, each pair once.
    pub kinds: Vec<(String, String)>,
    /// `kind` and name of runs whose end is known: the cluster is asked nothing more about them.
    pub known: BTreeSet<(String, String)>,
}

/// Something that became known about followed runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunChange {
    /// The state of a run.
    Stands(RunStatus),
    /// A run is not there any more.
    Gone {
        /// `kind`.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Runs of this kind have no known end: they are not reported.
    Endless {
        /// `kind`.
        kind: String,
    },
    /// Every existing run was reported: one that was not does not exist.
    Synced,
}

/// The state of a run on the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStatus {
    /// `kind`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: RunState,
    /// The condition's reason, as the cluster words it: `Running`, `PipelineRunTimeout`.
    pub reason: Option<String>,
    /// For a run that did not succeed: which task and step, why, and its last log line when it may be read; without
    /// secrets, at most 1,000 characters.
    pub message: Option<String>,
    /// What kind of failure it was, for a run that failed or was cancelled.
    pub failure: Option<FailureClass>,
    /// When it began, by the cluster's clock.
    pub started: Option<Timestamp>,
    /// When it ended, by the cluster's clock.
    pub completed: Option<Timestamp>,
    /// The tasks of a pipeline run, at most [`crate::delivery::MAX_TASKS`].
    pub tasks: Vec<TaskRecord>,
}

/// What is to be done with runs that are not wanted any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retire {
    /// Where they are: only the namespace it names is used.
    pub cluster: ClusterRef,
    /// The runs: `apiVersion`, `kind`, name.
    pub runs: Vec<(String, String, String)>,
    /// What to do.
    pub how: RetireHow,
    /// The longest time the whole call may take.
    pub timeout: Duration,
}

/// How runs are retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetireHow {
    /// An active run is cancelled; its `finally` tasks run. One that ended is left as it is.
    Cancel,
    /// A run that ended is deleted. An active one is left alone.
    Delete,
}

/// What a plan would do to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectDiff {
    /// Which object.
    pub object: ObjectRef,
    /// [`Action::Created`], [`Action::Configured`], [`Action::Unchanged`] or [`Action::Exists`].
    pub action: Action,
    /// The object on the cluster as YAML, without what only a server sets and without Sentry's own labels and
    /// annotations, which change with every delivery; `None` if there is none. Data of Secrets is replaced by digests
    /// that can be compared within one answer only.
    pub before: Option<String>,
    /// The object as it would be, in the same form.
    pub after: String,
}

/// What a [`KindTable`] must answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindsQuery {
    /// Whether these are served, each an `apiVersion` and `kind`.
    pub kinds: BTreeSet<(String, String)>,
    /// Which fields the kinds of these versions have, each an `apiVersion`.
    pub fields: BTreeSet<String>,
}

/// The fields of a kind's `spec` as a cluster describes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// By name. A list and a map are described by their elements.
    pub named: BTreeMap<String, Fields>,
    /// What each element of a map holds, whatever its name.
    pub any: Option<Box<Fields>>,
}

impl Fields {
    /// What the cluster says of a field; `None` if it does not describe it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.named.get(name).or(self.any.as_deref())
    }
}

/// Which kinds a cluster serves, in which versions, and whether they live in a namespace.
///
/// For most groups a cluster lists each kind's preferred version only; what is not in the table of such a group is not
/// known. Of a group that was read whole ([`Self::close`]) everything is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindTable {
    /// By group and kind.
    kinds: BTreeMap<(String, String), Known>,
    whole: BTreeSet<String>,
    open: BTreeSet<String>,
    /// By `apiVersion` and `kind`. A version that is described and has no such kind has an empty entry.
    fields: BTreeMap<String, Arc<BTreeMap<String, Fields>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    namespaced: bool,
    /// In the order they were listed, the preferred one first.
    versions: Vec<String>,
}

/// What a cluster says of a kind in one version. `namespaced` is whether its objects live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served<'t> {
    /// It serves it.
    Yes {
        /// See above.
        namespaced: bool,
    },
    /// It serves it in these versions only.
    In(&'t [String]),
    /// It has no such kind.
    Never,
    /// Its answer does not say.
    Unknown {
        /// See above; known if another version of the kind is known.
        namespaced: Option<bool>,
    },
}

impl KindTable {
    /// Adds a kind of an `apiVersion`, and whether it lives in a namespace.
    pub fn insert(&mut self, api_version: &str, kind: &str, namespaced: bool) {
        let (group, version) = split(api_version);
        let known = self.kinds.entry((group.to_owned(), kind.to_owned()));
        let known = known.or_insert_with(|| Known { namespaced, versions: Vec::new() });
        if !known.versions.iter().any(|have| have == version) {
            known.versions.push(version.to_owned());
        }
    }

    /// Says that every kind of a group is in the table, in every version.
    pub fn close(&mut self, group: &str) {
        self.open.remove(group);
        self.whole.insert(group.to_owned());
    }

    /// Says that a group, or a part of it, could not be read: what the table lacks of it may exist.
    pub fn leave_open(&mut self, group: &str) {
        self.open.insert(group.to_owned());
    }

    /// Adds the fields of a version's kinds; none where the cluster describes none.
    pub fn describe(&mut self, api_version: &str, fields: BTreeMap<String, Fields>) {
        self.fields.insert(api_version.to_owned(), Arc::new(fields));
    }

    /// True if [`Self::describe`] was called for a version.
    #[must_use]
    pub fn is_described(&self, api_version: &str) -> bool {
        self.fields.contains_key(api_version)
    }

    /// The fields that a kind's `spec` has, if the cluster describes them.
    #[must_use]
    pub fn fields(&self, api_version: &str, kind: &str) -> Option<&Fields> {
        self.fields.get(api_version)?.get(kind)
    }

    /// True if nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// True if a kind of the group is in it.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        self.kinds.keys().any(|(have, _)| have == group)
    }

    /// What is known of a kind of an `apiVersion`.
    #[must_use]
    pub fn served(&self, api_version: &str, kind: &str) -> Served<'_> {
        let (group, version) = split(api_version);
        let known = self.kinds.get(&(group.to_owned(), kind.to_owned()));
        let whole = self.whole.contains(group);
        match known {
            Some(known) if known.versions.iter().any(|have| have == version) => {
                Served::Yes { namespaced: known.namespaced }
            }
            Some(known) if whole => Served::In(&known.versions),
            Some(known) => Served::Unknown { namespaced: Some(known.namespaced) },
            None if self.open.contains(group) => Served::Unknown { namespaced: None },
            None => Served::Never,
        }
    }
}

/// Group, empty for the core group, and version.
fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

impl<'a> FromIterator<(&'a str, &'a str, bool)> for KindTable {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str, bool)>>(kinds: I) -> Self {
        let mut table = Self::default();
        for (api_version, kind, namespaced) in kinds {
            table.insert(api_version, kind, namespaced);
        }
        table
    }
}

/// Objects that a cluster would not take, each with its error.
pub type ObjectErrors = Vec<(ObjectRef, DeployError)>;
