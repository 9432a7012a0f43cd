//! Tasks and pipelines from elsewhere: which are needed, which of two counts, what becomes of the run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::remote::Place;

fn task(name: &str, image: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {{name: {name}, labels: {{from: {image}}}}}\n\
         spec: {{params: [{{name: p}}], steps: [{{image: {image}, script: 'echo {{{{ revision }}}}'}}]}}\n"
    )
}

fn pipeline(name: &str, annotations: &str, task: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
         spec: {{tasks: [{{name: x, taskRef: {{name: {task}}}}}]}}\n"
    )
}

fn pac(name: &str, value: &str) -> String {
    format!("pipelinesascode.tekton.dev/{name}: '{value}'")
}

/// A run with annotations, for every push.
fn run(annotations: &[String], spec: &str) -> String {
    let event = pac("on-event", "push");
    let branch = pac("on-target-branch", "release/*");
    let all: Vec<&str> =
        [&event, &branch].into_iter().chain(annotations).map(String::as_str).collect();
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: r, annotations: {{{}}}}}\nspec: {spec}\n",
        all.join(", ")
    )
}

const ONE_TASK: &str = "{pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}]}}";

/// The places that answer, by what annotations call them.
type World = BTreeMap<&'static str, String>;

/// What is got, round by round, from a world that holds these documents: as the engine does.
fn gather(scene: &mut Scene, documents: &Documents, world: &World) -> Vec<String> {
    let mut asked = Vec::new();
    for _ in 0..4 {
        let set = scene.remote.take().unwrap_or_default();
        let wanted = {
            let context = Context { remote: Remote::Got(&set), ..scene.context() };
            remotes_wanted(documents, &context)
        };
        let mut set = set;
        for one in wanted {
            let place = one.place.to_string();
            asked.push(format!("{} {place}", one.kind));
            match world.get(place.as_str()) {
                Some(text) => set.add(one, format!("from {place}"), text.as_bytes()),
                None => set.refuse(one, "is nowhere".to_owned()),
            }
        }
        scene.remote = Some(set);
    }
    asked
}

/// What becomes of these files; and what was asked for.
fn delivered(files: &[(&str, &str)], world: &World) -> (ManifestSet, Vec<String>) {
    let mut scene = Scene::default();
    let documents = parse(&tree(files.iter().map(|(path, text)| (*path, text.as_bytes()))));
    let asked = gather(&mut scene, &documents, world);
    (prepare(&documents, &scene.context()), asked)
}

fn sent(set: &ManifestSet) -> &Value {
    let run = set.objects.iter().find(|planned| planned.is_run());
    &run.unwrap_or_else(|| panic!("no run: {:?}", set.decisions)).json["spec"]
}

fn image(spec: &Value) -> &str {
    spec.pointer("/pipelineSpec/tasks/0/taskSpec/steps/0/image").and_then(Value::as_str).unwrap()
}

#[test]
fn each_form_of_an_annotation_names_its_place() {
    let all = [
        ("task", "git-clone", "task git-clone"),
        ("task", "[git-clone:0.9.0]", "task git-clone:0.9.0"),
        ("task-1", "https://h.example/t.yaml", "task https://h.example/t.yaml"),
        ("task-3", "share/tasks/t.yaml", "task share/tasks/t.yaml"),
        ("task", "./share/t.yaml", "task share/t.yaml"),
        ("pipeline", "p:0.1.0", "pipeline p:0.1.0"),
        (
            "task",
            "https://h.example/{{ revision }}/t.yaml",
            &format!("task https://h.example/{SHA}/t.yaml"),
        ),
        (
            "task",
            "https://h.example/{{ source_branch }}/t.yaml",
            "task https://h.example/release/1.0/t.yaml",
        ),
    ];
    for (name, value, want) in all {
        let text = run(&[pac(name, value)], ONE_TASK);
        let (_, asked) = delivered(&[("a.yaml", &text)], &World::new());
        assert_eq!(asked, [want], "{name}: {value}");
    }
    let text = run(&[pac("task", ".tekton/t.yaml")], ONE_TASK);
    let (set, asked) =
        delivered(&[("a.yaml", &text), ("t.yaml", &task("t", "here"))], &World::new());
    assert!(asked.is_empty() && image(sent(&set)) == "here", "{asked:?}");
}

#[test]
fn what_can_not_be_meant_refuses_the_run_and_asks_nobody() {
    for (name, value, word) in [
        ("task", "catalog://x", "catalogue"),
        ("task", "https://u:p@h.example/t.yaml", "credentials"),
        ("task", "share/../../etc/t.yaml", "not a file"),
        ("task", "share/t.txt", "ends in .yaml"),
        ("task", "a:b:c", "neither a name"),
        ("task", "[]", "is empty"),
        ("pipeline", "[a, b]", "more than one pipeline"),
    ] {
        let text = run(&[pac(name, value)], ONE_TASK);
        let (set, _) = delivered(&[("a.yaml", &text), ("t.yaml", &task("t", "x"))], &World::new());
        let reason = &set.decisions[0].reason;
        assert!(
            set.objects.iter().all(|o| !o.is_run()) && reason.contains(word),
            "{value}: {reason}"
        );
    }
}

#[test]
fn the_runs_annotations_come_before_its_pipelines_and_those_before_the_directory() {
    let by_run = [pac("task", "https://h.example/run.yaml")];
    let by_pipeline = pac("task", "https://h.example/pipeline.yaml");
    let world = World::from([
        ("https://h.example/run.yaml", task("t", "run")),
        ("https://h.example/pipeline.yaml", task("t", "pipeline")),
    ]);
    let here = task("t", "here");
    for (annotations, of_pipeline, want) in [
        (&by_run[..], by_pipeline.as_str(), "run"),
        (&[], &by_pipeline, "pipeline"),
        (&by_run, "", "run"),
        (&[], "", "here"),
    ] {
        let text = run(annotations, "{pipelineRef: {name: p}}");
        let p = pipeline("p", of_pipeline, "t");
        let files = [("a.yaml", text.as_str()), ("p.yaml", &p), ("t.yaml", &here)];
        let (set, _) = delivered(&files, &world);
        assert_eq!(image(sent(&set)), want, "{annotations:?} {of_pipeline}");
        assert!(set.missing.is_empty());
    }
    // Of two annotations of one run the one with the lower number counts.
    let two = [
        pac("task-2", "https://h.example/pipeline.yaml"),
        pac("task-1", "https://h.example/run.yaml"),
    ];
    let (set, _) = delivered(&[("a.yaml", &run(&two, ONE_TASK))], &world);
    assert_eq!(image(sent(&set)), "run");
}

#[test]
fn a_pipeline_from_elsewhere_brings_its_own_tasks_and_counts_by_its_name() {
    let world = World::from([
        (
            "https://h.example/a/p.yaml",
            pipeline("p", &pac("task", "[../t.yaml, https://o.example/u.yaml]"), "t"),
        ),
        ("https://h.example/t.yaml", task("t", "beside")),
        ("https://o.example/u.yaml", task("u", "other")),
    ]);
    let annotated = [pac("pipeline", "https://h.example/a/p.yaml")];
    let text = run(&annotated, "{pipelineRef: {name: p}}");
    // The directory's pipeline of that name is not the one that counts.
    let here = pipeline("p", "", "nowhere");
    let (set, asked) = delivered(&[("a.yaml", &text), ("p.yaml", &here)], &world);
    assert_eq!(image(sent(&set)), "beside");
    let want = [
        "pipeline https://h.example/a/p.yaml",
        "task https://h.example/t.yaml",
        "task https://o.example/u.yaml",
    ];
    assert_eq!(asked, want);
    let used: Vec<_> = set.remotes.iter().map(|r| (r.kind.as_str(), r.name.as_str())).collect();
    assert_eq!(used, [("pipeline", "p"), ("task", "t"), ("task", "u")]);
    assert!(set.remotes.iter().all(|r| r.sha256.len() == 64 && r.origin.starts_with("from ")));
    // One of another name than the reference's: the directory's is meant.
    let other = run(&annotated, "{pipelineRef: {name: q}}");
    let q = pipeline("q", "", "t");
    let (set, _) =
        delivered(&[("a.yaml", &other), ("q.yaml", &q), ("t.yaml", &task("t", "here"))], &world);
    assert_eq!(image(sent(&set)), "here");
}

#[test]
fn what_is_put_in_is_as_it_was_got_and_has_no_variables() {
    let world = World::from([("t", task("t", "x"))]);
    let (set, _) = delivered(&[("a.yaml", &run(&[pac("task", "t")], ONE_TASK))], &world);
    let spec = &sent(&set)["pipelineSpec"]["tasks"][0];
    assert_eq!(spec["taskSpec"]["steps"][0]["script"], "echo {{ revision }}");
    assert_eq!(spec["taskSpec"]["metadata"], json!({"labels": {"from": "x"}}));
    assert!(spec.get("taskRef").is_none() && set.objects.len() == 1, "nothing else is sent");
    assert!(set.remotes[0].told().contains("comes from from t (sha256 "));
}

#[test]
fn without_inlining_what_is_nowhere_else_is_put_in_all_the_same() {
    let mut scene = Scene::default();
    scene.watch.reading.inline = false;
    let text = run(&[pac("task", "t")], ONE_TASK);
    let documents = parse(&tree([("a.yaml", text.as_bytes())]));
    gather(&mut scene, &documents, &World::from([("t", task("t", "x"))]));
    let set = prepare(&documents, &scene.context());
    assert_eq!(image(sent(&set)), "x");
}

#[test]
fn an_older_version_is_brought_forward_where_that_is_a_matter_of_names() {
    let old = "apiVersion: tekton.dev/v1beta1\nkind: Task\nmetadata: {name: t}\nspec: {steps: [{image: x, \
               resources: {requests: {cpu: 1}}}]}\n";
    let text = run(&[pac("task", "t")], ONE_TASK);
    let (set, _) = delivered(&[("a.yaml", &text)], &World::from([("t", old.to_owned())]));
    let step = &sent(&set)["pipelineSpec"]["tasks"][0]["taskSpec"]["steps"][0];
    assert_eq!(step["computeResources"], json!({"requests": {"cpu": 1}}));
    let bound = old.replace("spec: {", "spec: {resources: {inputs: []}, ");
    let (set, _) = delivered(&[("a.yaml", &text)], &World::from([("t", bound)]));
    assert!(set.decisions[0].reason.contains("uses fields of"), "{}", set.decisions[0].reason);
}

#[test]
fn what_is_no_task_or_can_not_be_had_refuses_the_run_that_needs_it_alone() {
    let fine = run(&[], "{pipelineSpec: {tasks: [{name: x, taskSpec: {steps: []}}]}}")
        .replace("name: r", "name: fine");
    for (held, word) in [
        (None, "is nowhere"),
        (Some(pipeline("t", "", "u")), "is no Task"),
        (Some(task("t", "x").replace("tekton.dev/v1", "tekton.dev/v1alpha1")), "is no Task"),
        (Some(task("t", "x").replace("name: t, ", "")), "has no metadata.name"),
        (Some("a: [".to_owned()), "can't be read at line"),
        (Some("<html>".to_owned()), "is no Task"),
        (Some(String::new()), "holds no document"),
        (Some(format!("# {}\n{}", "x".repeat(1 << 20), task("t", "x"))), "more than 1048576 bytes"),
        (Some(task("t", "x").replace("steps:", "stpes:")), "stpes"),
    ] {
        let world: World = held.into_iter().map(|text| ("t", text)).collect();
        let files = [("a.yaml", run(&[pac("task", "t")], ONE_TASK)), ("b.yaml", fine.clone())];
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let (set, _) = delivered(&files, &world);
        let reason = &set.decisions[0].reason;
        assert!(reason.contains(word), "{word}: {reason}");
        assert_eq!(set.objects.iter().filter(|o| o.is_run()).count(), 1, "{word}");
    }
}

#[test]
fn only_runs_that_start_need_anything() {
    let idle = run(&[pac("task", "t")], ONE_TASK).replace("'push'", "'pull_request'");
    let (set, asked) = delivered(&[("a.yaml", &idle)], &World::new());
    assert!(asked.is_empty() && set.decisions[0].decision == Decision::Skip);
    let documents = parse(&tree([("a.yaml", idle.as_bytes())]));
    let scene = Scene::default();
    let none = RemoteDocuments::default();
    let context = Context { remote: Remote::Got(&none), ..scene.context() };
    let (all, problems) = remotes_of_all(&documents, &context);
    assert_eq!((all.len(), problems.len()), (1, 0), "to be locked it need not start");
    assert!(may_have_remotes(&documents));
    let varies = run(&[pac("task", "https://h.example/{{ revision }}.yaml")], ONE_TASK);
    let documents = parse(&tree([("a.yaml", varies.as_bytes())]));
    let (all, problems) = remotes_of_all(&documents, &context);
    assert!(all.is_empty() && problems[0].contains("depends on a variable"), "{problems:?}");
}

#[test]
fn where_nobody_is_asked_what_may_come_from_there_is_not_missing() {
    let scene = Scene::default();
    let prepared = |annotation: &str, remote: Remote<'_>| {
        let text = run(&[pac("task", annotation)], ONE_TASK);
        let documents = parse(&tree([("a.yaml", text.as_bytes())]));
        let set = prepare(&documents, &Context { remote, ..scene.context() });
        (set.missing.len(), set.missing.first().and_then(|m| m.hint.clone()), set.notes.join("\n"))
    };
    for (annotation, missing) in [("t", 0), ("https://h.example/any.yaml", 0), ("another", 1)] {
        let (number, _, notes) = prepared(annotation, Remote::Unasked);
        assert_eq!(number, missing, "{annotation}");
        assert!(notes.contains("is fetched when it is delivered"), "{notes}");
    }
    let (number, hint, notes) = prepared("t", Remote::Off);
    assert_eq!(number, 1);
    assert!(
        hint.unwrap().contains("`resolver: hub`") && notes.contains("is not fetched"),
        "{notes}"
    );
}

#[test]
fn a_value_that_becomes_code_in_a_task_from_elsewhere_is_found_through_its_params() {
    let spec = "{params: [{name: b, value: '{{ source_branch }}'}], pipelineSpec: {params: [{name: b}], tasks: [{name: x, \
                taskRef: {name: t}, params: [{name: p, value: $(params.b)}]}]}}";
    let held = task("t", "x").replace("'echo {{ revision }}'", "'echo $(params.p)'");
    let (set, _) =
        delivered(&[("a.yaml", &run(&[pac("task", "t")], spec))], &World::from([("t", held)]));
    let code = set.notes.iter().any(|note| note.contains("becomes code in the `script`"));
    assert!(code, "{:?}", set.notes);
}

#[test]
fn a_lock_takes_its_files_out_of_the_documents() {
    let text = run(&[pac("task", "t")], ONE_TASK);
    let held = task("t", "x");
    let entry = LockEntry {
        kind: RemoteKind::Task,
        name: "t".into(),
        url: "https://hub.example.com/t".into(),
        version: None,
        sha256: crate::remote::digest(held.as_bytes()),
        file: "vendor/t.yaml".into(),
    };
    let lock = Lock::text(&[entry]);
    let files = [
        ("a.yaml", text.as_str()),
        ("vendor/t.yaml", &held),
        ("vendor/own.yaml", "kind: x"),
        (LOCK, &lock),
    ];
    let documents = parse(&tree(files.iter().map(|(path, text)| (*path, text.as_bytes()))));
    let paths: Vec<_> = documents.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a.yaml", "vendor/own.yaml"]);
    let wanted =
        Wanted { kind: RemoteKind::Task, place: Place::Hub { name: "t".into(), version: None } };
    assert_eq!(documents.lock().unwrap().get(&wanted).unwrap().0, held.as_bytes());
    // A lock that can't be read is refused, and allows nothing.
    let broken = parse(&tree([("a.yaml", text.as_bytes()), (LOCK, b"x")]));
    assert!(broken.lock().unwrap().get(&wanted).is_err());
    let set = prepare(&broken, &Scene::default().context());
    let refused = set.refusals().find(|d| d.path == LOCK).unwrap();
    assert!(refused.reason.contains("sentry vendor"), "{}", refused.reason);
    // One in a folder says nothing.
    let inner = parse(&tree([("a.yaml", text.as_bytes()), ("x/sentry.lock", b"x")]));
    assert!(inner.lock().is_none() && inner.entries.len() == 1);
}
