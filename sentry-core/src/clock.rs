//! Time is injected: timestamps come from [`Clock`], waits from tokio's timer, so that tests control both.

use std::fmt;

/// A point in time, shown as RFC 3339 in UTC.
pub use jiff::Timestamp;

/// Where stamps come from. Waits are never computed from it: a jump of the wall clock delays nothing.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The wall clock of this machine, in whole milliseconds: what it stamps is read by people.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
