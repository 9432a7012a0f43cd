//! 39: whatever comes to the webhook endpoint, it neither breaks nor grows: size before anything, the proof before the
//! parser, slow clients cut off, and no endpoint without a secret.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sentry_tests::fuzz::{near, seeds};
use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::{Sandbox, eventually};
use tempfile::TempDir;

use sentry_tests::wire::{Wired, borrowed, github, head, parse};

const SECRET: &str = "Its-a-Secret-to-Everybody";
const BODY: &[u8] = b"{\"ref\":\"refs/heads/main\",\"repository\":{\"full_name\":\"acme/shop\"}}";
/// By how much the memory may grow, in KiB.
const GROWTH: u64 = 8 << 10;
/// When a slow client is gone at the latest.
const CUT_OFF: AtMost = AtMost::seconds(30.0);
/// The larger body that is taken, in bytes.
const LARGEST: usize = 25 << 20;

/// An agent with one forge that has a secret, and one that has none. Nobody is asked: A is a directory.
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
        sandbox.write_config(&format!(
            "forges:\n  hub: {{type: github, webhook_secret: {SECRET}}}\n  bare: {{type: gitlab}}\n  plain: {{type: git}}\n\
             watches:\n  - name: qa\n    polling_interval: 60\n    \
             source: {{forge: plain, url: 'file://{0}/a.git', branches: main}}\n    \
             manifests: {{forge: plain, url: 'file://{0}/a.git', branch: main}}\n    \
             cluster: {{namespace: qa, deployer: dry-run}}\n",
            repos.path().display()
        ));
        let served = Wired::start(&sandbox, &[]);
        eventually("A was asked", || served.get("/readyz").0 == 200);
        let site = Self { served, _sandbox: sandbox, _repos: repos };
        // What every part of it needs once is there before anything is measured.
        for _ in 0..50 {
            let headers = github(SECRET, "push", BODY);
            assert_eq!(site.served.post("/webhooks/hub", &borrowed(&headers), BODY).0, 202);
            assert_eq!(site.served.get("/metrics").0, 200);
        }
        site
    }

    fn counted(&self, result: &str) -> u64 {
        let labels = format!("result=\"{result}\"");
        self.served.counted("sentry_webhooks_total", &labels)
    }

    /// It still answers, and ends as it should.
    fn end(self) {
        assert_eq!(self.served.get("/livez"), (200, "alive\n".to_owned()));
        let output = self.served.agent.term();
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
    }
}

/// By a process of its own: what it takes is its own.
#[test]
fn no_webhook_makes_the_reader_panic_or_believe_what_is_not_proved() {
    let all = cases(10_000_000, 20_000);
    let program = env!("CARGO_BIN_EXE_webhook-reader");
    let output = Command::new(program).arg(all.to_string()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let grown: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(grown <= GROWTH, "grew by {grown} KiB");
    let seen = format!(
        "{all} webhooks, fuzzed after or before they were signed: 0 panics, 0 believed without proof, RSS + {grown} KiB"
    );
    kept(39, "the reader", &seen);
}

/// Requests on one connection, as long as the server keeps it.
struct Kept<'s> {
    served: &'s Wired,
    stream: Option<TcpStream>,
}

impl Kept<'_> {
    fn post(&mut self, headers: &[(String, String)], body: &[u8]) -> u16 {
        for _ in 0..3 {
            let mut stream = self.stream.take().unwrap_or_else(|| self.served.connect());
            if let Some(status) = exchange(&mut stream, headers, body) {
                self.stream = Some(stream);
                return status;
            }
        }
        panic!("no answer");
    }
}

fn exchange(stream: &mut TcpStream, headers: &[(String, String)], body: &[u8]) -> Option<u16> {
    let head = head("POST", "/webhooks/hub", &borrowed(headers), body.len());
    let head = head.replace("connection: close\r\n", "");
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let bytes = stream.read(&mut buffer).ok().filter(|bytes| *bytes > 0)?;
        answer.extend_from_slice(&buffer[..bytes]);
        let text = String::from_utf8_lossy(&answer);
        let (status, body) = match parse(&text) {
            Some(parsed) => parsed,
            None => continue,
        };
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_some_and(|length| length.trim().parse() == Ok(body.len())) {
            return Some(status);
        }
    }
}

#[test]
fn fuzzed_bodies_neither_break_nor_fill_the_running_program() {
    let site = Site::start();
    let (seeds, mut rng) = (seeds("webhook"), Rng::with_seed(40));
    let bodies: Vec<&[u8]> = seeds
        .iter()
        .filter_map(|seed| seed.windows(2).position(|two| two == b"\n\n").map(|at| &seed[at + 2..]))
        .collect();
    let (all, before) = (cases(1_000_000, 500), site.served.rss());
    let (mut most, mut statuses) = (before, BTreeMap::<u16, usize>::new());
    let mut kept_open = Kept { served: &site.served, stream: None };
    for case in 0..all {
        let [seed, other] = [(); 2].map(|()| bodies[rng.usize(..bodies.len())]);
        let body = near(&mut rng, seed, other);
        let event = ["push", "create", "ping", "issues"][rng.usize(..4)];
        let secret = if rng.u8(..4) == 0 { "another" } else { SECRET };
        let status = kept_open.post(&github(secret, event, &body), &body);
        let right: &[u16] = if secret == SECRET { &[202, 400] } else { &[401] };
        assert!(right.contains(&status), "{status} for {}", body.escape_ascii());
        *statuses.entry(status).or_default() += 1;
        if case % 100 == 0 {
            most = most.max(site.served.rss());
        }
    }
    let grown = most - before;
    assert!(grown <= GROWTH, "grew by {grown} KiB from {before} KiB");
    site.end();
    kept(
        39,
        "fuzzed bodies",
        &format!("{all} sent to the program, answered {statuses:?}: 0 panics, RSS + {grown} KiB"),
    );
}

/// What became of a stream: how much of it was taken, and how it was answered.
fn stream(served: &Wired, framing: &str, chunked: bool, size: u64) -> (u64, Option<u16>) {
    let mut stream = served.connect();
    let headers = github(SECRET, "push", BODY);
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "POST /webhooks/hub HTTP/1.1\r\nhost: x\r\n{framing}\r\n{lines}\r\n").unwrap();
    let mut piece = vec![b'x'; 64 << 10];
    if chunked {
        piece = [b"10000\r\n", &piece[..], b"\r\n"].concat();
    }
    let mut sent = 0;
    while sent < size && stream.write_all(&piece).is_ok() {
        sent += 64 << 10;
    }
    let mut answer = Vec::new();
    // A connection that is reset has lost its answer.
    drop(stream.read_to_end(&mut answer));
    let status = parse(&String::from_utf8_lossy(&answer)).map(|(status, _)| status);
    (sent, status)
}

#[test]
fn an_endless_body_is_cut_off_and_fills_no_memory() {
    let site = Site::start();
    let size = cases(16, 1) as u64 * (1 << 30);
    let before = site.served.rss();
    let mut seen = Vec::new();
    for (name, framing, chunked) in [
        ("announced", format!("content-length: {size}"), false),
        ("in chunks", "transfer-encoding: chunked".to_owned(), true),
    ] {
        let (sent, status) = stream(&site.served, &framing, chunked, size);
        assert!(sent < (64 << 20), "{name}: {sent} bytes were taken");
        assert!(status.is_none_or(|status| status == 413), "{name}: {status:?}");
        seen.push(format!("{name}: cut off after {} KiB", sent >> 10));
    }
    let grown = site.served.rss().saturating_sub(before);
    assert!(grown <= GROWTH, "grew by {grown} KiB from {before} KiB");
    assert_eq!(site.counted("too_large"), 2);
    // The largest body that is taken is verified and read.
    let mut large = BODY[..BODY.len() - 1].to_vec();
    large.extend_from_slice(b",\"x\":\"");
    large.resize(LARGEST - 2, b'x');
    large.extend_from_slice(b"\"}");
    let status =
        site.served.post("/webhooks/hub", &borrowed(&github(SECRET, "push", &large)), &large);
    assert_eq!(status.0, 202, "{status:?}");
    let grown = grown.max(site.served.rss().saturating_sub(before));
    assert!(grown <= GROWTH, "grew by {grown} KiB from {before} KiB");
    site.end();
    kept(39, "a stream", &format!("{} GiB {}; RSS + {grown} KiB", size >> 30, seen.join(", ")));
}

#[test]
fn a_thousand_slow_clients_are_cut_off_and_keep_nobody_out() {
    let site = Site::start();
    let (all, before, began) = (cases(1_000, 300), site.served.rss(), Instant::now());
    let headers = github(SECRET, "push", BODY);
    let head = head("POST", "/webhooks/hub", &borrowed(&headers), 1 << 20);
    let mut clients = Vec::new();
    for number in 0..all {
        let mut client = site.served.connect();
        client.set_nonblocking(true).unwrap();
        // Half of them come as far as the body, the others not even through the head.
        let part = if number % 2 == 0 { head.len() } else { head.len() / 2 };
        drop(client.write(&head.as_bytes()[..part]));
        clients.push(Some(client));
    }
    let (mut most, mut answered) = (before, 0);
    // A byte from each at a time, until all of them are gone.
    while clients.iter().any(Option::is_some) {
        assert!(began.elapsed() < Duration::from_secs(300), "slow clients are kept");
        for place in &mut clients {
            let Some(client) = place else { continue };
            let mut buffer = [0; 512];
            let gone = match client.read(&mut buffer) {
                Ok(_) => true,
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            };
            if gone || client.write(b"x").is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock)
            {
                *place = None;
            }
        }
        most = most.max(site.served.rss());
        let (status, _) = site.served.get("/livez");
        answered += usize::from(status == 200);
        std::thread::sleep(Duration::from_millis(200));
    }
    let (took, grown) = (began.elapsed(), most - before);
    assert!(
        answered > 0 && grown <= GROWTH,
        "grew by {grown} KiB from {before} KiB; {answered} honest answers"
    );
    CUT_OFF.hold_time("the last slow client", took);
    let headers = github(SECRET, "ping", b"{}");
    assert_eq!(site.served.post("/webhooks/hub", &borrowed(&headers), b"{}").0, 202);
    site.end();
    kept(
        39,
        "slow clients",
        &format!(
            "{all}, the last cut off after {}; {answered} honest questions answered meanwhile, RSS + {grown} KiB",
            CUT_OFF.told_time(took)
        ),
    );
}

#[test]
fn the_proof_comes_before_the_parser_and_without_a_secret_there_is_no_endpoint() {
    let site = Site::start();
    let post = |path: &str, secret: &str, body: &[u8]| {
        site.served.post(path, &borrowed(&github(secret, "push", body)), body).0
    };
    for body in [&b"no json"[..], b"{", b"", b"[]", &[0xff; 100]] {
        assert_eq!(post("/webhooks/hub", "another", body), 401, "{body:?}");
        assert_eq!(post("/webhooks/hub", SECRET, body), 400, "{body:?}");
    }
    // Without a proof in its head a body is not waited for.
    let mut unsigned = site.served.connect();
    unsigned.write_all(head("POST", "/webhooks/hub", &[], 1 << 20).as_bytes()).unwrap();
    let mut answer = [0; 12];
    unsigned.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    for path in
        ["/webhooks/bare", "/webhooks/gitlab", "/webhooks/plain", "/webhooks/", "/webhooks/hub/x"]
    {
        assert_eq!(post(path, SECRET, BODY), 404, "{path}");
    }
    site.end();
}
