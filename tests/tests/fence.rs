//! Core knows no edges: what it depends on is looked at, so that a new dependency can't bring HTTP, SQL or clap along.

use std::process::Command;

const FORBIDDEN: &[&str] = &[
    "reqwest",
    "hyper",
    "http",
    "octocrab",
    "gitlab",
    "rusqlite",
    "clap",
    "git2",
    "gix",
    "kube",
    "axum",
    "anyhow",
    "sentry-net",
    "sentry-process",
    "sentry-forge",
    "sentry-deploy",
    "sentry-store",
    "sentry-notify",
    "sentry-config",
    "sentry-api",
    "sentry-apiserver",
    "sentry-server",
    "sentry-cli",
];

fn dependencies(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            package,
            "-e",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[test]
fn core_depends_on_no_edge() {
    let found = dependencies("sentry-core");
    assert!(found.iter().any(|d| d == "tokio"), "nothing was read: {found:?}");
    let edges: Vec<_> = found.iter().filter(|d| FORBIDDEN.contains(&d.as_str())).collect();
    assert!(edges.is_empty(), "sentry-core gained {edges:?}");
}

#[test]
fn what_is_answered_depends_on_core_and_no_edge() {
    let found = dependencies("sentry-api");
    assert!(found.iter().any(|d| d == "sentry-core"), "nothing was read: {found:?}");
    let edge = |d: &&String| FORBIDDEN.contains(&d.as_str()) && *d != "sentry-api";
    let edges: Vec<_> = found.iter().filter(edge).collect();
    assert!(edges.is_empty(), "sentry-api gained {edges:?}");
}

#[test]
fn siblings_do_not_know_each_other() {
    let siblings = [
        "sentry-forge",
        "sentry-apiserver",
        "sentry-deploy",
        "sentry-store",
        "sentry-notify",
        "sentry-config",
        "sentry-server",
    ];
    for one in siblings {
        let known = dependencies(one);
        let others: Vec<_> =
            siblings.iter().filter(|s| **s != one && known.iter().any(|d| d == *s)).collect();
        assert!(others.is_empty(), "{one} knows {others:?}");
    }
}

#[test]
fn what_starts_programs_and_what_clients_are_made_of_know_no_other_crate_of_ours() {
    for (package, dependency) in [("sentry-process", "rustix"), ("sentry-net", "reqwest")] {
        let found = dependencies(package);
        assert!(found.iter().any(|d| d == dependency), "nothing was read: {found:?}");
        let ours: Vec<_> =
            found.iter().filter(|d| d.starts_with("sentry-") && *d != package).collect();
        assert!(ours.is_empty(), "{package} knows {ours:?}");
    }
}
