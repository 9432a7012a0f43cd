//! A running agent that serves, asked byte for byte, and what forges send it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::forges::{github::GitHub, gitlab::GitLab};
use crate::gitserver::GitServer;
use crate::processes::rss_kib;
use crate::sandbox::{Agent, Sandbox};

/// An agent with a server on a port of its own.
pub struct Wired {
    /// The agent.
    pub agent: Agent,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Wired {
    /// `sentry watch` with these further words, and one that is served.
    pub fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let args = [&["watch", "--listen", "127.0.0.1:0"], more].concat();
        Self::of(sandbox.spawn(args))
    }

    /// An agent that was just started with `--listen 127.0.0.1:0`.
    pub fn of(mut agent: Agent) -> Self {
        Self { port: agent.serves_at().port(), agent }
    }

    /// The status and the body of the answer; see [`Wired::exchange`].
    pub fn get(&self, path: &str) -> (u16, String) {
        self.exchange("GET", path, &[], b"")
    }

    /// The status and the body of the answer; see [`Wired::exchange`].
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        self.exchange("POST", path, headers, body)
    }

    /// The status and the body of the answer.
    ///
    /// # Panics
    /// When there is no answer within a minute.
    pub fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, String) {
        let answer = self.whole(method, path, headers, body);
        parse(&answer).unwrap_or_else(|| panic!("{method} {path}: {answer:?}"))
    }

    /// The whole answer, with its head.
    ///
    /// # Panics
    /// When there is no answer within a minute.
    pub fn whole(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
        let mut stream = self.connect();
        stream
            .write_all(head(method, path, headers, body.len()).as_bytes())
            .expect("the agent listens");
        // Who refuses a request by its head may close before the body has come.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        assert!(!answer.is_empty(), "{method} {path}: {sent:?} {read:?}");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A connection that gives up after a minute of silence.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the agent listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a minute");
        stream.set_write_timeout(Some(Duration::from_secs(60))).expect("a minute");
        stream
    }

    /// The value of the sample of a counter, summed over what has these labels.
    pub fn counted(&self, name: &str, labels: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }

    /// The resident memory, in KiB.
    ///
    /// # Panics
    /// When the agent has ended.
    pub fn rss(&self) -> u64 {
        rss_kib(self.agent.id())
    }
}

/// A configuration with a watch of `hub/app` on GitHub and one of `lab/app` on GitLab, both with webhooks of these secrets,
/// which plan what B holds. An hour lies between two polls: what is asked later is asked because of a webhook.
#[must_use]
pub fn hourly(hub: &GitHub, lab: &GitLab, git: &GitServer, secrets: [&str; 2]) -> String {
    let [hub_secret, lab_secret] = secrets;
    format!(
        "forges:\n  hub: {{type: github, url: '{}', webhook_secret: {hub_secret}}}\n  \
         lab: {{type: gitlab, url: '{}', webhook_secret: {lab_secret}}}\n  plain: {{type: git}}\n\
         defaults:\n  polling_interval: 3600\n  manifests: {{forge: plain, url: '{}', branch: main}}\n  \
         cluster: {{namespace: qa, deployer: dry-run}}\nwatches:\n  - name: hub\n    \
         source: {{forge: hub, url: '{}', branches: main}}\n  - name: lab\n    \
         source: {{forge: lab, url: '{}', branches: main}}\n",
        hub.http().origin(),
        lab.http().origin(),
        git.url("b.git"),
        hub.clone_url("hub/app").trim_end_matches(".git"),
        lab.clone_url("lab/app").trim_end_matches(".git"),
    )
}

/// The head of a request after which the connection ends.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{lines}\r\n"
    )
}

/// The status and the body of an answer with its head.
pub fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The HMAC-SHA256 of these parts, in hexadecimal digits.
pub(crate) fn hex_hmac(key: &[u8], parts: &[&[u8]]) -> String {
    hmac(key, parts).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The headers that GitHub sends with a body.
pub fn github(secret: &str, event: &str, body: &[u8]) -> Vec<(String, String)> {
    let mac = hex_hmac(secret.as_bytes(), &[body]);
    [
        ("content-type", "application/json".to_owned()),
        ("x-github-event", event.to_owned()),
        ("x-hub-signature-256", format!("sha256={mac}")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The headers that GitLab sends with a body, for a signing token `whsec_…`; `seconds` is the time since 1970.
///
/// # Panics
/// When the token is not such a one.
pub fn gitlab(
    secret: &str,
    event: &str,
    id: &str,
    seconds: i64,
    body: &[u8],
) -> Vec<(String, String)> {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("base64");
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

/// Headers as [`Wired::post`] takes them.
pub fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
