//! A hook by which a process dies, or takes its time, at one of its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::hooked::{Call, Fault, Hook};

/// Counts the moments before and after the calls of ports; at the fatal one, and after it, nothing goes on any more.
#[derive(Debug)]
pub struct Fate {
    passed: AtomicUsize,
    fatal: usize,
    pause: usize,
    takes: Duration,
}

impl Fate {
    /// One that is met at the nth moment, counted from 1.
    #[must_use]
    pub fn dying_at(fatal: usize) -> Arc<Self> {
        Self::pausing_at(usize::MAX, Duration::ZERO, fatal)
    }

    /// One that is never met.
    #[must_use]
    pub fn immortal() -> Arc<Self> {
        Self::dying_at(usize::MAX)
    }

    /// One whose nth moment takes its time, before the fatal one.
    #[must_use]
    pub fn pausing_at(pause: usize, takes: Duration, fatal: usize) -> Arc<Self> {
        Arc::new(Self { passed: AtomicUsize::new(0), fatal, pause, takes })
    }

    /// One more moment: it never ends for who is dead.
    pub async fn point(&self) {
        let nth = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
        if nth >= self.fatal {
            std::future::pending::<()>().await;
        }
        if nth == self.pause {
            tokio::time::sleep(self.takes).await;
        }
    }

    /// True once the moment that takes its time has come.
    #[must_use]
    pub fn has_paused(&self) -> bool {
        self.passed.load(Ordering::Relaxed) >= self.pause
    }

    /// True once the fatal moment has come.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.passed.load(Ordering::Relaxed) >= self.fatal
    }
}

#[async_trait]
impl Hook for Fate {
    async fn before(&self, _: Call<'_>) -> Result<(), Fault> {
        self.point().await;
        Ok(())
    }
    /// What only asks leaves nothing behind: there a death after the call is one before the next.
    async fn after(&self, call: Call<'_>) -> Result<(), Fault> {
        if matches!(call, Call::SetStatus(_) | Call::Apply(_) | Call::Retire(_) | Call::Commit(_)) {
            self.point().await;
        }
        Ok(())
    }
}
