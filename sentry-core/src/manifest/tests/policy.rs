//! Which objects may go to the cluster.

use super::{Scene, config_map, prepared, run};
use crate::deployer::KindTable;
use crate::manifest::kinds::{self, Scope};
use crate::manifest::{Decision, kinds_named};
use crate::watch::{AllowKinds, NamespacePolicy, Refusals};

fn object(api_version: &str, kind: &str, metadata: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {metadata}\n")
}

#[test]
fn an_object_needs_a_version_a_kind_and_a_name() {
    for (text, word) in [
        ("kind: Task\nmetadata: {name: a}\n", "`apiVersion` is missing"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "`kind` is missing"),
        ("apiVersion: v1\nkind: ''\nmetadata: {name: a}\n", "`kind` is missing"),
        ("apiVersion: ''\nkind: Task\nmetadata: {name: a}\n", "`apiVersion` is missing"),
        ("apiVersion: v1\nkind: '{{ what }}'\nmetadata: {name: a}\n", "`kind` uses `{{ what }}`"),
        ("apiVersion: v1\nkind: ConfigMap\n", "`metadata` is missing"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: []\n", "`metadata` is a list"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "`metadata.name` or"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ''}\n", "`metadata.name` or"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 12}\n",
            "is a number, not a string: quote",
        ),
        ("apiVersion: 1\nkind: ConfigMap\nmetadata: {name: a}\n", "`apiVersion` is a number"),
        ("apiVersion: v1\nkind: [Pod]\nmetadata: {name: a}\n", "`kind` is a list"),
        ("apiVersion: a/b/c\nkind: Task\nmetadata: {name: a}\n", "is not `version` or"),
        ("apiVersion: /v1\nkind: Task\nmetadata: {name: a}\n", "is not `version` or"),
        ("apiVersion: 'v 1'\nkind: Task\nmetadata: {name: a}\n", "is not `version` or"),
        ("apiVersion: v1\nkind: \"Po\\td\"\nmetadata: {name: a}\n", "not the name of a kind"),
        ("apiVersion: v1\nkind: Pod/Node\nmetadata: {name: a}\n", "not the name of a kind"),
        ("apiVersion: v1\nkind: Pod-\nmetadata: {name: a}\n", "not the name of a kind"),
        ("apiVersion: v1\nkind: 9pod\nmetadata: {name: a}\n", "not the name of a kind"),
        (
            "apiVersion: v1\nkind: Pod\nKind: Node\nmetadata: {name: a}\n",
            "`Kind` is a misspelling of",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, Namespace: x}\n", "`metadata.Namespace`"),
    ] {
        refused(text, word);
    }
}

fn refused(text: &str, word: &str) {
    let set = prepared(text);
    let d = &set.decisions[0];
    assert_eq!(d.decision, Decision::Refuse, "{text}: {}", d.reason);
    assert!(d.reason.contains(word), "{text}: {}", d.reason);
    assert!(set.objects.is_empty(), "{text}");
}

#[test]
fn what_kubectl_would_take_apart_is_refused() {
    for (text, word) in [
        ("apiVersion: v1\nkind: List\nmetadata: {name: a}\nitems: []\n", "`items`"),
        ("apiVersion: v1\nkind: ConfigMapList\nmetadata: {name: a}\n", "is a list of objects"),
        (&(run("{name: a}") + "items: [{kind: ClusterRole}]\n"), "`items`"),
        (&(config_map("{name: a}", "1") + "Items: []\n"), "`Items` is a misspelling of"),
        // Letters that are none of ASCII's and fold to one.
        (&(config_map("{name: a}", "1") + "itemſ: []\n"), "is a misspelling of `items`"),
        (&(config_map("{name: a}", "1") + "\"\\u212aind\": Node\n"), "is a misspelling of `kind`"),
    ] {
        refused(text, word);
    }
    let nested =
        "apiVersion: example.org/v1\nkind: Shelf\nmetadata: {name: a}\nspec: {items: []}\n";
    assert_eq!(prepared(nested).objects.len(), 1);
}

#[test]
fn a_name_must_be_one_that_kubernetes_takes() {
    for name in ["A", "a_b", "-a", "a-", "a..b", ".a", "a b", "a/b", "ü", &"a".repeat(254)] {
        refused(&config_map(&format!("{{name: '{name}'}}"), "1"), "`metadata.name:");
    }
    for name in ["a", "a.b-c.1", "9", &"a".repeat(253)] {
        let text = config_map(&format!("{{name: '{name}'}}"), "1");
        assert_eq!(prepared(&text).objects[0].object.name, name);
    }
    let role = object("rbac.authorization.k8s.io/v1", "Role", "{name: 'system:reader'}");
    assert_eq!(prepared(&role).objects.len(), 1);
    refused(&role.replace("system:reader", "a/b"), "contains `/`");
}

#[test]
fn labels_and_annotations_are_texts() {
    refused(&config_map("{name: a, labels: {x: true}}", "1"), "value of `x` is a boolean");
    refused(&config_map("{name: a, annotations: {x: 1}}", "1"), "value of `x` is a number");
    refused(&config_map("{name: a, labels: []}", "1"), "`metadata.labels` is a list");
    assert_eq!(prepared(&config_map("{name: a, annotations: {x: }}", "1")).objects.len(), 1);
}

#[test]
fn a_namespace_is_absent_or_the_watchs_own() {
    for good in ["qa", "''", "~", "'{{ target_namespace }}'"] {
        let text = config_map(&format!("{{name: a, namespace: {good}}}"), "1");
        assert_eq!(prepared(&text).objects[0].json["metadata"]["namespace"], "qa", "{good}");
    }
    refused(&config_map("{name: a, namespace: prod}", "1"), "not the watch's namespace `qa`");
    refused(&config_map("{name: a, namespace: 5}", "1"), "is a number, not a string");
    refused(&config_map("{name: a, namespace: '{{ nobody }}'}", "1"), "`{{ nobody }}`");
}

#[test]
fn without_a_cluster_the_built_in_table_says_what_is_cluster_scoped() {
    refused(&object("v1", "Namespace", "{name: a}"), "Namespace is cluster-scoped");
    refused(
        &object("rbac.authorization.k8s.io/v1", "ClusterRole", "{name: a}"),
        "ClusterRole is cluster-scoped",
    );
    refused(&object("apps/v1", "Deploiment", "{name: a}"), "no such kind in Kubernetes");
    assert_eq!(prepared(&object("example.org/v1", "Thing", "{name: a}")).objects.len(), 1);
}

#[test]
fn a_cluster_says_which_kinds_it_has() {
    let kinds: KindTable =
        [("v1", "ConfigMap", true), ("example.org/v1", "Thing", false)].into_iter().collect();
    let scene = Scene { kinds: Some(kinds), ..Scene::default() };
    for (text, decision, word) in [
        (config_map("{name: a}", "1"), Decision::Apply, ""),
        (object("example.org/v1", "Thing", "{name: a}"), Decision::Refuse, "cluster-scoped"),
        (
            object("example.org/v1", "Thong", "{name: a}"),
            Decision::Refuse,
            "no such kind on this cluster: Thong of example.org",
        ),
        (object("v1", "Secret", "{name: a}"), Decision::Refuse, "no such kind on this cluster"),
    ] {
        let set = scene.prepare(&text);
        let d = &set.decisions[0];
        assert!(d.decision == decision && d.reason.contains(word), "{text}: {}", d.reason);
    }
}

/// What `allow_kinds` lists.
fn listed(kinds: &[&str]) -> AllowKinds {
    AllowKinds::Listed(kinds.iter().flat_map(|kind| kinds_named(kind).unwrap()).collect())
}

#[test]
fn a_kind_is_allowed_by_group_and_kind_never_by_its_name_alone() {
    const TEKTON: &[&str] = &["Task", "StepAction", "Pipeline", "PipelineRun", "TaskRun"];
    const OTHERS: &[&str] = &["Pipeline.other.example", "Secret", "Deployment.apps"];
    let groups =
        ["", "apps", "tekton.dev", "other.example", "tekton.dev.evil.example", "x.tekton.dev"];
    let kinds = ["Pipeline", "PipelineRun", "StepAction", "Secret", "Deployment", "Widget"];
    let own = |group: &str, kind: &str| group == "tekton.dev" && TEKTON.contains(&kind);
    let other = |group: &str, kind: &str| {
        [("other.example", "Pipeline"), ("", "Secret"), ("apps", "Deployment")]
            .contains(&(group, kind))
    };
    let mut seen = 0;
    let all = groups.iter().flat_map(|group| kinds.map(|kind| (*group, kind)));
    // The groups of Kubernetes have the kinds that they have.
    let there = |(group, kind): &(&str, &str)| kinds::scope(group, kind) != Scope::Missing;
    for (group, kind) in all.filter(there) {
        for namespaced in [true, false] {
            let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
            let kinds = Some([(version.as_str(), kind, namespaced)].into_iter().collect());
            let mut scene = Scene { kinds, ..Scene::default() };
            for (allowed, want) in [
                (AllowKinds::Namespaced, namespaced),
                (listed(TEKTON), own(group, kind)),
                (listed(OTHERS), other(group, kind)),
            ] {
                scene.watch.allow_kinds = allowed;
                let set = scene.prepare(&object(&version, kind, "{name: a}"));
                let decision = &set.decisions[0];
                assert_eq!(
                    decision.decision != Decision::Refuse,
                    want,
                    "{version} {kind}: {}",
                    decision.reason
                );
                if !want {
                    // The remedy is the word that would allow it.
                    let word = decision.reason.split_whitespace().next().unwrap();
                    scene.watch.allow_kinds = listed(&[word]);
                    let set = scene.prepare(&object(&version, kind, "{name: a}"));
                    assert_eq!(set.objects.len(), 1, "{word}: {}", set.decisions[0].reason);
                }
                seen += 1;
            }
        }
    }
    println!("{seen} kinds, scopes and forms of allow_kinds");
}

#[test]
fn a_version_that_the_cluster_does_not_serve_is_refused_with_those_that_it_serves() {
    let mut kinds = KindTable::from_iter([
        ("tekton.dev/v1", "Task", true),
        ("tekton.dev/v1beta1", "Task", true),
        ("tekton.dev/v1beta1", "StepAction", true),
        ("batch/v1", "CronJob", true),
        ("example.org/v2", "Thing", false),
    ]);
    ["tekton.dev", "batch"].iter().for_each(|group| kinds.close(group));
    kinds.leave_open("broken.example");
    let scene = Scene { kinds: Some(kinds), ..Scene::default() };
    let (apply, refuse) = (Decision::Apply, Decision::Refuse);
    for (version, kind, decision, reason) in [
        ("tekton.dev/v1", "Task", apply, "applied"),
        ("tekton.dev/v1beta1", "Task", apply, "applied"),
        (
            "tekton.dev/v1alpha1",
            "Task",
            refuse,
            "tekton.dev/v1alpha1 is not served by this cluster: it serves v1, v1beta1;",
        ),
        (
            "tekton.dev/v1",
            "StepAction",
            refuse,
            "tekton.dev/v1 is not served by this cluster: it serves v1beta1;",
        ),
        (
            "batch/v1beta1",
            "CronJob",
            refuse,
            "batch/v1beta1 is not served by this cluster: it serves v1;",
        ),
        ("tekton.dev/v1", "ClusterTask", refuse, "no such kind on this cluster"),
        ("absent.example/v1", "Thing", refuse, "no such kind on this cluster"),
        // What could not be read is not known to be missing.
        ("broken.example/v1", "Thing", apply, "applied"),
        ("example.org/v1", "Thing", refuse, "cluster-scoped"),
    ] {
        let set = scene.prepare(&object(version, kind, "{name: a}"));
        let d = &set.decisions[0];
        assert!(
            d.decision == decision && d.reason.contains(reason),
            "{version} {kind}: {}",
            d.reason
        );
    }
}

#[test]
fn allow_kinds_narrows_and_is_the_only_way_to_cluster_scoped_kinds() {
    let mut scene = Scene::default();
    scene.watch.allow_kinds = listed(&["Task", "Namespace"]);
    for (text, word) in [
        (config_map("{name: a}", "1"), "not among the watch's `allow_kinds`"),
        (object("v1", "Namespace", "{name: a, namespace: qa}"), "is cluster-scoped"),
    ] {
        let set = scene.prepare(&text);
        assert!(set.decisions[0].reason.contains(word), "{}", set.decisions[0].reason);
    }
    let set = scene.prepare(&object("v1", "Namespace", "{name: a}"));
    assert_eq!(set.objects[0].json["metadata"].get("namespace"), None);
    assert_eq!(scene.prepare(&object("tekton.dev/v1", "Task", "{name: a}")).objects.len(), 1);
}

#[test]
fn a_list_of_no_kinds_allows_none() {
    let mut scene = Scene::default();
    scene.watch.allow_kinds = listed(&[]);
    for text in [config_map("{name: a}", "1"), object("tekton.dev/v1", "PipelineRun", "{name: a}")]
    {
        let set = scene.prepare(&text);
        let reason = &set.decisions[0].reason;
        assert!(set.objects.is_empty() && reason.contains("`allow_kinds`"), "{reason}");
    }
}

#[test]
fn of_two_documents_for_one_object_the_second_is_refused() {
    let one = config_map("{name: a}", "1");
    let set = Scene::default().files(&[
        ("a.yaml", &one),
        ("b.yaml", &format!("{}---\n{one}", config_map("{name: b}", "1"))),
    ]);
    let refusals: Vec<_> = set.refusals().collect();
    assert_eq!((refusals.len(), set.objects.len()), (1, 2));
    assert!(refusals[0].reason.contains("ConfigMap a is already in a.yaml (document 1)"));
}

type Run = ((&'static str, &'static str), &'static str);

const PIPELINE: (&str, &str) = ("tekton.dev/v1", "PipelineRun");
const OLD_PIPELINE: (&str, &str) = ("tekton.dev/v1beta1", "PipelineRun");
const TASK: (&str, &str) = ("tekton.dev/v1", "TaskRun");
const JOB: (&str, &str) = ("batch/v1", "Job");
const PUSH: &str = "{name: a, annotations: {pipelinesascode.tekton.dev/on-event: push}}";
const PULL: &str = "{name: a, annotations: {pipelinesascode.tekton.dev/on-event: pull_request}}";

const OF_ONE_NAME: &[(Run, Run, &str)] = &[
    ((PIPELINE, "{name: a}"), (PIPELINE, "{name: a}"), "PipelineRun a"),
    ((PIPELINE, "{name: a}"), (OLD_PIPELINE, "{name: a}"), "PipelineRun a"),
    ((PIPELINE, "{generateName: a-}"), (PIPELINE, "{generateName: a-}"), "PipelineRun a-"),
    ((PIPELINE, "{name: a-}"), (PIPELINE, "{generateName: a-}"), "PipelineRun a-"),
    ((PIPELINE, "{name: a, generateName: b-}"), (PIPELINE, "{generateName: b-}"), "PipelineRun b-"),
    ((PIPELINE, "{name: 'a-{{ env }}'}"), (PIPELINE, "{name: a-stage}"), "PipelineRun a-stage"),
    ((PIPELINE, "{name: a}"), (PIPELINE, "{name: a, namespace: qa}"), "PipelineRun a"),
    ((TASK, "{name: a}"), (TASK, "{name: a}"), "TaskRun a"),
];

const OF_TWO_NAMES: &[(Run, Run)] = &[
    ((PIPELINE, "{name: a}"), (PIPELINE, "{generateName: a-}")),
    ((PIPELINE, "{name: a}"), (PIPELINE, "{name: b}")),
    ((PIPELINE, "{name: a}"), (TASK, "{name: a}")),
    ((PIPELINE, "{name: a}"), (PIPELINE, "{name: a, namespace: other}")),
    ((TASK, "{generateName: a-}"), (TASK, "{generateName: a-}")),
    ((JOB, "{generateName: a-}"), (JOB, "{generateName: a-}")),
    // What does not start takes no name.
    ((PIPELINE, PULL), (PIPELINE, PUSH)),
    ((PIPELINE, PUSH), (PIPELINE, PULL)),
];

/// What is refused of two runs, in one file and in two, and how many objects are left.
fn of_two(first: Run, second: Run) -> [(Vec<String>, usize); 2] {
    let mut scene = Scene::default();
    let others = [scene.watch.cluster.namespace.clone(), "other".parse().unwrap()];
    scene.watch.reading.namespace_policy = NamespacePolicy::Listed(others.into());
    let text = |((version, kind), metadata): Run| object(version, kind, metadata);
    let (first, second) = (text(first), text(second));
    let one = format!("{first}---\n{second}");
    [vec![("a.yaml", &one)], vec![("a.yaml", &first), ("sub/b.yml", &second)]].map(|files| {
        let files: Vec<_> = files.into_iter().map(|(path, text)| (path, text.as_str())).collect();
        let set = scene.files(&files);
        (set.refusals().map(|d| d.reason.clone()).collect(), set.objects.len())
    })
}

#[test]
fn of_two_runs_of_one_name_the_second_is_refused() {
    for (first, second, what) in OF_ONE_NAME {
        for (reasons, left) in of_two(*first, *second) {
            assert_eq!(left, 1, "{first:?} {second:?}");
            assert!(reasons[0].starts_with(&format!("{what} is already in a.yaml")), "{reasons:?}");
        }
    }
}

#[test]
fn two_runs_of_two_names_or_of_which_one_starts_are_none_of_one_name() {
    for (first, second) in OF_TWO_NAMES {
        for (reasons, _) in of_two(*first, *second) {
            assert_eq!(reasons, Vec::<String>::new(), "{first:?} {second:?}");
        }
    }
}

#[test]
fn all_that_is_wrong_with_a_document_is_said_at_once_in_both_modes() {
    let text =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: A, namespace: x}\nspec: {a: '{{ body.x }}'}\n";
    for mode in [Refusals::Strict, Refusals::Lenient] {
        let mut scene = Scene::default();
        scene.watch.refusals = mode;
        let set = scene.prepare(&format!("{text}---\n{}", config_map("{name: a}", "1")));
        let d = &set.decisions[0];
        for word in ["`metadata.name: A`", "namespace `qa`", "webhook's payload"] {
            assert!(d.reason.contains(word), "{}", d.reason);
        }
        assert_eq!((d.kind.as_deref(), d.name.as_deref()), (Some("Pod"), Some("A")));
        assert_eq!(set.objects.len(), 1);
    }
}

#[test]
fn what_a_document_is_called_neither_steers_a_terminal_nor_fills_the_records() {
    let name = format!("\\e[31m{}", "x".repeat(100_000));
    let set = prepared(&object("v1", "ConfigMap", &format!("{{name: \"{name}\"}}")));
    let d = &set.decisions[0];
    assert_eq!(d.decision, Decision::Refuse);
    let name = d.name.as_deref().unwrap();
    assert!(name.starts_with("\u{fffd}[31m") && name.len() < 300 && d.reason.len() < 2_100);
    assert!(!d.reason.contains('\u{1b}'));
}
