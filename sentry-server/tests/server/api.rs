//! The routes of the API: what each asks for, who may, and what is taken for a question.

use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use sentry_api::query::{AuditQuery, ExplainQuery, HistoryQuery, StatusQuery, WhyQuery};
use sentry_api::shape::{
    Acknowledgement, AgentStatus, ApproveRequest, Audit, Documents, History, RerunRequest, Show,
    Status, SuspendRequest, SuspensionAcknowledgement, TriggerRequest, Why,
};
use sentry_api::{Answers, ApiError, Asker, ErrorKind};
use sentry_server::api::MAX_REQUEST;
use sentry_server::{Bounded, EventStream, Guesses};
use serde_json::Value;

use super::page::{Two, header, send, text};
use super::*;

/// Answers every question with an error that says what was asked.
#[derive(Debug)]
pub(crate) struct Echo(pub(crate) ErrorKind);

type Answer<T> = Result<T, ApiError>;

impl Echo {
    fn says<T>(&self, asked: String) -> Answer<T> {
        Err(ApiError::new(self.0, asked))
    }
}

#[async_trait]
impl Answers for Echo {
    async fn status(&self, StatusQuery { watch, .. }: &StatusQuery) -> Answer<Status> {
        self.says(format!("status of {watch:?}"))
    }

    async fn agent(&self) -> Answer<Option<AgentStatus>> {
        self.says("agent".to_owned())
    }

    async fn why(&self, commit: &str, WhyQuery { watch }: &WhyQuery) -> Answer<Why> {
        self.says(format!("why {commit} of {watch:?}"))
    }

    async fn history(&self, HistoryQuery { watch, limit, .. }: &HistoryQuery) -> Answer<History> {
        self.says(format!("history of {watch:?}, {limit:?}"))
    }

    async fn show(&self, delivery: &str) -> Answer<Show> {
        self.says(format!("show {delivery}"))
    }

    async fn audit(&self, query: &AuditQuery) -> Answer<Audit> {
        let AuditQuery { watch, by, since, before, limit } = query;
        let since = since.map(|since| since.as_second());
        self.says(format!("audit of {watch:?} by {by:?}, {since:?}, {before:?}, {limit:?}"))
    }

    async fn explain(&self, query: &ExplainQuery) -> Answer<Documents> {
        let ExplainQuery { watch, branch, event } = query;
        self.says(format!("explain {watch:?}, {branch:?}, {event:?}"))
    }

    async fn trigger_state(&self, trigger: &str) -> Answer<Acknowledgement> {
        self.says(format!("state of {trigger}"))
    }

    async fn trigger(&self, asked: &TriggerRequest, asker: Asker<'_>) -> Answer<Acknowledgement> {
        self.says(format!(
            "trigger {:?}, {:?}, {:?} by {:?}",
            asked.watch, asked.branch, asker.key, asker.by
        ))
    }

    async fn retry(&self, delivery: &str, asker: Asker<'_>) -> Answer<Acknowledgement> {
        self.says(format!("retry {delivery}, {:?} by {:?}", asker.key, asker.by))
    }

    async fn cancel(&self, delivery: &str, asker: Asker<'_>) -> Answer<Acknowledgement> {
        self.says(format!("cancel {delivery}, {:?} by {:?}", asker.key, asker.by))
    }

    async fn approve(
        &self,
        watch: &str,
        number: &str,
        request: &ApproveRequest,
        asker: Asker<'_>,
    ) -> Answer<Acknowledgement> {
        let ApproveRequest { revision, base } = request;
        let Asker { key, by } = asker;
        self.says(format!("approve {watch} {number}, {revision}, {base:?}, {key:?} by {by:?}"))
    }

    async fn rerun(
        &self,
        delivery: &str,
        RerunRequest { failed }: &RerunRequest,
        asker: Asker<'_>,
    ) -> Answer<Acknowledgement> {
        self.says(format!("rerun {delivery}, failed: {failed}, {:?} by {:?}", asker.key, asker.by))
    }

    async fn suspend(
        &self,
        watch: &str,
        asked: &SuspendRequest,
        by: Option<&str>,
    ) -> Answer<SuspensionAcknowledgement> {
        self.says(format!("suspend {watch}, {:?}, {:?} by {by:?}", asked.reason, asked.for_seconds))
    }

    async fn resume(&self, watch: &str, by: Option<&str>) -> Answer<SuspensionAcknowledgement> {
        self.says(format!("resume {watch} by {by:?}"))
    }
}

/// The routes over [`Echo`], which says that everything is a conflict.
fn routes() -> Router {
    let answers = Arc::new(Bounded::new(Arc::new(Echo(ErrorKind::Conflict))));
    let live = EventStream::new(World::new().engine);
    sentry_server::api::routes(answers, Arc::new(Two), live, Guesses::default())
}

/// A request below `/api/v1`, with the token that may do everything.
fn acting(method: &str, path: &str) -> http::request::Builder {
    let path = format!("/api/v1{path}");
    Request::builder().method(method).uri(path).header("authorization", "Bearer acting")
}

/// The status of an answer, and the text of its error.
async fn error(routes: &Router, request: http::request::Builder, body: &str) -> (u16, String) {
    let answer = send(routes, request, body).await;
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_str(&text(answer).await).unwrap();
    (status, body["error"]["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(start_paused = true)]
async fn each_route_asks_its_own_question_with_all_that_was_sent() {
    let routes = routes();
    for (method, path, body, asked) in [
        ("GET", "/status?watch=qa", "", "status of Some(\"qa\")"),
        ("GET", "/why/c0ffee0?watch=qa", "", "why c0ffee0 of Some(\"qa\")"),
        ("GET", "/deliveries?watch=qa&limit=3", "", "history of Some(\"qa\"), Some(3)"),
        ("GET", "/deliveries/01hf", "", "show 01hf"),
        (
            "GET",
            "/audit?watch=qa&by=ada&since=1970-01-01T00:00:07Z&before=9&limit=3",
            "",
            "audit of Some(\"qa\") by Some(\"ada\"), Some(7), Some(9), Some(3)",
        ),
        ("GET", "/explain?branch=b&event=e", "", "explain None, Some(\"b\"), Some(\"e\")"),
        ("GET", "/triggers/01hf", "", "state of 01hf"),
        ("POST", "/trigger", r#"{"watch":"qa"}"#, "trigger Some(\"qa\"), None, Some(\"k\")"),
        ("POST", "/trigger", r#"{"branch":"b"}"#, "trigger None, Some(\"b\"), Some(\"k\")"),
        ("POST", "/deliveries/01hf/cancel", "", "cancel 01hf, Some(\"k\")"),
        ("POST", "/deliveries/01hf/retry", "", "retry 01hf, Some(\"k\")"),
        ("POST", "/deliveries/01hf/rerun", "", "rerun 01hf, failed: false, Some(\"k\")"),
        (
            "POST",
            "/deliveries/01hf/rerun",
            r#"{"failed":true}"#,
            "rerun 01hf, failed: true, Some(\"k\")",
        ),
        (
            "POST",
            "/watches/qa/suspend",
            r#"{"reason":"r","for_seconds":9}"#,
            "suspend qa, Some(\"r\"), Some(9)",
        ),
        ("POST", "/watches/qa/resume", "{}", "resume qa"),
        (
            "POST",
            "/watches/qa/pulls/12/approve",
            r#"{"revision":"r","base":"main"}"#,
            "approve qa 12, r, Some(\"main\"), Some(\"k\")",
        ),
    ] {
        let (right, token) = if path.ends_with("/approve") {
            ("approving", "Bearer approving")
        } else {
            ("acting", "Bearer acting")
        };
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = request.header("authorization", token).header("idempotency-key", " k ");
        let told = error(&routes, request, body).await;
        let by = if method == "POST" { format!(" by Some({right:?})") } else { String::new() };
        assert_eq!(told, (409, format!("{asked}{by}")), "{method} {path} {body}");
    }
    // What the page alone asks.
    let bounded = Bounded::new(Arc::new(Echo(ErrorKind::Conflict)));
    let told = bounded.agent().await.unwrap_err();
    assert_eq!(told.body().error.message, "agent");
}

#[tokio::test(start_paused = true)]
async fn who_shows_no_token_learns_nothing_and_who_may_read_starts_nothing() {
    let routes = routes();
    const APPROVE: &str = "/watches/qa/pulls/12/approve";
    let (none, reading, both) = ("no valid token was sent", "Bearer reading", "Bearer acting");
    let approving = "Bearer approving";
    for (method, token, path, status, told) in [
        ("GET", "", "/status", 401, none),
        ("GET", "", "/nothing", 401, none),
        ("GET", "reading", "/status", 401, none),
        ("GET", "Basic reading", "/status", 401, none),
        ("GET", "Bearer guess", "/status", 401, none),
        ("POST", "Bearer guess", "/trigger", 401, none),
        ("GET", reading, "/status", 409, "status of None"),
        ("GET", "bearer  reading ", "/status", 409, "status of None"),
        ("GET", both, "/status", 409, "status of None"),
        ("POST", reading, "/trigger", 403, "this token is read-only"),
        ("POST", both, "/trigger", 409, "trigger None, None, None by Some(\"acting\")"),
        ("POST", reading, APPROVE, 403, "this token is read-only"),
        ("POST", both, APPROVE, 403, "the token acting may not approve heads of forks"),
        ("POST", approving, APPROVE, 400, "the body: missing field `revision`"),
        ("POST", approving, "/trigger", 409, "trigger None, None, None by Some(\"approving\")"),
        ("GET", approving, APPROVE, 405, "GET is not allowed here"),
        ("GET", reading, "/nothing", 404, "there is no such route under /api/v1"),
        ("POST", reading, "/nothing", 403, "this token is read-only"),
        ("DELETE", both, "/status", 405, "DELETE is not allowed here"),
        ("GET", reading, "/openapi.json", 200, ""),
    ] {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let answer = send(&routes, request.header("authorization", token), "").await;
        let what = format!("{method} {path} with {token:?}");
        let headers = answer.headers().clone();
        assert_eq!(answer.status().as_u16(), status, "{what}");
        assert_eq!(header(&headers, http::header::CACHE_CONTROL), "no-store", "{what}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{what}");
        assert_eq!(header(&headers, CONTENT_TYPE), "application/json", "{what}");
        let scheme = if status == 401 { "Bearer" } else { "" };
        assert_eq!(header(&headers, WWW_AUTHENTICATE), scheme, "{what}");
        assert_eq!(headers.contains_key(ALLOW), status == 405, "{what}");
        let body: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(body["error"]["message"].as_str().unwrap_or_default(), told, "{what}");
        assert_eq!(body["openapi"].is_string(), status == 200, "{what}");
    }
    let head = acting("HEAD", "/status").header("authorization", reading);
    assert_eq!(send(&routes, head, "").await.status(), StatusCode::CONFLICT);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_or_not_understood_is_not_asked() {
    let routes = routes();
    let filled = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
    let asked = "trigger None, None, ";
    for (path, key, body, status, told) in [
        ("/trigger", "k", String::new(), 409, asked),
        ("/trigger", "k", "{}".to_owned(), 409, asked),
        ("/trigger", "k", filled(65_536), 409, asked),
        ("/trigger", "k", filled(65_537), 400, "has more than 65536 bytes"),
        ("/trigger", "k", "[]".to_owned(), 400, "the body: "),
        ("/trigger", "k", "{".to_owned(), 400, "the body: "),
        ("/trigger", "k", r#"{"odd":1}"#.to_owned(), 400, "the body: unknown field `odd`"),
        ("/watches/qa/resume", "k", r#"{"odd":1}"#.to_owned(), 400, "the body: "),
        ("/trigger", "", String::new(), 400, "Idempotency-Key must be"),
        ("/trigger", " ", String::new(), 400, "Idempotency-Key must be"),
        ("/trigger", &"k".repeat(200), String::new(), 409, asked),
        ("/trigger", &"k".repeat(201), String::new(), 400, "Idempotency-Key must be"),
    ] {
        let request = acting("POST", path).header("idempotency-key", key);
        let (found, text) = error(&routes, request, &body).await;
        let sent = body.len();
        assert!(found == status && text.contains(told), "{sent} bytes, {key:?}: {found} {text}");
    }
    assert_eq!(MAX_REQUEST, 65_536);
    let (status, told) = error(&routes, acting("GET", "/status?odd=1"), "").await;
    assert!(status == 400 && told.contains("unknown field `odd`"), "{status} {told}");
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_is_json_in_which_nothing_is_hidden() {
    let answer = send(&routes(), acting("GET", "/why/%E2%80%AEc0ffee0"), "").await;
    let told = text(answer).await;
    assert!(told.contains("why \\u202ec0ffee0 of None"), "{told}");
    let mut world = World::new();
    world.run().await;
    let routes = super::page::routes(&world);
    let answer = send(&routes, acting("GET", "/status"), "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(answer.headers(), CONTENT_TYPE), "application/json");
    let status: Status = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(status.watches[0].name, "qa");
    let asked = r#"{"watch":"qa","branch":"main"}"#;
    let kept = text(send(&routes, acting("POST", "/trigger"), asked).await).await;
    let kept: Acknowledgement = serde_json::from_str(&kept).unwrap();
    let told = send(&routes, acting("GET", &format!("/triggers/{}", kept.trigger)), "").await;
    let told: Acknowledgement = serde_json::from_str(&text(told).await).unwrap();
    assert_eq!((told.trigger, told.watch), (kept.trigger, "qa".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_go_on_being_counted_under_another_configuration() {
    let world = World::new();
    let guess = async |services: &Services| {
        let answers = Arc::new(Echo(ErrorKind::Conflict));
        let (live, guesses) = (services.live.clone(), services.guesses.clone());
        let routes = sentry_server::api::routes(answers, Arc::new(Two), live, guesses);
        let request = Request::get("/api/v1/status").header("authorization", "Bearer guess");
        assert_eq!(send(&routes, request, "").await.status(), StatusCode::UNAUTHORIZED);
    };
    let first = world.services();
    guess(&first).await;
    let counters = Server::new(first).counters();
    let mut second = world.services();
    second.guesses = counters.guesses();
    second.counters = Some(counters);
    guess(&second).await;
    let (_, metrics) = get(&Server::new(second).router(), "/metrics").await;
    assert!(metrics.contains("sentry_guesses_total{door=\"api\"} 2\n"), "{metrics}");
}
