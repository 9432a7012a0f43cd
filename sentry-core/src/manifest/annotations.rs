//! What Pipelines-as-Code's annotations hold, read as it reads them.

use serde_json::{Map, Value};

/// What every annotation and label of Pipelines-as-Code starts with.
pub(super) const PREFIX: &str = "pipelinesascode.tekton.dev/";

/// The annotations of an object's metadata that Pipelines-as-Code reads, by their names without the prefix.
#[derive(Debug, Default)]
pub(super) struct Annotations(Vec<(String, String)>);

impl Annotations {
    /// Those of a document. A value that is no text is left out: the policy refuses it where it matters.
    pub(super) fn of(document: &Value) -> Self {
        let map = document.pointer("/metadata/annotations").and_then(Value::as_object);
        let own = |(name, value): (&String, &Value)| {
            Some((name.strip_prefix(PREFIX)?.to_owned(), value.as_str()?.to_owned()))
        };
        Self(map.map_or_else(Vec::new, |map: &Map<_, _>| map.iter().filter_map(own).collect()))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

/// The values of `a`, `[a, b]`, with `&#44;` for a comma inside one. A comma in braces ends a value too.
///
/// # Errors
/// If it is neither.
pub(super) fn list(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim();
    let value = |text: &str| text.replace("&#44;", ",").trim().to_owned();
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(inner) = inner.filter(|inner| !inner.contains('\n')) {
        let values: Vec<String> = inner.split(',').map(value).collect();
        if values[0].is_empty() {
            return Err("is empty: add a first value".to_owned());
        }
        return Ok(values);
    }
    if text.is_empty() {
        return Err("is empty: add a value".to_owned());
    }
    if text.contains(['[', ']', ' ', '\t', '\n', '\r', '\x0c']) {
        return Err("is neither one value nor a list `[a, b]` on one line".to_owned());
    }
    Ok(vec![text.replace("&#44;", ",")])
}

/// What a branch's full name begins with.
pub(super) const HEADS: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";

/// True for a pattern that only tags can match.
pub(super) fn is_for_tags(pattern: &str) -> bool {
    pattern.starts_with(TAGS)
}

/// A pattern, branch or path as annotations compare them: under `refs/heads/`, unless it names such a place itself.
pub(super) fn full(text: &str) -> String {
    if text.starts_with(HEADS) || text.starts_with(TAGS) {
        text.to_owned()
    } else {
        format!("{HEADS}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_pipelines_as_code_reads_it() {
        for (text, want) in [
            ("push", vec!["push"]),
            (" [push, pull_request] ", vec!["push", "pull_request"]),
            ("[a&#44;b]", vec!["a,b"]),
            ("a&#44;b", vec!["a,b"]),
            ("[a, ]", vec!["a", ""]),
            ("a,b", vec!["a,b"]),
            ("[\"a\"]", vec!["\"a\""]),
            ("[{a,b}, [c]]", vec!["{a", "b}", "[c]"]),
            ("{a,b}", vec!["{a,b}"]),
        ] {
            assert_eq!(list(text).unwrap(), want, "{text}");
        }
        for bad in ["", "[]", "[ ]", "[,a]", "a b", "[a", "a]", "a, b", "[a,\nb]", "[a]b"] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }
}
