//! Any expression in a run's `on-cel-expression`, over any changed path: nothing panics, and it ends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::cel(bytes));
