//! What the server holds: objects with their field owners, and the log of requests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use sentry_core::clock::{Clock as _, SystemClock};

use super::api::Call;
use super::{kinds, runs};

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
    /// What the client showed of who it is (the header `Authorization`).
    pub authorization: String,
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
            authorization: call.authorization.clone(),
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

/// One change of one object.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) revision: u64,
    pub(super) place: Place,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// Everything the server holds.
#[derive(Debug, Default)]
pub(super) struct State {
    objects: BTreeMap<Place, Stored>,
    revision: u64,
    /// Every change since the start, for watches.
    events: Vec<Event>,
    /// Who asks for what happened after an older revision is told that it is too old.
    pub(super) oldest: u64,
    /// How often every open watch was cut.
    pub(super) cuts: u64,
    /// Wakes watches after every change.
    pub(super) wake: watch::Sender<()>,
    /// What containers wrote, by namespace, pod and container.
    pub(super) logs: BTreeMap<(String, String, String), String>,
    /// True if a run that is made succeeds at once.
    pub(super) ends_new_runs: bool,
    most_active: usize,
    /// How often each right, a verb and a resource, was asked for by a request.
    pub(super) rights: BTreeMap<(String, String), usize>,
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

    pub(super) fn find(&self, hit: impl Fn(&Place, &Value) -> bool) -> Option<Place> {
        let mut all = self.objects.iter();
        all.find(|(place, stored)| hit(place, &stored.object)).map(|(place, _)| place.clone())
    }

    pub(super) fn revision(&self) -> String {
        self.revision.to_string()
    }

    pub(super) fn revision_number(&self) -> u64 {
        self.revision
    }

    /// What happened after a revision.
    pub(super) fn since(&self, revision: u64) -> impl Iterator<Item = &Event> {
        self.events[self.events.partition_point(|event| event.revision <= revision)..].iter()
    }

    /// Forgets what happened so far: who watches must list again.
    pub(super) fn expire(&mut self) {
        self.revision += 1;
        self.oldest = self.revision;
        self.wake.send_replace(());
    }

    /// Cuts every open watch.
    pub(super) fn cut(&mut self) {
        self.cuts += 1;
        self.wake.send_replace(());
    }

    /// The runs of one namespace, or of all, that go on.
    pub(super) fn active(&self, namespace: Option<&str>) -> Vec<&Place> {
        let here = |place: &Place| namespace.is_none_or(|namespace| namespace == place.1);
        let active = self.objects.iter().filter(|(p, s)| here(p) && runs::is_active(&s.object));
        active.map(|(place, _)| place).collect()
    }

    pub(super) fn most_active(&self) -> usize {
        self.most_active
    }

    /// Notes a change that was made under the current revision.
    fn happened(&mut self, place: Place, before: Option<Value>, after: Option<Value>) {
        if before.is_none() {
            self.most_active = self.most_active.max(self.active(Some(&place.1)).len());
        }
        self.events.push(Event { revision: self.revision, place, before, after });
        self.wake.send_replace(());
    }

    /// Puts an object in the place of another, under a new revision.
    fn store(&mut self, place: &Place, object: Value) -> Value {
        let Some(stored) = self.objects.get_mut(place) else { return object };
        self.revision += 1;
        let before = std::mem::replace(&mut stored.object, object);
        stored.object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let after = stored.object.clone();
        self.happened(place.clone(), Some(before), Some(after.clone()));
        after
    }

    pub(super) fn all(&self) -> Vec<Value> {
        let mut all: Vec<_> = self.objects.values().collect();
        all.sort_by_key(|stored| stored.born);
        all.into_iter().map(|stored| stored.object.clone()).collect()
    }

    pub(super) fn edit(&mut self, kind: &str, name: &str, change: impl FnOnce(&mut Value)) -> bool {
        let place = self.find(|place, object| object["kind"] == kind && place.2 == name);
        let Some((place, mut object)) =
            place.and_then(|p| Some((p.clone(), self.get(&p)?.clone())))
        else {
            return false;
        };
        change(&mut object);
        self.store(&place, object);
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
        if manager != runs::CONTROLLER {
            self.created.push((text(&object["kind"]), place.2.clone()));
        }
        self.objects.insert(place.clone(), Stored { object: object.clone(), owners, born: serial });
        self.happened(place, None, Some(object.clone()));
        object
    }

    /// Holds an object that another server held. What is there already stays.
    pub(super) fn restore(&mut self, mut object: Value) {
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let Some(kind) = kinds::by_kind(&version, &kind) else { return };
        let meta = &object["metadata"];
        let place = (kind.resource(), text(&meta["namespace"]), text(&meta["name"]));
        if self.objects.contains_key(&place) {
            return;
        }
        // No uid of an object to come, which the revision makes, is one that was given already.
        let given = text(&meta["resourceVersion"]).parse().unwrap_or_default();
        self.revision = self.revision.max(given) + 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let (owners, born) = (BTreeMap::new(), self.revision);
        self.objects.insert(place.clone(), Stored { object: object.clone(), owners, born });
        self.happened(place, None, Some(object));
    }

    /// Replaces an object after a patch that knows no owners.
    pub(super) fn replace(&mut self, place: &Place, object: Value, dry_run: bool) -> Value {
        if dry_run || self.get(place) == Some(&object) { object } else { self.store(place, object) }
    }

    /// Deletes an object and what has no other owner, as the garbage collector does.
    pub(super) fn delete(&mut self, place: &Place) -> Option<Value> {
        let object = self.objects.remove(place)?.object;
        self.revision += 1;
        self.happened(place.clone(), Some(object.clone()), None);
        while let Some(place) = self.orphan(&object["metadata"]["uid"]) {
            self.delete(&place);
        }
        Some(object)
    }

    /// An object that this one owned, and nothing else that is there does.
    fn orphan(&self, uid: &Value) -> Option<Place> {
        let live = |owner: &Value| {
            self.objects.values().any(|s| s.object["metadata"]["uid"] == owner["uid"])
        };
        self.find(|_, other| {
            let owners = other["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            let owners: Vec<&Value> = owners.collect();
            owners.iter().any(|owner| owner["uid"] == *uid) && !owners.into_iter().any(live)
        })
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
        if dry_run {
            return Applied::Changed(next.object);
        }
        let object = std::mem::take(&mut next.object);
        self.objects.entry(place.clone()).and_modify(|stored| stored.owners = next.owners);
        Applied::Changed(self.store(&place, object))
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

/// Lays `sent` over `live`, as a JSON merge patch (RFC 7386): null removes.
pub(super) fn merge_patch(live: &mut Value, sent: &Value) {
    let Value::Object(fields) = sent else {
        *live = sent.clone();
        return;
    };
    if !live.is_object() {
        *live = json!({});
    }
    for (key, value) in fields {
        match (value, live.as_object_mut()) {
            (Value::Null, Some(map)) => drop(map.remove(key)),
            (value, _) => merge_patch(&mut live[key], value),
        }
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
