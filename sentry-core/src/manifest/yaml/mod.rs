//! One document of YAML to JSON, as kubectl makes it or not at all: `events` (the parser, within budgets; `source`: what
//! parsers differ about) → `compose` (aliases, merge keys, keys) → `scalar`.

mod compose;
mod events;
mod scalar;
mod source;

use std::cell::Cell;

use serde_json::Value;

use super::parse::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES};

/// Anchors, and aliases, of one document.
const MAX_ALIASES: usize = 100;
/// Bytes of all texts of all files, aliases expanded.
const MAX_TEXT_BYTES: usize = 8 << 20;

/// What all documents have used of the budget, aliases expanded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    nodes: usize,
    text: usize,
}

impl Spent {
    /// True if nothing more may be read.
    pub(super) fn is_all(self) -> bool {
        self.nodes > MAX_NODES || self.text > MAX_TEXT_BYTES
    }
}

/// A place in a document, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why a document can't be read: what is wrong, and what to do.
#[derive(Debug)]
pub(super) struct Why {
    pub(super) what: String,
    pub(super) remedy: &'static str,
    pub(super) sort: Sort,
}

/// Who can't read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Nobody: it is no YAML, or has keys that JSON can't have.
    Broken,
    /// Sentry: kubectl may, but readers differ.
    Unclear,
    /// Sentry: it is over a budget.
    TooMuch,
}

impl Why {
    pub(super) fn unclear(what: impl Into<String>, remedy: &'static str) -> Self {
        Self { what: what.into(), remedy, sort: Sort::Unclear }
    }

    fn broken(what: impl Into<String>, remedy: &'static str) -> Self {
        Self { what: what.into(), remedy, sort: Sort::Broken }
    }

    fn too_much(what: String) -> Self {
        Self { what, remedy: "keep less in one document", sort: Sort::TooMuch }
    }

    fn too_deep() -> Self {
        Self::too_much(format!("more than {MAX_DEPTH} mappings and lists inside each other"))
    }

    pub(super) fn at(self, at: At) -> Fault {
        Fault { why: self, at }
    }
}

/// Why a document can't be read, and the place.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) why: Why,
    pub(super) at: At,
}

/// Reads one document.
pub(super) fn read(text: &str, spent: &Cell<Spent>) -> Result<Value, Fault> {
    let events = events::collect(text)?;
    compose::compose(&events, spent)
}
