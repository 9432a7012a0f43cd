//! 37: what is too much YAML is refused at once and in little memory, each tree in a process of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::process::Command;

use sentry_tests::promise::kept;
use serde_json::Value;

const MIB: usize = 1 << 20;
/// What a refusal may take of the processor, and of memory beside what the process had.
const LIMIT_MS: u64 = 250;
const LIMIT_KIB: u64 = 64 << 10;
/// Code that is not optimised is this much slower.
const SLOWER: u64 = if cfg!(debug_assertions) { 20 } else { 1 };

const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// A name, what the refusal must speak of, and the files.
type Tree = (&'static str, &'static str, Vec<String>);

/// Texts over one of the limits that the promise names.
fn over_a_limit() -> Vec<Tree> {
    let comment = |bytes: usize| format!("{OBJECT}#{}\n", "x".repeat(bytes));
    let nodes = |number: usize| format!("{OBJECT}data: [{}]\n", "1,".repeat(number));
    let nested =
        |depth: usize| format!("{OBJECT}data: {}{}\n", "[".repeat(depth), "]".repeat(depth));
    vec![
        ("a file of more than 1 MiB", "1048576", vec![comment(MIB)]),
        ("a file of 4 MiB", "1048576", vec![comment(4 * MIB)]),
        ("files of more than 5 MiB", "5 MiB", vec![comment(MIB - 100); 6]),
        ("201 documents", "", vec![format!("---\n{OBJECT}").repeat(201)]),
        ("250,000 documents", "200 documents", vec!["---\n".repeat(MIB / 4)]),
        ("50,001 nodes", "50000 nodes", vec![nodes(50_001)]),
        ("500,000 nodes", "50000 nodes", vec![nodes(500_000)]),
        ("50,001 nodes in five files", "50000 nodes", vec![nodes(10_001); 5]),
        ("depth 65", "64 nested", vec![nested(65)]),
        ("depth 500,000", "", vec![nested(500_000)]),
    ]
}

/// Texts that make much of little, or a reader slow.
fn bombs() -> Vec<Tree> {
    let mut laughs = format!("{OBJECT}a0: &a0 [lol]\n");
    for n in 1..60 {
        laughs += &format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(9));
    }
    let long = "x".repeat(MIB / 2);
    let texts = format!("{OBJECT}a: &a \"{long}\"\nb: [{}]\n", "*a,".repeat(99));
    let mut merges = format!("{OBJECT}m0: &m0 {{k: v}}\n");
    for n in 1..90 {
        merges += &format!("m{n}: &m{n} {{<<: [*m{0}, *m{0}], k{n}: v}}\n", n - 1);
    }
    let fill = |unit: &str| unit.repeat((MIB - 100) / unit.len());
    let deep: String = (0..1_400).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    vec![
        ("a billion laughs", "", vec![laughs]),
        ("a text many times over", "", vec![texts]),
        ("mappings merged into each other", "", vec![merges]),
        ("anchors", "", vec![fill("&a a: 1\n")]),
        ("open brackets", "", vec![fill("[")]),
        ("open braces", "", vec![format!("a: {}", fill("{a: "))]),
        ("open mappings in lists", "", vec![fill("- - ")]),
        ("question marks", "", vec![fill("? ")]),
        ("indentation without end", "", vec![deep]),
        ("an open text", "", vec![format!("a: \"{}", fill("x"))]),
        ("escapes", "", vec![format!("a: \"{}", fill("\\u0041")); 5]),
        ("quotes", "", vec![fill("'") + "'"]),
        ("tags", "", vec![fill("!a ")]),
        ("directives", "", vec![fill("%A\n"); 5]),
        ("directives after a document", "", vec![format!("{OBJECT}...\n{}", fill("%A\n")); 5]),
        ("keys", "", vec![(0..MIB / 12).map(|n| format!("k{n:07}: 1\n")).collect()]),
        ("colons", "", vec![fill("a:")]),
        ("commas", "", vec![format!("[{}", fill(","))]),
        ("braces of variables", "", vec![format!("{OBJECT}a: {}", fill("{{ x }}"))]),
        ("a bomb in each of five files", "", vec![format!("a: {}", fill("{a: ")); 5]),
    ]
}

/// What the program that measures says of some files.
fn measure(files: &[String]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    for (number, text) in files.iter().enumerate() {
        std::fs::write(directory.path().join(format!("{number}.yaml")), text).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_yaml-budget");
    let output = Command::new(program).arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn too_much_yaml_is_refused_at_once_and_in_little_memory() {
    let (mut slowest, mut largest) = ((0, ""), (0, ""));
    let trees: Vec<Tree> = over_a_limit().into_iter().chain(bombs()).collect();
    for (name, word, files) in &trees {
        let seen = measure(files);
        let figure = |field: &str| seen[field].as_u64().unwrap();
        let why = seen["why"].as_str().unwrap_or_default();
        assert!(figure("refused") > 0 && why.contains(word), "{name}: {seen}");
        println!("{name}: {} ms, {} KiB: {why}", figure("ms"), figure("kib"));
        assert!(figure("ms") <= LIMIT_MS * SLOWER, "{name}: {seen}");
        assert!(figure("kib") <= LIMIT_KIB, "{name}: {seen}");
        slowest = slowest.max((figure("ms"), *name));
        largest = largest.max((figure("kib"), *name));
    }
    let build = if cfg!(debug_assertions) { "not optimised" } else { "optimised" };
    kept(
        37,
        "",
        &format!(
            "{} trees: at most {} ms on the processor ({}; {build}) and {} MiB ({})",
            trees.len(),
            slowest.0,
            slowest.1,
            largest.0.div_ceil(1024),
            largest.1
        ),
    );
}
