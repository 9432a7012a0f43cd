//! What has a head.

use schemars::JsonSchema;
use sentry_core::subject as core;
use serde::{Deserialize, Serialize};

/// What has a head in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// `branch`. Others may come.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl From<&core::Subject> for Subject {
    fn from(subject: &core::Subject) -> Self {
        Self { kind: subject.kind().to_owned(), name: subject.name().to_owned() }
    }
}
