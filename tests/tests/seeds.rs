//! The seeds of every fuzz target, as they are and with some bytes changed.

use std::path::Path;

use fastrand::Rng;
use sentry_tests::fuzz::TARGETS;

/// How often each seed is changed.
const CHANGES: usize = 150;

/// Some bytes changed, put in, taken out or taken from another seed.
fn change(rng: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(0..4) {
            0 if at < bytes.len() => bytes[at] = rng.u8(..),
            1 => bytes.insert(at, rng.u8(..)),
            2 => _ = bytes.drain(at..(at + rng.usize(0..8)).min(bytes.len())),
            _ => {
                let from = rng.usize(..=other.len());
                let to = (from + rng.usize(0..20)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn no_seed_and_nothing_near_one_shows_a_defect() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let mut rng = Rng::with_seed(1);
    for (name, judge) in TARGETS {
        let entries = std::fs::read_dir(folder.join(name)).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        assert!(!seeds.is_empty(), "{name}");
        for seed in &seeds {
            judge(seed);
            for _ in 0..CHANGES {
                let other = &seeds[rng.usize(..seeds.len())];
                let changed = change(&mut rng, seed, other);
                let judged = std::panic::catch_unwind(|| judge(&changed));
                assert!(judged.is_ok(), "{name}: {}", changed.escape_ascii());
            }
        }
    }
}
