//! Any bytes as B's files: nothing panics, and what goes to the cluster is what the watch allows.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::manifests(bytes));
