//! Any bytes as B's files: kubectl would send the very objects that were checked.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::differential(bytes));
