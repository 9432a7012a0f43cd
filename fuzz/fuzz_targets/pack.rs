//! Any bytes as a pack, with the sum that belongs to them: nothing panics, and each object's id is that of its content.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::pack(bytes));
