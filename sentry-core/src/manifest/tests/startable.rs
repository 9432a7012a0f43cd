//! Which runs can start: shapes of annotations and references as real `.tekton` directories have them, each with the events that it
//! is for and with what is elsewhere. Where the corpus is at hand, the same is counted of it.

use std::collections::BTreeSet;

use super::*;

/// The words of `on-event`, as they are asked for.
const EVENTS: [&str; 3] = ["push", "pull_request", "nightly"];

/// One shape: its name, its annotations and spec, and the events of [`EVENTS`] by which it starts on `main`.
type Shape =
    (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);

const PUSH: (&str, &str) = ("on-event", "[push]");
const PULL: (&str, &str) = ("on-event", "[pull_request]");
const MAIN: (&str, &str) = ("on-target-branch", "[main]");
/// A pipeline's own task, or one by reference.
const OWN: &str = "{pipelineSpec: {tasks: [{name: x, taskSpec: {steps: []}}]}}";
const CLONE: &str = "{pipelineSpec: {tasks: [{name: x, taskRef: {name: git-clone}}]}}";
const SUITE: &str = "{pipelineRef: {name: suite}}";

const SHAPES: &[Shape] = &[
    ("a push to main", &[PUSH, MAIN], OWN, &["push"]),
    ("a pull request for main", &[PULL, MAIN], OWN, &["pull_request"]),
    ("both", &[("on-event", "[push, pull_request]"), MAIN], OWN, &["push", "pull_request"]),
    ("another branch", &[PUSH, ("on-target-branch", "[release-*]")], OWN, &[]),
    ("a glob over all branches", &[PUSH, ("on-target-branch", "[refs/heads/*]")], OWN, &["push"]),
    ("tags", &[PUSH, ("on-target-branch", "[refs/tags/*]")], OWN, &[]),
    ("an event of its own", &[("on-event", "nightly"), MAIN], OWN, &["nightly"]),
    (
        "an expression for a push",
        &[("on-cel-expression", "event == \"push\" && target_branch == \"main\"")],
        OWN,
        &["push"],
    ),
    (
        "an expression with paths, which are not known",
        &[(
            "on-cel-expression",
            "event == \"pull_request\" && target_branch == \"main\" && \"src/**\".pathChanged()",
        )],
        OWN,
        &["pull_request"],
    ),
    ("a comment alone", &[("on-comment", "^/test")], OWN, &[]),
    ("a catalogue's task", &[PUSH, MAIN, ("task", "git-clone")], CLONE, &["push"]),
    (
        "a catalogue's task of a version, in a list",
        &[PULL, MAIN, ("task", "[git-clone:0.9.0]")],
        CLONE,
        &["pull_request"],
    ),
    (
        "several annotations and an address",
        &[
            PUSH,
            MAIN,
            ("task", "[maven, buildah]"),
            ("task-1", "https://raw.githubusercontent.com/o/r/main/tasks/git-clone.yaml"),
        ],
        CLONE,
        &["push"],
    ),
    (
        "a file of the directory",
        &[PUSH, MAIN, ("task", "[.tekton/tasks/git-clone.yaml]")],
        CLONE,
        &["push"],
    ),
    (
        "a file of the repository",
        &[PUSH, MAIN, ("task", "task/git-clone/0.1/git-clone.yaml")],
        CLONE,
        &["push"],
    ),
    (
        "a pipeline at an address",
        &[PUSH, MAIN, ("pipeline", "https://raw.githubusercontent.com/o/r/main/suite.yaml")],
        SUITE,
        &["push"],
    ),
    (
        "a bundle by its resolver",
        &[PUSH, MAIN],
        "{pipelineRef: {resolver: bundles, params: []}}",
        &["push"],
    ),
    ("a task that is nowhere", &[PUSH, MAIN], CLONE, &[]),
    (
        "a catalogue of another configuration",
        &[PUSH, MAIN, ("task", "custom://git-clone")],
        CLONE,
        &[],
    ),
];

fn text(annotations: &[(&str, &str)], spec: &str) -> String {
    let lines: String = annotations
        .iter()
        .map(|(name, value)| format!("    pipelinesascode.tekton.dev/{name}: '{value}'\n"))
        .collect();
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: r\n  annotations:\n{lines}spec: {spec}\n"
    )
}

/// What a place elsewhere holds: a task or pipeline that is called as its file or entry is.
fn held(wanted: &Wanted, tasks: &[String]) -> String {
    let place = wanted.place.to_string();
    let name = place.rsplit('/').next().unwrap().split([':', '.']).next().unwrap().to_owned();
    let names: Vec<&str> =
        tasks.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let name = names.iter().find(|own| name.contains(**own)).map_or(name.as_str(), |own| own);
    match wanted.kind {
        RemoteKind::Task => format!(
            "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {{name: {name}}}\nspec: {{steps: []}}\n"
        ),
        RemoteKind::Pipeline => format!(
            "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{name: {name}}}\n\
             spec: {{tasks: [{{name: x, taskSpec: {{steps: []}}}}]}}\n"
        ),
    }
}

/// Everything that the runs need of elsewhere, from places that hold it. `names` are what runs refer to.
pub(super) fn got(documents: &Documents, scene: &Scene, names: &[String]) -> RemoteDocuments {
    let mut got = RemoteDocuments::default();
    for _ in 0..crate::remote::MAX_DEPTH {
        let context = Context { remote: Remote::Got(&got), ..scene.context() };
        for wanted in remotes_wanted(documents, &context) {
            let text = held(&wanted, names);
            got.add(wanted, "a place".to_owned(), text.as_bytes());
        }
    }
    got
}

/// The documents of runs that start and lack nothing.
pub(super) fn startable(set: &ManifestSet) -> BTreeSet<(String, usize)> {
    let missing: BTreeSet<_> = set.missing.iter().map(|m| (m.path.as_str(), m.document)).collect();
    let runs = set.decisions.iter().filter(|d| d.decision == Decision::Run);
    let place = |d: &DocumentDecision| (d.path.clone(), d.document);
    runs.filter(|d| !missing.contains(&(d.path.as_str(), d.document))).map(place).collect()
}

#[test]
fn each_shape_of_real_directories_starts_by_the_events_that_it_is_for_and_by_no_other() {
    let clone =
        "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: git-clone}\nspec: {steps: []}\n";
    let mut without = 0;
    for (shape, annotations, spec, events) in SHAPES {
        let run = text(annotations, spec);
        let is_here = annotations.iter().any(|(_, value)| value.contains(".tekton/tasks/"));
        let mut files = vec![("r.yaml", run.as_str())];
        files.extend(is_here.then_some(("tasks/git-clone.yaml", clone)));
        let documents = parse(&tree(files.iter().map(|(path, text)| (*path, text.as_bytes()))));
        let mut scene = Scene::default();
        scene.revision.subject = crate::testing::sample::subject("main");
        let mut starts = Vec::new();
        for event in EVENTS {
            scene.event = EventName::new(event);
            let got = got(&documents, &scene, &[]);
            let set =
                prepare(&documents, &Context { remote: Remote::Got(&got), ..scene.context() });
            starts.extend((!startable(&set).is_empty()).then_some(event));
            let set = prepare(&documents, &scene.context());
            without += usize::from(!startable(&set).is_empty());
        }
        assert_eq!(starts, *events, "{shape}");
    }
    let all: usize = SHAPES.iter().map(|(.., events)| events.len()).sum();
    assert!(without < all, "without elsewhere fewer start: {without} of {all}");
}
