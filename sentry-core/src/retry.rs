//! What to do after an error: errors carry the advice as data, the engine obeys it. Pure.

use std::time::Duration;

/// The advice that an error of a port carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It passes on its own, as an outage does: try again after an exponentially growing, jittered wait, however often.
    Backoff,
    /// The same, not before this time has passed (Retry-After, a rate limit's reset).
    After(Duration),
    /// It may pass, as a full quota does, or not: try again as with [`Retry::Backoff`], but only so often, and then
    /// look at it now and then ([`look`]).
    Counted,
    /// It is definite: nothing will change until a person acts, so do not retry.
    Stalled,
}

/// How long after the `times`th time (from 1) that something was parked, it is retried: 1 minute, 5, then 10
/// each time.
#[must_use]
pub fn look(times: u32) -> Duration {
    let minutes = match times {
        0 | 1 => 1,
        2 => 5,
        _ => 10,
    };
    Duration::from_secs(minutes * 60)
}

/// Exponential waits with full jitter: attempt `n` waits a random time up to `base * 2^n`, at most `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(2), cap: Duration::from_secs(300) }
    }
}

/// The longest time that a server's Retry-After is obeyed for: one hour.
pub const AFTER_CAP: Duration = Duration::from_secs(3600);

impl Backoff {
    /// The longest wait before the attempt that follows `failures` failed ones (1 for the first).
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 2u32.saturating_pow(failures.saturating_sub(1).min(20));
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// The wait before the next attempt; `None` when the advice is to stop.
    ///
    /// `failures` counts the failed attempts in a row, this one included; `random` lies in `0.0..1.0`.
    #[must_use]
    pub fn wait(&self, advice: Retry, failures: u32, random: f64) -> Option<Duration> {
        match advice {
            Retry::Stalled => None,
            Retry::After(least) => {
                let spread = self.base.mul_f64(random.clamp(0.0, 1.0));
                Some(least.min(AFTER_CAP) + spread)
            }
            Retry::Backoff | Retry::Counted => {
                let ceiling = self.ceiling(failures);
                // Full jitter with a floor, so that a row of small draws is no busy loop.
                Some(ceiling.mul_f64(random.clamp(0.0, 1.0)).max(self.base / 4))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_two_seconds_up_to_five_minutes() {
        let b = Backoff::default();
        let seconds: Vec<u64> = (1..=10).map(|n| b.ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(b.ceiling(u32::MAX), b.cap);
    }

    #[test]
    fn what_was_given_up_is_looked_at_after_one_five_and_then_every_ten_minutes() {
        let minutes: Vec<u64> = (1..=5).map(|times| look(times).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 5, 10, 10, 10]);
    }

    #[test]
    fn retry_after_is_never_early_and_never_over_an_hour() {
        let b = Backoff::default();
        let half = b.wait(Retry::After(Duration::from_secs(30)), 1, 0.5).unwrap();
        assert_eq!(half, Duration::from_secs(31));
        let huge = b.wait(Retry::After(Duration::MAX), 1, 0.0).unwrap();
        assert_eq!(huge, AFTER_CAP);
    }

    #[test]
    fn a_stalled_error_is_not_retried_and_jitter_never_spins() {
        let b = Backoff::default();
        assert_eq!(b.wait(Retry::Stalled, 1, 0.5), None);
        assert_eq!(b.wait(Retry::Backoff, 5, 0.0), Some(Duration::from_millis(500)));
    }
}
