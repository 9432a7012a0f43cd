//! Any name of a run, in any file, for any branch: the run's name is a DNS label, the same each time, and nobody else's.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::names(bytes));
