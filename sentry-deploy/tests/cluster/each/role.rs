//! The Role that is shipped, and the rights that are asked for; that all of it is used is promise 42's proof.

use std::collections::BTreeSet;
use std::path::Path;

use sentry_core::deployer::Cluster as _;
use serde_json::Value;

use super::{cluster, lab};

/// The rights of the shipped Role, each a verb and a resource with its group.
fn shipped() -> BTreeSet<(String, String)> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/targets/role/role.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let documents =
        text.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let role = documents.into_iter().find(|document| document["kind"] == "Role").unwrap();
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                let dot = if group.is_empty() { "" } else { "." };
                let full = format!("{resource}{dot}{group}");
                rights.extend(words(&rule["verbs"]).into_iter().map(|verb| (verb, full.clone())));
            }
        }
    }
    rights
}

#[tokio::test]
async fn the_rights_that_are_asked_for_are_in_the_shipped_role() {
    let (lab, shipped) = (lab(), shipped());
    let rights: Vec<_> = shipped.iter().map(|(v, r)| (v.as_str(), r.as_str())).collect();
    lab.server.faults().grant_only(&rights);
    let probes = lab.deployer.probe(&cluster(), false).await.unwrap();
    assert!(probes.len() > 10 && probes.iter().all(|probe| probe.allowed), "{probes:?}");
    lab.server.faults().grant_only(&[("get", "tasks.tekton.dev"), ("patch", "secrets")]);
    let probes = lab.deployer.probe(&cluster(), true).await.unwrap();
    let refused: Vec<_> = probes.iter().filter(|p| !p.allowed).map(|p| p.what.as_str()).collect();
    assert!(refused.contains(&"watch pipelineruns.tekton.dev"), "{probes:?}");
    assert!(!refused.contains(&"get tasks.tekton.dev"), "{probes:?}");
    let secrets: Vec<_> = refused.into_iter().filter(|what| what.ends_with("secrets")).collect();
    assert_eq!(secrets, ["create secrets", "delete secrets"]);
}
