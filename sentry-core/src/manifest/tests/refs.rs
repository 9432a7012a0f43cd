//! What is put into runs, and what is missing.

use serde_json::{Value, json};

use super::Scene;
use crate::manifest::{Decision, MAX_PLAN_BYTES, ManifestSet};

const TASK: &str = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t, labels: {a: b}, \
                    annotations: {c: '{{ env }}'}}\nspec: {params: [{name: p}], steps: [{image: \
                    '{{ revision }}'}]}\n";
const PIPELINE: &str = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: p, labels: {a: b}}\n\
                        spec: {params: [{name: q}], tasks: [{name: x, taskRef: {name: t}, params: \
                        [{name: p, value: v}]}], finally: [{name: z, taskRef: {name: t, kind: Task}}]}\n";

fn run(spec: &str) -> String {
    format!("apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: r}}\nspec: {spec}\n")
}

/// What becomes of a run beside the task and the pipeline.
fn beside(run: &str) -> ManifestSet {
    Scene::default().files(&[("a.yaml", run), ("p.yaml", PIPELINE), ("t.yaml", TASK)])
}

/// The `spec` that is sent for the run.
fn spec(set: &ManifestSet) -> &Value {
    let run = set.objects.iter().find(|o| o.is_run());
    &run.unwrap_or_else(|| panic!("{:?}", set.decisions[0])).json["spec"]
}

fn missing(set: &ManifestSet) -> Vec<String> {
    set.missing.iter().map(|m| format!("{} {}", m.kind, m.name)).collect()
}

/// The task as it stands in a pipeline.
fn embedded() -> Value {
    json!({
        "metadata": {"labels": {"a": "b"}, "annotations": {"c": "stage"}},
        "params": [{"name": "p"}],
        "steps": [{"image": super::SHA}],
    })
}

#[test]
fn a_pipeline_is_put_into_the_run_with_its_tasks() {
    let set =
        beside(&run("{pipelineRef: {name: p}, params: [{name: q, value: w}], workspaces: []}"));
    assert_eq!(
        *spec(&set),
        json!({
            "params": [{"name": "q", "value": "w"}],
            "workspaces": [],
            "pipelineSpec": {
                "params": [{"name": "q"}],
                "tasks": [{"name": "x", "params": [{"name": "p", "value": "v"}], "taskSpec": embedded()}],
                "finally": [{"name": "z", "taskSpec": embedded()}],
            },
        })
    );
    assert_eq!(set.objects.len(), 3, "the named objects are applied as well");
    assert_eq!(set.objects[1].json["spec"]["tasks"][0]["taskRef"]["name"], "t");
    assert!(set.missing.is_empty() && set.notes.is_empty(), "{:?}", set.notes);
}

#[test]
fn tasks_are_put_into_a_runs_own_pipeline_and_into_a_task_run() {
    let set = beside(&run(
        "{pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}, {name: z, taskSpec: {steps: []}}]}}",
    ));
    assert_eq!(spec(&set)["pipelineSpec"]["tasks"][0]["taskSpec"], embedded());
    assert_eq!(spec(&set)["pipelineSpec"]["tasks"][1]["taskSpec"], json!({"steps": []}));
    let task_run = run("{taskRef: {name: t}}").replace("PipelineRun", "TaskRun");
    let set = beside(&task_run);
    let plain = json!({"params": [{"name": "p"}], "steps": [{"image": super::SHA}]});
    assert_eq!(*spec(&set), json!({"taskSpec": plain}), "a TaskRun's spec has no metadata");
}

#[test]
fn what_the_cluster_resolves_is_left_alone() {
    for task in [
        "{resolver: git, params: [{name: url, value: x}]}",
        "{resolver: cluster, name: t}",
        "{name: t, kind: ClusterTask}",
        "{name: t, apiVersion: example.org/v1, kind: Task}",
        "{name: '$(params.x)'}",
    ] {
        let set =
            beside(&run(&format!("{{pipelineSpec: {{tasks: [{{name: x, taskRef: {task}}}]}}}}")));
        assert!(spec(&set)["pipelineSpec"]["tasks"][0].get("taskSpec").is_none(), "{task}");
        assert!(set.missing.is_empty(), "{task}");
    }
    let bundle = "{pipelineSpec: {tasks: [{name: x, taskRef: {name: t, bundle: example.com/x}}]}}";
    let set = beside(&run(bundle).replace("tekton.dev/v1", "tekton.dev/v1beta1"));
    assert!(spec(&set)["pipelineSpec"]["tasks"][0].get("taskSpec").is_none());
    let set = beside(&run("{pipelineRef: {resolver: hub, params: []}}"));
    assert!(spec(&set).get("pipelineSpec").is_none() && set.missing.is_empty());
}

#[test]
fn references_stay_where_the_watch_says_so() {
    let mut scene = Scene::default();
    scene.watch.reading.inline = false;
    let text = run("{pipelineRef: {name: p}}");
    let set = scene.files(&[("a.yaml", &text), ("p.yaml", PIPELINE)]);
    assert_eq!(*spec(&set), json!({"pipelineRef": {"name": "p"}}));
    assert_eq!(missing(&set), ["Task t"], "what stands behind the pipeline is looked up too");
}

#[test]
fn what_the_tree_does_not_hold_is_missing_with_a_remedy() {
    let annotated = run(
        "{pipelineRef: {name: p}, pipelineSpec: {tasks: [{name: a, taskRef: {name: \
                         git-clone}}, {name: b, taskRef: {name: other}}]}}",
    )
    .replace(
        "{name: r}",
        "{name: r, annotations: {pipelinesascode.tekton.dev/task: '[git-clone:0.9, .tekton/t.yaml, \
         tasks/z.yaml]', pipelinesascode.tekton.dev/task-1: 'https://example.com/x.yaml'}}",
    );
    let set = beside(&annotated.replace("pipelineRef: {name: p}, ", ""));
    assert_eq!(missing(&set), ["Task git-clone", "Task other"]);
    let hints: Vec<_> = set.missing.iter().map(|m| m.hint.as_deref()).collect();
    assert_eq!(hints[1], None);
    assert!(hints[0].unwrap().contains("`resolver: hub`"), "{hints:?}");
    for word in [
        "task `git-clone:0.9` is not fetched: refer to it with `resolver: hub`",
        "task `tasks/z.yaml` is not fetched: refer to it with `resolver: git`",
        "task `https://example.com/x.yaml` is not fetched: refer to it with `resolver: http`",
    ] {
        assert!(set.notes.iter().any(|note| note.contains(word)), "{word}: {:?}", set.notes);
    }
    assert_eq!(set.notes.len(), 3, "a file of the tree is there: {:?}", set.notes);
    let others = run("{pipelineRef: {name: p}}").replace(
        "{name: r}",
        "{name: r, annotations: {pipelinesascode.tekton.dev/task-x: 'a', pipelinesascode.tekton.dev/task-: 'b'}}",
    );
    assert!(beside(&others).notes.is_empty(), "{:?}", beside(&others).notes);
}

#[test]
fn what_runs_at_the_end_of_a_pipeline_is_looked_up_as_well() {
    let tasks =
        "tasks: [{name: x, taskRef: {name: t}}], finally: [{name: z, taskRef: {name: nowhere}}]";
    let set = beside(&run(&format!("{{pipelineSpec: {{{tasks}}}}}")));
    assert_eq!(missing(&set), ["Task nowhere"]);
}

#[test]
fn step_actions_stay_references_which_is_said() {
    let action =
        "apiVersion: tekton.dev/v1beta1\nkind: StepAction\nmetadata: {name: s}\nspec: {image: x}\n";
    let text =
        run("{pipelineSpec: {tasks: [{name: x, taskSpec: {steps: [{name: a, ref: {name: s}}, \
                    {name: b, ref: {name: nowhere}}, {name: c, ref: {resolver: git}}]}}]}}");
    let set = Scene::default().files(&[("a.yaml", &text), ("s.yaml", action)]);
    assert_eq!(missing(&set), ["StepAction nowhere"]);
    assert!(set.notes[0].contains("StepAction s stays a reference"), "{:?}", set.notes);
    assert_eq!(set.objects[0].object.kind, "StepAction", "it is written before the run");
    let mut scene = Scene::default();
    scene.watch.reading.inline = false;
    let set = scene.files(&[("a.yaml", &text), ("s.yaml", action)]);
    assert!(set.notes.is_empty(), "where all stay, none is told: {:?}", set.notes);
}

#[test]
fn specs_of_another_version_are_put_in_only_if_they_mean_the_same() {
    let old = TASK.replace("tekton.dev/v1", "tekton.dev/v1beta1");
    let text = run("{pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}]}}");
    let set = Scene::default().files(&[("a.yaml", &text), ("t.yaml", &old)]);
    assert_eq!(spec(&set)["pipelineSpec"]["tasks"][0]["taskSpec"], embedded());
    let bound = old.replace("steps: [{", "steps: [{resources: {}, ");
    let set = Scene::default().files(&[("a.yaml", &text), ("t.yaml", &bound)]);
    assert_eq!(spec(&set)["pipelineSpec"]["tasks"][0]["taskRef"]["name"], "t");
    assert_eq!(set.notes.len(), 1, "{:?}", set.notes);
    assert!(set.notes[0].contains("Task t stays a reference: it uses fields"), "{:?}", set.notes);
    assert!(set.missing.is_empty());
    let text = run("{pipelineRef: {name: p}}");
    for (task, is_put_in) in [
        ("{name: x}", true),
        ("{name: x, taskSpec: {steps: [{image: a}]}}", true),
        ("{name: x, resources: {}}", false),
        ("{name: x, taskRef: {name: t, bundle: b}}", false),
        ("{name: x, taskSpec: {steps: [{resources: {}}]}}", false),
        ("{name: x, taskSpec: {sidecars: [{resources: {}}]}}", false),
        ("{name: x, taskSpec: {stepTemplate: {resources: {}}}}", false),
    ] {
        let old = format!(
            "apiVersion: tekton.dev/v1beta1\nkind: Pipeline\nmetadata: {{name: p}}\nspec: {{tasks: [{task}]}}\n"
        );
        let set = Scene::default().files(&[("a.yaml", &text), ("p.yaml", &old)]);
        assert_eq!(spec(&set).get("pipelineSpec").is_some(), is_put_in, "{task}");
    }
}

#[test]
fn a_task_is_looked_for_in_the_runs_own_namespace() {
    let mut scene = Scene::default();
    let listed = ["stage".parse().unwrap()].into();
    scene.watch.reading.namespace_policy = crate::watch::NamespacePolicy::Listed(listed);
    let text = run("{pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}]}}");
    let there = text.replace("{name: r}", "{name: r, namespace: stage}");
    let set = scene.files(&[("a.yaml", &there), ("t.yaml", TASK)]);
    assert_eq!(
        (missing(&set), set.missing[0].namespace.as_str()),
        (vec!["Task t".to_owned()], "stage")
    );
    assert!(scene.files(&[("a.yaml", &text), ("t.yaml", TASK)]).missing.is_empty());
}

#[test]
fn a_pipeline_with_a_payloads_variable_refuses_only_the_runs_that_need_it() {
    let bad =
        PIPELINE.replace("value: v", "value: '{{ body.x }}'").replace("name: p,", "name: bad,");
    let other = run("{pipelineRef: {name: bad}}").replace("name: r}", "name: other}");
    let set = Scene::default().files(&[
        ("a.yaml", &run("{pipelineRef: {name: p}}")),
        ("b.yaml", &other),
        ("c.yaml", &bad),
        ("p.yaml", PIPELINE),
        ("t.yaml", TASK),
    ]);
    let words: Vec<_> = set.decisions.iter().map(|d| d.decision.as_str()).collect();
    assert_eq!(words, ["run", "refuse", "refuse", "apply", "apply"]);
    assert!(set.decisions[1].reason.contains("Pipeline bad, which is refused"));
}

/// So many runs, each of another name.
fn many(run: &str, number: usize) -> String {
    (0..number).map(|i| run.replace("name: r}", &format!("name: r{i}}}"))).collect()
}

#[test]
fn a_small_tree_does_not_become_a_large_plan() {
    let large = TASK.replace("{{ revision }}", &"x".repeat(900_000));
    let text = run("{pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}]}}---\n")
        .replace("}---", "}\n---");
    let set = Scene::default().files(&[("a.yaml", &many(&text, 150)), ("t.yaml", &large)]);
    let bytes: usize = set.objects.iter().map(|o| o.json.to_string().len()).sum();
    assert!(bytes <= MAX_PLAN_BYTES && set.objects.len() > 10, "{bytes} {}", set.objects.len());
    let refused: Vec<_> = set.refusals().collect();
    assert!(
        refused.len() > 100 && refused[0].reason.contains("more than 16 MiB"),
        "{:?}",
        refused[0]
    );
}

#[test]
fn a_plan_of_many_small_nodes_does_not_fill_the_memory() {
    let nodes = TASK.replace("spec: {", &format!("spec: {{volumes: [{}], ", "[],".repeat(30_000)));
    let text = run("{pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}]}}") + "---\n";
    let set = Scene::default().files(&[("a.yaml", &many(&text, 100)), ("t.yaml", &nodes)]);
    assert!((5..15).contains(&set.objects.len()), "{}", set.objects.len());
    assert!(set.refusals().next().unwrap().reason.contains("400000 nodes"));
}

#[test]
fn an_object_may_have_as_many_bytes_as_a_cluster_takes() {
    let map = |quotes: usize, letters: usize| {
        let text = "\"".repeat(quotes) + &"x".repeat(letters);
        let set = Scene::default().prepare(&super::config_map("{name: a}", &format!("'{text}'")));
        (set.decisions[0].decision, set.objects.first().map(|o| o.json.to_string().len()))
    };
    let around = map(0, 1).1.unwrap() - 1;
    // A quote is two bytes in JSON.
    let letters = crate::manifest::MAX_OBJECT_BYTES - around - 2 * 780_000;
    assert_eq!(map(780_000, letters), (Decision::Apply, Some(crate::manifest::MAX_OBJECT_BYTES)));
    assert_eq!(map(780_000, letters + 1).0, Decision::Refuse);
}

#[test]
fn one_run_with_all_that_is_put_into_it_fits_into_a_cluster() {
    let large = TASK.replace("{{ revision }}", &"x".repeat(900_000));
    let tasks: String = (0..5).map(|i| format!("{{name: x{i}, taskRef: {{name: t}}}},")).collect();
    let text = run(&format!("{{pipelineSpec: {{tasks: [{tasks}]}}}}"));
    let set = Scene::default().files(&[("a.yaml", &text), ("t.yaml", &large)]);
    assert_eq!(set.decisions[0].decision, Decision::Refuse);
    assert!(
        set.decisions[0].reason.contains("a cluster accepts 1572864"),
        "{}",
        set.decisions[0].reason
    );
}

#[test]
fn specs_of_any_shape_are_left_to_the_cluster() {
    for spec in [
        "x",
        "[]",
        "{pipelineSpec: 1}",
        "{pipelineSpec: {tasks: 1}}",
        "{pipelineSpec: {tasks: [1, [], {}]}}",
        "{pipelineRef: x}",
        "{pipelineRef: {name: 1}}",
        "{pipelineSpec: {tasks: [{taskRef: []}], finally: {}}}",
        "{taskSpec: {steps: x}}",
        "{pipelineSpec: {tasks: [{taskSpec: {steps: [{ref: 1}, 2]}}]}}",
    ] {
        let set = beside(&run(spec));
        assert_eq!(set.decisions[0].decision, Decision::Run, "{spec}: {}", set.decisions[0].reason);
        assert!(set.missing.is_empty(), "{spec}");
    }
}
