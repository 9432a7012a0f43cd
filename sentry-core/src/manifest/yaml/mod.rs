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
        Self::too_much(format!("more than {MAX_DEPTH} nested mappings and lists"))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(text: &str) -> Option<(usize, usize)> {
        read(text, &Cell::default()).err().map(|Fault { at, .. }| (at.line, at.column))
    }

    #[test]
    fn a_document_is_read_while_the_budget_of_all_lasts_and_takes_its_part_of_it() {
        for (nodes, text, is_read) in [
            (0, 0, true),
            (MAX_NODES - 3, 0, true),
            (MAX_NODES - 2, 0, false),
            (0, MAX_TEXT_BYTES - 4, true),
            (0, MAX_TEXT_BYTES - 3, false),
        ] {
            let spent = Cell::new(Spent { nodes, text });
            assert_eq!(read("[ab, cd]", &spent).is_ok(), is_read, "{nodes} {text}");
            if is_read {
                assert_eq!((spent.get().nodes, spent.get().text), (nodes + 3, text + 4));
            }
        }
    }

    #[test]
    fn each_limit_of_a_document_is_met_at_its_edge() {
        let many = |part: &str, times: usize| part.repeat(times);
        let anchors =
            |count: usize| -> String { (0..count).map(|n| format!("- &a{n} x\n")).collect() };
        let aliases = |count: usize| format!("- &a x\n{}", many("- *a\n", count));
        let texts = |bytes: usize| {
            format!("- &a {}\n- *a\n- {}\n", many("x", 1000), many("y", bytes - 2000))
        };
        // As deep as an alias leads, not as it is written.
        let deep = |depth: usize| {
            let (open, close) = (many("[", depth - 40), many("]", depth - 40));
            format!("- &a {}1{}\n- {open}*a{close}\n", many("[", 39), many("]", 39))
        };
        for (what, text, most) in [
            ("nodes", (&|n: usize| many("- a\n", n - 1)) as &dyn Fn(usize) -> String, MAX_NODES),
            ("anchors", &anchors, MAX_ALIASES),
            ("aliases", &aliases, MAX_ALIASES),
            ("texts", &texts, MAX_FILE_BYTES),
            ("depth", &deep, MAX_DEPTH),
        ] {
            assert_eq!(fault(&text(most)), None, "{what}");
            let fault = read(&text(most + 1), &Cell::default()).unwrap_err();
            assert_eq!(fault.why.sort, Sort::TooMuch, "{what}");
            assert!(
                !fault.why.what.contains("all documents together"),
                "{what}: {}",
                fault.why.what
            );
        }
    }

    #[test]
    fn a_fault_is_told_where_it_stands() {
        for (text, at) in [
            ("a: 1\nb: .nan\n", (2, 4)),
            ("a: {b: 1, b: 2}\n", (1, 11)),
            ("a: !foo x\n", (1, 9)),
            ("- &a.b x\n", (1, 3)),
        ] {
            assert_eq!(fault(text), Some(at), "{text}");
        }
    }

    #[test]
    fn a_tab_may_stand_in_a_text_or_in_brackets_and_not_before_them() {
        for (text, at) in [
            ("a: |\n  x\n  \ty\nb: 1\n", None),
            ("a: 'x\n  \ty'\nb: 1\n", None),
            ("a: [x,\n  \ty]\nb: 1\n", None),
            ("a: [x, [y],\n  \tz]\nb: 1\n", None),
            ("a: x\ty\n", None),
            ("a:\n  - \tb\n", Some((2, 5))),
            ("a: 'x\n  y'\n\t\nb: 1\n", Some((3, 1))),
            ("a: [x]\n\t\nb: 1\n", Some((2, 1))),
            ("a: |\n  x\n  \ty\nb:\n  - \tc\n", Some((5, 5))),
        ] {
            assert_eq!(fault(text), at, "{text:?}");
        }
    }

    #[test]
    fn what_may_be_misread_in_brackets_is_no_matter_outside_of_them_and_in_values() {
        for (text, value) in [
            ("a: b?c\n", json!({"a": "b?c"})),
            ("{a: \"b\n  c\", d: 1}\n", json!({"a": "b c", "d": 1})),
            ("[\"b\n  c\", \"d\n  e\"]\n", json!(["b c", "d e"])),
            ("{a : \"b\n  c\"}\n", json!({"a": "b c"})),
            ("{m: &a_b-c 1, o: *a_b-c}\n", json!({"m": 1, "o": 1})),
            ("\"\\x4f\\nab\"\n", json!("O\nab")),
        ] {
            assert_eq!(read(text, &Cell::default()).ok(), Some(value), "{text}");
        }
        for text in ["{\"a\" \n  : 1}\n", "{\"a\nb\": 1}\n"] {
            assert!(fault(text).is_some(), "{text}");
        }
    }
}
