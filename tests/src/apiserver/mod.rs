//! A Kubernetes API server in memory, good enough for the real kubectl.
//!
//! It runs on a thread of its own, so synchronous tests can use it. What it saw ([`ApiServer::requests`]) and what it
//! holds ([`ApiServer::objects`]) is the oracle of a test: never what the program under test says about itself.

mod api;
mod discovery;
mod faults;
mod kinds;
mod openapi;
mod reads;
mod runs;
mod selector;
mod serve;
mod state;
mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::watch as cell;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub use faults::Faults;
pub use runs::Outcome;
pub use state::SeenRequest;

use state::State;

/// What the accept loop is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serve,
    Pause,
    Stop,
}

/// What the handle and the serving thread share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    faults: Faults,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running API server; it stops when dropped.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    phase: cell::Sender<Phase>,
    listening: cell::Receiver<bool>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Starts a server with the namespaces `default` and `qa` on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port or thread is to be had: a test can't go on without.
    #[must_use]
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// The same over TLS ([`crate::tls::Tls::server`]); [`Self::kubeconfig_for`] tells kubectl how to reach it.
    #[must_use]
    pub fn start_tls(tls: Arc<ServerConfig>) -> Self {
        Self::serve(Some(tls))
    }

    fn serve(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared::default());
        for namespace in ["default", "qa"] {
            shared.lock().add_namespace(namespace);
        }
        let (phase, phases) = cell::channel(Phase::Serve);
        let (listens, listening) = cell::channel(true);
        let thread = std::thread::Builder::new()
            .name("apiserver".into())
            .spawn({
                let shared = Arc::clone(&shared);
                let tls = tls.map(TlsAcceptor::from);
                move || serve::run(listener, shared, tls, phases, &listens)
            })
            .expect("a thread");
        Self { address, shared, phase, listening, thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port; the same over [`Self::pause`] and [`Self::resume`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Writes a kubeconfig with the context `default` into a directory and returns its path.
    ///
    /// # Panics
    /// When the directory can't be written to.
    #[must_use]
    pub fn kubeconfig(&self, dir: &Path) -> PathBuf {
        write_kubeconfig(dir, &serde_json::json!({"server": self.url()}), &serde_json::json!({}))
    }

    /// The same for another address of this server, with the authority to trust and a token.
    ///
    /// # Panics
    /// When the directory can't be written to.
    #[must_use]
    pub fn kubeconfig_for(&self, dir: &Path, url: &str, ca: &Path, token: &str) -> PathBuf {
        let cluster =
            serde_json::json!({"server": url, "certificate-authority": ca.display().to_string()});
        write_kubeconfig(dir, &cluster, &serde_json::json!({"token": token}))
    }

    /// The same with a user of any kind.
    ///
    /// # Panics
    /// When the directory can't be written to.
    #[must_use]
    pub fn kubeconfig_as(&self, dir: &Path, cluster: &Value, user: &Value) -> PathBuf {
        write_kubeconfig(dir, cluster, user)
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

    /// Ends a run, as Tekton's controller would. False if there is none of this name that goes on. A run that is
    /// patched to be cancelled ends by itself.
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
    pub fn pause(&self) {
        self.turn(Phase::Pause, false);
    }

    /// Opens the same port again. Returns once it is open.
    pub fn resume(&self) {
        self.turn(Phase::Serve, true);
    }

    fn turn(&self, phase: Phase, listening: bool) {
        self.phase.send_replace(phase);
        while *self.listening.borrow() != listening {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

fn write_kubeconfig(dir: &Path, cluster: &Value, user: &Value) -> PathBuf {
    let path = dir.join("kubeconfig");
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "default",
        "clusters": [{"name": "default", "cluster": cluster}],
        "users": [{"name": "default", "user": user}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
    });
    std::fs::write(&path, text.to_string()).expect("a writable directory");
    path
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Stop);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
