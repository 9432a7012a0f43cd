//! 56: strangers hold nothing: whoever has no token neither keeps health, honest webhooks and logins waiting, nor guesses
//! unnoticed.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sentry_tests::promise::{cases, full, kept};
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::{Sandbox, eventually};
use sentry_tests::wire::{Wired, borrowed, github, head};
use tempfile::TempDir;

const SECRET: &str = "Its-a-Secret-to-Everybody";
const READ: &str = "read-t0ken-of-the-honest";
const TRIGGER: &str = "trigger-t0ken-of-the-honest";
const BODY: &[u8] = b"{\"ref\":\"refs/heads/main\",\"repository\":{\"full_name\":\"acme/shop\"}}";
/// What the page's own form sends, and a program for the API.
const FORM: [(&str, &str); 2] =
    [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
const GUESS: [(&str, &str); 1] = [("authorization", "Bearer a-guess")];
/// The line that tells of guesses.
const TOLD: &str = "someone is trying wrong tokens";
/// The promise's own figures.
const LIVE: Duration = Duration::from_secs(1);
const SERVED: Duration = Duration::from_secs(2);

struct Site {
    served: Wired,
    _sandbox: Sandbox,
    _repos: TempDir,
}

impl Site {
    fn start() -> Self {
        let repos = TempDir::new().unwrap();
        let a = BareRepo::create(repos.path(), "a.git");
        a.commit("main", &[(".tekton/run.yaml", "kind: X\n")], "first");
        let sandbox = Sandbox::new();
        sandbox.write("trigger.token", TRIGGER);
        sandbox.write_config(&format!(
            "server: {{read_token: {READ}, trigger_token_file: trigger.token}}\n\
             forges:\n  hub: {{type: github, webhook_secret: {SECRET}}}\n  plain: {{type: git}}\n\
             watches:\n  - name: qa\n    polling_interval: 60\n    \
             source: {{forge: plain, url: 'file://{0}/a.git', branches: main}}\n    \
             manifests: {{forge: plain, url: 'file://{0}/a.git', branch: main}}\n    \
             cluster: {{namespace: qa, deployer: dry-run}}\n",
            repos.path().display()
        ));
        let served = Wired::start(&sandbox, &[]);
        eventually("A was asked", || served.get("/readyz").0 == 200);
        Self { served, _sandbox: sandbox, _repos: repos }
    }

    fn login(&self, token: &str) -> u16 {
        self.served.post("/login", &FORM, format!("token={token}").as_bytes()).0
    }

    fn guess(&self) -> u16 {
        self.served.exchange("GET", "/api/v1/status", &GUESS, b"").0
    }

    fn hook(&self) -> u16 {
        self.served.post("/webhooks/hub", &borrowed(&github(SECRET, "push", BODY)), BODY).0
    }
}

/// Which of [`requests`] these are.
const LOGIN: usize = 0;
const WEBHOOK: usize = 11;
const METRICS: usize = 12;

/// Method, path, headers and body.
type Request<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// Every route that answers a stranger, as one asks it.
fn requests() -> Vec<Vec<u8>> {
    let wrong = github("another", "push", BODY);
    let wrong = borrowed(&wrong);
    let guess = b"token=a-guess";
    let all: [Request<'_>; 18] = [
        ("POST", "/login", &FORM, guess),
        ("GET", "/login", &[], b""),
        ("POST", "/logout", &FORM, guess),
        ("GET", "/", &[], b""),
        ("GET", "/watches/qa", &[("cookie", "sentry_session=a-guess")], b""),
        ("GET", "/fragments?watch=qa&branch=main", &[], b""),
        ("GET", "/language/zh", &[], b""),
        ("POST", "/trigger", &FORM, guess),
        ("GET", "/events", &[], b""),
        ("GET", "/assets/page.css", &[], b""),
        ("GET", "/api/v1/status", &GUESS, b""),
        ("GET", "/api/v1/audit", &GUESS, b""),
        ("GET", "/api/v1/events", &[], b""),
        ("POST", "/api/v1/trigger", &GUESS, b"{}"),
        ("POST", "/api/v1/deliveries/01hf/cancel", &GUESS, b"{}"),
        ("POST", "/webhooks/hub", &wrong, BODY),
        ("GET", "/metrics", &[], b""),
        ("GET", "/readyz", &[], b""),
    ];
    let whole = |(method, path, headers, body): Request<'_>| {
        [head(method, path, headers, body.len()).as_bytes(), body].concat()
    };
    all.map(whole).into()
}

/// How a stranger sends what it sends.
#[derive(Clone, Copy)]
enum Shape {
    Complete,
    /// A byte at a time, from the head on.
    Slow,
    /// All but the last byte, and then nothing.
    Half,
}

/// One connection after the other, each with the same request.
struct Stranger {
    port: u16,
    request: Vec<u8>,
    shape: Shape,
    stream: Option<TcpStream>,
    sent: usize,
}

impl Stranger {
    /// Goes on a little, without waiting for anything; true where a connection was made.
    fn go_on(&mut self) -> bool {
        let Some(stream) = &mut self.stream else {
            self.stream = TcpStream::connect(("127.0.0.1", self.port)).ok();
            self.sent = 0;
            return self.stream.as_ref().is_some_and(|made| made.set_nonblocking(true).is_ok());
        };
        let most = match self.shape {
            Shape::Complete => self.request.len(),
            Shape::Slow => (self.sent + 1).min(self.request.len()),
            Shape::Half => self.request.len() - 1,
        };
        let waits = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
        let mut over = false;
        if self.sent < most {
            match stream.write(&self.request[self.sent..most]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) => over = !waits(&error),
            }
        }
        match stream.read(&mut [0; 4096]) {
            Ok(0) => over = true,
            Ok(_) => {}
            Err(error) => over |= !waits(&error),
        }
        if over {
            self.stream = None;
        }
        false
    }
}

/// So many strangers at a time, of every route and shape, until they are stopped.
struct Crowd {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn gather(port: u16, all: usize, requests: &[Vec<u8>], shapes: &[Shape]) -> Self {
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&made));
        let mut strangers: Vec<_> = (0..all)
            .map(|number| Stranger {
                port,
                request: requests[number % requests.len()].clone(),
                shape: shapes[(number / requests.len()) % shapes.len()],
                stream: None,
                sent: 0,
            })
            .collect();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for stranger in &mut strangers {
                    counted.fetch_add(usize::from(stranger.go_on()), Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { stop, made, thread: Some(thread) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn timed(slowest: &mut Duration, ask: impl FnOnce()) {
    let began = Instant::now();
    ask();
    *slowest = (*slowest).max(began.elapsed());
}

#[test]
fn a_crowd_of_strangers_at_every_door_keeps_nobody_waiting() {
    let site = Site::start();
    let (all, rounds) = (cases(1_000, 400), cases(200, 20));
    let (mut live, mut served, mut made) = (Duration::ZERO, Duration::ZERO, 0);
    let every = requests();
    // All doors at once, and all strangers at one of those that read what they are sent, or work for them.
    let crowds: [(&[Vec<u8>], &[Shape]); 5] = [
        (&every, &[Shape::Complete, Shape::Slow, Shape::Half]),
        (&every[LOGIN..=LOGIN], &[Shape::Complete]),
        (&every[LOGIN..=LOGIN], &[Shape::Half]),
        (&every[WEBHOOK..=WEBHOOK], &[Shape::Half]),
        (&every[METRICS..=METRICS], &[Shape::Complete]),
    ];
    for (requests, shapes) in crowds {
        let crowd = Crowd::gather(site.served.port, all, requests, shapes);
        eventually("the crowd is there", || crowd.made.load(Ordering::Relaxed) >= all);
        for _ in 0..rounds / crowds.len() {
            timed(&mut live, || assert_eq!(site.served.get("/livez").0, 200));
            timed(&mut served, || assert_eq!(site.login(TRIGGER), 303));
            timed(&mut served, || assert_eq!(site.hook(), 202));
            std::thread::sleep(Duration::from_millis(20));
        }
        made += crowd.made.load(Ordering::Relaxed);
    }
    if full() {
        assert!(live <= LIVE && served <= SERVED, "livez {live:?}, webhooks and logins {served:?}");
    }
    assert_eq!(site.served.agent.term().code, Some(0));
    kept(
        56,
        "a crowd",
        &format!(
            "{} crowds of {all} strangers, at {} routes and all at one, complete, slow and half, {made} connections: {rounds} of \
             {rounds} /livez within {:.2} s, {rounds} of {rounds} logins and signed webhooks each within {:.2} s",
            crowds.len(),
            every.len(),
            live.as_secs_f32(),
            served.as_secs_f32()
        ),
    );
}

#[test]
fn guesses_are_limited_over_all_doors_counted_and_told_and_a_right_token_is_let_in() {
    let site = Site::start();
    let (all, began) = (cases(20_000, 500), Instant::now());
    let mut answers = BTreeMap::<u16, usize>::new();
    for number in 0..all {
        let status = if number % 2 == 0 { site.login("a-guess") } else { site.guess() };
        *answers.entry(status).or_default() += 1;
        if number % 100 == 0 {
            assert_eq!(site.login(TRIGGER), 303, "the right token, between guesses");
        }
    }
    let seconds = began.elapsed().as_secs() as usize;
    let told_wrong = answers.get(&401).unwrap_or(&0) + answers.get(&403).unwrap_or(&0);
    let limited = answers.get(&429).copied().unwrap_or_default();
    assert_eq!(told_wrong + limited, all, "{answers:?}");
    assert!(told_wrong <= 31 + seconds, "{answers:?} in {seconds} s");
    let counted: u64 = ["page", "api"]
        .iter()
        .map(|door| site.served.counted("sentry_guesses_total", &format!("door=\"{door}\"")))
        .sum();
    assert_eq!(counted, all as u64);
    let lines = site.served.agent.stderr_so_far().matches(TOLD).count();
    assert!((1..=seconds / 60 + 1).contains(&lines), "{lines} lines in {seconds} s");
    kept(
        56,
        "guesses",
        &format!(
            "{all} at the page and the API in turn: {told_wrong} were told that they are wrong, {limited} got 429; counted {counted}, \
             told in {lines} lines of the log in {seconds} s; the right token let in each time"
        ),
    );
}
