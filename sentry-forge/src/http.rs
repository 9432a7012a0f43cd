//! The HTTP client for forges: requests are counted, logged, and retried where that is safe.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use sentry_core::forge::{ForgeError, ForgeErrorKind, Requests};
use sentry_core::secret::{Redactor, Secret};
use sentry_net::{Authorities, Client, Failure, Proxies, SetupError, Times};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use url::Url;

use crate::said::said;

const TIMES: Times = Times {
    connect: Some(Duration::from_secs(10)),
    silence: Some(Duration::from_secs(20)),
    total: Duration::from_secs(30),
};

/// What git asks `git-upload-pack` with, which only reads (git, "HTTP transfer protocols").
pub(crate) const UPLOAD_PACK: &str = "application/x-git-upload-pack-request";

/// How to reach the network.
#[derive(Clone)]
pub struct HttpSettings {
    /// The proxy for everything; may hold a user and password. `None`: as `HTTPS_PROXY`, `HTTP_PROXY` and
    /// `NO_PROXY` say.
    pub proxy: Option<Url>,
    /// Hosts that `proxy` is not used for: a comma-separated list like `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// A PEM file with certificate authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// What takes secrets out of texts.
    pub redactor: Redactor,
}

impl HttpSettings {
    /// The system's proxies and roots.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self { proxy: None, no_proxy: None, ca_file: None, redactor }
    }

    /// What is trusted besides the system's roots.
    pub(crate) fn authorities(&self) -> Result<Authorities, ForgeError> {
        Authorities::of(self.ca_file.as_deref()).map_err(|error| unusable(error.into()))
    }

    fn proxies(&self) -> Proxies {
        match &self.proxy {
            Some(url) => Proxies::one(url.clone(), self.no_proxy.as_deref().unwrap_or_default()),
            None => Proxies::from_env(),
        }
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("proxy", &self.proxy.as_ref().map(Url::host_str))
            .field("no_proxy", &self.no_proxy)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// A client whose clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    settings: Arc<HttpSettings>,
    requests: Arc<Mutex<Requests>>,
    /// Servers whose last exchange went well: a connection to them may be kept.
    kept: Arc<Mutex<HashSet<Origin>>>,
}

/// Scheme, host and port.
type Origin = (String, String, Option<u16>);

/// An answer that was read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed, not larger than the cap that was asked for.
    pub body: Bytes,
    /// What the server says where the answer is an error: one clean line without secrets.
    pub said: Option<String>,
}

impl Http {
    /// Builds the client.
    ///
    /// # Errors
    /// [`ForgeErrorKind::Local`] if the proxy or the CA file is unusable, or the system has no root certificates.
    pub fn new(settings: &HttpSettings) -> Result<Self, ForgeError> {
        Self::with(settings, Client::new)
    }

    /// One that connects to no address of a private network. Where a proxy connects instead, that is its own affair.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn public(settings: &HttpSettings) -> Result<Self, ForgeError> {
        Self::with(settings, Client::public)
    }

    fn with(
        settings: &HttpSettings,
        make: impl Fn(Option<&Path>, Proxies, Times) -> Result<Client, SetupError>,
    ) -> Result<Self, ForgeError> {
        let proxies = settings.proxies();
        learn_passwords(&proxies, &settings.redactor);
        let client = make(settings.ca_file.as_deref(), proxies, TIMES).map_err(unusable)?;
        let (settings, requests) = (Arc::new(settings.clone()), Arc::default());
        Ok(Self { client, settings, requests, kept: Arc::default() })
    }

    /// The client itself, for requests to be built with.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        self.client.requests()
    }

    /// What it was built from.
    #[must_use]
    pub fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    /// What became of the requests that were sent so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &Result<Answer, ForgeError>) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match outcome.as_ref().map(|answer| answer.status.as_u16()) {
            Ok(..300) => &mut requests.success,
            Ok(300..400) => &mut requests.redirected,
            Ok(400..500) => &mut requests.refused,
            Ok(_) => &mut requests.failed,
            Err(_) => &mut requests.unanswered,
        };
        *number += 1;
    }

    /// Takes known secrets out of a text.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.settings.redactor.redact(text)
    }

    /// Sends one request and reads the whole answer, whatever its status is. Redirects are not followed.
    ///
    /// A kept connection may be closed by its server at the moment in which it is used again: then what only reads is
    /// sent once more, by another connection.
    ///
    /// # Errors
    /// [`ForgeErrorKind::Unreachable`] if there is no whole answer in time, [`ForgeErrorKind::TooLarge`] if the
    /// body has more than `cap` bytes. The caller decides whether that can change.
    pub async fn send(&self, request: reqwest::Request, cap: usize) -> Result<Answer, ForgeError> {
        self.deliver(request, cap, None).await
    }

    /// As [`Http::send`], but the body of a 200 is passed on piece by piece as it arrives, and is empty in the answer. It is
    /// not read further than somebody takes it.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub(crate) async fn receive(
        &self,
        request: reqwest::Request,
        cap: usize,
        to: Sender<Bytes>,
    ) -> Result<Answer, ForgeError> {
        self.deliver(request, cap, Some(to)).await
    }

    async fn deliver(
        &self,
        request: reqwest::Request,
        cap: usize,
        to: Option<Sender<Bytes>>,
    ) -> Result<Answer, ForgeError> {
        let (method, url) = (request.method().clone(), request.url().clone());
        let host = url.host_str().unwrap_or_default().to_owned();
        let begin = Instant::now();
        let outcome = self.exchange(request, cap, &host, to).await;
        self.count(&outcome);
        let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &outcome {
            Ok(answer) => tracing::debug!(
                %method, host, path = self.redact(url.path()), status = answer.status.as_u16(), ms,
                bytes = answer.body.len(),
                left = crate::status::header_number(&answer.headers, &crate::status::LEFT), "answered"
            ),
            Err(error) => tracing::debug!(
                %method, host, path = self.redact(url.path()), ms,
                error = %self.redact(&error.to_string()), "failed"
            ),
        }
        outcome
    }

    async fn exchange(
        &self,
        request: reqwest::Request,
        cap: usize,
        host: &str,
        to: Option<Sender<Bytes>>,
    ) -> Result<Answer, ForgeError> {
        let url = request.url().clone();
        let broken = |error| self.unanswered(error, &url, host);
        let mut response = self.execute(request).await.map_err(broken)?;
        let too_large = || {
            let text = format!("the answer from {host} has more than {cap} bytes");
            ForgeError::new(ForgeErrorKind::TooLarge, text)
        };
        if response.content_length().is_some_and(|length| length > cap as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        let is_more = match to.filter(|_| response.status() == StatusCode::OK) {
            Some(to) => pass_on(&mut response, cap, &to).await,
            None => sentry_net::read(&mut response, cap, &mut body).await,
        };
        if is_more.map_err(broken)? {
            return Err(too_large());
        }
        self.kept().insert(origin(response.url()));
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let said = said(status, &headers, &body, &self.settings.redactor);
        Ok(Answer { status, headers, body: body.into(), said })
    }

    async fn execute(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        let origin = origin(request.url());
        let again = only_reads(&request).then(|| request.try_clone()).flatten();
        let was_kept = self.kept().contains(&origin);
        let result = self.client().execute(request).await;
        if !result.as_ref().is_err_and(was_closed) {
            return result;
        }
        self.kept().remove(&origin);
        match again.filter(|_| was_kept) {
            Some(again) => {
                tracing::debug!(
                    host = origin.1,
                    "a kept-alive connection was closed: sending again"
                );
                self.client().execute(again).await
            }
            None => result,
        }
    }

    /// An error without an answer. The URL is left out of the cause: the text names the host already.
    fn unanswered(&self, error: reqwest::Error, url: &Url, host: &str) -> ForgeError {
        let Failure { what, hint } = self.client.failure(&error, url);
        let failure = ForgeError::new(ForgeErrorKind::Unreachable, format!("{host} {what}"))
            .with_optional_hint(hint);
        let error = error.without_url();
        if StdError::source(&error).is_some() { failure.with_source(error) } else { failure }
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<Origin>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on what arrives, but no more than `cap` bytes; true if there were more.
async fn pass_on(
    response: &mut reqwest::Response,
    cap: usize,
    to: &Sender<Bytes>,
) -> reqwest::Result<bool> {
    let mut left = cap;
    while let Some(piece) = response.chunk().await? {
        let Some(rest) = left.checked_sub(piece.len()) else { return Ok(true) };
        left = rest;
        if to.send(piece).await.is_err() {
            break;
        }
    }
    Ok(false)
}

fn origin(url: &Url) -> Origin {
    let host = url.host_str().unwrap_or_default();
    (url.scheme().to_owned(), host.to_owned(), url.port_or_known_default())
}

/// True for a request that changes nothing, however often it is sent.
fn only_reads(request: &reqwest::Request) -> bool {
    let asks_git =
        || request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == UPLOAD_PACK);
    matches!(*request.method(), Method::GET | Method::HEAD) || asks_git()
}

/// True if a connection was there and ended before it gave an answer.
fn was_closed(error: &reqwest::Error) -> bool {
    if error.is_timeout() || error.is_connect() {
        return false;
    }
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.into_iter().any(|cause| {
        let by_http = cause.downcast_ref::<hyper::Error>();
        let by_system = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        by_http.is_some_and(|e| e.is_incomplete_message() || e.is_canceled() || e.is_closed())
            || matches!(
                by_system,
                Some(
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::UnexpectedEof
                )
            )
    })
}

/// Makes the redactor know the passwords of proxies.
fn learn_passwords(proxies: &Proxies, redactor: &Redactor) {
    for password in proxies.all().filter_map(Url::password) {
        redactor.learn(&Secret::new(password));
        // What a form's name would be, but for two characters.
        let form = password.replace('+', "%2B").replace('&', "%26");
        for (plain, _) in url::form_urlencoded::parse(form.as_bytes()) {
            redactor.learn(&Secret::new(plain));
        }
    }
}

/// No client can be made.
fn unusable(error: SetupError) -> ForgeError {
    let hint = error.hint();
    let unusable = ForgeError::new(ForgeErrorKind::Local, error.what());
    unusable.with_optional_hint(hint).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn http() -> Http {
        Http::new(&HttpSettings::new(Redactor::new())).unwrap()
    }

    async fn get(http: &Http, url: &str, cap: usize) -> Result<Answer, ForgeError> {
        http.send(http.client().get(url).build().unwrap(), cap).await
    }

    #[tokio::test]
    async fn a_body_over_the_cap_is_refused_and_one_of_just_the_cap_is_read() {
        let server = MockServer::start().await;
        let reply = ResponseTemplate::new(200).set_body_string("x".repeat(100));
        Mock::given(any()).respond_with(reply).mount(&server).await;
        assert_eq!(get(&http(), &server.uri(), 100).await.unwrap().body.len(), 100);
        let error = get(&http(), &server.uri(), 99).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::TooLarge);
    }

    #[tokio::test]
    async fn requests_are_counted_by_what_became_of_them() {
        let http = http();
        for status in [200, 304, 401, 404, 503] {
            let server = MockServer::start().await;
            Mock::given(any()).respond_with(ResponseTemplate::new(status)).mount(&server).await;
            get(&http, &server.uri(), 10).await.unwrap();
        }
        get(&http.clone(), "http://127.0.0.1:1/", 10).await.unwrap_err();
        let numbers = http.requests().by_class().map(|(_, number)| number);
        assert_eq!(numbers, [1, 1, 2, 1, 1]);
    }

    /// A server that answers `good` requests of all, each connection only once, and closes a connection when the next
    /// request arrives on it. How many requests arrived.
    async fn closing_server(good: usize) -> (String, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        let mut connections = tokio::task::JoinSet::new();
        let serve = async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&counted);
                connections.spawn(async move {
                    let mut buffer = [0; 4096];
                    let mut first = true;
                    while socket.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        let number = seen.fetch_add(1, Ordering::SeqCst);
                        if !std::mem::take(&mut first) || number >= good {
                            return;
                        }
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        socket.write_all(answer).await.unwrap();
                    }
                });
            }
        };
        let mut server = tokio::task::JoinSet::new();
        server.spawn(serve);
        server.detach_all();
        (url, seen)
    }

    fn post(http: &Http, url: &str, kind: &str) -> reqwest::Request {
        http.client().post(url).header("content-type", kind).body("x").build().unwrap()
    }

    #[tokio::test]
    async fn what_only_reads_is_sent_again_once_when_a_kept_connection_was_closed() {
        let (url, seen) = closing_server(usize::MAX).await;
        let http = http();
        for _ in 0..3 {
            assert_eq!(get(&http, &url, 10).await.unwrap().body, "ok");
        }
        assert_eq!(seen.load(Ordering::SeqCst), 5, "each but the first is sent twice");
        http.send(post(&http, &url, UPLOAD_PACK), 10).await.unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), 7);
        assert_eq!(http.requests().by_class().map(|(_, number)| number), [4, 0, 0, 0, 0]);
    }

    #[tokio::test]
    async fn what_may_write_is_never_sent_twice() {
        let (url, seen) = closing_server(usize::MAX).await;
        let http = http();
        get(&http, &url, 10).await.unwrap();
        http.send(post(&http, &url, "application/json"), 10).await.unwrap_err();
        assert_eq!(seen.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_fresh_connection_that_is_closed_is_an_error_at_once() {
        let (url, seen) = closing_server(1).await;
        let http = http();
        get(&http, &url, 10).await.unwrap();
        get(&http, &url, 10).await.unwrap_err();
        assert_eq!(seen.load(Ordering::SeqCst), 3, "the kept one, then a fresh one");
        get(&http, &url, 10).await.unwrap_err();
        assert_eq!(seen.load(Ordering::SeqCst), 4, "no connection was kept");
    }

    #[tokio::test]
    async fn a_redirect_is_handed_back_and_not_followed() {
        let server = MockServer::start().await;
        let reply = ResponseTemplate::new(302).insert_header("location", "/elsewhere");
        Mock::given(any()).respond_with(reply).expect(1).mount(&server).await;
        assert_eq!(get(&http(), &server.uri(), 10).await.unwrap().status, StatusCode::FOUND);
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_unreachable() {
        // Not a port that was free a moment ago: another test may have it now.
        let error = get(&http(), "http://127.0.0.1:1/", 10).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unreachable);
        assert_eq!(error.to_string(), "127.0.0.1 can't be reached");
    }

    #[test]
    fn a_proxys_password_is_not_printed() {
        let mut settings = HttpSettings::new(Redactor::new());
        settings.proxy = Some("http://user:hunter22@proxy.example.com:3128".parse().unwrap());
        let http = Http::new(&settings).unwrap();
        assert!(!format!("{settings:?} {http:?}").contains("hunter22"));
        assert_eq!(http.redact("hunter22"), "[redacted]");
        settings.proxy = Some("http://user:p%40ss%C3%A9word@proxy.example.com".parse().unwrap());
        let http = Http::new(&settings).unwrap();
        for text in ["p@sséword", "p%40ss%C3%A9word", "p%40ss%c3%a9word"] {
            assert_eq!(http.redact(text), "[redacted]");
        }
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut settings = HttpSettings::new(Redactor::new());
        settings.ca_file = Some(file.path().join("missing"));
        let error = Http::new(&settings).unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Local);
        let told = sentry_core::error::text(&error);
        assert!(told.contains("missing can't be read"), "{told}");
    }
}
