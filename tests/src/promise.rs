//! The promises of Sentry, and what their proofs saw.
//!
//! Each promise has a file in `tests/promises/` that is named after its number. A proof runs with a small figure in
//! every test run and with its full one when `SENTRY_PROMISES=full` is set (`make promises`); it ends with
//! [`kept`], from which docs/promises.md is made.

mod page;
mod record;
mod table;

pub use page::{begin, publish};
pub use table::{PROMISES, Promise};

use record::{Record, folder};

/// Whether the full figures are wanted: `SENTRY_PROMISES=full`.
pub fn full() -> bool {
    std::env::var("SENTRY_PROMISES").is_ok_and(|wanted| wanted == "full")
}

/// How many cases this run tries: `all` for the full figure, `few` in every other run.
pub fn cases(all: usize, few: usize) -> usize {
    if full() { all } else { few }
}

/// Tells what a proof of a promise saw, after its assertions have held. A promise with several proofs names the part
/// that each of them shows, else `part` is empty. A full run leaves a record for docs/promises.md.
///
/// # Panics
/// If the promise is not in the table, or the record can't be written.
pub fn kept(promise: u8, part: &str, seen: &str) {
    let known = PROMISES.iter().any(|known| known.number == promise);
    assert!(known, "promise {promise} is not in the table");
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
