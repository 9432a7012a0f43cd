//! A secret in every encoding, inside any text: no form of it is left.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::redaction(bytes));
