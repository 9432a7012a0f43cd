//! What one proof saw, and of which code, when and where.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sentry_core::clock::{Clock, SystemClock};
use serde::{Deserialize, Serialize};

/// What a figure speaks of: a record is worth nothing once one of these has changed.
const PRODUCT: [&str; 4] = ["sentry-*/src", "sentry-*/Cargo.toml", "Cargo.toml", "Cargo.lock"];

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
    /// Cores and load of the machine at the proof's end; empty where it was not written down.
    #[serde(default)]
    pub(super) machine: String,
}

impl Record {
    /// A record of the code that is checked out.
    pub(super) fn of_now(promise: u8, part: &str, seen: &str) -> Self {
        let changes = if is_as_in("HEAD").unwrap_or(false) { "" } else { "+" };
        let commit = git(&["rev-parse", "HEAD"]).unwrap_or_else(|_| "unknown".to_owned());
        let now = SystemClock.now();
        Self {
            promise,
            part: part.to_owned(),
            seen: seen.to_owned(),
            commit: format!("{commit}{changes}"),
            date: now.to_string().chars().take(10).collect(),
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

    /// Why it says nothing of the product that is checked out, if it does not.
    pub(super) fn stale(&self) -> io::Result<Option<String>> {
        let Self { promise, part, commit, .. } = self;
        let name = format!("the record of promise {promise} ({part})");
        if commit.ends_with('+') {
            return Ok(Some(format!(
                "{name} is of changes that were not committed: prove it anew"
            )));
        }
        let current = is_as_in(commit)?;
        Ok((!current)
            .then(|| format!("{name} is of {commit}, and the product has changed: prove it anew")))
    }
}

/// Where a run leaves its records: `target/promises`.
pub(super) fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("promises")
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

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    format!("{cores} cores, load {load}")
}
