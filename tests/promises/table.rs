//! The table, the files and what they are made of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sentry_tests::promise::{PROMISES, Promise};

const PROOFS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/promises");

/// What the files of proofs are called, and what is in them, the modules below them included.
fn sources() -> Vec<(String, String)> {
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let entries = fs::read_dir(PROOFS).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let text = match path.is_dir() {
                true => {
                    let inside = fs::read_dir(&path).unwrap();
                    inside.map(|entry| read(&entry.unwrap().path())).collect()
                }
                false => read(&path),
            };
            (path.file_name().unwrap().to_string_lossy().into_owned(), text)
        })
        .collect()
}

fn number_in(name: &str) -> Option<u8> {
    name.strip_prefix('p')?.get(..2)?.parse().ok()
}

/// All that proves one promise.
fn source_of(promise: &Promise) -> String {
    let is_its = |name: &str| number_in(name) == Some(promise.number);
    sources().into_iter().filter(|(name, _)| is_its(name)).map(|(_, text)| text).collect()
}

#[test]
fn every_promise_has_its_file() {
    let files: BTreeSet<u8> = sources().iter().filter_map(|(name, _)| number_in(name)).collect();
    let promised: BTreeSet<u8> = PROMISES.iter().map(|promise| promise.number).collect();
    assert_eq!(files, promised);
}

#[test]
fn the_table_says_what_in_a_proof_is_a_fake_or_simulated() {
    for promise in PROMISES {
        let source = source_of(promise);
        let uses = |words: &[&str]| words.iter().any(|word| source.contains(word));
        let says = |word: &str| promise.proofs.iter().any(|proof| proof.judge.contains(word));
        let number = promise.number;
        assert_eq!(says("fakes"), uses(&["FakeDeployer", "World::new", "Town::new"]), "{number}");
        assert_eq!(says("simulated"), uses(&["start_paused"]), "{number}");
        for proof in promise.proofs {
            let named = format!("\"{}\"", proof.part);
            assert!(source.contains(&named), "{number}: nothing is called {named}");
            assert!(!proof.judge.is_empty() && !proof.few.is_empty(), "{number} {named}");
        }
    }
}

#[test]
fn every_promise_has_a_second_witness_among_the_other_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for Promise { number, witness, .. } in PROMISES {
        let (file, test) = witness.split_once("::").expect("a file and a name");
        assert!(!file.starts_with("tests/promises"), "{number}: its own proof is no second one");
        let text = fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let is_there = text.contains(&format!("fn {test}("));
        assert!(is_there, "{number}: there is no {test} in {file}");
    }
}
