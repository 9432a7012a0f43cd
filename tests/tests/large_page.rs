//! The first page over a large state: how large it is itself, and that filters find what they should.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use sentry_api::Local;
use sentry_core::testing::sample;
use sentry_store::SqliteStore;
use sentry_tests::large::{Kind, Size, branch_name, note, watch_name};
use sentry_tests::stage::{Stage, TRIGGER};

/// Every watch and branch of the full size: only the history is shorter, which no part of these answers has.
const SIZE: Size = Size { deliveries: 20, objects: 1, ..Size::FULL };

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

struct Page {
    stage: Stage,
    cookie: String,
    _dir: tempfile::TempDir,
}

impl Page {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
        SIZE.fill(&store).await;
        let stage = Stage::over(Arc::new(Local::new(store, Vec::new())), SIZE.places());
        let mut page = Self { stage, cookie: String::new(), _dir: dir };
        let head = page.send("POST", "/login", "", &format!("token={TRIGGER}")).head;
        let cookie = head.split("set-cookie: ").nth(1).and_then(|rest| rest.split(';').next());
        page.cookie = cookie.unwrap().to_owned();
        page
    }

    /// What stands on the wire after the head, as it came.
    fn send(&self, method: &str, path: &str, more: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.stage.port())).unwrap();
        let (cookie, length) = (&self.cookie, body.len());
        let form = "application/x-www-form-urlencoded";
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: s\r\nOrigin: http://s\r\nConnection: close\r\nCookie: {cookie}\r\n\
             Content-Type: {form}\r\nContent-Length: {length}\r\n{more}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let body = all.split_off(end);
        Answer { head: String::from_utf8(all).unwrap(), body }
    }

    fn get(&self, path: &str) -> String {
        let answer = self.send("GET", path, "", "");
        assert!(answer.head.starts_with("HTTP/1.1 200"), "{path}: {}", answer.head);
        answer.text()
    }

    fn compressed(&self, path: &str) -> usize {
        let answer = self.send("GET", path, "Accept-Encoding: gzip\r\n", "");
        assert!(answer.head.contains("content-encoding: gzip"), "{path}: {}", answer.head);
        answer.body.len()
    }
}

/// Opening tags.
fn elements(page: &str) -> usize {
    page.split('<')
        .skip(1)
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        .count()
}

/// The branches that stand in a page's lists, as `watch/branch`.
fn found(page: &str) -> Vec<String> {
    let id = |rest: &str| rest.split('"').next().unwrap().to_owned();
    page.split("id=\"b-").skip(1).map(id).collect()
}

/// The branches of which this holds, the newest first.
fn wanted(holds: impl Fn(u32) -> bool) -> Vec<String> {
    let name = |n| format!("{}/{}", watch_name(n / SIZE.branches), branch_name(n % SIZE.branches));
    (0..SIZE.watches * SIZE.branches).rev().filter(|n| holds(*n)).map(name).collect()
}

#[tokio::test]
async fn the_first_page_of_200_watches_is_small_and_filters_find_every_branch_they_should() {
    let page = Page::new().await;
    let whole = page.get("/");
    let bytes = page.compressed("/");
    let number = elements(&whole);
    let fragment = format!("/fragments?watch={}&branch={}", watch_name(7), branch_name(0));
    let line = page.get(&fragment);
    println!(
        "{} watches x {} branches: {} bytes of HTML, {bytes} compressed, {number} elements; an event's lines {} bytes",
        SIZE.watches,
        SIZE.branches,
        whole.len(),
        line.len(),
    );
    assert!(bytes <= 60 * 1024, "{bytes} bytes compressed");
    assert!(number <= 3_000, "{number} elements");
    // With room for the event itself.
    assert!(line.len() <= 3 * 1024, "{} bytes: {line}", line.len());
    assert_eq!(whole.matches("<li class=\"watch\"").count(), 200);
    let failed = |n| Size::kind(n) == Kind::Failed;
    assert_eq!(found(&whole)[..50], wanted(failed)[..50]);
    assert!(whole.contains(
        "<h1 id=\"headline\" data-calm=\"Everything is delivered\">400 branches need you</h1>"
    ));

    let sha = sample::sha(SIZE.newest(1_234)).to_string();
    let title = note(SIZE.newest(777)).title;
    let title = title.split(':').next().unwrap().replace(' ', "+");
    for (query, expected) in [
        ("state=failed", wanted(failed)),
        ("state=failed&watch=watch-17&branch=release/1", {
            let of = |n: u32| n / 20 == 17 || (170..180).contains(&(n / 20));
            wanted(|n| failed(n) && of(n) && branch_name(n % 20).contains("release/1"))
        }),
        (&*format!("commit={sha}"), wanted(|n| n == 1_234)),
        (
            &*format!("q={title}"),
            wanted(|n| {
                let one = note(SIZE.newest(n)).title;
                Size::kind(n) != Kind::Waiting && one.starts_with(&title.replace('+', " "))
            }),
        ),
        (
            "author=hopper&state=moving",
            wanted(|n| {
                Size::kind(n) == Kind::Moving && note(SIZE.newest(n)).author.contains("Hopper")
            }),
        ),
        ("q=nothing-has-this-name", Vec::new()),
    ] {
        let mut next = Some(format!("/?{query}"));
        let mut all = Vec::new();
        while let Some(address) = next {
            let part = page.get(&address);
            assert!(found(&part).len() <= 50, "{address}");
            all.extend(found(&part));
            let more = part.split("<p class=\"more\"><a href=\"").nth(1);
            next = more.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"));
        }
        assert_eq!(all, expected, "{query}");
    }
}
