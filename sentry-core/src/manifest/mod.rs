//! From the files of B to the objects of a plan. Pure: the same input gives the same output, nothing is asked.
//!
//! `parse` → `policy` → `variables` → `order` → `naming`, each a file; [`prepare`] is the way through them.

use crate::delivery::DeliveryId;
use crate::deployer::KindTable;
use crate::plan::PlannedObject;
use crate::repo::{BranchName, CommitSha};
use crate::revision::Revision;
use crate::watch::Watch;

/// All that a document's fate depends on beside the document.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The watch.
    pub watch: &'a Watch,
    /// The branch and commit of A.
    pub revision: &'a Revision,
    /// The delivery.
    pub delivery: &'a DeliveryId,
    /// The trigger that asked for the delivery: with it, runs get names of their own.
    pub trigger: Option<&'a DeliveryId>,
    /// B's branch.
    pub manifests_branch: &'a BranchName,
    /// B's commit.
    pub manifests: &'a CommitSha,
    /// Who made A's commit, where it is known.
    pub sender: Option<&'a str>,
    /// The kinds of the cluster; `None` means the built-in table, which can't tell that a kind does not exist.
    pub kinds: Option<&'a KindTable>,
}

/// What is done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is applied.
    Apply,
    /// It is created as a run.
    Run,
    /// It is no object for the cluster: left out, which stops nothing.
    Skip,
    /// It may not go to the cluster.
    Refuse,
}

impl Decision {
    /// The word in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Run => "run",
            Self::Skip => "skip",
            Self::Refuse => "refuse",
        }
    }
}

/// What is done with one document, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentDecision {
    /// The file, relative to B's directory.
    pub path: String,
    /// The document's place in its file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// The line it starts at, or the line of what is wrong, from 1.
    pub line: usize,
    /// The column of what is wrong, from 1, where there is one.
    pub column: Option<usize>,
    /// `kind`, where it could be read.
    pub kind: Option<String>,
    /// The name in the file (`generateName` with its dash), where it could be read.
    pub name: Option<String>,
    /// What is done.
    pub decision: Decision,
    /// Why: for a refusal with the remedy.
    pub reason: String,
}

/// All documents of a delivery with what is done with them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ManifestSet {
    /// One decision per document, in file order.
    pub decisions: Vec<DocumentDecision>,
    /// What goes to the cluster, in the order it must be written.
    pub objects: Vec<PlannedObject>,
    /// Things to know that stop nothing: an unknown variable, a variable inside a script.
    pub notes: Vec<String>,
}

impl ManifestSet {
    /// The refused documents.
    pub fn refusals(&self) -> impl Iterator<Item = &DocumentDecision> {
        self.decisions.iter().filter(|d| d.decision == Decision::Refuse)
    }
}
