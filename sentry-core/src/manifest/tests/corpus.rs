//! Real `.tekton` directories, which are where `SENTRY_TEKTON_CORPUS` says.
//!
//! `cargo test -p sentry-core --features corpus --lib corpus -- --nocapture` prints what becomes of every document, for a push
//! to `main` and for a pull request's event, beside what `kubectl apply -f .tekton` does with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Scene, startable, tree};
use crate::forge::ChangedPaths;
use crate::manifest::annotations::Annotations;
use crate::manifest::cel::{self, Facts, NoAnswer, Truth};
use crate::manifest::fuel::Fuel;
use crate::manifest::globs::Globs;
use crate::manifest::marked::Marked;
use crate::manifest::parse::Content;
use crate::manifest::selection::Means;
use crate::manifest::{
    Context, Decision, Documents, ManifestSet, Remote, annotations, parse, policy, prepare,
};
use crate::subject::EventName;
use crate::testing::sample;
use crate::watch::GitAuthSecret;

/// What on-cel-expressions say by reading them: for a push to `main` and for a pull request's event, each without
/// knowing what changed. `None` is no answer, since a webhook's payload decides.
const EXPRESSIONS: &[(&str, Option<Truth>, Option<Truth>)] = &[
    ("app-sre__vault-manager/vault-manager-master-push", NO, NO),
    ("app-sre__vault-manager/vault-manager-pull-request", NO, NO),
    ("b4mad__racing/on-tag-release", NO, NO),
    ("enterprise-contract__ec-cli/cli-main-pull-request", NO, YES),
    ("enterprise-contract__ec-cli/cli-main-push", YES, NO),
    ("konflux-ci__build-definitions/pull-request", NO, None),
    ("kubearchive__kubearchive/api-pull-request", NO, PATHS),
    ("kubearchive__kubearchive/api-push", PATHS, NO),
    ("kubearchive__kubearchive/installer-pull-request", NO, PATHS),
    ("kubearchive__kubearchive/installer-push", PATHS, NO),
    ("kubearchive__kubearchive/operator-pull-request", NO, PATHS),
    ("kubearchive__kubearchive/operator-push", PATHS, NO),
    ("kubearchive__kubearchive/sink-pull-request", NO, PATHS),
    ("kubearchive__kubearchive/sink-push", PATHS, NO),
    ("kubearchive__kubearchive/vacuum-pull-request", NO, PATHS),
    ("kubearchive__kubearchive/vacuum-push", PATHS, NO),
    ("openshift-pipelines__pipelines-as-code/generate-coverage-release", PATHS, NO),
    ("stackrox__collector/collector-build", NO, None),
    ("tektoncd__pipelines-as-code/doc", PATHS, PATHS),
    ("tektoncd__pipelines-as-code/generate-release", PATHS, NO),
    ("tektoncd__pipelines-as-code/paco", NO, None),
];
const YES: Option<Truth> = Some(Truth::Yes);
const NO: Option<Truth> = Some(Truth::No);
const PATHS: Option<Truth> = Some(Truth::DependsOnPaths);

/// The directories of the corpus.
fn directories() -> Vec<(String, Documents)> {
    let corpus = std::env::var("SENTRY_TEKTON_CORPUS").expect("it names a folder");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path().join(".tekton"))
        .collect();
    paths.sort();
    let directories: Vec<_> =
        paths.iter().filter(|path| path.is_dir()).map(|path| read(path)).collect();
    assert!(!directories.is_empty(), "the corpus is empty");
    directories
}

fn read(directory: &Path) -> (String, Documents) {
    let mut files = Vec::new();
    collect(directory, directory, &mut files);
    let name = directory.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    (name, parse(&tree(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))))
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

fn values(documents: &Documents) -> impl Iterator<Item = (&str, usize, &Value)> {
    documents.entries.iter().filter_map(|entry| match &entry.content {
        Content::Parsed(value) => Some((entry.path.as_str(), entry.document, value)),
        _ => None,
    })
}

/// A push to `main`, or another event there, of a watch as its user would write it: into the namespace that the files
/// name, with a Secret for A.
fn scene(documents: &Documents, event: Option<&str>) -> Scene {
    let mut scene = Scene::default();
    scene.revision.subject = sample::subject("main");
    scene.event = EventName::new(event.unwrap_or("push"));
    scene.watch.reading.git_auth_secret = GitAuthSecret::Named("gitauth".into());
    let mut named =
        values(documents).filter_map(|(_, _, v)| v.pointer("/metadata/namespace")?.as_str());
    if let Some(namespace) = named.next().and_then(|name| name.parse().ok()) {
        scene.watch.cluster.namespace = namespace;
    }
    scene
}

/// What `kubectl apply -n NAMESPACE -f .tekton` does with a document, time after time.
fn kubectl(path: &str, value: Option<&Value>, namespace: &str) -> &'static str {
    if path.contains('/') {
        return "never read: not at the top";
    }
    let Some(value) = value else { return "error: no YAML" };
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let fixed = text("/metadata/name").is_some();
    match text("/kind") {
        None | Some("Kustomization") => "error: no such kind",
        _ if text("/metadata/namespace").is_some_and(|own| own != namespace) => {
            "error: another namespace"
        }
        _ if !fixed => "error: generateName",
        _ if policy::is_run(value) => "runs once, then unchanged",
        _ if value.to_string().contains("{{") => "applied with its {{ }}",
        _ => "applied",
    }
}

#[test]
fn every_document_of_real_directories_gets_a_decision() {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, documents) in directories() {
        let push = scene(&documents, None);
        let pull = scene(&documents, Some("pull_request"));
        let namespace = push.watch.cluster.namespace.as_str();
        let (set, other) =
            (prepare(&documents, &push.context()), prepare(&documents, &pull.context()));
        println!("\n{name}, into {namespace}");
        for (d, other) in set.decisions.iter().zip(&other.decisions) {
            let value =
                values(&documents).find(|(p, n, _)| (*p, *n) == (d.path.as_str(), d.document));
            let kubectl = kubectl(&d.path, value.map(|(_, _, value)| value), namespace);
            let what = format!(
                "{} {}",
                d.kind.as_deref().unwrap_or("-"),
                d.name.as_deref().unwrap_or("-")
            );
            let (push, pull) = (d.decision.as_str(), other.decision.as_str());
            println!(
                "  {push:6} {pull:6} | {kubectl:28} | {}#{} {what} | {}",
                d.path, d.document, d.reason
            );
            *totals.entry(push).or_default() += 1;
            assert!(!d.reason.is_empty());
        }
        set.notes.iter().for_each(|note| println!("  note {note}"));
        for missing in &set.missing {
            println!(
                "  missing {} {} for {} {:?}",
                missing.kind, missing.name, missing.path, missing.hint
            );
        }
        holds(&documents, &set);
    }
    println!("\n{totals:?}");
}

/// What must hold for a push, whatever the directory.
fn holds(documents: &Documents, set: &ManifestSet) {
    assert_eq!(set.decisions.len(), documents.entries.len());
    let sent =
        set.decisions.iter().filter(|d| matches!(d.decision, Decision::Apply | Decision::Run));
    assert_eq!(set.objects.len(), sent.count());
    for (path, document, value) in values(documents) {
        let events =
            Annotations::of(value).get("on-event").map(|text| annotations::list(text).unwrap());
        if events.is_some_and(|events| !events.contains(&"push".to_owned())) {
            let decision =
                set.decisions.iter().find(|d| (d.path.as_str(), d.document) == (path, document));
            assert_eq!(decision.unwrap().decision, Decision::Skip, "{path}");
        }
    }
    for object in &set.objects {
        let text = object.json.to_string();
        for part in text.split("{{").skip(1) {
            let variable = part.split("}}").next().unwrap().trim();
            let ours = crate::manifest::variables::is_name(variable);
            let noted =
                set.notes.iter().any(|note| note.contains(&format!("{{{{ {variable} }}}}")));
            assert!(!ours || noted, "{}: {variable}", object.object.path);
        }
    }
}

#[test]
fn every_expression_of_real_directories_says_what_it_should() {
    let mut seen = 0;
    let directories = directories();
    for (name, documents) in &directories {
        for (path, _, value) in values(documents) {
            let own = Annotations::of(value);
            let Some(text) = own.get("on-cel-expression") else { continue };
            let at = format!("{name}/{}", path.trim_end_matches(".yaml"));
            let says = |event| answer(text, event, None);
            let (push, pull) = (says("push"), says("pull_request"));
            println!("{at}\n    {}", text.trim().replace('\n', "\n    "));
            println!("  push {push:?}\n  pull request {pull:?}");
            let (_, want_push, want_pull) =
                EXPRESSIONS.iter().find(|(file, ..)| *file == at).unwrap();
            assert_eq!((push.ok(), pull.ok()), (want_push.clone(), want_pull.clone()), "{at}");
            seen += 1;
            if let Some(part) =
                path.strip_suffix("-push.yaml").filter(|_| name.starts_with("kubearchive"))
            {
                let want = if part == "sink" { Truth::Yes } else { Truth::No };
                assert_eq!(answer(text, "push", Some("cmd/sink/main.go")), Ok(want), "{at}");
                assert_eq!(answer(text, "push", Some("go.mod")), Ok(Truth::Yes), "{at}");
                assert_eq!(answer(text, "push", Some("README.md")), Ok(Truth::No), "{at}");
            }
        }
    }
    assert_eq!(seen, EXPRESSIONS.len());
}

/// What an expression says about an event on `main`.
fn answer(text: &str, event: &str, changed: Option<&str>) -> Result<Truth, NoAnswer> {
    let own = BTreeMap::new();
    let changed =
        changed.map(|path| ChangedPaths { paths: vec![path.to_owned()], truncated: false });
    let url = "https://example.com/a/b";
    let facts = Facts {
        event,
        source_branch: "main",
        target_branch: "main",
        heads: "refs/heads/",
        url,
        title: "",
        own: &own,
        changed: changed.as_ref(),
    };
    let mut means = Means { fuel: Fuel::new(1), globs: Globs::new(facts.changed) };
    cel::evaluate(&Marked::plain(text), &facts, &mut means)
}

#[test]
fn which_runs_of_real_directories_can_start_now() {
    let (mut all, mut here, mut now) = (0, 0, 0);
    for (name, documents) in directories() {
        let mut names = Vec::new();
        values(&documents).for_each(|(_, _, value)| referred(value, &mut names));
        let runs = values(&documents).filter(|(_, _, v)| policy::is_run(v));
        let runs: Vec<_> = runs.filter(|(_, _, v)| v["kind"] == "PipelineRun").collect();
        let (mut alone, mut with) = (BTreeSet::new(), BTreeMap::new());
        for event in ["push", "pull_request"] {
            let scene = scene(&documents, Some(event));
            if event == "push" {
                alone = startable::startable(&prepare(&documents, &scene.context()));
            }
            let got = startable::got(&documents, &scene, &names);
            let context = Context { remote: Remote::Got(&got), ..scene.context() };
            for place in startable::startable(&prepare(&documents, &context)) {
                with.entry(place).or_insert_with(Vec::new).push(event);
            }
        }
        for (path, document, _) in &runs {
            let place = ((*path).to_owned(), *document);
            let events = with.get(&place).map_or("none".to_owned(), |events| events.join(", "));
            println!("{name}/{path}#{document}: {events}");
        }
        all += runs.len();
        here += runs.iter().filter(|(p, d, _)| alone.contains(&((*p).to_owned(), *d))).count();
        now += runs.iter().filter(|(p, d, _)| with.contains_key(&((*p).to_owned(), *d))).count();
    }
    println!(
        "{all} PipelineRuns: {here} start on a push with nothing else installed, {now} by an event on main with what is elsewhere"
    );
    assert!(now > here);
}

/// The names of tasks and pipelines that runs and pipelines refer to.
fn referred(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if key == "taskRef" || key == "pipelineRef" {
                    let name = inner.get("name").and_then(Value::as_str);
                    found.extend(name.map(str::to_owned));
                }
                referred(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| referred(item, found)),
        _ => {}
    }
}
