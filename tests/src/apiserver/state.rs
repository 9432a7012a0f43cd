//! What the server holds: objects with their field owners, and the log of requests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use sentry_core::clock::{Clock as _, SystemClock};

use super::api::Call;

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
    /// The body, where it was JSON.
    pub body: Value,
    /// The status of the answer; 0 where there was none.
    pub status: u16,
}

impl SeenRequest {
    pub(super) fn of(call: &Call, status: u16) -> Self {
        Self {
            method: call.method.clone(),
            path: call.path.clone(),
            query: call.query.clone(),
            body: call.body.clone(),
            status,
        }
    }

    /// True for a dry run.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.query.get("dryRun").is_some_and(|all| all == "All")
    }

    /// True if it would change an object: not a read, a dry run or an access review.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != "GET"
            && !self.is_dry_run()
            && !self.path.contains("authorization.k8s.io/v1/self")
    }
}

/// An object's place: resource (`tasks.tekton.dev`), namespace, name.
pub(super) type Place = (String, String, String);

/// A stored object.
#[derive(Debug, Clone)]
struct Stored {
    object: Value,
    /// Per manager the leaf fields it owns.
    owners: BTreeMap<String, BTreeSet<String>>,
    born: u64,
}

/// Everything the server holds.
#[derive(Debug, Default)]
pub(super) struct State {
    objects: BTreeMap<Place, Stored>,
    revision: u64,
    pub(super) log: Vec<SeenRequest>,
    /// Kind and name of every committed creation.
    pub(super) created: Vec<(String, String)>,
}

/// What an apply came to.
#[derive(Debug)]
pub(super) enum Applied {
    Created(Value),
    Changed(Value),
    Same(Value),
    /// Other managers and the fields of theirs that would change.
    Conflict(Vec<(String, String)>),
}

impl State {
    pub(super) fn add_namespace(&mut self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.create(("namespaces".into(), String::new(), name.into()), object, "test", false);
    }

    pub(super) fn get(&self, place: &Place) -> Option<&Value> {
        self.objects.get(place).map(|stored| &stored.object)
    }

    pub(super) fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<&Value> {
        self.objects
            .iter()
            .filter(|((r, ns, _), _)| r == resource && namespace.is_none_or(|n| n == ns))
            .map(|(_, stored)| &stored.object)
            .collect()
    }

    pub(super) fn revision(&self) -> String {
        self.revision.to_string()
    }

    pub(super) fn all(&self) -> Vec<Value> {
        let mut all: Vec<_> = self.objects.values().collect();
        all.sort_by_key(|stored| stored.born);
        all.into_iter().map(|stored| stored.object.clone()).collect()
    }

    pub(super) fn edit(&mut self, kind: &str, name: &str, change: impl FnOnce(&mut Value)) -> bool {
        let hit = |stored: &&mut Stored| {
            stored.object["kind"] == kind && stored.object["metadata"]["name"] == name
        };
        let Some(stored) = self.objects.values_mut().find(hit) else { return false };
        self.revision += 1;
        change(&mut stored.object);
        stored.object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        true
    }

    /// Stores a new object, or only says what would be stored.
    pub(super) fn create(
        &mut self,
        place: Place,
        mut object: Value,
        manager: &str,
        dry_run: bool,
    ) -> Value {
        let serial = self.revision + 1;
        object["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{serial:012}"));
        object["metadata"]["creationTimestamp"] = json!(format!("{:.0}", SystemClock.now()));
        if dry_run {
            return object;
        }
        self.revision = serial;
        object["metadata"]["resourceVersion"] = json!(serial.to_string());
        let owners = BTreeMap::from([(manager.to_owned(), leaves(&object).into_keys().collect())]);
        self.created.push((text(&object["kind"]), place.2.clone()));
        self.objects.insert(place, Stored { object: object.clone(), owners, born: serial });
        object
    }

    /// Replaces an object after a patch that knows no owners.
    pub(super) fn replace(&mut self, place: &Place, object: Value, dry_run: bool) -> Value {
        let Some(stored) = self.objects.get_mut(place).filter(|_| !dry_run) else { return object };
        if stored.object != object {
            self.revision += 1;
            stored.object = object;
            stored.object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        }
        stored.object.clone()
    }

    pub(super) fn delete(&mut self, place: &Place) -> Option<Value> {
        self.revision += 1;
        self.objects.remove(place).map(|stored| stored.object)
    }

    /// Server-side apply: fields merge, lists are replaced whole, what the manager no longer sends it gives up.
    pub(super) fn apply(
        &mut self,
        place: Place,
        sent: &Value,
        manager: &str,
        force: bool,
        dry_run: bool,
    ) -> Applied {
        let Some(stored) = self.objects.get(&place) else {
            return Applied::Created(self.create(place, sent.clone(), manager, dry_run));
        };
        let (mut next, wanted) = (stored.clone(), leaves(sent));
        let live = leaves(&next.object);
        let mut conflicts = Vec::new();
        for (other, fields) in next.owners.iter_mut().filter(|(other, _)| *other != manager) {
            let changed = |field: &&String| {
                wanted.get(*field).is_some_and(|value| live.get(*field) != Some(value))
            };
            conflicts.extend(fields.iter().filter(changed).map(|f| (other.clone(), f.clone())));
            if force {
                fields.retain(|field| !wanted.contains_key(field));
            }
        }
        if !conflicts.is_empty() && !force {
            return Applied::Conflict(conflicts);
        }
        let kept: BTreeSet<_> = next
            .owners
            .iter()
            .filter(|(m, _)| *m != manager)
            .flat_map(|(_, f)| f)
            .cloned()
            .collect();
        let before = next.owners.insert(manager.to_owned(), wanted.keys().cloned().collect());
        for field in before.unwrap_or_default() {
            if !wanted.contains_key(&field) && !kept.contains(&field) {
                remove(&mut next.object, &field);
            }
        }
        merge(&mut next.object, sent);
        if next.object == stored.object {
            return Applied::Same(next.object);
        }
        if !dry_run {
            self.revision += 1;
            next.object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
            self.objects.insert(place, next.clone());
        }
        Applied::Changed(next.object)
    }
}

/// A JSON string's text, or nothing.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The leaf fields that a manager can own, as JSON pointers; a list is one leaf.
fn leaves(object: &Value) -> BTreeMap<String, Value> {
    fn walk(map: &Map<String, Value>, at: &str, found: &mut BTreeMap<String, Value>) {
        for (key, value) in map {
            let path = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            match value {
                Value::Object(inner) if !inner.is_empty() => walk(inner, &path, found),
                leaf => {
                    found.insert(path, leaf.clone());
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    if let Value::Object(map) = object {
        walk(map, "", &mut found);
    }
    found.retain(|path, _| {
        let owned = ["/metadata/labels/", "/metadata/annotations/"];
        let identity = path.starts_with("/metadata/") || path == "/apiVersion" || path == "/kind";
        !identity || owned.iter().any(|prefix| path.starts_with(prefix))
    });
    found
}

fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    if let Some(Value::Object(map)) = object.pointer_mut(parent) {
        map.remove(&key);
    }
}

/// Lays `sent` over `live`.
pub(super) fn merge(live: &mut Value, sent: &Value) {
    match (live, sent) {
        (Value::Object(live), Value::Object(sent)) => {
            for (key, value) in sent {
                merge(live.entry(key).or_insert(Value::Null), value);
            }
        }
        (live, sent) => *live = sent.clone(),
    }
}
