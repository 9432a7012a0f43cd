//! Fills `${VAR}` and `${VAR:-default}` into the scalars of a parsed document: no value can change its structure.

use std::collections::BTreeMap;

use crate::environment::is_name;
use crate::node::{Kind, Node};
use crate::place::{Place, join};
use crate::problem::Report;

/// Where values come from: the environment first, then `.env`.
pub(crate) struct Variables<'a> {
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) dotenv: &'a BTreeMap<String, String>,
}

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.environment.get(name).or_else(|| self.dotenv.get(name)).map(String::as_str)
    }
}

/// Fills every scalar below a node. What came from a variable by an override is taken as it is.
pub(crate) fn fill(node: &mut Node, path: &str, variables: &Variables<'_>, report: &mut Report) {
    if node.variable.is_some() && !matches!(node.kind, Kind::Map(_) | Kind::List(_)) {
        return;
    }
    match &mut node.kind {
        Kind::Text { text, written } if text.contains("${") => match filled(text, variables) {
            Ok((value, had_reference)) => {
                let original = std::mem::replace(text, value);
                *written = had_reference.then_some(original);
            }
            Err((message, hint)) => {
                let place = Place {
                    line: node.line,
                    column: node.column,
                    path: path.to_owned(),
                    variable: None,
                };
                report.error(&place, message, &hint);
                node.kind = Kind::Failed;
            }
        },
        Kind::List(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                fill(item, &format!("{path}[{i}]"), variables, report);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries {
                fill(value, &join(path, &key.text), variables, report);
            }
        }
        _ => {}
    }
}

/// The text with its references replaced, and whether it had any; or a message and a hint. `$${` stands for `${` itself.
fn filled(text: &str, variables: &Variables<'_>) -> Result<(String, bool), (String, String)> {
    let mut out = String::new();
    let mut had_reference = false;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start]);
            out.push('{');
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        had_reference = true;
        let Some(end) = rest[start..].find('}').map(|i| start + i) else {
            return Err((
                "has a `${` without a closing `}`".into(),
                "close it, or write `$${` for a literal `${`".into(),
            ));
        };
        let (name, default) = match rest[start + 2..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&rest[start + 2..end], None),
        };
        if !is_name(name) {
            let hint = "write ${NAME} or ${NAME:-default}; `$${` is a literal `${`";
            return Err(("has a `${…}` without a variable name".into(), hint.into()));
        }
        match (variables.get(name), default) {
            (Some(value), None) => out.push_str(value),
            (Some(value), Some(_)) if !value.is_empty() => out.push_str(value),
            (_, Some(default)) => out.push_str(default),
            (None, None) => {
                let hint = format!(
                    "set {name} in the environment or in `.env` next to this file, or provide a \
                     default: ${{{name}:-…}}"
                );
                return Err((format!("environment variable {name} is not set"), hint));
            }
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok((out, had_reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_text(text: &str) -> Result<String, String> {
        let environment = [("A", "1"), ("EMPTY", ""), ("X", "x: {y: ${A}}")];
        let environment = environment.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let dotenv = [("A", "dot"), ("B", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        filled(text, &Variables { environment: &environment, dotenv: &dotenv })
            .map(|(text, _)| text)
            .map_err(|e| e.0)
    }

    #[test]
    fn the_environment_comes_before_dotenv_and_defaults_last() {
        assert_eq!(fill_text("${A}/${B}/${C:-3}/${EMPTY:-4}[${EMPTY}]").unwrap(), "1/2/3/4[]");
        assert_eq!(fill_text("$A $${A} $ {A} ${C:-}").unwrap(), "$A ${A} $ {A} ");
    }

    #[test]
    fn a_value_is_not_read_again() {
        assert_eq!(fill_text("${X}").unwrap(), "x: {y: ${A}}");
    }

    #[test]
    fn what_can_not_be_filled_is_told() {
        assert_eq!(fill_text("${C}").unwrap_err(), "environment variable C is not set");
        assert!(
            fill_text("${A").is_err() && fill_text("${}").is_err() && fill_text("${a-b}").is_err()
        );
    }
}
