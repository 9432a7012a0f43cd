//! `sentry lint` for other programs: code scanners, CI systems, pre-commit.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::sandbox::{Run, Sandbox};

const TASK: &str =
    "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t}\nspec: {steps: []}\n";
const CLUSTER_WIDE: &str =
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n";
const RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: r-}\nspec:\n  \
    pipelineRef: {name: nowhere}\n  params: [{name: b, value: '{{ nobody }} {{ git_auth_secret }}'}]\n";

/// What a name or a value may hold, to be taken for something else than text by one of the formats.
const HOSTILE: [&str; 9] = [
    "\u{1b}[31m",
    "::error::",
    "%0A::add-mask::",
    "100%",
    "<![CDATA[\"'&]]>",
    "\u{202e}",
    "a,line=1:b",
    "?x#y",
    "\n::set-output",
];

/// A directory with a finding of each kind, and with each hostile text in the name of a file and in a document.
fn hostile() -> Sandbox {
    let sandbox = Sandbox::new();
    for (path, text) in [("t.yaml", TASK), ("role.yaml", CLUSTER_WIDE), ("run.yaml", RUN)] {
        sandbox.write(&format!("q/.tekton/{path}"), text);
    }
    for (number, text) in HOSTILE.iter().enumerate() {
        let value = Value::from(*text);
        let name = format!("q/.tekton/{number}{}.yaml", text.replace('/', "|"));
        sandbox.write(&name, &format!("kind: {value}\nmetadata: {{name: {value}}}\n"));
    }
    sandbox
}

fn lint(sandbox: &Sandbox, format: &str) -> Run {
    sandbox.run(&["lint", "q/.tekton", "-o", format])
}

/// Each object that SARIF's schema names here with its keys: those that must be there, and those that may.
/// <https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json>
const SHAPES: [(&str, &[&str], &[&str]); 12] = [
    ("", &["runs", "version"], &["$schema"]),
    ("/runs/*", &["tool"], &["results", "columnKind"]),
    ("/runs/*/tool", &["driver"], &[]),
    ("/runs/*/tool/driver", &["name"], &["rules", "version"]),
    ("/runs/*/tool/driver/rules/*", &["id"], &["defaultConfiguration", "shortDescription"]),
    ("/runs/*/tool/driver/rules/*/shortDescription", &["text"], &[]),
    ("/runs/*/tool/driver/rules/*/defaultConfiguration", &[], &["level"]),
    (
        "/runs/*/results/*",
        &["message"],
        &["level", "locations", "partialFingerprints", "ruleId", "ruleIndex"],
    ),
    ("/runs/*/results/*/message", &["text"], &[]),
    ("/runs/*/results/*/locations/*", &[], &["physicalLocation"]),
    ("/runs/*/results/*/locations/*/physicalLocation", &[], &["artifactLocation", "region"]),
    ("/runs/*/results/*/locations/*/physicalLocation/artifactLocation", &[], &["uri", "uriBaseId"]),
];

/// Walks through everything, and tells of each object its place with `*` for every index.
fn objects<'v>(value: &'v Value, at: &str, found: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Object(map) => {
            found.push((at.to_owned(), value));
            map.iter().for_each(|(key, value)| objects(value, &format!("{at}/{key}"), found));
        }
        Value::Array(items) => items.iter().for_each(|v| objects(v, &format!("{at}/*"), found)),
        _ => {}
    }
}

fn is_uri(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b);
    text.bytes().all(plain)
        && text
            .split('%')
            .skip(1)
            .all(|rest| rest.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())))
}

#[test]
fn sarif_has_the_shape_that_its_schema_demands_whatever_names_and_values_hold() {
    let run = lint(&hostile(), "sarif");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(!run.stdout.replace('\n', "").contains(char::is_control));
    let log: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let mut found = Vec::new();
    objects(&log, "", &mut found);
    for (place, object) in &found {
        let keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        if place.ends_with("/region") {
            assert!(object["startLine"].as_u64().unwrap() >= 1);
            assert!(object.get("startColumn").is_none_or(|c| c.as_u64().unwrap() >= 1));
            assert!(keys.iter().all(|key| ["startLine", "startColumn"].contains(key)), "{keys:?}");
            continue;
        }
        if place.ends_with("/partialFingerprints") {
            assert!(object.as_object().unwrap().values().all(Value::is_string));
            continue;
        }
        let shape = SHAPES.iter().find(|(own, ..)| own == place);
        let (_, needed, allowed) = shape.unwrap_or_else(|| panic!("{place}: {object}"));
        assert!(needed.iter().all(|key| keys.contains(key)), "{place}: {keys:?}");
        let known = |key: &&str| needed.contains(key) || allowed.contains(key);
        assert!(keys.iter().all(known), "{place}: {keys:?}");
    }
    let driver = &log["runs"][0]["tool"]["driver"];
    for outcome in log["runs"][0]["results"].as_array().unwrap() {
        let index = usize::try_from(outcome["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(driver["rules"][index]["id"], outcome["ruleId"], "{outcome}");
        assert!(["error", "warning", "note"].contains(&outcome["level"].as_str().unwrap()));
        let location = &outcome["locations"][0]["physicalLocation"]["artifactLocation"];
        let uri = location["uri"].as_str().unwrap();
        assert!(is_uri(uri) && uri.starts_with("q/.tekton/"), "{uri}");
        assert_eq!(location["uriBaseId"], "%SRCROOT%");
    }
}

#[test]
fn every_format_tells_the_same_findings_with_their_places() {
    let sandbox = hostile();
    let log: Value = serde_json::from_str(&lint(&sandbox, "sarif").stdout).unwrap();
    let mut levels = BTreeMap::new();
    for outcome in log["runs"][0]["results"].as_array().unwrap() {
        *levels.entry(outcome["level"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let github = lint(&sandbox, "github");
    let begins = |word: &str| github.stdout.lines().filter(|l| l.starts_with(word)).count();
    let words = [("error", "::error "), ("warning", "::warning "), ("note", "::notice ")];
    for (level, word) in words {
        assert_eq!(levels.get(level).copied().unwrap_or_default(), begins(word), "{level}");
        assert!(begins(word) > 0, "the directory has none of {level}: {}", github.stdout);
    }
    let all = levels.values().sum::<usize>();
    assert_eq!((github.code, github.stdout.lines().count()), (1, all), "{}", github.stdout);
    for line in [
        "::error file=q/.tekton/role.yaml,line=1,title=sentry lint%3A refused::",
        "::error file=q/.tekton/run.yaml,line=1,title=sentry lint%3A missing-reference::Pipeline nowhere",
        "::warning file=q/.tekton/run.yaml,line=1,title=sentry lint%3A depends-on-settings::",
    ] {
        assert!(github.stdout.contains(line), "{line}: {}", github.stdout);
    }
    let junit = lint(&sandbox, "junit");
    let documents = sandbox.run(&["lint", "q/.tekton", "-o", "json"]);
    let documents: Value = serde_json::from_str(&documents.stdout).unwrap();
    let documents = documents["documents"].as_array().unwrap().len();
    assert_eq!(junit.stdout.matches("<testcase ").count(), documents);
    assert_eq!(junit.code, 1);
}

#[test]
fn what_is_fine_is_told_by_every_format_as_fine() {
    let sandbox = Sandbox::new();
    sandbox.write("q/.tekton/t.yaml", TASK);
    for format in ["sarif", "junit", "github"] {
        assert_eq!(lint(&sandbox, format).code, 0, "{format}");
    }
    assert_eq!(lint(&sandbox, "github").stdout, "");
    insta::assert_snapshot!(lint(&sandbox, "junit").stdout, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="sentry lint" tests="1" failures="0" errors="0" skipped="0" time="0">
      <testsuite name="q/.tekton" tests="1" failures="0" errors="0" skipped="0" time="0">
        <testcase classname="q/.tekton/t.yaml" name="Task t (t.yaml:1)" file="q/.tekton/t.yaml" line="1" time="0"/>
      </testsuite>
    </testsuites>
    "#);
    // There is no such format elsewhere.
    assert_eq!(sandbox.run(&["status", "-o", "sarif"]).code, 2);
}

/// A small reader of XML that takes nothing but what the format may hold: the elements, each with its attributes and
/// what stands in it.
fn elements(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    let allowed = |c: char| matches!(c, '\n' | '\t' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(text.chars().all(allowed), "{text:?}");
    let body = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
    for part in body.split('<').skip(1) {
        let (tag, content) = part.split_once('>').unwrap();
        assert!(!content.contains('>'), "{part}");
        entities(content);
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let closed = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = BTreeMap::new();
        while !rest.is_empty() {
            let (key, after) = rest.split_once("=\"").unwrap();
            let (value, after) = after.split_once('"').unwrap();
            assert!(attributes.insert(key.to_owned(), entities(value)).is_none(), "{tag}");
            rest = after.trim_start();
        }
        found.push((name.to_owned(), attributes));
        if !closed {
            open.push(name.to_owned());
        }
    }
    assert_eq!(open, [""; 0]);
    found
}

fn entities(text: &str) -> String {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap();
        let c = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            other => panic!("{other}"),
        };
        out.push(c);
        out.push_str(rest);
    }
    out
}

#[test]
fn junit_is_well_formed_and_counts_what_it_holds_whatever_names_and_values_hold() {
    let run = lint(&hostile(), "junit");
    let all = elements(&run.stdout);
    let named = |name: &str| all.iter().filter(|(own, _)| own == name).collect::<Vec<_>>();
    for suite in named("testsuites").into_iter().chain(named("testsuite")) {
        for (count, element) in
            [("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")]
        {
            assert_eq!(suite.1[count], named(element).len().to_string(), "{count}");
        }
    }
    let cases = named("testcase");
    let mut names: Vec<_> = cases.iter().map(|(_, of)| (&of["classname"], &of["name"])).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two test cases are called alike");
    assert!(cases.iter().all(|(_, of)| of["line"].parse::<usize>().unwrap() >= 1));
}

/// One hook as pre-commit reads it, with its defaults (<https://pre-commit.com/#new-hooks>).
struct Hook {
    entry: String,
    files: String,
    passes_files: bool,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn hook() -> Hook {
    let text = std::fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
    let hooks: Value = serde_saphyr::from_str(&text).unwrap();
    let [hook] = hooks.as_array().unwrap().as_slice() else { panic!("{hooks}") };
    let known = [
        "id",
        "name",
        "description",
        "entry",
        "language",
        "files",
        "pass_filenames",
        "require_serial",
    ];
    assert!(hook.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{hook}");
    assert!(["id", "name", "entry", "language"].iter().all(|key| hook[*key].is_string()));
    assert_eq!((&hook["id"], &hook["language"]), (&"sentry-lint".into(), &"system".into()));
    let text = |key: &str| hook[key].as_str().unwrap_or_default().to_owned();
    Hook {
        entry: text("entry"),
        files: text("files"),
        passes_files: hook["pass_filenames"].as_bool().unwrap_or(true),
    }
}

/// What pre-commit does with the hook at a commit of these files: nothing if none of them is meant, else it runs the entry
/// in the repository's root; a code other than 0 stops the commit.
fn commits(sandbox: &Sandbox, hook: &Hook, files: &[&str]) -> Option<i32> {
    let pattern = regex(&hook.files);
    if !files.iter().any(|file| pattern(file)) {
        return None;
    }
    assert!(!hook.passes_files, "files would follow the directory");
    let words: Vec<&str> = hook.entry.split(' ').skip(1).collect();
    Some(sandbox.run(&words).code)
}

/// The one pattern, by hand: Python's `re.search` of it.
fn regex(pattern: &str) -> impl Fn(&str) -> bool {
    assert_eq!(pattern, r"(^|/)\.tekton/.*\.ya?ml$");
    |file: &str| {
        let inside = file.starts_with(".tekton/") || file.contains("/.tekton/");
        inside && (file.ends_with(".yaml") || file.ends_with(".yml"))
    }
}

#[test]
fn the_hook_stops_a_commit_of_what_is_refused_and_no_other() {
    let (sandbox, hook) = (Sandbox::new(), hook());
    assert!(hook.entry.starts_with("sentry "));
    sandbox.write(".tekton/t.yaml", TASK);
    assert_eq!(commits(&sandbox, &hook, &["README.md", "docs/x.yaml"]), None);
    assert_eq!(commits(&sandbox, &hook, &["README.md", ".tekton/t.yaml"]), Some(0));
    sandbox.write(".tekton/role.yml", CLUSTER_WIDE);
    assert_eq!(commits(&sandbox, &hook, &[".tekton/role.yml"]), Some(1));
}

#[cfg(feature = "pre-commit")]
#[test]
fn pre_commit_itself_does_so() {
    let sandbox = Sandbox::new();
    let manifest = std::fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
    for repo in ["hooks", "work"] {
        sandbox.init(repo);
    }
    let rev = sandbox.commit("hooks", ".pre-commit-hooks.yaml", &manifest);
    let url = sandbox.path("hooks").display().to_string();
    let config =
        format!("repos: [{{repo: '{url}', rev: '{rev}', hooks: [{{id: sentry-lint}}]}}]\n");
    sandbox.commit("work", ".pre-commit-config.yaml", &config);
    let run = |sandbox: &Sandbox| {
        sandbox.outside("sh", &["-c", "cd work && git add -A && pre-commit run --color never"]).0
    };
    sandbox.write("work/README.md", "x");
    let (idle, fine, refused) = (
        run(&sandbox),
        {
            sandbox.write("work/.tekton/t.yaml", TASK);
            run(&sandbox)
        },
        {
            sandbox.write("work/.tekton/role.yaml", CLUSTER_WIDE);
            run(&sandbox)
        },
    );
    assert!(idle.contains("(no files to check)Skipped"), "{idle}");
    assert!(fine.contains("Passed"), "{fine}");
    assert!(refused.contains("Failed") && refused.contains("role.yaml"), "{refused}");
}
