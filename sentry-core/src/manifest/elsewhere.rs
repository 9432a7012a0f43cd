//! Documents from elsewhere as they were got: each is read within the budgets of a whole directory.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::{parse, refs, yaml};
use crate::remote::{self, RemoteKind, Wanted};

/// What was got from elsewhere for a delivery.
#[derive(Debug, Clone, Default)]
pub struct RemoteDocuments {
    documents: BTreeMap<Wanted, RemoteDocument>,
    spent: yaml::Spent,
}

#[derive(Debug, Clone)]
pub(super) struct RemoteDocument {
    pub(super) origin: String,
    pub(super) sha256: String,
    pub(super) content: Result<Value, String>,
}

impl RemoteDocuments {
    /// Adds what was got, and from where, for people.
    pub fn add(&mut self, wanted: Wanted, origin: String, bytes: &[u8]) {
        let content = self.read(wanted.kind, bytes).map_err(|why| format!("({origin}) {why}"));
        let sha256 = remote::digest(bytes);
        self.documents.insert(wanted, RemoteDocument { origin, sha256, content });
    }

    /// Notes that something can't be had, and why: what needs it is refused.
    pub fn refuse(&mut self, wanted: Wanted, why: String) {
        let document =
            RemoteDocument { origin: String::new(), sha256: String::new(), content: Err(why) };
        self.documents.insert(wanted, document);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    pub(super) fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        self.documents.keys()
    }

    pub(super) fn get(&self, wanted: &Wanted) -> Result<&RemoteDocument, String> {
        self.documents.get(wanted).ok_or_else(|| "was not fetched".to_owned())
    }

    /// The first document of a text, as Pipelines-as-Code reads it.
    fn read(&mut self, kind: RemoteKind, bytes: &[u8]) -> Result<Value, String> {
        if bytes.len() > remote::MAX_BYTES {
            return Err(format!("has more than {} bytes", remote::MAX_BYTES));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        let spent = Cell::new(self.spent);
        let value = parse::first(text, &spent);
        self.spent = spent.get();
        let value = value?;
        if self.spent.is_all() {
            return Err("is too much, with all others from elsewhere: use fewer".to_owned());
        }
        let (found, name) = (refs::referable(&value), value.pointer("/metadata/name"));
        let wanted = if kind == RemoteKind::Task { "Task" } else { "Pipeline" };
        let is_known = ["tekton.dev/v1", "tekton.dev/v1beta1"]
            .iter()
            .any(|known| value.get("apiVersion").and_then(Value::as_str) == Some(*known));
        if found != Some(wanted) || !is_known {
            return Err(format!("is no {wanted} of tekton.dev/v1 or v1beta1"));
        }
        if name.and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err("has no metadata.name".to_owned());
        }
        Ok(value)
    }
}
