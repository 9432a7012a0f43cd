//! YAML in documents: configurations are right, and so are objects for Tekton.

use std::collections::BTreeMap;

use sentry_config::Environment;
use serde_json::{Map, Value, json};

use super::{documents, read, split, yaml};
use crate::commands::lint;

/// What makes a fragment whole.
fn base() -> Value {
    json!({
        "forges": {
            "hub": {"type": "github", "token": "${GITHUB_TOKEN}"},
            "lab": {"type": "gitlab", "url": "https://gitlab.example.com", "token": "${GITLAB_TOKEN}"},
        },
        "watches": [{
            "name": "qa",
            "source": {"url": "https://github.com/example/repo-a", "branches": "main"},
            "manifests": {"url": "https://gitlab.example.com/example/repo-b", "branch": "main"},
            "cluster": {"namespace": "qa"},
        }],
        "notify": [{"name": "chat", "type": "slack", "url": "https://chat.example.com/x"}],
    })
}

/// The kinds of fragments: the mapping of the schema whose keys it has, and where it belongs.
const FRAGMENTS: [(&str, &str); 3] =
    [("RawLong", ""), ("RawWatch", "/watches/0"), ("RawReceiver", "/notify/0")];

/// The whole configuration that a document's example is, or is a part of.
fn whole(text: &str) -> String {
    let example = yaml(text);
    let keys = example.as_object().unwrap_or_else(|| panic!("no mapping: {example}"));
    if keys.contains_key("watches") || keys.contains_key("target_repo") {
        return text.to_owned();
    }
    let schema = sentry_config::schema();
    let has = |name: &str| {
        let known = schema["$defs"][name]["properties"].as_object().unwrap();
        keys.keys().all(|key| known.contains_key(key))
    };
    let place = FRAGMENTS.iter().find(|(name, _)| has(name));
    let (_, place) =
        place.unwrap_or_else(|| panic!("keys of no mapping of sentry.yaml: {example}"));
    let mut whole = base();
    let at: &mut Map<_, _> = whole.pointer_mut(place).unwrap().as_object_mut().unwrap();
    at.extend(keys.clone());
    if keys.contains_key("forges") {
        // Its own repositories would need forges that it doesn't show.
        let hosts = json!({"name": "qa", "cluster": {"namespace": "qa"},
            "source": {"forge": "plain", "url": "file:///a", "branches": "main"},
            "manifests": {"forge": "plain", "url": "file:///b", "branch": "main"}});
        whole["watches"] = json!([hosts]);
        whole["forges"]["plain"] = json!({"type": "git"});
    }
    whole.to_string()
}

/// Every `${NAME}` of the text, filled in.
fn environment(text: &str) -> Environment {
    let names = text.split("${").skip(1).map(|rest| rest.split(['}', ':']).next().unwrap());
    let value = |name: &str| match name {
        name if name.contains("URL") => "https://chat.example.com/hooks/x".to_owned(),
        name => format!("{}-0123456789abcdef0123456789abcdef", name.to_lowercase()),
    };
    let vars: BTreeMap<_, _> = names.map(|name| (name.to_owned(), value(name))).collect();
    Environment::new(vars)
}

/// What is wrong with a configuration; the files that it names need not be here.
fn problems(whole: &str) -> Vec<String> {
    let Err(problems) = sentry_config::parse(whole, "/etc/sentry/sentry.yaml", &environment(whole))
    else {
        return Vec::new();
    };
    let real = problems.iter().filter(|problem| !problem.message.contains("No such file"));
    real.map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

#[test]
fn every_configuration_in_a_document_is_right() {
    let mut seen = 0;
    for (path, text) in documents() {
        for block in split(&text).0.iter().filter(|block| block.language == "yaml") {
            if yaml(&block.text).get("apiVersion").is_none() {
                assert_eq!(
                    problems(&whole(&block.text)),
                    Vec::<String>::new(),
                    "{path}:\n{}",
                    block.text
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "nothing was read: {seen}");
}

#[test]
fn every_object_in_a_document_would_be_delivered() {
    let mut seen = 0;
    for (path, text) in documents() {
        let dir = tempfile::tempdir().unwrap();
        for (number, block) in split(&text).0.iter().enumerate() {
            if block.language == "yaml" && yaml(&block.text).get("apiVersion").is_some() {
                std::fs::write(dir.path().join(format!("{number}.yaml")), &block.text).unwrap();
                seen += 1;
            }
        }
        let tree = lint::read_tree(dir.path()).unwrap();
        let set = lint::judge(&tree, &lint_arguments()).unwrap();
        let refused: Vec<_> = set.refusals().collect();
        assert!(
            refused.is_empty() && set.missing.is_empty(),
            "{path}: {refused:?} {:?}",
            set.missing
        );
        assert_eq!(set.notes, Vec::<String>::new(), "{path}");
    }
    assert!(seen >= 2, "nothing was read: {seen}");
}

fn lint_arguments() -> crate::args::LintArgs {
    use clap::FromArgMatches as _;
    let parsed = crate::help::command().try_get_matches_from(["sentry", "lint"]).unwrap();
    match crate::args::Cli::from_arg_matches(&parsed).unwrap().command {
        crate::args::Command::Lint(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_example_with_a_wrong_key_or_value_is_noticed() {
    let wrong = [
        "server: {listen: 8080}",
        "notify: [{name: chat, type: pager, url: 'https://x.example.com'}]",
        "cluster: {namespace: qa, deployer: helm}",
        "forges: {lab: {type: gitlab, url: 'https://gitlab.example.com', app: {id: 1}}}",
    ];
    for text in wrong {
        assert!(!problems(&whole(text)).is_empty(), "{text}");
    }
    assert!(problems(&read("docs/config/short.yaml")).is_empty());
}
