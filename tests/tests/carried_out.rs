//! No test passes without having been carried out: where what it needs may be missing, it is a feature of cargo that
//! builds it, and `scripts/outside` says what is skipped.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::fs;
use std::path::{Path, PathBuf};

/// What may follow a look into the environment: a default, or a failure. Anything else lets a test end early.
const DECIDED: [&str; 7] = [
    "unwrap()",
    "expect(",
    "unwrap_or_default()",
    "unwrap_or_else(",
    "map_or(",
    "map_or_else(",
    "is_ok_and(",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn collect(at: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// What there is of tests in a file: all of it in a folder of tests, else what stands behind the mark for them.
fn tests_in(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    let is_all =
        path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs");
    let from = if is_all { Some(0) } else { text.find("#[cfg(test)]\nmod tests {") };
    from.map_or_else(String::new, |from| text[from..].to_owned())
}

/// Every file with tests, and what there is of them; this one speaks of what it looks for.
fn all() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    let others =
        files.into_iter().filter(|path| !path.ends_with(file!().rsplit('/').next().unwrap()));
    others
        .map(|path| (path.clone(), tests_in(&path)))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

/// What follows each look into the environment, without its argument.
fn looks(text: &str) -> impl Iterator<Item = &str> {
    let calls = ["env::var(", "env::var_os("];
    calls.into_iter().flat_map(|call| text.split(call).skip(1)).map(|rest| {
        let (_argument, after) = rest.split_once(')').unwrap();
        after.trim_start().trim_start_matches('.')
    })
}

fn is_decided(after: &str) -> bool {
    DECIDED.iter().any(|word| after.starts_with(word))
}

#[test]
fn no_test_ends_early_because_a_variable_is_not_set() {
    let (mut seen, files) = (0, all());
    for (path, text) in &files {
        for after in looks(text) {
            let line = after.lines().next().unwrap_or_default();
            assert!(
                is_decided(after),
                "{}: a look into the environment, then `{line}`",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(files.len() > 200 && seen > 10, "nothing was read: {}, {seen}", files.len());
}

#[test]
fn whatever_need_not_be_built_is_told_to_be_skipped() {
    let told = fs::read_to_string(root().join("scripts/outside")).unwrap();
    let mut seen = 0;
    for (path, text) in all() {
        for rest in text.split("#[cfg(feature = \"").skip(1) {
            let feature = rest.split('"').next().unwrap();
            let is_told = told.contains(&format!("/{feature}"));
            assert!(is_told, "{}: scripts/outside does not know {feature}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 3, "nothing was read: {seen}");
}

#[test]
fn the_guard_sees_an_early_end() {
    let early = [
        r#"let Ok(text) = std::env::var("A") else { return };"#,
        r#"let text = std::env::var("A").ok()?;"#,
        r#"std::env::var_os(DIR).map(PathBuf::from)"#,
        r#"if std::env::var("A").is_err() { return; }"#,
    ];
    for text in early {
        assert!(looks(text).any(|after| !is_decided(after)), "{text}");
    }
    let decided =
        "let a = std::env::var_os(\"A\")\n    .map_or_else(b, c);\nstd::env::var(\"A\").unwrap()";
    assert_eq!(looks(decided).filter(|after| is_decided(after)).count(), 2);
}
