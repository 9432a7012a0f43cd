//! A running agent that serves, and who asks it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sentry_tests::sandbox::{Agent, Sandbox};
use sha2::Sha256;

/// An agent with a server on a port of its own.
pub(crate) struct Served {
    pub(crate) agent: Agent,
    pub(crate) port: u16,
}

impl Served {
    /// `sentry watch` with these further words, and one that is served.
    pub(crate) fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let args = [&["watch", "--listen", "127.0.0.1:0"], more].concat();
        Self::of(sandbox.spawn(args))
    }

    /// An agent that was just started with `--listen 127.0.0.1:0`.
    pub(crate) fn of(mut agent: Agent) -> Self {
        Self { port: agent.serves_at().port(), agent }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.exchange("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        self.exchange("POST", path, headers, body)
    }

    /// The status and the body of the answer.
    pub(crate) fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(head(method, path, headers, body.len()).as_bytes()).unwrap();
        // Who refuses a request by its head may close before the body has come.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let parsed = parse(&answer);
        parsed.unwrap_or_else(|| panic!("{method} {path}: {answer:?} {sent:?} {read:?}"))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// The value of the sample of a counter, summed over what has these labels.
    pub(crate) fn counted(&self, name: &str, labels: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }

    /// The resident memory, in KiB.
    pub(crate) fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.agent.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// The head of a request after which the connection ends.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{lines}\r\n"
    )
}

/// The status and the body of an answer with its head.
pub(crate) fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The headers that GitHub sends with a body.
pub(crate) fn github(secret: &str, event: &str, body: &[u8]) -> Vec<(String, String)> {
    let mac: String =
        hmac(secret.as_bytes(), &[body]).iter().map(|byte| format!("{byte:02x}")).collect();
    [
        ("content-type", "application/json".to_owned()),
        ("x-github-event", event.to_owned()),
        ("x-hub-signature-256", format!("sha256={mac}")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The headers that GitLab sends with a body, for a signing token `whsec_…`.
pub(crate) fn gitlab(
    secret: &str,
    event: &str,
    id: &str,
    seconds: i64,
    body: &[u8],
) -> Vec<(String, String)> {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let mac = hmac(&key, &[format!("{id}.{seconds}.").as_bytes(), body]);
    [
        ("content-type", "application/json".to_owned()),
        ("x-gitlab-event", event.to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(mac))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Headers as [`Served::post`] takes them.
pub(crate) fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
