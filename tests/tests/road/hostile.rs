//! What B may hold and must not reach the cluster, nor be opened: refused by name, nothing written.

use sentry_tests::repo::Entry;

use crate::harness::{FIXED, Road};

/// Delivers B as it is now; nothing may be written, and the reason must name what is wrong.
#[track_caller]
fn refused(road: &Road, words: &[&str]) {
    let sha = road.push();
    let output = road.once();
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_eq!(road.cluster.writes(), 0);
    let why = road.why(&sha);
    for word in words {
        assert!(why.contains(word), "{word}: {why}");
    }
}

fn with(entries: &[Entry]) -> Road {
    let road = Road::new();
    road.once();
    road.b.commit_entries("main", entries, "hostile");
    road
}

#[test]
fn a_symlink_and_a_submodule_are_refused_by_name() {
    refused(
        &with(&[Entry::symlink(".tekton/link.yaml", "/etc/passwd")]),
        &["link.yaml", "symbolic link"],
    );
    refused(&with(&[Entry::gitlink(".tekton/sub", &"ab".repeat(20))]), &["sub"]);
}

#[test]
fn a_document_that_is_too_large_or_expands_without_end_is_refused() {
    let large = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{a: {}}}\n",
        "x".repeat(2 << 20)
    );
    let road = with(&[Entry::file(".tekton/large.yaml", large)]);
    let sha = road.push();
    road.once();
    assert_eq!(road.cluster.writes(), 0);
    assert!(road.why(&sha).contains("parked"), "{}", road.why(&sha));
    let mut bomb = "a: &a0 [x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..20 {
        bomb += &format!("b{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 8].join(","));
    }
    refused(&with(&[Entry::file(".tekton/bomb.yaml", bomb)]), &["bomb.yaml"]);
}

#[test]
fn shapes_that_kubectl_would_read_otherwise_are_refused() {
    let items =
        format!("{FIXED}items: [{{apiVersion: v1, kind: Namespace, metadata: {{name: x}}}}]\n");
    let twice = "apiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {name: x}\n";
    let foreign = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n";
    let wide = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\nrules: []\n";
    for (text, word) in [
        (items.as_str(), "items"),
        (twice, "kind"),
        (foreign, "kube-system"),
        (wide, "ClusterRole"),
    ] {
        refused(&with(&[Entry::file(".tekton/z.yaml", text)]), &["z.yaml", word]);
    }
}

#[test]
fn a_path_with_dots_is_refused_and_the_target_of_a_link_is_never_opened() {
    let road = Road::new();
    road.once();
    let blob = road.b.blob(FIXED);
    let inner = road.b.raw_tree(&[("100644", b"..", &blob)]);
    let outer = road.b.raw_tree(&[("40000", b".tekton", &inner)]);
    road.b.commit_tree("main", &outer, "dots");
    let sha = road.push();
    road.once();
    assert_eq!(road.cluster.writes(), 0, "{}", road.why(&sha));

    let canary = road.sandbox.write("canary.yaml", FIXED);
    road.b.commit_entries(
        "main",
        &[Entry::symlink(".tekton/link.yaml", canary.to_str().unwrap())],
        "link",
    );
    let before = std::fs::metadata(&canary).unwrap().accessed().unwrap();
    refused(&road, &["link.yaml"]);
    assert_eq!(
        std::fs::metadata(&canary).unwrap().accessed().unwrap(),
        before,
        "the link's target was read"
    );
}
