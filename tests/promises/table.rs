//! The table and the files stand for the same promises.

use std::collections::BTreeSet;

use sentry_tests::promise::{PROMISES, Proof};

#[test]
fn every_promise_that_is_said_to_be_shown_has_its_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/promises");
    let files: BTreeSet<u8> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.strip_prefix('p')?.get(..2)?.parse().ok()
        })
        .collect();
    let shown: BTreeSet<u8> = PROMISES
        .iter()
        .filter(|promise| matches!(promise.proof, Proof::Test))
        .map(|promise| promise.number)
        .collect();
    assert_eq!(files, shown);
}
