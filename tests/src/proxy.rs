//! What stands between two programs: an authenticating HTTP proxy, and a link that misbehaves.

mod link;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub use self::link::{FaultProxy, Link};
use crate::gitserver::basic;
use crate::http::{Entry, Logged, RequestLog, lock};
use sentry_apiserver::host::Host;

/// A forward proxy: `CONNECT` for https, absolute URLs for http. Stops on drop.
#[derive(Debug)]
pub struct HttpProxy {
    host: Host,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    credentials: Option<(String, String)>,
    names: Mutex<BTreeMap<String, u16>>,
    log: RequestLog,
}

impl HttpProxy {
    /// Starts it; with (user, password) it demands them by Basic and answers 407 without.
    pub fn start(credentials: Option<(&str, &str)>) -> Self {
        let credentials =
            credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let rules =
            Arc::new(Rules { credentials, names: Mutex::default(), log: RequestLog::default() });
        let shared = Arc::clone(&rules);
        let host = Host::start("http-proxy", move |stream| {
            let rules = Arc::clone(&shared);
            // A side that goes away ends the conversation: nothing to tell.
            Box::pin(async move { drop(rules.converse(stream).await) })
        });
        Self { host, rules }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.host.port()
    }

    /// `http://127.0.0.1:port`, without credentials.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.host.port())
    }

    /// `http://user:password@127.0.0.1:port`.
    pub fn url_with_credentials(&self) -> String {
        match &self.rules.credentials {
            Some((user, password)) => {
                format!("http://{user}:{password}@127.0.0.1:{}", self.host.port())
            }
            None => self.url(),
        }
    }

    /// Requests for `authority` (`host:port`) go to that port of 127.0.0.1: any name has a server that way.
    pub fn lead(&self, authority: &str, port: u16) {
        lock(&self.rules.names).insert(authority.to_owned(), port);
    }

    /// What it was asked: method and target as sent, `Proxy-Authorization` included.
    pub fn log(&self) -> &RequestLog {
        &self.rules.log
    }

    /// Cuts all connections and refuses new ones until [`HttpProxy::resume`].
    pub fn pause(&self) {
        self.host.pause();
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.host.resume();
    }
}

impl Rules {
    /// One request a connection; the rest of it is bytes.
    async fn converse(&self, mut client: TcpStream) -> io::Result<()> {
        let (head, beyond) = read_head(&mut client).await?;
        let mut lines = head.split("\r\n");
        let mut line = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let logged = Logged {
            at: tokio::time::Instant::now(),
            method: method.to_owned(),
            path: target.to_owned(),
            headers,
            status: None,
            bytes_out: 0,
        };
        let allowed = self.allows(&logged);
        let entry = self.log.push(logged);
        if !allowed {
            let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
            return refuse(client, &entry, status, "Proxy-Authenticate: Basic realm=\"proxy\"\r\n")
                .await;
        }
        let connect = method == "CONNECT";
        let (authority, path) = match target.strip_prefix("http://") {
            Some(rest) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                let port = if authority.contains(':') { "" } else { ":80" };
                (format!("{authority}{port}"), format!("/{path}"))
            }
            None if connect => (target.to_owned(), String::new()),
            None => return refuse(client, &entry, StatusCode::BAD_REQUEST, "").await,
        };
        let mapped = lock(&self.names).get(&authority).copied();
        let upstream = match mapped {
            Some(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await,
            None => TcpStream::connect(&authority).await,
        };
        let Ok(mut upstream) = upstream else {
            return refuse(client, &entry, StatusCode::BAD_GATEWAY, "").await;
        };
        entry.status(StatusCode::OK);
        if connect {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        } else {
            upstream.write_all(origin_form(&head, method, &path).as_bytes()).await?;
        }
        upstream.write_all(&beyond).await?;
        let (_, down) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
        entry.sent(down);
        Ok(())
    }

    fn allows(&self, request: &Logged) -> bool {
        self.credentials.is_none()
            || request.header("proxy-authorization").and_then(basic) == self.credentials
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    loop {
        if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            let beyond = seen.split_off(end + 4);
            seen.truncate(end);
            return Ok((String::from_utf8_lossy(&seen).into_owned(), beyond));
        }
        if stream.read_buf(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The request as the server wants it: a path for a target, no word to the proxy, one request a connection.
fn origin_form(head: &str, method: &str, path: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    for line in head.split("\r\n").skip(1) {
        let lower = line.to_ascii_lowercase();
        if !lower.starts_with("proxy-") && !lower.starts_with("connection:") {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text.push_str("Connection: close\r\n\r\n");
    text
}

async fn refuse(
    mut client: TcpStream,
    entry: &Entry,
    status: StatusCode,
    header: &str,
) -> io::Result<()> {
    entry.status(status);
    let text =
        format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}
