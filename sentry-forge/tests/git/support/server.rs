//! A real git server on loopback: `git http-backend` behind a small CGI host that keeps a log.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sentry_process::Program;

/// One request that the server answered.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) status: u16,
    /// Bytes of the answer's body.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    token: Option<String>,
    log: Mutex<Vec<Exchange>>,
    /// Bytes after which the body of an answer to a POST ends.
    cut: AtomicUsize,
    /// True if it takes no wish for a newer protocol.
    old: AtomicBool,
}

/// Serves every bare repository under a directory until it is dropped.
#[derive(Debug)]
pub(crate) struct GitServer {
    shared: Arc<Shared>,
    pub(crate) url: String,
    runtime: Option<tokio::runtime::Runtime>,
}

impl GitServer {
    /// Starts one; with a token, requests without `Authorization: Basic base64(git:token)` get 401.
    pub(crate) fn start(root: &Path, token: Option<&str>) -> Self {
        let token = token.map(str::to_owned);
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            token,
            log: Mutex::default(),
            cut: AtomicUsize::new(usize::MAX),
            old: AtomicBool::new(false),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let app = axum::Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self { shared, url, runtime: Some(runtime) }
    }

    /// From now on the bodies of answers to POSTs are cut off.
    pub(crate) fn cut_answers_after(&self, bytes: usize) {
        self.shared.cut.store(bytes, Ordering::Relaxed);
    }

    /// From now on it speaks the first protocol alone, which gives out nothing but what it lists.
    pub(crate) fn speak_the_first_protocol(&self) {
        self.shared.old.store(true, Ordering::Relaxed);
    }

    /// What was asked since the last call.
    pub(crate) fn take_log(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.shared.log.lock().unwrap())
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        // A runtime may not be waited for inside another one.
        self.runtime.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let given = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let moved = uri.to_string().strip_prefix("/moved.git").map(|rest| format!("/b.git{rest}"));
    let mut response = match &shared.token {
        Some(token) if given.as_deref() != Some(basic(token).as_str()) => {
            (StatusCode::UNAUTHORIZED, HeaderMap::new(), Vec::new())
        }
        _ if moved.is_some() => {
            let location = moved.map(|to| (LOCATION, to.parse().unwrap())).into_iter().collect();
            (StatusCode::MOVED_PERMANENTLY, location, Vec::new())
        }
        _ => {
            let mut headers = headers.clone();
            if shared.old.load(Ordering::Relaxed) {
                headers.remove("git-protocol");
            }
            backend(&shared.root, &method, &uri, &headers, body).await
        }
    };
    if method == Method::POST {
        response.2.truncate(shared.cut.load(Ordering::Relaxed));
    }
    shared.log.lock().unwrap().push(Exchange {
        method,
        path: uri.to_string(),
        authorization: given,
        status: response.0.as_u16(),
        bytes: response.2.len(),
    });
    response.into_response()
}

fn basic(token: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("git:{token}")))
}

async fn backend(
    root: &Path,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let header = |name: &str| headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    let output = Program::new("git")
        .arg("http-backend")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .deadline(Duration::from_secs(300))
        .output_cap(1 << 30)
        .stdin(body.to_vec())
        .run()
        .await
        .unwrap();
    let end = output.stdout.windows(4).position(|w| w == b"\r\n\r\n");
    let Some(end) = end else { return (StatusCode::BAD_GATEWAY, HeaderMap::new(), Vec::new()) };
    let (mut status, mut answer) = (StatusCode::OK, HeaderMap::new());
    for line in std::str::from_utf8(&output.stdout[..end]).unwrap().split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        if name.eq_ignore_ascii_case("status") {
            status = value[..3].parse().unwrap();
        } else {
            answer.insert(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
        }
    }
    (status, answer, output.stdout[end + 4..].to_vec())
}
