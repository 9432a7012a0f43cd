//! The one shape of an error: what kind it is, what failed, what a person can do, when to try again, and why.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::retry::Retry;

/// An error of a port, or of its implementation. The text names the thing and the place, never a secret; a cause is not
/// repeated in it.
#[derive(Debug, Clone)]
pub struct Error<K> {
    kind: K,
    message: String,
    hint: Option<String>,
    after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What the kinds of a port's errors say about the next attempt.
pub trait Kind: Copy {
    /// Whether to try again.
    fn retry(self) -> Retry;
}

impl<K: Copy> Error<K> {
    /// An error with its text.
    #[must_use]
    pub fn new(kind: K, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, after: None, source: None }
    }

    /// With what a person can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what a person can do, where that is known.
    #[must_use]
    pub fn with_optional_hint(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// With the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// With the earliest time of the next attempt.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    /// The same error as one of another kind.
    #[must_use]
    pub fn of_kind<L>(self, kind: L) -> Error<L> {
        let Self { message, hint, after, source, .. } = self;
        Error { kind, message, hint, after, source }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> K {
        self.kind
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The error with its causes and what a person can do: see [`told`].
    #[must_use]
    pub fn told(&self) -> String
    where
        Self: StdError,
    {
        told(self, self.hint())
    }
}

impl<K> fmt::Display for Error<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<K: fmt::Debug> StdError for Error<K> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The cause itself, not what holds it, so that it is found by its type.
        self.source.as_deref().map(|source| source as _)
    }
}

impl<K: Kind> Error<K> {
    /// Whether and when to try again: what its kind says, and for something temporary the time that it named.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match (self.kind.retry(), self.after) {
            (Retry::Backoff, Some(wait)) => Retry::After(wait),
            (advice, _) => advice,
        }
    }
}

/// An error and its causes as one text: `what failed: why: why that`.
#[must_use]
pub fn text(error: &dyn StdError) -> String {
    clauses(error).join(": ")
}

/// An error and its causes as one text, with what a person can do, where there is something: for every place where an error
/// is kept or shown.
#[must_use]
pub fn told(error: &dyn StdError, hint: Option<&str>) -> String {
    let text = text(error);
    match hint {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}

/// What an error says, then each of its causes that says more.
#[must_use]
pub fn clauses(error: &dyn StdError) -> Vec<String> {
    let mut clauses: Vec<String> = Vec::new();
    for error in std::iter::successors(Some(error), |&error| error.source()) {
        let clause = error.to_string();
        if !clauses.iter().any(|said| said.contains(&clause)) {
            clauses.push(clause);
        }
    }
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy)]
    struct Advice(Retry);

    impl Kind for Advice {
        fn retry(self) -> Retry {
            self.0
        }
    }

    #[test]
    fn only_what_passes_by_itself_waits_for_the_time_that_it_named() {
        let wait = Duration::from_secs(7);
        let retry = |advice| Error::new(Advice(advice), "x").retry_after(wait).retry();
        assert_eq!(retry(Retry::Backoff), Retry::After(wait));
        assert_eq!(retry(Retry::Counted), Retry::Counted);
        assert_eq!(retry(Retry::Stalled), Retry::Stalled);
        assert_eq!(Error::new(Advice(Retry::Backoff), "x").retry(), Retry::Backoff);
    }

    #[test]
    fn every_cause_is_told_once_and_what_a_person_can_do_comes_last() {
        let disk = std::io::Error::other("no space left on device");
        let inner = Error::new((), "can't write state.db").with_source(disk);
        let same = inner.clone().of_kind(1).with_source(inner).with_hint("free some space");
        assert_eq!(same.told(), "can't write state.db: no space left on device; free some space");
    }

    #[test]
    fn a_cause_is_found_by_its_type() {
        let error = Error::new((), "x").with_source(std::io::Error::other("y"));
        assert!(error.source().unwrap().is::<std::io::Error>());
    }
}
