//! The support itself, held to what it promises: real git and plain HTTP against every server of this crate.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test that uses them")]

mod contract;
mod forges;
mod git;
mod proxies;
mod pulls;
mod reports;
mod sandbox;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;

/// An answer, read without a client library.
struct Said {
    status: u16,
    head: String,
    body: String,
}

impl Said {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: test\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    stream.write_all(text.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // A fault may cut the connection: what came until then is the answer.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Said { status, head: head.to_owned(), body: body.to_owned() }
}

fn get(port: u16, path: &str, headers: &[(&str, &str)]) -> Said {
    ask(port, "GET", path, headers, "")
}

/// The client's git, with configuration as `-c` options.
fn git(dir: &Path, config: &[&str], args: &[&str]) -> Output {
    let mut git = sentry_tests::repo::git(dir);
    for option in config {
        git.args(["-c", option]);
    }
    git.args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
