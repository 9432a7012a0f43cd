//! Any status, headers and body as GitHub's and GitLab's answer: nothing panics, no text of the server's is quoted at
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::forge(bytes));
