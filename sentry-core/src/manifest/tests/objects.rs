//! What is sent: names, marks, order.

use serde_json::json;

use super::{SHA, Scene, config_map, prepared, run};
use crate::manifest::Decision;
use crate::plan::Operation;
use crate::testing::sample;

fn key_of(operation: &Operation) -> &str {
    match operation {
        Operation::Create { key } => key,
        Operation::Apply => panic!("not a run"),
    }
}

#[test]
fn a_named_object_is_sent_with_marks_and_nothing_else_changed() {
    let set = prepared(&config_map("{name: a, labels: {app: x}}", "[1, '2', true]"));
    let planned = &set.objects[0];
    assert_eq!(planned.operation, Operation::Apply);
    assert_eq!(set.decisions[0].decision, Decision::Apply);
    assert_eq!(
        planned.json,
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "a",
                "namespace": "qa",
                "labels": {
                    "app": "x",
                    "sentry-gitops.dev/watch": "web",
                    "sentry-gitops.dev/delivery": "01jdq0000000000000000000aa",
                    "sentry-gitops.dev/commit": SHA,
                },
                "annotations": {
                    "sentry-gitops.dev/branch": "release/1.0",
                    "sentry-gitops.dev/revision": SHA,
                    "sentry-gitops.dev/source-url": "https://github.com/Acme/Web.git",
                    "sentry-gitops.dev/manifests-url": "https://github.com/acme/deploy",
                    "sentry-gitops.dev/manifests-branch": "main",
                    "sentry-gitops.dev/manifests-revision": "b".repeat(40),
                },
            },
            "data": {"x": [1, "2", true]},
        })
    );
}

#[test]
fn runs_are_created_under_a_name_made_of_their_key() {
    let set =
        prepared(&format!("# c\n---\n{}---\n{}", run("{name: a}"), run("{generateName: q-}")));
    let (first, second) = (&set.objects[0], &set.objects[1]);
    let key = format!("web|release/1.0|{SHA}|a.yaml|PipelineRun|a|1|");
    assert_eq!(key_of(&first.operation), key);
    assert_eq!(key_of(&second.operation), format!("web|release/1.0|{SHA}|a.yaml|PipelineRun|q|2|"));
    assert!(second.object.name.starts_with("q-1a2b3c4d-"), "{}", second.object.name);
    assert_eq!(second.json["metadata"]["name"], second.object.name.as_str());
    assert_eq!(second.json["metadata"].get("generateName"), None);
    assert_eq!(first.json["metadata"]["annotations"]["sentry-gitops.dev/key"], key.as_str());
    assert_eq!(set.decisions[1].name.as_deref(), Some("q-"));
    assert_eq!(set.decisions[1].decision, Decision::Run);
}

#[test]
fn what_is_a_run_is_known_by_kind_or_by_generate_name() {
    let object = |api_version: &str, kind: &str, metadata: &str| {
        let text = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {metadata}\n");
        matches!(prepared(&text).objects[0].operation, Operation::Create { .. })
    };
    for kind in ["PipelineRun", "TaskRun", "CustomRun"] {
        assert!(object("tekton.dev/v1beta1", kind, "{name: a}"), "{kind}");
    }
    assert!(object("v1", "Pod", "{generateName: a-}"));
    assert!(!object("example.org/v1", "PipelineRun", "{name: a}"));
    assert!(!object("v1", "Pod", "{name: a, generateName: b-}"), "a name wins");
}

#[test]
fn the_same_commit_gives_the_same_names_and_a_trigger_new_ones() {
    let text = run("{generateName: qa-}");
    let name = |scene: &Scene| scene.prepare(&text).objects[0].object.name.clone();
    let first = name(&Scene::default());
    let mut other = Scene { manifests: sample::revision(3), ..Scene::default() };
    other.delivery = "01jdq0000000000000000000bb".parse().unwrap();
    other.sender = None;
    assert_eq!(name(&other), first, "B's commit and the delivery are no part of it");
    other.trigger = Some("01jdq0000000000000000000cc".parse().unwrap());
    assert_ne!(name(&other), first);
    let mut moved = Scene::default();
    moved.revision.subject = sample::subject("main");
    assert_ne!(name(&moved), first);
}

#[test]
fn what_a_run_needs_is_written_before_it() {
    let object = |api: &str, kind: &str, name: &str| {
        format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}}}\n---\n")
    };
    let a = run("{name: run}")
        + "---\n"
        + &object("tekton.dev/v1", "Pipeline", "pipeline")
        + &object("tekton.dev/v1", "Task", "task");
    let b = object("tekton.dev/v1beta1", "StepAction", "step")
        + &object("v1", "ConfigMap", "map")
        + &object("example.org/v1", "Task", "other-task")
        + &object("example.org/v1", "Pipeline", "other-pipeline");
    let set = Scene::default().files(&[("a.yaml", &a), ("b.yaml", &b)]);
    let names: Vec<_> = set.objects.iter().map(|o| o.object.name.as_str()).collect();
    assert_eq!(names[..6], ["map", "other-task", "other-pipeline", "task", "step", "pipeline"]);
    assert!(names[6].starts_with("run-"));
    assert_eq!(set.decisions[0].decision, Decision::Run, "decisions stay in file order");
}

#[test]
fn what_only_a_server_sets_is_left_out_with_a_note() {
    let set = prepared(&config_map(
        "{name: a, uid: x, resourceVersion: '1', generation: 2, creationTimestamp: }",
        "1",
    ));
    let metadata = set.objects[0].json["metadata"].as_object().unwrap();
    let keys: Vec<_> = metadata.keys().map(String::as_str).collect();
    assert_eq!(keys, ["annotations", "labels", "name", "namespace"]);
    assert_eq!(
        set.notes,
        [
            "a.yaml:1: metadata.uid, metadata.resourceVersion, metadata.generation left out: only the \
          server sets that"
        ]
    );
}

#[test]
fn marks_of_pipelines_as_code_stay_but_the_one_that_hands_the_run_over() {
    let set =
        prepared(&run("{name: a, annotations: {pipelinesascode.tekton.dev/on-event: '[push]', \
         pipelinesascode.tekton.dev/on-target-branch: '[release/*]'}, \
         labels: {pipelinesascode.tekton.dev/state: queued, sentry-gitops.dev/watch: forged}}"));
    let metadata = &set.objects[0].json["metadata"];
    assert_eq!(metadata["annotations"]["pipelinesascode.tekton.dev/on-event"], "[push]");
    assert_eq!(metadata["labels"].get("pipelinesascode.tekton.dev/state"), None);
    assert_eq!(metadata["labels"]["sentry-gitops.dev/watch"], "web");
    assert_eq!(set.notes.len(), 1);
}

#[test]
fn the_mark_that_hands_a_run_over_is_removed_and_told_wherever_it_stands() {
    let mark = "pipelinesascode.tekton.dev/state: queued";
    for metadata in [
        format!("{{name: a, labels: {{{mark}}}}}"),
        format!("{{name: a, annotations: {{{mark}}}}}"),
        format!("{{name: a, annotations: {{{mark}}}, labels: {{{mark}}}}}"),
    ] {
        let set = prepared(&run(&metadata));
        assert!(!set.objects[0].json.to_string().contains("queued"), "{metadata}");
        assert!(set.notes[0].contains("would take the run over"), "{metadata}: {:?}", set.notes);
    }
}

#[test]
fn a_sha256_commit_is_cut_to_a_label_and_whole_in_the_annotation() {
    let mut scene = Scene::default();
    scene.revision.sha = "c".repeat(64).parse().unwrap();
    let metadata = scene.prepare(&run("{name: a}")).objects[0].json["metadata"].clone();
    assert_eq!(metadata["labels"]["sentry-gitops.dev/commit"], "c".repeat(63).as_str());
    assert_eq!(metadata["annotations"]["sentry-gitops.dev/revision"], "c".repeat(64).as_str());
}
