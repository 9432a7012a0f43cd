//! From the files of B to the objects of a plan. Pure: the same input gives the same output, nothing is asked.
//!
//! `parse` → `variables` → `policy` → `naming` → `order`, each a file; [`prepare`] is the way through them.
//! Policy comes after variables: what is checked is what is sent.

mod kinds;
mod naming;
mod order;
mod parse;
mod policy;
mod tree_value;
mod variables;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub use self::parse::{
    Documents, MAX_DEPTH, MAX_DOCUMENTS, MAX_FILE_BYTES, MAX_NODES, MAX_TOTAL_BYTES, parse,
};

use self::naming::RunIdentity;
use self::parse::{Content, Entry, printable};
use self::policy::Subject;
use self::variables::{Findings, Variables};
use crate::delivery::{DeliveryId, Selection};
use crate::deployer::KindTable;
use crate::forge::ChangedPaths;
use crate::plan::{ObjectRef, Operation, PlannedObject, RunRules};
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
    /// The first line of A's commit's message; empty where it is not known.
    pub title: &'a str,
    /// Which runs are wanted.
    pub selection: &'a Selection,
    /// What changed in A since the delivered head; `None` where it is not known: then everything counts as changed.
    pub changed: Option<&'a ChangedPaths>,
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

/// The longest reason or note, and the longest name, that is kept.
const MAX_TEXT_CHARS: usize = 2_000;
const MAX_NAME_CHARS: usize = 253;
/// The most notes that are kept.
const MAX_NOTES: usize = 100;

/// Decides about every document and makes the objects of those that go to the cluster.
///
/// [`crate::watch::Refusals`] changes nothing here: what a refusal does to the delivery is the engine's to say.
#[must_use]
pub fn prepare(documents: &Documents, context: &Context<'_>) -> ManifestSet {
    let mut preparation = Preparation {
        context,
        variables: Variables::new(context),
        set: ManifestSet::default(),
        seen: BTreeMap::new(),
        noted: BTreeSet::new(),
    };
    for entry in &documents.entries {
        preparation.entry(entry);
    }
    let mut set = preparation.set;
    order::sort(&mut set.objects);
    set
}

struct Preparation<'c, 'a> {
    context: &'c Context<'a>,
    variables: Variables<'a>,
    set: ManifestSet,
    /// Where each object that is applied was first seen, by group, kind and name.
    seen: BTreeMap<(String, String, String), String>,
    /// What was noted before and is not noted again.
    noted: BTreeSet<String>,
}

impl Preparation<'_, '_> {
    fn entry(&mut self, entry: &Entry) {
        let mut decision = DocumentDecision {
            path: entry.path.clone(),
            document: entry.document,
            line: entry.line,
            column: None,
            kind: None,
            name: None,
            decision: Decision::Skip,
            reason: String::new(),
        };
        match &entry.content {
            Content::Skip(why) => decision.reason.clone_from(why),
            Content::Refused { line, column, reason } => {
                decision.decision = Decision::Refuse;
                (decision.line, decision.column) = (*line, *column);
                decision.reason.clone_from(reason);
            }
            Content::Parsed(value) => {
                let object = value.as_object();
                let shown = |text| printable(text, MAX_NAME_CHARS);
                decision.kind = object.and_then(|o| policy::text(o, "kind")).map(shown);
                decision.name = policy::name_in(value).map(shown);
                (decision.decision, decision.reason) = self.document(entry, value);
            }
        }
        decision.reason = printable(&decision.reason, MAX_TEXT_CHARS);
        self.set.decisions.push(decision);
    }

    fn document(&mut self, entry: &Entry, value: &Value) -> (Decision, String) {
        if let Some(why) = policy::not_an_object(value) {
            return (Decision::Skip, why);
        }
        let mut findings = Findings::default();
        let mut object = value.clone();
        self.variables.substitute(&mut object, &mut findings);
        let mut problems: Vec<String> = findings.problems.iter().cloned().collect();
        let planned = match policy::check(&object, self.context) {
            Ok(subject) => self.plan(entry, value, object, &subject),
            Err(found) => Err(found),
        };
        self.note_findings(entry, &findings);
        match planned {
            Ok(planned) if problems.is_empty() => {
                let (decision, reason) = match planned.operation {
                    Operation::Apply => (Decision::Apply, "applied".to_owned()),
                    Operation::Create { .. } => {
                        (Decision::Run, format!("created as {}", planned.object.name))
                    }
                };
                self.set.objects.push(planned);
                (decision, reason)
            }
            planned => {
                problems.extend(planned.err().unwrap_or_default());
                (Decision::Refuse, problems.join("; "))
            }
        }
    }

    /// The object as it is sent: with name, namespace, labels and annotations.
    fn plan(
        &mut self,
        entry: &Entry,
        raw: &Value,
        mut object: Value,
        subject: &Subject,
    ) -> Result<PlannedObject, Vec<String>> {
        let (name, operation) = if subject.is_run {
            self.run(entry, raw, subject)?
        } else {
            self.claim(entry, subject)?;
            (subject.base.clone(), Operation::Apply)
        };
        let key = match &operation {
            Operation::Create { key } => Some(key.as_str()),
            Operation::Apply => None,
        };
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            self.finish(entry, metadata, subject, &name, key);
        }
        Ok(PlannedObject {
            object: ObjectRef {
                path: entry.path.clone(),
                document: entry.document,
                line: entry.line,
                api_version: subject.api_version.clone(),
                kind: subject.kind.clone(),
                namespace: subject
                    .namespaced
                    .then(|| self.context.watch.cluster.namespace.to_string()),
                name,
            },
            operation,
            json: object,
            rules: RunRules::default(),
        })
    }

    /// The name and key of a run.
    fn run(
        &self,
        entry: &Entry,
        raw: &Value,
        subject: &Subject,
    ) -> Result<(String, Operation), Vec<String>> {
        if let Some(variable) = policy::name_in(raw).and_then(variables::unstable_in) {
            return Err(vec![format!(
                "the name of a run must be the same at every attempt, and `{{{{ {variable} }}}}` \
                 is not: remove it from the name"
            )]);
        }
        let identity = RunIdentity {
            path: &entry.path,
            ordinal: entry.document,
            kind: &subject.kind,
            base: &subject.base,
        };
        let key = identity.key(self.context);
        let name = naming::run_name(&subject.base, &self.context.revision.sha, &key);
        Ok((name, Operation::Create { key }))
    }

    /// An object may stand in the tree once: of two, the later would silently win.
    fn claim(&mut self, entry: &Entry, subject: &Subject) -> Result<(), Vec<String>> {
        let id = (subject.group.clone(), subject.kind.clone(), subject.base.clone());
        let place = format!("{} (document {})", entry.path, entry.document);
        if let Some(first) = self.seen.get(&id) {
            return Err(vec![format!(
                "{} {} stands in {first} already: remove one of the two",
                subject.kind, subject.base
            )]);
        }
        self.seen.insert(id, place);
        Ok(())
    }

    fn finish(
        &mut self,
        entry: &Entry,
        metadata: &mut Map<String, Value>,
        subject: &Subject,
        name: &str,
        key: Option<&str>,
    ) {
        let dropped = policy::drop_server_set(metadata);
        if !dropped.is_empty() {
            self.note(
                entry,
                &format!(
                    "metadata.{} left out: only a server sets that",
                    dropped.join(", metadata.")
                ),
            );
        }
        metadata.remove("generateName");
        metadata.insert("name".to_owned(), name.into());
        if subject.namespaced {
            let namespace = self.context.watch.cluster.namespace.as_str();
            metadata.insert("namespace".to_owned(), namespace.into());
        } else {
            metadata.remove("namespace");
        }
        if naming::mark(metadata, self.context, key) {
            self.note(entry, "pipelinesascode.tekton.dev/state left out: Pipelines-as-Code would take the run over");
        }
    }

    fn note_findings(&mut self, entry: &Entry, findings: &Findings) {
        for name in &findings.unknown {
            self.note_once(
                entry,
                &format!("`{{{{ {name} }}}}` stays as it is: nobody sets the variable `{name}`"),
            );
        }
        if findings.no_sender {
            self.note_once(entry, "`{{ sender }}` is empty: it is not known who made the commit");
        }
        for name in &findings.in_script {
            self.note(
                entry,
                &format!(
                    "`{{{{ {name} }}}}` inside a `script` becomes shell text: whoever chooses its \
                     value runs commands; hand it over through `params` or `env`"
                ),
            );
        }
    }

    fn note_once(&mut self, entry: &Entry, text: &str) {
        if self.noted.insert(text.to_owned()) {
            self.note(entry, text);
        }
    }

    fn note(&mut self, entry: &Entry, text: &str) {
        let notes = &mut self.set.notes;
        match notes.len() {
            ..MAX_NOTES => {
                let text = printable(text, MAX_TEXT_CHARS);
                notes.push(format!("{}:{}: {text}", entry.path, entry.line));
            }
            MAX_NOTES => notes.push("there is more to note, which is left out".to_owned()),
            _ => {}
        }
    }
}

/// Placeholder until merged.
#[must_use]
pub fn needs_changes(documents: &Documents) -> bool {
    let _ = documents;
    false
}
