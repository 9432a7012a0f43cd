//! A Kubernetes API server in memory, with Tekton's kinds: for demos and tests.
//!
//! It knows discovery, lists and watches, server-side apply with field owners, strict dry runs, access reviews and pod logs,
//! well enough for the real kubectl. There are no controllers behind it: what Tekton's would do to a run is asked for with
//! [`ApiServer::begin_run`] and [`ApiServer::finish_run`]. Nobody is asked who they are, so it listens on 127.0.0.1 alone.
//!
//! What it saw ([`ApiServer::requests`]) and what it holds ([`ApiServer::objects`]) is the oracle of a test: never what the
//! program under test says about itself. [`ApiServer::faults`] is what it can be told to do wrong.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sentry_apiserver::{ApiServer, Outcome};
//!
//! let cluster = ApiServer::here().await?;
//! let run = r#"{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "smoke"}}"#;
//! let runs = format!("{}/apis/tekton.dev/v1/namespaces/qa/pipelineruns", cluster.url());
//! reqwest::Client::new().post(runs).body(run).send().await?.error_for_status()?;
//!
//! assert!(cluster.finish_run("smoke", Outcome::Succeeded));
//! let run = cluster.object("PipelineRun", "smoke").ok_or("it is gone")?;
//! assert_eq!(run["status"]["conditions"][0]["status"], "True");
//! # Ok(())
//! # }
//! ```

mod api;
mod discovery;
mod faults;
pub mod host;
mod kinds;
mod openapi;
mod reads;
mod runs;
mod selector;
mod serve;
mod state;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio_rustls::rustls::ServerConfig;

pub use faults::Faults;
pub use runs::Outcome;
pub use state::SeenRequest;

use host::Host;
use state::State;

/// What the handle and the connections share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    faults: Faults,
}

impl Shared {
    /// One with the namespaces `default` and `qa`.
    fn new() -> Arc<Self> {
        let shared = Self::default();
        ["default", "qa"].iter().for_each(|name| shared.lock().add_namespace(name));
        Arc::new(shared)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running API server; it stops when dropped.
#[derive(Debug)]
pub struct ApiServer {
    host: Host,
    shared: Arc<Shared>,
}

impl ApiServer {
    /// Starts a server with the namespaces `default` and `qa` on a free port of 127.0.0.1 and on a thread of its own, so that
    /// synchronous tests can use it.
    ///
    /// # Panics
    /// When no port or thread is to be had: a test can't go on without.
    #[must_use]
    pub fn start() -> Self {
        Self::on_a_thread(None)
    }

    /// The same over TLS; [`Self::kubeconfig_for`] tells kubectl how to reach it.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_tls(tls: Arc<ServerConfig>) -> Self {
        Self::on_a_thread(Some(tls))
    }

    fn on_a_thread(tls: Option<Arc<ServerConfig>>) -> Self {
        let shared = Shared::new();
        let host = Host::start("apiserver", serve::connections(Arc::clone(&shared), tls));
        Self { host, shared }
    }

    /// The same as [`Self::start`] on the caller's runtime. It can't be paused.
    ///
    /// # Errors
    /// When no port is to be had.
    pub async fn here() -> io::Result<Self> {
        let shared = Shared::new();
        let host = Host::here(serve::connections(Arc::clone(&shared), None)).await?;
        Ok(Self { host, shared })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The port; the same over [`Self::pause`] and [`Self::resume`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.host.port()
    }

    /// Writes a kubeconfig with the context `default` into a directory and returns its path.
    ///
    /// # Panics
    /// When the directory can't be written to.
    #[must_use]
    pub fn kubeconfig(&self, dir: &Path) -> PathBuf {
        self.kubeconfig_as(dir, &json!({"server": self.url()}), &json!({}))
    }

    /// The same for another address of this server, with the authority to trust and a token.
    ///
    /// # Panics
    /// When the directory can't be written to.
    #[must_use]
    pub fn kubeconfig_for(&self, dir: &Path, url: &str, ca: &Path, token: &str) -> PathBuf {
        let cluster = json!({"server": url, "certificate-authority": ca.display().to_string()});
        self.kubeconfig_as(dir, &cluster, &json!({"token": token}))
    }

    /// The same with a user of any kind.
    ///
    /// # Panics
    /// When the directory can't be written to.
    #[must_use]
    pub fn kubeconfig_as(&self, dir: &Path, cluster: &Value, user: &Value) -> PathBuf {
        let path = dir.join("kubeconfig");
        std::fs::write(&path, kubeconfig(cluster, user)).expect("a writable directory");
        path
    }

    /// Adds a namespace.
    pub fn add_namespace(&self, name: &str) {
        self.shared.lock().add_namespace(name);
    }

    /// Holds these objects as well, which [`Self::objects`] of another server gave. Nobody owns their fields, and no
    /// request made them.
    pub fn restore(&self, objects: &[Value]) {
        let mut state = self.shared.lock();
        objects.iter().for_each(|object| state.restore(object.clone()));
    }

    /// Every object, in the order of its creation.
    #[must_use]
    pub fn objects(&self) -> Vec<Value> {
        self.shared.lock().all()
    }

    /// The objects of one kind, in the order of their creation.
    #[must_use]
    pub fn objects_of(&self, kind: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["kind"] == kind).collect()
    }

    /// One object, by kind and name.
    #[must_use]
    pub fn object(&self, kind: &str, name: &str) -> Option<Value> {
        self.objects_of(kind).into_iter().find(|object| object["metadata"]["name"] == name)
    }

    /// Changes an object as a controller would (a run's status, say). False if there is no such object.
    pub fn edit(&self, kind: &str, name: &str, change: impl FnOnce(&mut Value)) -> bool {
        self.shared.lock().edit(kind, name, change)
    }

    /// Every request since the start, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.lock().log.clone()
    }

    /// The names that creating requests of a kind were committed under, in order; dry runs do not count, lost
    /// responses do.
    #[must_use]
    pub fn creates_of(&self, kind: &str) -> Vec<String> {
        let state = self.shared.lock();
        state.created.iter().filter(|(k, _)| k == kind).map(|(_, name)| name.clone()).collect()
    }

    /// How many requests changed something, or were let through to do so.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.requests().iter().filter(|request| request.is_write()).count()
    }

    /// How often requests used each right, by verb and resource: `("watch", "pipelineruns.tekton.dev")`. To make an
    /// object by applying it uses `create` beside `patch`. Discovery and access reviews use none.
    #[must_use]
    pub fn rights_used(&self) -> BTreeMap<(String, String), usize> {
        self.shared.lock().rights.clone()
    }

    /// From now on a run that is made succeeds at once, as if Tekton had nothing to do.
    pub fn end_new_runs(&self) {
        self.shared.lock().ends_new_runs = true;
    }

    /// Lets a run begin, as Tekton's controller would: its tasks, as its own `pipelineSpec` has them, get runs that go on.
    /// False if there is none of this name that goes on.
    pub fn begin_run(&self, name: &str) -> bool {
        self.shared.lock().begin_run(name)
    }

    /// Ends a run, as Tekton's controller would, with all that it began. False if there is none of this name that goes on. A
    /// run that is patched to be cancelled ends by itself.
    pub fn finish_run(&self, name: &str, outcome: Outcome<'_>) -> bool {
        self.shared.lock().finish_run(name, outcome)
    }

    /// Deletes an object as somebody else would. False if there is no such object.
    pub fn delete(&self, kind: &str, name: &str) -> bool {
        let mut state = self.shared.lock();
        let place = state.find(|place, object| object["kind"] == kind && place.2 == name);
        place.is_some_and(|place| state.delete(&place).is_some())
    }

    /// The names of the runs that go on, in all namespaces; not of those that other runs made.
    #[must_use]
    pub fn active_runs(&self) -> Vec<String> {
        let state = self.shared.lock();
        state.active(None).into_iter().map(|(_, _, name)| name.clone()).collect()
    }

    /// The most runs that ever went on at once in one namespace.
    #[must_use]
    pub fn most_active_runs(&self) -> usize {
        self.shared.lock().most_active()
    }

    /// Breaks every open watch off in the middle.
    pub fn cut_watches(&self) {
        self.shared.lock().cut();
    }

    /// Forgets what happened so far: open watches and page tokens end with "410 Gone".
    pub fn expire_watches(&self) {
        self.shared.lock().expire();
    }

    /// The faults it can be told to show.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Closes the port and every connection: clients see "connection refused". Returns once it is closed.
    ///
    /// # Panics
    /// If it has no thread of its own ([`Self::here`]).
    pub fn pause(&self) {
        self.host.pause();
    }

    /// Opens the same port again. Returns once it is open.
    ///
    /// # Panics
    /// As [`Self::pause`].
    pub fn resume(&self) {
        self.host.resume();
    }
}

/// A kubeconfig with the context `default` for a cluster (`{"server": …}`) and a user (`{}` is nobody), each as it stands there.
#[must_use]
pub fn kubeconfig(cluster: &Value, user: &Value) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "default",
        "clusters": [{"name": "default", "cluster": cluster}],
        "users": [{"name": "default", "user": user}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
    });
    config.to_string()
}
