//! Things to know that stop nothing, within bounds.

use std::collections::BTreeSet;

use super::parse::{Entry, printable};
use super::variables::Findings;
use super::{MAX_NOTES, MAX_TEXT_CHARS};

/// What was noted, in the order of the documents.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) texts: Vec<String>,
    /// What was noted before and is not noted again.
    once: BTreeSet<String>,
}

impl Notes {
    /// What replacing a document's variables found.
    pub(super) fn findings(&mut self, entry: &Entry, findings: &Findings) {
        for name in &findings.unknown {
            self.note_once(
                entry,
                &format!("`{{{{ {name} }}}}` is left as it is: nothing sets the variable `{name}`"),
            );
        }
        if findings.no_sender {
            self.note_once(entry, "`{{ sender }}` is empty: it is not known who made the commit");
        }
    }

    /// Notes something about a document, unless it was noted before.
    pub(super) fn note_once(&mut self, entry: &Entry, text: &str) {
        if self.once.insert(text.to_owned()) {
            self.note(entry, text);
        }
    }

    /// Notes something about a document.
    pub(super) fn note(&mut self, entry: &Entry, text: &str) {
        match self.texts.len() {
            ..MAX_NOTES => {
                let text = printable(text, MAX_TEXT_CHARS);
                self.texts.push(format!("{}:{}: {text}", entry.path, entry.line));
            }
            MAX_NOTES => self.texts.push("more notes were left out".to_owned()),
            _ => {}
        }
    }
}
