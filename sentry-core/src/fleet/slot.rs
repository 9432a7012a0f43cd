//! The words of the fleet.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::names::Namespace;
use crate::repo::ParseError;

/// One part of a state: all watches whose runs go to the same namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// How many there are. It is the same for ever: the state knows slots by their numbers.
    pub const COUNT: u8 = 64;

    /// The slot of a number below [`Slot::COUNT`].
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// The slot of all that goes to a namespace of a cluster: the first six bits of the SHA-256 of both. `cluster` is what all
    /// processes call it alike, whatever the contexts in their kubeconfigs are named.
    #[must_use]
    pub fn of(cluster: &str, namespace: &Namespace) -> Self {
        let hash = Sha256::new().chain_update(cluster).chain_update([0]);
        Self(hash.chain_update(namespace.as_str()).finalize()[0] >> 2)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some of the slots.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotSet(u64);

impl SlotSet {
    /// The set whose slots' bits are set, the lowest bit for slot 0.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of [`SlotSet::from_bits`].
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether it has the slot.
    #[must_use]
    pub fn contains(self, slot: Slot) -> bool {
        self.0 >> slot.0 & 1 == 1
    }

    /// How many it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// True if it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Its slots, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Slot> {
        Slot::all().filter(move |slot| self.contains(*slot))
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        Self(slots.into_iter().fold(0, |bits, slot| bits | 1 << slot.0))
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Slot::number)).finish()
    }
}

/// A random id of 128 bits, as 32 hex digits.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// One of these 128 bits, which must be random.
            #[must_use]
            pub fn new(random: u128) -> Self {
                Self(format!("{random:032x}").into())
            }

            /// Its digits.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if text.len() == 32 && text.bytes().all(is_digit) {
                    return Ok(Self(text.into()));
                }
                Err(ParseError::new($what, text, "not 32 digits of 0-9 and a-f"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

random_id! {
    /// One taking of a slot. Terms are compared for equality and nothing else: a database that forgot a takeover when it
    /// failed over still names one owner.
    Term, "term"
}
random_id! {
    /// A process, from its start to its end.
    MemberId, "member id"
}

impl MemberId {
    /// Half of its bits.
    pub(super) fn bits(&self) -> u64 {
        self.0
            .bytes()
            .take(16)
            .fold(0, |bits, digit| bits << 4 | char::from(digit).to_digit(16).map_or(0, u64::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_keeps_its_slot_across_versions_and_names_are_not_run_together() {
        let slot = |cluster: &str, namespace: &str| {
            Slot::of(cluster, &namespace.parse().unwrap()).number()
        };
        // Kept in databases: these must never change.
        assert_eq!(slot("https://10.0.0.1:6443", "qa"), 31);
        assert_eq!(slot("https://10.0.0.1:6443", "team-payments"), 18);
        assert_ne!(Slot::of("ab", &"c".parse().unwrap()), Slot::of("a", &"bc".parse().unwrap()));
    }

    #[test]
    fn a_set_has_what_it_was_made_of_and_its_bits_make_it_again() {
        let numbers = [0, 5, 63];
        let set: SlotSet = numbers.iter().filter_map(|n| Slot::new(*n)).collect();
        assert_eq!(set.iter().map(Slot::number).collect::<Vec<_>>(), numbers);
        assert_eq!((set.len(), set.is_empty(), SlotSet::default().is_empty()), (3, false, true));
        assert_eq!(SlotSet::from_bits(set.bits()), set);
        assert_eq!(Slot::all().collect::<SlotSet>().bits(), u64::MAX);
        assert_eq!(Slot::new(64), None);
    }

    #[test]
    fn ids_read_back_and_nothing_else_does() {
        for random in [0, 1, u128::MAX] {
            let term = Term::new(random);
            assert_eq!(term.as_str().parse::<Term>().unwrap(), term);
        }
        for bad in ["", "0", &"g".repeat(32), &"A".repeat(32), &"0".repeat(33)] {
            assert!(bad.parse::<MemberId>().is_err(), "{bad}");
        }
    }
}
