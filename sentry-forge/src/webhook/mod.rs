//! What forges push to us: verified first, parsed second, and trusted for one thing only, which repository
//! it is about.
//!
//! A body is handed over as it arrives ([`Incoming::take`]): all of it is signed, but only its head is kept, so a
//! large body needs no large memory.
//!
//! ```
//! use sentry_core::{clock::Timestamp, secret::{Redactor, Secret}};
//! use sentry_forge::github;
//! use sentry_forge::webhook::{Message, Webhook};
//!
//! # async fn example(headers: http::HeaderMap, body: &[u8], now: Timestamp) -> Result<(), sentry_forge::webhook::WebhookError> {
//! let secret = Secret::new("It's a Secret to Everybody").into();
//! let webhook = Webhook::new(github::SENDER, secret, Redactor::new());
//! let mut incoming = webhook.begin(&headers, now).await?;
//! incoming.take(body);
//! if let Message::Hint { repo } = incoming.finish()? {
//!     println!("{repo} may have moved");
//! }
//! # Ok(())
//! # }
//! ```

pub(crate) mod body;
mod replays;
pub(crate) mod signature;

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use sentry_core::clock::Timestamp;
use sentry_core::repo::RepoPath;
use sentry_core::secret::{Form, Redactor, Secret, SecretSource, SourceError};

use self::body::Shape;
use self::replays::Replays;
use self::signature::Check;

/// How much of a body is kept, in bytes: what names the repository comes before the lists of commits.
pub const HEAD: usize = 128 * 1024;

/// What the headers say: how the body is checked, and what it is, once it is.
type Begin = fn(&HeaderMap, &Secret, Timestamp) -> Result<(Check, Shape), WebhookError>;

/// Who sends webhooks: how a kind of forge proves itself, and words what happened. Each has its own, beside its API.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    /// Looks at the headers with the secret.
    pub(crate) begin: Begin,
}

/// What a verified webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A branch of this repository may have moved, come or gone.
    Hint {
        /// The repository's path on the forge.
        repo: RepoPath,
    },
    /// The forge checks that the endpoint is up.
    Ping,
    /// It was received before.
    Repeated,
    /// Another event, by its name: at most 40 characters of a-z, A-Z, 0-9, `_`, `-` and space.
    Ignored(String),
}

/// Why a webhook is refused. None of it is worth a retry with the same request but [`WebhookError::Secret`].
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The header that proves the sender is missing.
    #[error("has no {0}")]
    Unsigned(&'static str),
    /// The proof is wrong: the sender has another secret, or the body was changed.
    #[error("{0} does not match the secret and the body")]
    Wrong(&'static str),
    /// It was signed too long ago, or too far in the future.
    #[error("webhook-timestamp is more than 5 minutes from now: check both clocks")]
    OutOfTime,
    /// It comes from the right sender but says nothing that can be read.
    #[error("{0}")]
    Unreadable(&'static str),
    /// The secret can't be read now.
    #[error("the webhook's secret can't be read")]
    Secret(#[from] SourceError),
}

/// Takes webhooks of one forge.
#[derive(Debug)]
pub struct Webhook {
    sender: Sender,
    secret: SecretSource,
    redactor: Redactor,
    seen: Arc<Mutex<Replays>>,
}

impl Webhook {
    /// With the secret that is configured at the forge.
    #[must_use]
    pub fn new(sender: Sender, secret: SecretSource, redactor: Redactor) -> Self {
        Self { sender, secret, redactor, seen: Arc::default() }
    }

    /// Looks at the headers of a request; its body follows.
    ///
    /// # Errors
    /// [`WebhookError`] if no body could make the request valid.
    pub async fn begin(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Incoming, WebhookError> {
        let secret = self.secret.read("token file", Form::Word, &self.redactor).await?;
        let (check, shape) = (self.sender.begin)(headers, &secret, now)?;
        let json = header(headers, CONTENT_TYPE.as_str()).is_some_and(|text| {
            let kind = text.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/json")
        });
        Ok(Incoming { check, shape, json, head: Vec::new(), seen: Arc::clone(&self.seen) })
    }
}

/// A webhook whose body is on its way.
#[derive(Debug)]
pub struct Incoming {
    check: Check,
    shape: Shape,
    json: bool,
    head: Vec<u8>,
    seen: Arc<Mutex<Replays>>,
}

impl Incoming {
    /// The next bytes of the body, just as they came.
    pub fn take(&mut self, bytes: &[u8]) {
        self.check.take(bytes);
        let room = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
    }

    /// Verifies the whole body, and only then reads what it says.
    ///
    /// # Errors
    /// [`WebhookError`] says what is wrong with it.
    pub fn finish(self) -> Result<Message, WebhookError> {
        let Self { check, shape, json, head, seen } = self;
        let once = check.verify()?;
        if let Some(once) = once
            && !seen.lock().unwrap_or_else(PoisonError::into_inner).is_new(once)
        {
            return Ok(Message::Repeated);
        }
        if !json {
            let text = "is not JSON: choose application/json as the webhook's content type";
            return Err(WebhookError::Unreadable(text));
        }
        shape.read(&head)
    }
}

/// A header that is text; one that is there twice counts as missing, because the two may disagree.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests;
