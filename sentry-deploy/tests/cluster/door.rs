//! A real API server seen from outside: a door before it, through which all requests of a deployer go. It counts what is
//! written, refuses what it is told to, can be shut, and ends runs as Tekton's controller would.
//!
//! `kubectl proxy` leads on to the server, so that the door needs neither TLS nor credentials.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sentry_core::names::ClusterRef;
use sentry_core::testing::deployer_contract::{Ground, Refusal};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A namespace of its own on the real server, behind a door.
#[derive(Debug)]
pub(crate) struct Door {
    state: Arc<State>,
    proxy: Child,
    namespace: String,
    pub(crate) kubeconfig: PathBuf,
    _home: TempDir,
}

#[derive(Debug)]
struct State {
    /// Where `kubectl proxy` listens.
    upstream: u16,
    writes: AtomicUsize,
    made: Mutex<Vec<String>>,
    refusals: Mutex<Vec<(String, String, Refusal)>>,
    away: AtomicBool,
}

/// One request, read.
struct Asked {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Door {
    pub(crate) fn open() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let kubeconfig = std::env::var("SENTRY_E2E_KUBECONFIG").expect("it names a kubeconfig");
        let mut proxy = Command::new("kubectl")
            .args([&format!("--kubeconfig={kubeconfig}"), "proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let upstream = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        let state = Arc::new(State {
            upstream,
            writes: AtomicUsize::new(0),
            made: Mutex::default(),
            refusals: Mutex::default(),
            away: AtomicBool::new(false),
        });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("sentry-contract-{}-{number}", std::process::id());
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        assert_eq!(state.call("POST", "/api/v1/namespaces", &object), 201);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let home = tempfile::tempdir().unwrap();
        let kubeconfig = home.path().join("kubeconfig");
        let server = format!("http://{}", listener.local_addr().unwrap());
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "default",
            "clusters": [{"name": "default", "cluster": {"server": server}}],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": ""}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        // It ends with the process: a listener is not told that nobody comes any more.
        let visitors = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                let state = Arc::clone(&visitors);
                // A client that goes away is its own matter.
                std::thread::spawn(move || state.lead(client).ok());
            }
        });
        Self { state, proxy, namespace, kubeconfig, _home: home }
    }

    pub(crate) fn target(&self) -> ClusterRef {
        let namespace = self.namespace.parse().unwrap();
        ClusterRef { deployer: "deployer".into(), context: None, namespace }
    }

    fn run(&self, name: &str) -> String {
        format!("/apis/tekton.dev/v1/namespaces/{}/pipelineruns/{name}", self.namespace)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let namespace = format!("/api/v1/namespaces/{}", self.namespace);
        self.state.call("DELETE", &namespace, &json!({}));
        self.proxy.kill().ok();
        self.proxy.wait().ok();
    }
}

impl State {
    /// Leads one request to the server, and its answer back.
    fn lead(&self, client: TcpStream) -> std::io::Result<()> {
        let asked = Asked::read(&client)?;
        if self.away.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut client = client;
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let (method, path) = asked.line();
        let is_write = method != "GET" && !path.contains("dryRun=All") && !path.contains("access");
        self.writes.fetch_add(usize::from(is_write), Ordering::Relaxed);
        if let Some(refused) = self.refusal(method, &body) {
            return client.write_all(&refused);
        }
        let mut server = TcpStream::connect(("127.0.0.1", self.upstream))?;
        asked.send(&mut server)?;
        let mut first = vec![0; 64 << 10];
        let length = server.read(&mut first)?;
        if is_write && first.starts_with(b"HTTP/1.1 20") {
            self.written(method, path, &body);
        }
        client.write_all(&first[..length])?;
        std::io::copy(&mut server, &mut client)?;
        Ok(())
    }

    /// What follows from a write, before who asked for it hears that it was carried out.
    fn written(&self, method: &str, path: &str, body: &Value) {
        if method == "POST" && body["kind"] == "PipelineRun" {
            let name = body["metadata"]["name"].as_str().unwrap_or_default();
            self.made.lock().unwrap().push(name.to_owned());
        }
        if body["spec"]["status"].as_str().is_some_and(|status| status.starts_with("Cancelled")) {
            let path = path.split('?').next().unwrap_or_default();
            self.end(path, "False", "Cancelled");
        }
    }

    fn refusal(&self, method: &str, body: &Value) -> Option<Vec<u8>> {
        let refusals = self.refusals.lock().unwrap();
        let is_meant = |(kind, name, _): &&(String, String, Refusal)| {
            body["kind"] == kind.as_str() && body["metadata"]["name"] == name.as_str()
        };
        let (_, name, how) = refusals.iter().filter(|_| method != "DELETE").find(is_meant)?;
        let (code, reason, message) = match how {
            Refusal::ForGood => (422, "Invalid", "spec: Invalid value: not to our taste"),
            Refusal::ForNow => (403, "Forbidden", "exceeded quota: runs"),
        };
        let cause = json!({"reason": "FieldValueInvalid", "message": message, "field": "spec"});
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "reason": reason, "message": format!("{name} is forbidden: {message}"),
            "details": {"name": name, "kind": body["kind"], "causes": [cause]},
        });
        let status = status.to_string();
        let head = format!(
            "HTTP/1.1 {code} {reason}\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            status.len()
        );
        Some((head + &status).into_bytes())
    }

    /// Writes a run's status, as Tekton's controller does.
    fn end(&self, run: &str, status: &str, reason: &str) {
        let condition =
            json!({"type": "Succeeded", "status": status, "reason": reason, "message": "why"});
        let patch = json!({"status": {
            "conditions": [condition], "completionTime": "2026-01-02T03:04:05Z",
        }});
        assert_eq!(self.call("PATCH", &format!("{run}/status"), &patch), 200);
    }

    /// The status code of a request beside the door.
    fn call(&self, method: &str, path: &str, body: &Value) -> u16 {
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut server = TcpStream::connect(("127.0.0.1", self.upstream)).unwrap();
        server.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default()
    }
}

impl Asked {
    fn read(client: &TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(client);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        let length = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        Ok(Self { head, body })
    }

    /// Method and path with its query.
    fn line(&self) -> (&str, &str) {
        let mut words = self.head.first().map_or("", String::as_str).split(' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// One request a connection: its end is the answer's end.
    fn send(&self, server: &mut TcpStream) -> std::io::Result<()> {
        let is_own = |line: &&String| !line.to_lowercase().starts_with("connection:");
        let mut text: String =
            self.head.iter().filter(is_own).fold(String::new(), |head, line| head + line + "\r\n");
        text.push_str("Connection: close\r\n\r\n");
        server.write_all(text.as_bytes())?;
        server.write_all(&self.body)
    }
}

impl Ground for Door {
    fn writes(&self) -> usize {
        self.state.writes.load(Ordering::Relaxed)
    }
    fn made(&self) -> Vec<String> {
        self.state.made.lock().unwrap().clone()
    }
    fn refuse(&self, kind: &str, name: &str, how: Refusal) {
        self.state.refusals.lock().unwrap().push((kind.to_owned(), name.to_owned(), how));
    }
    fn heal(&self) {
        self.state.refusals.lock().unwrap().clear();
    }
    fn away(&self, away: bool) {
        self.state.away.store(away, Ordering::Relaxed);
    }
    fn finish(&self, name: &str, well: bool) {
        let (status, reason) =
            if well { ("True", "Succeeded") } else { ("False", "PipelineRunTimeout") };
        self.state.end(&self.run(name), status, reason);
    }
    fn delete(&self, name: &str) {
        assert_eq!(self.state.call("DELETE", &self.run(name), &json!({})), 200);
    }
}
