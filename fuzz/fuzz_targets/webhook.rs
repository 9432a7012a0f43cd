//! Any bytes as a webhook of GitHub or GitLab: nothing panics, and nothing is believed without its proof.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::webhook(bytes));
