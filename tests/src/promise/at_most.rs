//! What a promise limits: times, bytes, and how much more than usual.

use std::fmt;
use std::time::Duration;

/// A promise's own limit. A full run is held to it; a small one shares its machine with a hundred other tests, and what it
/// takes says nothing of the promise.
#[derive(Debug, Clone, Copy)]
pub struct AtMost {
    most: f64,
    room: f64,
    unit: &'static str,
}

impl AtMost {
    /// At most so many seconds.
    #[must_use]
    pub const fn seconds(most: f64) -> Self {
        Self { most, room: 0.0, unit: "s" }
    }

    /// At most so many KiB.
    #[must_use]
    pub const fn kib(most: f64) -> Self {
        Self { most, room: 0.0, unit: "KiB" }
    }

    /// At most so many times as much as usual.
    #[must_use]
    pub const fn times(most: f64) -> Self {
        Self { most, room: 0.0, unit: "times" }
    }

    /// What the machine may take besides: the page shows it beside the limit.
    #[must_use]
    pub const fn with_room(self, room: f64) -> Self {
        Self { room, ..self }
    }

    /// Holds a full run to the limit.
    ///
    /// # Panics
    /// In a full run, if it was more.
    #[track_caller]
    pub fn hold(&self, what: &str, seen: f64) {
        assert!(!super::full() || self.keeps(seen), "{what}: {}", self.told(seen));
    }

    /// As [`Self::hold`], for what took a time.
    ///
    /// # Panics
    /// In a full run, if it was more.
    #[track_caller]
    pub fn hold_time(&self, what: &str, took: Duration) {
        self.hold(what, took.as_secs_f64());
    }

    fn keeps(&self, seen: f64) -> bool {
        seen <= self.most + self.room
    }

    /// What was seen beside the limit, as the page shows it: `2.7 s of 4 s`.
    #[must_use]
    pub fn told(&self, seen: f64) -> String {
        format!("{seen:.1} {} of {self}", self.unit)
    }

    /// As [`Self::told`], for what took a time.
    #[must_use]
    pub fn told_time(&self, took: Duration) -> String {
        self.told(took.as_secs_f64())
    }
}

impl fmt::Display for AtMost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { most, room, unit } = self;
        write!(f, "{most} {unit}")?;
        if *room > 0.0 { write!(f, " and {room} {unit} of room for the machine") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_with_its_room_and_not_beyond_and_the_room_is_shown() {
        let limit = AtMost::seconds(10.0).with_room(2.0);
        assert!(limit.keeps(12.0) && !limit.keeps(12.01));
        assert_eq!(limit.told(10.14), "10.1 s of 10 s and 2 s of room for the machine");
        assert_eq!(AtMost::kib(8192.0).told(572.0), "572.0 KiB of 8192 KiB");
    }
}
