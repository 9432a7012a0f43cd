//! The workflows for GitHub and GitLab call recipes and scripts that exist, and carry out nothing that developers can't.

use serde_json::Value;

use super::{read, root, yaml};

/// What a job does by itself, besides recipes and scripts: it prepares a machine, or hands over what was made.
const OWN: [&str; 3] = ["rustup ", "sudo apt-get ", "gh release create "];

/// The lines of every step of a workflow: what stands under `run` and `script`.
fn lines(workflow: &Value, found: &mut Vec<String>) {
    match workflow {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "run" || key == "script" {
                    texts(value, found);
                } else {
                    lines(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| lines(item, found)),
        _ => {}
    }
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        value => found.extend(value.as_str().unwrap().lines().map(str::to_owned)),
    }
}

/// The recipes of the Makefile.
fn recipes() -> Vec<String> {
    let makefile = read("Makefile");
    let names = makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    names.filter(|name| !name.starts_with(['\t', '#', '.'])).map(str::to_owned).collect()
}

/// Why a line of a workflow is none of ours.
fn wrong(line: &str, recipes: &[String]) -> Option<String> {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("make") => {
            let recipe = words.next().unwrap_or_default();
            let is_known = recipes.iter().any(|known| known == recipe);
            (!is_known).then(|| format!("no recipe `{recipe}`"))
        }
        Some(word) if word.starts_with("scripts/") || word.starts_with(".ci/") => {
            (!root().join(word).is_file()).then(|| format!("no file {word}"))
        }
        _ => (!OWN.iter().any(|own| line.starts_with(own))).then(|| "no recipe".to_owned()),
    }
}

#[test]
fn workflows_call_what_is_there() {
    let recipes = recipes();
    for (path, at_least) in [
        (".github/workflows/ci.yml", ".ci/run"),
        (".github/workflows/release.yml", "make dist-check"),
        (".gitlab-ci.yml", "make dist-check"),
    ] {
        let mut found = Vec::new();
        lines(&yaml(&read(path)), &mut found);
        assert!(found.iter().any(|line| line == at_least), "{path}: {found:?}");
        for line in &found {
            assert_eq!(wrong(line, &recipes), None, "{path}: {line}");
        }
    }
}

#[test]
fn examples_for_ci_call_the_program_as_it_is() {
    for path in ["examples/ci/github-actions.yaml", "examples/ci/gitlab-ci.yaml"] {
        let mut found = Vec::new();
        lines(&yaml(&read(path)), &mut found);
        assert!(!found.is_empty(), "{path}");
        for line in found {
            let words = line.split('>').next().unwrap_or_default().split_whitespace();
            let parsed = crate::help::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{path}: {line}: {}", parsed.unwrap_err());
        }
    }
    let hooks = yaml(&read(".pre-commit-hooks.yaml"));
    let used = yaml(&read("examples/ci/pre-commit-config.yaml"));
    assert_eq!(used["repos"][0]["hooks"][0]["id"], hooks[0]["id"]);
}

#[test]
fn what_is_not_there_is_noticed() {
    let recipes = recipes();
    for line in ["make dost", "make", "scripts/nothing", ".ci/walk", "cargo test"] {
        assert!(wrong(line, &recipes).is_some(), "{line}");
    }
}

#[test]
fn the_packages_are_made_by_the_compiler_that_the_workspace_asks_for() {
    let manifest = read("Cargo.toml");
    let minimum = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    for path in [".github/workflows/ci.yml", ".github/workflows/release.yml", ".gitlab-ci.yml"] {
        let text = read(path);
        let image = text.split("rust:").nth(1).unwrap().split('-').next().unwrap();
        assert!(minor(image) >= minor(minimum.trim_matches('"')), "{path}: {image}");
    }
}
