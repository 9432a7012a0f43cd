//! What lint has to say, each with its place: what the formats for other programs are made of.

use std::path::{Component, Path};

use sentry_core::manifest::{DocumentDecision, ManifestSet, MissingRef};
use sentry_core::text;

/// What a note begins with that depends on the settings of a watch, behind its place.
pub(super) const SETTINGS: &str = "depends on the watch's settings: ";

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Refused,
    Missing,
    Settings,
    Note,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The command fails for it.
    Error,
    /// It may be refused elsewhere.
    Warning,
    /// To know.
    Note,
}

impl Rule {
    pub(super) const ALL: [Self; 4] = [Self::Refused, Self::Missing, Self::Settings, Self::Note];

    /// The identifier, which other programs keep.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Missing => "missing-reference",
            Self::Settings => "depends-on-settings",
            Self::Note => "note",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Refused => "A document that may not go to the cluster, or that can't be read.",
            Self::Missing => "A run refers to something that the directory does not hold.",
            Self::Settings => "Whether the document may go to the cluster depends on the watch.",
            Self::Note => "Something to know that stops nothing.",
        }
    }

    pub(super) fn level(self) -> Level {
        match self {
            Self::Refused | Self::Missing => Level::Error,
            Self::Settings => Level::Warning,
            Self::Note => Level::Note,
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: Rule,
    /// The file, relative to the directory that was checked; `None`: it is about no file.
    pub(super) path: Option<String>,
    /// The document's place in its file; 0 for the file as a whole.
    pub(super) document: usize,
    /// From 1.
    pub(super) line: usize,
    /// From 1.
    pub(super) column: Option<usize>,
    /// One line without hidden characters.
    pub(super) message: String,
}

/// What is wrong, by document; then what to know.
pub(super) fn findings(set: &ManifestSet) -> Vec<Finding> {
    let refused = set.refusals().map(|decision| Finding {
        column: decision.column,
        ..at(Rule::Refused, decision, &decision.reason)
    });
    let missing = set.missing.iter().map(|missing| {
        let place = (missing.path.as_str(), missing.document);
        let holder = set.decisions.iter().find(|d| (d.path.as_str(), d.document) == place);
        let text = told(missing);
        holder.map_or_else(|| nowhere(&text), |holder| at(Rule::Missing, holder, &text))
    });
    refused.chain(missing).chain(set.notes.iter().map(|text| note(set, text))).collect()
}

/// A note begins with its place, which one of the documents has.
fn note(set: &ManifestSet, text: &str) -> Finding {
    let holders = set.decisions.iter().filter_map(|decision| {
        let place = format!("{}:{}: ", decision.path, decision.line);
        text.strip_prefix(place.as_str()).map(|rest| (decision, rest))
    });
    let Some((holder, rest)) = holders.min_by_key(|(_, rest)| rest.len()) else {
        return nowhere(text);
    };
    let rule = if rest.starts_with(SETTINGS) { Rule::Settings } else { Rule::Note };
    at(rule, holder, rest)
}

fn at(rule: Rule, decision: &DocumentDecision, message: &str) -> Finding {
    Finding {
        rule,
        path: Some(decision.path.clone()),
        document: decision.document,
        line: decision.line.max(1),
        column: None,
        message: text::line(message),
    }
}

fn nowhere(message: &str) -> Finding {
    let message = text::line(message);
    Finding { rule: Rule::Note, path: None, document: 0, line: 1, column: None, message }
}

/// What a run lacks, and the remedy.
pub(super) fn told(missing: &MissingRef) -> String {
    let MissingRef { kind, name, hint, .. } = missing;
    let remedy = hint.as_deref().unwrap_or(
        "add it, use a `resolver`, or install it on the cluster (`sentry explain` checks)",
    );
    format!("{kind} {name} is not in the directory: {remedy}")
}

/// Everything that the formats for other programs are made of.
#[derive(Debug)]
pub(super) struct Linted<'a> {
    /// The directory as other programs find it from where lint was called, with `/` between its parts; empty for that place.
    pub(super) dir: String,
    pub(super) decisions: &'a [DocumentDecision],
    pub(super) findings: Vec<Finding>,
}

impl<'a> Linted<'a> {
    pub(super) fn new(dir: &Path, set: &'a ManifestSet) -> Self {
        Self { dir: shown(dir), decisions: &set.decisions, findings: findings(set) }
    }

    /// A file of the directory as other programs find it.
    pub(super) fn file(&self, path: &str) -> String {
        match self.dir.as_str() {
            "" => path.to_owned(),
            "/" => format!("/{path}"),
            dir => format!("{dir}/{path}"),
        }
    }
}

/// The directory without what it does not need: `./a/.` is `a`. One below the working directory is named from there, as
/// other programs know the files of a repository.
fn shown(dir: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| dir.strip_prefix(here).ok());
    let mut shown = String::new();
    for part in below.unwrap_or(dir).components() {
        match part {
            Component::CurDir => {}
            Component::RootDir => shown.push('/'),
            part => {
                if !shown.is_empty() && !shown.ends_with('/') {
                    shown.push('/');
                }
                shown.push_str(&part.as_os_str().to_string_lossy());
            }
        }
    }
    shown
}

/// What a document is called: `PipelineRun smoke-`, or its place where it has no name.
pub(super) fn called(decision: &DocumentDecision) -> String {
    match (&decision.kind, &decision.name) {
        (Some(kind), Some(name)) => format!("{kind} {name}"),
        (Some(kind), None) => kind.clone(),
        _ if decision.document == 0 => "file".to_owned(),
        _ => format!("document {}", decision.document),
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::manifest::Decision;

    use super::*;

    fn decision(path: &str, line: usize) -> DocumentDecision {
        DocumentDecision {
            path: path.to_owned(),
            document: 1,
            line,
            column: None,
            kind: Some("Task".to_owned()),
            run: false,
            name: None,
            decision: Decision::Apply,
            reason: "applied".to_owned(),
            of_cluster: false,
        }
    }

    #[test]
    fn a_note_is_placed_at_the_document_that_it_names_whatever_files_are_called() {
        let odd = "a.yaml:1: b.yaml";
        let decisions = vec![decision("a.yaml", 1), decision("a.yaml", 10), decision(odd, 2)];
        let set = ManifestSet { decisions, ..ManifestSet::default() };
        for (text, path, line, rule, message) in [
            ("a.yaml:1: x", Some("a.yaml"), 1, Rule::Note, "x"),
            ("a.yaml:10: x: y", Some("a.yaml"), 10, Rule::Note, "x: y"),
            ("a.yaml:1: b.yaml:2: z", Some(odd), 2, Rule::Note, "z"),
            (
                "a.yaml:1: depends on the watch's settings: w",
                Some("a.yaml"),
                1,
                Rule::Settings,
                "depends on the watch's settings: w",
            ),
            ("a.yaml:2: x", None, 1, Rule::Note, "a.yaml:2: x"),
            ("more notes were left out", None, 1, Rule::Note, "more notes were left out"),
        ] {
            let found = note(&set, text);
            let got = (found.path.as_deref(), found.line, found.rule, found.message.as_str());
            assert_eq!(got, (path, line, rule, message), "{text}");
        }
    }

    #[test]
    fn a_directory_is_named_from_where_lint_was_called() {
        let here = std::env::current_dir().unwrap();
        for (dir, want) in [
            (".tekton", ".tekton"),
            ("./a/./b/", "a/b"),
            (".", ""),
            ("/", "/"),
            ("/no such place/x", "/no such place/x"),
            ("../a", "../a"),
        ] {
            assert_eq!(shown(Path::new(dir)), want, "{dir}");
        }
        assert_eq!(shown(&here.join("qa/.tekton")), "qa/.tekton");
        assert_eq!(shown(&here), "");
    }
}
