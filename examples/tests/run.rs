//! Runs every example as its reader would.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::path::PathBuf;
use std::process::Command;

/// Examples are built beside the tests of their package.
fn run(example: &str) -> String {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(example);
    let output = Command::new(&path).output().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{example}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn delivers_one_run(example: &str) -> String {
    let out = run(example);
    assert!(out.contains("succeeded: created PipelineRun qa-"), "{out}");
    out
}

#[test]
fn embed_delivers_the_first_head() {
    delivers_one_run("embed");
}

#[test]
fn embed_yaml_delivers_by_the_configuration() {
    delivers_one_run("embed_yaml");
}

#[test]
fn custom_deployer_takes_the_plan() {
    delivers_one_run("custom_deployer");
}

#[test]
fn custom_forge_is_asked() {
    delivers_one_run("custom_forge");
}

#[test]
fn custom_store_keeps_the_decisions() {
    let out = delivers_one_run("custom_store");
    assert!(out.contains("decisions were kept"), "{out}");
}
