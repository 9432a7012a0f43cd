//! Any bytes as a list of refs, by protocol and as git prints it: nothing panics, and what is read is what was said.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::refs(bytes));
