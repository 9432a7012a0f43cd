//! Reads what kubectl writes. Pure; the texts are those of kubectl 1.20 and 1.32.

use std::collections::BTreeSet;

use sentry_core::deployer::{DeployErrorKind, KindTable};
use sentry_core::plan::{KEY_ANNOTATION, ObjectRef};
use serde_json::Value;

/// The longest text of kubectl's that goes into an error, in bytes.
const LONGEST: usize = 2048;

/// An object's API group; empty for the core group.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// True for each object that kubectl reported as done: one line `task.tekton.dev/NAME created` each, written as soon
/// as the server has answered. A line without its end was cut and says nothing.
pub(super) fn acknowledged(stdout: &str, objects: &[&ObjectRef]) -> Vec<bool> {
    let lines: Vec<&str> = stdout
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let word = |object: &&ObjectRef| line_name(&object.api_version, &object.kind, &object.name);
    objects.iter().map(|object| lines.contains(&word(object).as_str())).collect()
}

/// The objects in kubectl's JSON: the items of a list, or the one object that it prints without a list.
pub(super) fn objects(stdout: &str) -> Vec<Value> {
    match serde_json::from_str::<Value>(stdout) {
        Ok(mut value) => match value.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => vec![value],
        },
        Err(_) => Vec::new(),
    }
}

/// The objects in what `create` prints: one JSON document after another.
pub(super) fn documents(stdout: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(stdout).into_iter::<Value>();
    values.map_while(Result::ok).flat_map(|value| objects(&value.to_string())).collect()
}

/// The names in what `get -o name` prints: one line `task.tekton.dev/NAME` each.
pub(super) fn names(stdout: &str) -> BTreeSet<&str> {
    stdout.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// How kubectl names an object in its lines: `task.tekton.dev/NAME`, `configmap/NAME`.
pub(super) fn line_name(api_version: &str, kind: &str, name: &str) -> String {
    let (kind, group) = (kind.to_lowercase(), group(api_version));
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{name}")
}

/// The object among kubectl's that a planned one became.
pub(super) fn find<'a>(live: &'a [Value], object: &ObjectRef) -> Option<&'a Value> {
    live.iter().find(|value| {
        let version = value["apiVersion"].as_str().unwrap_or_default();
        value["kind"] == object.kind.as_str()
            && value["metadata"]["name"] == object.name.as_str()
            && group(version) == group(&object.api_version)
    })
}

/// The key that a live run carries.
pub(super) fn key(live: &Value) -> Option<&str> {
    live["metadata"]["annotations"][KEY_ANNOTATION].as_str()
}

/// The resource version of a live object; none for one that a dry run would have made.
pub(super) fn resource_version(live: &Value) -> Option<String> {
    let version = live["metadata"]["resourceVersion"].as_str();
    version.filter(|v| !v.is_empty()).map(str::to_owned)
}

/// The table of `kubectl api-resources --no-headers`. The short names may be missing, so a line is read from its end:
/// `… APIVERSION NAMESPACED KIND`.
pub(super) fn kinds(stdout: &str) -> KindTable {
    let row = |line: &str| {
        let mut words = line.split_whitespace().rev();
        let (kind, namespaced, version) = (words.next()?, words.next()?, words.next()?);
        words.next()?;
        let namespaced = namespaced.parse::<bool>().ok()?;
        Some((group(version).to_owned(), kind.to_owned(), namespaced))
    };
    stdout.lines().filter_map(row).collect()
}

/// The minor version in `kubectl version --client -o json`; vendors append a plus sign.
pub(super) fn client_minor(stdout: &str) -> Option<u32> {
    let version: Value = serde_json::from_str(stdout).ok()?;
    let minor = version["clientVersion"]["minor"].as_str()?;
    minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// The errors in kubectl's stderr, one text each, without warnings. A text may go over several lines.
pub(super) fn errors(stderr: &str) -> Vec<String> {
    const STARTS: &[&str] =
        &["Error from server", "error:", "Unable to connect", "The connection to", "The "];
    let mut errors: Vec<String> = Vec::new();
    for line in stderr.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with("Warning:") {
            continue;
        }
        match errors.last_mut() {
            Some(last) if !STARTS.iter().any(|start| line.starts_with(start)) => {
                last.push(' ');
                last.push_str(line.trim_start_matches(['*', ' ', '\t']));
            }
            _ => errors.push(line.trim().to_owned()),
        }
    }
    errors
}

/// Takes manifests out of a text: JSON (`{"…"}`) and Go maps (`map[…]`), which kubectl quotes in some errors. Each
/// goes to the last closing bracket, for one inside a string may close nothing, or to the end where that was cut off.
pub(super) fn scrub(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    loop {
        let json = rest.find("{\"").map(|at| (at, at, '}'));
        let map = rest.find("map[").map(|at| (at, at + 3, ']'));
        let Some((_, from, close)) = [json, map].into_iter().flatten().min() else { break };
        clean.push_str(&rest[..from]);
        clean.push('…');
        let end = rest.rfind(close).filter(|&end| end > from);
        rest = end.map_or("", |end| &rest[end + 1..]);
    }
    clean + rest
}

/// Cuts a text to what fits into an error.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = (0..=LONGEST).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// The reason in `Error from server (Reason): …`.
pub(super) fn server_reason(error: &str) -> Option<&str> {
    error.strip_prefix("Error from server (")?.split_once(')').map(|(reason, _)| reason)
}

/// What kind of error a text of kubectl's is, and what a person can do about it.
///
/// The server's own reason decides where there is one: what follows it may quote a manifest.
pub(super) fn classify(error: &str) -> (DeployErrorKind, Option<&'static str>) {
    use DeployErrorKind::{Forbidden, Refused, Unreachable};
    const AWAY: &[&str] =
        &["connection refused", "i/o timeout", "deadline exceeded", "EOF", "etcdserver:"];
    let has = |part: &&str| error.contains(*part);
    match server_reason(error) {
        Some("Forbidden") if error.contains("is forbidden: User ") => (Forbidden, Some(GRANT)),
        Some("Unauthorized") => (Forbidden, Some(LOG_IN)),
        Some("ServiceUnavailable" | "TooManyRequests" | "Timeout" | "ServerTimeout") => {
            (Unreachable, None)
        }
        // A webhook or a storage that is away passes; the server wraps both in an internal error.
        Some("InternalError") if AWAY.iter().any(has) => (Unreachable, None),
        Some("Conflict") => (Refused, Some(TAKE_OVER)),
        Some("NotFound") if error.contains("namespaces \"") => (Refused, Some(NAMESPACE)),
        Some(_) => (Refused, None),
        None => classify_client(error),
    }
}

/// An error of kubectl itself, not of the server.
fn classify_client(error: &str) -> (DeployErrorKind, Option<&'static str>) {
    use DeployErrorKind::{Forbidden, Local, Refused, Unreachable};
    const LOCAL: &[&str] = &[
        "context \"",
        "no context exists",
        "context was not found",
        "error loading config file",
        "invalid configuration",
        "no configuration has been provided",
        "error: stat ",
        "unable to read client-",
        "unable to read certificate-authority",
        "unknown flag",
        "exec: executable",
    ];
    const AWAY: &[&str] = &[
        "Unable to connect to the server",
        "unable to connect to the server",
        "The connection to the server",
        "connection refused",
        "connection reset",
        "no route to host",
        "no such host",
        "network is unreachable",
        "TLS handshake timeout",
        "i/o timeout",
        "Client.Timeout",
        "deadline exceeded",
        "request canceled",
        "http2: ",
        "stream error: ",
        "use of closed network connection",
        "broken pipe",
        "EOF",
        "currently unable to handle the request",
        "Too many requests",
        "too many requests",
        "Retry-After",
        "Timeout: request did not complete",
        "the server was unable to return a response in the time allotted",
        // What kubectl makes of an answer that was cut short, or that is not an API server's.
        "couldn't get current server API group list",
        "transport connection broken",
        "malformed HTTP ",
        "cannot parse invalid wire-format data",
    ];
    let any = |parts: &[&str]| parts.iter().any(|part| error.contains(part));
    if any(&["x509:", "tls: failed to verify"]) {
        (Local, Some(CERTIFICATE))
    } else if any(&["server localhost:8080 was refused"]) {
        (Local, Some(NO_CLUSTER))
    } else if any(LOCAL) {
        (Local, Some(KUBECONFIG))
    } else if any(&["You must be logged in", "the server has asked for the client to provide"]) {
        (Forbidden, Some(LOG_IN))
    } else if any(&["no matches for kind"]) {
        (Refused, Some(NO_KIND))
    } else if any(AWAY) {
        (Unreachable, None)
    } else {
        (Refused, None)
    }
}

const GRANT: &str =
    "grant the right to Sentry's account: `kubectl auth can-i --list` shows what it has";
const LOG_IN: &str = "renew the credentials in the kubeconfig, or the pod's service account";
const TAKE_OVER: &str = "another field manager owns these fields: remove them there, set `force_conflicts: true`, or \
    take them over once with `kubectl apply --server-side --force-conflicts --field-manager=sentry`";
const NAMESPACE: &str = "create the namespace first: Sentry does not";
const NO_KIND: &str = "install the kind's CRD on the cluster, or correct `apiVersion` and `kind`";
const CERTIFICATE: &str = "put the cluster's CA into the kubeconfig (`certificate-authority-data`)";
const NO_CLUSTER: &str =
    "no kubeconfig names a cluster: set `kubeconfig`, or run Sentry inside the cluster";
const KUBECONFIG: &str = "`kubectl config get-contexts` shows what the kubeconfig holds";

/// A server's error without the words that say nothing here.
pub(super) fn plain(error: &str) -> String {
    let text = match server_reason(error) {
        Some(_) => error.split_once("): ").map_or(error, |(_, text)| text),
        None => error.strip_prefix("error: ").unwrap_or(error),
    };
    let quoted = ["error when creating \"STDIN\": ", "error validating \"STDIN\": "];
    quoted.iter().fold(text, |text, words| text.strip_prefix(words).unwrap_or(text)).to_owned()
}

/// Which error belongs to which of the objects that were not done: first those whose error names them, then, kubectl
/// going in order, the rest one by one; an error about all of them is given to each.
pub(super) fn assign(errors: &[String], missing: &[&ObjectRef]) -> Vec<Option<String>> {
    let mut free: Vec<&String> = errors.iter().collect();
    let mut assigned: Vec<Option<String>> = vec![None; missing.len()];
    for (slot, object) in assigned.iter_mut().zip(missing) {
        let name = format!("\"{}\"", object.name);
        let kind = object.kind.to_lowercase();
        let hit = |error: &&String| error.contains(&name) && error.to_lowercase().contains(&kind);
        if let Some(at) = free.iter().position(hit) {
            *slot = Some(free.remove(at).clone());
        }
    }
    let open = assigned.iter_mut().filter(|slot| slot.is_none());
    let last = free.last().copied().or(errors.last());
    for (place, slot) in open.enumerate() {
        *slot = free.get(place).copied().or(last).cloned();
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef {
            path: "a.yaml".into(),
            document: 1,
            line: 1,
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some("qa".into()),
            name: name.into(),
        }
    }

    #[test]
    fn only_whole_lines_acknowledge_an_object() {
        let (task, map) = (object("tekton.dev/v1", "Task", "t"), object("v1", "ConfigMap", "t"));
        let all = [&task, &map];
        let out = "task.tekton.dev/t serverside-applied\nconfigmap/t serverside-app";
        assert_eq!(acknowledged(out, &all), [true, false]);
        assert_eq!(acknowledged("configmap/t created (server dry run)\n", &all), [false, true]);
    }

    #[test]
    fn kinds_are_read_with_and_without_short_names() {
        let table = kinds(
            "configmaps  cm  v1  true  ConfigMap\nnodes v1 false Node\ntasks tekton.dev/v1 true Task\ngarbage\n",
        );
        assert_eq!(table.is_namespaced("", "ConfigMap"), Some(true));
        assert_eq!(table.is_namespaced("", "Node"), Some(false));
        assert_eq!(table.is_namespaced("tekton.dev", "Task"), Some(true));
        assert_eq!(table.is_namespaced("", "Task"), None);
    }

    #[test]
    fn each_text_has_its_kind() {
        use DeployErrorKind::{Forbidden, Local, Refused, Unreachable};
        for (text, kind) in [
            (
                "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?",
                Unreachable,
            ),
            ("Unable to connect to the server: net/http: TLS handshake timeout", Unreachable),
            ("Unable to connect to the server: EOF", Unreachable),
            (
                "error validating data: proto:\u{a0}cannot parse invalid wire-format data",
                Unreachable,
            ),
            (
                "error validating data: Get \"http://h/openapi/v2\": malformed HTTP status code \"neither\"",
                Unreachable,
            ),
            (
                "E1 memcache.go:265] \"Unhandled Error\" err=\"couldn't get current server API group list: Get \
                 \\\"http://h/apis\\\": net/http: HTTP/1.x transport connection broken: malformed MIME header\"",
                Unreachable,
            ),
            (
                "Unable to connect to the server: dial tcp 10.0.0.1:443: connect: no route to host",
                Unreachable,
            ),
            ("Error from server (ServiceUnavailable): the server is overloaded", Unreachable),
            ("Error from server (TooManyRequests): the server is overloaded", Unreachable),
            (
                "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": connection \
                 refused",
                Unreachable,
            ),
            ("Error from server (Invalid): Task \"EOF\" is invalid: connection refused", Refused),
            (
                "Error from server (Forbidden): tasks.tekton.dev \"t\" is forbidden: User \"s\" cannot patch",
                Forbidden,
            ),
            ("Error from server (Forbidden): pods \"p\" is forbidden: exceeded quota: q", Refused),
            ("error: You must be logged in to the server (Unauthorized)", Forbidden),
            ("error: context \"x\" does not exist", Local),
            ("error: stat /x: no such file or directory", Local),
            (
                "Unable to connect to the server: x509: certificate signed by unknown authority",
                Local,
            ),
            (
                "error: resource mapping not found for name: \"x\": no matches for kind \"K\" in version \"V\"",
                Refused,
            ),
        ] {
            assert_eq!(classify(text).0, kind, "{text}");
        }
    }

    #[test]
    fn manifests_are_taken_out_of_error_texts() {
        let text = r#"error: Object 'Kind' is missing in '{"data":{"p":["s3cr3t"]}}' and map[p:s3cr3t [x]] end"#;
        let clean = scrub(text);
        assert_eq!(clean, "error: Object 'Kind' is missing in '…' and map… end");
        assert_eq!(scrub(r#"cut {"data": {"p": "s3cr3t"#), "cut …");
        assert_eq!(scrub("plain ] } {x}"), "plain ] } {x}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = cut(&"é".repeat(3000));
        assert!(text.len() <= LONGEST + 3 && text.ends_with('…'));
    }

    #[test]
    fn errors_go_to_the_objects_they_name_and_the_rest_in_order() {
        let (a, b, c) = (
            object("tekton.dev/v1", "Task", "a"),
            object("tekton.dev/v1", "Task", "b"),
            object("tekton.dev/v1", "Task", "c"),
        );
        let errors = errors(
            "Warning: old\nError from server (BadRequest): no name\nError from server (NotFound): \
             tasks.tekton.dev \"a\" gone\n  * more\n",
        );
        assert_eq!(errors.len(), 2);
        let assigned = assign(&errors, &[&a, &b, &c]);
        assert!(assigned[0].as_deref().unwrap().ends_with("gone more"));
        assert!(assigned[1].as_deref().unwrap().ends_with("no name"));
        assert_eq!(assigned[1], assigned[2]);
    }

    #[test]
    fn a_vendors_version_is_read() {
        assert_eq!(client_minor(r#"{"clientVersion":{"minor":"32+"}}"#), Some(32));
        assert_eq!(client_minor("{}"), None);
    }
}
