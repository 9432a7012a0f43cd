//! Any text as sentry.yaml: it is a configuration, or every problem says where it is and what to do.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::config(bytes));
