//! References to tasks and pipelines: what the tree holds is put into the run, as Pipelines-as-Code does
//! (`pkg/resolve`), so that branches and watches which share a namespace never change each other's tests.
//!
//! Only references by name are looked at: `resolver:`, `bundle:`, ClusterTasks and custom tasks are the cluster's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::budget::{self, PlanBudget, Size};
use super::remotes::Overlay;

/// A task or pipeline by kind, namespace and name.
type Key = (&'static str, String, String);

/// What the tree holds.
#[derive(Debug, Default)]
pub(super) struct Library<'d> {
    objects: BTreeMap<Key, Held<'d>>,
}

#[derive(Debug)]
pub(super) struct Held<'d> {
    api_version: &'d str,
    object: &'d Value,
    size: Size,
    /// True if it may not go to the cluster.
    refused: bool,
}

impl<'d> Held<'d> {
    /// An object from elsewhere.
    pub(super) fn new(object: &'d Value, size: Size) -> Option<Self> {
        let api_version = object.get("apiVersion")?.as_str()?;
        Some(Self { api_version, object, size, refused: false })
    }

    pub(super) fn object(&self) -> &'d Value {
        self.object
    }
}

impl<'d> Library<'d> {
    /// Adds an object whose variables are replaced. Other kinds than those that are referred to are left out, and of
    /// two with one name the first stays.
    pub(super) fn add(&mut self, object: &'d Value, namespace: &str, refused: bool) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (Some(api_version), Some(name)) = (text("/apiVersion"), text("/metadata/name")) else {
            return;
        };
        let Some(kind) = referable(object) else { return };
        let held = Held { api_version, object, size: Size::of(object), refused };
        self.objects.entry((kind, namespace.to_owned(), name.to_owned())).or_insert(held);
    }

    fn get(&self, wanted: &Target<'_>, namespace: &str) -> Option<&Held<'d>> {
        self.objects.get(&(wanted.kind, namespace.to_owned(), wanted.name.to_owned()))
    }

    /// All that a run refers to by name, in the tree or not, and what that refers to.
    pub(super) fn reachable(
        &self,
        run: &Value,
        namespace: &str,
    ) -> BTreeSet<(&'static str, String)> {
        self.reachable_beside(run, namespace, &Overlay::default())
    }

    /// As [`Library::reachable`], without what the run gets from elsewhere, but with what that refers to.
    pub(super) fn reachable_beside(
        &self,
        run: &Value,
        namespace: &str,
        elsewhere: &Overlay<'_>,
    ) -> BTreeSet<(&'static str, String)> {
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting: Vec<&Value> = vec![run];
        while let Some(object) = waiting.pop() {
            for wanted in references(object) {
                let key = (wanted.kind, wanted.name.to_owned());
                if !seen.insert(key.clone()) {
                    continue;
                }
                if let Some(held) = elsewhere.get(&wanted) {
                    waiting.push(held.object);
                    continue;
                }
                found.insert(key);
                waiting.extend(self.get(&wanted, namespace).map(|held| held.object));
            }
        }
        found
    }
}

/// The kind of an object that others refer to by name.
pub(super) fn referable(object: &Value) -> Option<&'static str> {
    let kind = tekton_kind(object)?;
    ["Task", "Pipeline", "StepAction"].into_iter().find(|known| *known == kind)
}

/// The kind of an object of Tekton's own group.
pub(super) fn tekton_kind(object: &Value) -> Option<&str> {
    let api_version = object.get("apiVersion")?.as_str()?;
    let kind = object.get("kind")?.as_str()?;
    api_version.starts_with("tekton.dev/").then_some(kind)
}

/// A reference by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target<'v> {
    pub(super) kind: &'static str,
    pub(super) name: &'v str,
}

/// The reference under a field, if it is one by name to one of Tekton's own kinds.
pub(super) fn reference<'v>(
    holder: &'v Value,
    field: &str,
    kind: &'static str,
) -> Option<Target<'v>> {
    let reference = holder.get(field)?.as_object()?;
    let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
    let local = text("resolver").is_empty() && text("bundle").is_empty();
    let own = text("apiVersion").is_empty() || text("apiVersion").starts_with("tekton.dev/");
    let (wanted, name) = (text("kind"), text("name"));
    // A name with `$(…)` is known only when it runs.
    let plain = !name.is_empty() && !name.contains("$(");
    (local && own && plain && (wanted.is_empty() || wanted == kind))
        .then_some(Target { kind, name })
}

pub(super) fn list<'v>(holder: &'v Value, field: &str) -> &'v [Value] {
    holder.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The references of a run, a pipeline or a task.
fn references(object: &Value) -> Vec<Target<'_>> {
    let mut found = Vec::new();
    let Some(spec) = object.get("spec") else { return found };
    found.extend(reference(spec, "pipelineRef", "Pipeline"));
    found.extend(reference(spec, "taskRef", "Task"));
    for holder in [Some(spec), spec.get("pipelineSpec"), spec.get("taskSpec")].into_iter().flatten()
    {
        found.extend(steps(holder));
        for task in list(holder, "tasks").iter().chain(list(holder, "finally")) {
            found.extend(reference(task, "taskRef", "Task"));
            found.extend(task.get("taskSpec").into_iter().flat_map(steps));
        }
    }
    found
}

fn steps(spec: &Value) -> impl Iterator<Item = Target<'_>> {
    list(spec, "steps").iter().filter_map(|step| reference(step, "ref", "StepAction"))
}

/// What became of a run's references.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// What neither run nor tree holds, by kind and name.
    pub(super) missing: BTreeSet<(&'static str, String)>,
    /// Why the run may not start.
    pub(super) problems: BTreeSet<String>,
    pub(super) notes: BTreeSet<String>,
}

/// Puts what the tree holds into a run.
#[derive(Debug)]
pub(super) struct Inliner<'l, 'd> {
    pub(super) library: &'l Library<'d>,
    /// What comes before that, and is put in whatever `inline` says: it is nowhere else.
    pub(super) elsewhere: &'l Overlay<'d>,
    pub(super) namespace: &'l str,
    /// False: references stay, and are only looked up.
    pub(super) inline: bool,
    /// How much may still be put into runs.
    pub(super) room: &'l mut PlanBudget,
}

impl Inliner<'_, '_> {
    /// Resolves the references of a run whose variables are replaced.
    pub(super) fn resolve(&mut self, run: &mut Value) -> Resolved {
        let mut resolved = Resolved::default();
        let api_version =
            run.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(spec) = run.get_mut("spec").filter(|spec| spec.is_object()) {
            self.replace(
                spec,
                ("pipelineRef", "pipelineSpec"),
                "Pipeline",
                &api_version,
                &mut resolved,
            );
            self.replace(spec, ("taskRef", "taskSpec"), "Task", &api_version, &mut resolved);
            if let Some(pipeline) = spec.get_mut("pipelineSpec") {
                self.tasks(pipeline, &api_version, &mut resolved);
            }
        }
        // What stays by name is looked up as well, with all behind it.
        for (kind, name) in self.library.reachable(run, self.namespace) {
            match self.library.get(&Target { kind, name: &name }, self.namespace) {
                None => {
                    resolved.missing.insert((kind, name));
                }
                Some(held) if held.refused => {
                    resolved
                        .problems
                        .insert(format!("it refers to {kind} {name}, which is refused"));
                }
                Some(_) if kind == "StepAction" && self.inline => {
                    resolved.notes.insert(format!(
                        "StepAction {name} stays a reference, as Tekton can't inline it into a step: another \
                         branch or watch that delivers it to the namespace changes it for this run"
                    ));
                }
                Some(_) => {}
            }
        }
        resolved
    }

    fn tasks(&mut self, pipeline: &mut Value, api_version: &str, resolved: &mut Resolved) {
        for field in ["tasks", "finally"] {
            let Some(Value::Array(tasks)) = pipeline.get_mut(field) else { continue };
            for task in tasks {
                self.replace(task, ("taskRef", "taskSpec"), "Task", api_version, resolved);
            }
        }
    }

    /// Puts the object that `fields.0` refers to under `fields.1`, if the tree holds it.
    fn replace(
        &mut self,
        holder: &mut Value,
        fields: (&str, &str),
        kind: &'static str,
        api_version: &str,
        resolved: &mut Resolved,
    ) {
        let Some(wanted) = reference(holder, fields.0, kind) else { return };
        let elsewhere = self.elsewhere.get(&wanted);
        let here = || self.library.get(&wanted, self.namespace).filter(|_| self.inline);
        let Some(held) = elsewhere.or_else(here).filter(|held| !held.refused) else { return };
        let is_other = held.api_version != api_version;
        let newer = elsewhere.filter(|_| is_other && api_version == "tekton.dev/v1");
        let newer = newer.and_then(|held| as_v1(held.object));
        if newer.is_none() && is_other && is_bound_to_version(held.object) {
            if elsewhere.is_some() {
                resolved.problems.insert(format!(
                    "{kind} {} from elsewhere uses fields of {} that {api_version} does not have: use a newer version of it",
                    wanted.name, held.api_version
                ));
                return;
            }
            resolved.notes.insert(format!(
                "{kind} {} stays a reference: it uses fields of {} that {api_version} does not have",
                wanted.name, held.api_version
            ));
            return;
        }
        if !self.room.take(held.size) {
            resolved.problems.insert(budget::too_large());
            return;
        }
        let spec = newer.or_else(|| held.object.get("spec").cloned());
        let mut spec = spec.unwrap_or_else(|| json!({}));
        // A pipeline's own task takes labels and annotations; a TaskRun's and a PipelineRun's spec do not.
        if let (true, Some(spec)) = (holder.get("name").is_some(), spec.as_object_mut()) {
            embed_marks(held.object, spec);
        }
        if let Some(holder) = holder.as_object_mut() {
            holder.remove(fields.0);
            holder.insert(fields.1.to_owned(), spec);
        }
    }
}

fn embed_marks(object: &Value, spec: &mut Map<String, Value>) {
    let mut marks = Map::new();
    for field in ["labels", "annotations"] {
        let held = object.pointer(&format!("/metadata/{field}")).filter(|held| held.is_object());
        marks.extend(held.map(|held| (field.to_owned(), held.clone())));
    }
    if !marks.is_empty() {
        spec.insert("metadata".to_owned(), marks.into());
    }
}

/// The spec of an object of v1beta1 as v1 has it, where that is a matter of names alone: what a step may use is called
/// `computeResources` there (<https://tekton.dev/docs/pipelines/migrating-v1beta1-to-v1/>).
fn as_v1(object: &Value) -> Option<Value> {
    fn rename(container: &mut Value) {
        let Some(container) = container.as_object_mut() else { return };
        if let Some(resources) = container.remove("resources") {
            container.insert("computeResources".to_owned(), resources);
        }
    }
    fn task(spec: &mut Value) {
        for field in ["steps", "sidecars"] {
            let containers = spec.get_mut(field).and_then(Value::as_array_mut);
            containers.into_iter().flatten().for_each(rename);
        }
        spec.get_mut("stepTemplate").into_iter().for_each(rename);
    }
    let mut spec = object.get("spec")?.clone();
    task(&mut spec);
    for field in ["tasks", "finally"] {
        let tasks = spec.get_mut(field).and_then(Value::as_array_mut);
        tasks.into_iter().flatten().filter_map(|one| one.get_mut("taskSpec")).for_each(task);
    }
    let own = |spec: &Value| spec.get("resources").is_some();
    let tasks = list(&spec, "tasks").iter().chain(list(&spec, "finally"));
    let is_bound = own(&spec)
        || tasks.clone().any(|one| own(one) || one.pointer("/taskRef/bundle").is_some())
        || tasks.filter_map(|one| one.get("taskSpec")).any(own);
    (!is_bound).then_some(spec)
}

/// True if an object uses fields that v1 and v1beta1 do not have in common.
fn is_bound_to_version(object: &Value) -> bool {
    let Some(spec) = object.get("spec") else { return false };
    let has = |holder: &Value| {
        ["resources", "computeResources"].iter().any(|field| holder.get(field).is_some())
    };
    let inside = |spec: &Value| {
        let parts = list(spec, "steps").iter().chain(list(spec, "sidecars"));
        has(spec) || parts.chain(spec.get("stepTemplate")).any(has)
    };
    let bundle = |task: &Value| task.pointer("/taskRef/bundle").is_some();
    let mut tasks = list(spec, "tasks").iter().chain(list(spec, "finally"));
    inside(spec)
        || tasks.any(|task| has(task) || bundle(task) || task.get("taskSpec").is_some_and(inside))
}
