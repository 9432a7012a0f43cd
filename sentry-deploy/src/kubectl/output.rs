//! Reads what kubectl writes. Pure; the texts are those of kubectl 1.20 and 1.32.

use std::collections::BTreeSet;

use sentry_core::deployer::KindTable;
use sentry_core::plan::ObjectRef;
use serde_json::Value;

use super::answer::plain;
use crate::api::object::group;

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

/// The table of `kubectl api-resources --no-headers`. The short names may be missing, so a line is read from its end:
/// `… APIVERSION NAMESPACED KIND`.
pub(super) fn kinds(stdout: &str) -> KindTable {
    fn row(line: &str) -> Option<(&str, &str, bool)> {
        let mut words = line.split_whitespace().rev();
        let (kind, namespaced, version) = (words.next()?, words.next()?, words.next()?);
        words.next()?;
        Some((version, kind, namespaced.parse().ok()?))
    }
    stdout.lines().filter_map(row).collect()
}

/// The groups that `kubectl api-resources` could not read: it names each version, `metrics.k8s.io/v1beta1: why`.
pub(super) fn unread_groups(errors: &[String]) -> BTreeSet<&str> {
    let version = |word: &str| word.starts_with('v') && word[1..].starts_with(char::is_numeric);
    let words = errors.iter().flat_map(|error| error.split([' ', ',', '"']));
    let named = words.filter_map(|word| word.strip_suffix(':')?.split_once('/'));
    named.filter(|(_, word)| version(word)).map(|(group, _)| group).collect()
}

/// True if a server's text says that it has nothing at the path.
pub(super) fn is_absent(error: &str) -> bool {
    error.contains("the server could not find the requested resource")
}

/// The minor version in `kubectl version --client -o json`; vendors append a plus sign.
pub(super) fn client_minor(stdout: &str) -> Option<u32> {
    let version: Value = serde_json::from_str(stdout).ok()?;
    let minor = version["clientVersion"]["minor"].as_str()?;
    minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Which error belongs to which of the objects that were not done, where that is certain: its text begins with the
/// object (`tasks.tekton.dev "unit" …`, `The Task "unit" is invalid`), or there is one error and one object.
pub(super) fn assign(errors: &[String], missing: &[&ObjectRef]) -> Vec<Option<String>> {
    if let ([error], [_]) = (errors, missing) {
        return vec![Some(error.clone())];
    }
    let own = |object: &&ObjectRef| errors.iter().find(|error| begins_with(error, object)).cloned();
    missing.iter().map(own).collect()
}

/// True if an error's text begins with an object.
fn begins_with(error: &str, object: &ObjectRef) -> bool {
    let text = plain(error);
    let named = format!(" \"{}\" ", object.name);
    let Some((before, _)) = text.split_once(named.as_str()) else { return false };
    let (kind, group) = (object.kind.to_lowercase(), group(&object.api_version));
    let word =
        before.strip_prefix("The ").map_or(before, |kind| kind.split('.').next().unwrap_or(kind));
    let (plural, of) = word.split_once('.').unwrap_or((word, ""));
    let is_kind = plural.to_lowercase().starts_with(&kind);
    !word.contains(' ') && is_kind && (of == group || before.starts_with("The "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::stderr;
    use sentry_core::deployer::Served;

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
        let yes = |namespaced| Served::Yes { namespaced };
        assert_eq!(table.served("v1", "ConfigMap"), yes(true));
        assert_eq!(table.served("v1", "Node"), yes(false));
        assert_eq!(table.served("tekton.dev/v1", "Task"), yes(true));
        assert_eq!(table.served("v1", "Task"), Served::Never);
    }

    #[test]
    fn an_error_goes_to_the_object_that_it_begins_with_and_to_no_other() {
        let (a, b) = (object("tekton.dev/v1", "Task", "a"), object("tekton.dev/v1", "Task", "b"));
        let (map, pod) = (object("v1", "ConfigMap", "a"), object("v1", "Pod", "a"));
        let all = [&a, &b, &map, &pod];
        let told = stderr::errors(
            "Warning: old\nError from server (BadRequest): no name, and not of Task \"b\" \nError from server \
             (NotFound): tasks.tekton.dev \"a\" gone\n  * more\nThe ConfigMap \"a\" is invalid: Pod \"a\" \n",
        );
        assert_eq!(told.len(), 3);
        let assigned = assign(&told, &all);
        assert!(assigned[0].as_deref().unwrap().ends_with("gone more"));
        assert!(assigned[2].as_deref().unwrap().starts_with("The ConfigMap"));
        assert_eq!((&assigned[1], &assigned[3]), (&None, &None));
        assert_eq!(assign(&told[..1], &[&b]), [Some(told[0].clone())]);
    }

    #[test]
    fn groups_that_could_not_be_read_are_told() {
        let errors = stderr::errors(
            "E1129 10:00:00.1 1 memcache.go:287] \"Unhandled Error\" err=\"couldn't get resource list for \
             metrics.k8s.io/v1beta1: the server is currently unable\"\nerror: unable to retrieve the complete list \
             of server APIs: metrics.k8s.io/v1beta1: the server is currently unable to handle the request, a.example/v2: no",
        );
        assert_eq!(Vec::from_iter(unread_groups(&errors)), ["a.example", "metrics.k8s.io"]);
        for other in ["error: https://host:1/x is away", "error: can't read config/values: no"] {
            assert_eq!(unread_groups(&[other.to_owned()]).len(), 0, "{other}");
        }
    }

    #[test]
    fn a_vendors_version_is_read() {
        assert_eq!(client_minor(r#"{"clientVersion":{"minor":"32+"}}"#), Some(32));
        assert_eq!(client_minor("{}"), None);
    }
}
