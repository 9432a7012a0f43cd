//! What goes wrong on purpose.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::CONTENT_LENGTH;

use super::log::lock;
use super::{Reply, reply};

/// One way to misbehave.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer instead of the real one; see [`Fault::status`].
    Answer {
        /// The status code.
        status: u16,
        /// Headers; a JSON content type is added where they have none.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Status 200 and a sign-in page, as a captive portal or a single-sign-on wall answers.
    Html,
    /// Status 200, content type JSON, bytes that are none.
    Garbage,
    /// The real answer's head, half of its body, then the end of the connection.
    Truncated,
    /// Takes the request and never answers.
    Hang,
    /// A redirect to `to` followed by the path asked for; an empty `to` is a loop.
    Redirect {
        /// 301, 302, 307 or 308.
        status: u16,
        /// An origin, or empty.
        to: String,
    },
}

impl Fault {
    /// An answer with this status and a small JSON body.
    pub fn status(status: u16) -> Self {
        let body = r#"{"message":"injected fault"}"#.to_owned();
        Self::Answer { status, headers: Vec::new(), body }
    }

    /// The same with a header (of a [`Fault::Answer`]).
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The same with another body (of a [`Fault::Answer`]).
    #[must_use]
    pub fn body(mut self, text: &str) -> Self {
        if let Self::Answer { body, .. } = &mut self {
            text.clone_into(body);
        }
        self
    }

    /// The same with `Retry-After` as given: seconds, a date, or nonsense (of a [`Fault::Answer`]).
    #[must_use]
    pub fn retry_after(self, value: &str) -> Self {
        self.header("retry-after", value)
    }

    /// The answer to a request for `target`; a [`Fault::Truncated`] needs the real answer and hangs without it.
    pub(crate) async fn reply(&self, target: &str) -> Reply {
        const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
        let code = |status: u16| StatusCode::from_u16(status).expect("a status code of HTTP");
        match self {
            Self::Answer { status, headers, body } => {
                let mut all: Vec<_> =
                    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                if all.iter().all(|(name, _)| *name != JSON.0) {
                    all.push(JSON);
                }
                reply(code(*status), &all, body.clone())
            }
            Self::Html => reply(
                StatusCode::OK,
                &[("content-type", "text/html; charset=utf-8")],
                "<!doctype html><title>Sign in</title><h1>Sign in to go on</h1>",
            ),
            Self::Garbage => reply(StatusCode::OK, &[JSON], &b"\x00\xff{\"sha\": ]\x07"[..]),
            Self::Redirect { status, to } => {
                reply(code(*status), &[("location", &format!("{to}{target}"))], "")
            }
            Self::Hang | Self::Truncated => std::future::pending().await,
        }
    }
}

/// Announces the whole body and sends half of it.
pub(super) async fn truncate(whole: Reply) -> Reply {
    let (mut head, body) = whole.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    let first = stream::once(async move { Ok(Frame::data(half)) });
    let then = stream::once(async {
        // Lets the server send what it holds before the body fails.
        tokio::task::yield_now().await;
        Err::<Frame<Bytes>, _>(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a test"))
    });
    Reply::from_parts(head, StreamBody::new(first.chain(then)).boxed_unsync())
}

#[derive(Debug)]
struct Rule {
    text: String,
    left: Option<usize>,
    fault: Fault,
}

/// The faults in force. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Rule>>>);

impl Faults {
    /// The next `times` requests whose `METHOD path` contains `text` (empty: all) meet this fault.
    pub fn next(&self, times: usize, text: &str, fault: Fault) {
        self.add(text, Some(times), fault);
    }

    /// Every request whose `METHOD path` contains `text` (empty: all) meets this fault until [`Faults::clear`].
    pub fn until_cleared(&self, text: &str, fault: Fault) {
        self.add(text, None, fault);
    }

    /// Everything is well again.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    fn add(&self, text: &str, left: Option<usize>, fault: Fault) {
        lock(&self.0).push(Rule { text: text.to_owned(), left, fault });
    }

    pub(super) fn take(&self, method: &str, target: &str) -> Option<Fault> {
        let line = format!("{method} {target}");
        let mut rules = lock(&self.0);
        let rule =
            rules.iter_mut().find(|rule| rule.left != Some(0) && line.contains(&rule.text))?;
        rule.left = rule.left.map(|left| left - 1);
        Some(rule.fault.clone())
    }
}
