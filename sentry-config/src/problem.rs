//! What is wrong with a configuration, where, and what to do about it.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use crate::excerpt::Excerpts;
use crate::place::Place;

/// One thing that is wrong (or, as a warning, doubtful) in a configuration. Never retried: a person must act.
/// No part of it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file, as it was named by the caller; `environment` if a `SENTRY__…` variable is the cause.
    pub file: String,
    /// The line, from 1; 0 where the cause is no file.
    pub line: usize,
    /// The column in characters, from 1; 0 where the cause is no file.
    pub column: usize,
    /// Where in the document: `watches[2].source.branches[0]`. Empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The remedy.
    pub hint: String,
    excerpt: Option<String>,
}

impl Problem {
    pub(crate) fn at_line(file: &str, line: usize, path: &str, message: &str, hint: &str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            column: 1,
            path: path.to_owned(),
            message: message.to_owned(),
            hint: hint.to_owned(),
            excerpt: None,
        }
    }

    /// The line that the problem stands in, with a caret below; `None` if it can't be shown.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.path.is_empty()) {
            (0, _) => write!(f, "{}", self.file)?,
            (line, true) => write!(f, "{}:{line}:{}", self.file, self.column)?,
            (line, false) => write!(f, "{}:{line}:{}: {}", self.file, self.column, self.path)?,
        }
        write!(f, ": {}", self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// More than this many problems are counted, not printed.
const SHOWN: usize = 100;

/// Every problem of a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Self(problems)
    }

    /// The problems.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many there are; never 0.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().take(SHOWN).enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, "\n\nand {more} more problems"),
            _ => Ok(()),
        }
    }
}

/// Collects problems while a document is read, so that all of them are told at once.
#[derive(Debug)]
pub(crate) struct Report {
    excerpts: Excerpts,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    bad: BTreeSet<String>,
    seen: HashSet<(String, usize, String)>,
}

impl Report {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self {
            excerpts: Excerpts::new(file, text),
            problems: Vec::new(),
            warnings: Vec::new(),
            bad: BTreeSet::new(),
            seen: HashSet::new(),
        }
    }

    /// Adds a problem with the value at a place; the same one of a shared default is told once.
    pub(crate) fn error(&mut self, place: &Place, message: impl Into<String>, hint: &str) {
        let problem = self.problem(place, &message.into(), hint);
        self.bad.insert(place.path.clone());
        if self.seen.insert((problem.path.clone(), problem.line, problem.message.clone())) {
            self.problems.push(problem);
        }
    }

    /// Adds what a person should know though nothing fails by it.
    pub(crate) fn warn(&mut self, place: &Place, message: impl Into<String>, hint: &str) {
        let problem = self.problem(place, &message.into(), hint);
        if self.seen.insert((problem.path.clone(), problem.line, problem.message.clone())) {
            self.warnings.push(problem);
        }
    }

    /// Adds problems of other files.
    pub(crate) fn extend(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// Adds what the YAML parser said about the text as a whole.
    pub(crate) fn syntax(&mut self, line: usize, column: usize, message: &str) {
        let place = Place { line, column, ..Place::root() };
        let hint = "fix the YAML; a linter or an editor with YAML support shows the structure";
        self.error(&place, message, hint);
    }

    /// Adds what there is too much of, in the parser's words.
    pub(crate) fn too_much(&mut self, line: usize, column: usize, what: &str) {
        let place = Place { line, column, ..Place::root() };
        let hint = "split the file: run one agent per group of watches; an alias counts as \
                    everything it expands to";
        self.error(&place, format!("exceeds a limit for configurations: {what}"), hint);
    }

    /// Notes that nothing usable stands at a path, so that it is not called missing as well.
    pub(crate) fn mark_bad(&mut self, path: &str) {
        self.bad.insert(path.to_owned());
    }

    /// True if a problem with this path, or with a part on the way to it, is already known.
    pub(crate) fn is_bad(&self, path: &str) -> bool {
        self.bad.contains(path)
            || path.match_indices(['.', '[']).any(|(end, _)| self.bad.contains(&path[..end]))
    }

    /// True if anything below a path (given with its last separator) was reported.
    pub(crate) fn any_bad_below(&self, prefix: &str) -> bool {
        self.bad.range(prefix.to_owned()..).next().is_some_and(|path| path.starts_with(prefix))
    }

    /// Reports a key that must be there, unless what was written for it is already reported.
    pub(crate) fn missing(&mut self, parent: &Place, key: &str, hint: &str) {
        let place = Place { path: crate::place::join(&parent.path, key), ..parent.clone() };
        if !self.is_bad(&place.path) {
            self.error(&place, "is missing", hint);
        }
    }

    /// The warnings, if no problem was found.
    pub(crate) fn finish(self) -> Result<Vec<Problem>, Problems> {
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(Problems::new(self.problems)) }
    }

    fn problem(&self, place: &Place, message: &str, hint: &str) -> Problem {
        let message = self.excerpts.clean(message);
        let hint = self.excerpts.clean(hint);
        match &place.variable {
            Some(name) => Problem {
                file: "environment".into(),
                line: 0,
                column: 0,
                path: place.path.clone(),
                message: format!("{name} ({}): {message}", place.path),
                hint,
                excerpt: None,
            },
            None => Problem {
                file: self.excerpts.file().to_owned(),
                line: place.line,
                column: place.column,
                path: place.path.clone(),
                message,
                hint,
                excerpt: self.excerpts.line(place.line, place.column),
            },
        }
    }
}
