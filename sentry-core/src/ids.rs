//! The ids of what is kept: deliveries, triggers, notices. Each is a ULID: 26 characters of lower-case Crockford base32,
//! sorted by time. <https://github.com/ulid/spec>

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::repo::ParseError;

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A kind of id.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A new id for the given time; `random` makes it unique.
            #[must_use]
            pub fn new(at: Timestamp, random: u128) -> Self {
                Self::of(value(at, random))
            }

            /// An id by its 128 bits.
            pub(crate) fn of(value: u128) -> Self {
                let digit = |i: u32| char::from(DIGITS[((value >> (5 * (25 - i))) & 31) as usize]);
                Self((0..26).map(digit).collect::<String>().into())
            }

            /// The id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                if !is_ulid(text) {
                    return Err(ParseError::new($what, text, "not 26 characters of 0-9 and a-z"));
                }
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A delivery's id. Those of one state sort in the order the deliveries were started, whatever the clock said.
    DeliveryId, "delivery id"
}
id! {
    /// A trigger's id.
    TriggerId, "trigger id"
}
id! {
    /// A notice's id: the same whenever it is sent again, and in the order of the decisions.
    NoticeId, "notice id"
}

/// The time in milliseconds, then 80 random bits.
fn value(at: Timestamp, random: u128) -> u128 {
    let millis = u128::try_from(at.as_millisecond()).unwrap_or(0) & ((1 << 48) - 1);
    (millis << 80) | (random & ((1 << 80) - 1))
}

/// The 128 bits of an id.
pub(crate) fn bits(id: &str) -> u128 {
    let digit = |c: u8| DIGITS.iter().position(|digit| *digit == c).unwrap_or_default();
    id.bytes().fold(0, |bits, c| (bits << 5) | digit(c) as u128)
}

fn is_ulid(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|c| DIGITS.contains(&c))
}

/// Makes ids that sort behind all before them, also within one millisecond and under a clock that was set back. The steps are
/// random: of two processes that go on after the same id none makes one of the other's.
#[derive(Debug, Default)]
pub(crate) struct Sequence(Option<u128>);

impl Sequence {
    /// What is kept already comes before every new id.
    pub(crate) fn go_on_after(&mut self, kept: Option<u128>) {
        self.0 = self.0.max(kept);
    }

    /// The bits of the next id.
    pub(crate) fn next(&mut self, at: Timestamp, random: u128) -> u128 {
        let value = value(at, random);
        let step = 1 + (random & u128::from(u64::MAX));
        *self.0.insert(self.0.map_or(value, |newest| value.max(newest.wrapping_add(step))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let early = DeliveryId::new(at(1_700_000_000_000), u128::MAX);
        let late = DeliveryId::new(at(1_700_000_000_001), 0);
        assert!(early < late);
        assert_eq!(early.as_str().parse::<DeliveryId>().unwrap(), early);
        assert_eq!(DeliveryId::of(bits(early.as_str())), early);
        assert_eq!(early.as_str().len(), 26);
        for bad in ["01hf7yat00", "01hf7yat00000000000000000u", "01HF7YAT000000000000000000"] {
            assert!(bad.parse::<DeliveryId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_next_id_sorts_behind_the_one_before_in_the_same_millisecond_and_under_a_clock_set_back() {
        let now = 1_700_000_000_000;
        for before in [0, 1, u128::from(u64::MAX), u128::MAX] {
            let before = DeliveryId::new(at(now), before);
            let behind = || {
                let mut ids = Sequence::default();
                ids.go_on_after(Some(bits(before.as_str())));
                ids
            };
            for (ms, random) in [(now, 0), (now, u128::MAX), (now - 86_400_000, 7), (0, 0)] {
                let mut ids = behind();
                let next = DeliveryId::of(ids.next(at(ms), random));
                assert!(next > before, "{before} {next}");
                assert_eq!(next.as_str().parse::<DeliveryId>().unwrap(), next);
                assert!(DeliveryId::of(ids.next(at(ms), random)) > next);
            }
            assert_eq!(behind().next(at(now + 1), 5), value(at(now + 1), 5));
        }
    }

    #[test]
    fn of_two_that_go_on_after_the_same_id_under_a_clock_set_back_none_makes_one_of_the_others() {
        let newest = value(at(1_700_000_000_000), 7);
        let go_on = |seed| {
            let (mut ids, mut random) = (Sequence::default(), fastrand::Rng::with_seed(seed));
            ids.go_on_after(Some(newest));
            (0..1000).map(|_| ids.next(at(0), random.u128(..))).collect::<Vec<_>>()
        };
        let (one, other) = (go_on(1), go_on(2));
        assert!(one.is_sorted() && one.iter().all(|id| *id > newest && !other.contains(id)));
    }
}
