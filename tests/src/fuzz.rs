//! What fuzzing tries: for each target a function that judges any bytes and panics if they show a defect.
//!
//! The folder `fuzz/` makes programs of them for libFuzzer (scripts/fuzz); tests replay their seeds, and what is near one.

use std::path::Path;

use fastrand::Rng;

mod argv;
mod cel;
mod config;
mod differential;
mod forge;
mod manifests;
mod names;
mod pack;
mod redaction;
mod refs;
mod tree;
mod webhook;

pub use argv::argv;
pub use cel::cel;
pub use config::config;
pub use differential::differential;
pub use forge::forge;
pub use manifests::manifests;
pub use names::names;
pub use pack::pack;
pub use redaction::redaction;
pub use refs::refs;
pub use tree::tree;
pub use webhook::webhook;

/// Judges one input.
pub type Target = fn(&[u8]);

/// All targets by their names, which are also the names of their folders in `fuzz/seeds`.
pub const TARGETS: &[(&str, Target)] = &[
    ("argv", argv as Target),
    ("cel", cel as Target),
    ("config", config as Target),
    ("differential", differential as Target),
    ("forge", forge as Target),
    ("manifests", manifests as Target),
    ("names", names as Target),
    ("pack", pack as Target),
    ("redaction", redaction as Target),
    ("refs", refs as Target),
    ("tree", tree as Target),
    ("webhook", webhook as Target),
];

/// The seeds of a target, in order.
///
/// # Panics
/// If it has none, or they can't be read.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let entries = std::fs::read_dir(folder).expect("a folder of seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

/// Some bytes of a seed changed, put in, taken out or taken from another seed.
pub fn near(rng: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.usize(1..5) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..4) {
            0 if at < bytes.len() => bytes[at] = rng.u8(..),
            1 => bytes.insert(at, rng.u8(..)),
            2 => _ = bytes.drain(at..(at + rng.usize(0..8)).min(bytes.len())),
            _ => {
                let from = rng.usize(..=other.len());
                let to = (from + rng.usize(0..30)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes
}
