//! Pipelines-as-Code's annotations `task`, `task-1` and `pipeline`: objects it fetches from elsewhere. Nothing is
//! fetched here; what the annotation means is said, with the resolver that does the same.

use std::collections::BTreeSet;

use super::annotations::{self, Annotations};
use super::marked::Marked;
use super::variables::Variables;

/// A value of such an annotation.
#[derive(Debug)]
pub(super) struct Remote {
    /// `task` or `pipeline`.
    what: &'static str,
    value: String,
}

/// All that a run's annotations name and that is not a file of the tree, and what to say of annotations that can't be
/// read.
///
/// `files` are the tree's paths, `directory` is where B keeps the tree.
pub(super) fn remotes(
    own: &Annotations,
    variables: &Variables<'_>,
    directory: &str,
    files: &BTreeSet<&str>,
) -> (Vec<Remote>, Vec<String>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for (name, text) in own.iter() {
        let Some(what) = kind(name) else { continue };
        let marked = Marked::new(text, variables);
        let values = annotations::list(&marked.text).unwrap_or_else(|problem| {
            unread.push(format!("the annotation {name} `{text}` {problem}: it names nothing"));
            Vec::new()
        });
        for value in values.iter().map(|value| marked.filled(value)) {
            let here = value.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
            let held = here.is_some_and(|path| files.contains(path));
            if !held && !value.is_empty() {
                found.push(Remote { what, value });
            }
        }
    }
    (found, unread)
}

fn kind(annotation: &str) -> Option<&'static str> {
    if annotation == "pipeline" {
        return Some("pipeline");
    }
    let number = annotation.strip_prefix("task")?;
    let numbered = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    (number.is_empty() || number.strip_prefix('-').is_some_and(numbered)).then_some("task")
}

impl Remote {
    /// What to know about it.
    pub(super) fn note(&self) -> String {
        format!("{} `{}` is not fetched: {}", self.what, self.value, self.remedy())
    }

    /// True if a missing object of this kind and name may be what the annotation fetches: a catalogue's entry is
    /// called like it, any other place can hold any name.
    pub(super) fn may_be(&self, kind: &str, name: &str) -> bool {
        let entry = self.value.rsplit('/').next().unwrap_or_default();
        let entry = entry.split([':', '.']).next().unwrap_or_default();
        kind.eq_ignore_ascii_case(self.what) && entry == name
    }

    /// What does the same here.
    pub(super) fn remedy(&self) -> String {
        let resolver = if self.value.starts_with("https://") || self.value.starts_with("http://") {
            "http"
        } else if self.value.contains("://") {
            "hub"
        } else if self.value.contains('/') {
            return "refer to it with `resolver: git`, or put the file into the directory"
                .to_owned();
        } else {
            "hub"
        };
        format!("refer to it with `resolver: {resolver}`, or put it into the directory")
    }
}
