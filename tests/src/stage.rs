//! The page and the API over answers that a test writes: whatever a test wants to see on the page can stand there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::Request;
use axum::middleware::{self, Next};
use sentry_api::query::{AuditQuery, ExplainQuery, HistoryQuery, StatusQuery, WhyQuery};
use sentry_api::shape::{
    Acknowledgement, AgentStatus, ApproveRequest, Audit, Documents, History, RerunRequest, Show,
    Status, SuspendRequest, SuspensionAcknowledgement, TriggerRequest, Why,
};
use sentry_api::words::TriggerStateKind;
use sentry_api::{Answers, ApiError, Asker, ErrorKind, VERSION};
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::Engine;
use sentry_core::forge::ForgePorts;
use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
use sentry_server::api::{Holder, Keys, Proof, Right};
use sentry_server::page::{Setup, WatchPlace};
use sentry_server::{Server, Services};
use sentry_store::{MemorySessions, MemoryStore};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::http::lock;

/// The token that may only read.
pub const READ: &str = "read-t0ken-of-the-stage";
/// The token that may do all.
pub const TRIGGER: &str = "trigger-t0ken-of-the-stage";

/// What is answered.
#[derive(Debug, Default)]
pub struct Script {
    /// To `status`.
    pub status: Option<Status>,
    /// To `history` and `show`, newest first.
    pub shows: Vec<Show>,
}

/// Answers as they are written, and how often somebody wanted to change something.
#[derive(Debug, Default)]
pub struct Answerer {
    script: Mutex<Script>,
    changes: AtomicUsize,
}

impl Answerer {
    /// Replaces what is answered.
    pub fn play(&self, script: Script) {
        *lock(&self.script) = script;
    }

    /// How often something was asked for that would have changed the state.
    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }

    fn changed(&self, watch: &str) -> Acknowledgement {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let (trigger, watch) = ("01hf7yat00000000000000tr1g".to_owned(), watch.to_owned());
        let (state, delivery) = (TriggerStateKind::Pending.into(), None);
        Acknowledgement { version: VERSION, trigger, watch, state, delivery, reason: None }
    }

    fn suspension(&self, watch: &str, suspended: bool) -> SuspensionAcknowledgement {
        let Acknowledgement { watch, version, .. } = self.changed(watch);
        let was_suspended = !suspended;
        SuspensionAcknowledgement { version, watch, suspended, was_suspended, until: None }
    }
}

#[async_trait]
impl Answers for Answerer {
    async fn status(&self, query: &StatusQuery) -> Result<Status, ApiError> {
        let status = lock(&self.script).status.clone();
        let mut status = status.ok_or_else(|| ApiError::new(ErrorKind::State, "no state"))?;
        status.watches.retain(|w| query.watch.as_ref().is_none_or(|wanted| w.name == *wanted));
        Ok(status)
    }

    async fn agent(&self) -> Result<Option<AgentStatus>, ApiError> {
        Ok(lock(&self.script).status.as_ref().and_then(|status| status.agent.clone()))
    }

    async fn why(&self, commit: &str, _: &WhyQuery) -> Result<Why, ApiError> {
        Ok(Why { version: VERSION, commit: commit.to_owned(), answers: Vec::new() })
    }

    async fn history(&self, query: &HistoryQuery) -> Result<History, ApiError> {
        let script = lock(&self.script);
        let all = script.shows.iter().map(|show| show.delivery.clone());
        let wanted = all.filter(|d| query.watch.as_ref().is_none_or(|name| d.watch == *name));
        let deliveries = wanted.take(query.limit.unwrap_or(20) as usize).collect();
        Ok(History { version: VERSION, deliveries, id_length: 0, next: None })
    }

    async fn show(&self, delivery: &str) -> Result<Show, ApiError> {
        let found = lock(&self.script).shows.iter().find(|s| s.delivery.id == delivery).cloned();
        let text = format!("no delivery {delivery} is kept");
        found.ok_or_else(|| ApiError::new(ErrorKind::UnknownDelivery, text))
    }

    async fn audit(&self, _: &AuditQuery) -> Result<Audit, ApiError> {
        Ok(Audit { version: VERSION, acts: Vec::new(), next: None })
    }

    async fn explain(&self, _: &ExplainQuery) -> Result<Documents, ApiError> {
        Err(ApiError::new(ErrorKind::Setup, "nothing is explained on a stage"))
    }

    async fn trigger_state(&self, trigger: &str) -> Result<Acknowledgement, ApiError> {
        let text = format!("there is no record of trigger {trigger}");
        Err(ApiError::new(ErrorKind::UnknownTrigger, text))
    }

    async fn trigger(
        &self,
        request: &TriggerRequest,
        _: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        Ok(self.changed(request.watch.as_deref().unwrap_or_default()))
    }

    async fn retry(&self, _: &str, _: Asker<'_>) -> Result<Acknowledgement, ApiError> {
        Ok(self.changed("qa"))
    }

    async fn cancel(&self, _: &str, _: Asker<'_>) -> Result<Acknowledgement, ApiError> {
        Ok(self.changed("qa"))
    }

    async fn approve(
        &self,
        watch: &str,
        _: &str,
        _: &ApproveRequest,
        _: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        Ok(self.changed(watch))
    }

    async fn rerun(
        &self,
        _: &str,
        _: &RerunRequest,
        _: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        Ok(self.changed("qa"))
    }

    async fn suspend(
        &self,
        watch: &str,
        _: &SuspendRequest,
        _: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError> {
        Ok(self.suspension(watch, true))
    }

    async fn resume(
        &self,
        watch: &str,
        _: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError> {
        Ok(self.suspension(watch, false))
    }
}

#[derive(Debug)]
struct Tokens;

#[async_trait]
impl Keys for Tokens {
    async fn holder_of(&self, is_it: Proof<'_>) -> Result<Option<Holder>, ApiError> {
        let known = [(READ, "reader", Right::Read), (TRIGGER, "trigger", Right::Trigger)];
        let found = known.into_iter().find(|(token, ..)| is_it(token));
        Ok(found.map(|(_, name, right)| Holder { name: name.to_owned(), right }))
    }
}

/// What was asked for, in the order in which it came: `GET /fragments?watch=qa`.
type Requests = Arc<Mutex<Vec<String>>>;

/// A server of the page and the API. Stops on drop.
#[derive(Debug)]
pub struct Stage {
    /// What is answered.
    pub answers: Arc<Answerer>,
    requests: Requests,
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stage {
    /// One that knows these watches' places.
    ///
    /// # Panics
    /// When this machine gives no port or no thread.
    pub fn start(watches: Vec<WatchPlace>) -> Self {
        let answers = Arc::<Answerer>::default();
        let mut stage = Self::over(Arc::clone(&answers) as _, watches);
        stage.answers = answers;
        stage
    }

    /// One whose answers come from elsewhere, such as a state; `answers` then changes nothing.
    ///
    /// # Panics
    /// As [`Stage::start`].
    pub fn over(shared: Arc<dyn Answers>, watches: Vec<WatchPlace>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (say_port, port) = std::sync::mpsc::channel();
        let requests = Requests::default();
        let noted = Arc::clone(&requests);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let port = listener.local_addr().expect("an address").port();
                say_port.send(port).expect("the starter waits");
                let stopped = async move { drop(stopped.await) };
                server(shared, watches, noted).serve(listener, stopped).await;
            });
        });
        let port = port.recv().expect("the server says its port");
        Self { answers: Arc::default(), requests, port, stop: Some(stop), thread: Some(thread) }
    }

    /// The address of a path.
    pub fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it was asked for since this was asked last.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.requests))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed by its thread.
            let _ = thread.join();
        }
    }
}

/// The engine does nothing: it is there because a server has one.
fn server(answers: Arc<dyn Answers>, watches: Vec<WatchPlace>, noted: Requests) -> Server {
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder(Arc::clone(&store))
        .watch(sentry_core::watch::sample::watch("qa", &["main"]))
        .forge("forge", ForgePorts::new(Arc::new(FakeForge::new())))
        .deployer("deployer", DeployerPorts::new(Arc::new(FakeDeployer::new())))
        .build()
        .expect("an engine of fakes");
    let mut services = Services::new(engine, store);
    let keys: Arc<dyn Keys> = Arc::new(Tokens);
    let (live, guesses) = (services.live.clone(), services.guesses.clone());
    let sessions = Arc::new(MemorySessions::new());
    let (asked, known) = (Arc::clone(&answers), Arc::clone(&keys));
    let mut setup = Setup::new(asked, known, sessions, live.clone(), guesses.clone());
    setup.watches = watches;
    let api = sentry_server::api::routes(answers, keys, live, guesses);
    let note = middleware::from_fn(move |request: Request, next: Next| {
        lock(&noted).push(format!("{} {}", request.method(), request.uri()));
        next.run(request)
    });
    services.routes = api.merge(sentry_server::page::routes(setup)).layer(note);
    Server::new(services)
}
