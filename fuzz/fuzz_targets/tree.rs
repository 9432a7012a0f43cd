//! Any bytes as a tree: nothing panics, its entries are what the bytes say, and no odd name is read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentry_tests::fuzz::tree(bytes));
