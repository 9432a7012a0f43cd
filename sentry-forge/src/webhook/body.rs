//! What a verified body is asked: which repository it is about.

use std::fmt;

use sentry_core::repo::RepoPath;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Message, WebhookError};

/// Longer names of events are cut.
const NAME: usize = 40;

/// How a forge words what happened.
#[derive(Debug)]
pub(crate) enum Shape {
    /// The body reports a moved branch if it has these keys.
    Push(Keys),
    /// The body itself names its event: these report a moved branch, each with its keys.
    Named(&'static [(&'static str, Keys)]),
    Ping,
    Other(String),
}

/// Where a body names the repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) repo: &'static str,
    pub(crate) path: &'static str,
    /// A key that only bodies about branches and tags have.
    pub(crate) moved: &'static str,
}

impl Shape {
    /// An event that is about no branch.
    pub(crate) fn other(name: &str) -> Self {
        Self::Other(plain(name))
    }

    pub(super) fn read(self, head: &[u8]) -> Result<Message, WebhookError> {
        let keys = match self {
            Self::Ping => return Ok(Message::Ping),
            Self::Other(name) => return Ok(Message::Ignored(name)),
            Self::Push(keys) => keys,
            Self::Named(events) => {
                let Some(name) = event(head) else {
                    return Err(WebhookError::Unreadable("the body has no event_name"));
                };
                match events.iter().find(|(event, _)| *event == name) {
                    Some((_, keys)) => *keys,
                    None => return Ok(Message::Ignored(plain(&name))),
                }
            }
        };
        let found = Found::in_body(head, keys);
        let path = found.path.filter(|_| found.moved);
        let path =
            path.ok_or(WebhookError::Unreadable("the body names no branch of a repository"))?;
        let repo: Result<RepoPath, _> = path.parse();
        repo.map(|repo| Message::Hint { repo })
            .map_err(|_| WebhookError::Unreadable("the body's repository is not a path"))
    }
}

/// An event's name, fit for a log.
fn plain(name: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ');
    name.chars().take(NAME).filter(fits).collect()
}

/// The event that a body names.
fn event(head: &[u8]) -> Option<String> {
    const NONE: Keys = Keys { repo: "", path: "", moved: "" };
    Found::in_body(head, NONE).event
}

/// What was found in the head of a body. It may be cut off behind that.
#[derive(Debug, Default)]
struct Found {
    event: Option<String>,
    moved: bool,
    path: Option<String>,
}

impl Found {
    fn in_body(head: &[u8], keys: Keys) -> Self {
        let mut found = Self::default();
        let mut reader = serde_json::Deserializer::from_slice(head);
        // A body that is cut off, or broken behind what was looked for, is an error that says nothing.
        let _ = Top { found: &mut found, keys }.deserialize(&mut reader);
        found
    }
}

/// The body's own keys.
struct Top<'f> {
    found: &'f mut Found,
    keys: Keys,
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == self.keys.repo && self.found.path.is_none() {
                map.next_value_seed(Repo { path: &mut self.found.path, key: self.keys.path })?;
            } else if key == "event_name" {
                self.found.event = Some(map.next_value()?);
            } else {
                self.found.moved |= key == self.keys.moved;
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The path of the repository's object.
struct Repo<'f> {
    path: &'f mut Option<String>,
    key: &'static str,
}

impl<'de> DeserializeSeed<'de> for Repo<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Repo<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a repository")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == self.key && self.path.is_none() {
                *self.path = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
