//! The promises of Sentry, and what their proofs saw.
//!
//! Each promise has a file in `tests/promises/` that is named after its number. A proof runs with a small figure in
//! every test run and with its full one when `SENTRY_PROMISES=full` is set (`make promises`); it ends with
//! [`kept`], from which docs/promises.md is made.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod table;

pub use table::{PROMISES, Promise};

/// Whether the full figures are wanted: `SENTRY_PROMISES=full`.
pub fn full() -> bool {
    std::env::var("SENTRY_PROMISES").is_ok_and(|wanted| wanted == "full")
}

/// How many cases this run tries: `all` for the full figure, `few` in every other run.
pub fn cases(all: usize, few: usize) -> usize {
    if full() { all } else { few }
}

/// What one proof saw.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    promise: u8,
    part: String,
    seen: String,
    full: bool,
}

/// Where a run leaves its records: `target/promises`.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("promises")
}

/// Tells what a proof of a promise saw, after its assertions have held. A promise with several proofs names the part
/// that each of them shows, else `part` is empty.
///
/// # Panics
/// If the promise is not in the table, or the record can't be written.
pub fn kept(promise: u8, part: &str, seen: &str) {
    let known = PROMISES.iter().any(|known| known.number == promise);
    assert!(known, "promise {promise} is not in the table");
    let size = if full() { "full" } else { "small" };
    let part_of = if part.is_empty() { String::new() } else { format!(", {part}") };
    say(&format!("promise {promise}{part_of}: {seen} ({size} run)"));
    let record = Record { promise, part: part.to_owned(), seen: seen.to_owned(), full: full() };
    let name: String =
        part.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let file = folder().join(format!("{promise:02}-{name}.json"));
    if !full() && std::fs::read_to_string(&file).is_ok_and(|kept| is_full(&kept)) {
        return;
    }
    std::fs::create_dir_all(folder()).expect("the target folder can be written");
    let text = serde_json::to_string_pretty(&record).expect("a record is JSON");
    std::fs::write(file, text).expect("the target folder can be written");
}

/// Leaves a page beside the records, which `make promises` puts into docs.
///
/// # Panics
/// If it can't be written.
pub fn leave(name: &str, page: &str) {
    let folder = folder();
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    std::fs::write(folder.join(name), page).expect("the target folder can be written");
}

/// A small run leaves a full one's record as it is.
fn is_full(record: &str) -> bool {
    serde_json::from_str::<Record>(record).is_ok_and(|record| record.full)
}

#[expect(clippy::print_stdout, reason = "a proof prints its figure")]
fn say(line: &str) {
    println!("{line}");
}

/// The page docs/promises.md, from what runs left in `target/promises`.
///
/// # Errors
/// A record that can't be read.
pub fn page() -> std::io::Result<String> {
    let mut records = Vec::<Record>::new();
    if let Ok(files) = std::fs::read_dir(folder()) {
        for file in files {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                records.push(serde_json::from_str(&std::fs::read_to_string(path)?)?);
            }
        }
    }
    records.sort_by(|a, b| (a.promise, &a.part).cmp(&(b.promise, &b.part)));
    let mut text = HEAD.to_owned();
    for promise in PROMISES {
        let mine = records.iter().filter(|record| record.promise == promise.number);
        row(&mut text, promise, &mine.collect::<Vec<_>>());
    }
    Ok(text)
}

const HEAD: &str = "\
# What Sentry promises, and what its proofs saw

Made by `make promises` from the newest record of each proof; do not edit. Every promise has a file in
`tests/promises/`, judged by what the API server, the git server and the forges received, not by what Sentry says of
itself. `make test` runs the same proofs with smaller figures. To repeat one: `make promises ONLY=pNN`.

| # | promise | figure wanted | figure seen | how |
|---|---|---|---|---|
";

fn row(text: &mut String, promise: &Promise, records: &[&Record]) {
    let cell = |record: &&Record| {
        let part =
            if record.part.is_empty() { String::new() } else { format!("{}: ", record.part) };
        let size = if record.full { "" } else { " (small run)" };
        format!("{part}{}{size}", record.seen).replace('|', "\\|")
    };
    let seen: Vec<String> = records.iter().map(cell).collect();
    let seen = if seen.is_empty() { "not run".to_owned() } else { seen.join("<br>") };
    let Promise { number, text: promise, figure } = promise;
    _ = writeln!(text, "| {number} | {promise} | {figure} | {seen} | `p{number:02}` |");
}
