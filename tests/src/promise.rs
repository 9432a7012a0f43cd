//! The promises of Sentry, and what their proofs saw.
//!
//! Each promise has a file in `tests/promises/` that is named after its number. A proof runs with a small figure in
//! every test run and with its full one when `SENTRY_PROMISES=full` is set (`make promises`); it ends with
//! [`kept`], from which docs/promises.md is made. What a promise limits, [`AtMost`] holds the full run to.

mod at_most;
mod page;
mod record;
mod row;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use at_most::AtMost;
pub use page::{begin, publish};
pub use row::{Promise, Proof};
pub use table::PROMISES;

use record::{Record, folder};

/// How many cases the small runs of each promise's file try, as far as they were asked for.
static FEW: Mutex<BTreeMap<u8, BTreeSet<usize>>> = Mutex::new(BTreeMap::new());

/// Whether the full figures are wanted: `SENTRY_PROMISES=full`.
pub fn full() -> bool {
    std::env::var("SENTRY_PROMISES").is_ok_and(|wanted| wanted == "full")
}

/// How many cases this run tries: `all` for the full figure, `few` in every other run. The table says how few.
#[track_caller]
pub fn cases(all: usize, few: usize) -> usize {
    if all != few
        && let Some(promise) = promise_of(Location::caller().file())
    {
        let mut asked = FEW.lock().unwrap_or_else(PoisonError::into_inner);
        asked.entry(promise).or_default().insert(few);
    }
    if full() { all } else { few }
}

/// What 95 of 100 took at most.
///
/// # Panics
/// Of nothing.
#[must_use]
pub fn percentile_95(took: impl IntoIterator<Item = Duration>) -> Duration {
    let mut took: Vec<_> = took.into_iter().collect();
    took.sort();
    took[took.len() * 95 / 100]
}

/// The number in the name of a proof's file or folder.
fn promise_of(path: &str) -> Option<u8> {
    let (_, inside) = path.split_once("promises/p")?;
    inside.get(..2)?.parse().ok()
}

/// Tells what a proof of a promise saw, after its assertions have held. A promise with several proofs names the part
/// that each of them shows, else `part` is empty. A full run leaves a record for docs/promises.md.
///
/// # Panics
/// If the table does not have the proof, or not how few cases a small run of it tries, or the record can't be written.
pub fn kept(promise: u8, part: &str, seen: &str) {
    let known = PROMISES.iter().find(|known| known.number == promise);
    let known = known.unwrap_or_else(|| panic!("promise {promise} is not in the table"));
    let has = known.proofs.iter().any(|proof| proof.part == part);
    assert!(has, "the table has no proof of promise {promise} that is called {part:?}");
    let asked = FEW.lock().unwrap_or_else(PoisonError::into_inner).get(&promise).cloned();
    for few in asked.into_iter().flatten() {
        assert!(
            known.tells(few),
            "the table does not say that `make test` tries {few} of promise {promise}"
        );
    }
    let size = if full() { "full" } else { "small" };
    let part_of = if part.is_empty() { String::new() } else { format!(", {part}") };
    say(&format!("promise {promise}{part_of}: {seen} ({size} run)"));
    if full() {
        Record::of_now(promise, part, seen).keep().expect("the target folder can be written");
    }
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

#[expect(clippy::print_stdout, reason = "a proof prints its figure")]
fn say(line: &str) {
    println!("{line}");
}
