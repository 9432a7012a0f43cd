//! `SENTRY__…` variables over the file: `SENTRY__WATCHES__0__SOURCE__BRANCHES=main` sets `watches[0].source.branches`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::node::{Key, Kind, Node};
use crate::place::Place;
use crate::problem::Report;

const PREFIX: &str = "SENTRY__";

/// Puts every override into the tree. Whether its key exists is seen when the tree is read.
/// Variables that start with a single underscore belong to other software and are left alone.
pub(crate) fn apply(root: &mut Node, vars: &BTreeMap<String, String>, report: &mut Report) {
    for (name, value) in vars {
        let Some(keys) = name.strip_prefix(PREFIX) else { continue };
        let variable: Arc<str> = name.as_str().into();
        let keys: Vec<String> = keys.split("__").map(str::to_ascii_lowercase).collect();
        if let Err((path, message)) = set(root, &keys, value, &variable) {
            let place = Place { line: 0, column: 0, path, variable: Some(Arc::clone(&variable)) };
            let hint = "separate keys with two underscores; list items are counted from 0";
            report.error(&place, message, hint);
        }
    }
}

type Rejected = (String, &'static str);

fn set(root: &mut Node, keys: &[String], value: &str, variable: &Arc<str>) -> Result<(), Rejected> {
    let mut node = root;
    let mut path = String::new();
    for key in keys {
        if key.is_empty() {
            return Err((path, "has an empty part"));
        }
        if matches!(node.kind, Kind::Null) {
            let empty =
                if key.parse::<usize>().is_ok() { Kind::List(vec![]) } else { Kind::Map(vec![]) };
            *node = Node::from_variable(empty, variable);
        }
        node = match &mut node.kind {
            Kind::Map(entries) => {
                let index =
                    entries.iter().position(|(k, _)| same(&k.text, key)).unwrap_or_else(|| {
                        let new = Key {
                            text: key.clone(),
                            line: 0,
                            column: 0,
                            variable: Some(Arc::clone(variable)),
                        };
                        entries.push((new, Node::from_variable(Kind::Null, variable)));
                        entries.len() - 1
                    });
                let (key, value) = &mut entries[index];
                path = crate::place::join(&path, &key.text);
                value
            }
            Kind::List(items) => {
                let index = key.parse::<usize>().ok().filter(|i| *i <= items.len());
                let index = index.ok_or_else(|| (path.clone(), "is not an item of this list"))?;
                if index == items.len() {
                    items.push(Node::from_variable(Kind::Null, variable));
                }
                path = format!("{path}[{index}]");
                &mut items[index]
            }
            _ => return Err((path, "has no keys below it")),
        };
    }
    *node = Node::from_variable(Kind::Text { text: value.to_owned(), written: None }, variable);
    Ok(())
}

/// Variables hold neither dashes nor, by custom, lower-case letters.
fn same(key: &str, part: &str) -> bool {
    key.to_ascii_lowercase().replace('-', "_") == *part
}
