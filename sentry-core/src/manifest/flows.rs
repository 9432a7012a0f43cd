//! Where a value that a pusher of A chooses would become program text: in Tekton's objects, `$(params.x)` is put into a
//! `script`, an argument or an expression as it is, as a variable is. Only an environment variable stays a value there.
//!
//! Looked at are documents as they are written, with the variables still in them. What flows through results is not
//! known before it runs.

mod program;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::program::{Container, programs};
use self::scope::{Chosen, Scope};
use super::refs::Held;
use super::remotes::Overlay;
use super::{MAX_NOTES, refs};

/// What may be looked at for all documents: tasks, steps, params and, by so many bytes, texts. A plan with more is
/// refused anyway.
const MAX_LOOKS: usize = 1_000_000;
const BYTES_OF_A_LOOK: usize = 64;
/// Pipelines inside pipelines.
const MAX_DEPTH: usize = 8;

/// Where a value becomes program text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    /// The variable.
    pub(super) variable: String,
    /// The place: "the `script` of the step build".
    pub(super) place: String,
    /// The param that carries it there.
    pub(super) param: Option<String>,
    /// True for an expression of Tekton's, which has no other way to take a value.
    pub(super) is_expression: bool,
}

impl Flow {
    /// What it means, and the remedy.
    pub(super) fn told(&self) -> String {
        let Self { variable, place, param, .. } = self;
        let through = param.as_ref().map(|param| format!(", through the param {param},"));
        let through = through.unwrap_or_default();
        let remedy = if self.is_expression {
            "anyone who chooses its value decides what runs; write it with `input`, `operator` and `values`"
        } else {
            "anyone who chooses its value can run commands; pass it through `env` and quote the \
             environment variable"
        };
        format!("`{{{{ {variable} }}}}`{through} becomes code in {place}: {remedy}")
    }
}

/// The documents of a tree by kind and name.
#[derive(Debug, Default)]
pub(super) struct Tree<'d> {
    objects: BTreeMap<(&'static str, &'d str), &'d Value>,
    /// True if any document uses what a pusher chooses: else nothing flows.
    is_chosen_from: bool,
}

impl<'d> Tree<'d> {
    /// Adds a document as it is written.
    pub(super) fn add(&mut self, raw: &'d Value) {
        self.is_chosen_from |= scope::uses_chosen(raw);
        let name = raw.pointer("/metadata/name").and_then(Value::as_str);
        if let (Some(kind), Some(name)) = (refs::referable(raw), name) {
            self.objects.entry((kind, name)).or_insert(raw);
        }
    }

    /// A document as it is written.
    pub(super) fn raw(&self, kind: &'static str, name: &str) -> Option<&'d Value> {
        self.objects.get(&(kind, name)).copied()
    }

    /// All flows of a document, with those of what it refers to, here or elsewhere. `None` if there is too much to look at.
    pub(super) fn flows(
        &self,
        raw: &Value,
        elsewhere: &Overlay<'_>,
        looks: &mut Looks,
    ) -> Option<BTreeSet<Flow>> {
        if !self.is_chosen_from {
            return Some(BTreeSet::new());
        }
        let mut walk =
            Walk { tree: self, elsewhere, looks, is_referred_to: false, found: BTreeSet::new() };
        walk.document(raw)?;
        Some(walk.found)
    }
}

/// How much may still be looked at.
#[derive(Debug)]
pub(super) struct Looks(usize);

impl Looks {
    pub(super) fn new() -> Self {
        Self(MAX_LOOKS)
    }

    fn take(&mut self, looks: usize) -> Option<()> {
        self.0 = self.0.checked_sub(looks)?;
        Some(())
    }
}

/// `None` of its methods: there is too much to look at.
struct Walk<'w, 'd> {
    tree: &'w Tree<'d>,
    elsewhere: &'w Overlay<'w>,
    looks: &'w mut Looks,
    /// True inside what the document refers to: that tells by itself what stands in it.
    is_referred_to: bool,
    found: BTreeSet<Flow>,
}

impl Walk<'_, '_> {
    fn document(&mut self, raw: &Value) -> Option<()> {
        let Some(spec) = raw.get("spec") else { return self.anything(raw) };
        let given = || Scope::default().with_values(refs::list(spec, "params"));
        let nothing = Scope::default();
        let name = raw.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        match refs::tekton_kind(raw) {
            Some("PipelineRun") => self.pipeline_of(spec, &given(), 0),
            Some("TaskRun") => self.task_of(spec, &given(), ""),
            Some("Pipeline") => self.pipeline(spec, &nothing, 0),
            Some("Task") => self.task(spec, &nothing, &format!(" of the Task {name}")),
            Some("StepAction") => {
                let scope = nothing.with_defaults(spec);
                self.container(Container { own: spec, other: None }, &scope, &step_action(name))
            }
            _ => self.anything(raw),
        }
    }

    /// A document that Tekton does not read, or not as one of its own: containers, wherever they stand.
    fn anything(&mut self, value: &Value) -> Option<()> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.anything(item)),
            Value::Object(map) => {
                let container = Container { own: value, other: None };
                self.container(container, &Scope::default(), "a container")?;
                map.values().try_for_each(|item| self.anything(item))
            }
            _ => Some(()),
        }
    }

    /// The spec that stands under a field, or that a reference leads to, with the name it is referred to by.
    fn spec_of<'v>(
        &self,
        holder: &'v Value,
        field: &str,
        reference: &str,
        kind: &'static str,
    ) -> Option<(&'v Value, Option<&'v str>)>
    where
        Self: 'v,
    {
        if let Some(spec) = holder.get(field) {
            return Some((spec, None));
        }
        self.referred(holder, reference, kind).map(|(spec, name)| (spec, Some(name)))
    }

    fn referred<'v>(
        &self,
        holder: &'v Value,
        reference: &str,
        kind: &'static str,
    ) -> Option<(&'v Value, &'v str)>
    where
        Self: 'v,
    {
        let wanted = refs::reference(holder, reference, kind)?;
        let elsewhere = self.elsewhere.get(&wanted).map(Held::object);
        let held = elsewhere.or_else(|| self.tree.raw(wanted.kind, wanted.name))?;
        Some((held.get("spec")?, wanted.name))
    }

    /// Does something inside of what may be referred to.
    fn inside(
        &mut self,
        is_referred_to: bool,
        look: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let outside = self.is_referred_to;
        self.is_referred_to |= is_referred_to;
        let outcome = look(self);
        self.is_referred_to = outside;
        outcome
    }

    /// The pipeline that a run or a pipeline's task holds or refers to.
    fn pipeline_of(&mut self, holder: &Value, scope: &Scope, depth: usize) -> Option<()> {
        match self.spec_of(holder, "pipelineSpec", "pipelineRef", "Pipeline") {
            Some((spec, name)) => {
                self.inside(name.is_some(), |walk| walk.pipeline(spec, scope, depth))
            }
            None => Some(()),
        }
    }

    fn pipeline(&mut self, spec: &Value, scope: &Scope, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let scope = scope.with_defaults(spec);
        for task in refs::list(spec, "tasks").iter().chain(refs::list(spec, "finally")) {
            let name = name_of(task);
            self.looks.take(1 + scope.size())?;
            self.when(task, &scope, &format!("the task {name}"))?;
            let inner = scope.with_task(task);
            self.task_of(task, &inner, &format!(" of the task {name}"))?;
            self.pipeline_of(task, &inner, depth + 1)?;
        }
        Some(())
    }

    /// The task that a run or a pipeline's task holds or refers to.
    fn task_of(&mut self, holder: &Value, scope: &Scope, of_task: &str) -> Option<()> {
        match self.spec_of(holder, "taskSpec", "taskRef", "Task") {
            Some((spec, None)) => self.task(spec, scope, of_task),
            Some((spec, Some(name))) => {
                self.inside(true, |walk| walk.task(spec, scope, &format!(" of the Task {name}")))
            }
            None => Some(()),
        }
    }

    fn task(&mut self, spec: &Value, scope: &Scope, of_task: &str) -> Option<()> {
        let mut scope = scope.with_defaults(spec);
        // `inputs.params`, as Tekton had it first.
        if let Some(inputs) = spec.get("inputs") {
            scope = scope.with_defaults(inputs);
        }
        for (field, what) in [("steps", "step"), ("sidecars", "sidecar")] {
            let template = spec.get("stepTemplate").filter(|_| field == "steps");
            for (index, step) in refs::list(spec, field).iter().enumerate() {
                let name = match name_of(step) {
                    "" => format!("the {what} {}{of_task}", index + 1),
                    own => format!("the {what} {own}{of_task}"),
                };
                self.container(Container { own: step, other: template }, &scope, &name)?;
                self.when(step, &scope, &name)?;
                self.step_action(step, &scope)?;
            }
        }
        Some(())
    }

    /// The step action that a step refers to: it sees the params that the step gives it, and no others.
    fn step_action(&mut self, step: &Value, scope: &Scope) -> Option<()> {
        let Some((spec, name)) = self.referred(step, "ref", "StepAction") else {
            return Some(());
        };
        let scope = scope.given(refs::list(step, "params")).with_defaults(spec);
        let container = Container { own: spec, other: Some(step) };
        self.inside(true, |walk| walk.container(container, &scope, &step_action(name)))
    }

    /// A container's programs: its script, and what a shell or another interpreter is given to run.
    fn container(&mut self, container: Container<'_>, scope: &Scope, name: &str) -> Option<()> {
        self.looks.take(1 + container.words())?;
        for program in programs(container) {
            self.looks.take(program.text.len() / BYTES_OF_A_LOOK)?;
            let mut chosen = scope.chosen_in(program.text);
            if program.expands_environment && program.text.contains("$(") {
                self.looks.take(container.env().count())?;
                chosen.extend(scope.chosen_in_environment(container, program.text));
            }
            self.found(chosen, &format!("the `{}` of {name}", program.field), false);
        }
        Some(())
    }

    /// Tekton puts params into the text of an expression, too, and evaluates it then.
    fn when(&mut self, holder: &Value, scope: &Scope, name: &str) -> Option<()> {
        for when in refs::list(holder, "when") {
            let text = when.get("cel").and_then(Value::as_str).unwrap_or_default();
            self.looks.take(1 + text.len() / BYTES_OF_A_LOOK)?;
            self.found(scope.chosen_in(text), &format!("the `cel` of a `when` of {name}"), true);
        }
        Some(())
    }

    fn found(&mut self, chosen: Chosen, place: &str, is_expression: bool) {
        // More than can be told need not be kept; one expression is enough to refuse.
        let most = MAX_NOTES + usize::from(is_expression);
        for (variable, param) in chosen.into_iter().take(most.saturating_sub(self.found.len())) {
            if is_expression || param.is_some() || !self.is_referred_to {
                self.found.insert(Flow { variable, place: place.to_owned(), param, is_expression });
            }
        }
    }
}

fn step_action(name: &str) -> String {
    format!("the StepAction {name}")
}

fn name_of(holder: &Value) -> &str {
    holder.get("name").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_looked_at_is_counted_by_tasks_params_words_and_bytes() {
        let chosen = |name: &str| json!({"name": name, "value": "{{ sender }}"});
        let run = |params: Value, spec: Value| {
            json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "r"},
                "spec": {"params": params, "pipelineSpec": spec}})
        };
        let task = |step: Value| json!({"tasks": [{"name": "t", "taskSpec": {"steps": [step]}}]});
        let script = |bytes: usize| task(json!({"script": "x".repeat(bytes)}));
        let when =
            |bytes: usize| json!({"tasks": [{"name": "t", "when": [{"cel": "x".repeat(bytes)}]}]});
        let env = json!([{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]);
        let line = task(json!({"command": ["sh", "-c"], "args": ["$(A)"], "env": env}));
        let two = json!([chosen("a"), chosen("b")]);
        for (object, looks) in [
            // A task and what its scope holds; a container.
            (run(json!([chosen("a")]), json!({"tasks": [{"name": "t"}]})), 1 + 1),
            (run(two.clone(), json!({"tasks": [{"name": "t"}, {"name": "u"}]})), 2 * (1 + 2)),
            (run(two.clone(), script(0)), 3 + 1),
            (run(two.clone(), script(640)), 3 + 1 + 10),
            (run(two.clone(), when(640)), 3 + 1 + 10),
            // Three words, three programs of less than 64 bytes, of which one may hold the environment.
            (run(two, line), 3 + 1 + 3 + 2),
        ] {
            let mut tree = Tree::default();
            tree.add(&object);
            let mut left = Looks::new();
            tree.flows(&object, &Overlay::default(), &mut left).unwrap();
            assert_eq!(MAX_LOOKS - left.0, looks, "{object}");
        }
    }
}
