//! Paths of the Kubernetes API, for `kubectl get --raw`.

use sentry_core::deployer::FollowQuery;
use sentry_core::plan::{COMMIT_LABEL, commit_label};

/// The most commits that a selector names; of more, all of Sentry's objects are read and sorted out here, so that
/// neither the path nor the number of watches grows with them.
pub(crate) const NAMED: usize = 50;
/// How many objects one page of a list holds. A run with its tasks' specs is some 20 KiB, at worst 1.5 MiB.
const PAGE: usize = 50;

/// `/apis/tekton.dev/v1/namespaces/qa/pipelineruns`.
pub(crate) fn collection(api_version: &str, namespace: &str, plural: &str) -> String {
    object(api_version, Some(namespace), plural, None)
}

/// An object, or its collection without a name; in a namespace if its kind lives in one.
pub(crate) fn object(
    api_version: &str,
    namespace: Option<&str>,
    plural: &str,
    name: Option<&str>,
) -> String {
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let mut path = format!("/{root}/{api_version}");
    if let Some(namespace) = namespace {
        path.push_str(&format!("/namespaces/{namespace}"));
    }
    path.push_str(&format!("/{plural}"));
    if let Some(name) = name {
        path.push_str(&format!("/{}", encode(name)));
    }
    path
}

/// What describes the fields of a version's kinds.
pub(crate) fn openapi(api_version: &str) -> String {
    let root = if api_version.contains('/') { "apis" } else { "api" };
    format!("/openapi/v3/{root}/{api_version}")
}

/// One page of a list.
pub(crate) fn page(collection: &str, selector: &str, next: Option<&str>) -> String {
    let next = next.map(|next| format!("&continue={}", encode(next))).unwrap_or_default();
    format!("{collection}?labelSelector={}&limit={PAGE}{next}", encode(selector))
}

/// What happens after a resource version, for so many seconds.
pub(crate) fn watch(collection: &str, selector: &str, from: &str, seconds: u64) -> String {
    format!(
        "{collection}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={}&labelSelector={}",
        encode(from),
        encode(selector)
    )
}

/// The end of a container's log: its last five lines, since the last one may be empty.
pub(crate) fn log(namespace: &str, pod: &str, container: &str, bytes: usize) -> String {
    let pods = collection("v1", namespace, "pods");
    let (pod, container) = (encode(pod), encode(container));
    format!("{pods}/{pod}/log?container={container}&tailLines=5&limitBytes={bytes}")
}

/// The label selector for the objects of a query's commits.
pub(crate) fn commits(query: &FollowQuery) -> String {
    if query.commits.len() > NAMED {
        return COMMIT_LABEL.to_owned();
    }
    let commits: Vec<_> = query.commits.iter().map(commit_label).collect();
    format!("{COMMIT_LABEL} in ({})", commits.join(","))
}

/// Percent-encodes all that is not unreserved (RFC 3986).
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use sentry_core::names::ClusterRef;

    #[test]
    fn a_selector_names_so_many_commits_and_of_more_all_are_read() {
        let query = |count: usize| FollowQuery {
            cluster: ClusterRef {
                deployer: "k".into(),
                context: None,
                namespace: "qa".parse().unwrap(),
            },
            commits: vec!["a".repeat(40).parse().unwrap(); count],
            kinds: Vec::new(),
            known: BTreeSet::new(),
        };
        let named = format!("{COMMIT_LABEL} in ({})", vec!["a".repeat(40); NAMED].join(","));
        for (count, selector) in [(NAMED, named.as_str()), (NAMED + 1, COMMIT_LABEL)] {
            assert_eq!(commits(&query(count)), selector, "{count}");
        }
    }

    #[test]
    fn paths_name_group_version_and_namespace_and_hide_nothing_in_their_queries() {
        let runs = collection("tekton.dev/v1", "qa", "pipelineruns");
        assert_eq!(runs, "/apis/tekton.dev/v1/namespaces/qa/pipelineruns");
        assert_eq!(collection("v1", "qa", "pods"), "/api/v1/namespaces/qa/pods");
        assert_eq!(
            page("/p", "a/b in (c)", Some("x&y")),
            "/p?labelSelector=a%2Fb%20in%20%28c%29&limit=50&continue=x%26y"
        );
        assert!(
            log("qa", "../secrets", "c", 9)
                .starts_with("/api/v1/namespaces/qa/pods/..%2Fsecrets/log?")
        );
    }
}
