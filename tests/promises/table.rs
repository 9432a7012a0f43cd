//! The table and the files stand for the same promises.

use std::collections::BTreeSet;

use sentry_tests::promise::PROMISES;

#[test]
fn every_promise_has_its_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/promises");
    let files: BTreeSet<u8> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.strip_prefix('p')?.get(..2)?.parse().ok()
        })
        .collect();
    let promised: BTreeSet<u8> = PROMISES.iter().map(|promise| promise.number).collect();
    assert_eq!(files, promised);
}
