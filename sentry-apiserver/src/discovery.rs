//! Discovery documents: as little as kubectl needs.

use serde_json::{Value, json};

use super::kinds::{KINDS, Kind};

const VERBS: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

/// The document at a path, if it is one of these.
pub(super) fn document(path: &str) -> Option<Value> {
    match path {
        "/version" => Some(json!({
            "major": "1", "minor": "32", "gitVersion": "v1.32.4", "gitCommit": "0", "gitTreeState": "clean",
            "buildDate": "2025-05-15T00:00:00Z", "goVersion": "go1.23.8", "compiler": "gc",
            "platform": "linux/amd64",
        })),
        "/livez" | "/readyz" | "/healthz" => Some(json!("ok")),
        "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => Some(groups()),
        path if path.strip_prefix("/apis/").is_some_and(|group| !group.contains('/')) => {
            let all = groups();
            let name = path.strip_prefix("/apis/");
            all["groups"].as_array()?.iter().find(|group| group["name"].as_str() == name).cloned()
        }
        _ => group_version(path).and_then(|(group, version)| resources(group, version)),
    }
}

/// The document at a path while the one aggregated API of a group is away: its group is listed, its kinds can't be read.
pub(super) fn with_broken(path: &str, group: &str) -> Option<Result<Value, ()>> {
    let group_version = format!("{group}/v1beta1");
    let version = json!({"groupVersion": group_version, "version": "v1beta1"});
    let broken = json!({"name": group, "versions": [version], "preferredVersion": version});
    match path.strip_prefix("/apis")? {
        "" => {
            let mut all = groups();
            all["groups"].as_array_mut()?.push(broken);
            Some(Ok(all))
        }
        rest if rest == format!("/{group}") => Some(Ok(broken)),
        rest if rest == format!("/{group_version}") => Some(Err(())),
        _ => None,
    }
}

/// All groups below a path with their kinds in one document; one whose own server is away is marked stale.
pub(super) fn aggregated(path: &str, broken: Option<&str>) -> Option<Value> {
    let names: Vec<String> = match path {
        "/api" => vec![String::new()],
        "/apis" => groups()["groups"]
            .as_array()?
            .iter()
            .filter_map(|group| Some(group["name"].as_str()?.to_owned()))
            .collect(),
        _ => return None,
    };
    let resource = |kind: &&Kind| {
        let scope = if kind.namespaced { "Namespaced" } else { "Cluster" };
        json!({"resource": kind.plural, "responseKind": {"kind": kind.kind}, "scope": scope})
    };
    let group = |name: &String| {
        let versions = KINDS.iter().filter(|kind| kind.group == name).map(|kind| kind.version);
        let mut versions: Vec<&str> = versions.collect();
        versions.dedup();
        let version = |version: &&str| {
            let resources: Vec<_> = of(name, version).iter().map(resource).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        };
        let versions: Vec<_> = versions.iter().map(version).collect();
        json!({"metadata": {"name": name}, "versions": versions})
    };
    let mut items: Vec<_> = names.iter().map(group).collect();
    if let Some(broken) = broken.filter(|_| path == "/apis") {
        let stale = json!({"version": "v1beta1", "freshness": "Stale"});
        items.push(json!({"metadata": {"name": broken}, "versions": [stale]}));
    }
    Some(
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}),
    )
}

/// `api/v1` or `apis/GROUP/VERSION`.
fn group_version(path: &str) -> Option<(&str, &str)> {
    match path.trim_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["api", version] => Some(("", version)),
        ["apis", group, version] => Some((group, version)),
        _ => None,
    }
}

fn groups() -> Value {
    let mut names = Vec::new();
    for kind in KINDS.iter().filter(|kind| !kind.group.is_empty()) {
        if !names.contains(&kind.group) {
            names.push(kind.group);
        }
    }
    let group = |name: &&str| {
        let mut versions: Vec<&str> = Vec::new();
        for kind in KINDS.iter().filter(|kind| kind.group == *name) {
            if !versions.contains(&kind.version) {
                versions.push(kind.version);
            }
        }
        let versions: Vec<_> = versions
            .iter()
            .map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v}))
            .collect();
        json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
    };
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": names.iter().map(group).collect::<Vec<_>>()})
}

fn of(group: &str, version: &str) -> Vec<&'static Kind> {
    KINDS.iter().filter(|kind| (kind.group, kind.version) == (group, version)).collect()
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let kinds = of(group, version);
    let group_version = kinds.first()?.api_version();
    let resource = |kind: &&Kind| {
        let verbs = if kind.stored { VERBS } else { &["create"] };
        json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs,
        })
    };
    let resources: Vec<_> = kinds.iter().map(resource).collect();
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    }))
}
