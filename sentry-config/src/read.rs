//! From the tree to the raw structures: every key and value that does not fit is reported, none stops the rest.

use std::collections::BTreeMap;

use crate::node::{Kind, Node};
use crate::place::{At, Place, join};
use crate::problem::Report;

/// What can be read from a node. `None` means that the reason was reported.
pub(crate) trait Read: Sized {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self>;
}

/// Reads a child; nothing if it is empty, was left out or does not fit.
fn child<T: Read>(node: &Node, path: String, report: &mut Report) -> Option<At<T>> {
    let place =
        Place { line: node.line, column: node.column, path, variable: node.variable.clone() };
    let value = match node.kind {
        Kind::Null => return None,
        Kind::Failed => None,
        _ => T::read(node, &place, report),
    };
    let Some(value) = value else {
        report.mark_bad(&place.path);
        return None;
    };
    let written = match &node.kind {
        Kind::Text { written, .. } => written.clone(),
        _ => None,
    };
    Some(At { value, place, written })
}

/// The document's root.
pub(crate) fn root<T: Read>(node: &Node, report: &mut Report) -> Option<T> {
    child(node, String::new(), report).map(|at| at.value)
}

pub(crate) fn wrong_type(
    node: &Node,
    place: &Place,
    wanted: &str,
    hint: &str,
    report: &mut Report,
) {
    report.error(place, format!("is {}, not {wanted}", node.describe()), hint);
}

/// A mapping whose keys are known.
pub(crate) struct Fields<'n> {
    entries: &'n [(crate::node::Key, Node)],
    path: String,
}

impl<'n> Fields<'n> {
    pub(crate) fn open(
        node: &'n Node,
        place: &Place,
        known: &[&str],
        report: &mut Report,
    ) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            wrong_type(
                node,
                place,
                "a mapping",
                &format!("indent its keys below it: {}", known.join(", ")),
                report,
            );
            return None;
        };
        let mut seen = BTreeMap::new();
        for (key, _) in entries {
            let at = key_place(key, &place.path);
            if !known.contains(&key.text.as_str()) {
                report.error(&at, "unknown key", &nearest_hint(&key.text, known));
            }
            if let Some(first) = seen.insert(&key.text, key.line) {
                report.error(
                    &at,
                    format!("appears twice, first on line {first}"),
                    "remove one of the two",
                );
            }
        }
        Some(Self { entries, path: place.path.clone() })
    }

    pub(crate) fn get<T: Read>(&self, key: &str, report: &mut Report) -> Option<At<T>> {
        let (_, node) = self.entries.iter().find(|(k, _)| k.text == key)?;
        child(node, join(&self.path, key), report)
    }
}

pub(crate) fn key_place(key: &crate::node::Key, parent: &str) -> Place {
    Place {
        line: key.line,
        column: key.column,
        path: join(parent, &key.text),
        variable: key.variable.clone(),
    }
}

/// `did you mean …?`, or all that would be right.
pub(crate) fn nearest_hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // A longer word is no slip of the pen, and comparing it would take its length squared.
    if word.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), *k))
        .filter(|(distance, k)| *distance <= (k.len() / 3).max(2) && *distance < k.len())
        .min()
        .map(|(_, k)| k)
}

impl Read for String {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        match &node.kind {
            Kind::Text { text, .. } if text.trim().is_empty() => {
                report.error(place, "is empty", "write a value, or remove the key");
                None
            }
            Kind::Text { text, .. } => Some(text.clone()),
            Kind::Number(_) | Kind::Bool(_) => {
                wrong_type(node, place, "a string", "write it in quotes", report);
                None
            }
            _ => {
                wrong_type(node, place, "a string", "write one value here", report);
                None
            }
        }
    }
}

impl Read for u32 {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let hint = "write a whole number such as 3";
        let text = match &node.kind {
            Kind::Number(text) => text,
            Kind::Text { text, written: Some(_) } => text,
            Kind::Text { text, .. } if node.variable.is_some() => text,
            _ => {
                wrong_type(node, place, "a number", hint, report);
                return None;
            }
        };
        let number = text.trim().parse().ok();
        if number.is_none() {
            report.error(place, "is not a whole number from 0 to 4294967295", hint);
        }
        number
    }
}

impl Read for u64 {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let text = match &node.kind {
            Kind::Number(text) | Kind::Text { text, .. } => text,
            _ => {
                wrong_type(node, place, "a number", "write a whole number", report);
                return None;
            }
        };
        let number = text.trim().parse().ok();
        if number.is_none() {
            report.error(
                place,
                "is not a whole number",
                "copy the number from the forge's settings page",
            );
        }
        number
    }
}

impl Read for bool {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let value = match &node.kind {
            Kind::Bool(value) => Some(*value),
            Kind::Text { text, written } if written.is_some() || node.variable.is_some() => {
                text.trim().parse().ok()
            }
            _ => None,
        };
        if value.is_none() {
            wrong_type(node, place, "true or false", "write true or false, without quotes", report);
        }
        value
    }
}

impl<T: Read> Read for Vec<At<T>> {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            wrong_type(node, place, "a list", "write each item on its own line after `- `", report);
            return None;
        };
        let read: Vec<_> = items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| {
                let path = format!("{}[{i}]", place.path);
                if matches!(item.kind, Kind::Null) {
                    let place =
                        Place { line: item.line, column: item.column, path, variable: None };
                    report.error(&place, "is empty", "write a value, or remove the item");
                    return None;
                }
                child(item, path, report)
            })
            .collect();
        (read.len() == items.len()).then_some(read)
    }
}

impl<T: Read> Read for BTreeMap<String, At<T>> {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            wrong_type(node, place, "a mapping", "write `name: value` below it", report);
            return None;
        };
        let mut map = Self::new();
        for (key, value) in entries {
            if let Some(at) = child(value, join(&place.path, &key.text), report)
                && map.insert(key.text.clone(), at).is_some()
            {
                report.error(
                    &key_place(key, &place.path),
                    "appears twice",
                    "remove one of the two",
                );
            }
        }
        Some(map)
    }
}
