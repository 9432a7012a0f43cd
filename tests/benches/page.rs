//! What the first page costs over the state it is made for: at the server, and in a browser.
//!
//! `cargo bench -p sentry-tests --bench page`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sentry_api::Local;
use sentry_store::SqliteStore;
use sentry_tests::browser::Browser;
use sentry_tests::large::Size;
use sentry_tests::stage::{Stage, TRIGGER};
use serde_json::json;

const HOW: &str = "\
The state is a file in a temporary directory: 200 watches x 20 branches x 200 deliveries of 10 objects. At the server: from
the request to the last byte, the best of 10, compressed. In the browser: headless Chromium with its CPU slowed down 4 times,
from the navigation to the end of DOMContentLoaded, the best of 3. Memory is this process's, with store and server in it.";

/// One request; what came, and how long it took.
fn ask(
    stage: &Stage,
    cookie: &str,
    method: &str,
    path: &str,
    body: &str,
) -> (String, usize, Duration) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", stage.port())).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: s\r\nOrigin: http://s\r\nConnection: close\r\nCookie: {cookie}\r\n\
         Accept-Encoding: gzip\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let head = String::from_utf8_lossy(&all[..all.len().min(1024)]).into_owned();
    (head, all.len(), begun.elapsed())
}

/// What `/proc` says of this process's resident memory.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines =
        status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{HOW}\n");
    let dir = tempfile::tempdir().unwrap();
    Size::FULL.fill(&SqliteStore::open(dir.path()).unwrap()).await;
    let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
    let stage = Stage::over(Arc::new(Local::new(store, Vec::new())), Size::FULL.places());
    let (head, ..) = ask(&stage, "", "POST", "/login", &format!("token={TRIGGER}"));
    let cookie = head.split("set-cookie: ").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    for path in [
        "/",
        "/?state=failed",
        "/?watch=watch-17",
        "/?branch=release/7",
        "/?author=hopper",
        "/?q=payments",
        "/?commit=0a1b2c3d",
        "/fragments?watch=watch-17&branch=release/7",
        "/watches/watch-17",
    ] {
        let all = (0..10).map(|_| ask(&stage, cookie, "GET", path, ""));
        let (_, bytes, time) = all.min_by_key(|(_, _, time)| *time).unwrap();
        println!("{path}: {:.1} ms, {bytes} bytes", time.as_secs_f64() * 1e3);
    }
    println!("{}", memory());
    let browser = Browser::start();
    browser.open(&stage.at("/login"));
    browser.type_into("#token", TRIGGER);
    browser.click("main button");
    browser.wait_for("branches need you");
    browser.view(390, "light");
    browser.protocol("Emulation.setCPUThrottlingRate", &json!({"rate": 4}));
    let readable = (0..3).map(|_| {
        browser.open(&stage.at("/"));
        let end = browser.script(
            "return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd",
        );
        end.as_f64().unwrap()
    });
    println!("readable: {:.0} ms", readable.fold(f64::MAX, f64::min));
}
