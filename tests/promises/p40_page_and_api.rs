//! 40: page and API: XSS and ANSI strings, CSRF. 200 strings: 0 executions, 0 state changes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use hyper::StatusCode;
use sentry_api::VERSION;
use sentry_api::shape::{
    BranchStatus, Cancelled, Commit, Delivery, Earlier, Mark, Object, OutageStatus, Pace, PaceDay,
    PaceRun, QueueStatus, ReportingStatus, Run, RunTotals, Show, Status, Step, Subject,
    SuspensionStatus, Task, WatchStatus,
};
use sentry_api::words::{
    Action, BranchState, Cause, DeliveryState, FailureClass, RunStanding, RunState, TaskState,
    Verdict,
};
use sentry_core::clock::{Clock as _, SystemClock};
use sentry_server::page::{Repository, WatchPlace, Web};
use sentry_tests::browser::Browser;
use sentry_tests::http::{HttpServer, reply};
use sentry_tests::promise::{cases, kept};
use sentry_tests::sandbox::eventually;
use sentry_tests::stage::{READ, Script, Stage, TRIGGER};

/// What runs, or takes the terminal over, where it is not told as text. `__hit()` counts.
const SEEDS: &[&str] = &[
    "<script>__hit()</script>",
    "<script src=data:text/javascript,__hit()></script>",
    "<img src=x onerror=__hit()>",
    "<svg onload=__hit()>",
    "<svg><script>__hit()</script></svg>",
    "<svg><animate onbegin=__hit() attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.__hit()</script>'></iframe>",
    "<iframe src=javascript:parent.__hit()></iframe>",
    "<object data=javascript:__hit()>",
    "<embed src=javascript:__hit()>",
    "<details open ontoggle=__hit()>",
    "<body onload=__hit()>",
    "<input autofocus onfocus=__hit()>",
    "<video><source onerror=__hit()></video>",
    "<math><mtext><script>__hit()</script></mtext></math>",
    "<a href=javascript:__hit() id=x>x</a>",
    "<form action=javascript:__hit()><button autofocus>x</button></form>",
    "<meta http-equiv=refresh content='0;url=javascript:__hit()'>",
    "<link rel=stylesheet href='data:text/css,*{display:none}'>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example/>",
    "<template><script>__hit()</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=__hit()>'>",
    "<!--><img src=x onerror=__hit()>-->",
    "<![CDATA[><script>__hit()</script>]]>",
    "javascript:__hit()",
    "data:text/html,<script>__hit()</script>",
    "' onmouseover='__hit()' x='",
    "\" onmouseover=\"__hit()\" autofocus onfocus=\"__hit()\" x=\"",
    "` onmouseover=`__hit()`",
    "{{constructor.constructor('__hit()')()}}",
    "${__hit()}",
    "&lt;script&gt;__hit()&lt;/script&gt;",
    "&#60;script&#62;__hit()&#60;/script&#62;",
    "\u{1b}[2J\u{1b}[31mred\u{1b}]0;title\u{7}\u{1b}]8;;http://evil.example\u{7}x",
    "\u{9b}31m\u{90}q\u{9c}\r\u{8}\u{8}\u{0}\u{7f}",
    "\u{202e}gnp.exe\u{2066}x\u{200f}",
    "＜script＞__hit()＜/script＞",
    "\u{feff}<script>__hit()</script>\u{2028}\u{2029}",
    "%3Cscript%3E__hit()%3C/script%3E",
];

/// Each seed as it is, and where it would have to break out of something first.
fn strings() -> Vec<String> {
    let around =
        [("", ""), ("\">", ""), ("'/>", "<!--"), ("</pre></script></title>", ""), ("\n*/", "//")];
    let of = |seed: &&str| around.map(|(before, after)| format!("{before}{seed}{after}"));
    SEEDS.iter().flat_map(of).collect()
}

/// Answers in which the string stands wherever text can.
pub(crate) fn scene(strings: &[String]) -> Script {
    let watches = strings.iter().map(|s| watch(s)).collect();
    let namespace = Some(strings[0].clone());
    let status = Status {
        version: VERSION,
        watches,
        queue: vec![QueueStatus { namespace, runs: 1 }],
        agent: None,
        notifications: Vec::new(),
        next: None,
        fleet: None,
    };
    let shows = strings.iter().enumerate().map(|(n, s)| show(n, s)).collect();
    Script { status: Some(status), shows }
}

fn commit(s: &str) -> Commit {
    Commit { title: s.to_owned(), author: s.to_owned(), at: Some(SystemClock.now()) }
}

fn watch(s: &str) -> WatchStatus {
    let (text, at) = (s.to_owned(), SystemClock.now());
    let mark = || Mark { sha: s.to_owned(), at };
    let branch = BranchStatus {
        pull_request: None,
        branch: text.clone(),
        subject: Subject { kind: "branch".to_owned(), name: text.clone() },
        observed: Mark { sha: format!("{s}!"), at },
        commit: Some(commit(s)),
        attempted: Some(mark()),
        delivered: Some(mark()),
        delivered_commit: Some(commit(s)),
        state: BranchState::Parked.into(),
        nothing_ran: None,
        manifests_revision: Some(text.clone()),
        runs: RunTotals::default(),
        verdict: Some(Verdict::Failure.into()),
        last_error: Some(text.clone()),
        next_attempt: Some(at),
        errors: vec![text.clone()],
        delivery: Some(text.clone()),
    };
    WatchStatus {
        name: text.clone(),
        suspended: true,
        branches: vec![branch],
        suspension: Some(SuspensionStatus {
            reason: Some(text.clone()),
            since: at,
            until: None,
            by: Some(text.clone()),
        }),
        unreachable: Some(OutageStatus { since: at, error: text.clone(), next: None }),
        idle_patterns: vec![text.clone()],
        reporting: Some(ReportingStatus { repo: Some(text.clone()), error: text, given_up: true }),
        waiting_triggers: 0,
        recent: Vec::new(),
        pace: Some(pace(s)),
    }
}

pub(crate) fn id(n: usize) -> String {
    format!("01k9t0m4{n:0>18}")
}

fn run(s: &str) -> Run {
    let (text, at) = (|| s.to_owned(), SystemClock.now());
    Run {
        name: text(),
        state: RunStanding::As(RunState::Failed).into(),
        reason: Some(text()),
        message: Some(text()),
        failure: Some(FailureClass::Step.into()),
        started: Some(at),
        ended: Some(at),
        usual_ms: Some(1),
        tasks: ["", "!"]
            .map(|more| Task {
                task: format!("{s}{more}"),
                run: Some(text()),
                state: TaskState::Failed.into(),
                started: Some(at),
                ended: Some(at),
                retries: 1,
                reason: Some(text()),
                message: Some(text()),
                after: vec![text()],
                finally: more.is_empty(),
            })
            .into(),
    }
}

fn show(n: usize, s: &str) -> Show {
    let (text, at) = (|| s.to_owned(), SystemClock.now());
    let object = |run| Object {
        path: text(),
        line: 1,
        kind: text(),
        namespace: Some(text()),
        name: text(),
        run,
        action: Action::Failed.into(),
        reason: Some(text()),
    };
    let before = Some(Earlier { delivery: text(), revision: text() });
    let mut show = Show {
        version: VERSION,
        delivery: Delivery {
            id: id(n),
            watch: text(),
            branch: text(),
            subject: Subject { kind: "branch".to_owned(), name: text() },
            trigger: Cause::Change.into(),
            asked_by: Some(text()),
            repeats: Some(text()),
            revision: text(),
            commit: Some(commit(s)),
            manifests_revision: Some(text()),
            state: DeliveryState::Failed.into(),
            dry_run: false,
            started: at,
            following_since: Some(at),
            finished: Some(at),
            objects: vec![object(false), object(true)],
            runs: vec![run(s)],
            verdict: Some(Verdict::Failure.into()),
            nothing_ran: None,
            error: Some(text()),
        },
        attempts: 2,
        next_attempt: None,
        superseded_by: Some(text()),
        steps: vec![Step { step: text(), started: at, took_ms: 1 }],
        notes: vec![text()],
        cancelled: Some(Cancelled { by: Some(text()), at }),
        manifests_branch: Some(text()),
        asked_for: Some(sentry_api::shape::AskedFor { event: Some(text()), run: Some(text()) }),
        before,
        same_commit: Vec::new(),
        counted: None,
    };
    let other = Delivery { id: text(), ..show.delivery.clone() };
    show.same_commit = vec![show.delivery.clone(), other];
    show
}

fn pace(s: &str) -> Pace {
    let at = SystemClock.now();
    let run = PaceRun {
        name: s.to_owned(),
        path: s.to_owned(),
        runs: 1,
        median_ms: 1,
        longest_ms: 1,
        delivery: s.to_owned(),
    };
    let day = PaceDay { day: at, deliveries: 1, failed: 1, median_ms: 1 };
    Pace { since: at, deliveries: 1, failed: 1, days: vec![day], slowest: vec![run] }
}

/// A repository whose name is the string, on a forge with pages.
fn place(s: &str) -> WatchPlace {
    let repository = |commits, compare| Repository {
        path: s.to_owned(),
        web: Some(Web { commits, compare, base: "https://forge.example".parse().unwrap() }),
    };
    WatchPlace {
        name: s.to_owned(),
        source: repository(&["commit"], &["compare"]),
        branches: vec![s.to_owned()],
        manifests: repository(&["-", "commit"], &["-", "compare"]),
        dir: s.to_owned(),
        target: s.to_owned(),
        dashboard: Some(format!("https://forge.example/{{namespace}}/{{kind}}/{{run}}?{s}")),
    }
}

/// Counts what runs, and what the policy stopped at the last moment: neither may be.
const COUNTER: &str = "window.hits = []; window.__hit = () => hits.push('ran');\
    for (const name of ['alert', 'confirm', 'prompt', 'print']) window[name] = window.__hit;\
    addEventListener('securitypolicyviolation', e => hits.push(e.violatedDirective + ' ' + e.blockedURI));";
/// Wakes every handler there is, then says what ran, and what stands on the page that no template put there.
const JUDGE: &str = r"
    const bad = [];
    for (const one of document.querySelectorAll('*')) {
      for (const kind of ['mouseover', 'focus', 'toggle', 'load', 'error']) one.dispatchEvent(new Event(kind));
      for (const attribute of one.attributes) {
        if (/^on/i.test(attribute.name) || attribute.name === 'style') bad.push(`${one.localName} ${attribute.name}`);
      }
    }
    bad.push(...hits);
    const known = ['https://forge.example', location.origin];
    for (const link of document.querySelectorAll('a, area')) if (!known.includes(link.origin)) bad.push(`link ${link.href}`);
    for (const form of document.forms) if (!form.action.startsWith(location.origin)) bad.push(`form ${form.action}`);
    for (const one of document.querySelectorAll('iframe, object, embed, img, video, math, style, base, template, animate')) bad.push(one.localName);
    if (document.querySelectorAll('script').length > 1) bad.push('scripts');
    const text = document.documentElement.textContent;
    if (/[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(text)) bad.push('control characters');
    return bad;";

#[test]
fn no_string_of_others_runs_in_the_page() {
    let strings = strings();
    assert_eq!(strings.len(), 200);
    let stage = Stage::start(strings.iter().map(|s| place(s)).collect());
    stage.answers.play(scene(&strings));
    let browser = Browser::start();
    browser
        .protocol("Page.addScriptToEvaluateOnNewDocument", &serde_json::json!({"source": COUNTER}));
    browser.open(&stage.at("/login"));
    browser.type_into("#token", TRIGGER);
    browser.click("main button");
    eventually("the page", || {
        browser.script("return document.querySelectorAll('.watch').length") == 200
    });
    let judge = |what: &str| {
        let bad = browser.script(JUDGE);
        assert_eq!(bad, serde_json::json!([]), "{what}");
    };
    judge("all watches");
    // The script takes changed parts from what the server says now.
    let mut turned = strings.clone();
    turned.rotate_left(1);
    stage.answers.play(scene(&turned));
    browser.script("window.first = document.querySelector('.watch'); document.dispatchEvent(new Event('visibilitychange'))");
    eventually("the new parts", || browser.script("return !window.first.isConnected") == true);
    judge("all watches, by the script");
    stage.answers.play(scene(&strings));
    let pages = cases(200, 8);
    for n in (0..200).step_by(200 / pages) {
        browser.open(&stage.at(&format!("/deliveries/{}", id(n))));
        judge(&strings[n]);
        let path: String = strings[n].bytes().map(|byte| format!("%{byte:02x}")).collect();
        for page in ["watches", "deliveries", "triggers"] {
            browser.open(&stage.at(&format!("/{page}/{path}")));
            judge(&format!("{page}/{:?}", strings[n]));
        }
    }
    kept(
        40,
        "XSS and ANSI",
        &format!("200 strings on the first page, {pages} on 4 pages each: 0 executions"),
    );
}

#[test]
fn the_api_tells_hostile_strings_as_json_and_nothing_else() {
    let strings = strings();
    let stage = Stage::start(Vec::new());
    stage.answers.play(scene(&strings));
    let bearer = format!("Authorization: Bearer {READ}");
    let paths = ["/api/v1/status".to_owned(), "/api/v1/deliveries?limit=200".to_owned()];
    for path in paths.into_iter().chain((0..200).map(|n| format!("/api/v1/deliveries/{}", id(n)))) {
        let answer = ask(&stage, "GET", &path, &[&bearer], "");
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);
        let control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
        let bare = answer.body.bytes().filter(control).count();
        // JSON escapes what is below 0x20; DEL it may leave.
        assert!(bare <= answer.body.matches('\u{7f}').count(), "{path}: {bare} control characters");
    }
    kept(40, "strings in the API", "200 strings: JSON with nosniff, 0 bare control characters");
}

/// What a server answered.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    head: String,
    pub(crate) body: String,
}

/// One request, byte by byte as a test wants it.
pub(crate) fn ask(
    stage: &Stage,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> Answered {
    let mut stream = TcpStream::connect(("127.0.0.1", stage.port())).unwrap();
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n{body}",
        stage.port(),
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
    Answered { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const OWN: &str = "Sec-Fetch-Site: same-origin";

/// A session: its cookie and its form token.
pub(crate) fn session(stage: &Stage, token: &str) -> (String, String) {
    let entered = ask(stage, "POST", "/login", &[FORM, OWN], &format!("token={token}"));
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    let cookie =
        entered.head.split("set-cookie: ").nth(1).unwrap().lines().next().unwrap().to_owned();
    for wanted in ["httponly", "samesite=strict", "path=/"] {
        assert!(cookie.contains(wanted), "{cookie}");
    }
    assert!(!cookie.contains("secure"), "it came by http, where a browser would not send it back");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let page = ask(stage, "GET", "/", &[&cookie], "").body;
    let form = page.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    (cookie, form.to_owned())
}

const ROUTES: &[&str] = &[
    "/trigger",
    "/deliveries/01k9t0m4000000000000000001/retry",
    "/deliveries/01k9t0m4000000000000000001/rerun",
    "/watches/qa/suspend",
    "/watches/qa/resume",
    "/logout",
];

#[test]
fn nothing_is_done_for_a_form_that_the_page_did_not_make() {
    let stage = Stage::start(Vec::new());
    stage.answers.play(scene(&strings()));
    let (cookie, form) = session(&stage, TRIGGER);
    let (reader, readers_form) = session(&stage, READ);
    let origin = format!("Origin: http://127.0.0.1:{}", stage.port());
    let body = format!("form={form}&watch=qa&branch=main");
    let mut forged = 0;
    let mut refuse = |path: &str, headers: &[&str], body: &str| {
        let answer = ask(&stage, "POST", path, headers, body);
        assert!(answer.status.is_client_error(), "{path} {headers:?} {body}: {}", answer.status);
        forged += 1;
    };
    for path in ROUTES {
        refuse(path, &[FORM, OWN], &body);
        refuse(path, &[FORM, OWN, &cookie], "watch=qa&branch=main");
        refuse(path, &[FORM, OWN, &cookie], &format!("form={readers_form}&watch=qa&branch=main"));
        refuse(path, &[FORM, &cookie], &body);
        for foreign in [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Sec-Fetch-Site: none",
            "Origin: null",
            "Origin: http://evil.example",
            "Origin: http://127.0.0.1:1",
        ] {
            refuse(path, &[FORM, foreign, &cookie], &body);
        }
        refuse(path, &["Content-Type: text/plain", OWN, &cookie], &body);
        refuse(path, &["Content-Type: application/json", OWN, &cookie], &body);
        if *path != "/logout" {
            refuse(path, &[FORM, OWN, &reader], &format!("form={readers_form}&watch=qa"));
        }
        let asked = ask(&stage, "GET", path, &[&cookie], "");
        assert!(asked.status.is_client_error(), "{path}: {}", asked.status);
    }
    for hostile in strings() {
        let coded: String = hostile.bytes().map(|byte| format!("%{byte:02x}")).collect();
        refuse("/trigger", &[FORM, OWN, &cookie], &format!("form={coded}&watch=qa&branch=main"));
        let bearer: String = hostile.chars().filter(char::is_ascii_graphic).collect();
        let bearer = format!("Authorization: Bearer {bearer}");
        refuse("/api/v1/trigger", &[&bearer, &cookie, OWN], "{}");
    }
    foreign_page(&stage);
    assert_eq!(stage.answers.changes(), 0, "something was done for a forged form");
    let done = ask(&stage, "POST", "/trigger", &[FORM, &origin, &cookie], &body);
    assert_eq!(
        (done.status, stage.answers.changes()),
        (StatusCode::SEE_OTHER, 1),
        "a right one is done"
    );
    kept(40, "CSRF", &format!("{forged} forged requests and a foreign page: 0 state changes"));
}

/// A page of another site, opened by somebody who is logged in, posts a form to ours.
fn foreign_page(stage: &Stage) {
    let target = stage.at("/trigger");
    let page = format!(
        "<form method=post action='{target}'><input name=watch value=qa><input name=branch value=main></form>\
         <script>document.forms[0].submit()</script>"
    );
    let evil = HttpServer::start("evil", None, move |_| {
        let page = page.clone();
        Box::pin(async move { reply(StatusCode::OK, &[("content-type", "text/html")], page) })
    });
    let browser = Browser::start();
    browser.open(&stage.at("/login"));
    browser.type_into("#token", TRIGGER);
    browser.click("main button");
    eventually("the page", || browser.text("h1").contains("branches"));
    // Another site for the browser, though the same machine.
    browser.open(&format!("http://localhost:{}/", evil.port()));
    browser.wait_for("Not allowed");
}
