//! The seeds of every fuzz target, as they are and with some bytes changed.

use fastrand::Rng;
use sentry_tests::fuzz::{TARGETS, near, seeds};

/// How often each seed is changed.
const CHANGES: usize = 150;

#[test]
fn no_seed_and_nothing_near_one_shows_a_defect() {
    let mut rng = Rng::with_seed(1);
    for (name, judge) in TARGETS {
        let seeds = seeds(name);
        for seed in &seeds {
            judge(seed);
            for _ in 0..CHANGES {
                let other = &seeds[rng.usize(..seeds.len())];
                let changed = near(&mut rng, seed, other);
                let judged = std::panic::catch_unwind(|| judge(&changed));
                assert!(judged.is_ok(), "{name}: {}", changed.escape_ascii());
            }
        }
    }
}
