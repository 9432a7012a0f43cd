//! The port to what carries out a plan.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::plan::{ChangeSet, ObjectRef, Plan};
use crate::retry::Retry;
use crate::watch::ClusterRef;

/// Carries out plans on one kind of target.
///
/// Calls for the same [`ClusterRef`] never overlap. An implementation bounds every call by the plan's timeout, and
/// a repeated plan must not make anything twice.
#[async_trait]
pub trait Deployer: fmt::Debug + Send + Sync {
    /// The name that watches refer to it by.
    fn name(&self) -> &str;

    /// True if it never writes: then no cursor moves.
    fn is_dry_run(&self) -> bool {
        false
    }

    /// The kinds that the cluster knows; `None` where it can't be asked: then a built-in table is used.
    async fn kinds(&self, cluster: &ClusterRef) -> Result<Option<Arc<KindTable>>, DeployError> {
        let _ = cluster;
        Ok(None)
    }

    /// Asks the target whether it would take every object. Nothing is written.
    async fn check(&self, plan: &Plan) -> Result<(), DeployError>;

    /// Brings every object to the target, in order. `Err` only if nothing was attempted: what happened to each object
    /// stands in the [`ChangeSet`].
    async fn apply(&self, plan: &Plan) -> Result<ChangeSet, DeployError>;
}

/// Which kinds exist, and whether they live in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindTable {
    namespaced: BTreeMap<(String, String), bool>,
}

impl KindTable {
    /// Adds a kind: its API group (empty for the core group), its name, and whether it lives in a namespace.
    pub fn insert(&mut self, group: impl Into<String>, kind: impl Into<String>, namespaced: bool) {
        self.namespaced.insert((group.into(), kind.into()), namespaced);
    }

    /// Whether a kind lives in a namespace; `None` if there is no such kind.
    #[must_use]
    pub fn is_namespaced(&self, group: &str, kind: &str) -> Option<bool> {
        self.namespaced.get(&(group.to_owned(), kind.to_owned())).copied()
    }
}

impl<G: Into<String>, K: Into<String>> FromIterator<(G, K, bool)> for KindTable {
    fn from_iter<I: IntoIterator<Item = (G, K, bool)>>(kinds: I) -> Self {
        let mut table = Self::default();
        for (group, kind, namespaced) in kinds {
            table.insert(group, kind, namespaced);
        }
        table
    }
}

/// What kind of error a deployer met; decides the exit code and the retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployErrorKind {
    /// The cluster can't be reached or did not answer in time. Never counts as a failure: it is waited for.
    Unreachable,
    /// The cluster refuses our credentials or our account lacks a right.
    Forbidden,
    /// The cluster refuses an object.
    Refused,
    /// A run's name is taken by an object with another key.
    NameConflict,
    /// The program, context or kubeconfig is missing or unusable.
    Local,
    /// The attempt took longer than the plan's timeout.
    Timeout,
    /// It was stopped before it was through.
    Interrupted,
}

/// An error of a deployer. The text names object and cluster, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeployError {
    kind: DeployErrorKind,
    message: String,
    hint: Option<String>,
    object: Option<Box<ObjectRef>>,
}

impl DeployError {
    /// An error with its text.
    #[must_use]
    pub fn new(kind: DeployErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, object: None }
    }

    /// With what a person can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the object it is about.
    #[must_use]
    pub fn with_object(mut self, object: ObjectRef) -> Self {
        self.object = Some(Box::new(object));
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> DeployErrorKind {
        self.kind
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The object it is about, where it is about one.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRef> {
        self.object.as_deref()
    }

    /// Whether to try again: only a name conflict waits for a person at once.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self.kind {
            DeployErrorKind::NameConflict => Retry::Stalled,
            _ => Retry::Backoff,
        }
    }

    /// True if it counts against `max_retries`. Outages and interruptions do not.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self.kind, DeployErrorKind::Unreachable | DeployErrorKind::Interrupted)
    }
}
