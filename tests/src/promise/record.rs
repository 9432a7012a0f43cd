//! What one proof saw, and of which code, when and where.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sentry_core::clock::{Clock, SystemClock, Timestamp};
use serde::{Deserialize, Serialize};

use super::page::proof_of;
use crate::browser::target;

/// What a figure speaks of: a record is worth nothing once one of these has changed.
const PRODUCT: [&str; 4] = ["sentry-*/src", "sentry-*/Cargo.toml", "Cargo.toml", "Cargo.lock"];

/// What `make promises` builds with.
const PROFILE: &str = "proof";

/// What one proof saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) promise: u8,
    pub(super) part: String,
    pub(super) seen: String,
    /// The commit whose product was built; `+` behind it if the product had changes that were not committed.
    pub(super) commit: String,
    /// The day, as `2026-11-29`.
    pub(super) date: String,
    /// The profile that the proof was built with; empty where it was not written down.
    #[serde(default)]
    pub(super) profile: String,
    /// The machine's kind, and its cores and load at the proof's end; empty where it was not written down.
    #[serde(default)]
    pub(super) machine: String,
}

impl Record {
    /// A record of the code that is checked out.
    pub(super) fn of_now(promise: u8, part: &str, seen: &str) -> Self {
        let changes = if is_as_in("HEAD").unwrap_or(false) { "" } else { "+" };
        let commit = git(&["rev-parse", "HEAD"]).unwrap_or_else(|_| "unknown".to_owned());
        Self {
            promise,
            part: part.to_owned(),
            seen: seen.to_owned(),
            commit: format!("{commit}{changes}"),
            date: day(SystemClock.now()),
            profile: profile().unwrap_or_default(),
            machine: machine(),
        }
    }

    /// Writes it to the folder of records, in place of an earlier one of the same proof.
    pub(super) fn keep(&self) -> io::Result<()> {
        let name: String =
            self.part.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        std::fs::create_dir_all(folder())?;
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(folder().join(format!("{:02}-{name}.json", self.promise)), text)
    }

    /// Which proof it is of.
    pub(super) fn proof(&self) -> (u8, &str) {
        (self.promise, &self.part)
    }

    /// What it is of, as the page shows it.
    pub(super) fn origin(&self) -> String {
        let commit: String = self.commit.chars().take(7).collect();
        let known = [&commit, &self.date, &self.profile, &self.machine];
        let known: Vec<&str> =
            known.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        known.join(", ")
    }

    /// Why it may not be published as what a run left just now, if it may not.
    pub(super) fn unfit(&self) -> io::Result<Option<String>> {
        if let Some(why) = self.impossible() {
            return Ok(Some(why));
        }
        let why = self.unknown().map_or_else(|| self.stale(), |why| Ok(Some(why)))?;
        Ok(why.map(|why| self.refused(&why)))
    }

    /// Why it can't have come about as it says. Whether somebody wrote it by hand can't be seen.
    pub(super) fn impossible(&self) -> Option<String> {
        let made = made(self.commit.trim_end_matches('+'));
        let why = self.out_of_time(made.as_deref(), &day(SystemClock.now()))?;
        Some(self.refused(&why))
    }

    fn refused(&self, why: &str) -> String {
        let Self { promise, part, .. } = self;
        format!("the record of promise {promise} ({part}) {why}: prove it anew")
    }

    /// What a run of a proof leaves and it has not.
    fn unknown(&self) -> Option<String> {
        let Self { profile, machine, seen, .. } = self;
        Some(if proof_of(self).is_none() {
            "is of no proof in the table".to_owned()
        } else if seen.is_empty() || machine.is_empty() {
            "does not say what was seen, or where".to_owned()
        } else if profile != PROFILE {
            format!("is of a build with the profile {profile:?} and not {PROFILE:?}")
        } else {
            return None;
        })
    }

    /// Its commit was `made` on a day, if it is in this history, and this is `today`.
    fn out_of_time(&self, made: Option<&str>, today: &str) -> Option<String> {
        let Self { commit, date, .. } = self;
        let Some(made) = made else {
            return Some(format!("is of {commit}, which is not in this history"));
        };
        let between = date.as_str() >= made && date.as_str() <= today;
        (!between).then(|| format!("is of {date}, which was before its commit or is still to come"))
    }

    /// Why it says nothing of the product that is checked out.
    fn stale(&self) -> io::Result<Option<String>> {
        let commit = &self.commit;
        if commit.ends_with('+') {
            return Ok(Some("is of changes that were not committed".to_owned()));
        }
        let current = is_as_in(commit)?;
        Ok((!current).then(|| format!("is of {commit}, and the product has changed")))
    }
}

/// The day on which a commit of this history was made.
fn made(commit: &str) -> Option<String> {
    git(&["merge-base", "--is-ancestor", commit, "HEAD"]).ok()?;
    git(&["show", "-s", "--format=%cs", commit]).ok()
}

fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// Where a run leaves its records: `target/promises`.
pub(super) fn folder() -> PathBuf {
    target().join("promises")
}

/// The records in the folder.
pub(super) fn in_folder() -> io::Result<Vec<(PathBuf, Record)>> {
    let files = match std::fs::read_dir(folder()) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = files.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?;
    let records = paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "json"));
    records.map(|path| Ok((path.clone(), read(&path)?))).collect()
}

fn read(path: &Path) -> io::Result<Record> {
    let named = |error| io::Error::other(format!("{}: {error}", path.display()));
    serde_json::from_str(&std::fs::read_to_string(path)?).map_err(named)
}

/// True if the product in the working tree is that of the commit.
fn is_as_in(commit: &str) -> io::Result<bool> {
    let changed = git(&[&["diff", "--name-only", commit, "--"], &PRODUCT[..]].concat())?;
    let new = git(&[&["ls-files", "-o", "--exclude-standard", "--"], &PRODUCT[..]].concat())?;
    Ok(changed.is_empty() && new.is_empty())
}

fn git(arguments: &[&str]) -> io::Result<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new("git").args(["-C", root]).args(arguments).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// The folder of `target` that this program was built into.
fn profile() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?.parent()?.file_name()?;
    Some(folder.to_string_lossy().into_owned())
}

/// What it is, how many of its cores there are, and how busy it was.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    format!("{cores} cores of {model}, load {load}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str = "2026-11-28";
    const TODAY: &str = "2026-11-30";

    /// What a run of a proof leaves, by `make promises` on a clean tree.
    fn record() -> Record {
        Record {
            promise: 1,
            part: String::new(),
            seen: "killed 501 times".to_owned(),
            commit: "c0ffee00".repeat(5),
            date: "2026-11-29".to_owned(),
            profile: PROFILE.to_owned(),
            machine: "2 cores".to_owned(),
        }
    }

    #[test]
    fn what_no_run_leaves_is_refused_and_the_reason_named() {
        let right = record();
        assert_eq!((right.unknown(), right.out_of_time(Some(MADE), TODAY)), (None, None));
        assert!(right.out_of_time(None, TODAY).unwrap().contains("not in this history"));
        type Forgery = (&'static str, fn(&mut Record));
        let forgeries: [Forgery; 7] = [
            ("no proof", |record| record.part = "by hand".to_owned()),
            ("no proof", |record| record.promise = 8),
            ("what was seen", |record| record.seen.clear()),
            ("or where", |record| record.machine.clear()),
            ("profile", |record| record.profile = "debug".to_owned()),
            ("before its commit", |record| record.date = "2026-11-27".to_owned()),
            ("still to come", |record| record.date = "2026-12-01".to_owned()),
        ];
        for (word, forge) in forgeries {
            let mut record = record();
            forge(&mut record);
            let why = record.unknown().or_else(|| record.out_of_time(Some(MADE), TODAY)).unwrap();
            assert!(why.contains(word), "{word}: {why}");
        }
    }

    #[test]
    fn a_record_of_changes_that_were_not_committed_is_stale() {
        let mut record = record();
        record.commit.push('+');
        assert!(record.stale().unwrap().unwrap().contains("not committed"));
    }
}
