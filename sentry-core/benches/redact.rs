//! What it costs to take secrets out of a log, by how many are known.
//!
//! `cargo bench -p sentry-core --bench redact`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::time::Instant;

use sentry_core::secret::{Redactor, Secret};

/// A page of a step's log: paths, digests, an address with something escaped, JSON.
const LINES: usize = 24;
const LINE: &str = r#"2026-01-02T03:04:05Z {"msg":"GET https://git.example/a%2Fb?x=1","path":"src\/lib.rs","sha":"a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"} ghp step-unit"#;

fn main() {
    println!("{LINES} lines of {} bytes, the quickest of 20:", LINE.len());
    for known in [1, 100, 1_000, 8_000] {
        let redactor = Redactor::new();
        for n in 0..known {
            redactor.learn(&Secret::new(format!("ghs_{:036}", n * 7_919)));
        }
        let once = || {
            let began = Instant::now();
            for _ in 0..LINES {
                std::hint::black_box(redactor.redact(LINE));
            }
            began.elapsed()
        };
        let quickest = (0..20).map(|_| once()).min().unwrap_or_default();
        println!("  {known} secrets known: {quickest:?}");
    }
}
