//! Any text as URL, branch, directory, commit, context, namespace and name, one a line: no option reaches a program.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::argv(bytes));
