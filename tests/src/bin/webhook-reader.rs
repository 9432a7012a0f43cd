//! Reads as many fuzzed webhooks as it is told to, in a process that does nothing else, and tells by how many KiB it grew.
//! It fails where one shows a defect, and names it.

#![expect(clippy::print_stdout, reason = "a program that measures prints")]

use std::error::Error;

use fastrand::Rng;
use sentry_tests::fuzz::{near, seeds, webhook};
use sentry_tests::processes::rss_kib;

fn main() -> Result<(), Box<dyn Error>> {
    let all: usize = std::env::args().nth(1).ok_or("say how many")?.parse()?;
    let (seeds, mut rng) = (seeds("webhook"), Rng::with_seed(39));
    seeds.iter().for_each(|seed| webhook(seed));
    let before = rss_kib(std::process::id());
    for _ in 0..all {
        let [seed, other] = [(); 2].map(|()| &seeds[rng.usize(..seeds.len())]);
        let changed = near(&mut rng, seed, other);
        if std::panic::catch_unwind(|| webhook(&changed)).is_err() {
            return Err(changed.escape_ascii().to_string().into());
        }
    }
    println!("{}", rss_kib(std::process::id()).saturating_sub(before));
    Ok(())
}
