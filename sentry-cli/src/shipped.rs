//! What is shipped beside the program fits it: manifests, examples in documents, their translations.

mod chinese;
mod ci;
mod commands;
mod deploy;
mod examples;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The repository's directory.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A file of the repository.
fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}:\n{text}"))
}

/// What people read: the files of docs and the first pages, by path.
fn documents() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    found.extend(["README.md", "README.zh-CN.md", "SECURITY.md"].map(str::to_owned));
    found.sort();
    found.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// A block of code in a document.
#[derive(Debug)]
struct Block {
    language: String,
    text: String,
}

/// The blocks of code, as they are without the indentation of the list that they may stand in; and all else.
fn split(document: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let indented = line.trim_start();
        let Some(language) = indented.strip_prefix("```") else {
            prose.push_str(line);
            prose.push('\n');
            continue;
        };
        let indent = line.len() - indented.len();
        let code = lines.by_ref().take_while(|line| line.trim() != "```");
        let code = code.map(|line| line.get(indent..).unwrap_or_default());
        let text = code.fold(String::new(), |text, line| text + line + "\n");
        blocks.push(Block { language: language.to_owned(), text });
    }
    (blocks, prose)
}

/// What stands between single backticks.
fn code_spans(prose: &str) -> Vec<&str> {
    prose.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2)).collect()
}
