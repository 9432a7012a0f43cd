//! What kubectl would send of what it reads from its stdin.

use sentry_core::plan::PlannedObject;

use super::json::{self, Json};

/// An object: what decides where it goes, and all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace`; empty if there is none.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// All of it, as [`Json::plain`] has it.
    pub whole: String,
}

impl Sent {
    /// An object that is to be sent: it goes where its plan says, with what is in it.
    ///
    /// # Errors
    /// As [`objects`].
    pub fn planned(planned: &PlannedObject) -> Result<Self, String> {
        let object = &planned.object;
        Ok(Self {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone(),
            whole: json::read(planned.json.to_string().as_bytes())?.plain(),
        })
    }

    /// How kubectl calls it in its lines: `task.tekton.dev/unit`.
    pub fn line(&self) -> String {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        let dot = if group.is_empty() { "" } else { "." };
        format!("{}{dot}{group}/{}", self.kind.to_lowercase(), self.name)
    }
}

/// The objects in a text, lists taken apart however deep they are and however `items` is spelled.
///
/// Stricter than any one version of kubectl: where versions or the server could differ, it is an error.
///
/// # Errors
/// What is no JSON for Go ([`json::read`]), and a field that a reader could find twice.
pub fn objects(stdin: &[u8]) -> Result<Vec<Sent>, String> {
    let mut found = Vec::new();
    collect(&json::read(stdin)?, true, &mut found)?;
    Ok(found)
}

fn collect(value: &Json, outermost: bool, found: &mut Vec<Sent>) -> Result<(), String> {
    let once = |of: &Json, key: &str| match of.all(key).len() {
        0 | 1 => Ok(()),
        _ => Err(format!("{key} can be found more than once")),
    };
    for key in ["apiVersion", "kind", "metadata", "items"] {
        once(value, key)?;
    }
    match value.all("items").last() {
        Some(Json::List(items)) => {
            if !outermost {
                return Err("a list inside a list".to_owned());
            }
            return items.iter().try_for_each(|item| collect(item, false, found));
        }
        Some(_) => return Err("`items` that is no list".to_owned()),
        None => {}
    }
    let metadata = value.all("metadata").last().copied().unwrap_or(&Json::Null);
    for key in ["name", "generateName", "namespace"] {
        once(metadata, key)?;
    }
    if !metadata.text("generateName").is_empty() {
        return Err("a name that the server would choose".to_owned());
    }
    found.push(Sent {
        api_version: value.text("apiVersion").to_owned(),
        kind: value.text("kind").to_owned(),
        namespace: metadata.text("namespace").to_owned(),
        name: metadata.text("name").to_owned(),
        whole: value.plain(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_taken_apart_and_its_objects_are_named() {
        let list = br#"{"kind":"List","items":[
            {"apiVersion":"tekton.dev/v1","kind":"Task","metadata":{"name":"unit","namespace":"qa"}},
            {"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}]}"#;
        let lines: Vec<_> = objects(list).unwrap().iter().map(Sent::line).collect();
        assert_eq!(lines, ["task.tekton.dev/unit", "secret/s"]);
    }

    #[test]
    fn what_readers_could_take_for_something_else_is_an_error() {
        for bad in [
            r#"{"items":[{"kind":"A","item\u017f":[]}]}"#,
            r#"{"kind":"A","Kind":"B"}"#,
            r#"{"kind":"A","metadata":{"name":"a","NAME":"b"}}"#,
            r#"{"kind":"A","metadata":{"generateName":"a-"}}"#,
        ] {
            assert!(objects(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
