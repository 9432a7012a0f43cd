//! What each request is answered with.

use std::collections::BTreeMap;

use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::discovery;
use super::faults::Faults;
use super::kinds::{self, Kind};
use super::openapi;
use super::reads;
use super::runs;
use super::runs::Outcome;
use super::selector::Selector;
use super::state::{Applied, Place, State, merge_patch, text};
use super::watch::Watched;

/// One request, read.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) accept: String,
    pub(super) authorization: String,
    pub(super) content_type: String,
    pub(super) body: Value,
}

impl Call {
    pub(super) fn new(head: &Parts, body: &[u8]) -> Self {
        let header = |name: &str| {
            let value = head.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (method, uri) = (&head.method, &head.uri);
        Self {
            accept: header("accept"),
            authorization: header("authorization"),
            method: method.to_string(),
            path: uri.path().to_owned(),
            query: query(uri.query().unwrap_or_default()),
            content_type: header("content-type"),
            body: serde_json::from_slice(body).unwrap_or(Value::Null),
        }
    }

    fn dry_run(&self) -> bool {
        self.query.get("dryRun").is_some_and(|all| all == "All")
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.query.get(name).and_then(|text| text.parse().ok())
    }

    pub(super) fn on(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|on| on == "1" || on == "true")
    }

    pub(super) fn selector(&self) -> Option<Selector> {
        Selector::read(self.query.get("labelSelector").map_or("", String::as_str))
    }

    fn manager(&self) -> &str {
        self.query.get("fieldManager").map_or("unknown", String::as_str)
    }
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(key), unescape(value))
        })
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit =
                    || rest.next().and_then(|b| char::from(b).to_digit(16)).unwrap_or(0);
                bytes.push(u8::try_from(digit() * 16 + digit()).unwrap_or(b'?'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer, or its loss.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// JSON; a string is sent as it is.
    pub(super) body: Value,
    /// What is sent in its place, if it is no JSON.
    pub(super) bytes: Option<Vec<u8>>,
    /// The watch that is answered instead of a body.
    pub(super) watch: Option<Watched>,
    pub(super) retry_after: Option<u64>,
    pub(super) lost: bool,
}

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body,
            bytes: None,
            watch: None,
            retry_after: None,
            lost: false,
        }
    }

    /// A body as it is.
    pub(super) fn page(status: u16, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, ..Self::ok(Value::String(body)) }
    }

    fn created(body: Value) -> Self {
        Self { status: 201, ..Self::ok(body) }
    }

    fn lost() -> Self {
        Self { lost: true, status: 0, ..Self::ok(Value::Null) }
    }

    /// A `Status` object, as every error of a Kubernetes API is.
    pub(super) fn error(status: u16, reason: &str, message: &str) -> Self {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status,
        });
        Self { status, ..Self::ok(body) }
    }

    /// The same about one object of a kind.
    pub(super) fn about(
        status: u16,
        reason: &str,
        message: &str,
        (kind, name): (&Kind, &str),
    ) -> Self {
        let mut answer = Self::error(status, reason, message);
        answer.body["details"] = json!({"name": name, "group": kind.group, "kind": kind.plural});
        answer
    }

    /// A refusal of an object. An invalid one is told as real servers do it: by field, and kubectl repeats only these.
    fn refused(status: u16, kind: &Kind, name: &str, message: &str) -> Self {
        let reason = match status {
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            422 => "Invalid",
            400..500 => "BadRequest",
            _ => "InternalError",
        };
        let mut refused = Self::error(status, reason, message);
        if reason == "Invalid" {
            let cause = json!({"reason": "FieldValueInvalid", "message": message, "field": "spec"});
            refused.body["details"] =
                json!({"name": name, "group": kind.group, "kind": kind.kind, "causes": [cause]});
        }
        if let Some(held) = message.strip_prefix("Apply failed with 1 conflict: ") {
            let (message, field) = held.split_once(": ").unwrap_or((held, ""));
            let cause =
                json!({"reason": "FieldManagerConflict", "message": message, "field": field});
            refused.body["details"] = json!({"causes": [cause]});
        }
        refused
    }
}

/// What a path names: a kind, perhaps a namespace, perhaps an object, perhaps a part of it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) kind: &'static Kind,
    pub(super) namespace: String,
    name: Option<String>,
    /// `log` of a pod.
    part: Option<String>,
}

impl Target {
    pub(super) fn read(path: &str) -> Option<Self> {
        let words: Vec<_> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match words[..] {
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return None,
        };
        let (namespace, plural, name, part) = match *rest {
            ["namespaces", namespace, plural] => (namespace, plural, None, None),
            ["namespaces", namespace, plural, name] => (namespace, plural, Some(name), None),
            ["namespaces", namespace, "pods", name, "log"] => {
                (namespace, "pods", Some(name), Some("log"))
            }
            [plural] => ("", plural, None, None),
            [plural, name] => ("", plural, Some(name), None),
            _ => return None,
        };
        let kind = kinds::by_plural(group, version, plural)?;
        let (name, part) = (name.map(str::to_owned), part.map(str::to_owned));
        Some(Self { kind, namespace: namespace.to_owned(), name, part })
    }

    /// The verb that rights are granted for.
    pub(super) fn verb(&self, method: &str, watch: bool) -> Option<&'static str> {
        match (method, &self.name) {
            ("GET", Some(_)) => Some("get"),
            ("GET", None) if watch => Some("watch"),
            ("GET", None) => Some("list"),
            ("POST", _) => Some("create"),
            ("PATCH", _) => Some("patch"),
            ("DELETE", _) => Some("delete"),
            _ => None,
        }
    }

    /// `pipelineruns.tekton.dev`, `pods/log`.
    pub(super) fn resource(&self) -> String {
        let part = self.part.as_ref().map(|part| format!("/{part}")).unwrap_or_default();
        self.kind.resource() + &part
    }

    /// The namespace, if it is about one.
    pub(super) fn space(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    fn place(&self, name: &str) -> Place {
        (self.kind.resource(), self.namespace.clone(), name.to_owned())
    }

    pub(super) fn not_found(&self, name: &str) -> Answer {
        let message = format!("{} {name:?} not found", self.kind.resource());
        Answer::about(404, "NotFound", &message, (self.kind, name))
    }
}

/// Answers one request.
pub(super) fn answer(state: &mut State, faults: &Faults, call: &Call) -> Answer {
    if !faults.knows(call) {
        return Answer::error(401, "Unauthorized", "Unauthorized");
    }
    if faults.aggregates() && call.method == "GET" && call.accept.contains("APIGroupDiscoveryList")
    {
        let broken = faults.broken_group();
        if let Some(document) = discovery::aggregated(&call.path, broken.as_deref()) {
            return Answer::ok(document);
        }
    }
    if let Some(group) = faults.broken_group().filter(|_| call.method == "GET") {
        match discovery::with_broken(&call.path, &group) {
            Some(Ok(document)) => return Answer::ok(document),
            Some(Err(())) => {
                let message = "the server is currently unable to handle the request";
                return Answer::error(503, "ServiceUnavailable", message);
            }
            None => {}
        }
    }
    if let Some(document) = discovery::document(&call.path).filter(|_| call.method == "GET") {
        return Answer::ok(document);
    }
    if let Some(document) = openapi::third(&call.path).filter(|_| call.method == "GET") {
        return Answer::ok(document);
    }
    if call.path == "/openapi/v2" {
        return Answer { bytes: Some(openapi::document()), ..Answer::ok(Value::Null) };
    }
    let Some(target) = Target::read(&call.path) else {
        return Answer::error(404, "NotFound", "the server could not find the requested resource");
    };
    if !target.kind.stored {
        return review(faults, &target, call);
    }
    let Some(verb) = target.verb(&call.method, call.on("watch")) else {
        return Answer::error(405, "MethodNotAllowed", "the method is not allowed here");
    };
    if let Some(refused) = forbidden(state, faults, &target, verb, target.name.as_deref()) {
        return refused;
    }
    match (verb, &target.name) {
        ("get", Some(name)) if target.part.is_some() => reads::log(state, &target, call, name),
        ("get", Some(name)) => state
            .get(&target.place(name))
            .map_or_else(|| target.not_found(name), |object| Answer::ok(object.clone())),
        ("list", _) => reads::list(state, &target, call),
        ("watch", _) => reads::watch(target, call),
        ("delete", Some(name)) => delete(state, &target, call, name),
        _ => write(state, faults, &target, call),
    }
}

/// A deletion, if the object is the very one that is meant.
fn delete(state: &mut State, target: &Target, call: &Call, name: &str) -> Answer {
    let place = target.place(name);
    let Some(live) = state.get(&place) else { return target.not_found(name) };
    for field in ["uid", "resourceVersion"] {
        let wanted = &call.body["preconditions"][field];
        if !wanted.is_null() && *wanted != live["metadata"][field] {
            let message = format!("Precondition failed: {field} in precondition: {wanted}");
            return Answer::about(409, "Conflict", &message, (target.kind, name));
        }
    }
    state.delete(&place).map_or_else(|| target.not_found(name), Answer::ok)
}

fn forbidden(
    state: &mut State,
    faults: &Faults,
    target: &Target,
    verb: &str,
    name: Option<&str>,
) -> Option<Answer> {
    *state.rights.entry((verb.to_owned(), target.resource())).or_insert(0) += 1;
    if faults.may(verb, &target.resource()) {
        return None;
    }
    let (resource, kind) = (target.resource(), target.kind);
    let about = name.map(|name| format!(" {name:?}")).unwrap_or_default();
    let message = format!(
        "{resource}{about} is forbidden: User \"sentry\" cannot {verb} resource {:?} in API group {:?} in the \
         namespace {:?}",
        kind.plural, kind.group, target.namespace
    );
    Some(Answer::error(403, "Forbidden", &message))
}

/// A create or a patch: faults first, then the checks that dry runs share, then the commit.
fn write(state: &mut State, faults: &Faults, target: &Target, call: &Call) -> Answer {
    let dry_run = call.dry_run();
    if !dry_run && faults.drops_write() {
        return Answer::lost();
    }
    let name = target.name.clone().unwrap_or_else(|| given_name(state, &call.body));
    if let Some((status, message)) = faults.refusal(target.kind.kind, &name, dry_run) {
        return Answer::refused(status, target.kind, &name, &message);
    }
    let space = ("namespaces".to_owned(), String::new(), target.namespace.clone());
    if target.kind.namespaced && state.get(&space).is_none() {
        let message = format!("namespaces {:?} not found", target.namespace);
        let mut answer = Answer::error(404, "NotFound", &message);
        answer.body["details"] = json!({"name": target.namespace, "kind": "namespaces"});
        return answer;
    }
    let strict = call.query.get("fieldValidation").is_some_and(|how| how == "Strict");
    if let Some(field) = strict.then(|| unknown_field(target.kind, &call.body)).flatten() {
        let (kind, version) = (target.kind.kind, target.kind.version);
        let message = format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: unknown field \
             {field:?}"
        );
        return Answer::error(400, "BadRequest", &message);
    }
    let answer = match call.method.as_str() {
        "POST" => create(state, target, call, &name),
        _ => patch(state, faults, target, call, &name),
    };
    let committed = answer.status < 300 && !dry_run;
    if committed && faults.loses_response() { Answer::lost() } else { answer }
}

fn given_name(state: &State, body: &Value) -> String {
    match body["metadata"]["name"].as_str() {
        Some(name) => name.to_owned(),
        None => format!("{}{}", text(&body["metadata"]["generateName"]), state.revision()),
    }
}

fn unknown_field(kind: &Kind, body: &Value) -> Option<String> {
    let top = body.as_object()?.keys().find(|key| {
        let common = ["apiVersion", "kind", "metadata"].contains(&key.as_str());
        !common && !kind.top_level().contains(&key.as_str())
    });
    if let Some(key) = top {
        return Some(key.clone());
    }
    let spec = body["spec"].as_object().filter(|_| !kind.spec.is_empty())?;
    spec.keys().find(|key| !kind.spec.contains(&key.as_str())).map(|key| format!("spec.{key}"))
}

fn create(state: &mut State, target: &Target, call: &Call, name: &str) -> Answer {
    let place = target.place(name);
    if state.get(&place).is_some() {
        let message = format!("{} {name:?} already exists", target.kind.resource());
        return Answer::about(409, "AlreadyExists", &message, (target.kind, name));
    }
    let object = placed(target, &call.body, name);
    let made = state.create(place, object, call.manager(), call.dry_run());
    if state.ends_new_runs && !call.dry_run() {
        state.finish_run(name, Outcome::Succeeded);
    }
    Answer::created(made)
}

/// The object as it is stored: its name and namespace come from the request's path.
fn placed(target: &Target, body: &Value, name: &str) -> Value {
    let mut object = body.clone();
    object["metadata"]["name"] = json!(name);
    if target.kind.namespaced {
        object["metadata"]["namespace"] = json!(target.namespace);
    }
    object
}

fn patch(state: &mut State, faults: &Faults, target: &Target, call: &Call, name: &str) -> Answer {
    let place = target.place(name);
    if call.content_type.starts_with("application/apply-patch") {
        // Making an object by applying it needs the right to create as well.
        let new = state.get(&place).is_none();
        let refused = new.then(|| forbidden(state, faults, target, "create", Some(name))).flatten();
        if let Some(refused) = refused {
            return refused;
        }
        let force = call.query.get("force").is_some_and(|force| force == "true");
        let mut object = placed(target, &call.body, name);
        if let Some(outdated) = outdated(state, target, &mut object) {
            return outdated;
        }
        return match state.apply(place, &object, call.manager(), force, call.dry_run()) {
            Applied::Created(object) => Answer::created(object),
            Applied::Changed(object) | Applied::Same(object) => Answer::ok(object),
            Applied::Conflict(fields) => conflict(&target.kind.api_version(), &fields),
        };
    }
    let Some(live) = state.get(&place) else { return target.not_found(name) };
    let mut next = live.clone();
    merge_patch(&mut next, &call.body);
    if runs::is_done(live) && live["spec"] != next["spec"] {
        let message = format!(
            "admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the request: validation failed: \
             invalid value: Once the {} is complete, no updates are allowed: spec",
            target.kind.kind
        );
        return Answer::error(400, "BadRequest", &message);
    }
    let stop = runs::is_active(&next) && runs::is_cancelled(&next) && !call.dry_run();
    let answer = Answer::ok(state.replace(&place, next, call.dry_run()));
    if stop {
        state.finish_run(name, runs::Outcome::Cancelled);
    }
    answer
}

/// The refusal of an object that is sent in another version than it has. One that is not there is created, whatever version is
/// sent, as real servers do.
fn outdated(state: &State, target: &Target, sent: &mut Value) -> Option<Answer> {
    let version = sent["metadata"].as_object_mut()?.remove("resourceVersion")?;
    let name = sent["metadata"]["name"].as_str()?;
    let live = state.get(&target.place(name))?;
    (live["metadata"]["resourceVersion"] != version).then(|| {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: the object has been modified; please apply your changes to \
             the latest version and try again",
            target.resource()
        );
        Answer::about(409, "Conflict", &message, (target.kind, name))
    })
}

/// As real servers word it (`managedfields/internal/conflict.go` of k8s.io/apimachinery), for managers that wrote
/// without applying.
fn conflict(api_version: &str, fields: &[(String, String)]) -> Answer {
    let manager = |name: &str| format!("{name:?} using {api_version}");
    let path = |field: &str| field.replace('/', ".");
    let message = match fields {
        [(name, field)] => format!("1 conflict: conflict with {}: {}", manager(name), path(field)),
        _ => {
            let mut by_manager: BTreeMap<&str, String> = BTreeMap::new();
            for (name, field) in fields {
                by_manager.entry(name).or_default().push_str(&format!("\n- {}", path(field)));
            }
            let each = by_manager.iter();
            let each =
                each.map(|(name, paths)| format!("conflicts with {}:{paths}", manager(name)));
            format!("{} conflicts: {}", fields.len(), each.collect::<Vec<_>>().join("\n"))
        }
    };
    let cause = |(name, field): &(String, String)| {
        let message = format!("conflict with {}", manager(name));
        json!({"reason": "FieldManagerConflict", "message": message, "field": path(field)})
    };
    let mut answer = Answer::error(409, "Conflict", &format!("Apply failed with {message}"));
    answer.body["details"] = json!({"causes": fields.iter().map(cause).collect::<Vec<_>>()});
    answer
}

/// Answers access reviews from what [`Faults::grant_only`] left.
fn review(faults: &Faults, target: &Target, call: &Call) -> Answer {
    let mut body = call.body.clone();
    body["status"] = if target.kind.kind == "SelfSubjectAccessReview" {
        let asked = &call.body["spec"]["resourceAttributes"];
        let (group, resource) = (text(&asked["group"]), text(&asked["resource"]));
        let full = if group.is_empty() { resource } else { format!("{resource}.{group}") };
        json!({"allowed": faults.may(&text(&asked["verb"]), &full)})
    } else {
        json!({"resourceRules": [], "nonResourceRules": [], "incomplete": true})
    };
    Answer::created(body)
}
