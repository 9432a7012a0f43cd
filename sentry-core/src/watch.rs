//! A watch: one rule that says which branches and tags of A make what of B run where.

mod selector;
mod subjects;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::names::{ClusterRef, Namespace, WatchName};
use crate::pull::PullRequest;
use crate::remote::RemoteRules;
use crate::repo::{BranchName, DirPath, RepoUrl};
use crate::subject::Subject;
use crate::subscription::Subscription;

pub use selector::BranchSelector;
pub use subjects::SubjectSelector;
pub use tags::TagSelector;
pub(crate) use tags::before;

/// Repository A and what of it is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of the forge, as registered with the engine.
    pub forge: String,
    /// Repository A.
    pub repo: RepoUrl,
    /// Which of its subjects.
    pub subjects: SubjectSelector,
}

/// A branch of B: fixed, or the one with the same name as A's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestsBranch {
    /// `{source_branch}`: B's branch with the same name as A's; none for a tag.
    SourceBranch,
    /// `{target_branch}`: B's branch with the same name as the one that A's head is meant for: of a branch its own, of a
    /// pull request the one that it is to be merged into; none for a tag.
    TargetBranch,
    /// A fixed branch.
    Named(BranchName),
}

/// Repository B: where manifests come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifests {
    /// The name of the forge, as registered with the engine.
    pub forge: String,
    /// Repository B.
    pub repo: RepoUrl,
    /// Branches of B in order; the first that exists is used. Never empty.
    pub branches: Vec<ManifestsBranch>,
    /// The directory, usually `.tekton`.
    pub dir: DirPath,
}

/// A kind of one API group. Kinds of two groups may share a name, and have nothing else in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKind {
    /// The kind.
    pub kind: String,
    /// Its API group; empty for the core group.
    pub group: String,
}

impl GroupKind {
    /// A kind of a group.
    #[must_use]
    pub fn new(group: &str, kind: &str) -> Self {
        Self { kind: kind.to_owned(), group: group.to_owned() }
    }
}

/// `Kind.group`, as kubectl takes it; the kind alone for the core group.
impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, group } = self;
        if group.is_empty() { f.write_str(kind) } else { write!(f, "{kind}.{group}") }
    }
}

crate::closed_list! {
    /// What is done about fields that another field manager of the cluster owns.
    pub enum ForceConflicts, First by default {
        /// The object is refused.
        Never = "never",
        /// What `kubectl apply` and `kubectl create` left is taken over.
        First = "first",
        /// They are taken over, no matter who owns them.
        Always = "always",
    }
}

crate::closed_list! {
    /// What happens to fields that Tekton does not have.
    pub enum UnknownFields, Drop by default {
        /// They are left out; what looks like a slip refuses the document.
        Drop = "drop",
        /// They refuse the document.
        Refuse = "refuse",
    }
}

/// Which kinds may be applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AllowKinds {
    /// Every namespaced kind; no cluster-scoped one.
    #[default]
    Namespaced,
    /// Only these kinds; a cluster-scoped kind is allowed by being named here.
    Listed(BTreeSet<GroupKind>),
}

crate::closed_list! {
    /// What a refused document does.
    pub enum Refusals, Strict by default {
        /// The delivery stops before the first write.
        Strict = "strict",
        /// It is reported and left out.
        Lenient = "lenient",
    }
}

crate::closed_list! {
    /// What a head that is seen for the first time means.
    pub enum OnFirstSight, Record by default {
        /// The baseline: nothing is delivered until it moves.
        Record = "record",
        /// It is delivered.
        Deliver = "deliver",
    }
}

/// Which namespaces documents may name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NamespacePolicy {
    /// Only the cluster's own; another one is refused.
    #[default]
    Refuse,
    /// Any: it is replaced with the cluster's own, which is noted.
    Override,
    /// The cluster's own and these; an object that names one of them goes there.
    Listed(BTreeSet<Namespace>),
}

crate::closed_list! {
    /// What happens to a run without annotations.
    pub enum Unannotated, Run by default {
        /// It runs for every head.
        Run = "run",
        /// It is skipped.
        Skip = "skip",
    }
}

/// Where `{{ git_auth_secret }}` comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GitAuthSecret {
    /// Nowhere: a document that uses it is refused.
    #[default]
    Unset,
    /// A Secret that is there already, by its name.
    Named(String),
    /// A Secret that is made for each delivery from the source forge's credential, and owned by the runs that use it.
    PerRun,
}

/// How documents are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Which namespaces documents may name.
    pub namespace_policy: NamespacePolicy,
    /// Whether tasks and pipelines that the tree holds are put into the runs which refer to them.
    pub inline: bool,
    /// Whether a run may refer to a task or pipeline that neither tree nor cluster holds.
    pub allow_missing_refs: bool,
    /// What happens to a run without annotations.
    pub unannotated: Unannotated,
    /// Where `{{ git_auth_secret }}` comes from.
    pub git_auth_secret: GitAuthSecret,
    /// What happens to fields that Tekton does not have.
    pub unknown_fields: UnknownFields,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            namespace_policy: NamespacePolicy::default(),
            inline: true,
            allow_missing_refs: false,
            unannotated: Unannotated::default(),
            git_auth_secret: GitAuthSecret::default(),
            unknown_fields: UnknownFields::default(),
        }
    }
}

crate::closed_list! {
    /// What is shown on A's commits.
    pub enum ReportMode, PerWatch by default {
        /// One status for the watch.
        PerWatch = "per_watch",
        /// One status for the watch and one for each run.
        PerRun = "per_run",
        /// Nothing.
        Off = "off",
    }
}

crate::closed_list! {
    /// How much is said on A's commits.
    pub enum ReportDetail {
        /// The state alone: "failed".
        State = "state",
        /// The state and how many runs: "1 of 2 runs failed".
        Counts = "counts",
        /// Names of runs, tasks and steps, errors, and what the last line of a log says.
        Reasons = "reasons",
    }
}

crate::closed_list! {
    /// What is shown on A's commit of a delivery that started no run.
    pub enum NothingRan, Neutral by default {
        /// A neutral end; where the forge has none, success under a text that says that nothing ran.
        Neutral = "neutral",
        /// Nothing, unless the commit shows something of it already.
        Nothing = "none",
        /// An error.
        Error = "error",
    }
}

/// How verdicts are shown on A's commits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reporting {
    /// What is shown.
    pub mode: ReportMode,
    /// How much is said; `None`: [`ReportDetail::Counts`] where anybody may read A, else [`ReportDetail::Reasons`].
    pub detail: Option<ReportDetail>,
    /// What is shown where nothing ran.
    pub when_nothing_runs: NothingRan,
    /// The status's context; `None` is `sentry-gitops/<watch>`.
    pub context: Option<String>,
    /// A template of the link: `{watch}`, `{delivery}`, `{branch}`, `{revision}`, `{namespace}`, `{run}` are filled.
    pub link: Option<String>,
    /// A template of the address at which a run can be looked at: `{namespace}`, `{kind}` (`pipelineruns`, `taskruns`) and
    /// `{run}` are filled.
    pub dashboard: Option<String>,
}

/// The default limit of Sentry's active runs in one namespace.
pub const MAX_ACTIVE_RUNS: u32 = 20;

/// How often and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The time between two polls of A's heads.
    pub polling_interval: Duration,
    /// The longest time a delivery's attempt may take until all objects are acknowledged.
    pub timeout: Duration,
    /// How many attempts may follow a failed one before the delivery is parked. Outages do not count.
    pub max_retries: u32,
    /// The longest time that runs are followed; `None` is until they end.
    pub run_timeout: Option<Duration>,
    /// How many of Sentry's runs may be active in the watch's namespace; more wait.
    pub max_active_runs: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            polling_interval: Duration::from_secs(300),
            timeout: Duration::from_secs(300),
            max_retries: 3,
            run_timeout: None,
            max_active_runs: MAX_ACTIVE_RUNS,
        }
    }
}

/// One rule: source (repo A + branches, tags) → manifests (repo B, branch, directory) → cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Its name, unique in a configuration.
    pub name: WatchName,
    /// Repository A and what of it is watched.
    pub source: Source,
    /// Repository B.
    pub manifests: Manifests,
    /// Where to.
    pub cluster: ClusterRef,
    /// What is done about fields that another field manager of the cluster owns.
    pub force_conflicts: ForceConflicts,
    /// Which kinds may be applied.
    pub allow_kinds: AllowKinds,
    /// What a refused document does to the delivery.
    pub refusals: Refusals,
    /// How documents are read.
    pub reading: Reading,
    /// What is allowed of tasks and pipelines from elsewhere.
    pub remote: RemoteRules,
    /// How verdicts are shown on A's commits.
    pub reporting: Reporting,
    /// Who is notified how deliveries end.
    pub notify: Vec<Subscription>,
    /// What a first head means.
    pub on_first_sight: OnFirstSight,
    /// Also deliver when B's branch moves, not only when A's does.
    pub watch_manifests: bool,
    /// The watch's own variables, `{{ name }}` in manifests.
    pub variables: BTreeMap<String, String>,
    /// How often and how long.
    pub timing: Timing,
}

impl Watch {
    /// A watch with defaults for everything else, as in sentry.yaml. Its fields are public: write
    /// `Watch { on_first_sight: OnFirstSight::Deliver, ..Watch::new(name, source, manifests, cluster) }`.
    #[must_use]
    pub fn new(name: WatchName, source: Source, manifests: Manifests, cluster: ClusterRef) -> Self {
        Self {
            name,
            source,
            manifests,
            cluster,
            force_conflicts: ForceConflicts::default(),
            allow_kinds: AllowKinds::default(),
            refusals: Refusals::default(),
            reading: Reading::default(),
            remote: RemoteRules::default(),
            reporting: Reporting::default(),
            notify: Vec::new(),
            on_first_sight: OnFirstSight::default(),
            watch_manifests: false,
            variables: BTreeMap::new(),
            timing: Timing::default(),
        }
    }

    /// A digest of all that decides what a delivery does, in hex. When it changes, parked heads are retried.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // Debug output of plain data; pinned by a test, as stored digests are compared across versions. What came later is
        // part of it only where it is not as it was before.
        let mut what = format!(
            "{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}",
            self.source.repo.as_str(),
            self.manifests,
            self.cluster,
            self.force_conflicts,
            self.allow_kinds,
            self.refusals,
            self.reading,
            self.variables
        );
        if self.remote != RemoteRules::default() {
            what.push_str(&format!("|{:?}", self.remote));
        }
        data_encoding::HEXLOWER.encode(&Sha256::digest(what.as_bytes())[..16])
    }

    /// The branches of B to look for, in order, for a head of the given subject of A.
    #[must_use]
    pub fn manifests_branches(
        &self,
        source: &Subject,
        pull: Option<&PullRequest>,
    ) -> Vec<BranchName> {
        let mut names: Vec<BranchName> = Vec::new();
        for branch in &self.manifests.branches {
            let name = match (branch, source) {
                (ManifestsBranch::Named(name), _) | (_, Subject::Branch(name)) => name,
                (ManifestsBranch::TargetBranch, Subject::PullRequest(_)) => match pull {
                    Some(pull) => &pull.target_branch,
                    None => continue,
                },
                // A tag has no branch, and what a pull request's is called is its author's word.
                (_, Subject::Tag(_)) | (ManifestsBranch::SourceBranch, Subject::PullRequest(_)) => {
                    continue;
                }
            };
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// Watches for tests.
#[cfg(any(test, feature = "testing"))]
pub mod sample {
    use super::*;

    /// A watch of `https://example.com/product/app` that delivers `https://example.com/qa/tests` into namespace `qa`
    /// of context `test`, polled every minute, with forge `forge` and deployer `deployer`.
    ///
    /// # Panics
    /// If the name or a pattern is not valid.
    #[must_use]
    pub fn watch(name: &str, branches: &[&str]) -> Watch {
        let parse = "parses";
        let source = Source {
            forge: "forge".into(),
            repo: "https://example.com/product/app".parse().expect(parse),
            subjects: BranchSelector::new(branches.iter().copied()).expect(parse).into(),
        };
        let manifests = Manifests {
            forge: "forge".into(),
            repo: "https://example.com/qa/tests".parse().expect(parse),
            branches: vec![ManifestsBranch::Named("main".parse().expect(parse))],
            dir: DirPath::default(),
        };
        let cluster = ClusterRef {
            deployer: "deployer".into(),
            context: Some("test".into()),
            namespace: "qa".parse().expect(parse),
        };
        Watch {
            timing: Timing { polling_interval: Duration::from_secs(60), ..Timing::default() },
            ..Watch::new(name.parse().expect(parse), source, manifests, cluster)
        }
    }
}
