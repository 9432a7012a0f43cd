//! `sentry.lock`: what of elsewhere a directory uses, with the digest of each document, and the file of the directory that holds
//! it. With a lock nothing else is used, and nobody is asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::closed_list::ClosedList as _;
use crate::remote::{self, RemoteKind, Wanted};

/// The name of the file, at the root of the directory.
pub const LOCK: &str = "sentry.lock";
/// The folder of the directory that holds what the lock names.
pub const VENDOR: &str = "vendor";
const VERSION: u64 = 1;

/// What a lock says of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockEntry {
    /// What it is to be.
    pub kind: RemoteKind,
    /// Where it is, as the annotation names it.
    pub name: String,
    /// Where it came from.
    pub url: String,
    /// The version that was asked for, of an entry of the hub.
    pub version: Option<String>,
    /// sha256 of its bytes, in hex.
    pub sha256: String,
    /// The file that holds it, relative to the directory, below [`VENDOR`].
    pub file: String,
}

/// A lock, and the files that it names.
#[derive(Debug, Clone, Default)]
pub struct Lock {
    entries: Vec<LockEntry>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Lock {
    /// The text of a lock with these entries.
    #[must_use]
    pub fn text(entries: &[LockEntry]) -> String {
        let mut out = format!(
            "# Written by `sentry vendor`: what of elsewhere this directory uses. With it nothing else is.\nversion: {VERSION}\n\
             documents:{}\n",
            if entries.is_empty() { " []" } else { "" }
        );
        // A string of JSON is one of YAML.
        let quoted = |text: &str| Value::from(text).to_string();
        for entry in entries {
            writeln!(out, "  - kind: {}", entry.kind).ok();
            let version = entry.version.as_deref().map(|version| ("version", version));
            let fields = [("name", entry.name.as_str()), ("url", &entry.url)];
            let rest = [("sha256", entry.sha256.as_str()), ("file", &entry.file)];
            for (field, text) in fields.into_iter().chain(version).chain(rest) {
                writeln!(out, "    {field}: {}", quoted(text)).ok();
            }
        }
        out
    }

    /// The files that the text of a lock names; none of what is no lock.
    #[must_use]
    pub fn files_of(text: &str) -> Vec<String> {
        let value = super::parse::first(text, &Default::default());
        let lock = value.ok().and_then(|value| Self::read(&value).ok()).unwrap_or_default();
        lock.entries.into_iter().map(|entry| entry.file).collect()
    }

    /// Reads a lock.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let wrong = |what: &str| format!("the lock {what}: write it anew with `sentry vendor`");
        let version = value.get("version").and_then(Value::as_u64);
        if version.is_some_and(|version| version > VERSION) {
            return Err("the lock was written by a newer Sentry: use that one".to_owned());
        }
        let documents = value.get("documents").and_then(Value::as_array);
        let (Some(VERSION), Some(documents)) = (version, documents) else {
            return Err(wrong("is none"));
        };
        let entry = |value: &Value| {
            let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
            Some(LockEntry {
                kind: RemoteKind::from_word(&text("kind")?)?,
                name: text("name")?,
                url: text("url")?,
                version: text("version"),
                sha256: text("sha256").filter(|hex| {
                    hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                })?,
                file: text("file").filter(|file| is_vendored(file))?,
            })
        };
        let entries: Option<Vec<_>> = documents.iter().map(entry).collect();
        let entries = entries.ok_or_else(|| wrong("has an entry that can't be read"))?;
        Ok(Self { entries, files: BTreeMap::new() })
    }

    /// True if the lock names the file.
    pub(super) fn names(&self, file: &str) -> bool {
        self.entries.iter().any(|entry| entry.file == file)
    }

    /// Keeps what stands in a file that it names.
    pub(super) fn hold(&mut self, file: &str, bytes: &[u8]) {
        self.files.insert(file.to_owned(), bytes.to_owned());
    }

    /// The bytes of a document, and where they came from.
    ///
    /// # Errors
    /// Why they can't be used, and what to do.
    pub fn get(&self, wanted: &Wanted) -> Result<(&[u8], &LockEntry), String> {
        let name = wanted.place.to_string();
        let is_it = |entry: &&LockEntry| entry.kind == wanted.kind && entry.name == name;
        let Some(entry) = self.entries.iter().find(is_it) else {
            return Err(format!("is not in {LOCK}: run `sentry vendor` and commit what it writes"));
        };
        let LockEntry { file, sha256, .. } = entry;
        let Some(bytes) = self.files.get(file) else {
            return Err(format!("{file}, which {LOCK} names, is not there: restore it"));
        };
        if remote::digest(bytes) != *sha256 {
            return Err(format!(
                "{file} is not what {LOCK} names (sha256 {sha256}): restore it, or look at the change and run \
                 `sentry vendor`"
            ));
        }
        Ok((bytes, entry))
    }
}

fn is_vendored(file: &str) -> bool {
    let name = file.strip_prefix(VENDOR).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| {
        !name.is_empty() && !name.split('/').any(|part| matches!(part, "" | "." | ".."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Place;

    fn entry(n: usize) -> LockEntry {
        LockEntry {
            kind: RemoteKind::Task,
            name: format!("t{n}:0.{n}"),
            url: "https://hub.example.com/x?y#\"z\": - '".to_owned(),
            version: (n > 0).then(|| format!("0.{n}")),
            sha256: remote::digest(b"x"),
            file: format!("vendor/t{n}.yaml"),
        }
    }

    fn read(text: &str) -> Result<Lock, String> {
        Lock::read(&super::super::yaml::read(text, &Default::default()).unwrap())
    }

    #[test]
    fn a_lock_reads_back_as_it_was_written() {
        for entries in [vec![], vec![entry(0)], vec![entry(0), entry(1)]] {
            assert_eq!(read(&Lock::text(&entries)).unwrap().entries, entries);
        }
    }

    #[test]
    fn what_is_no_lock_or_leads_outside_is_refused() {
        let good = Lock::text(&[entry(1)]);
        for (from, to) in [
            ("version: 1", "version: 2"),
            ("version: 1", "version: x"),
            ("documents:", "document:"),
            ("kind: task", "kind: stepaction"),
            ("vendor/t1.yaml", "t1.yaml"),
            ("vendor/t1.yaml", "vendor/../run.yaml"),
            ("vendor/t1.yaml", "vendor/"),
            (&remote::digest(b"x"), "abc"),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(read(&good.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn only_what_is_named_and_unchanged_is_used() {
        let mut lock = read(&Lock::text(&[entry(1)])).unwrap();
        let place = Place::Hub { name: "t1".into(), version: Some("0.1".into()) };
        let wanted = Wanted { kind: RemoteKind::Task, place };
        assert!(lock.get(&wanted).unwrap_err().contains("is not there"));
        lock.hold("vendor/t1.yaml", b"x");
        assert_eq!(lock.get(&wanted).unwrap().0, b"x");
        lock.hold("vendor/t1.yaml", b"y");
        assert!(lock.get(&wanted).unwrap_err().contains("is not what sentry.lock names"));
        let other = Wanted { kind: RemoteKind::Pipeline, ..wanted };
        assert!(lock.get(&other).unwrap_err().contains("is not in sentry.lock"));
    }
}
