//! The small things that stored records are made of.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Cause, DeliveryState, RunState, Verdict};
use sentry_core::forge::StatusState;
use sentry_core::plan::Action;
use sentry_core::subject::{EventName, Subject};
use sentry_core::subscription::{Occasion, Route};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DtoError, Mirror};

/// A value that is stored as it is shown, and checked when it is read.
pub(super) struct Text<T>(T);

impl<T> Mirror<T> for Text<T> {
    fn of(value: T) -> Result<Self, DtoError> {
        Ok(Self(value))
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
    fn of(value: Subject) -> Result<Self, DtoError> {
        Ok(Self(value))
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
    fn of(value: EventName) -> Result<Self, DtoError> {
        Ok(Self(value))
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
    fn of(value: Timestamp) -> Result<Self, DtoError> {
        Ok(Self(value))
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

/// A closed list of words.
pub(super) trait Words: Copy + PartialEq + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
}

impl Words for Cause {
    const ALL: &'static [Self] = &[Self::Change, Self::Manual, Self::Webhook, Self::Rerun];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Words for DeliveryState {
    const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Fetching,
        Self::Checking,
        Self::Applying,
        Self::Following,
        Self::Succeeded,
        Self::NothingRan,
        Self::Failed,
        Self::Superseded,
        Self::Parked,
    ];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Words for Action {
    const ALL: &'static [Self] = &[
        Self::Created,
        Self::Configured,
        Self::Unchanged,
        Self::Exists,
        Self::Skipped,
        Self::Queued,
        Self::Failed,
    ];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Words for RunState {
    const ALL: &'static [Self] = &[
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Gone,
        Self::Unfollowed,
    ];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Words for Verdict {
    const ALL: &'static [Self] = &[Self::Success, Self::Failure, Self::Error];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Words for StatusState {
    const ALL: &'static [Self] =
        &[Self::Pending, Self::Success, Self::Failure, Self::Error, Self::Neutral];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Words for Route {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Words for Occasion {
    const ALL: &'static [Self] =
        &[Self::Failure, Self::Recovery, Self::FirstSuccess, Self::Success, Self::Test];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// One word of a closed list. One that is not on the list is refused when it is written, not when it is read.
pub(super) struct Word<T>(T);

impl<T: Words> Mirror<T> for Word<T> {
    fn of(value: T) -> Result<Self, DtoError> {
        let known = T::ALL.contains(&value);
        known.then_some(Self(value)).ok_or_else(|| DtoError::NoWord(format!("`{}`", value.word())))
    }

    fn back(self) -> T {
        self.0
    }
}

impl<T: Words> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl<'de, T: Words> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value = T::ALL.iter().copied().find(|v| v.word() == text);
        value.map(Self).ok_or_else(|| D::Error::custom(format!("unknown word {text:?}")))
    }
}

macro_rules! as_it_is {
    ($($kind:ty),*) => {
        $(impl Mirror<$kind> for $kind {
            fn of(value: $kind) -> Result<Self, DtoError> {
                Ok(value)
            }

            fn back(self) -> $kind {
                self
            }
        })*
    };
}
as_it_is!(bool, u32, u64, usize, String, Duration);

impl<T, M: Mirror<T>> Mirror<Option<T>> for Option<M> {
    fn of(value: Option<T>) -> Result<Self, DtoError> {
        value.map(M::of).transpose()
    }

    fn back(self) -> Option<T> {
        self.map(M::back)
    }
}

impl<T, M: Mirror<T>> Mirror<Vec<T>> for Vec<M> {
    fn of(value: Vec<T>) -> Result<Self, DtoError> {
        value.into_iter().map(M::of).collect()
    }

    fn back(self) -> Vec<T> {
        self.into_iter().map(M::back).collect()
    }
}
