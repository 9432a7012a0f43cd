//! The manifests of deploy/kubernetes and a real API server: it would take all of them.

use std::path::Path;

use serde_json::{Value, json};

use crate::ground::{Cluster, kubectl};

#[test]
fn a_real_api_server_would_take_every_object_that_is_shipped() {
    let cluster = Cluster::real("deploy");
    let Cluster::Real(kubeconfig, namespace) = &cluster else { unreachable!("it is real") };
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes");
    let places = ["", "components/monitoring", "components/ingress", "components/webhook"];
    let mut items = Vec::new();
    for place in places {
        let text = kubectl(kubeconfig, &["kustomize", &base.join(place).display().to_string()]);
        items.extend(
            text.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap()),
        );
    }
    // The Prometheus Operator's kinds come with it.
    items.retain(|item| !item["apiVersion"].as_str().unwrap().starts_with("monitoring.coreos.com"));
    for item in &mut items {
        if item["kind"] != "Namespace" {
            item["metadata"]["namespace"] = json!(namespace);
        }
    }
    let (count, dir) = (items.len(), tempfile::tempdir().unwrap());
    let file = dir.path().join("all.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    std::fs::write(&file, list.to_string()).unwrap();
    let file = file.display().to_string();
    let said = kubectl(kubeconfig, &["apply", "--server-side", "--dry-run=server", "-f", &file]);
    assert_eq!(said.lines().count(), count, "{said}");
    assert!(count > 10, "{said}");
}
