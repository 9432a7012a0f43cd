//! 43: health is honest: `/livez` fails when a loop stands, `/readyz` when the state can't be written, and both come
//! back by themselves.

#[cfg(feature = "disk")]
mod mounted;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper_util::service::TowerToHyperService;
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Engine, Stop};
use sentry_core::forge::ForgePorts;
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
use sentry_core::watch::sample::watch;
use sentry_server::{Server, Services};
use sentry_store::MemoryStore;
use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::repo::BareRepo;
use sentry_tests::road::TREE;
use sentry_tests::sandbox::{Sandbox, eventually};
use sentry_tests::strace::Failing;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::world::{A, B, FILES};
use sentry_tests::wire::Wired;

/// How often A is asked. So the limit is three times that.
const INTERVAL: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(180);
/// The promise's own.
const SLACK: Duration = Duration::from_secs(5);
/// How long `/readyz` may take: a second, in which the state is written at least once, and the promised 5 s.
const FLIP: AtMost = AtMost::seconds(6.0);

async fn is_alive(routes: &Router) -> bool {
    let request = Request::get("/livez").body(Body::empty()).unwrap();
    let service = TowerToHyperService::new(routes.clone());
    let answer = hyper::service::Service::call(&service, request).await.unwrap();
    answer.status().is_success()
}

/// How long it takes, looked at every half second, until `/livez` says this.
async fn until(routes: &Router, alive: bool, patience: Duration) -> Duration {
    let begun = Instant::now();
    while is_alive(routes).await != alive {
        assert!(begun.elapsed() < patience, "still {} after {:?}", !alive, begun.elapsed());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_stands_fails_livez_in_time_and_comes_back_in_time() {
    let forge = Arc::new(FakeForge::new());
    forge.commit(A, "main", "first", &[]);
    forge.commit(B, "main", "tests", FILES);
    let mut qa = watch("qa", &["main"]);
    qa.timing.polling_interval = INTERVAL;
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder(Arc::clone(&store))
        .clock(Arc::new(TokioClock::new()))
        .watch(qa)
        .forge("forge", ForgePorts::with_statuses(Arc::clone(&forge)))
        .deployer("deployer", DeployerPorts::new(Arc::new(FakeDeployer::new())))
        .build()
        .unwrap();
    let routes = Server::new(Services::new(engine.clone(), store)).router();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { engine.run(&Stop::new()).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(is_alive(&routes).await);

    let all = cases(50, 50);
    let (mut slowest_down, mut slowest_up) = (Duration::ZERO, Duration::ZERO);
    let asked = || forge.asked().iter().filter(|query| query.repo.as_str() == A).count();
    for _ in 0..all {
        // It hangs at the next question, whose time is seen by its being asked.
        let before = asked();
        forge.answer_after(Duration::from_secs(1000));
        while asked() == before {
            assert!(is_alive(&routes).await, "it fails before anything hangs");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let stands = Instant::now();
        let down = until(&routes, false, LIMIT + SLACK).await;
        assert!(down + Duration::from_secs(1) >= LIMIT, "it fails too early: {down:?}");
        slowest_down = slowest_down.max(down);
        // The question ends at last, and with it the standing.
        forge.answer_after(Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(1000).saturating_sub(stands.elapsed())).await;
        slowest_up = slowest_up.max(until(&routes, true, SLACK).await);
    }
    tasks.abort_all();
    kept(
        43,
        "a loop",
        &format!(
            "{all} of {all} times a loop stood: /livez failed at the latest after {:.1} s (limit {} s) and was back {:.1} s after \
         the loop, in a time that the proof holds",
            slowest_down.as_secs_f32(),
            LIMIT.as_secs(),
            slowest_up.as_secs_f32()
        ),
    );
}

fn took(served: &Wired, wanted: u16, limit: AtMost) -> Duration {
    let begun = std::time::Instant::now();
    eventually("/readyz changes", || served.get("/readyz").0 == wanted);
    limit.hold_time("/readyz changes", begun.elapsed());
    begun.elapsed()
}

/// An agent whose state is here, and which has nothing to write but its own beat: as often as it polls.
fn idle(sandbox: &mut Sandbox, repos: &Path, state: &Path) -> Wired {
    BareRepo::create(repos, "a.git").commit("main", TREE, "first");
    sandbox.env("SENTRY_STATE_DIR", state);
    sandbox.write_config(&format!(
        "forges:\n  plain: {{type: git}}\nwatches:\n  - name: qa\n    polling_interval: 1\n    \
         source: {{forge: plain, url: 'file://{0}/a.git', branches: main}}\n    \
         manifests: {{forge: plain, url: 'file://{0}/a.git', branch: main}}\n    \
         cluster: {{namespace: qa, deployer: dry-run}}\n",
        repos.display()
    ));
    let served = Wired::start(sandbox, &[]);
    eventually("it is ready", || served.get("/readyz").0 == 200);
    served
}

/// The state can't be written, and can again, so many times; what was seen.
fn flips(
    served: &Wired,
    all: usize,
    limit: AtMost,
    mut harm: impl FnMut(),
    mut heal: impl FnMut(),
) -> String {
    let (mut slowest_down, mut slowest_up) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..all {
        harm();
        slowest_down = slowest_down.max(took(served, 503, limit));
        assert_eq!(served.get("/livez").0, 200, "a restart would not help");
        let (_, body) = served.get("/readyz");
        assert!(body.contains("the state can't be written"), "{body}");
        heal();
        slowest_up = slowest_up.max(took(served, 200, FLIP));
    }
    format!(
        "/readyz failed within {} and was back within {}, /livez never failed",
        limit.told_time(slowest_down),
        FLIP.told_time(slowest_up)
    )
}

/// The kernel refuses to make a disk read-only while a file on it is open for writing; so the calls are answered as on
/// one that is.
#[test]
fn a_state_that_can_only_be_read_fails_readyz_in_time_and_never_livez() {
    let (repos, mut sandbox) = (TempDir::new().unwrap(), Sandbox::new());
    let state = sandbox.root().join("state");
    let served = idle(&mut sandbox, repos.path(), &state);
    let all = cases(50, 1);
    let read_only = || Failing::calls_of(served.agent.id(), "pwrite64", "EROFS");
    let held = RefCell::new(None);
    let seen = flips(
        &served,
        all,
        FLIP,
        || *held.borrow_mut() = Some(read_only()),
        || *held.borrow_mut() = None,
    );
    assert_eq!(served.agent.term().code, Some(0));
    kept(43, "a read-only state", &format!("{all} of {all} times read-only (EROFS): {seen}"));
}
