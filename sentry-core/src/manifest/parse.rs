//! From the files of B to parsed documents, within budgets. Every document is looked at, every problem recorded.
//!
//! What a document holds is what `kubectl` would read from it: YAML 1.1 booleans and octal numbers, merge keys,
//! whole floats as integers. What YAML readers are known to disagree about (repeated keys, keys that are no text,
//! unknown tags, several documents without `---`) is refused.

use std::cell::Cell;
use std::ops::ControlFlow;

use serde_json::Value;

use super::lock::{LOCK, Lock};
use super::variables;
use super::yaml::{self, At, Fault, Sort, Spent, Why};
use crate::forge::{Tree, TreeFile};
use crate::text;

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

/// A tree with more documents over a limit than this is read no further: it is an attack or an accident.
const MAX_BREACHES: usize = 5;
/// Characters of a line that an error shows.
const EXCERPT_CHARS: usize = 80;

/// The documents of a tree, with what is wrong with those that can't be read.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    pub(super) entries: Vec<Entry>,
    pub(super) lock: Option<Lock>,
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
    /// What of elsewhere the directory uses and nothing else, if it says so.
    #[must_use]
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

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
    let mut lock = tree.files.iter().find(|file| file.path == LOCK).and_then(|f| reader.lock(f));
    for file in tree.files.iter().filter(|file| !is_lock(&file.path)) {
        if let Some(lock) = lock.as_mut().filter(|lock| lock.names(&file.path)) {
            lock.hold(&file.path, &file.bytes);
        } else if reader.file(file).is_break() {
            break;
        }
    }
    reader.entries.sort_by(|a, b| (&a.path, a.document).cmp(&(&b.path, b.document)));
    Documents { entries: reader.entries, lock }
}

/// True for a lock by its name. One that is not at the root of the directory says nothing about it.
fn is_lock(path: &str) -> bool {
    path == LOCK || path.strip_suffix(LOCK).is_some_and(|folder| folder.ends_with('/'))
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
    /// The directory's lock. One that can't be read is an empty one, and refused: what it named is not used unchecked.
    fn lock(&mut self, file: &TreeFile) -> Option<Lock> {
        let text = std::str::from_utf8(&file.bytes).map_err(|_| "is not UTF-8".to_owned());
        let read = text.and_then(|text| first(text, &self.spent)).and_then(|v| Lock::read(&v));
        Some(read.unwrap_or_else(|why| {
            self.refuse_file(&file.path, why);
            Lock::default()
        }))
    }

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
            Ok(text) => self.text(&file.path, text),
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
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let is_unread = starts_as_json(text) && !is_json(text);
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
            let (content, breach) = match is_unread {
                true => (explain(chunk, no_json()), false),
                false => read(chunk, &self.spent),
            };
            self.push(path, index + 1, chunk.content_line(), content);
            self.breaches += usize::from(breach);
            if self.breaches > MAX_BREACHES {
                return self.stop(path, index + 1, "too many documents exceed a limit");
            }
            if self.spent.get().is_all() {
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

    /// What the parser must not see.
    fn unreadable(&self) -> Option<Fault> {
        let mut is_open = false;
        for (index, line) in self.text.lines().enumerate() {
            let starts = |mark: &str| !is_open && line.starts_with(mark);
            let (what, remedy) = if let Some(rest) = line.strip_prefix("---") {
                if is_blank(rest) && !rest.starts_with('#') {
                    continue;
                }
                ("kubectl allows no text after `---`", "start it on the next line")
            } else if line.contains(SEPARATORS) {
                (
                    "a character that some parsers take for a line break",
                    "write it as an escape in double quotes",
                )
            } else if starts("%") {
                // A directive stands before its `---`, where the text was split. The parser would find that out slowly.
                ("YAML directives are not supported", "remove the line with `%`")
            } else if starts("...") {
                ("no document ends here", "remove the line with `...`")
            } else {
                is_open = !line.starts_with("...") && (is_open || !is_blank(line));
                continue;
            };
            return Some(Why::unclear(what, remedy).at(At { line: index + 1, column: 1 }));
        }
        None
    }
}

/// What ends a line for some readers: NEL, LS, PS, a lone CR; and the byte order mark, whose place is the start of a file.
const SEPARATORS: [char; 5] = ['\u{85}', '\u{2028}', '\u{2029}', '\r', '\u{feff}'];

fn is_blank(line: &str) -> bool {
    let line = line.trim_matches([' ', '\t', '\r']);
    line.is_empty() || line.starts_with('#')
}

/// Splits at lines that start with `---`. YAML allows no such line inside a document, in no kind of text: one broken
/// document hides none that follows it.
fn split(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.starts_with("---") {
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

/// True if kubectl takes a file for JSON, where `---` separates nothing.
fn starts_as_json(text: &str) -> bool {
    let start = text.trim_start();
    // Two braces are a template, which says more.
    start.starts_with('{') && !start.starts_with("{{")
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn no_json() -> Fault {
    let what = "kubectl reads a file that starts with `{` as JSON, and this is not JSON";
    Why::unclear(what, "start the file with a line `---`").at(At { line: 1, column: 1 })
}

fn read(chunk: &Chunk<'_>, spent: &Cell<Spent>) -> (Content, bool) {
    if let Some(fault) = chunk.unreadable() {
        return (explain(chunk, fault), false);
    }
    match yaml::read(chunk.text, spent) {
        Ok(value) => (Content::Parsed(value), false),
        Err(fault) => {
            let breach = fault.why.sort == Sort::TooMuch;
            (explain(chunk, fault), breach)
        }
    }
}

/// The first document of a text.
///
/// # Errors
/// Why it can't be read, as a clause.
pub(super) fn first(text: &str, spent: &Cell<Spent>) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let chunks = split(text);
    let Some(chunk) = chunks.first() else { return Err("holds no document".to_owned()) };
    match read(chunk, spent).0 {
        Content::Parsed(value) => Ok(value),
        Content::Skip(why) => Err(format!("can't be read: {why}")),
        Content::Refused { line, reason, .. } => {
            Err(format!("can't be read at line {line}: {reason}"))
        }
    }
}

/// What is wrong with a document, the line where, and what to do.
fn explain(chunk: &Chunk<'_>, fault: Fault) -> Content {
    let Fault { why: Why { what: mut reason, remedy, sort }, at } = fault;
    // An error at the end of the text stands on a line that is not there.
    let excerpt = chunk.text.lines().nth(at.line - 1).unwrap_or_default();
    if let Some(why) = template(chunk.text, excerpt).filter(|_| sort == Sort::Broken) {
        return Content::Skip(why);
    }
    if !is_blank(excerpt) {
        reason.push_str(&format!(" (near `{}`)", shown(excerpt)));
    }
    reason.push_str(": ");
    let mut around = chunk.text.lines().skip(at.line.saturating_sub(2)).take(3);
    match around.find_map(unquoted_variable) {
        Some(variable) => reason.push_str(&format!("quote it: \"{{{{ {variable} }}}}\"")),
        None => reason.push_str(remedy),
    }
    Content::Refused { line: chunk.line + at.line - 1, column: Some(at.column), reason }
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
    Some(format!("a Helm template (`{mark}`): not an object until Helm renders it"))
}

fn shown(line: &str) -> String {
    printable(line.trim(), EXCERPT_CHARS)
}

/// The start of a text as one line: what a repository holds must neither steer a terminal nor fill the records.
pub(super) fn printable(text: &str, chars: usize) -> String {
    text::cut(&text::line(text), chars)
}
