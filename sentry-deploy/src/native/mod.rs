//! A deployer that speaks to the API server itself.

mod apply;
mod call;
mod check;
mod config;
mod connection;
mod diff;
mod git_auth;
mod plugin;
mod probe;
mod reader;
mod resources;
mod retire;
mod status;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use sentry_core::deployer::{
    Checked, Cluster, DeployError, DeployErrorKind, Deployer, FollowQuery, KindTable, KindsQuery,
    ObjectDiff, Probe, Retire, RunChange,
};
use sentry_core::names::ClusterRef;
use sentry_core::plan::{ChangeSet, Plan};
use sentry_core::secret::Redactor;

pub use config::cluster_identity;

use call::Caller;
use connection::Connections;
use resources::Known;
use write::AT_ONCE;

use crate::follow;

/// The time that discovery, probes and the opening of a watch have.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);

/// How the API server is reached.
#[derive(Debug, Clone)]
pub struct NativeSettings {
    /// The kubeconfig; without one, what `KUBECONFIG` or `~/.kube/config` says, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// How long one watch of runs lasts before it is reopened, at least 1 s.
    pub watch: Duration,
    /// How long a watch may tell nothing, not even a bookmark, before it is reopened. Servers send one a minute.
    pub idle: Duration,
    /// Takes known secrets out of what servers say. It learns those of the kubeconfig.
    pub redactor: Redactor,
}

impl NativeSettings {
    /// The default kubeconfig, watches of 200 s, and 100 s of silence.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self {
            kubeconfig: None,
            watch: Duration::from_secs(200),
            idle: Duration::from_secs(100),
            redactor,
        }
    }
}

/// Applies plans to a cluster over its API: named objects by server-side apply, eight at a time, runs by create.
///
/// Every request is bounded in time and size. What an answer means is told by its status code and the `Status` object in
/// it, never by a sentence. No program is started but a credential plugin of the kubeconfig.
#[derive(Debug)]
pub struct Native {
    settings: NativeSettings,
    connections: Connections,
    /// By context: the kinds of a cluster are the same in each namespace.
    known: Mutex<HashMap<Option<String>, Known>>,
}

impl Native {
    /// A deployer; nothing is asked or read yet.
    #[must_use]
    pub fn new(settings: NativeSettings) -> Self {
        Self { settings, connections: Connections::default(), known: Mutex::default() }
    }

    fn caller<'a>(&'a self, cluster: &'a ClusterRef, timeout: Duration) -> Caller<'a> {
        Caller::new(self, cluster, timeout)
    }

    /// Forgets the kinds of a cluster, so that the next question is answered by the server: for a caller that met a
    /// kind which the table lacks.
    pub fn forget_kinds(&self, cluster: &ClusterRef) {
        lock(&self.known).remove(&cluster.context);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Cluster for Native {
    /// Two requests tell every kind in every version, for a minute. Fields are read from the server's OpenAPI, for the
    /// versions that are wanted alone: it has megabytes.
    async fn kinds(
        &self,
        cluster: &ClusterRef,
        wanted: &KindsQuery,
    ) -> Result<Option<Arc<KindTable>>, DeployError> {
        resources::kinds(self, &self.caller(cluster, ASK_TIMEOUT), wanted).await.map(Some)
    }

    /// `None` if the cluster does not let us look.
    async fn exist(
        &self,
        cluster: &ClusterRef,
        objects: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
        let caller = self.caller(cluster, ASK_TIMEOUT);
        let wanted = objects.iter().map(|(version, kind, _)| (version.clone(), kind.clone()));
        let known = resources::known(self, &caller, &wanted.collect()).await?;
        let (caller, known) = (&caller, &known);
        let look = |at: usize| async move {
            let (version, kind, name) = &objects[at];
            let found = write::read(caller, known, (version, kind, name), None).await?;
            Ok::<_, DeployError>(found.map(|_| (kind.clone(), name.clone())))
        };
        let found = stream::iter(0..objects.len()).map(look).buffered(AT_ONCE);
        match found.try_collect::<Vec<_>>().await {
            Ok(found) => Ok(Some(found.into_iter().flatten().collect())),
            Err(error)
                if [DeployErrorKind::Forbidden, DeployErrorKind::Missing]
                    .contains(&error.kind()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn diff(&self, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
        diff::diff(self, plan).await
    }

    /// Asks whether the context exists, the server answers, and our account has the rights that deliveries of Tekton
    /// objects use.
    async fn probe(&self, cluster: &ClusterRef, lends: bool) -> Result<Vec<Probe>, DeployError> {
        probe::probe(self, cluster, lends).await
    }
}

#[async_trait]
impl Deployer for Native {
    /// A dry run on the server with strict field validation (Kubernetes 1.25 and newer). It learns the resource versions
    /// of named objects.
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        check::check(self, plan).await
    }

    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        apply::apply(self, plan, checked).await
    }

    /// One list and then one watch for each kind. Kinds whose end is unknown are reported first, and never queried.
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        Some(follow::follow(self, query))
    }

    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        retire::retire(self, request).await
    }
}
