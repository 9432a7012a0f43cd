//! A way between the members of one process, as tests of a fleet have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use sentry_core::fleet::{Heard, Wire, Word};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Who falls so many words behind misses some.
const BUFFER: usize = 256;

/// An end of a way between members of one process; [`MemoryWire::another`] is another member's end.
#[derive(Debug, Clone)]
pub struct MemoryWire {
    way: Arc<Way>,
    end: u64,
}

#[derive(Debug)]
struct Way {
    /// What was said, and at which end.
    said: Sender<(u64, Heard)>,
    ends: AtomicU64,
}

impl Default for MemoryWire {
    fn default() -> Self {
        let way = Arc::new(Way { said: broadcast::channel(BUFFER).0, ends: AtomicU64::new(1) });
        Self { way, end: 0 }
    }
}

impl MemoryWire {
    /// A way with one end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another end of the same way.
    #[must_use]
    pub fn another(&self) -> Self {
        let end = self.way.ends.fetch_add(1, Ordering::Relaxed);
        Self { way: Arc::clone(&self.way), end }
    }

    /// As if it had been cut for a moment: everybody who listens misses something.
    pub fn cut(&self) {
        self.way.say(u64::MAX, Heard::Missed);
    }
}

impl Way {
    fn say(&self, end: u64, heard: Heard) {
        // Nobody listening is no error.
        self.said.send((end, heard)).ok();
    }
}

impl Wire for MemoryWire {
    fn send(&self, word: Word) {
        self.way.say(self.end, Heard::Word(word));
    }

    fn hear(&self) -> BoxStream<'static, Heard> {
        // The end keeps the way: it is never closed.
        let listener = (self.clone(), self.way.said.subscribe());
        let words = stream::unfold(listener, |(own, mut said)| async move {
            let heard = next(&own, &mut said).await;
            Some((heard, (own, said)))
        });
        stream::iter([Heard::Missed]).chain(words).boxed()
    }
}

async fn next(own: &MemoryWire, said: &mut Receiver<(u64, Heard)>) -> Heard {
    loop {
        match said.recv().await {
            Ok((end, _)) if end == own.end => {}
            Ok((_, heard)) => return heard,
            Err(RecvError::Lagged(_) | RecvError::Closed) => return Heard::Missed,
        }
    }
}
