//! Which documents are objects, and which objects may go to the cluster.

use serde_json::{Map, Value};

use super::kinds::{self, Scope};
use super::{Context, variables};
use crate::deployer::Served;
use crate::watch::{AllowKinds, GroupKind, NamespacePolicy};

/// Fields that only a server sets; `kubectl` sends them and the server refuses or ignores them.
const SERVER_SET: &[&str] =
    &["uid", "resourceVersion", "managedFields", "creationTimestamp", "generation", "selfLink"];

/// An object that may go to the cluster.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) api_version: String,
    pub(super) group: String,
    pub(super) kind: String,
    /// `name`, or `generateName` without its trailing dash.
    pub(super) base: String,
    /// True if it is created once per key instead of being applied.
    pub(super) is_run: bool,
    /// Where it goes; `None` for an object of the whole cluster.
    pub(super) namespace: Option<String>,
}

impl Subject {
    /// True for Tekton's PipelineRun.
    pub(super) fn is_pipeline_run(&self) -> bool {
        self.group == "tekton.dev" && self.kind == "PipelineRun"
    }
}

/// The group of Pipelines-as-Code's own kinds.
pub(super) const PAC_GROUP: &str = "pipelinesascode.tekton.dev";

/// Why a document is nothing for the cluster, if it is not.
pub(super) fn nothing_for_the_cluster(value: &Value, context: &Context<'_>) -> Option<String> {
    not_an_object(value).or_else(|| {
        let map = value.as_object()?;
        let (group, kind) = (text(map, "apiVersion").map_or("", group_of), text(map, "kind")?);
        (group == PAC_GROUP && is_unserved(value, context))
            .then(|| format!("{kind} is for Pipelines-as-Code, which this cluster does not have"))
    })
}

fn not_an_object(value: &Value) -> Option<String> {
    let map = match value {
        Value::Null => return Some("the document is empty".to_owned()),
        Value::Object(map) => map,
        other => return Some(format!("the document is {}, not a Kubernetes object", what(other))),
    };
    if !["apiVersion", "kind", "metadata"].iter().any(|field| map.contains_key(*field)) {
        return Some("not a Kubernetes object: no apiVersion, kind or metadata".to_owned());
    }
    let group = text(map, "apiVersion").map_or("", group_of);
    if group == "kustomize.config.k8s.io" {
        return Some("a kustomization is for kustomize, not for the cluster".to_owned());
    }
    let template = ["apiVersion", "kind"].iter().filter_map(|field| text(map, field));
    let mut template = template.chain(name_in(value));
    template
        .any(|text| text.contains("{{ .") || text.contains("{{."))
        .then(|| "a Helm template: not an object until Helm renders it".to_owned())
}

/// True if the cluster was asked and does not have the kind.
pub(super) fn is_unserved(value: &Value, context: &Context<'_>) -> bool {
    let word = |field| value.as_object().and_then(|map| text(map, field)).unwrap_or_default();
    let served = context.kinds.map(|table| table.served(word("apiVersion"), word("kind")));
    matches!(served, Some(Served::Never | Served::In(_)))
}

/// True for what is created once per key instead of being applied.
pub(super) fn is_run(value: &Value) -> bool {
    let Some(map) = value.as_object() else { return false };
    let metadata = map.get("metadata").and_then(Value::as_object);
    let named = |field| metadata.is_some_and(|metadata| text(metadata, field).is_some());
    let kind = text(map, "kind").unwrap_or_default();
    let tekton = text(map, "apiVersion").map(group_of) == Some("tekton.dev");
    (tekton && matches!(kind, "PipelineRun" | "TaskRun" | "CustomRun"))
        || (!named("name") && named("generateName"))
}

/// A text field of a mapping, if it is one and not empty.
pub(super) fn text<'m>(map: &'m Map<String, Value>, field: &str) -> Option<&'m str> {
    map.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The name in a document (`generateName` with its dash), if it can be read.
pub(super) fn name_in(value: &Value) -> Option<&str> {
    let metadata = value.get("metadata")?.as_object()?;
    text(metadata, "name").or_else(|| text(metadata, "generateName"))
}

/// The namespace that a document which nobody checked would go to.
pub(super) fn namespace_of<'v>(value: &'v Value, context: &Context<'v>) -> &'v str {
    let metadata = value.get("metadata").and_then(Value::as_object);
    let written = metadata.and_then(|metadata| text(metadata, "namespace"));
    let is_free = context.watch.reading.namespace_policy != NamespacePolicy::Override;
    written.filter(|_| is_free).unwrap_or(context.watch.cluster.namespace.as_str())
}

/// The metadata without what only a server may set; the names of what was removed and held something.
pub(super) fn drop_server_set(metadata: &mut Map<String, Value>) -> Vec<&'static str> {
    let held = |field: &&&str| metadata.remove(**field).is_some_and(|old| !old.is_null());
    SERVER_SET.iter().filter(held).copied().collect()
}

/// Checks an object whose variables are replaced.
///
/// # Errors
/// All that is wrong with it, each with its remedy.
pub(super) fn check(value: &Value, context: &Context<'_>) -> Result<Subject, Vec<String>> {
    let empty = Map::new();
    let object = value.as_object().unwrap_or(&empty);
    let mut check = Check { problems: Vec::new() };
    check.spelling(object, &["apiVersion", "kind", "metadata", "items"], "");
    let given = check.metadata(object);
    let metadata = given.unwrap_or(&empty);
    check.spelling(metadata, &["name", "generateName", "namespace"], "metadata.");
    let api_version = check.required(object, "apiVersion");
    let kind = check.required(object, "kind");
    check.list(object, kind);
    check.string_maps(metadata);
    let group = group_of(api_version);
    if !api_version.is_empty() && !is_api_version(api_version) {
        check.say(format!(
            "`apiVersion: {api_version}` is not `version` or `group/version`: correct it"
        ));
    }
    if !kind.is_empty() && !is_kind(kind) {
        check.say(format!("`kind: {kind}` is not the name of a kind: correct it"));
    }
    let is_run = is_run(value);
    let base = given.map(|metadata| check.name(metadata, group, is_run)).unwrap_or_default();
    let namespaced = check.kind(api_version, kind, context);
    let namespace = check.namespace(metadata, kind, namespaced, context);
    if !check.problems.is_empty() {
        return Err(check.problems);
    }
    Ok(Subject {
        api_version: api_version.to_owned(),
        group: group.to_owned(),
        kind: kind.to_owned(),
        base,
        is_run,
        namespace,
    })
}

struct Check {
    problems: Vec<String>,
}

impl Check {
    fn say(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn metadata<'m>(&mut self, object: &'m Map<String, Value>) -> Option<&'m Map<String, Value>> {
        match object.get("metadata") {
            Some(Value::Object(metadata)) => return Some(metadata),
            None | Some(Value::Null) => {
                self.say("`metadata` is missing: give the object a name".to_owned());
            }
            Some(other) => self.say(format!(
                "`metadata` is {}, not a mapping: write `metadata: {{name: …}}`",
                what(other)
            )),
        }
        None
    }

    /// Some readers take a field in another case for the field itself: then another object would be sent than checked.
    fn spelling(&mut self, map: &Map<String, Value>, fields: &[&str], at: &str) {
        for key in map.keys() {
            if let Some(field) = fields.iter().find(|f| is_read_as(key, f) && key != *f) {
                self.say(format!("`{at}{key}` is a misspelling of `{at}{field}`: correct it"));
            }
        }
    }

    fn required<'m>(&mut self, map: &'m Map<String, Value>, field: &str) -> &'m str {
        match map.get(field) {
            Some(Value::String(text)) if text.contains("{{") => {
                self.unresolved(field, text);
                ""
            }
            Some(Value::String(text)) if !text.is_empty() => text,
            None | Some(Value::Null | Value::String(_)) => {
                self.say(format!("`{field}` is missing: add it, or move the file elsewhere"));
                ""
            }
            Some(other) => {
                self.say(format!("`{field}` is {}, not a string: quote it", what(other)));
                ""
            }
        }
    }

    fn unresolved(&mut self, field: &str, text: &str) {
        let name = variables::first_in(text).unwrap_or(text);
        self.say(format!(
            "`{field}` uses `{{{{ {name} }}}}`, which nothing sets: correct the name or set it \
             under the watch's `variables`"
        ));
    }

    /// kubectl would send what is inside a list, each as an object of its own.
    fn list(&mut self, object: &Map<String, Value>, kind: &str) {
        if object.contains_key("items") {
            self.say("a list of objects (`items`): write them as separate documents".into());
        } else if kind.ends_with("List") {
            self.say(format!(
                "`kind: {kind}` is a list of objects: write them as separate documents"
            ));
        }
    }

    fn string_maps(&mut self, metadata: &Map<String, Value>) {
        for field in ["labels", "annotations"] {
            match metadata.get(field) {
                None | Some(Value::Null) => {}
                Some(Value::Object(map)) => {
                    // The API server reads null as an empty text.
                    let wrong = |value: &Value| !value.is_string() && !value.is_null();
                    for (key, value) in map.iter().filter(|(_, value)| wrong(value)) {
                        let what = what(value);
                        self.say(format!(
                            "`metadata.{field}`: the value of `{key}` is {what}, not a string: quote it"
                        ));
                    }
                }
                Some(other) => {
                    let what = what(other);
                    self.say(format!("`metadata.{field}` is {what}, not a mapping: correct it"));
                }
            }
        }
    }

    /// The name, or what a run's name is made of.
    fn name(&mut self, metadata: &Map<String, Value>, group: &str, is_run: bool) -> String {
        for field in ["name", "generateName"] {
            match metadata.get(field) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if text.is_empty() => {}
                Some(Value::String(text)) if text.contains("{{") => {
                    self.unresolved(&format!("metadata.{field}"), text);
                    return String::new();
                }
                Some(Value::String(text)) if is_run => {
                    return text.strip_suffix('-').unwrap_or(text).to_owned();
                }
                Some(Value::String(text)) => {
                    if let Some(problem) = name_problem(text, group) {
                        self.say(format!("`metadata.name: {text}` {problem}: choose another name"));
                    }
                    return text.clone();
                }
                Some(other) => {
                    let what = what(other);
                    self.say(format!("`metadata.{field}` is {what}, not a string: quote it"));
                    return String::new();
                }
            }
        }
        self.say("`metadata.name` or `metadata.generateName` is missing: add one".into());
        String::new()
    }

    /// Whether the kind exists and may be applied. True if it lives in a namespace.
    fn kind(&mut self, api_version: &str, kind: &str, context: &Context<'_>) -> bool {
        if kind.is_empty() {
            return true;
        }
        let Some(namespaced) = self.scope(api_version, kind, context) else { return true };
        self.allowed(group_of(api_version), kind, namespaced, &context.watch.allow_kinds);
        namespaced
    }

    fn allowed(&mut self, group: &str, kind: &str, namespaced: bool, allowed: &AllowKinds) {
        let written = kinds::written(group, kind);
        match allowed {
            AllowKinds::Listed(allowed) if !allowed.contains(&GroupKind::new(group, kind)) => {
                self.say(format!(
                    "{written} is not among the watch's `allow_kinds`: add it there or remove the \
                     document"
                ));
            }
            AllowKinds::Namespaced if !namespaced => self.say(format!(
                "{written} is cluster-scoped: name it in the watch's `allow_kinds` or remove the \
                 document"
            )),
            _ => {}
        }
    }

    /// Whether objects of a kind live in a namespace; nothing if there is no such kind, which is said.
    fn scope(&mut self, api_version: &str, kind: &str, context: &Context<'_>) -> Option<bool> {
        let group = group_of(api_version);
        let built_in = match kinds::scope(group, kind) {
            Scope::Namespaced => Some(true),
            Scope::Cluster => Some(false),
            Scope::Missing => None,
        };
        let served = context.kinds.map(|table| table.served(api_version, kind));
        match served {
            Some(Served::Yes { namespaced } | Served::Unknown { namespaced: Some(namespaced) }) => {
                return Some(namespaced);
            }
            Some(Served::In(versions)) => {
                self.say(format!(
                    "{kind}: {api_version} is not served by this cluster: it serves {}; correct apiVersion",
                    versions.join(", ")
                ));
                return None;
            }
            None if built_in.is_some() => return built_in,
            // If the group could not be read, it is unknown whether it lacks the kind.
            Some(Served::Unknown { namespaced: None }) => return Some(built_in.unwrap_or(true)),
            None | Some(Served::Never) => {}
        }
        let what = if context.kinds.is_some() { "on this cluster" } else { "in Kubernetes" };
        let place = if group.is_empty() { "the core group" } else { group };
        self.say(format!(
            "no such kind {what}: {kind} of {place}; correct apiVersion and kind, or install what \
             defines it"
        ));
        None
    }

    /// The namespace it goes to.
    fn namespace(
        &mut self,
        metadata: &Map<String, Value>,
        kind: &str,
        namespaced: bool,
        context: &Context<'_>,
    ) -> Option<String> {
        let own = context.watch.cluster.namespace.as_str();
        match metadata.get("namespace") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(_) if !namespaced => {
                self.say(format!("{kind} is cluster-scoped: remove `metadata.namespace`"));
            }
            Some(Value::String(text)) if text == own => {}
            Some(Value::String(text)) => match &context.watch.reading.namespace_policy {
                NamespacePolicy::Override => {}
                NamespacePolicy::Listed(listed) if listed.iter().any(|n| n.as_str() == text) => {
                    return Some(text.clone());
                }
                _ if text.contains("{{") => self.unresolved("metadata.namespace", text),
                NamespacePolicy::Listed(_) => self.say(format!(
                    "`metadata.namespace: {text}` is neither the watch's namespace `{own}` nor \
                     listed in its `namespace_policy`: correct it or list it"
                )),
                NamespacePolicy::Refuse => self.say(format!(
                    "`metadata.namespace: {text}` is not the watch's namespace `{own}`: remove it, \
                     use \"{{{{ target_namespace }}}}\", or set `namespace_policy`"
                )),
            },
            Some(other) => {
                let what = what(other);
                self.say(format!("`metadata.namespace` is {what}, not a string: quote it"));
            }
        }
        namespaced.then(|| own.to_owned())
    }
}

/// True if Go's JSON takes the key for the field: letters are compared folded, and to two of ASCII's something foreign
/// folds as well (Go's encoding/json, `foldRune`).
fn is_read_as(key: &str, field: &str) -> bool {
    let ascii = |c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(ascii).eq(field.chars().map(ascii))
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

fn is_api_version(text: &str) -> bool {
    let (group, version) = text.split_once('/').unwrap_or(("x", text));
    is_subdomain(group) && is_subdomain(version) && !version.contains('.')
}

/// What a custom kind may be called, which is all that the built-in ones are (CustomResourceDefinition, `spec.names.kind`:
/// in lower case a label by RFC 1035).
fn is_kind(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    text.len() <= 63
        && text.bytes().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with('-')
}

/// What keeps a text from being an object's name.
fn name_problem(name: &str, group: &str) -> Option<&'static str> {
    // Roles and bindings alone may be called what fits into a URL, such as `system:reader`.
    if group == "rbac.authorization.k8s.io" {
        let fits = name != "." && name != ".." && !name.contains(['/', '%']);
        let plain = !name.chars().any(char::is_control);
        return (!(fits && plain))
            .then_some("contains `/`, `%` or a control character, or is a dot");
    }
    (!is_subdomain(name)).then_some(
        "must be at most 253 characters of a-z, 0-9, `-` and `.`, with a letter or digit at the \
         ends of each part",
    )
}

/// A DNS subdomain (RFC 1123), as Kubernetes checks names.
pub(super) fn is_subdomain(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |part: &str| {
        !part.is_empty()
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
