//! A deployer that drives `kubectl`.

mod answer;
mod apply;
mod call;
mod check;
mod diff;
mod discovery;
mod dry;
mod git_auth;
mod managers;
mod output;
mod probe;
mod reader;
mod retire;
mod stderr;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::deployer::{
    Checked, Cluster, DeployError, DeployErrorKind, Deployer, FollowQuery, KindTable, KindsQuery,
    ObjectDiff, Probe, Retire, RunChange, Served,
};
use sentry_core::names::ClusterRef;
use sentry_core::plan::{ChangeSet, Plan};
use sentry_core::secret::Redactor;
use sentry_process::{Workdir, sweep};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use call::Caller;

use crate::{follow, kubeconfig};

/// How long a cluster's table of kinds is used before it is asked for again: no longer than it takes until a head that
/// was given up is looked at again, for a kind that it lacked may have been installed.
const KINDS_AGE: Duration = Duration::from_secs(60);
/// How the directories of all caches begin.
const CACHE: &str = "sentry-kubectl-";
/// The time that discovery and probes have.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);

/// How kubectl is called.
#[derive(Debug, Clone)]
pub struct KubectlSettings {
    /// The program: a path, or a name to look up in `PATH`.
    pub path: PathBuf,
    /// The kubeconfig; without one, what `KUBECONFIG` or `~/.kube/config` says, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// How long one watch of runs lasts before it is reopened, at least 1 s. A connection that died without a word
    /// is noticed after this and 20 s more.
    pub watch: Duration,
    /// Takes known secrets out of kubectl's texts. It learns those of the kubeconfig.
    pub redactor: Redactor,
}

impl KubectlSettings {
    /// `kubectl` from `PATH` with the default kubeconfig, and watches of 290 s.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self {
            path: PathBuf::from("kubectl"),
            kubeconfig: None,
            watch: Duration::from_secs(290),
            redactor,
        }
    }
}

/// Applies plans to a cluster with `kubectl`: named objects by server-side apply, runs by create.
///
/// Manifests reach kubectl on its stdin only. Every call is bounded by the plan's timeout, whatever kubectl or the
/// server do; then it is killed with all its children.
#[derive(Debug)]
pub struct Kubectl {
    settings: KubectlSettings,
    /// kubectl's discovery cache: ours alone, so that nobody else can put something into it.
    cache: Workdir,
    minor: OnceCell<u32>,
    kinds: Mutex<HashMap<ClusterRef, (Instant, Arc<KindTable>)>>,
}

impl Kubectl {
    /// A deployer; nothing is called yet, and what killed processes left of their caches is removed.
    ///
    /// # Errors
    /// [`DeployErrorKind::Local`] if the directory for temporary files can't be written to.
    pub fn new(settings: KubectlSettings) -> Result<Self, DeployError> {
        let parent = std::env::temp_dir();
        sweep(&parent, CACHE);
        let cache = Workdir::new(&parent, CACHE).map_err(|error| {
            let text = format!("can't create a directory for kubectl's cache: {error}");
            DeployError::new(DeployErrorKind::Local, text)
                .with_hint("make TMPDIR a writable directory")
        })?;
        kubeconfig::learn(settings.kubeconfig.as_deref(), &settings.redactor);
        Ok(Self { settings, cache, minor: OnceCell::new(), kinds: Mutex::default() })
    }

    fn caller<'a>(&'a self, cluster: &'a ClusterRef, timeout: Duration) -> Caller<'a> {
        Caller::new(&self.settings, self.cache.path(), cluster, timeout)
    }

    /// kubectl's own minor version, asked once.
    async fn minor(&self, caller: &Caller<'_>) -> Result<u32, DeployError> {
        let ask = || async {
            let reply = caller.run(&["version", "--client", "-o", "json"], Vec::new()).await?;
            if let Some(ended) = &reply.ended {
                return Err(ended.clone());
            }
            output::client_minor(&reply.stdout).ok_or_else(|| {
                let program = self.settings.path.display();
                let text = format!("{program} does not report its version: is it kubectl?");
                DeployError::new(DeployErrorKind::Local, text)
                    .with_hint("set `kubectl` to the path of a kubectl 1.20 or newer")
            })
        };
        self.minor.get_or_try_init(ask).await.copied()
    }

    /// Forgets the kinds of a cluster, so that the next question is answered by the server: for a caller that met a
    /// kind which the table lacks.
    pub fn forget_kinds(&self, cluster: &ClusterRef) {
        lock(&self.kinds).remove(cluster);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Cluster for Kubectl {
    /// Asks by `kubectl api-resources`: one call whatever the server offers, aggregated discovery or not. It tells each
    /// kind's preferred version only; a group of which another one is wanted is read version by version. The table is
    /// kept for a minute. Fields are read from the server's OpenAPI, for the versions that are wanted alone: it has
    /// megabytes.
    async fn kinds(
        &self,
        cluster: &ClusterRef,
        wanted: &KindsQuery,
    ) -> Result<Option<Arc<KindTable>>, DeployError> {
        discovery::kinds(self, cluster, wanted).await.map(Some)
    }

    /// One call for all, and none if the cluster has none of the kinds. `None` if the cluster does not let us look,
    /// or does not serve a kind in the version that is asked for.
    async fn exist(
        &self,
        cluster: &ClusterRef,
        objects: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
        let wanted = objects.iter().map(|(version, kind, _)| (version.clone(), kind.clone()));
        let wanted = KindsQuery { kinds: wanted.collect(), ..KindsQuery::default() };
        let kinds = discovery::kinds(self, cluster, &wanted).await?;
        // kubectl fails on a kind that the cluster does not have: there are no objects of it.
        let known = |(api_version, kind, _): &&(String, String, String)| {
            kinds.served(api_version, kind) != Served::Never
        };
        let asked: Vec<_> = objects.iter().filter(known).cloned().collect();
        if asked.is_empty() {
            return Ok(Some(BTreeSet::new()));
        }
        let caller = self.caller(cluster, ASK_TIMEOUT);
        let args = ["get", "-f", "-", "--ignore-not-found", "-o", "name"];
        let reply = caller.run(&args, call::references(&asked)).await?;
        if !reply.success {
            let error = reply.error(&format!("can't look up objects in {cluster}"));
            let unknown =
                matches!(error.kind(), DeployErrorKind::Forbidden | DeployErrorKind::Missing);
            return if unknown { Ok(None) } else { Err(error) };
        }
        let names = output::names(&reply.stdout);
        let there = asked.into_iter().filter(|(api_version, kind, name)| {
            names.contains(output::line_name(api_version, kind, name).as_str())
        });
        Ok(Some(there.map(|(_, kind, name)| (kind, name)).collect()))
    }

    async fn diff(&self, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
        diff::diff(self, plan).await
    }

    /// Asks whether the context exists, the server answers, and our account has the rights that deliveries of Tekton
    /// objects use. [`DeployErrorKind::Local`] if kubectl can't be started.
    async fn probe(&self, cluster: &ClusterRef, lends: bool) -> Result<Vec<Probe>, DeployError> {
        probe::probe(self, cluster, lends).await
    }
}

#[async_trait]
impl Deployer for Kubectl {
    /// A dry run on the server, with strict field validation where kubectl can ask for it (1.25 and newer). It learns the
    /// resource versions of named objects.
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
