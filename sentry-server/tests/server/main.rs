//! The server over an engine of honest fakes, with time that the tests hold.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod api;
mod connections;
mod deploy;
mod event_stream;
mod health;
mod metrics;
mod openmetrics;
mod page;
mod store;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::service::TowerToHyperService;
use sentry_core::clock::Timestamp;
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Engine, Stop};
use sentry_core::forge::{
    Budget, ForgeError, ForgePorts, Heads, HeadsAnswer, HeadsQuery, Requests,
};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
use sentry_core::watch::sample::watch;
use sentry_server::{Server, Services};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::store::Moody;

const A: &str = "https://example.com/product/app";
const B: &str = "https://example.com/qa/tests";
const RUN: (&str, &str) = (
    "run.yaml",
    "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: qa}\nspec: {params: [{name: sha, value: '{{revision}}'}]}\n",
);

/// For tests that hold hundreds of connections, both ends of them: two at a time would need more files than many a system
/// lets a process open.
static MANY_FILES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A forge that tells its rate limit.
#[derive(Debug)]
struct Limited(Arc<FakeForge>);

#[async_trait]
impl Heads for Limited {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        self.0.heads(queries).await
    }

    fn requests(&self) -> Requests {
        Requests { redirected: 7, ..Requests::default() }
    }

    fn budget(&self) -> Option<Budget> {
        Some(Budget { left: 42, limit: 5_000, reset: Timestamp::from_second(1_767_229_200).ok() })
    }
}

fn limited(forge: &Arc<FakeForge>) -> ForgePorts {
    let heads = Arc::new(Limited(Arc::clone(forge)));
    ForgePorts { heads, ..ForgePorts::new(Arc::clone(forge)) }
}

/// An engine that runs, and its server's routes.
struct World {
    forge: Arc<FakeForge>,
    store: Moody,
    clock: Arc<TokioClock>,
    engine: Engine,
    tasks: JoinSet<()>,
}

impl World {
    fn new() -> Self {
        let forge = Arc::new(FakeForge::new());
        forge.commit(A, "main", "first", &[]);
        forge.commit(B, "main", "tests", &[RUN]);
        let (store, clock) = (Moody::default(), Arc::new(TokioClock::new()));
        let deployer = FakeDeployer::new()
            .following()
            .auto_finish(Duration::from_secs(5), sentry_core::delivery::RunState::Succeeded);
        let engine = Engine::builder(store.state())
            .clock(Arc::clone(&clock) as _)
            .watch(watch("qa", &["main"]))
            .forge("forge", limited(&forge))
            .deployer("deployer", DeployerPorts::new(Arc::new(deployer)))
            .build()
            .unwrap();
        Self { forge, store, clock, engine, tasks: JoinSet::new() }
    }

    fn services(&self) -> Services {
        let mut services = Services::new(self.engine.clone(), self.store.state());
        services.clock = Arc::clone(&self.clock) as _;
        services
    }

    /// The routes of a server that follows the engine's events.
    async fn serve(&mut self) -> Router {
        let server = Server::new(self.services());
        let routes = server.router();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.tasks.spawn(server.serve(listener, std::future::pending()));
        routes
    }

    /// From now on the engine runs; the first poll is done.
    async fn run(&mut self) {
        let engine = self.engine.clone();
        self.tasks.spawn(async move { engine.run(&Stop::new()).await.unwrap() });
        seconds(3).await;
    }

    fn push(&self) {
        self.forge.commit(A, "main", "work", &[]);
    }

    /// How often A was asked for heads.
    fn asked(&self) -> usize {
        self.forge.asked().iter().filter(|query| query.repo.as_str() == A).count()
    }
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

async fn ask(routes: &Router, request: Request<Body>) -> (StatusCode, String) {
    let service = TowerToHyperService::new(routes.clone());
    let answer = hyper::service::Service::call(&service, request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(routes: &Router, path: &str) -> (StatusCode, String) {
    ask(routes, Request::get(path).body(Body::empty()).unwrap()).await
}
