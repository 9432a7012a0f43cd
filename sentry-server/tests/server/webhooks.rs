//! What the endpoint does around whoever understands the webhooks.

use http::HeaderMap;
use sentry_server::{Message, Reading, Refusal, Webhook, WebhookEndpoint};

use super::*;

/// Takes bodies that end in `!`, from who says `please`; the body up to it is the repository.
#[derive(Debug)]
struct Polite;

struct Listening(Vec<u8>);

#[async_trait]
impl Webhook for Polite {
    async fn begin(&self, headers: &HeaderMap, _: Timestamp) -> Result<Box<dyn Reading>, Refusal> {
        if headers.contains_key("please") {
            return Ok(Box::new(Listening(Vec::new())));
        }
        Err(Refusal::Unverified("say please".into()))
    }
}

impl Reading for Listening {
    fn take(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[..bytes.len().min(100)]);
    }

    fn finish(self: Box<Self>) -> Result<Message, Refusal> {
        let text = String::from_utf8(self.0).map_err(|_| Refusal::Unreadable("no text".into()))?;
        match text.strip_suffix('!') {
            Some("ping") => Ok(Message::Ping),
            Some("star") => Ok(Message::Ignored("star".into())),
            Some(path) => Ok(Message::Hint(path.parse().unwrap())),
            None => Err(Refusal::Unverified("no exclamation mark".into())),
        }
    }
}

pub(crate) fn endpoint(forge: &str, kind: &'static str) -> WebhookEndpoint {
    WebhookEndpoint { forge: forge.into(), kind, webhook: Arc::new(Polite) }
}

fn routes(world: &World, endpoints: Vec<WebhookEndpoint>) -> Router {
    let mut services = world.services();
    services.webhooks = endpoints;
    Server::new(services).router()
}

async fn post(routes: &Router, path: &str, body: &str) -> (u16, String) {
    let request = Request::post(path).header("please", "1").body(Body::from(body.to_owned()));
    let (status, text) = ask(routes, request.unwrap()).await;
    (status.as_u16(), text.trim_end().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_hint_has_a_configured_repository_asked_now_and_no_other() {
    let mut world = World::new();
    let routes = routes(&world, vec![endpoint("forge", "github")]);
    world.run().await;
    let before = world.asked();
    for path in ["/webhooks/forge", "/webhooks/github"] {
        let (status, text) = post(&routes, path, "evil/other!").await;
        assert_eq!((status, &*text), (202, "no watch uses this repository"));
    }
    seconds(5).await;
    assert_eq!(world.asked(), before);
    world.push();
    assert_eq!(post(&routes, "/webhooks/github", "product/app!").await.0, 202);
    seconds(1).await;
    assert_eq!(world.asked(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn each_answer_has_its_status_and_is_counted() {
    let world = World::new();
    let routes = routes(&world, vec![endpoint("forge", "github")]);
    let path = "/webhooks/forge";
    assert_eq!(post(&routes, path, "ping!").await, (202, "here".into()));
    assert_eq!(post(&routes, path, "star!").await, (202, "ignored: star".into()));
    assert_eq!(post(&routes, path, "product/app").await.0, 401);
    let unsigned = Request::post(path).body(Body::from("ping!")).unwrap();
    assert_eq!(ask(&routes, unsigned).await.0, StatusCode::UNAUTHORIZED);
    for (length, status) in [("26214400", 202), ("26214401", 413)] {
        let large = Request::post(path).header("content-length", length).header("please", "1");
        let (found, _) = ask(&routes, large.body(Body::from("ping!")).unwrap()).await;
        assert_eq!(found.as_u16(), status, "{length}");
    }
    assert_eq!(get(&routes, path).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let (_, metrics) = get(&routes, "/metrics").await;
    for (result, count) in [("ping", 2), ("ignored", 1), ("unverified", 2), ("too_large", 1)] {
        let line =
            format!("sentry_webhooks_total{{forge=\"forge\",result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_grows_without_end_or_never_comes_is_cut_off() {
    let world = World::new();
    let routes = routes(&world, vec![endpoint("forge", "github")]);
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1 << 16]));
    let request = Request::post("/webhooks/forge").header("please", "1");
    let (status, _) = ask(&routes, request.body(Body::from_stream(endless)).unwrap()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = Request::post("/webhooks/forge").header("please", "1");
    let (status, _) = ask(&routes, request.body(Body::from_stream(silent)).unwrap()).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn without_a_secret_there_is_no_endpoint_and_two_of_a_kind_have_only_their_names() {
    let world = World::new();
    let none = routes(&world, Vec::new());
    assert_eq!(post(&none, "/webhooks/github", "ping!").await.0, 404);
    let two = routes(&world, vec![endpoint("forge", "gitlab"), endpoint("lab", "gitlab")]);
    assert_eq!(post(&two, "/webhooks/gitlab", "ping!").await.0, 404);
    assert_eq!(post(&two, "/webhooks/lab", "ping!").await.0, 202);
    assert_eq!(post(&two, "/webhooks/github", "ping!").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn senders_that_never_end_make_room_for_an_honest_one() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world, vec![endpoint("forge", "github")]);
    let began = tokio::time::Instant::now();
    let mut slow = JoinSet::new();
    for _ in 0..100 {
        let routes = routes.clone();
        let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let request = Request::post("/webhooks/forge").header("please", "1");
        let request = request.body(Body::from_stream(silent)).unwrap();
        slow.spawn(async move { ask(&routes, request).await.0.as_u16() });
    }
    seconds(1).await;
    assert_eq!(post(&routes, "/webhooks/forge", "ping!").await.0, 202);
    assert_eq!(began.elapsed().as_secs(), 1);
    let answers = slow.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == 503).count(), 100 - 31);
    assert_eq!(answers.iter().filter(|status| **status == 408).count(), 31);
}
