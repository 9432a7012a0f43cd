//! An engine over a real client of a forge, and the forge's server on the engine's own clock: with tokio's paused, hours of
//! polls cost what their requests cost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, ForgeError, ForgePorts, Heads,
    HeadsAnswer, HeadsQuery, Source, Tree, TreeQuery,
};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
use sentry_core::watch::SubjectSelector;
use sentry_core::watch::sample::watch;
use sentry_forge::credential::Credential;
use sentry_tests::gitserver::presented;
use sentry_tests::http::{HttpServer, Logged, Reply, reply, target};
use serde_json::json;
use tokio::task::JoinSet;

use crate::clients::{Kind, Whole, network, whole};
use crate::world::World;

pub(crate) const MAIN: &str = "4f1c9e02ab37d85610fe2c4b9a7d3e5f60718293";
const DEV: &str = "b82d6f13c4e5a09718263f4d5c6b7a8990a1b2c3";
/// A paused clock goes to its next timer when nothing is ready, even while bytes are under way. With steps this small they
/// arrive in time.
const STEP: Duration = Duration::from_millis(100);

/// Lets a paused clock go in small steps while it is held.
#[derive(Debug)]
pub(crate) struct SmallSteps {
    _task: JoinSet<()>,
}

impl SmallSteps {
    pub(crate) fn begin() -> Self {
        let mut steps = JoinSet::new();
        steps.spawn(async {
            for () in std::iter::repeat(()) {
                tokio::time::sleep(STEP).await;
            }
        });
        Self { _task: steps }
    }
}

/// Whom a server lets in, and what it tells all others.
#[derive(Debug, Clone, Default)]
struct Door {
    token: Option<String>,
    refusal: u16,
    /// Each request comes over a connection of its own.
    closes: bool,
}

/// A GitHub, a GitLab and a git server, each of whose repositories has the branches `main` and `dev`.
#[derive(Debug)]
pub(crate) struct Forges {
    pub(crate) http: HttpServer,
    door: Arc<Mutex<Door>>,
}

impl Forges {
    /// Everybody may come in.
    pub(crate) async fn start() -> Self {
        let door = Arc::new(Mutex::new(Door::default()));
        let shared = Arc::clone(&door);
        let http = HttpServer::here(move |request| {
            let door = shared.lock().unwrap().clone();
            Box::pin(answer(door, request))
        });
        Self { http: http.await, door }
    }

    /// From now on only this token is let in; all else is refused with this status.
    pub(crate) fn admit_only(&self, token: &str, refusal: u16) {
        *self.door.lock().unwrap() = Door { token: Some(token.to_owned()), refusal, closes: false };
    }

    /// From now on it ends the connection after each answer.
    pub(crate) fn close_connections(&self) {
        self.door.lock().unwrap().closes = true;
    }
}

async fn answer(door: Door, request: Request<Incoming>) -> Reply {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let (method, path) = (request.method().clone(), target(&request));
    let origin = format!("http://{}", header("host").unwrap_or_default());
    let held = header("if-none-match");
    let token = header("private-token").or_else(|| presented(request.headers()));
    // The connection goes on only after a body that was read.
    drop(request.into_body().collect().await);
    let told = if door.token.is_some() && door.token != token {
        Whole::json(door.refusal, &json!({ "message": "Bad credentials" }))
    } else {
        told(&method, &origin, &path, held.as_deref())
    };
    let headers = told.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let close = door.closes.then_some(("connection", "close"));
    let headers: Vec<_> = headers.chain(close).collect();
    reply(StatusCode::from_u16(told.status).unwrap(), &headers, told.body)
}

fn told(method: &Method, origin: &str, path: &str, held: Option<&str>) -> Whole {
    if path.ends_with("/access_tokens") {
        let token = json!({ "token": "ghs_made0for0one0repository", "expires_at": "2099-01-01T00:00:00Z",
            "permissions": { "contents": "read" }, "repository_selection": "selected" });
        return Whole::json(201, &token);
    }
    if *method == Method::POST && path.contains("/statuses/") {
        let set =
            json!({ "id": 1, "status": "success", "state": "success", "context": "sentry/qa" });
        return Whole::json(201, &set);
    }
    if path.contains(&format!("/commits/{MAIN}")) {
        let commit = json!({ "sha": MAIN, "id": MAIN, "message": "work", "author_name": "Ada", "author": null,
            "commit": { "message": "work", "author": { "name": "Ada" } } });
        return Whole::json(200, &commit);
    }
    whole(origin, &[("main", MAIN), ("dev", DEV)], path, held)
}

/// Repository A at the server; B, and what only a child process of git's could tell, from a fake.
#[derive(Debug)]
struct Ground {
    real: ForgePorts,
    fake: Arc<FakeForge>,
    origin: String,
    kind: Kind,
}

#[async_trait]
impl Heads for Ground {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let all = queries.iter().cloned().enumerate();
        let (ours, others): (Vec<_>, Vec<_>) =
            all.partition(|(_, query)| query.repo.origin() == self.origin);
        let (our_places, ours): (Vec<_>, Vec<_>) = ours.into_iter().unzip();
        let (other_places, others): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        let real = our_places.into_iter().zip(self.real.heads.heads(&ours).await);
        let fake = other_places.into_iter().zip(self.fake.heads(&others).await);
        real.chain(fake).collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

#[async_trait]
impl Source for Ground {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        self.fake.tree(query).await
    }

    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        if self.kind == Kind::Git {
            return Ok(CommitInfo {
                message: "work".to_owned(),
                author: "Ada".to_owned(),
                committed: None,
            });
        }
        self.real.source.commit(repo, revision).await
    }

    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.fake.changes(query).await
    }

    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        self.fake.clone_credential(repo).await
    }
}

/// An agent that watches many repositories of one server.
pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) forges: Forges,
    kind: Kind,
    _steps: SmallSteps,
}

impl Town {
    /// A watch of what these patterns select for each of these repositories, polled every minute.
    pub(crate) async fn new(kind: Kind, repos: &[(String, Vec<String>)]) -> Self {
        let steps = SmallSteps::begin();
        let (mut world, forges) = (World::new(FakeDeployer::new()), Forges::start().await);
        world.watches.clear();
        for (name, branches) in repos {
            let mut watch = watch(name, &["main"]);
            let patterns = branches.iter().map(String::as_str);
            watch.source.subjects = SubjectSelector::read(patterns).unwrap();
            watch.source.repo = format!("{}/o/{name}.git", forges.http.origin()).parse().unwrap();
            world.watches.push(watch);
        }
        Self { world, forges, kind, _steps: steps }
    }

    /// Starts the agent, with this token or file.
    pub(crate) fn start(&mut self, credential: Credential) {
        let origin = self.forges.http.origin();
        let real = self.kind.client(&network(), &origin, credential);
        let fake = Arc::clone(&self.world.forge);
        let ground = Ground { real, fake, origin, kind: self.kind };
        let (deployer, store) = (Arc::clone(&self.world.deployer), Arc::clone(&self.world.store));
        self.world.start_on(ForgePorts::new(Arc::new(ground)), deployer, store);
    }

    /// What the server was asked.
    pub(crate) fn asked(&self) -> Vec<Logged> {
        self.forges.http.log().all()
    }
}

/// `main` alone of so many repositories, with names of one length.
pub(crate) fn repositories(n: usize) -> Vec<(String, Vec<String>)> {
    (0..n).map(|n| (format!("repo-{n:03}"), vec!["main".to_owned()])).collect()
}
