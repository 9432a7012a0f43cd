//! What the cluster has to do with a tree: what must be known of it, and what it would not take.

use super::{Scene, config_map, run, tree};
use crate::deployer::{DeployError, DeployErrorKind, KindTable};
use crate::manifest::{Decision, LeftOut, ManifestSet, left_out, parse, wanted};
use crate::plan::ObjectRef;
use crate::watch::NamespacePolicy;

fn refused(object: ObjectRef) -> (ObjectRef, DeployError) {
    let error = DeployError::new(DeployErrorKind::Refused, format!("no {}", object.kind));
    (object, error.with_hint("ask for it"))
}

/// Runs in two namespaces that refer to a task, or not; by name, as nothing is put into them.
fn tree_with_references() -> ManifestSet {
    let mut scene = Scene::default();
    scene.watch.reading.inline = false;
    let listed = ["stage".parse().unwrap()].into();
    scene.watch.reading.namespace_policy = NamespacePolicy::Listed(listed);
    let object = |kind: &str, name: &str, spec: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: {kind}\nmetadata: {{{name}}}\nspec: {spec}\n---\n"
        )
    };
    let of_task = "{pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}]}}";
    scene.prepare(
        &[
            object("Task", "name: t", "{}"),
            object("Pipeline", "name: p", "{tasks: [{name: x, taskRef: {name: t}}]}"),
            object("PipelineRun", "name: direct", of_task),
            object("PipelineRun", "name: through", "{pipelineRef: {name: p}}"),
            object("PipelineRun", "name: none", "{}"),
            object("PipelineRun", "name: elsewhere, namespace: stage", of_task),
            object("PipelineRun", "name: itself", of_task),
        ]
        .concat(),
    )
}

#[test]
fn with_an_object_that_is_refused_the_runs_that_refer_to_it_are_left_out() {
    let mut set = tree_with_references();
    let at = |document: usize| {
        let object = set.objects.iter().find(|planned| planned.object.document == document);
        object.unwrap().object.clone()
    };
    let errors = [refused(at(1)), refused(at(7))];
    let out = left_out(&set.objects, &errors);
    let refers = "it refers to Task t, which the cluster refuses".to_owned();
    let told: Vec<_> = out.iter().map(|out| (out.object.document, out.reason.clone())).collect();
    assert_eq!(
        told,
        [
            (1, "no Task; ask for it".to_owned()),
            (7, "no PipelineRun; ask for it".to_owned()),
            (3, refers.clone()),
            (4, refers.clone()),
        ]
    );
    assert_eq!(out[2].told(), format!("left out a.yaml:11 (document 3): {refers}"));
    set.leave_out(&out);
    let refused: Vec<_> = set.refusals().map(|d| d.document).collect();
    assert_eq!((refused, set.objects.len()), (vec![1, 3, 4, 7], 3));
}

#[test]
fn a_refusal_is_the_clusters_to_end_if_it_lacks_the_kind_and_nothing_else_is_wrong() {
    let mut scene = Scene::default();
    let served = [("v1", "ConfigMap", true), ("tekton.dev/v1", "PipelineRun", true)];
    scene.kinds = Some(KindTable::from_iter(served));
    let widget = |name: &str| {
        format!("apiVersion: example.org/v1\nkind: Widget\nmetadata: {{name: {name}}}\n")
    };
    for (text, decision, of_cluster) in [
        (widget("a"), Decision::Refuse, true),
        (widget("'A B'"), Decision::Refuse, false),
        (config_map("{name: 'A B'}", "1"), Decision::Refuse, false),
        (config_map("{name: a}", "1"), Decision::Apply, false),
    ] {
        let set = scene.prepare(&text);
        let told = (set.decisions[0].decision, set.decisions[0].of_cluster);
        assert_eq!(told, (decision, of_cluster), "{text}: {}", set.decisions[0].reason);
    }
}

#[test]
fn what_is_missing_is_the_clusters_to_end_unless_something_else_is_wrong_too() {
    let lacking = run("{name: a}").replace("{}", "{pipelineRef: {name: p}}");
    for (before, was_of_cluster, of_cluster) in [
        (Decision::Run, false, true),
        (Decision::Refuse, true, true),
        (Decision::Refuse, false, false),
    ] {
        let mut set = Scene::default().prepare(&lacking);
        let own = &mut set.decisions[0];
        (own.decision, own.of_cluster, own.reason) = (before, was_of_cluster, "first".to_owned());
        set.refuse_missing(|_| false);
        let own = &set.decisions[0];
        assert_eq!((own.decision, own.of_cluster), (Decision::Refuse, of_cluster), "{before:?}");
        assert_eq!(own.reason.starts_with("first; "), before == Decision::Refuse, "{}", own.reason);
        set.leave_out(&[LeftOut { object: object(), reason: "why".into() }]);
        assert!(!set.decisions[0].of_cluster && set.decisions[0].reason.ends_with("; why"));
    }
}

fn object() -> ObjectRef {
    tree_with_references().objects[0].object.clone()
}

#[test]
fn kinds_are_asked_for_as_they_are_written_and_fields_where_some_are_unknown() {
    let pipeline = |version: &str, field: &str| {
        format!(
            "apiVersion: tekton.dev/{version}\nkind: Pipeline\nmetadata: {{name: a}}\nspec: {{{field}: []}}\n---\n"
        )
    };
    let text = config_map("{name: a}", "1")
        + "---\n"
        + &pipeline("v1", "tasks")
        + &pipeline("v1beta1", "novelty")
        + "kind: NoVersion\n---\napiVersion: v1\n";
    let asked = wanted(&parse(&tree([("a.yaml", text.as_bytes())])));
    let kinds =
        [("tekton.dev/v1", "Pipeline"), ("tekton.dev/v1beta1", "Pipeline"), ("v1", "ConfigMap")];
    let kinds = kinds.map(|(version, kind)| (version.to_owned(), kind.to_owned()));
    assert_eq!(asked.kinds.into_iter().collect::<Vec<_>>(), kinds);
    assert_eq!(asked.fields.into_iter().collect::<Vec<_>>(), ["tekton.dev/v1beta1"]);
}
