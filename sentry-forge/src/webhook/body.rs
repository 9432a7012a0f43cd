//! What a verified body is asked: which repository it is about.

use std::fmt;

use http::HeaderMap;
use sentry_core::repo::RepoPath;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Message, Refused, header};

/// Longer names of events are cut.
const NAME: usize = 40;

/// How a forge words what happened.
#[derive(Debug)]
pub(super) enum Shape {
    /// The body tells of a moved branch, if it holds these keys.
    Push(Keys),
    /// The body itself says which event it is: GitLab's system hooks.
    System,
    Ping,
    Other(String),
}

/// Where a body names the repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    repo: &'static str,
    path: &'static str,
    /// A key that only bodies about branches and tags have.
    moved: &'static str,
}

const GITHUB: Keys = Keys { repo: "repository", path: "full_name", moved: "ref" };
const GITLAB: Keys = Keys { repo: "project", path: "path_with_namespace", moved: "ref" };

impl Shape {
    /// By `X-GitHub-Event`; it is not signed, so the body must fit it.
    pub(super) fn github(headers: &HeaderMap) -> Self {
        match header(headers, "x-github-event").unwrap_or_default() {
            "push" | "create" | "delete" => Self::Push(GITHUB),
            "ping" => Self::Ping,
            other => Self::Other(plain(other)),
        }
    }

    /// By `X-Gitlab-Event`; GitLab tells new and deleted branches as pushes.
    pub(super) fn gitlab(headers: &HeaderMap) -> Self {
        match header(headers, "x-gitlab-event").unwrap_or_default() {
            "Push Hook" => Self::Push(GITLAB),
            "System Hook" => Self::System,
            other => Self::Other(plain(other)),
        }
    }

    pub(super) fn read(self, head: &[u8]) -> Result<Message, Refused> {
        let keys = match self {
            Self::Ping => return Ok(Message::Ping),
            Self::Other(name) => return Ok(Message::Ignored(name)),
            Self::Push(keys) => keys,
            Self::System => {
                let found = Found::in_body(head, GITLAB);
                match found.event.as_deref() {
                    Some("push") => GITLAB,
                    Some("repository_update") => Keys { moved: "refs", ..GITLAB },
                    Some(other) => return Ok(Message::Ignored(plain(other))),
                    None => {
                        return Err(Refused::Unreadable("a system hook's body has no event_name"));
                    }
                }
            }
        };
        let found = Found::in_body(head, keys);
        let path = found.path.filter(|_| found.moved);
        let path =
            path.ok_or(Refused::Unreadable("the body tells of no branch of a repository"))?;
        let repo: Result<RepoPath, _> = path.parse();
        repo.map(|repo| Message::Hint { repo })
            .map_err(|_| Refused::Unreadable("the body's repository is no path"))
    }
}

/// An event's name, fit for a log.
fn plain(name: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ');
    name.chars().take(NAME).filter(fits).collect()
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
