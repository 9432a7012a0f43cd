//! What B may hold and must not reach the cluster: refused by name, nothing written. Promise 31 has all of it.

use sentry_tests::repo::Entry;

use sentry_tests::road::{FIXED, Road};

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
fn a_tree_of_ten_thousand_million_files_is_refused_by_name_with_bounded_memory() {
    let road = Road::new();
    road.once();
    let blob = road.b.blob(FIXED);
    let names: Vec<_> = (0..10).map(|n| format!("n{n}.yaml")).collect();
    let mut tree = road.b.raw_tree(
        &names.iter().map(|name| ("100644", name.as_bytes(), &*blob)).collect::<Vec<_>>(),
    );
    for _ in 1..10 {
        tree = road.b.raw_tree(
            &names.iter().map(|name| ("40000", name.as_bytes(), &*tree)).collect::<Vec<_>>(),
        );
    }
    let root = road.b.raw_tree(&[("40000", b".tekton", &tree)]);
    let commit = road.b.commit_tree("main", &root, "bomb");
    let objects = road.b.git(&["rev-list", "--objects", "--count", "-1", &commit]);
    assert_eq!(objects, "13", "a commit, eleven trees, a file");
    let sha = road.push();
    let mut agent = road.watch();
    agent.wait_for_log("parked");
    let peak = peak_kib(agent.id());
    assert!(peak > 1024 && peak < 128 << 10, "{peak} KiB at most in memory");
    assert_eq!(road.cluster.writes(), 0);
    let why = road.why(&sha);
    assert!(why.contains("parked") && why.contains("can't fetch .tekton of"), "{why}");
    assert_eq!(agent.term().code, Some(0));
}

/// The most memory that a process ever held, in KiB.
fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
