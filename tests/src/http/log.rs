//! What a server was asked, and what it answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::header::CONTENT_LENGTH;
use hyper::{Request, StatusCode};
use tokio::time::Instant;

use super::{Reply, target};

/// One request, credentials included: a log for oracles, never for people.
#[derive(Debug, Clone)]
pub struct Logged {
    /// When it came.
    pub at: Instant,
    /// The method in capitals.
    pub method: String,
    /// Path and query as sent; for a proxy the whole request target.
    pub path: String,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    /// The status answered; `None` while the answer is being made, or if none was sent.
    pub status: Option<u16>,
    /// Bytes of body sent so far.
    pub bytes_out: u64,
}

impl Logged {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The requests a server saw, oldest first. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<Vec<Arc<Mutex<Logged>>>>>);

impl RequestLog {
    /// Everything so far.
    pub fn all(&self) -> Vec<Logged> {
        lock(&self.0).iter().map(|entry| lock(entry).clone()).collect()
    }

    /// The requests whose `METHOD path` contains the text.
    pub fn matching(&self, text: &str) -> Vec<Logged> {
        let mut all = self.all();
        all.retain(|entry| format!("{} {}", entry.method, entry.path).contains(text));
        all
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        lock(&self.0).len()
    }

    /// How many bytes of body went out, all answers together.
    pub fn bytes_out(&self) -> u64 {
        lock(&self.0).iter().map(|entry| lock(entry).bytes_out).sum()
    }

    /// Forgets everything, to count from here.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Whether any request held the text in its path or a header, plainly or in a Basic credential.
    pub fn saw(&self, text: &str) -> bool {
        self.all().iter().any(|entry| {
            entry.path.contains(text)
                || entry.headers.iter().any(|(_, value)| {
                    value.contains(text)
                        || crate::gitserver::basic(value).is_some_and(|(user, password)| {
                            format!("{user}:{password}").contains(text)
                        })
                })
        })
    }

    pub(crate) fn push(&self, logged: Logged) -> Entry {
        let entry = Arc::new(Mutex::new(logged));
        lock(&self.0).push(Arc::clone(&entry));
        Entry(entry)
    }

    pub(super) fn begin<B>(&self, request: &Request<B>) -> Entry {
        self.push(Logged {
            at: Instant::now(),
            method: request.method().to_string(),
            path: target(request),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect(),
            status: None,
            bytes_out: 0,
        })
    }
}

/// An open line of the log.
pub(crate) struct Entry(Arc<Mutex<Logged>>);

impl Entry {
    pub(crate) fn status(&self, status: StatusCode) {
        lock(&self.0).status = Some(status.as_u16());
    }

    pub(crate) fn sent(&self, bytes: u64) {
        lock(&self.0).bytes_out += bytes;
    }

    /// Notes the status, and each byte of the body as it leaves.
    pub(super) fn finish(self, mut reply: Reply) -> Reply {
        self.status(reply.status());
        // The mapping below hides the size of the body: without this header the answer would be chunked.
        if let Some(size) = reply.body().size_hint().exact()
            && !matches!(reply.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        {
            reply.headers_mut().entry(CONTENT_LENGTH).or_insert(size.into());
        }
        reply.map(|body| {
            body.map_frame(move |frame| {
                if let Some(data) = frame.data_ref() {
                    self.sent(data.remaining() as u64);
                }
                frame
            })
            .boxed_unsync()
        })
    }
}

/// A test that panicked elsewhere must not hide this one's answer behind a poisoned lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
