//! Words between processes, by LISTEN and NOTIFY on a connection of its own
//! (<https://www.postgresql.org/docs/current/sql-notify.html>). Never within a commit of a slot: a transaction that notifies
//! waits for all others that do.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use sentry_core::fleet::{Heard, Wire, Word};
use sentry_core::names::WatchName;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::Notification;

use super::failure::Failure;
use super::rows::get;
use super::session::{Listening, Value};
use super::{PostgresStore, Shared};

/// A payload has fewer bytes than 8,000.
const PAYLOAD: usize = 7_999;
/// Words go out at most so often.
const PACE: Duration = Duration::from_millis(200);
/// So often is the database asked whether the connection still lives.
const BEAT: Duration = Duration::from_secs(5);
/// How long after a lost connection another one is tried, first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// One that has lasted so long was a good one: its loss is nothing that repeats.
const GOOD: Duration = Duration::from_secs(60);
/// So many words wait at most. What comes beyond it is lost: who does not hear it looks each second, or polls.
const MOST: usize = 10_000;
/// So many notifications may be behind; who has more is cut off, and learns that it missed some.
pub(super) const BEHIND: usize = 1024;

/// The channel of all processes that share a state: a database may hold several, in schemas of their own.
const CHANNEL: &str =
    "SELECT 'sentry_' || current_schema()::regnamespace::oid::bigint, pg_backend_pid()";
const TELL: &str = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) payload";
/// The same by who does not listen.
const TELL_ONE: &str =
    "SELECT pg_notify('sentry_' || current_schema()::regnamespace::oid::bigint, $1)";

/// A word as it is sent. Versions are told apart by what they call a word: what is not known is passed over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Hint { forge: String, repo: String },
    Inbox { watch: String },
}

impl From<&Word> for Written {
    fn from(word: &Word) -> Self {
        match word {
            Word::Hint { forge, repo } => {
                Self::Hint { forge: forge.clone(), repo: repo.to_string() }
            }
            Word::Inbox(watch) => Self::Inbox { watch: watch.to_string() },
        }
    }
}

impl Written {
    fn read(self) -> Option<Word> {
        Some(match self {
            Self::Hint { forge, repo } => Word::Hint { forge, repo: repo.parse().ok()? },
            Self::Inbox { watch } => Word::Inbox(watch.parse().ok()?),
        })
    }
}

/// The words of a payload: none where another version wrote something else.
fn read(payload: &str) -> impl Iterator<Item = Word> {
    let written: Vec<Json> = serde_json::from_str(payload).unwrap_or_default();
    written.into_iter().filter_map(|one| serde_json::from_value::<Written>(one).ok()?.read())
}

/// Words as payloads. One that fits in none is left out.
fn payloads<'a>(words: impl IntoIterator<Item = &'a Word>) -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    for word in words {
        let Ok(text) = serde_json::to_string(&Written::from(word)) else { continue };
        if text.len() + 2 > PAYLOAD {
            continue;
        }
        match payloads.last_mut() {
            Some(last) if last.len() + text.len() < PAYLOAD => {
                last.pop();
                *last += &format!(",{text}]");
            }
            _ => payloads.push(format!("[{text}]")),
        }
    }
    payloads
}

/// Words that are to go out.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    words: Mutex<BTreeSet<Word>>,
    arrived: Notify,
}

impl Outgoing {
    fn add(&self, words: impl IntoIterator<Item = Word>) {
        let mut waiting = self.words();
        for word in words {
            if waiting.len() < MOST {
                waiting.insert(word);
            }
        }
        self.arrived.notify_one();
    }

    /// Ready at this time at the earliest, once there are some.
    async fn due(&self, at: Instant) {
        while self.words().is_empty() {
            self.arrived.notified().await;
        }
        sleep_until(at).await;
    }

    fn words(&self) -> MutexGuard<'_, BTreeSet<Word>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostgresStore {
    /// Says that something was left for the agent of a watch. Who does not hear it looks each second.
    pub(super) async fn tell_inbox(&self, watch: &WatchName) {
        for payload in payloads(&[Word::Inbox(watch.clone())]) {
            self.pool().rows(TELL_ONE, &[Value::Text(payload)]).await.ok();
        }
    }
}

impl Wire for PostgresStore {
    fn send(&self, word: Word) {
        self.shared.outgoing.add([word]);
    }

    fn hear(&self) -> BoxStream<'static, Heard> {
        let listener = Listener {
            shared: Arc::clone(&self.shared),
            link: None,
            heard: VecDeque::new(),
            wait: Duration::ZERO,
        };
        let heard = stream::unfold(listener, |mut listener| async move {
            let heard = listener.next().await;
            Some((heard, listener))
        });
        heard.boxed()
    }
}

/// Who listens for a process, over one connection after the other.
struct Listener {
    shared: Arc<Shared>,
    link: Option<Link>,
    heard: VecDeque<Heard>,
    /// How long until another connection is tried.
    wait: Duration,
}

/// A connection that listens.
struct Link {
    session: Listening,
    incoming: mpsc::Receiver<Notification>,
    channel: String,
    /// The number of the server's process: a notification that names it is our own.
    own: i32,
    since: Instant,
    beat: Instant,
    /// When words may go out again.
    free: Instant,
}

impl Listener {
    async fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let Some(link) = &mut self.link else {
                sleep(self.wait).await;
                self.wait = (self.wait * 2).clamp(AGAIN.0, AGAIN.1);
                if let Ok(link) = Link::open(&self.shared).await {
                    self.link = Some(link);
                    drop(self.shared.seen.change());
                    self.heard.push_back(Heard::Missed);
                }
                continue;
            };
            match link.turn(&self.shared).await {
                Ok(words) => {
                    if words.iter().any(|word| matches!(word, Word::Inbox(_))) {
                        drop(self.shared.seen.change());
                    }
                    self.heard.extend(words.into_iter().map(Heard::Word));
                }
                // Whatever it was: another connection is made, and all is looked at.
                Err(_) => {
                    if link.since.elapsed() >= GOOD {
                        self.wait = Duration::ZERO;
                    }
                    self.link = None;
                }
            }
        }
    }
}

impl Link {
    async fn open(shared: &Shared) -> Result<Self, Failure> {
        let (session, incoming) = shared.leases.listening(BEHIND).await?;
        let rows = session.rows(CHANNEL, &[]).await?;
        let row = rows.first().ok_or_else(|| Failure::Damaged("a channel has no name".into()))?;
        let (channel, own): (String, i32) = (get(row, 0)?, get(row, 1)?);
        session.run(&format!("LISTEN {channel}")).await?;
        let now = Instant::now();
        Ok(Self { session, incoming, channel, own, since: now, beat: now + BEAT, free: now })
    }

    /// Waits for what arrives or is to go out.
    async fn turn(&mut self, shared: &Shared) -> Result<Vec<Word>, Failure> {
        tokio::select! {
            arrived = self.incoming.recv() => {
                let lost = || Failure::Damaged("the connection has ended".into());
                let arrived = arrived.ok_or_else(lost)?;
                let is_own = arrived.process_id() == self.own;
                return Ok(if is_own { Vec::new() } else { read(arrived.payload()).collect() });
            }
            () = shared.outgoing.due(self.free) => {
                self.free = Instant::now() + PACE;
                let words = mem::take(&mut *shared.outgoing.words());
                let values = [Value::Text(self.channel.clone()), Value::Texts(payloads(&words))];
                if let Err(failure) = self.session.rows(TELL, &values).await {
                    shared.outgoing.add(words);
                    return Err(failure);
                }
            }
            () = sleep_until(self.beat) => drop(self.session.rows("SELECT 1", &[]).await?),
        }
        // The database has answered.
        self.beat = Instant::now() + BEAT;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(forge: &str, repo: &str) -> Word {
        Word::Hint { forge: forge.to_owned(), repo: repo.parse().unwrap() }
    }

    #[test]
    fn words_fit_in_payloads_whatever_their_length_and_come_back_as_they_were() {
        for length in [1, 30, 900, 1000] {
            let words: BTreeSet<Word> =
                (0..100).map(|n| hint("hub", &format!("{n:0length$}"))).collect();
            let payloads = payloads(&words);
            assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD));
            let back: BTreeSet<Word> = payloads.iter().flat_map(|payload| read(payload)).collect();
            assert_eq!(back, words);
            assert!(payloads.len() <= 100 * (length + 60) / (PAYLOAD / 2) + 1, "{length}");
        }
        let room = PAYLOAD - payloads(&[hint("", "a")])[0].len();
        for (more, number) in [(room, 1), (room + 1, 0)] {
            assert_eq!(payloads(&[hint(&"x".repeat(more), "a")]).len(), number);
        }
    }

    #[test]
    fn what_another_version_says_is_passed_over() {
        let known = r#"{"inbox":{"watch":"app","since":"later"}}"#;
        let app = Word::Inbox("app".parse().unwrap());
        for (payload, words) in [
            ("", 0),
            ("hello", 0),
            ("{}", 0),
            ("[[[[", 0),
            (r#"{"inbox":{"watch":"app"}}"#, 0),
            (r#"[{"inbox":{"watch":"no such name!"}},{"hint":{"forge":"hub","repo":"../x"}}]"#, 0),
            (r#"[{"inbox":{}},{"inbox":7},{"hint":{"forge":1,"repo":2}}]"#, 0),
            (&format!(r#"[7,null,{{"welcome":{{"places":3}}}},{known},"x"]"#), 1),
        ] {
            assert_eq!(read(payload).collect::<Vec<_>>(), vec![app.clone(); words], "{payload}");
        }
    }
}
