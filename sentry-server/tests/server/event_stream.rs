//! The event stream: server-sent events over a real connection.

use http::header::AUTHORIZATION;
use sentry_api::{ApiError, Local};
use sentry_server::MAX_LISTENERS;
use sentry_server::api::{Holder, Keys, Proof, Right, routes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// A token that may read and one that may do all, until they are taken away.
#[derive(Debug)]
struct One(std::sync::atomic::AtomicBool);

#[async_trait]
impl Keys for One {
    async fn holder_of(&self, is_it: Proof<'_>) -> Result<Option<Holder>, ApiError> {
        let holds = self.0.load(std::sync::atomic::Ordering::SeqCst);
        let known = [("t0ken", Right::Read), ("acting", Right::Trigger)];
        let found = known.into_iter().find(|(known, _)| is_it(known) && holds);
        Ok(found.map(|(name, right)| Holder { name: name.to_owned(), right }))
    }
}

fn keys() -> Arc<One> {
    Arc::new(One(true.into()))
}

fn services(world: &World, keys: Arc<One>) -> Services {
    let mut services = world.services();
    let answers = Arc::new(Local::new(services.store.clone(), Vec::new()));
    services.routes = routes(answers, keys, services.live.clone(), services.guesses.clone());
    services
}

fn request() -> Request<Body> {
    request_with("t0ken")
}

fn request_with(token: &str) -> Request<Body> {
    let request = Request::get("/api/v1/events").header(AUTHORIZATION, format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

/// A connection that listens.
async fn listen(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t0ken\r\n\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What comes, until it contains a text or ends.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let (mut all, mut piece) = (String::new(), vec![0; 4096]);
    while !all.contains(text) {
        match stream.read(&mut piece).await.unwrap() {
            0 => panic!("it ended without {text:?}: {all}"),
            n => all.push_str(&String::from_utf8_lossy(&piece[..n])),
        }
    }
    all
}

#[tokio::test]
async fn a_listener_is_told_what_happens_and_goes_with_the_server() {
    let mut world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(services(&world, keys()));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served =
        tokio::task::JoinSet::from_iter([server.serve(listener, async { drop(stopped.await) })]);
    let mut stream = listen(address).await;
    let head = until(&mut stream, "retry").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let engine = world.engine.clone();
    world.tasks.spawn(async move { engine.run(&Stop::new()).await.unwrap() });
    let told = until(&mut stream, "\"watch\":\"qa\",\"branch\":\"main\"").await;
    assert!(told.contains("data: {\"version\":1,\"kind\":\"baseline\""), "{told}");
    stop.send(()).unwrap();
    served.join_all().await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listener_whose_token_is_taken_away_is_told_nothing_more() {
    let world = World::new();
    let keys = keys();
    let routes = Server::new(services(&world, Arc::clone(&keys))).router();
    let service = TowerToHyperService::new(routes);
    let answer = hyper::service::Service::call(&service, request()).await.unwrap();
    let mut body = answer.into_body();
    assert!(body.frame().await.is_some(), "the greeting");
    for _ in 0..2 {
        let began = tokio::time::Instant::now();
        assert!(body.frame().await.is_some(), "a heartbeat");
        assert_eq!(began.elapsed().as_secs(), 15);
    }
    keys.0.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(body.frame().await.is_none(), "it goes on without a token");
}

#[tokio::test]
async fn a_listener_too_many_is_sent_away_until_another_one_leaves() {
    let world = World::new();
    let service = TowerToHyperService::new(Server::new(services(&world, keys())).router());
    let ask = |token| hyper::service::Service::call(&service, request_with(token));
    let mut listeners = Vec::new();
    for number in 0..MAX_LISTENERS {
        // Those who may only read leave some for the others.
        let answer = match ask("t0ken").await.unwrap() {
            refused if refused.status() == StatusCode::TOO_MANY_REQUESTS => {
                assert_eq!(number.max(48), number);
                ask("acting").await.unwrap()
            }
            answer => answer,
        };
        assert_eq!(answer.status(), StatusCode::OK);
        listeners.push(answer);
    }
    for token in ["t0ken", "acting"] {
        assert_eq!(ask(token).await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    }
    listeners.pop();
    assert_eq!(ask("acting").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_slow_learns_how_much_it_missed() {
    let mut world = World::new();
    let service = TowerToHyperService::new(Server::new(services(&world, keys())).router());
    let answer = hyper::service::Service::call(&service, request()).await.unwrap();
    let mut body = answer.into_body();
    world.run().await;
    // Nobody reads while more happens than is kept.
    for _ in 0..300 {
        world.push();
        seconds(90).await;
    }
    let mut all = String::new();
    while !all.contains("\"lagged\"") {
        let frame = body.frame().await.unwrap().unwrap();
        all.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
        assert!(all.len() < 1_000_000, "it never lagged");
    }
    assert!(all.contains("\"missed\":"), "{all}");
}

#[tokio::test]
async fn whoever_has_their_answer_holds_no_place_of_those_that_a_token_gives() {
    let _files = MANY_FILES.lock().await;
    let mut world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(services(&world, keys()));
    world.tasks.spawn(server.serve(listener, std::future::pending()));
    let question = "GET /api/v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t0ken\r\n\r\n";
    let mut answered = Vec::new();
    for _ in 0..=sentry_server::MAX_CONNECTIONS / 2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(question.as_bytes()).await.unwrap();
        let answer = until(&mut stream, "\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "after {}: {answer}", answered.len());
        answered.push(stream);
    }
}

#[tokio::test]
async fn a_full_house_sends_no_listener_away() {
    let _files = MANY_FILES.lock().await;
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(services(&world, keys()));
    let mut tasks = JoinSet::new();
    tasks.spawn(server.serve(listener, std::future::pending()));
    let mut stream = listen(address).await;
    until(&mut stream, "retry").await;
    let mut idle = Vec::new();
    for _ in 0..sentry_server::MAX_CONNECTIONS + 20 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    // The last one is served, so all of them were accepted.
    let last = idle.last_mut().unwrap();
    last.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(last, "alive").await;
    let engine = world.engine.clone();
    tasks.spawn(async move { engine.run(&Stop::new()).await.unwrap() });
    until(&mut stream, "\"baseline\"").await;
}
