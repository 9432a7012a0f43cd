//! One small case for each way in which Pipelines-as-Code treats a document, and for each rule of ours.

use std::collections::BTreeSet;

use super::{Scene, tree};
use crate::deployer::KindTable;
use crate::forge::ChangedPaths;
use crate::manifest::{Decision, ManifestSet, MissingRef, needs_changes, parse};
use crate::plan::RunRules;
use crate::subject::EventName;
use crate::testing::sample;
use crate::watch::{NamespacePolicy, Unannotated, UnknownFields};

/// A run `qa` with annotations of Pipelines-as-Code.
fn annotated(annotations: &str) -> String {
    let lines: String = annotations
        .lines()
        .map(|line| format!("    pipelinesascode.tekton.dev/{}\n", line.trim()))
        .collect();
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: qa\n  annotations:\n\
         {lines}spec: {{}}\n"
    )
}

/// A push to `main` that is known to have changed `docs/a.md` and `src/x.go`.
fn push() -> Scene {
    let mut scene = Scene::default();
    scene.revision.subject = sample::subject("main");
    let paths = vec!["docs/a.md".to_owned(), "src/x.go".to_owned()];
    scene.changed = Some(ChangedPaths { paths, truncated: false });
    scene
}

fn event(name: &str) -> Scene {
    Scene { event: EventName::new(name), ..push() }
}

fn first(set: &ManifestSet) -> (Decision, &str) {
    (set.decisions[0].decision, &set.decisions[0].reason)
}

/// Each case: the annotations, what is decided, and a part of why.
fn decide_all(scene: &Scene, cases: &[(&str, Decision, &str)]) {
    for (annotations, want, word) in cases {
        let set = scene.prepare(&annotated(annotations));
        let (decision, reason) = first(&set);
        assert_eq!(decision, *want, "{annotations}: {reason}");
        assert!(reason.contains(word), "{annotations}: {reason}");
        assert_eq!(set.objects.len(), usize::from(*want == Decision::Run), "{annotations}");
    }
}

#[test]
fn a_run_starts_if_event_and_branch_fit() {
    decide_all(
        &push(),
        &[
            (
                "on-event: '[push]'\non-target-branch: '[main]'",
                Decision::Run,
                "on-event [push], on-target-branch [main]",
            ),
            ("on-event: push\non-target-branch: main", Decision::Run, ""),
            ("on-event: '[pull_request, push]'\non-target-branch: '[dev, ma*]'", Decision::Run, ""),
            ("on-event: '[push]'\non-target-branch: '[refs/heads/main]'", Decision::Run, ""),
            ("on-event: '[push]'\non-target-branch: '[refs/heads/*]'", Decision::Run, ""),
            (
                "on-event: '[push]'\non-target-branch: '[release-*]'",
                Decision::Skip,
                "on-target-branch [release-*] is not main",
            ),
            (
                "on-event: '[push]'\non-target-branch: '[refs/tags/*]'",
                Decision::Skip,
                "is for tags",
            ),
            (
                "on-event: '[push]'\non-target-branch: '[\"main\"]'",
                Decision::Skip,
                "quotes are part of the name",
            ),
            (
                "on-event: '[pull_request]'\non-target-branch: '[main]'",
                Decision::Skip,
                "on-event [pull_request] is not push",
            ),
            (
                "on-event: '[]'\non-target-branch: '[main]'",
                Decision::Refuse,
                "on-event `[]` is empty",
            ),
            (
                "on-event: 'push, tag'\non-target-branch: '[main]'",
                Decision::Refuse,
                "neither one value nor a list",
            ),
            ("on-event: '[push]'\non-target-branch: '[\"[\"]'", Decision::Refuse, "can't be read"),
        ],
    );
}

#[test]
fn one_of_the_two_annotations_decides_alone_which_is_noted() {
    for (annotations, reason, lacks) in [
        ("on-event: '[push]'", ": on-event [push]", "on-target-branch"),
        ("on-target-branch: '[main]'", ": on-target-branch [main]", "on-event"),
        (
            "on-path-change: '[docs/**]'",
            ": no event or branch is named",
            "on-event and on-target-branch",
        ),
    ] {
        let set = push().prepare(&annotated(annotations));
        let (decision, why) = first(&set);
        assert_eq!(decision, Decision::Run, "{annotations}: {why}");
        assert!(why.contains(reason), "{annotations}: {why}");
        let note = format!("Pipelines-as-Code would not start it without {lacks}");
        assert!(set.notes.iter().any(|noted| noted.ends_with(&note)), "{:?}", set.notes);
    }
    for annotations in ["on-event: '[pull_request]'", "on-target-branch: '[dev]'"] {
        let set = push().prepare(&annotated(annotations));
        assert_eq!((first(&set).0, &set.notes[..]), (Decision::Skip, &[][..]), "{annotations}");
    }
}

#[test]
fn an_expression_decides_alone() {
    decide_all(
        &push(),
        &[
            (
                "on-cel-expression: event == 'push' && target_branch == 'main'",
                Decision::Run,
                "on-cel-expression is true",
            ),
            (
                "on-cel-expression: event == 'push'\non-event: '[pull_request]'\non-label: '[x]'",
                Decision::Run,
                "",
            ),
            (
                "on-cel-expression: event == 'pull_request'\non-event: '[push]'",
                Decision::Skip,
                "is false for push to main",
            ),
            (
                "on-cel-expression: body.x == 1",
                Decision::Skip,
                "can't be evaluated: `body` is part of a webhook's payload",
            ),
            (
                "on-cel-expression: 'event =='",
                Decision::Refuse,
                "can't be evaluated: can't be read",
            ),
            ("on-cel-expression: event == '{{ event_type }}'", Decision::Run, ""),
            ("on-cel-expression: env == 'stage'", Decision::Run, ""),
        ],
    );
}

#[test]
fn paths_that_changed_decide() {
    let both = "on-event: '[push]'\non-target-branch: '[main]'\n";
    let with = |line: &str| format!("{both}{line}");
    decide_all(
        &push(),
        &[
            (&with("on-path-change: '[docs/**]'"), Decision::Run, "on-path-change [docs/**]"),
            (&with("on-path-changed: '[docs/**]'"), Decision::Run, "on-path-changed"),
            (&with("on-path-change: '[**.go]'"), Decision::Run, ""),
            (&with("on-path-change: '[*.rs, x/**]'"), Decision::Skip, "no changed path matches"),
            (&with("on-path-change-ignore: '[docs/**]'"), Decision::Skip, "a changed path matches"),
            (&with("on-path-change-ignore: '[x/**]'"), Decision::Run, "no changed path matches"),
            (
                &with("on-path-change: '[**]'\non-path-change-ignore: '[docs/*]'"),
                Decision::Skip,
                "",
            ),
        ],
    );
}

#[test]
fn paths_that_are_not_known_count_as_changed() {
    for changed in [None, Some(ChangedPaths { paths: vec!["a".into()], truncated: true })] {
        let scene = Scene { changed, ..push() };
        for line in ["on-path-change: '[x/**]'", "on-path-change-ignore: '[**]'"] {
            let text = annotated(&format!("on-event: push\non-target-branch: main\n{line}"));
            let set = scene.prepare(&text);
            let (decision, reason) = first(&set);
            assert_eq!(decision, Decision::Run, "{line}: {reason}");
            assert!(reason.contains("is unknown and counts as changed"), "{reason}");
        }
        let broken = annotated("on-event: push\non-target-branch: main\non-path-change: '[[a]'");
        assert_eq!(first(&scene.prepare(&broken)).0, Decision::Refuse, "it is wrong in any case");
        let set = scene.prepare(&annotated("on-cel-expression: '!\"x\".pathChanged()'"));
        assert!(first(&set).1.contains("unknown and counts as changed"), "{}", first(&set).1);
    }
}

#[test]
fn it_is_known_for_which_trees_changed_paths_must_be_asked_for() {
    for (text, want) in [
        (annotated("on-event: push"), false),
        (annotated("on-path-change: x"), true),
        (annotated("on-path-changed-ignore: x"), true),
        (annotated("on-cel-expression: '\"x\".pathChanged()'"), true),
        (annotated("on-cel-expression: files.all.size() > 1"), true),
        (annotated("on-cel-expression: event == 'push'\non-path-change: x"), false),
        (annotated("on-path-change: x").replace("PipelineRun", "Pipeline"), false),
    ] {
        let documents = parse(&tree([("a.yaml", text.as_bytes())]));
        assert_eq!(needs_changes(&documents), want, "{text}");
    }
}

#[test]
fn what_only_a_pull_request_or_comment_starts_is_skipped() {
    let both = "on-event: '[push]'\non-target-branch: '[main]'\n";
    decide_all(
        &push(),
        &[
            ("on-comment: ^/test", Decision::Skip, "starts on a comment only"),
            (&format!("{both}on-comment: ^/test"), Decision::Run, ""),
            ("on-comment: ^/test\non-cel-expression: event == 'push'", Decision::Run, ""),
            (&format!("{both}on-label: '[bug]'"), Decision::Skip, "a label of [bug]"),
            (&format!("{both}on-moon: full"), Decision::Skip, "on-moon` is not supported"),
            ("on-cel-expression: event == 'push'\non-moon: full", Decision::Skip, "on-moon"),
        ],
    );
}

#[test]
fn a_run_that_does_not_start_is_judged_no_further() {
    let text = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: 'A {{ body.x }}'\n  \
                namespace: elsewhere\n  labels: {x: 1}\n  annotations:\n    \
                pipelinesascode.tekton.dev/on-event: pull_request\nspec: {params: [{name: a, value: \
                '{{ body.x }} {{ git_auth_secret }} {{ nobody }}'}], pipelineRef: {name: nowhere}}\n";
    let set = push().prepare(text);
    assert_eq!(first(&set).0, Decision::Skip, "{}", first(&set).1);
    assert!(set.notes.is_empty() && set.missing.is_empty());
    let set = push().prepare(&text.replace("pull_request", "push"));
    assert_eq!(first(&set).0, Decision::Refuse);
}

#[test]
fn a_task_that_only_such_runs_need_stops_nothing() {
    let task = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: comment}\nspec: {steps: \
                [{image: x, args: ['{{ body.ref }}']}]}\n";
    let run = |event: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: qa\n  annotations:\n    \
             pipelinesascode.tekton.dev/on-event: {event}\nspec: {{pipelineSpec: {{tasks: [{{name: \
             a, taskRef: {{name: comment}}}}]}}}}\n"
        )
    };
    let decisions = |event: &str| {
        let set = push().files(&[("run.yaml", &run(event)), ("task.yaml", task)]);
        set.decisions.iter().map(|d| (d.decision, d.reason.clone())).collect::<Vec<_>>()
    };
    let unused = decisions("pull_request");
    assert_eq!((unused[0].0, unused[1].0), (Decision::Skip, Decision::Skip));
    assert!(unused[1].1.contains("no run that starts here refers to it"), "{}", unused[1].1);
    let used = decisions("push");
    assert_eq!((used[0].0, used[1].0), (Decision::Refuse, Decision::Refuse));
    assert!(used[0].1.contains("Task comment, which is refused"), "{}", used[0].1);
}

#[test]
fn what_only_runs_that_do_not_start_refer_to_is_not_sent_and_what_nobody_refers_to_is() {
    let object = |kind: &str, name: &str, spec: &str| {
        format!(
            "---\napiVersion: tekton.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        )
    };
    let run = |name: &str, event: &str| {
        format!(
            "---\napiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: {name}, annotations: \
             {{pipelinesascode.tekton.dev/on-event: {event}}}}}\nspec: {{pipelineRef: {{name: p-{name}}}}}\n"
        )
    };
    let uses = |tasks: &[&str]| {
        let tasks = tasks.iter().map(|t| format!("{{name: {t}, taskRef: {{name: {t}}}}}"));
        format!("{{tasks: [{}]}}", tasks.collect::<Vec<_>>().join(", "))
    };
    let text = [
        run("go", "push"),
        run("idle", "pull_request"),
        object("Pipeline", "p-go", &uses(&["shared", "wanted"])),
        object("Pipeline", "p-idle", &uses(&["shared", "idle"])),
        object("Task", "shared", "{steps: []}"),
        object("Task", "wanted", "{steps: []}"),
        object("Task", "idle", "{steps: []}"),
        // What is wrong with it stops nothing either.
        object("Pipeline", "p-idle", "{tsaks: []}"),
        object("Task", "nobody", "{steps: []}"),
    ];
    let set = push().prepare(&text.concat());
    let told: Vec<_> =
        set.decisions.iter().map(|d| (d.name.as_deref().unwrap(), d.decision)).collect();
    let (apply, skip) = (Decision::Apply, Decision::Skip);
    assert_eq!(
        told,
        [
            ("go", Decision::Run),
            ("idle", skip),
            ("p-go", apply),
            ("p-idle", skip),
            ("shared", apply),
            ("wanted", apply),
            ("idle", skip),
            ("p-idle", skip),
            ("nobody", apply),
        ]
    );
    assert!(set.decisions[3].reason.contains("no run that starts here"), "{:?}", set.decisions[3]);
    // What is applied is no run, and what it alone refers to goes with it.
    let alone =
        [run("go", "push"), object("Pipeline", "p", &uses(&["t"])), object("Task", "t", "{}")];
    let set = push().prepare(&alone.concat());
    assert_eq!((set.decisions[1].decision, set.decisions[2].decision), (apply, apply));
}

#[test]
fn fields_that_tekton_has_not_are_left_out_of_what_is_sent_and_slips_are_refused() {
    let run = |fields: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: r}}\nspec: {{pipelineSpec: {{{fields}tasks: \
             [{{name: a, taskRef: {{name: t}}}}]}}}}\n---\napiVersion: tekton.dev/v1beta1\nkind: Task\nmetadata: \
             {{name: t}}\nspec: {{maintainer: x, steps: [{{image: a}}]}}\n"
        )
    };
    let mut scene = push();
    let set = scene.prepare(&run("owner: x, "));
    assert_eq!(first(&set).0, Decision::Run);
    assert!(!format!("{:?}", set.objects).contains("maintainer"), "in the run neither");
    for word in ["`spec.pipelineSpec.owner` left out", "`spec.maintainer` left out"] {
        assert!(set.notes.iter().any(|note| note.contains(word)), "{:?}", set.notes);
    }
    let slip = scene.prepare(&run("finaly: [], "));
    assert_eq!(first(&slip).0, Decision::Refuse);
    assert!(
        first(&slip).1.contains("`spec.pipelineSpec.finaly`")
            && first(&slip).1.contains("write `finally`")
    );
    scene.watch.reading.unknown_fields = UnknownFields::Refuse;
    let set = scene.prepare(&run("owner: x, "));
    assert_eq!((first(&set).0, set.objects.len()), (Decision::Refuse, 0));
}

#[test]
fn a_trigger_names_the_event() {
    decide_all(
        &event("nightly"),
        &[
            ("on-event: '[nightly]'", Decision::Run, ""),
            ("on-event: '[push, nightly]'\non-target-branch: main", Decision::Run, ""),
            ("on-event: '[nightly]'\non-target-branch: dev", Decision::Skip, "is not main"),
            ("on-event: '[push]'", Decision::Skip, "on-event [push] is not nightly"),
            ("on-target-branch: '[main]'", Decision::Skip, "no on-event that names nightly"),
            ("on-cel-expression: event == 'nightly'", Decision::Run, ""),
            ("max-keep-runs: '3'", Decision::Skip, "no on-event that names nightly"),
        ],
    );
    decide_all(
        &event("incoming"),
        &[
            ("on-event: '[incoming]'", Decision::Run, ""),
            ("on-event: '[push]'", Decision::Run, ""),
            ("on-event: '[pull_request]'", Decision::Skip, ""),
        ],
    );
}

#[test]
fn a_trigger_names_one_run() {
    let run = |metadata: &str| super::run(metadata) + "---\n";
    let text = run("{name: a}") + &run("{generateName: b-}") + &super::config_map("{name: c}", "1");
    for (asked, want) in [("a", ["run", "skip"]), ("b", ["skip", "run"]), ("b-", ["skip", "run"])] {
        let set = Scene { only: Some(asked), ..push() }.prepare(&text);
        let got: Vec<_> = set.decisions.iter().map(|d| d.decision.as_str()).collect();
        assert_eq!(got, [want[0], want[1], "apply"], "{asked}");
        assert_eq!(set.no_such_run, None);
        let skipped = set.decisions.iter().find(|d| d.decision == Decision::Skip).unwrap();
        assert!(skipped.reason.contains(&format!("only the run {asked} was requested")));
    }
    let set = Scene { only: Some("x"), ..push() }.prepare(&text);
    assert_eq!(set.no_such_run.as_deref(), Some("there is no run x in .tekton; there is a, b-"));
}

#[test]
fn runs_without_annotations_run_unless_the_watch_says_otherwise() {
    let text = super::run("{name: a}");
    assert_eq!(first(&push().prepare(&text)).0, Decision::Run);
    let mut scene = push();
    scene.watch.reading.unannotated = Unannotated::Skip;
    let set = scene.prepare(&text);
    assert!(first(&set).0 == Decision::Skip && first(&set).1.contains("`unannotated: skip`"));
    assert_eq!(first(&scene.prepare(&annotated("on-event: push"))).0, Decision::Run);
    scene.only = Some("a");
    assert_eq!(first(&scene.prepare(&text)).0, Decision::Run, "requested by name");
}

#[test]
fn a_run_says_how_many_are_kept_and_what_it_cancels() {
    for (annotations, keep, cancels_older, notes) in [
        ("max-keep-runs: '5'\ncancel-in-progress: 'true'", Some(5), true, 0),
        ("cancel-in-progress: 'false'", None, false, 0),
        ("max-keep-runs: '0'", None, false, 1),
        ("max-keep-runs: many\ncancel-in-progress: perhaps", None, false, 2),
    ] {
        let set = push().prepare(&annotated(annotations));
        assert_eq!(set.objects[0].rules, RunRules { keep, cancels_older }, "{annotations}");
        assert_eq!(set.notes.len(), notes, "{annotations}: {:?}", set.notes);
    }
}

#[test]
fn a_run_for_another_namespace_is_skipped() {
    decide_all(
        &push(),
        &[
            ("target-namespace: prod", Decision::Skip, "is for the namespace prod"),
            ("target-namespace: qa", Decision::Run, ""),
        ],
    );
    let mut scene = push();
    scene.watch.reading.namespace_policy = NamespacePolicy::Override;
    let set = scene.prepare(&annotated("target-namespace: prod"));
    assert_eq!(first(&set).0, Decision::Run);
    assert!(set.notes[0].contains("target-namespace prod is ignored"), "{:?}", set.notes);
}

#[test]
fn an_annotation_that_is_no_text_is_refused_not_passed_over() {
    let set = push().prepare(&annotated("on-event: [push]"));
    assert!(first(&set).0 == Decision::Refuse && first(&set).1.contains("is a list, not a string"));
}

#[test]
fn a_namespace_goes_where_the_policy_says() {
    let listed = || NamespacePolicy::Listed(BTreeSet::from(["stage".parse().unwrap()]));
    for (policy, namespace, want) in [
        (NamespacePolicy::Refuse, "prod", None),
        (NamespacePolicy::Refuse, "'{{ target_namespace }}'", Some("qa")),
        (NamespacePolicy::Override, "prod", Some("qa")),
        (NamespacePolicy::Override, "'{{ nobody }}'", Some("qa")),
        (listed(), "stage", Some("stage")),
        (listed(), "'{{ env }}'", Some("stage")),
        (listed(), "qa", Some("qa")),
        (listed(), "prod", None),
        (listed(), "'{{ nobody }}'", None),
    ] {
        let mut scene = push();
        scene.watch.reading.namespace_policy = policy.clone();
        let set =
            scene.prepare(&super::config_map(&format!("{{name: a, namespace: {namespace}}}"), "1"));
        let case = format!("{policy:?} {namespace}: {}", first(&set).1);
        assert_eq!(first(&set).0 == Decision::Apply, want.is_some(), "{case}");
        let Some(want) = want else { continue };
        assert_eq!(set.objects[0].object.namespace.as_deref(), Some(want), "{case}");
        assert_eq!(set.objects[0].json["metadata"]["namespace"], want, "{case}");
        let replaced = set.notes.iter().any(|n| n.contains("is replaced by the watch's qa"));
        assert_eq!(replaced, policy == NamespacePolicy::Override, "{case}");
    }
}

#[test]
fn one_name_in_two_namespaces_is_two_objects() {
    let mut scene = push();
    let listed = BTreeSet::from(["stage".parse().unwrap()]);
    scene.watch.reading.namespace_policy = NamespacePolicy::Listed(listed);
    let text = super::config_map("{name: a}", "1")
        + "---\n"
        + &super::config_map("{name: a, namespace: stage}", "1");
    assert_eq!(scene.prepare(&text).objects.len(), 2);
}

#[test]
fn what_is_for_other_programs_is_skipped_or_noted() {
    let chart = "apiVersion: v2\nname: x\nversion: 1.0.0\n";
    let set = push().files(&[
        ("chart/Chart.yaml", chart),
        ("chart/templates/a.yaml", &super::config_map("{name: a}", "1")),
        ("chart/templates/b.yaml", "a: [\n"),
        ("chart/values-prod.yaml", "x: 1\n"),
        ("kustomization.yaml", "resources: []\n"),
        ("rendered.yaml", &super::config_map("{name: '{{ .Release.Name }}'}", "1")),
    ]);
    for d in &set.decisions {
        assert_eq!(d.decision, Decision::Skip, "{}: {}", d.path, d.reason);
    }
    assert!(set.decisions[1].reason.contains("Helm chart in `chart`"));
    let value = super::config_map("{name: a}", "'{{ .Values.x }} {{ a b }}'");
    let set = push().prepare(&value);
    assert_eq!((first(&set).0, set.notes.len()), (Decision::Apply, 0), "text that is not ours");
    let large = "#".repeat(crate::manifest::MAX_FILE_BYTES + 1);
    let set = push().files(&[("chart/Chart.yaml", chart), ("chart/templates/a.yaml", &large)]);
    assert_eq!(set.decisions[1].decision, Decision::Refuse, "of a whole file it is told");
}

#[test]
fn kinds_of_triggers_are_applied_as_they_are() {
    let text = "apiVersion: triggers.tekton.dev/v1beta1\nkind: TriggerTemplate\nmetadata: {name: t}\n\
                spec: {resourcetemplates: [{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: \
                {generateName: '$(tt.params.name)-'}}]}\n---\napiVersion: triggers.tekton.dev/v1beta1\n\
                kind: EventListener\nmetadata: {name: e}\n";
    let set = push().prepare(text);
    assert_eq!(set.objects.len(), 2);
    let name = "/spec/resourcetemplates/0/metadata/generateName";
    assert_eq!(set.objects[0].json.pointer(name).unwrap(), "$(tt.params.name)-");
}

#[test]
fn what_is_for_pipelines_as_code_itself_is_skipped_where_there_is_none() {
    let text =
        "apiVersion: pipelinesascode.tekton.dev/v1alpha1\nkind: Repository\nmetadata: {name: r}\n";
    let mut scene = push();
    let set = scene.prepare(text);
    assert_eq!(first(&set).0, Decision::Apply);
    assert!(set.notes[0].contains("may start the same runs again"), "{:?}", set.notes);
    scene.kinds = Some(KindTable::from_iter([("v1", "ConfigMap", true)]));
    let set = scene.prepare(text);
    assert!(
        first(&set).0 == Decision::Skip && first(&set).1.contains("this cluster does not have")
    );
}

#[test]
fn marks_of_other_tools_are_noted() {
    for (metadata, tool) in [
        ("{name: a, annotations: {argocd.argoproj.io/tracking-id: x}}", "Argo CD"),
        ("{name: a, labels: {kustomize.toolkit.fluxcd.io/name: x}}", "Flux"),
        ("{name: a, labels: {helm.toolkit.fluxcd.io/name: x}}", "Flux"),
    ] {
        let set = push().prepare(&super::config_map(metadata, "1"));
        assert_eq!(first(&set).0, Decision::Apply);
        assert!(set.notes[0].contains(&format!("shows that {tool} manages it")), "{:?}", set.notes);
    }
    let plain = super::config_map("{name: a, labels: {app.kubernetes.io/instance: x}}", "1");
    assert!(push().prepare(&plain).notes.is_empty());
}

#[test]
fn runs_that_refer_to_what_is_nowhere_are_refused_once_the_cluster_is_asked() {
    let text = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: qa}\nspec: \
                {pipelineRef: {name: p}}\n";
    let mut set = push().prepare(text);
    assert_eq!(first(&set).0, Decision::Run);
    let missing = MissingRef {
        path: "a.yaml".into(),
        document: 1,
        kind: "Pipeline".into(),
        namespace: "qa".into(),
        name: "p".into(),
        hint: None,
    };
    assert_eq!(set.missing, [missing]);
    let mut there = set.clone();
    there.refuse_missing(|wanted| wanted.name == "p");
    assert_eq!(there, set);
    set.refuse_missing(|_| false);
    assert_eq!((first(&set).0, set.objects.len()), (Decision::Refuse, 0));
    assert!(
        first(&set).1.contains("Pipeline p is neither in the directory nor"),
        "{}",
        first(&set).1
    );
    let mut scene = push();
    scene.watch.reading.allow_missing_refs = true;
    let set = scene.prepare(text);
    assert!(set.missing.is_empty() && set.notes[0].contains("the cluster must have it"));
}
