//! docs/promises.json, the newest full record of each proof, and docs/promises.md, which is made from it.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::record::{self, Record};
use super::row::{Promise, Proof};
use super::table::PROMISES;

/// Takes away the records of the proofs that begin now, so that one which fails leaves none, on the page neither: those of
/// one promise for `p31` or the name of a test in it, those of all where `only` is empty.
///
/// # Errors
/// If `only` names no promise, or a record can't be read or removed.
pub fn begin(only: &str) -> io::Result<()> {
    let number = only.strip_prefix('p').and_then(|rest| rest.get(..2)?.parse::<u8>().ok());
    if number.is_none() && !only.is_empty() {
        return Err(io::Error::other(format!("`{only}` names no promise: write `p31`")));
    }
    let begins = |record: &Record| number.is_none_or(|number| number == record.promise);
    for (path, _) in record::in_folder()?.into_iter().filter(|(_, record)| begins(record)) {
        std::fs::remove_file(path)?;
    }
    let mut records = published()?;
    records.retain(|record| !begins(record));
    write(&records)
}

/// Puts the folder's records into docs/promises.json, each in place of the older one of its proof, and makes
/// docs/promises.md from all.
///
/// # Errors
/// A record that can't be read, is of no proof of the table, says nothing of the product that is checked out, or can't
/// have come about as it says: then nothing is written.
pub fn publish() -> io::Result<()> {
    let mut records = published()?;
    for (_, new) in record::in_folder()? {
        if let Some(why) = new.unfit()? {
            return Err(io::Error::other(why));
        }
        records.retain(|old| old.proof() != new.proof());
        records.push(new);
    }
    records.retain(|record| proof_of(record).is_some());
    if let Some(why) = records.iter().find_map(Record::impossible) {
        return Err(io::Error::other(why));
    }
    records.sort_by(|a, b| a.proof().cmp(&b.proof()));
    write(&records)
}

fn published() -> io::Result<Vec<Record>> {
    Ok(serde_json::from_str(&std::fs::read_to_string(docs("json"))?)?)
}

fn write(records: &[Record]) -> io::Result<()> {
    std::fs::write(docs("json"), serde_json::to_string_pretty(records)? + "\n")?;
    std::fs::write(docs("md"), page(records))
}

/// The table's row of a record.
pub(super) fn proof_of(record: &Record) -> Option<&'static Proof> {
    let promise = PROMISES.iter().find(|promise| promise.number == record.promise)?;
    promise.proofs.iter().find(|proof| proof.part == record.part)
}

fn docs(extension: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/promises"))
        .with_extension(extension)
}

fn page(records: &[Record]) -> String {
    let mut text = HEAD.to_owned();
    for promise in PROMISES {
        for (place, proof) in promise.proofs.iter().enumerate() {
            let is_its = |record: &&Record| record.proof() == (promise.number, proof.part);
            row(&mut text, promise, proof, place == 0, records.iter().find(is_its));
        }
    }
    text
}

const HEAD: &str = "\
# What Sentry promises, and what its proofs saw

Made by `make promises` from the newest full record of each proof (docs/promises.json); do not edit. Every promise has a
file in `tests/promises/`, and each proof in it a row here. A proof that failed since has no record, and its row says so.

Who judges:
- *the program*: the built binary with the real git and kubectl. What the API server, the git server and the forges of
  the tests received, strace and /proc judge, never what Sentry says of itself. These servers are the tests' own: no proof
  here saw a cluster or a forge of somebody else's.
- *the clients*: Sentry's clients of forges, git and kubectl without the rest, against the same servers.
- *the server*: Sentry's page and API, asked over HTTP or by a browser, over answers that the test writes.
- *the code*: functions of Sentry, or a process that calls them, without anybody else.
- *the engine over fakes*: forge, cluster and state are honest stand-ins in memory, so that the proof is about the engine
  alone.
- *simulated*: time stands still while anybody has something to do, and jumps when all wait. Hours in such a row are hours
  of that clock, and no machine was busy so long.

A figure is of the commit, the day, the build and the machine in the last column, as far as they were written down; some
are older than the code. Where a limit has room for the machine, the figure says how much. `make test` runs the same
proofs with the smaller figures, which are held to everything but times. The second witness is another test that a breach
would fail. To repeat one: `make promises ONLY=pNN`.

| # | promise | figure wanted | proof | judged by | figure seen | `make test` tries | second witness | of |
|---|---|---|---|---|---|---|---|---|
";

/// The promise itself stands in its first row alone.
fn row(text: &mut String, promise: &Promise, proof: &Proof, is_first: bool, seen: Option<&Record>) {
    let first = |text: &'static str| if is_first { text } else { "" };
    let witness = if is_first { named(promise.witness) } else { String::new() };
    let cells = [
        format!("`p{:02}`", promise.number),
        first(promise.text).to_owned(),
        first(promise.figure).to_owned(),
        proof.part.to_owned(),
        proof.judge.to_owned(),
        seen.map_or_else(|| "not run".to_owned(), |record| record.seen.clone()),
        proof.few.to_owned(),
        witness,
        seen.map_or_else(|| "not run".to_owned(), Record::origin),
    ];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// A test by its name, with a link to its file.
fn named(witness: &str) -> String {
    match witness.split_once("::") {
        Some((file, test)) => format!("[{}](../{file})", test.replace('_', " ")),
        None => witness.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_made_from_the_kept_records() {
        let records = published().unwrap();
        assert_eq!(std::fs::read_to_string(docs("md")).unwrap(), page(&records));
    }
}
