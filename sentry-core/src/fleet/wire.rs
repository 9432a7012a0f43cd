//! What processes that share a state tell each other, so that none has to wait until it looks.

use std::fmt;

use futures::stream::BoxStream;

use crate::names::WatchName;
use crate::repo::RepoPath;

/// A word of one process to the others. It says where to look, and nothing that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// A repository may have moved.
    Hint {
        /// The forge's name.
        forge: String,
        /// The repository.
        repo: RepoPath,
    },
    /// Something was left for the agent of this watch.
    Inbox(WatchName),
}

/// What arrives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Heard {
    /// Another process's word.
    Word(Word),
    /// Words may have been lost: everything is to be looked at.
    Missed,
}

/// The way between processes. It may lose words, and says so: whoever missed some looks for itself.
pub trait Wire: fmt::Debug + Send + Sync {
    /// Tells the other processes, soon. It never waits: words are collected, equal ones are one, and they go out while this
    /// process listens. Too many at once, and those that are too long, are lost without a sign.
    fn send(&self, word: Word);

    /// What other processes say from now on, for ever. It begins with [`Heard::Missed`], as nobody knows what was said
    /// before, and says that again each time the way was cut. A process does not hear its own words. A process listens
    /// once at a time.
    fn hear(&self) -> BoxStream<'static, Heard>;
}
