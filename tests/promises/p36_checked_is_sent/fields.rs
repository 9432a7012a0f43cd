//! Documents with the fields that Tekton's runs, tasks and pipelines have, and what of them must be sent: all.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// What Sentry's own labels and annotations start with.
const OURS: &str = "sentry-gitops.dev/";

/// A field of a `spec`, as JSON.
type Field = (&'static str, &'static str);

const PIPELINE_RUN: &[Field] = &[
    ("pipelineRef", r#"{"name": "suite"}"#),
    ("pipelineRef", r#"{"resolver": "git", "params": [{"name": "revision", "value": "main"}]}"#),
    ("pipelineSpec", r#"{"tasks": [{"name": "unit", "taskRef": {"name": "unit"}}]}"#),
    (
        "pipelineSpec",
        r#"{"tasks": [{"name": "a", "taskSpec": {"steps": [{"name": "s", "image": "busybox"}]}}]}"#,
    ),
    ("params", r#"[{"name": "one", "value": "x"}, {"name": "list", "value": ["a", "b"]}]"#),
    ("params", r#"[{"name": "map", "value": {"a": "b"}}]"#),
    ("workspaces", r#"[{"name": "w", "emptyDir": {}}]"#),
    (
        "workspaces",
        r#"[{"name": "w", "persistentVolumeClaim": {"claimName": "c"}, "subPath": "a/b"}]"#,
    ),
    ("workspaces", r#"[{"name": "w", "secret": {"secretName": "s", "optional": true}}]"#),
    ("timeouts", r#"{"pipeline": "1h0m0s", "tasks": "50m0s", "finally": "10m0s"}"#),
    ("timeouts", r#"{"pipeline": "0"}"#),
    (
        "taskRunTemplate",
        r#"{"serviceAccountName": "ci", "podTemplate": {"nodeSelector": {"disk": "ssd"}}}"#,
    ),
    (
        "taskRunSpecs",
        r#"[{"pipelineTaskName": "unit", "serviceAccountName": "ci", "computeResources": {"limits": {"cpu": "2"}}}]"#,
    ),
];

const TASK_RUN: &[Field] = &[
    ("taskRef", r#"{"name": "unit"}"#),
    ("taskRef", r#"{"name": "unit", "kind": "Task", "apiVersion": "tekton.dev/v1"}"#),
    ("taskRef", r#"{"resolver": "hub", "params": [{"name": "name", "value": "golang-test"}]}"#),
    ("taskSpec", r#"{"steps": [{"name": "s", "image": "busybox", "script": "echo 1\necho 2\n"}]}"#),
    ("params", r#"[{"name": "one", "value": ""}]"#),
    (
        "workspaces",
        r#"[{"name": "w", "configMap": {"name": "m", "items": [{"key": "a", "path": "b"}]}}]"#,
    ),
    ("timeout", r#""30m0s""#),
    ("retries", "2"),
    ("serviceAccountName", r#""ci""#),
    ("podTemplate", r#"{"securityContext": {"runAsNonRoot": true, "runAsUser": 65532}}"#),
    ("computeResources", r#"{"requests": {"memory": "1Gi"}}"#),
    ("stepSpecs", r#"[{"name": "s", "computeResources": {"limits": {"cpu": "500m"}}}]"#),
    ("debug", r#"{"breakpoints": {"onFailure": "enabled"}}"#),
];

const TASK: &[Field] = &[
    ("description", r#""what it does""#),
    ("params", r#"[{"name": "one", "type": "string", "default": "x"}]"#),
    ("results", r#"[{"name": "digest", "description": "of the image"}]"#),
    ("workspaces", r#"[{"name": "w", "mountPath": "/w", "readOnly": true}]"#),
    ("volumes", r#"[{"name": "v", "emptyDir": {"medium": "Memory"}}]"#),
    ("sidecars", r#"[{"name": "db", "image": "postgres:17"}]"#),
    ("stepTemplate", r#"{"env": [{"name": "A", "value": "1"}]}"#),
];

const PIPELINE: &[Field] = &[
    ("params", r#"[{"name": "one", "type": "array"}]"#),
    ("results", r#"[{"name": "r", "value": "$(tasks.unit.results.digest)"}]"#),
    ("workspaces", r#"[{"name": "w", "optional": true}]"#),
    ("finally", r#"[{"name": "report", "taskRef": {"name": "report"}, "timeout": "5m0s"}]"#),
];

/// Kinds with the fields that each of them must have, and those that it may have.
const KINDS: [(&str, &[Field], &[Field]); 4] = [
    ("PipelineRun", &[], PIPELINE_RUN),
    ("TaskRun", &[], TASK_RUN),
    ("Task", &[("steps", r#"[{"name": "s", "image": "busybox", "onError": "continue"}]"#)], TASK),
    (
        "Pipeline",
        &[(
            "tasks",
            r#"[{"name": "unit", "taskRef": {"name": "unit"}, "retries": 1, "timeout": "1h0m0s", "runAfter": []}]"#,
        )],
        PIPELINE,
    ),
];

/// A document with some of the fields.
pub(super) fn document(rng: &mut Rng, name: &str) -> Value {
    let (kind, musts, mays) = KINDS[rng.usize(..KINDS.len())];
    let chosen = mays.iter().filter(|_| rng.u8(..3) > 0);
    let spec: Map<String, Value> = musts
        .iter()
        .chain(chosen)
        .map(|(name, text)| ((*name).to_owned(), serde_json::from_str(text).unwrap()))
        .collect();
    let mut metadata =
        json!({"labels": {"team": "qa"}, "annotations": {"example.com/note": "kept"}});
    let generated = kind.ends_with("Run") && rng.bool();
    match generated {
        true => metadata["generateName"] = json!(format!("{name}-")),
        false => metadata["name"] = json!(name),
    }
    for part in ["labels", "annotations"] {
        if rng.u8(..4) == 0 {
            metadata.as_object_mut().unwrap().remove(part);
        }
    }
    json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// What of the document is sent otherwise than it is written, but for what Sentry owes an object: a run's name, the
/// namespace, and marks of its own.
pub(super) fn difference(document: &Value, sent: &Value) -> Option<String> {
    let (mut wanted, mut sent) = (document.clone(), sent.clone());
    for object in [&mut wanted, &mut sent] {
        let metadata = object["metadata"].as_object_mut()?;
        for own in ["name", "generateName", "namespace"] {
            metadata.remove(own);
        }
        for part in ["labels", "annotations"] {
            let marks = metadata.entry(part).or_insert_with(|| json!({})).as_object_mut()?;
            marks.retain(|name, _| !name.starts_with(OURS));
        }
    }
    (wanted != sent).then(|| format!("written: {wanted}\nsent:    {sent}"))
}
