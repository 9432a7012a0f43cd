//! Real `.tekton` directories, where the environment says where they are.

use std::path::Path;

use super::{Scene, tree};
use crate::manifest::{Decision, DocumentDecision, parse, prepare};

#[test]
fn every_document_of_real_directories_gets_a_decision() {
    let Ok(corpus) = std::env::var("SENTRY_TEKTON_CORPUS") else {
        eprintln!("skipped: no corpus");
        return;
    };
    let mut directories: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    directories.sort();
    for directory in directories.iter().filter(|d| d.is_dir()) {
        let mut files = Vec::new();
        collect(directory, directory, &mut files);
        let documents = parse(&tree(files.iter().map(|(p, b)| (p.as_str(), b.as_slice()))));
        let set = prepare(&documents, &Scene::default().context());
        println!("{}", directory.display());
        for d in &set.decisions {
            println!("  {}:{}#{} {:?} {:?}", d.path, d.line, d.document, d.kind, d.name);
            println!("    {}: {}", d.decision.as_str(), d.reason);
            assert!(!d.reason.is_empty());
        }
        set.notes.iter().for_each(|note| println!("  note {note}"));
        for (path, _) in &files {
            assert!(set.decisions.iter().any(|d| d.path == *path), "{path}");
        }
        let sent = |d: &&DocumentDecision| matches!(d.decision, Decision::Apply | Decision::Run);
        assert_eq!(set.objects.len(), set.decisions.iter().filter(sent).count());
    }
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push((name, std::fs::read(&path).unwrap_or_default()));
        }
    }
    files.sort();
}
