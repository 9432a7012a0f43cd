//! What the server can be told to do wrong.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::api::{Answer, Call};
use super::state::SeenRequest;

/// A named object that is refused.
#[derive(Debug, Clone)]
struct Refusal {
    kind: String,
    name: String,
    status: u16,
    message: String,
    dry_runs_too: bool,
}

#[derive(Debug, Default)]
struct Inner {
    hang: bool,
    hang_writes: bool,
    canned: Option<(u16, Option<u64>)>,
    said: Option<(u16, &'static str, String)>,
    refusals: Vec<Refusal>,
    lose: Vec<usize>,
    drop_writes_after: Option<usize>,
    granted: Option<Vec<(String, String)>>,
    silent_watches: bool,
    broken_group: Option<String>,
    aggregates: bool,
    token: Option<String>,
}

/// The switchboard of faults: each holds until it is taken back by [`Faults::heal`].
#[derive(Debug, Default)]
pub struct Faults(Mutex<Inner>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back every fault and every restriction.
    pub fn heal(&self) {
        *self.lock() = Inner::default();
    }

    /// Takes every request and never answers.
    pub fn hang(&self) {
        self.lock().hang = true;
    }

    /// Takes every write and never answers; dry runs and reads are answered.
    pub fn hang_writes(&self) {
        self.lock().hang_writes = true;
    }

    /// Answers every request with this status, and `Retry-After` in seconds.
    pub fn answer_all(&self, status: u16, retry_after: Option<u64>) {
        self.lock().canned = Some((status, retry_after));
    }

    /// Answers every write and every dry run of one so, as a balancer or a webhook in between may.
    pub fn answer_writes(&self, status: u16, content_type: &'static str, body: &str) {
        self.lock().said = Some((status, content_type, body.to_owned()));
    }

    /// Refuses an object with 403 or 422 when it is really written; its dry run passes.
    pub fn refuse_write(&self, kind: &str, name: &str, status: u16, message: &str) {
        self.refuse(kind, name, status, message, false);
    }

    /// Refuses an object with 403 or 422, in dry runs as well. An empty name stands for every name.
    pub fn refuse_always(&self, kind: &str, name: &str, status: u16, message: &str) {
        self.refuse(kind, name, status, message, true);
    }

    fn refuse(&self, kind: &str, name: &str, status: u16, message: &str, dry_runs_too: bool) {
        let (kind, name, message) = (kind.to_owned(), name.to_owned(), message.to_owned());
        self.lock().refusals.push(Refusal { kind, name, status, message, dry_runs_too });
    }

    /// Commits the n-th write from now (from 1; dry runs do not count), then drops the connection without an answer.
    pub fn lose_response_of_write(&self, n: usize) {
        self.lock().lose.push(n);
    }

    /// Lets n writes through, then drops the connection of each further one before it is committed.
    pub fn drop_writes_after(&self, n: usize) {
        self.lock().drop_writes_after = Some(n);
    }

    /// Grants only these rights, each a verb and a resource such as `("create", "pipelineruns.tekton.dev")`.
    pub fn grant_only(&self, rights: &[(&str, &str)]) {
        let own = |(verb, resource): &(&str, &str)| ((*verb).to_owned(), (*resource).to_owned());
        self.lock().granted = Some(rights.iter().map(own).collect());
    }

    /// The API of a group of its own, which another server answers for, can't be reached.
    pub fn break_group(&self, group: &str) {
        self.lock().broken_group = Some(group.to_owned());
    }

    /// Answers discovery in its aggregated form to who asks for that, as servers since Kubernetes 1.26 do.
    pub fn aggregate_discovery(&self) {
        self.lock().aggregates = true;
    }

    /// Refuses with 401 whoever does not show this bearer token.
    pub fn demand_token(&self, token: &str) {
        self.lock().token = Some(token.to_owned());
    }

    pub(super) fn knows(&self, call: &Call) -> bool {
        let wanted = self.lock().token.as_ref().map(|token| format!("Bearer {token}"));
        wanted.is_none_or(|wanted| call.authorization == wanted)
    }

    pub(super) fn aggregates(&self) -> bool {
        self.lock().aggregates
    }

    pub(super) fn broken_group(&self) -> Option<String> {
        self.lock().broken_group.clone()
    }

    /// Open watches stay open and tell nothing, not even their end, until [`Self::heal`].
    pub fn silence_watches(&self) {
        self.lock().silent_watches = true;
    }

    pub(super) fn silences_watches(&self) -> bool {
        self.lock().silent_watches
    }

    pub(super) fn hangs(&self, call: &Call) -> bool {
        let inner = self.lock();
        inner.hang || (inner.hang_writes && SeenRequest::of(call, 0).is_write())
    }

    pub(super) fn canned_answer(&self, call: &Call) -> Option<Answer> {
        if let Some((status, content_type, body)) = self.lock().said.clone()
            && ["POST", "PATCH"].contains(&call.method.as_str())
        {
            return Some(Answer::page(status, content_type, body));
        }
        let (status, retry_after) = self.lock().canned?;
        let reason = if status == 429 { "TooManyRequests" } else { "ServiceUnavailable" };
        let mut answer = Answer::error(status, reason, "the server is overloaded");
        answer.retry_after = retry_after;
        Some(answer)
    }

    pub(super) fn may(&self, verb: &str, resource: &str) -> bool {
        let inner = self.lock();
        let granted = inner.granted.as_ref();
        granted.is_none_or(|all| all.iter().any(|(v, r)| v == verb && r == resource))
    }

    pub(super) fn refusal(&self, kind: &str, name: &str, dry_run: bool) -> Option<(u16, String)> {
        let inner = self.lock();
        let hit = |r: &&Refusal| {
            let is_meant = r.name == name || r.name.is_empty();
            r.kind == kind && is_meant && (r.dry_runs_too || !dry_run)
        };
        inner.refusals.iter().find(hit).map(|r| (r.status, r.message.clone()))
    }

    /// Counts a write: true if its connection must be dropped before it is committed.
    pub(super) fn drops_write(&self) -> bool {
        match &mut self.lock().drop_writes_after {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    /// Counts a committed write: true if its response must be lost.
    pub(super) fn loses_response(&self) -> bool {
        let lose = &mut self.lock().lose;
        for n in lose.iter_mut() {
            *n = n.saturating_sub(1);
        }
        let lost = lose.contains(&0);
        lose.retain(|n| *n > 0);
        lost
    }
}
