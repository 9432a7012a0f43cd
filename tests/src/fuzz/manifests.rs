//! Any bytes as B's files: nothing panics, and what goes to the cluster is what the watch allows.

use crate::judge::scene::Scene;

/// Kinds of the whole cluster: none is allowed unless it is named.
const CLUSTER: &[&str] =
    &["Namespace", "ClusterRole", "ClusterRoleBinding", "Node", "PersistentVolume", "StorageClass"];

/// Judges one input.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn manifests(bytes: &[u8]) {
    let scene = Scene::default();
    // Two files, so that one can speak of what the other holds.
    let border = bytes.windows(5).position(|five| five == b"\n===\n");
    let (first, second) = border.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 5..]));
    let set = scene.prepare(&[("a.yaml", first), ("b/run.yml", second)]);
    for planned in &set.objects {
        let object = &planned.object;
        assert_eq!(object.namespace.as_deref(), Some("qa"), "{object:?}");
        assert!(!CLUSTER.contains(&object.kind.as_str()), "{object:?}");
        assert!(
            !object.kind.ends_with("List") && planned.json.get("items").is_none(),
            "{object:?}"
        );
        let metadata = &planned.json["metadata"];
        assert_eq!(metadata["name"], object.name.as_str());
        assert_eq!(metadata["namespace"], "qa");
        for field in ["generateName", "uid", "resourceVersion", "managedFields"] {
            assert!(metadata.get(field).is_none(), "{field}");
        }
        let marked = &metadata["labels"]["sentry-gitops.dev/watch"];
        assert_eq!(marked, "app");
    }
    let texts = set.decisions.iter().map(|decision| &decision.reason).chain(&set.notes);
    for text in texts {
        assert!(!text.contains('\u{1b}'), "a text that steers a terminal: {text:?}");
    }
}
