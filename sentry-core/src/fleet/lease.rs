//! How long what a member owns is certainly its own.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// No effect on the world begins with less than this left.
const MARGIN: Duration = Duration::from_secs(2);

/// Until when a member's slots can't be taken from it. Clones tell of the same member.
///
/// It is measured by the monotonic clock from before the renewal was asked for, so that it ends no later here than it does
/// by the state's clock.
#[derive(Debug, Clone)]
pub struct Lease(watch::Receiver<Option<Instant>>);

/// The side that renews a [`Lease`].
#[derive(Debug)]
pub(crate) struct Renewal(watch::Sender<Option<Instant>>);

impl Renewal {
    /// A lease that is over.
    pub(crate) fn new(now: Instant) -> Self {
        Self(watch::channel(Some(now)).0)
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease(self.0.subscribe())
    }

    /// It lasts until then at least.
    pub(crate) fn extend(&self, until: Instant) {
        self.0.send_modify(|end| *end = (*end).max(Some(until)));
    }
}

impl Lease {
    /// One that never ends: that of who owns a whole state.
    #[must_use]
    pub fn endless() -> Self {
        Self(watch::channel(None).1)
    }

    /// True if it may end: then another process may own by now what this one works on.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// True if it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.borrow().is_some_and(|end| end <= Instant::now())
    }

    /// Ready once an effect on the world may begin: as soon as enough is left. Whoever waits is dropped where the lease is
    /// not renewed.
    pub async fn allows(&self) {
        let mut end = self.0.clone();
        let enough = |end: &Option<Instant>| end.is_none_or(|end| end > Instant::now() + MARGIN);
        if end.wait_for(enough).await.is_err() && !enough(&end.borrow()) {
            // Nobody renews it any more.
            std::future::pending::<()>().await;
        }
    }

    /// Ready once it is over.
    pub async fn over(&self) {
        let mut end = self.0.clone();
        loop {
            let until = *end.borrow_and_update();
            match until {
                Some(until) if until <= Instant::now() => return,
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    Ok(()) = end.changed() => {}
                },
                None if end.changed().await.is_err() => std::future::pending().await,
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn an_effect_begins_only_with_enough_of_the_lease_left() {
        let renewal = Renewal::new(Instant::now());
        let lease = renewal.lease();
        assert!(lease.is_over() && lease.allows().now_or_never().is_none());
        renewal.extend(Instant::now() + LEASE);
        assert!(!lease.is_over() && lease.allows().now_or_never().is_some());
        tokio::time::advance(LEASE - MARGIN).await;
        assert!(lease.allows().now_or_never().is_none() && lease.over().now_or_never().is_none());
        tokio::time::advance(MARGIN).await;
        assert!(lease.is_over() && lease.over().now_or_never().is_some());
        renewal.extend(Instant::now() + LEASE);
        lease.allows().await;
        // What was said first does not shorten what was said later.
        renewal.extend(Instant::now() + MARGIN);
        lease.allows().await;
        drop(renewal);
        tokio::time::advance(LEASE).await;
        lease.over().await;
        assert!(lease.allows().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_without_an_end_allows_everything() {
        let lease = Lease::endless();
        tokio::time::advance(LEASE * 1_000_000).await;
        lease.allows().await;
        assert!(!lease.is_over() && lease.over().now_or_never().is_none());
    }
}
