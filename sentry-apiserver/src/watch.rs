//! Watches: what happened since a resource version, as a stream of JSON lines.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Shared;
use super::api::{Answer, Target};
use super::selector::Selector;
use super::serve::Lost;
use super::state::{Event, State};

/// How often a bookmark is sent where they are asked for. A real server takes about a minute.
const BOOKMARK: Duration = Duration::from_millis(500);

/// What a client watches.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) target: Target,
    pub(super) selector: Selector,
    /// The resource version from which on; `None` is from the start.
    pub(super) since: Option<u64>,
    pub(super) bookmarks: bool,
    pub(super) timeout: Duration,
}

/// One open watch.
struct Open {
    shared: Arc<Shared>,
    watched: Watched,
    place: u64,
    /// The value of [`State::cuts`] when it was opened.
    cuts: u64,
    until: Instant,
    bookmark: Instant,
    ended: bool,
}

/// The stream of a watch's answer: it ends at its timeout, or with an error when it is cut.
pub(super) fn stream(
    shared: Arc<Shared>,
    watched: Watched,
) -> impl Stream<Item = Result<Frame<Bytes>, Lost>> {
    let (now, cuts) = (Instant::now(), shared.lock().cuts);
    let (until, bookmark) = (now + watched.timeout, now + BOOKMARK);
    let place = watched.since.unwrap_or(0);
    let open = Open { shared, watched, place, cuts, until, bookmark, ended: false };
    stream::unfold(open, |mut open| async move { open.next().await.map(|item| (item, open)) })
}

impl Open {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Lost>> {
        let mut wake = self.shared.lock().wake.subscribe();
        loop {
            if self.ended {
                return None;
            }
            wake.mark_unchanged();
            let silent = self.shared.faults.silences_watches();
            if !silent {
                if self.shared.lock().cuts != self.cuts {
                    self.ended = true;
                    return Some(Err(Lost));
                }
                let lines = self.news();
                if !lines.is_empty() {
                    return Some(Ok(Frame::data(Bytes::from(lines))));
                }
                if Instant::now() >= self.until {
                    return None;
                }
            }
            let tick = self.bookmark.min(self.until).max(Instant::now() + Duration::from_millis(1));
            tokio::select! {
                _ = wake.changed() => {}
                () = tokio::time::sleep_until(tick) => {}
            }
        }
    }

    /// The lines that are due.
    fn news(&mut self) -> String {
        let state = self.shared.lock();
        if self.watched.since.is_some() && self.place < state.oldest {
            self.ended = true;
            return line("ERROR", &too_old(self.place, state.oldest).body);
        }
        let mut lines: String = match self.watched.since {
            None => self.standing(&state),
            Some(_) => state.since(self.place).filter_map(|event| self.told(event)).collect(),
        };
        self.place = state.revision_number();
        self.watched.since = Some(self.place);
        if lines.is_empty() && self.watched.bookmarks && Instant::now() >= self.bookmark {
            self.bookmark = Instant::now() + BOOKMARK;
            let kind = self.watched.target.kind;
            let mark = json!({
                "kind": kind.kind, "apiVersion": kind.api_version(),
                "metadata": {"resourceVersion": state.revision(), "creationTimestamp": null},
            });
            lines = line("BOOKMARK", &mark);
        }
        lines
    }

    fn standing(&self, state: &State) -> String {
        let objects = state.list(&self.watched.target.kind.resource(), self.watched.target.space());
        let wanted = objects.into_iter().filter(|object| self.watched.selector.matches(object));
        wanted.map(|object| line("ADDED", object)).collect()
    }

    /// An event as this client sees it: an object that comes to match, or ceases to, is added or deleted.
    fn told(&self, event: &Event) -> Option<String> {
        let target = &self.watched.target;
        let here = event.place.0 == target.kind.resource()
            && target.space().is_none_or(|space| space == event.place.1);
        if !here {
            return None;
        }
        let matches = |object: &&Value| self.watched.selector.matches(object);
        match (event.before.as_ref().filter(matches), event.after.as_ref().filter(matches)) {
            (None, Some(after)) => Some(line("ADDED", after)),
            (Some(_), Some(after)) => Some(line("MODIFIED", after)),
            (Some(before), None) => {
                let mut last = event.after.as_ref().unwrap_or(before).clone();
                last["metadata"]["resourceVersion"] = json!(event.revision.to_string());
                Some(line("DELETED", &last))
            }
            (None, None) => None,
        }
    }
}

/// The answer to who asks for a version that is not kept any more.
pub(super) fn too_old(asked: u64, oldest: u64) -> Answer {
    Answer::error(410, "Expired", &format!("too old resource version: {asked} ({oldest})"))
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}
