//! The small things that stored records are made of.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use sentry_core::clock::Timestamp;
use sentry_core::closed_list::ClosedList;
use sentry_core::subject::{EventName, Subject};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Mirror;

/// A value that is stored as it is shown, and checked when it is read.
pub(super) struct Text<T>(T);

impl<T> Mirror<T> for Text<T> {
    fn of(value: T) -> Self {
        Self(value)
    }

    fn back(self) -> T {
        self.0
    }
}

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A subject by its reference, which no other one has.
pub(super) struct Reference(Subject);

impl Mirror<Subject> for Reference {
    fn of(value: Subject) -> Self {
        Self(value)
    }

    fn back(self) -> Subject {
        self.0
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.reference())
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Subject::at(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// An event by its name.
pub(super) struct Event(EventName);

impl Mirror<EventName> for Event {
    fn of(value: EventName) -> Self {
        Self(value)
    }

    fn back(self) -> EventName {
        self.0
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self(EventName::new(name)))
    }
}

/// A time with all nine digits, so that texts sort as times do.
pub(super) struct Stamp(Timestamp);

impl Mirror<Timestamp> for Stamp {
    fn of(value: Timestamp) -> Self {
        Self(value)
    }

    fn back(self) -> Timestamp {
        self.0
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.9}", self.0))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|text| Self(text.0))
    }
}

/// One word of a closed list.
pub(super) struct Word<T>(T);

impl<T: ClosedList> Mirror<T> for Word<T> {
    fn of(value: T) -> Self {
        Self(value)
    }

    fn back(self) -> T {
        self.0
    }
}

impl<T: ClosedList> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de, T: ClosedList> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value = T::from_word(&text);
        value.map(Self).ok_or_else(|| D::Error::custom(format!("unknown word {text:?}")))
    }
}

macro_rules! as_it_is {
    ($($kind:ty),*) => {
        $(impl Mirror<$kind> for $kind {
            fn of(value: $kind) -> Self {
                value
            }

            fn back(self) -> $kind {
                self
            }
        })*
    };
}
as_it_is!(bool, u32, u64, usize, String, Duration, BTreeSet<String>);

impl<T, M: Mirror<T>> Mirror<Option<T>> for Option<M> {
    fn of(value: Option<T>) -> Self {
        value.map(M::of)
    }

    fn back(self) -> Option<T> {
        self.map(M::back)
    }
}

impl<T, M: Mirror<T>> Mirror<Box<T>> for Box<M> {
    fn of(value: Box<T>) -> Self {
        Self::new(M::of(*value))
    }

    fn back(self) -> Box<T> {
        Box::new((*self).back())
    }
}

impl<T, M: Mirror<T>> Mirror<Vec<T>> for Vec<M> {
    fn of(value: Vec<T>) -> Self {
        value.into_iter().map(M::of).collect()
    }

    fn back(self) -> Vec<T> {
        self.into_iter().map(M::back).collect()
    }
}
