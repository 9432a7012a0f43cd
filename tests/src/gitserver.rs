//! A real git server: `git http-backend` behind a small CGI host, with a token check.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap};
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio_rustls::rustls::ServerConfig;

use crate::http::{HttpServer, Reply, decode, lock, reply};

/// How a git server behaves.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// Partial clone (`uploadpack.allowFilter`).
    pub filters: bool,
    /// Any object may be asked for by id (`uploadpack.allowAnySHA1InWant`; protocol v2 allows it anyway).
    pub any_object: bool,
    /// The greatest depth of a `tree:` filter (`uploadpackfilter.tree.maxDepth`).
    pub max_tree_depth: Option<u32>,
    /// Pushes are accepted.
    pub push: bool,
}

impl Default for GitOptions {
    fn default() -> Self {
        Self { filters: true, any_object: true, max_tree_depth: None, push: false }
    }
}

/// Who may come in. Clones share it. Without any token ever granted, everybody may.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<Mutex<Option<BTreeSet<String>>>>);

/// What a request's credentials are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A known token, or none is needed.
    Granted,
    /// A token is needed and none came.
    Missing,
    /// A token came and it is not known.
    Wrong,
}

impl Tokens {
    /// From now on a token is needed, and this is one.
    pub fn grant(&self, token: &str) {
        lock(&self.0).get_or_insert_default().insert(token.to_owned());
    }

    /// This token is none any more.
    pub fn revoke(&self, token: &str) {
        lock(&self.0).get_or_insert_default().remove(token);
    }

    /// Judges what a request brought.
    pub fn check(&self, presented: Option<&str>) -> Access {
        match (&*lock(&self.0), presented) {
            (None, None) => Access::Granted,
            (Some(_), None) => Access::Missing,
            (Some(known), Some(token)) if known.contains(token) => Access::Granted,
            (_, Some(_)) => Access::Wrong,
        }
    }
}

/// The token of `Authorization: Bearer t`, `token t`, or of Basic with any user and the token as password.
pub fn presented(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    match value.split_once(' ') {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") =>
        {
            Some(token.to_owned())
        }
        _ => basic(value).map(|(_, password)| password),
    }
}

/// User and password of a Basic credential (`Authorization`, `Proxy-Authorization`).
pub fn basic(value: &str) -> Option<(String, String)> {
    let encoded = value.strip_prefix("Basic ").or_else(|| value.strip_prefix("basic "))?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// Smart HTTP over the bare repositories below one directory; clones share it.
#[derive(Debug, Clone)]
pub struct GitBackend {
    root: PathBuf,
    options: Arc<Mutex<GitOptions>>,
    tokens: Tokens,
}

impl GitBackend {
    /// Serves what is below `root`.
    pub fn new(root: &Path, options: GitOptions, tokens: Tokens) -> Self {
        Self { root: root.to_owned(), options: Arc::new(Mutex::new(options)), tokens }
    }

    /// Whether a path is one of git's own.
    pub fn is_git(path: &str) -> bool {
        ["/info/refs", "/git-upload-pack", "/git-receive-pack"]
            .iter()
            .any(|end| path.ends_with(end))
    }

    /// Behaves like this from now on.
    pub fn set(&self, options: GitOptions) {
        *lock(&self.options) = options;
    }

    /// Checks the token and lets git answer.
    pub async fn answer(&self, request: Request<Incoming>) -> Reply {
        if self.tokens.check(presented(request.headers()).as_deref()) != Access::Granted {
            let headers =
                [("www-authenticate", "Basic realm=\"git\""), ("content-type", "text/plain")];
            return reply(StatusCode::UNAUTHORIZED, &headers, "authentication required\n");
        }
        match self.run(request).await {
            Ok(answer) => answer,
            Err(error) => {
                let headers = [("content-type", "text/plain")];
                reply(StatusCode::INTERNAL_SERVER_ERROR, &headers, format!("git: {error}\n"))
            }
        }
    }

    async fn run(&self, request: Request<Incoming>) -> io::Result<Reply> {
        let (head, body) = request.into_parts();
        let path = self.with_suffix(&decode(head.uri.path()));
        let mut child = self.command(&path, &head).spawn()?;
        let stdin = child.stdin.take().expect("stdin is piped");
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let mut feeder = JoinSet::new();
        feeder.spawn(feed(stdin, body));
        let (status, headers, first) = read_head(&mut stdout).await?;
        let mut answer = reply(status, &[], "");
        for (name, value) in &headers {
            let name =
                hyper::header::HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
            answer.headers_mut().append(name, value.parse().map_err(io::Error::other)?);
        }
        let body = StreamBody::new(stream::try_unfold(
            Output { first, stdout, child, _feeder: feeder },
            Output::next,
        ));
        Ok(answer.map(|_| body.boxed_unsync()))
    }

    /// `owner/a` is served like `owner/a.git`, as forges do.
    fn with_suffix(&self, path: &str) -> String {
        let split = ["/info/refs", "/git-upload-pack", "/git-receive-pack"]
            .iter()
            .find_map(|end| path.strip_suffix(end).map(|repo| (repo, end)));
        match split {
            Some((repo, end))
                if !repo.ends_with(".git") && !self.root.join(&repo[1..]).exists() =>
            {
                format!("{repo}.git{end}")
            }
            _ => path.to_owned(),
        }
    }

    fn command(&self, path: &str, head: &hyper::http::request::Parts) -> Command {
        let options = lock(&self.options).clone();
        let mut config = vec![
            ("safe.directory", "*".to_owned()),
            ("gc.auto", "0".to_owned()),
            ("uploadpack.allowFilter", options.filters.to_string()),
            ("uploadpack.allowAnySHA1InWant", options.any_object.to_string()),
            ("http.receivepack", options.push.to_string()),
        ];
        if let Some(depth) = options.max_tree_depth {
            config.push(("uploadpackfilter.tree.maxDepth", depth.to_string()));
        }
        let mut git = Command::from(crate::repo::git(&self.root));
        git.arg("http-backend").kill_on_drop(true);
        git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        git.env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", head.method.as_str())
            .env("PATH_INFO", path)
            .env("QUERY_STRING", head.uri.query().unwrap_or_default())
            .env("REMOTE_ADDR", "127.0.0.1")
            .env("GIT_CONFIG_COUNT", config.len().to_string());
        for (index, (key, value)) in config.iter().enumerate() {
            git.env(format!("GIT_CONFIG_KEY_{index}"), key);
            git.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        for (header, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("content-length", "CONTENT_LENGTH"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "GIT_PROTOCOL"),
        ] {
            if let Some(value) = head.headers.get(header).and_then(|value| value.to_str().ok()) {
                git.env(variable, value);
            }
        }
        git
    }
}

async fn feed(mut stdin: ChildStdin, mut body: Incoming) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if stdin.write_all(&data).await.is_err() {
            return;
        }
    }
}

/// Status, headers, and the bytes read beyond them.
async fn read_head(
    stdout: &mut ChildStdout,
) -> io::Result<(StatusCode, Vec<(String, String)>, Bytes)> {
    let mut seen = BytesMut::new();
    let end = loop {
        if let Some(at) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stdout.read_buf(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&seen.split_to(end)).into_owned();
    let _blank_line = seen.split_to(4);
    let mut status = StatusCode::OK;
    let mut headers = Vec::new();
    for line in head.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            status = code.parse().map_err(io::Error::other)?;
        } else if !name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str()) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok((status, headers, seen.freeze()))
}

/// What git still has to say; it is killed when nobody listens any more.
struct Output {
    first: Bytes,
    stdout: ChildStdout,
    child: Child,
    _feeder: JoinSet<()>,
}

impl Output {
    async fn next(mut self) -> io::Result<Option<(Frame<Bytes>, Self)>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Ok(Some((Frame::data(first), self)));
        }
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        if self.stdout.read_buf(&mut buffer).await? == 0 {
            self.child.wait().await?;
            return Ok(None);
        }
        Ok(Some((Frame::data(buffer.freeze()), self)))
    }
}

/// A git server on 127.0.0.1. Stops on drop.
#[derive(Debug)]
pub struct GitServer {
    http: HttpServer,
    backend: GitBackend,
}

impl GitServer {
    /// Serves the bare repositories below `root`, over TLS if a configuration is given.
    pub fn start(root: &Path, options: GitOptions, tls: Option<Arc<ServerConfig>>) -> Self {
        let backend = GitBackend::new(root, options, Tokens::default());
        let shared = backend.clone();
        let http = HttpServer::start("git-server", tls, move |request| {
            let backend = shared.clone();
            Box::pin(async move { backend.answer(request).await })
        });
        Self { http, backend }
    }

    /// The clone URL of a repository: `url("owner/a.git")`.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.http.origin())
    }

    /// Port, log, faults, pause.
    pub fn http(&self) -> &HttpServer {
        &self.http
    }

    /// Who may read and push.
    pub fn tokens(&self) -> &Tokens {
        &self.backend.tokens
    }

    /// Behaves like this from now on.
    pub fn set(&self, options: GitOptions) {
        self.backend.set(options);
    }
}
