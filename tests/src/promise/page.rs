//! docs/promises.json, the newest full record of each proof, and docs/promises.md, which is made from it.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::record::{self, Record};
use super::table::{PROMISES, Promise};

/// Takes away the records of the proofs that begin now, so that one which fails leaves none: those of one promise for
/// `p31` or the name of a test in it, those of all where `only` is empty.
///
/// # Errors
/// If `only` names no promise, or a record can't be read or removed.
pub fn begin(only: &str) -> io::Result<()> {
    let number = only.strip_prefix('p').and_then(|rest| rest.get(..2)?.parse::<u8>().ok());
    if number.is_none() && !only.is_empty() {
        return Err(io::Error::other(format!("`{only}` names no promise: write `p31`")));
    }
    for (path, record) in record::in_folder()? {
        if number.is_none_or(|number| number == record.promise) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Puts the folder's records into docs/promises.json, each in place of the older one of its proof, and makes
/// docs/promises.md from all.
///
/// # Errors
/// A record that can't be read, or one of another product than the one that is checked out: then nothing is written.
pub fn publish() -> io::Result<()> {
    let mut records: Vec<Record> = serde_json::from_str(&std::fs::read_to_string(docs("json"))?)?;
    for (_, new) in record::in_folder()? {
        if let Some(why) = new.stale()? {
            return Err(io::Error::other(why));
        }
        records.retain(|old| old.proof() != new.proof());
        records.push(new);
    }
    records.sort_by(|a, b| a.proof().cmp(&b.proof()));
    std::fs::write(docs("json"), serde_json::to_string_pretty(&records)? + "\n")?;
    std::fs::write(docs("md"), page(&records))
}

fn docs(extension: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/promises"))
        .with_extension(extension)
}

fn page(records: &[Record]) -> String {
    let mut text = HEAD.to_owned();
    for promise in PROMISES {
        let mine = records.iter().filter(|record| record.promise == promise.number);
        row(&mut text, promise, &mine.collect::<Vec<_>>());
    }
    text
}

const HEAD: &str = "\
# What Sentry promises, and what its proofs saw

Made by `make promises` from the newest full record of each proof (docs/promises.json); do not edit. Every promise has a
file in `tests/promises/`, judged by what the API server, the git server and the forges received, or by fakes of them where
it is about the engine alone. A record names its commit and day, and how it was built and on what machine, where that was
written down. `make test` runs the same proofs with smaller figures. To repeat one: `make promises ONLY=pNN`.

| # | promise | figure wanted | figure seen | how | of |
|---|---|---|---|---|---|
";

fn row(text: &mut String, promise: &Promise, records: &[&Record]) {
    let Promise { number, text: promise, figure } = promise;
    let seen = cell(records, |record| {
        let part =
            if record.part.is_empty() { String::new() } else { format!("{}: ", record.part) };
        format!("{part}{}", record.seen)
    });
    let origin = cell(records, |record| {
        let commit: String = record.commit.chars().take(7).collect();
        let known = [&commit, &record.date, &record.profile, &record.machine];
        let known: Vec<&str> =
            known.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        known.join(", ")
    });
    _ = writeln!(text, "| {number} | {promise} | {figure} | {seen} | `p{number:02}` | {origin} |");
}

/// One line for each record; one for all that say the same.
fn cell(records: &[&Record], say: impl Fn(&Record) -> String) -> String {
    let mut lines: Vec<String> =
        records.iter().map(|record| say(record).replace('|', "\\|")).collect();
    lines.dedup();
    if lines.is_empty() { "not run".to_owned() } else { lines.join("<br>") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_made_from_the_kept_records() {
        let text = std::fs::read_to_string(docs("json")).unwrap();
        let records: Vec<Record> = serde_json::from_str(&text).unwrap();
        assert_eq!(std::fs::read_to_string(docs("md")).unwrap(), page(&records));
    }

    #[test]
    fn a_record_of_changes_that_were_not_committed_is_stale() {
        let mut record = Record::of_now(1, "", "seen");
        record.commit.truncate(40);
        record.commit.push('+');
        assert!(record.stale().unwrap().unwrap().contains("not committed"));
    }
}
