//! `explain` and `lint`: what would happen to each document of B, and why.

use schemars::JsonSchema;
use sentry_core::engine::Preview;
use sentry_core::manifest::{DocumentDecision, ManifestSet, RemoteUse};
use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::words::{Decision, Word};

/// The answer to `explain` and `lint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Documents {
    /// [`VERSION`].
    pub version: u32,
    /// One decision per document, in file order.
    pub documents: Vec<Document>,
    /// Notes that stop nothing.
    pub notes: Vec<String>,
    /// What runs use of elsewhere, and where it comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<RemoteDocument>,
    /// The commit of A that was evaluated; none for a local directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Revision>,
    /// The commit of B that was read; none for a local directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Revision>,
}

/// A task or pipeline from elsewhere that a run uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemoteDocument {
    /// The run's file, relative to B's directory.
    pub path: String,
    /// The run's place in its file, from 1.
    pub document: usize,
    /// `task` or `pipeline`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What the annotation names.
    pub place: String,
    /// Where it comes from.
    pub origin: String,
    /// sha256 of its bytes, in hex.
    pub sha256: String,
}

/// A branch and its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revision {
    /// The branch.
    pub branch: String,
    /// The commit.
    pub sha: String,
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::text::revision(&self.branch, &self.sha))
    }
}

/// One document and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// The file, relative to B's directory.
    pub path: String,
    /// Its place in the file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// The line it starts at, or the line of what is wrong, from 1.
    pub line: usize,
    /// The column of what is wrong, from 1, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// `kind`, where it could be read.
    pub kind: Option<String>,
    /// The name in the file, where it could be read.
    pub name: Option<String>,
    /// What happens to it.
    pub decision: Word<Decision>,
    /// The reason; for a refusal, with the remedy.
    pub reason: String,
}

impl Documents {
    /// True if a document may not go to the cluster.
    #[must_use]
    pub fn has_refusals(&self) -> bool {
        self.documents.iter().any(|document| document.decision == Decision::Refuse)
    }
}

impl From<&ManifestSet> for Documents {
    fn from(set: &ManifestSet) -> Self {
        Self {
            version: VERSION,
            documents: set.decisions.iter().map(Into::into).collect(),
            notes: set.notes.clone(),
            remotes: set.remotes.iter().map(Into::into).collect(),
            commit: None,
            manifests: None,
        }
    }
}

impl From<&RemoteUse> for RemoteDocument {
    fn from(used: &RemoteUse) -> Self {
        Self {
            path: used.path.clone(),
            document: used.document,
            kind: used.kind.to_string(),
            name: used.name.clone(),
            place: used.place.clone(),
            origin: used.origin.clone(),
            sha256: used.sha256.clone(),
        }
    }
}

impl From<&Preview> for Documents {
    fn from(preview: &Preview) -> Self {
        let (commit, manifests) = ((&preview.revision).into(), (&preview.manifests).into());
        Self { commit: Some(commit), manifests: Some(manifests), ..(&preview.set).into() }
    }
}

impl From<&sentry_core::revision::Revision> for Revision {
    fn from(revision: &sentry_core::revision::Revision) -> Self {
        Self { branch: revision.subject.to_string(), sha: revision.sha.to_string() }
    }
}

impl From<&DocumentDecision> for Document {
    fn from(decision: &DocumentDecision) -> Self {
        Self {
            path: decision.path.clone(),
            document: decision.document,
            line: decision.line,
            column: decision.column,
            kind: decision.kind.clone(),
            name: decision.name.clone(),
            decision: decision.decision.into(),
            reason: decision.reason.clone(),
        }
    }
}
