//! A receiver in memory.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use super::guard;
use crate::notifier::{Notice, Notifier, NotifyError, NotifyErrorKind};

/// A receiver that writes down what it is told, and can be told to fail.
#[derive(Debug, Default)]
pub struct FakeNotifier {
    desk: Mutex<Desk>,
}

#[derive(Debug, Default)]
struct Desk {
    told: Vec<Notice>,
    calls: usize,
    failing: Option<(NotifyErrorKind, Option<Duration>)>,
}

impl FakeNotifier {
    /// One that takes everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every call fails so; `None` ends it.
    pub fn fail(&self, kind: Option<NotifyErrorKind>) {
        guard(&self.desk).failing = kind.map(|kind| (kind, None));
    }

    /// From now on every call is answered by a wish to be asked so much later.
    pub fn limit(&self, after: Duration) {
        guard(&self.desk).failing = Some((NotifyErrorKind::RateLimited, Some(after)));
    }

    /// What it took, in order.
    #[must_use]
    pub fn told(&self) -> Vec<Notice> {
        guard(&self.desk).told.clone()
    }

    /// How often it was asked, whatever became of it.
    #[must_use]
    pub fn calls(&self) -> usize {
        guard(&self.desk).calls
    }
}

#[async_trait]
impl Notifier for FakeNotifier {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let mut desk = guard(&self.desk);
        desk.calls += 1;
        let Some((kind, after)) = desk.failing else {
            desk.told.push(notice.clone());
            return Ok(());
        };
        let error = NotifyError::new(kind, "the fake receiver was told to fail");
        Err(match after {
            Some(after) => error.retry_after(after),
            None => error,
        })
    }
}
