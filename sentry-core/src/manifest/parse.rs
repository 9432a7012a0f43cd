//! From the files of B to parsed documents, within budgets. Every document is looked at, every problem recorded.
//!
//! What a document holds is what `kubectl` would read from it: YAML 1.1 booleans and octal numbers, merge keys,
//! whole floats as integers. What YAML readers are known to disagree about (repeated keys, keys that are no text,
//! unknown tags, several documents without `---`) is refused.

use std::cell::Cell;
use std::ops::ControlFlow;

use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MessageFormatter as _};

use super::tree_value::{KEY_IS_NO_TEXT, Seed, Spent};
use super::variables;
use crate::forge::{Tree, TreeFile};

/// Bytes of one file.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Bytes of all files.
pub const MAX_TOTAL_BYTES: usize = 5 << 20;
/// Documents of all files.
pub const MAX_DOCUMENTS: usize = 200;
/// Mappings, lists, keys and values of all files, aliases expanded.
pub const MAX_NODES: usize = 50_000;
/// Mappings and lists inside each other.
pub const MAX_DEPTH: usize = 64;

/// Anchors, and aliases, of one document.
const MAX_ALIASES: usize = 100;
/// Bytes of all texts of all files, aliases expanded.
const MAX_TEXT_BYTES: usize = 8 << 20;
/// A tree with more documents over a limit than this is read no further: it is an attack or an accident.
const MAX_BREACHES: usize = 5;
/// Characters of a line that an error shows.
const EXCERPT_CHARS: usize = 80;

/// The documents of a tree, with what is wrong with those that can't be read.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    pub(super) entries: Vec<Entry>,
}

/// One document, or one file that could not be split into documents.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: String,
    /// The document's place in its file, from 1; 0 for the file as a whole.
    pub(super) document: usize,
    /// Where its content starts, from 1.
    pub(super) line: usize,
    pub(super) content: Content,
}

/// What an entry holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// What was read.
    Parsed(Value),
    /// Nothing for the cluster.
    Skip(String),
    /// What could not be read, where, and what to do.
    Refused { line: usize, column: Option<usize>, reason: String },
}

impl Documents {
    /// True if a text of any document uses `{{ variable }}`.
    #[must_use]
    pub fn wants(&self, variable: &str) -> bool {
        self.entries.iter().any(|entry| match &entry.content {
            Content::Parsed(value) => variables::uses(value, variable),
            _ => false,
        })
    }
}

/// Reads all documents of a tree. Never fails: what can't be read becomes a refusal of that document.
#[must_use]
pub fn parse(tree: &Tree) -> Documents {
    let mut reader = Reader::default();
    for entry in &tree.refused {
        reader.refuse_file(
            &entry.path,
            format!("{}; only regular files are read: put a copy of the file there", entry.what),
        );
    }
    for file in &tree.files {
        if reader.file(file).is_break() {
            break;
        }
    }
    reader.entries.sort_by(|a, b| (&a.path, a.document).cmp(&(&b.path, b.document)));
    Documents { entries: reader.entries }
}

#[derive(Default)]
struct Reader {
    entries: Vec<Entry>,
    bytes: usize,
    documents: usize,
    breaches: usize,
    spent: Cell<Spent>,
}

impl Reader {
    fn file(&mut self, file: &TreeFile) -> ControlFlow<()> {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if matches!(name, "kustomization.yaml" | "kustomization.yml") {
            let why = "a kustomization is for kustomize, not for the cluster".to_owned();
            self.push(&file.path, 0, 1, Content::Skip(why));
            return ControlFlow::Continue(());
        }
        if file.bytes.len() > MAX_FILE_BYTES {
            let reason = format!(
                "the file has {} bytes, the limit is {MAX_FILE_BYTES}: split it",
                file.bytes.len()
            );
            self.refuse_file(&file.path, reason);
            return ControlFlow::Continue(());
        }
        self.bytes += file.bytes.len();
        if self.bytes > MAX_TOTAL_BYTES {
            return self.stop(&file.path, 0, "files with more than 5 MiB in all");
        }
        match std::str::from_utf8(&file.bytes) {
            Ok(text) => self.text(&file.path, text.trim_start_matches('\u{feff}')),
            Err(e) => {
                let reason = format!(
                    "the file is not UTF-8 from byte {} on: save it as UTF-8",
                    e.valid_up_to()
                );
                self.refuse_file(&file.path, reason);
                ControlFlow::Continue(())
            }
        }
    }

    fn text(&mut self, path: &str, text: &str) -> ControlFlow<()> {
        let chunks = split(text);
        if chunks.is_empty() {
            let why = "the file holds no document".to_owned();
            self.push(path, 0, 1, Content::Skip(why));
        }
        for (index, chunk) in chunks.iter().enumerate() {
            self.documents += 1;
            if self.documents > MAX_DOCUMENTS {
                return self.stop(path, index + 1, "more than 200 documents");
            }
            let (content, breach) = read(chunk, &self.spent);
            self.push(path, index + 1, chunk.content_line(), content);
            self.breaches += usize::from(breach);
            if self.breaches > MAX_BREACHES {
                return self.stop(path, index + 1, "too many documents over a limit");
            }
            if self.spent.get().exceeds(MAX_NODES, MAX_TEXT_BYTES) {
                return self.stop(
                    path,
                    index + 1,
                    "more than 50,000 nodes or 8 MiB of text in all",
                );
            }
        }
        ControlFlow::Continue(())
    }

    fn push(&mut self, path: &str, document: usize, line: usize, content: Content) {
        self.entries.push(Entry { path: path.to_owned(), document, line, content });
    }

    fn refuse_file(&mut self, path: &str, reason: String) {
        self.push(path, 0, 1, Content::Refused { line: 1, column: None, reason });
    }

    fn stop(&mut self, path: &str, document: usize, what: &str) -> ControlFlow<()> {
        let place =
            if document == 0 { String::new() } else { format!(" (at document {document})") };
        let reason = format!(
            "the directory holds {what}{place}; nothing after this was read: \
             keep fewer or smaller manifests in it"
        );
        self.refuse_file(path, reason);
        ControlFlow::Break(())
    }
}

/// One document's text with its `---`, and the line of the file that it starts at.
#[derive(Debug, PartialEq, Eq)]
struct Chunk<'t> {
    text: &'t str,
    line: usize,
}

impl Chunk<'_> {
    /// The first line that holds more than a marker or a comment.
    fn content_line(&self) -> usize {
        let content = |l: &str| !is_blank(l.strip_prefix("---").unwrap_or(l));
        self.line + self.text.lines().position(content).unwrap_or(0)
    }

    /// The index and the text of the first line that is a directive: it starts with `%` where no document is open.
    fn directive(&self) -> Option<(usize, &str)> {
        let mut is_open = false;
        self.text.lines().enumerate().find(|(_, line)| {
            let found = !is_open && line.starts_with('%');
            is_open = !line.starts_with("...") && (is_open || !is_blank(line));
            found
        })
    }
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Splits at lines that start with the marker `---`. YAML allows no such line inside a document, in no kind of text:
/// one broken document hides none that follows it.
fn split(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && offset > start {
            chunks.push(Chunk { text: &text[start..offset], line: start_line });
            (start, start_line) = (offset, index + 1);
        }
        offset += line.len();
    }
    chunks.push(Chunk { text: &text[start..], line: start_line });
    // What stands before the first marker is a document only if it is more than comments.
    if chunks.first().is_some_and(|first| first.text.lines().all(is_blank)) {
        chunks.remove(0);
    }
    chunks
}

fn read(chunk: &Chunk<'_>, spent: &Cell<Spent>) -> (Content, bool) {
    // A directive stands before its `---`, where the text was split. The parser would find that out slowly.
    if let Some((index, line)) = chunk.directive() {
        let near = shown(line);
        let reason =
            format!("YAML directives are not read (near `{near}`): remove the line with `%`");
        let line = chunk.line + index;
        return (Content::Refused { line, column: Some(1), reason }, false);
    }
    let seed = Seed { spent, max_nodes: MAX_NODES, max_text: MAX_TEXT_BYTES };
    let parsed = serde_saphyr::with_deserializer_from_str_with_options(
        chunk.text,
        options(),
        |deserializer| serde::de::DeserializeSeed::deserialize(seed, deserializer),
    );
    match parsed {
        Ok(value) => (Content::Parsed(value), false),
        Err(error) => {
            let error = innermost(&error);
            let breach = is_breach(error) || spent.get().exceeds(MAX_NODES, MAX_TEXT_BYTES);
            (explain(chunk, error, breach), breach)
        }
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 120_000,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: 4 << 20,
            max_depth: MAX_DEPTH,
            // The scanner reads ahead: the limit on depth, which explains itself, must be met first.
            flow_nesting_limit: 2 * MAX_DEPTH,
            max_documents: 2,
            max_nodes: MAX_NODES,
            max_total_scalar_bytes: MAX_FILE_BYTES,
            max_merge_keys: 100,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 100,
        },
        legacy_octal_numbers: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => innermost(error),
        other => other,
    }
}

fn is_breach(error: &Error) -> bool {
    matches!(
        error,
        Error::Budget { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. }
            | Error::AliasReplayCounterOverflow { .. }
    )
}

/// What is wrong with a document, the line where, and what to do.
fn explain(chunk: &Chunk<'_>, error: &Error, breach: bool) -> Content {
    let (line, column) = error.location().map_or((1, None), |at| {
        let number = |n: u64| usize::try_from(n).unwrap_or(1).max(1);
        (number(at.line()), Some(number(at.column())))
    });
    // An error at the end of the text stands on a line that is not there.
    let excerpt = chunk.text.lines().nth(line - 1).unwrap_or_default();
    if let Some(why) = template(chunk.text, excerpt) {
        return Content::Skip(why);
    }
    let mut reason = match error {
        Error::Budget { breach, .. } => over(breach),
        _ if is_breach(error) => "aliases stand for too much".to_owned(),
        _ => serde_saphyr::UserMessageFormatter.format_message(error).into_owned(),
    };
    if !is_blank(excerpt) {
        reason.push_str(&format!(" (near `{}`)", shown(excerpt)));
    }
    reason.push_str(": ");
    reason.push_str(&remedy(chunk, error, line, breach));
    Content::Refused { line: chunk.line + line - 1, column, reason }
}

fn over(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => {
            format!("more than {MAX_DEPTH} mappings and lists inside each other")
        }
        BudgetBreach::Nodes { .. } => format!("more than {MAX_NODES} nodes in one document"),
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
            format!("more than {MAX_ALIASES} anchors or aliases in one document")
        }
        BudgetBreach::ScalarBytes { .. } => {
            format!("more than {MAX_FILE_BYTES} bytes of text in one document, aliases expanded")
        }
        _ => "the document is too complex".to_owned(),
    }
}

fn remedy(chunk: &Chunk<'_>, error: &Error, line: usize, breach: bool) -> String {
    let around = chunk.text.lines().skip(line.saturating_sub(2)).take(3);
    if let Some(variable) = around.filter_map(unquoted_variable).next() {
        return format!("quote it: \"{{{{ {variable} }}}}\"");
    }
    match error {
        _ if breach => "keep less in one document".to_owned(),
        Error::DuplicateMappingKey { .. } => "remove one of the two".to_owned(),
        Error::MultipleDocuments { .. } => "put a line `---` between documents".to_owned(),
        Error::NonFiniteFloat { .. } => "JSON has no such number; quote it".to_owned(),
        Error::UnsupportedTag { .. } => "remove the tag".to_owned(),
        _ if error.to_string().contains(KEY_IS_NO_TEXT) => "quote the key".to_owned(),
        _ => "correct the YAML".to_owned(),
    }
}

/// The variable of a line that uses it as a value, or the start of one, without quotes.
fn unquoted_variable(line: &str) -> Option<&str> {
    let start = line.find("{{")?;
    let before = line[..start].trim_end();
    let is_value = before.is_empty() || before.ends_with([':', '-', ',', '[']);
    let name = line[start + 2..].split("}}").next()?.trim();
    (is_value && variables::is_name(name)).then_some(name)
}

/// Why a text that is no YAML is a Helm template, if it is one: where it fails it uses Helm's words, or it has a line
/// that starts with braces, which no text inside an object can have.
fn template(text: &str, failing: &str) -> Option<String> {
    let helm = ["{{-", "{{ .", "{{.", "{{ include ", "{{ if ", "{{ range ", "{{ end"];
    let mark = helm
        .iter()
        .find(|mark| failing.contains(*mark) || text.lines().any(|line| line.starts_with(*mark)))?;
    Some(format!("a Helm template (`{mark}`): no object until Helm has rendered it"))
}

fn shown(line: &str) -> String {
    printable(line.trim(), EXCERPT_CHARS)
}

/// The start of a text, control characters as `\u{…}`: what a repository holds must neither steer a terminal nor fill
/// the records.
pub(super) fn printable(text: &str, chars: usize) -> String {
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == chars {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
