//! Which params hold what a pusher chooses, in one place of an object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::variables;
use super::program::Container;
use super::refs;

/// Variables that reach a place, each with the param that carries it there.
pub(super) type Chosen = BTreeSet<(String, Option<String>)>;

/// True if any text of a document uses a variable that a pusher chooses.
pub(super) fn uses_chosen(value: &Value) -> bool {
    match value {
        Value::String(text) => variables::chosen_in(text).next().is_some(),
        Value::Array(items) => items.iter().any(uses_chosen),
        Value::Object(map) => map.values().any(uses_chosen),
        _ => false,
    }
}

/// What the params hold, by name: variables, each with the object's key that holds it.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope(BTreeMap<String, BTreeSet<(Option<String>, String)>>);

impl Scope {
    /// How many values it holds.
    pub(super) fn size(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// With params that are given values; a name that was there holds the new one.
    fn with(&self, params: &[Value], values: &Self) -> Self {
        let mut scope = self.clone();
        for param in params {
            let Some(name) = name_of(param) else { continue };
            scope.0.remove(name);
        }
        for (name, held) in &values.0 {
            scope.0.insert(name.clone(), held.clone());
        }
        scope
    }

    /// What params are given here.
    pub(super) fn given(&self, params: &[Value]) -> Self {
        let mut given = Self::default();
        for param in params {
            if let (Some(name), Some(value)) = (name_of(param), param.get("value")) {
                given.hold(name, self.held_by(value));
            }
        }
        given
    }

    fn hold(&mut self, name: &str, held: BTreeSet<(Option<String>, String)>) {
        if !held.is_empty() {
            self.0.entry(name.to_owned()).or_default().extend(held);
        }
    }

    pub(super) fn with_values(&self, params: &[Value]) -> Self {
        self.with(params, &self.given(params))
    }

    /// With the defaults of the params that a spec declares: they count beside what is given.
    pub(super) fn with_defaults(&self, spec: &Value) -> Self {
        let mut scope = self.clone();
        for param in refs::list(spec, "params") {
            if let (Some(name), Some(default)) = (name_of(param), param.get("default")) {
                scope.hold(name, self.held_by(default));
            }
        }
        scope
    }

    /// Inside a task of a pipeline: with its params, those of its matrix too.
    pub(super) fn with_task(&self, task: &Value) -> Self {
        let empty = Value::Null;
        let matrix = task.get("matrix").unwrap_or(&empty);
        let include = refs::list(matrix, "include").iter();
        let lists = [refs::list(task, "params"), refs::list(matrix, "params")];
        lists.into_iter().chain(include.map(|one| refs::list(one, "params"))).fold(
            self.clone(),
            |scope, params| {
                // Each is seen from outside of the task.
                scope.with(params, &self.given(params))
            },
        )
    }

    /// What a value holds: of a mapping, each key by itself.
    fn held_by(&self, value: &Value) -> BTreeSet<(Option<String>, String)> {
        let in_text = |text: &str| self.chosen_in(text).into_iter().map(|(variable, _)| variable);
        match value {
            Value::String(text) => in_text(text).map(|variable| (None, variable)).collect(),
            Value::Array(items) => items.iter().flat_map(|item| self.held_by(item)).collect(),
            Value::Object(map) => map
                .iter()
                .flat_map(|(key, item)| {
                    self.held_by(item)
                        .into_iter()
                        .map(move |(_, variable)| (Some(key.clone()), variable))
                })
                .collect(),
            _ => BTreeSet::new(),
        }
    }

    /// What a text holds: variables that stand in it, and those of its params.
    pub(super) fn chosen_in(&self, text: &str) -> Chosen {
        let mut chosen: Chosen =
            variables::chosen_in(text).map(|name| (name.to_owned(), None)).collect();
        for reference in references(text) {
            let Some((name, key)) = param_of(reference) else { continue };
            for (own, variable) in self.0.get(name).into_iter().flatten() {
                if key.is_none() || own.is_none() || key == own.as_deref() {
                    chosen.insert((variable.clone(), Some(name.to_owned())));
                }
            }
        }
        chosen
    }

    /// What an argument holds by way of the container's environment: `$(NAME)`, which the kubelet replaces.
    pub(super) fn chosen_in_environment(&self, container: Container<'_>, text: &str) -> Chosen {
        let mut environment: BTreeMap<&str, Chosen> = BTreeMap::new();
        for entry in container.env() {
            let value = entry.get("value").and_then(Value::as_str).unwrap_or_default();
            let Some(name) = name_of(entry) else { continue };
            let mut held = self.chosen_in(value);
            held.extend(references(value).filter_map(|r| environment.get(r)).flatten().cloned());
            environment.insert(name, held);
        }
        references(text).filter_map(|name| environment.get(name)).flatten().cloned().collect()
    }
}

fn name_of(holder: &Value) -> Option<&str> {
    holder.get("name").and_then(Value::as_str)
}

/// What stands in `$(…)`.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split("$(").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.trim()))
}

/// The param of a reference, and the key if it asks for one: `params.x`, `params.x.key`, `params.x[*]`, `params["x"]`,
/// `params['x'].key`, and each after `inputs.` or, for a matrix, `tasks.…` not at all.
fn param_of(reference: &str) -> Option<(&str, Option<&str>)> {
    let rest = reference.strip_prefix("inputs.").unwrap_or(reference).strip_prefix("params")?;
    let (name, rest) = if let Some(rest) = rest.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        rest.split_at(end)
    } else {
        let quote = rest.strip_prefix('[')?;
        let mark = quote.chars().next().filter(|c| "\"'".contains(*c))?;
        let (name, rest) = quote[1..].split_once(mark)?;
        (name, rest.strip_prefix(']')?)
    };
    let key = rest.strip_prefix('.').filter(|key| !key.is_empty());
    Some((name, key))
}
