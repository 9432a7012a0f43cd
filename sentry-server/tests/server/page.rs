//! The page as a browser asks for it, without a browser.

use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderMap, Response};
use sentry_api::{Answers, ApiError, ErrorKind, Local, WatchFacts};
use sentry_core::approval::Approval;
use sentry_core::cursor::{Cursors, Mark};
use sentry_core::delivery::{Trigger, TriggerKind, TriggerState};
use sentry_core::pull::PullRequest;
use sentry_core::store::{ActKind, AuditQuery, Write};
use sentry_core::testing::sample;
use sentry_server::api::{Holder, Keys, Proof, Right};
use sentry_server::page::{self, Repository, Setup, WatchPlace, Web};
use sentry_server::{EventStream, Guesses};
use sentry_store::MemorySessions;

use super::api::Echo;
use super::*;

#[derive(Debug)]
pub(crate) struct Two;

#[async_trait]
impl Keys for Two {
    async fn holder_of(&self, is_it: Proof<'_>) -> Result<Option<Holder>, ApiError> {
        let known =
            [("reading", Right::Read), ("acting", Right::Trigger), ("approving", Right::Approve)];
        let found = known.into_iter().find(|(token, _)| is_it(token));
        Ok(found.map(|(name, right)| Holder { name: name.to_owned(), right }))
    }
}

fn setup_of(answers: Arc<dyn Answers>, live: EventStream, guesses: Guesses) -> Setup {
    Setup::new(answers, Arc::new(Two), Arc::new(MemorySessions::new()), live, guesses)
}

pub(crate) fn routes(world: &World) -> Router {
    let mut services = world.services();
    let watches = world.engine.watches().into_iter().map(|watch| WatchFacts {
        name: watch.name.clone(),
        subjects: watch.source.subjects.clone(),
        has_statuses: true,
    });
    let answers = Arc::new(Local::new(services.store.clone(), watches.collect()));
    let (live, guesses) = (services.live.clone(), services.guesses.clone());
    let mut setup = setup_of(Arc::clone(&answers) as _, live.clone(), guesses.clone());
    setup.clock = Arc::clone(&world.clock) as _;
    setup.watches = ["other", "qa"].map(place).into();
    let api = sentry_server::api::routes(answers, Arc::new(Two), live, guesses);
    services.routes = page::routes(setup).merge(api);
    Server::new(services).router()
}

fn place(watch: &str) -> WatchPlace {
    let (commits, compare) = (&["commit"][..], &["compare"][..]);
    let web = Web { commits, compare, base: "https://example.com".parse().unwrap() };
    let repository = |path: &str| Repository { path: path.to_owned(), web: Some(web.clone()) };
    WatchPlace {
        name: watch.to_owned(),
        source: repository(&format!("{watch}/app")),
        branches: vec!["main".to_owned()],
        manifests: repository(&format!("{watch}/tests")),
        dir: ".tekton".to_owned(),
        target: "qa".to_owned(),
        dashboard: None,
    }
}

pub(crate) async fn send(
    routes: &Router,
    request: http::request::Builder,
    body: &str,
) -> Response<Body> {
    let service = TowerToHyperService::new(routes.clone());
    let request = request.body(Body::from(body.to_owned())).unwrap();
    hyper::service::Service::call(&service, request).await.unwrap()
}

fn post(path: &str) -> http::request::Builder {
    Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("host", "sentry.example")
}

pub(crate) fn header(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

pub(crate) async fn text(answer: Response<Body>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn cookie(routes: &Router, token: &str) -> String {
    let login = post("/login").header("origin", "http://sentry.example");
    let answer = send(routes, login, &format!("token={token}")).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    header(answer.headers(), SET_COOKIE).split(';').next().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_cookie_is_for_https_alone_where_the_browser_came_by_it_whatever_a_proxy_says() {
    let routes = routes(&World::new());
    for (origin, forwarded, secure) in
        [("https://sentry.example", "http", true), ("http://sentry.example", "https", false)]
    {
        let login = post("/login").header("origin", origin).header("x-forwarded-proto", forwarded);
        let answer = send(&routes, login, "token=reading").await;
        let cookie = header(answer.headers(), SET_COOKIE);
        assert!(cookie.contains("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
        assert_eq!(cookie.contains("; Secure"), secure, "{origin}: {cookie}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_without_a_session_sees_anything_and_a_link_from_elsewhere_keeps_one() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    for path in ["/", "/watches/qa", "/deliveries/01k9", "/triggers/01k9", "/events"] {
        let answer = send(&routes, Request::get(path), "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        assert!(header(answer.headers(), LOCATION).starts_with("/login"), "{path}");
    }
    // A strict cookie does not come with a click on the forge's page; our own page asks again.
    let linked = Request::get("/watches/qa").header("sec-fetch-site", "cross-site");
    let answer = send(&routes, linked, "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let page = text(answer).await;
    assert!(page.contains("http-equiv=\"refresh\"") && !page.contains("main"), "{page}");
    let cookie = cookie(&routes, "reading").await;
    let answer = send(&routes, Request::get("/").header("cookie", &cookie), "").await;
    let page = text(answer).await;
    assert!(page.contains("main") && page.contains("baseline"), "{page}");
    assert!(!page.contains("Deliver now"), "who may only read is offered a button");
}

#[tokio::test(start_paused = true)]
async fn guesses_are_refused_at_once_limited_over_all_doors_and_never_keep_a_right_token_out() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let began = tokio::time::Instant::now();
    let login = || post("/login").header("origin", "http://sentry.example");
    let bearer = |token: &str| {
        Request::get("/api/v1/status").header("authorization", format!("Bearer {token}"))
    };
    let mut answers = std::collections::BTreeMap::<u16, usize>::new();
    for _ in 0..100 {
        let page = send(&routes, login(), "token=guess").await.status();
        let api = send(&routes, bearer("guess"), "").await.status();
        for status in [page, api] {
            *answers.entry(status.as_u16()).or_default() += 1;
        }
    }
    assert_eq!(answers, [(401, 15), (403, 15), (429, 170)].into());
    assert_eq!(send(&routes, login(), "token=acting").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(send(&routes, bearer("reading"), "").await.status(), StatusCode::OK);
    // Who shows no token guesses none.
    let none = send(&routes, Request::get("/api/v1/status"), "").await;
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    assert!(began.elapsed().is_zero(), "a refusal waits for something");
    let (_, metrics) = get(&routes, "/metrics").await;
    for door in ["page", "api"] {
        let line = format!("sentry_guesses_total{{door=\"{door}\"}} 100\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_carries_the_policy_and_assets_are_kept_for_ever() {
    let routes = routes(&World::new());
    let page = send(&routes, Request::get("/login"), "").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    for wanted in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(wanted), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header(page.headers(), CACHE_CONTROL), "no-store");
    let cookie = cookie(&routes, "reading").await;
    let page = text(send(&routes, Request::get("/").header("cookie", &cookie), "").await).await;
    let asset = |piece: &str| piece.split('"').next().unwrap().to_owned();
    let assets: Vec<_> = page.split("=\"/").skip(1).map(asset).collect();
    let assets: std::collections::BTreeSet<_> =
        assets.iter().filter(|path| path.starts_with("assets/")).collect();
    assert_eq!(assets.len(), 5, "style, icons and script: {page}");
    for path in assets {
        let asset = send(&routes, Request::get(format!("/{path}")), "").await;
        assert_eq!(asset.status(), StatusCode::OK, "{path}");
        assert!(header(asset.headers(), CACHE_CONTROL).contains("immutable"));
        assert_eq!(asset.headers()["x-content-type-options"], "nosniff");
    }
    let none = send(&routes, Request::get("/assets/page-000000000000.css"), "").await;
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
    let refused = send(&routes, post("/trigger"), "").await;
    assert!(refused.headers().contains_key("content-security-policy"));
}

/// The page of the watch, its form's token and its key, as who has this cookie sees them.
async fn form(routes: &Router, cookie: &str) -> (String, String, String) {
    let answer = send(routes, Request::get("/watches/qa").header("cookie", cookie), "").await;
    let page = text(answer).await;
    let field = |name: &str| {
        let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_default();
        rest.split('"').next().unwrap().to_owned()
    };
    (page.clone(), field("form"), field("key"))
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_shown_with_links_to_its_own_repositories() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let (page, ..) = form(&routes, &cookie(&routes, "reading").await).await;
    assert!(page.contains("this session is read-only") && !page.contains("Deliver a commit"));
    for part in ["app", "app/commit/", "tests"] {
        assert!(page.contains(&format!("href=\"https://example.com/qa/{part}")), "{part}: {page}");
    }
    assert!(!page.contains("example.com/other"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn what_a_form_asks_for_is_kept_once_and_what_is_left_empty_is_not_asked_for() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let cookie = cookie(&routes, "acting").await;
    let (page, token, key) = form(&routes, &cookie).await;
    assert!(!page.contains("this session is read-only") && page.contains("Deliver a commit"));
    assert!(page.contains(&format!(
        "action=\"/logout\"><input type=\"hidden\" name=\"form\" value=\"{token}\""
    )));
    let press = async |path: &str, body: &str| {
        let request =
            post(path).header("origin", "http://sentry.example").header("cookie", &cookie);
        let answer = send(&routes, request, body).await;
        (answer.status(), header(answer.headers(), LOCATION).to_owned())
    };
    let body = format!("form={token}&key={key}&watch=qa&branch=+main+&revision=++");
    let first = press("/trigger", &body).await;
    assert_eq!(first.0, StatusCode::SEE_OTHER);
    assert_eq!(press("/trigger", &body).await, first, "a second press asks for nothing more");
    let id = first.1.strip_prefix("/triggers/").unwrap().parse().unwrap();
    let kept = world.store.state().inbox.trigger(&id).await.unwrap().unwrap();
    assert_eq!(kept.key, key);
    let TriggerKind::Deliver { subject, sha, .. } = kept.kind else { panic!("{kept:?}") };
    assert_eq!((subject.name(), sha), ("main", None));
    let sha = "c0ffee00".repeat(5);
    let (_, to) =
        press("/trigger", &format!("form={token}&watch=qa&branch=main&revision={sha}")).await;
    let id = to.strip_prefix("/triggers/").unwrap().parse().unwrap();
    let kept = world.store.state().inbox.trigger(&id).await.unwrap().unwrap();
    assert!(
        matches!(kept.kind, TriggerKind::Deliver { sha: Some(asked), .. } if asked.as_str() == sha)
    );
    for wrong in ["watch=other&branch=main", "watch=qa&branch=other"] {
        let (status, _) = press("/trigger", &format!("form={token}&{wrong}")).await;
        assert!(status.is_client_error(), "{wrong}: {status}");
    }
    // What no page of ours has made is no key.
    for odd in ["a-b".to_owned(), "a".repeat(65)] {
        let (status, to) = press("/trigger", &body.replace(&key, &odd)).await;
        let id = to.strip_prefix("/triggers/").unwrap().parse().unwrap();
        let kept = world.store.state().inbox.trigger(&id).await.unwrap().unwrap();
        assert_eq!((status, kept.key), (StatusCode::SEE_OTHER, id.to_string()));
    }

    for (reason, wanted) in [("+a+freeze+", Some("a freeze")), ("+", None)] {
        let done = press("/watches/qa/suspend", &format!("form={token}&reason={reason}")).await;
        assert_eq!(done, (StatusCode::SEE_OTHER, "/watches/qa".to_owned()));
        let kept = world.store.state().inbox.requests().await.unwrap().suspensions.remove(0);
        assert_eq!(kept.reason.as_deref(), wanted);
    }
    let done = press("/watches/qa/resume", &format!("form={token}")).await;
    assert_eq!(done, (StatusCode::SEE_OTHER, "/watches/qa".to_owned()));
    assert_eq!(world.store.state().inbox.requests().await.unwrap().suspensions, []);
}

#[tokio::test(start_paused = true)]
async fn a_form_starts_nothing_for_another_session_or_for_who_may_only_read() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let (reading, acting) = (cookie(&routes, "reading").await, cookie(&routes, "acting").await);
    let (_, of_reader, _) = form(&routes, &reading).await;
    for (cookie, token) in [(&reading, of_reader.as_str()), (&acting, &of_reader), (&acting, "")] {
        for path in ["/trigger", "/watches/qa/suspend", "/watches/qa/resume", "/deliveries/0/rerun"]
        {
            let request = post(path).header("origin", "http://sentry.example");
            let body = format!("form={token}&watch=qa&branch=main");
            let answer = send(&routes, request.header("cookie", cookie), &body).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        }
    }
    let inbox = world.store.state().inbox.requests().await.unwrap();
    assert!(inbox.triggers.is_empty() && inbox.suspensions.is_empty(), "{inbox:?}");
}

/// The routes of the page over these answers.
fn over(answers: impl Answers + 'static) -> Router {
    let live = EventStream::new(World::new().engine);
    page::routes(setup_of(Arc::new(answers), live, Guesses::default()))
}

#[tokio::test(start_paused = true)]
async fn the_login_asks_for_a_token_and_leads_on_and_logging_out_ends_the_session() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let cookie = cookie(&routes, "acting").await;
    for (then, wanted) in
        [("", "/"), ("?then=/watches/qa", "/watches/qa"), ("?then=//evil.example", "/")]
    {
        let ask = || Request::get(format!("/login{then}"));
        let answer = send(&routes, ask(), "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let page = text(answer).await;
        let onward = format!("name=\"then\" value=\"{wanted}\"");
        assert!(page.contains(&onward) && page.contains("name=\"token\""), "{page}");
        let answer = send(&routes, ask().header("cookie", &cookie), "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "is logged in");
        assert_eq!(header(answer.headers(), LOCATION), wanted);
        let enter = post("/login").header("origin", "http://sentry.example");
        let then = then.trim_start_matches('?');
        let answer = send(&routes, enter, &format!("token=+reading%0A&{then}")).await;
        assert_eq!(header(answer.headers(), LOCATION), wanted);
    }
    let (_, token, _) = form(&routes, &cookie).await;
    let leave = post("/logout").header("origin", "http://sentry.example");
    let answer = send(&routes, leave.header("cookie", &cookie), &format!("form={token}")).await;
    assert_eq!(header(answer.headers(), LOCATION), "/login");
    let emptied = "sentry_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0";
    assert_eq!(header(answer.headers(), SET_COOKIE), emptied);
    let answer = send(&routes, Request::get("/").header("cookie", &cookie), "").await;
    assert_eq!(header(answer.headers(), LOCATION), "/login");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_session_is_led_to_the_login_and_back_or_told_so() {
    let routes = routes(&World::new());
    let (own, other) = (("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site"));
    let old = ("cookie", "sentry_session=0123");
    for (method, path, headers, status, place) in [
        ("GET", "/", &[own][..], 303, "/login"),
        ("HEAD", "/", &[own], 303, "/login"),
        ("GET", "/watches/qa", &[own], 303, "/login?then=/watches/qa"),
        ("GET", "/watches/qa", &[other], 200, ""),
        ("HEAD", "/watches/qa", &[other], 200, ""),
        // A cookie that came along is not waited for.
        ("GET", "/watches/qa", &[other, old], 303, "/login?then=/watches/qa"),
        ("POST", "/trigger", &[own], 401, ""),
        ("POST", "/trigger", &[own, old], 401, ""),
        ("POST", "/trigger", &[other], 403, ""),
    ] {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = send(&routes, request, "").await;
        let found = (answer.status().as_u16(), header(answer.headers(), LOCATION));
        assert_eq!(found, (status, place), "{method} {path} {headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_has_an_end_and_is_what_it_says() {
    let routes = routes(&World::new());
    let known = "application/x-www-form-urlencoded";
    let filled = |bytes: usize| format!("token={}", "a".repeat(bytes - "token=".len()));
    for (kind, body, status, told) in [
        (known, filled(16_384), 403, "not a token of this Sentry"),
        (known, filled(16_385), 400, "more than 16384 bytes"),
        (&format!("{known}; charset=utf-8"), filled(10), 403, "not a token of this Sentry"),
        ("text/plain", filled(10), 400, "this is not a form"),
        (known, "token=a&odd=1".to_owned(), 400, "the form: "),
    ] {
        let login = Request::post("/login").header("sec-fetch-site", "same-origin");
        let answer = send(&routes, login.header("content-type", kind), &body).await;
        let found = answer.status().as_u16();
        let page = text(answer).await;
        assert!(found == status && page.contains(told), "{kind}, {}: {page}", body.len());
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_has_its_status_and_its_heading() {
    use ErrorKind::*;
    let none = "Not found";
    let later = "Not available right now";
    let rows = [
        (Forbidden, 403, "Not allowed"),
        (NotFound, 404, none),
        (UnknownDelivery, 404, none),
        (UnknownTrigger, 404, none),
        (UnknownWatch, 404, none),
        (UnknownBranch, 404, none),
        (BadRequest, 400, "Invalid request"),
        (Ambiguous, 409, "Invalid request"),
        (Conflict, 409, "Not possible right now"),
        (TooMuch, 429, "Too many requests"),
        (Held, 409, later),
        (Unauthorized, 401, later),
        (State, 503, later),
        (Unreachable, 502, later),
        (Rejected, 422, later),
        (Setup, 500, later),
        (Interrupted, 503, later),
    ];
    assert_eq!(rows.len(), ErrorKind::ALL.len());
    for (kind, status, heading) in rows {
        let routes = over(Echo(kind));
        let cookie = cookie(&routes, "reading").await;
        for (path, asked) in [
            ("/", "status of None"),
            ("/watches/qa", "status of Some(&#34;qa&#34;)"),
            ("/deliveries/01hf", "show 01hf"),
            ("/triggers/01hf", "state of 01hf"),
        ] {
            let answer = send(&routes, Request::get(path).header("cookie", &cookie), "").await;
            assert_eq!(answer.status().as_u16(), status, "{path}: {kind}");
            let page = text(answer).await;
            assert!(page.contains(&format!("<h1>{heading}</h1>")), "{kind}: {page}");
            assert!(page.contains(asked) && page.contains("href=\"/\""), "{kind}: {page}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_delivery_is_kept_and_its_page_leads_to_what_became_of_it() {
    let mut world = World::new();
    world.run().await;
    world.push();
    seconds(120).await;
    let routes = routes(&world);
    let cookie = cookie(&routes, "acting").await;
    let (_, token, key) = form(&routes, &cookie).await;
    let delivered = world.store.newest().await.id;
    let press = async |path: &str, body: &str| {
        let request =
            post(path).header("origin", "http://sentry.example").header("cookie", &cookie);
        let answer = send(&routes, request, &format!("form={token}&{body}")).await;
        (answer.status(), header(answer.headers(), LOCATION).to_owned())
    };
    let (status, _) = press(&format!("/deliveries/{delivered}/retry"), "").await;
    assert_eq!(status, StatusCode::CONFLICT, "nothing failed");
    let mut kept = Vec::new();
    for (failed, failed_only) in [("true", true), ("", false), ("false", false)] {
        let body = format!("failed={failed}&key={key}{failed}");
        let (status, to) = press(&format!("/deliveries/{delivered}/rerun"), &body).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        let id = to.strip_prefix("/triggers/").unwrap().parse().unwrap();
        let trigger = world.store.state().inbox.trigger(&id).await.unwrap().unwrap();
        assert_eq!(trigger.key, format!("{key}{failed}"));
        assert_eq!(trigger.kind, TriggerKind::Rerun { delivery: delivered.clone(), failed_only });
        kept.push(trigger);
    }

    let link = format!("href=\"/deliveries/{delivered}\"");
    let again = format!("action=\"/deliveries/{delivered}/rerun\"");
    for (path, part) in [
        ("/".to_owned(), &link),
        ("/watches/qa".to_owned(), &link),
        ("/watches/qa".to_owned(), &" · a new commit · ".to_owned()),
        (format!("/deliveries/{delivered}"), &again),
    ] {
        let answer = send(&routes, Request::get(&path).header("cookie", &cookie), "").await;
        let page = text(answer).await;
        assert!(page.contains(part), "{path}: {page}");
        assert!(page.contains("agent is running"), "{path}: {page}");
    }

    let look = async |trigger: &Trigger| {
        let request = Request::get(format!("/triggers/{}", trigger.id)).header("cookie", &cookie);
        let answer = send(&routes, request, "").await;
        let to = header(answer.headers(), LOCATION).to_owned();
        (answer.status().as_u16(), to, text(answer).await)
    };
    let (status, _, page) = look(&kept[0]).await;
    assert!(status == 200 && page.contains("<h1>Requested</h1>"), "{page}");
    assert!(page.contains("Your request for watch qa is saved and queued."), "{page}");
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"2\">"), "{page}");
    kept[0].state = TriggerState::Rejected("the branch <main> is gone".to_owned());
    kept[1].state = TriggerState::Taken(delivered.clone());
    let writes = [kept[0].clone(), kept[1].clone()].map(Write::Trigger);
    world.store.answered(&writes).await;
    let (status, _, page) = look(&kept[0]).await;
    assert!(status == 200 && page.contains("<h1>Can&#39;t deliver it</h1>"), "{page}");
    assert!(page.contains("the branch &#60;main&#62; is gone"), "{page}");
    assert!(page.contains("href=\"/watches/qa\"") && !page.contains("http-equiv"), "{page}");
    let (status, to, _) = look(&kept[1]).await;
    assert_eq!((status, to), (303, format!("/deliveries/{delivered}")));
}

#[tokio::test(start_paused = true)]
async fn answers_above_a_kibibyte_are_compressed_for_who_takes_that_and_the_stream_never_is() {
    use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let cookie = cookie(&routes, "reading").await;
    let ask = async |path: &str, encoding: &str| {
        let request = Request::get(path).header("cookie", &cookie);
        send(&routes, request.header(ACCEPT_ENCODING, encoding), "").await
    };
    let style = text(ask("/", "identity").await).await;
    let style = style.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for (path, compressed) in
        [("/", true), (&*style, true), ("/metrics", true), ("/livez", false), ("/events", false)]
    {
        let answer = ask(path, "gzip, br").await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let encoding = header(answer.headers(), CONTENT_ENCODING);
        assert_eq!(encoding, if compressed { "gzip" } else { "" }, "{path}");
        if compressed {
            assert_eq!(header(answer.headers(), VARY), "accept-encoding", "{path}");
            let small = answer.into_body().collect().await.unwrap().to_bytes();
            let whole = text(ask(path, "identity").await).await;
            assert!(small.len() * 2 < whole.len(), "{path}: {} of {}", small.len(), whole.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_page_speaks_the_readers_language_and_the_switch_leads_back() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let session = cookie(&routes, "acting").await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let request = Request::get(path).header("cookie", &session);
        let add = |request: http::request::Builder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        send(&routes, headers.iter().fold(request, add), "").await
    };
    let chinese = [("accept-language", "zh-CN,zh;q=0.9,en;q=0.8")];
    for (path, said) in
        [("/", "监视"), ("/login", ""), ("/deliveries/01k9", "找不到"), ("/watches/none", "找不到")]
    {
        let page = text(ask(path, &chinese).await).await;
        assert!(page.contains(said), "{path}: {page}");
        assert!(path == "/login" || page.contains("<html lang=\"zh\">"), "{path}: {page}");
    }
    let page =
        text(send(&routes, Request::get("/login").header("accept-language", "zh"), "").await);
    let page = page.await;
    assert!(page.contains("<h1>登录</h1>") && page.contains("lang=\"en\""), "{page}");

    let host = ("host", "sentry.example");
    for (from, back) in [
        ("http://sentry.example/?state=failed&q=pay", "/?state=failed&q=pay"),
        ("http://sentry.example/watches/qa", "/watches/qa"),
        ("http://sentry.example//evil.example", "/"),
        ("http://evil.example/watches/qa", "/"),
        ("", "/"),
    ] {
        let answer = ask("/language/zh", &[host, ("referer", from)]).await;
        assert_eq!(header(answer.headers(), LOCATION), back, "{from}");
        let chosen = header(answer.headers(), SET_COOKIE);
        assert!(chosen.starts_with("sentry_language=zh; HttpOnly; SameSite=Lax"), "{chosen}");
    }
    let page = text(ask("/", &[("cookie", "sentry_language=zh"), ("accept-language", "en")]).await);
    assert!(page.await.contains("<html lang=\"zh\">"), "what was chosen counts more");
    assert_eq!(ask("/language/tlh", &[]).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_answered_with_its_own_lines_for_who_has_a_session() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let path = "/fragments?watch=qa&branch=main";
    let answer = send(&routes, Request::get(path), "").await;
    assert_eq!(header(answer.headers(), LOCATION), "/login", "a stranger is told something");
    let session = cookie(&routes, "acting").await;
    let ask = async |path: &str| {
        let answer = send(&routes, Request::get(path).header("cookie", &session), "").await;
        (answer.status().as_u16(), text(answer).await)
    };
    let (status, lines) = ask(path).await;
    assert!(status == 200 && lines.len() < 3 * 1024, "{status}: {lines}");
    for part in ["id=\"b-qa/main\"", "id=\"w-qa\"", "baseline", "Deliver now"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    let (_, lines) = ask("/fragments?watch=qa").await;
    assert!(lines.contains("id=\"w-qa\"") && !lines.contains("id=\"b-"), "{lines}");
    assert_eq!(ask("/fragments?watch=none").await.0, 404);
    assert_eq!(ask("/fragments").await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_button_in_a_list_asks_for_its_branch_once() {
    let mut world = World::new();
    world.run().await;
    let routes = routes(&world);
    let session = cookie(&routes, "acting").await;
    let page = text(send(&routes, Request::get("/").header("cookie", &session), "").await).await;
    let value = |name: &str| {
        let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let (form, button) = (value("form"), value("deliver"));
    let mut asked = Vec::new();
    for _ in 0..2 {
        let request = post("/trigger").header("origin", "http://sentry.example");
        let body = format!("form={form}&deliver={}", button.replace('/', "%2F"));
        let answer = send(&routes, request.header("cookie", &session), &body).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        asked.push(header(answer.headers(), LOCATION).to_owned());
    }
    assert_eq!(asked[0], asked[1], "a second press asks for more");
    let id = asked[0].strip_prefix("/triggers/").unwrap().parse().unwrap();
    let kept = world.store.state().inbox.trigger(&id).await.unwrap().unwrap();
    let TriggerKind::Deliver { subject, sha, .. } = kept.kind else { panic!("{kept:?}") };
    assert_eq!((subject.name(), sha), ("main", None));
}

#[tokio::test(start_paused = true)]
async fn without_any_token_the_page_says_how_to_have_one() {
    let routes = page::closed();
    let answer = send(&routes, Request::get("/"), "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().contains_key("content-security-policy"));
    let page = text(answer).await;
    for part in ["This page needs a token", "server.trigger_token_file", "/livez, /readyz"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let style = page.split("href=\"/assets/").nth(1).and_then(|rest| rest.split('"').next());
    let style = Request::get(format!("/assets/{}", style.unwrap()));
    assert_eq!(send(&routes, style, "").await.status(), StatusCode::OK);
}

/// A fork's head that waits is kept, with a title that is no good HTML.
async fn with_a_stranger() -> World {
    let world = World::new();
    let title = "<b>Run me</b>".to_owned();
    let pull = PullRequest { is_fork: true, title, ..sample::pull(12) };
    let head = Mark { sha: pull.head.clone(), at: sample::time(1) };
    let state = Cursors::first_seen(sample::watch("qa"), pull.number.clone().into(), head);
    let (pull, approval) = (Some(Box::new(pull)), Some(Box::new(Approval::Needed)));
    let write = Write::Cursors(Cursors { pull, approval, ..state });
    let claim = world.store.state().journal.claim("test").await.unwrap();
    claim.commit(&[write]).await.unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn who_may_approve_has_a_button_for_what_was_looked_at_and_nobody_else_gets_by_with_it() {
    let world = with_a_stranger().await;
    let routes = routes(&world);
    let page_of = async |token: &str| {
        let session = cookie(&routes, token).await;
        let request = Request::get("/watches/qa").header("cookie", &session);
        (session.clone(), text(send(&routes, request, "").await).await)
    };
    let value = |page: &str, name: &str| {
        let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    let press = async |session: &str, body: String| {
        let request = post("/watches/qa/approve").header("origin", "http://sentry.example");
        send(&routes, request.header("cookie", session), &body).await
    };
    let sha = sample::sha(1);
    let asks = |form: &str| format!("form={form}&number=12&revision={sha}&base=main&key=k1");
    for token in ["reading", "acting"] {
        let (session, page) = page_of(token).await;
        assert!(page.contains("Wait for approval") && page.contains(&sha.as_str()[..8]), "{page}");
        assert!(page.contains("&#60;b&#62;Run me") && !page.contains("<b>Run me"), "{page}");
        assert!(!page.contains("/watches/qa/approve"), "{token}: {page}");
        let (_, form, _) = form(&routes, &session).await;
        let answer = press(&session, asks(&form)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{token}");
    }
    let (session, page) = page_of("approving").await;
    let button = page.split("action=\"/watches/qa/approve\"").nth(1).unwrap();
    let [form, number, revision, base, key] =
        ["form", "number", "revision", "base", "key"].map(|name| value(button, name));
    assert_eq!((&*number, &*revision, &*base), ("12", sha.as_str(), "main"));
    for wrong in ["", "another-session"] {
        assert_eq!(press(&session, asks(wrong)).await.status(), StatusCode::FORBIDDEN);
    }
    let dev = format!("form={form}&number=12&revision={sha}&base=dev&key=k2");
    assert_eq!(press(&session, dev).await.status(), StatusCode::CONFLICT);
    assert!(world.store.state().inbox.requests().await.unwrap().triggers.is_empty());
    let body = format!("form={form}&number={number}&revision={revision}&base={base}&key={key}");
    let mut asked = Vec::new();
    for _ in 0..2 {
        let answer = press(&session, body.clone()).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        asked.push(header(answer.headers(), LOCATION).to_owned());
    }
    assert_eq!(asked[0], asked[1], "a second press asks for more");
    let kept = world.store.state().inbox.requests().await.unwrap().triggers;
    let base = sample::parse("main");
    let kind = TriggerKind::Approve { number: 12.into(), sha, base };
    assert_eq!(
        kept.iter().map(|it| (&it.kind, it.by.as_deref())).collect::<Vec<_>>(),
        [(&kind, Some("approving"))]
    );
    let acts = world.store.state().archive.acts(&AuditQuery::default()).await.unwrap();
    let said: Vec<_> = acts.iter().map(|it| (it.act.kind, it.act.by.as_deref())).collect();
    assert_eq!(said, [(ActKind::Approve, Some("approving"))]);
}
