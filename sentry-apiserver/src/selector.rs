//! Label selectors.

use std::collections::BTreeSet;

use serde_json::Value;

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Need {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    Absent(String),
}

/// What an object's labels must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Need>);

impl Selector {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`; `None` if it is nothing of this kind.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut depth = 0;
        let parts = text.split(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        });
        let parts = parts.map(str::trim).filter(|part| !part.is_empty());
        parts.map(need).collect::<Option<Vec<_>>>().map(Self)
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        self.0.iter().all(|need| match need {
            Need::In(key, values) => label(key).is_some_and(|value| values.contains(value)),
            Need::NotIn(key, values) => label(key).is_none_or(|value| !values.contains(value)),
            Need::Exists(key) => label(key).is_some(),
            Need::Absent(key) => label(key).is_none(),
        })
    }
}

fn need(text: &str) -> Option<Need> {
    let one = |value: &str| BTreeSet::from([value.trim().to_owned()]);
    if let Some((left, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = left.split_whitespace();
        let key = words.next()?.to_owned();
        return match words.next()? {
            "in" => Some(Need::In(key, values)),
            "notin" => Some(Need::NotIn(key, values)),
            _ => None,
        };
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Need::NotIn(key.trim().to_owned(), one(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Need::In(key.trim().to_owned(), one(value)));
    }
    if text.contains(char::is_whitespace) {
        return None;
    }
    Some(match text.strip_prefix('!') {
        Some(key) => Need::Absent(key.to_owned()),
        None => Need::Exists(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_mean_what_kubernetes_means_by_them() {
        let object = json!({"metadata": {"labels": {"a/b": "1", "c": "2"}}});
        for (text, want) in [
            ("", true),
            ("a/b=1", true),
            ("a/b==2", false),
            ("a/b!=2,c", true),
            ("a/b in (1,9),c notin (3)", true),
            ("a/b in (2, 3)", false),
            ("d notin (1)", true),
            ("!d", true),
            ("!c", false),
        ] {
            assert_eq!(Selector::read(text).unwrap().matches(&object), want, "{text}");
        }
        assert_eq!(Selector::read("a near (b)"), None);
    }
}
