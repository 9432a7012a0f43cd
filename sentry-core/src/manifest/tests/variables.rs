//! `{{ name }}` in manifests.

use std::collections::BTreeMap;

use serde_json::json;

use super::{SHA, Scene, config_map, prepared, run, tree};
use crate::manifest::variables::{Findings, Variables};
use crate::manifest::{Decision, parse};
use crate::subject::EventName;
use crate::watch::GitAuthSecret;

/// What a text becomes as `data.x`.
fn becomes(text: &str) -> String {
    let set = prepared(&config_map("{name: a}", &json!(text).to_string()));
    set.objects[0].json["data"]["x"].as_str().unwrap().to_owned()
}

#[test]
fn each_variable_has_the_value_of_a_push_to_a() {
    let url = "https://github.com/Acme/Web.git";
    for (name, want) in [
        ("revision", SHA),
        ("repo_url", url),
        ("source_url", url),
        ("repo_owner", "acme"),
        ("repo_name", "web"),
        ("source_branch", "release/1.0"),
        ("target_branch", "release/1.0"),
        ("sender", "ada"),
        ("event_type", "push"),
        ("target_namespace", "qa"),
        ("git_tag", ""),
        ("trigger_comment", ""),
        ("pull_request_number", ""),
        ("pull_request_labels", ""),
        ("sentry.watch", "web"),
        ("sentry.delivery", "01jdq0000000000000000000aa"),
        ("sentry.manifests_revision", &"b".repeat(40)),
        ("sentry.manifests_url", "https://github.com/acme/deploy"),
        ("env", "stage"),
    ] {
        assert_eq!(becomes(&format!("<{{{{ {name} }}}}>")), format!("<{want}>"), "{name}");
        assert_eq!(becomes(&format!("{{{{{name}}}}}")), want, "{name}");
    }
}

#[test]
fn only_what_is_a_known_variable_is_replaced() {
    for (text, want) in [
        ("a {{ env }}-{{env}} b", "a stage-stage b"),
        ("{\"x\":{{ env }}}", "{\"x\":stage}"),
        ("{{ env } }}", "{{ env } }}"),
        ("{{ env", "{{ env"),
        ("{ env }}", "{ env }}"),
        ("{{}}{{ env }}", "{{}}stage"),
        ("{{ .Values.env }}", "{{ .Values.env }}"),
        ("$(params.env) ${env}", "$(params.env) ${env}"),
        ("{{ nobody }}", "{{ nobody }}"),
        ("ü{{ env }}ü", "üstageü"),
    ] {
        assert_eq!(becomes(text), want, "{text}");
    }
}

#[test]
fn a_value_is_neither_structure_nor_a_variable_again() {
    let mut scene = Scene::default();
    let nasty = "x\nkind: ClusterRole\n\"}] {{ revision }}";
    scene.watch.variables = BTreeMap::from([("env".into(), nasty.into())]);
    let set = scene.prepare(&config_map("{name: a}", "'{{ env }}', '{{ env }}': 1, z: 0755"));
    assert_eq!(set.decisions[0].decision, Decision::Apply, "{}", set.decisions[0].reason);
    assert_eq!(set.objects[0].json["data"], json!({"x": nasty, "{{ env }}": 1, "z": 493}));
    assert_eq!(set.objects[0].json["kind"], "ConfigMap");
}

#[test]
fn what_only_a_webhook_knows_is_refused() {
    for name in ["body.x", "body['x']", "headers['X-Y']", "headers.z", "files.all", "cel: a == b"] {
        let text = config_map("{name: a}", &json!(format!("{{{{ {name} }}}}")).to_string());
        let set = prepared(&text);
        let d = &set.decisions[0];
        assert!(d.decision == Decision::Refuse && d.reason.contains("webhook"), "{}", d.reason);
    }
    assert_eq!(becomes("{{ bodyguard }}"), "{{ bodyguard }}");
}

#[test]
fn what_is_known_of_a_push_without_its_payload_is_used() {
    assert_eq!(becomes("{{ headers['X-Github-Event'] }}"), "push");
    assert_eq!(becomes("{{ headers[\"x-github-event\"] }}"), "push");
    for name in ["body.pull_request.base.sha", "body.issue.user", "body.object_attributes['x']"] {
        let text = format!("{{{{ {name} }}}}");
        assert_eq!(becomes(&text), text, "Pipelines-as-Code leaves it as it is");
    }
    let scene = Scene { event: EventName::new("pull_request"), ..Scene::default() };
    let set = scene.prepare(&config_map("{name: a}", "'{{ body.pull_request.number }}'"));
    assert_eq!(set.decisions[0].decision, Decision::Refuse);
    let set = prepared(&config_map("{name: a}", "'{{ body.pull_request.number }}'"));
    assert!(set.notes[0].contains("`{{ body.pull_request.number }}` is left as it is"));
}

#[test]
fn git_auth_secret_is_refused_until_the_watch_sets_it() {
    let text = config_map("{name: a}", "'{{ git_auth_secret }}'");
    let mut scene = Scene::default();
    let set = scene.prepare(&text);
    let reason = &set.decisions[0].reason;
    assert!(reason.contains("set `git_auth_secret` to the name of a Secret"), "{reason}");
    scene.watch.reading.git_auth_secret = GitAuthSecret::Named("from-the-watch".into());
    assert_eq!(scene.prepare(&text).objects[0].json["data"]["x"], "from-the-watch");
    scene.watch.variables.insert("git_auth_secret".into(), "pac".into());
    assert_eq!(scene.prepare(&text).objects[0].json["data"]["x"], "pac");
}

#[test]
fn an_unknown_variable_is_noted_once_and_stops_nothing() {
    let text = config_map("{name: a}", "'{{ nobody }} {{ nobody }}'");
    let set = prepared(&format!("{text}---\n{}", text.replace("name: a", "name: b")));
    assert_eq!(set.objects.len(), 2);
    assert_eq!(
        set.notes,
        ["a.yaml:1: `{{ nobody }}` is left as it is: nothing sets the variable `nobody`"]
    );
}

#[test]
fn an_unknown_sender_is_empty_and_said_so() {
    let scene = Scene { sender: None, ..Scene::default() };
    let set = scene.prepare(&config_map("{name: a}", "'<{{ sender }}>'"));
    assert_eq!(set.objects[0].json["data"]["x"], "<>");
    assert!(set.notes[0].contains("`{{ sender }}` is empty"), "{:?}", set.notes);
    let set = scene.prepare(&config_map("{name: a}", "'{{ env }}'"));
    assert!(set.notes.is_empty(), "where it is not used, nothing is: {:?}", set.notes);
}

#[test]
fn what_a_pusher_chooses_is_noted_inside_a_script() {
    let task = |name: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {{name: a}}\n\
             spec: {{steps: [{{script: 'echo {{{{ {name} }}}}'}}]}}\n"
        )
    };
    for (name, notes) in [("source_branch", 1), ("sender", 1), ("revision", 0), ("env", 0)] {
        assert_eq!(prepared(&task(name)).notes.len(), notes, "{name}");
    }
    let elsewhere = task("source_branch").replace("script", "image");
    assert!(prepared(&elsewhere).notes.is_empty());
}

#[test]
fn a_name_with_a_variable_that_nobody_sets_is_refused() {
    for metadata in ["{name: 'a-{{ nobody }}'}", "{generateName: '{{ nobody }}-'}"] {
        for text in [config_map(metadata, "1"), run(metadata)] {
            let set = prepared(&text);
            let d = &set.decisions[0];
            assert!(d.reason.contains("uses `{{ nobody }}`, which nothing sets"), "{}", d.reason);
        }
    }
    let set = prepared(&config_map("{name: '{{ source_branch }}'}", "1"));
    assert!(set.decisions[0].reason.contains("`metadata.name: release/1.0`"));
    assert_eq!(prepared(&config_map("{name: '{{ env }}'}", "1")).objects[0].object.name, "stage");
}

#[test]
fn a_run_is_not_named_by_what_differs_between_attempts() {
    for name in ["sender", "sentry.delivery", "sentry.manifests_revision"] {
        let set = prepared(&run(&format!("{{name: 'a-{{{{ {name} }}}}'}}")));
        assert!(set.decisions[0].reason.contains("the same in every attempt"), "{name}");
    }
    assert_eq!(prepared(&run("{name: 'a-{{ revision }}'}")).objects.len(), 1);
    assert_eq!(prepared(&config_map("{name: '{{ sender }}'}", "1")).objects.len(), 1);
}

#[test]
fn values_can_not_fill_the_memory() {
    let mut scene = Scene::default();
    scene.watch.variables = BTreeMap::from([("env".into(), "x".repeat(1 << 20))]);
    let set = scene.prepare(&config_map("{name: a}", &format!("'{}'", "{{ env }}".repeat(6))));
    assert!(set.decisions[0].reason.contains("use fewer of them"));
}

#[test]
fn values_are_put_in_as_long_as_there_is_room_for_them() {
    let mut scene = Scene::default();
    scene.watch.variables = BTreeMap::from([("env".into(), "x".repeat(1 << 20))]);
    for (uses, problems) in [(5, 0), (6, 1)] {
        let text = "{{ env }}".repeat(uses);
        let (context, mut findings) = (scene.context(), Findings::default());
        let (mut value, variables) = (json!(text), Variables::new(&context));
        variables.substitute(&mut value, &mut findings);
        assert_eq!(findings.problems.len(), problems);
        let length = (5 << 20) + "{{ env }}".len() * problems;
        assert_eq!(value.as_str().unwrap().len(), length);
        let replaced = Variables::new(&context).replace(&text, |_, value| value.to_owned());
        assert_eq!(replaced.len(), length, "in annotations as well");
    }
}

#[test]
fn documents_tell_which_variables_they_want() {
    let text = run("{name: a}") + "params: [{value: 'x {{sender}}'}]\n'{{ key }}': 1\n# {{ no }}\n";
    let documents = parse(&tree([("a.yaml", text.as_bytes())]));
    assert!(documents.wants("sender"));
    assert!(!documents.wants("revision") && !documents.wants("key") && !documents.wants("no"));
}

#[test]
fn notes_have_an_end() {
    let many: String = (0..500).map(|i| format!("{{{{ v{i} }}}}")).collect();
    let set = prepared(&config_map("{name: a}", &format!("'{many}'")));
    assert_eq!(set.notes.len(), 101);
    assert!(set.notes[100].contains("left out"));
}
