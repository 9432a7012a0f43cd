//! What the fake deployer's cluster holds: objects and runs, and what happened to the runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::delivery::{RunState, TaskRecord};
use crate::deployer::{
    DeployError, DeployErrorKind, FollowQuery, RetireHow, RunChange, RunStatus, Stood,
};
use crate::ids::DeliveryId;
use crate::plan::{
    Action, COMMIT_LABEL, DELIVERY_LABEL, GitAuth, ObjectRef, Operation, Plan, PlannedObject,
    commit_label,
};

/// Where an object lives: namespace (empty for a cluster-scoped object), kind, name.
pub(super) type Slot = (String, String, String);

/// One run.
#[derive(Debug, Clone)]
struct Run {
    namespace: String,
    delivery: String,
    /// The commit of A, as its label has it.
    commit: String,
    /// `apiVersion` and `kind`.
    kind: (String, String),
    status: RunStatus,
    /// When it ends by itself.
    due: Option<Instant>,
}

/// Everything the fake cluster holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    objects: BTreeMap<Slot, PlannedObject>,
    runs: BTreeMap<Slot, Run>,
    /// What happened to runs since the start: followers keep their place in it.
    changes: Vec<(Run, RunChange)>,
    most_active: usize,
    /// What was lent to runs: each with those that own it.
    pub(super) lent: Vec<GitAuth>,
    pub(super) created: Vec<PlannedObject>,
    pub(super) refused: Option<String>,
    pub(super) refused_at_check: BTreeSet<String>,
    pub(super) down: bool,
    /// How, and in which namespace where it is not in all.
    pub(super) follow_fails: Option<(Option<String>, DeployErrorKind)>,
    pub(super) auto_finish: Option<(Duration, RunState)>,
    pub(super) busy: usize,
    pub(super) busiest: usize,
    pub(super) applies: usize,
    /// What was sent without what a check had learnt of it.
    pub(super) unchecked: Vec<String>,
    /// How many times something was written.
    pub(super) writes: usize,
    /// What is refused at the check and at the apply, and how.
    pub(super) troubled: BTreeMap<String, DeployErrorKind>,
}

fn slot(planned: &PlannedObject) -> Slot {
    let object = &planned.object;
    (object.namespace.clone().unwrap_or_default(), object.kind.clone(), object.name.clone())
}

fn wanted(run: &Run, query: &FollowQuery) -> bool {
    query.cluster.namespace.as_str() == run.namespace
        && query.kinds.contains(&run.kind)
        && query.commits.iter().any(|c| commit_label(c) == run.commit)
}

impl Held {
    pub(super) fn reach(&self) -> Result<(), DeployError> {
        let away = || {
            DeployError::new(DeployErrorKind::Unreachable, "the fake cluster was told to be away")
        };
        if self.down { Err(away()) } else { Ok(()) }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.objects.keys().map(|(_, _, name)| name.clone()).collect()
    }

    pub(super) fn get(&self, planned: &PlannedObject) -> Option<&PlannedObject> {
        self.objects.get(&slot(planned))
    }

    pub(super) fn holds(&self, namespace: &str, kind: &str, name: &str) -> bool {
        self.objects
            .keys()
            .any(|(ns, k, n)| (ns.as_str(), k.as_str(), n.as_str()) == (namespace, kind, name))
    }

    /// The error that the object was told to meet.
    pub(super) fn troubles(&self, planned: &PlannedObject) -> Result<(), DeployError> {
        let name = &planned.object.name;
        let Some(&kind) = self.troubled.get(name) else { return Ok(()) };
        let text =
            format!("{} {name}: the fake cluster was told to refuse it", planned.object.kind);
        Err(DeployError::new(kind, text))
    }

    /// What the cluster says of an object at the check.
    pub(super) fn takes(&self, planned: &PlannedObject) -> Result<(), DeployError> {
        let ObjectRef { kind, name, .. } = &planned.object;
        let meant = |n: &String| n == name || name.starts_with(&format!("{n}-"));
        if self.refused_at_check.iter().any(meant) {
            let text = format!("{kind} {name}: not to the fake cluster's taste");
            return Err(DeployError::new(DeployErrorKind::Refused, text));
        }
        self.troubles(planned)
    }

    /// What writing an object would come to.
    pub(super) fn action(&self, planned: &PlannedObject) -> Result<Action, DeployError> {
        let name = &planned.object.name;
        let base = |refused: &str| {
            name.strip_prefix(refused).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        if self.refused.as_deref().is_some_and(base) {
            let text = format!("{} {name} is refused by the cluster", planned.object.kind);
            return Err(DeployError::new(DeployErrorKind::Forbidden, text));
        }
        self.troubles(planned)?;
        match (&planned.operation, self.get(planned)) {
            (Operation::Create { .. }, Some(live)) if live.operation == planned.operation => {
                Ok(Action::Exists)
            }
            (Operation::Create { .. }, Some(_)) => {
                let text = format!("{} {name} exists with another key", planned.object.kind);
                Err(DeployError::new(DeployErrorKind::NameConflict, text))
            }
            (_, None) => Ok(Action::Created),
            (Operation::Apply, Some(live)) if live.json == planned.json => Ok(Action::Unchanged),
            (Operation::Apply, Some(_)) => Ok(Action::Configured),
        }
    }

    /// An error if an object that is applied is not as it must be.
    pub(super) fn is_as(
        &self,
        planned: &PlannedObject,
        wanted: Option<&Stood>,
    ) -> Result<(), DeployError> {
        let live = self.get(planned).map(|live| Stood::At(live.json.to_string()));
        if planned.is_run() || wanted.is_none_or(|wanted| *wanted == live.unwrap_or(Stood::Absent))
        {
            return Ok(());
        }
        let ObjectRef { kind, name, .. } = &planned.object;
        let text = format!("{kind} {name} was written since it was checked");
        Err(DeployError::new(DeployErrorKind::Stale, text))
    }

    pub(super) fn put(
        &mut self,
        plan: &Plan,
        planned: &PlannedObject,
        now: Timestamp,
    ) -> Result<Action, DeployError> {
        self.settle(now);
        let action = self.action(planned)?;
        if action == Action::Exists {
            return Ok(action);
        }
        self.writes += 1;
        self.objects.insert(slot(planned), planned.clone());
        if planned.is_run() {
            self.created.push(planned.clone());
            self.start(plan, planned, now);
        }
        Ok(action)
    }

    /// Writes what is lent to runs. Nobody owns it yet.
    pub(super) fn lend(&mut self, secrets: &[GitAuth]) -> Result<(), DeployError> {
        for secret in secrets {
            if self.refused.as_deref() == Some(secret.name.as_str()) {
                let text = format!("Secret {} is refused by the cluster", secret.name);
                return Err(DeployError::new(DeployErrorKind::Forbidden, text));
            }
            self.lent
                .retain(|held| (&held.namespace, &held.name) != (&secret.namespace, &secret.name));
            self.lent.push(secret.clone());
        }
        Ok(())
    }

    /// Gives what was lent to the runs that are there; what none of them owns is deleted.
    pub(super) fn give(&mut self) {
        let runs = &self.runs;
        for secret in &mut self.lent {
            let slot =
                |run: &ObjectRef| (secret.namespace.clone(), run.kind.clone(), run.name.clone());
            secret.users.retain(|run| runs.contains_key(&slot(run)));
        }
        self.lent.retain(|secret| !secret.users.is_empty());
    }

    fn start(&mut self, plan: &Plan, planned: &PlannedObject, now: Timestamp) {
        let label = planned.json["metadata"]["labels"][DELIVERY_LABEL].as_str();
        let commit = planned.json["metadata"]["labels"][COMMIT_LABEL].as_str();
        let status = RunStatus {
            kind: planned.object.kind.clone(),
            name: planned.object.name.clone(),
            state: RunState::Running,
            reason: Some("Running".to_owned()),
            message: None,
            failure: None,
            started: Some(now),
            completed: None,
            tasks: Vec::new(),
        };
        let run = Run {
            namespace: slot(planned).0,
            delivery: label.unwrap_or(plan.delivery.as_str()).to_owned(),
            commit: commit.unwrap_or_default().to_owned(),
            kind: (planned.object.api_version.clone(), planned.object.kind.clone()),
            status,
            due: self.auto_finish.map(|(after, _)| Instant::now() + after),
        };
        self.tell(run.clone());
        let slot = slot(planned);
        let active = |((namespace, _, _), run): &(&Slot, &Run)| {
            *namespace == slot.0 && run.status.state == RunState::Running
        };
        let others = self.runs.iter().filter(active).count();
        self.most_active = self.most_active.max(others + 1);
        self.runs.insert(slot, run);
    }

    fn tell(&mut self, run: Run) {
        let change = RunChange::Stands(run.status.clone());
        self.changes.push((run, change));
    }

    /// Ends the runs whose time has come.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let Some((_, state)) = self.auto_finish else { return };
        let due = |run: &Run| {
            run.status.state == RunState::Running
                && run.due.is_some_and(|due| due <= Instant::now())
        };
        let ended: Vec<Slot> =
            self.runs.iter().filter(|(_, run)| due(run)).map(|(slot, _)| slot.clone()).collect();
        for slot in ended {
            self.end(&slot, state, "finished by itself", now);
        }
    }

    fn end(&mut self, slot: &Slot, state: RunState, reason: &str, now: Timestamp) {
        let Some(run) = self.runs.get_mut(slot) else { return };
        run.status.state = state;
        run.status.reason = Some(reason.to_owned());
        run.status.completed = state.is_final().then_some(now);
        run.status.message =
            (state == RunState::Failed).then(|| format!("{} failed: {reason}", run.status.name));
        let run = run.clone();
        self.tell(run);
    }

    fn slots(&self, name: &str) -> Vec<Slot> {
        self.runs.keys().filter(|(_, _, n)| n == name).cloned().collect()
    }

    /// Says what tasks the runs of this name have.
    pub(super) fn set_tasks(&mut self, name: &str, tasks: &[TaskRecord]) {
        for slot in self.slots(name) {
            if let Some(run) = self.runs.get_mut(&slot) {
                run.status.tasks = tasks.to_vec();
                let run = run.clone();
                self.tell(run);
            }
        }
    }

    /// Says how the runs of this name stand from now on; false if there is none.
    pub(super) fn finish(
        &mut self,
        name: &str,
        state: RunState,
        reason: &str,
        now: Timestamp,
    ) -> bool {
        self.settle(now);
        let slots = self.slots(name);
        for slot in &slots {
            self.end(slot, state, reason, now);
        }
        !slots.is_empty()
    }

    /// Deletes the runs of this name; false if there is none.
    pub(super) fn delete_runs(&mut self, name: &str) -> bool {
        let slots = self.slots(name);
        slots.iter().for_each(|slot| self.delete(slot));
        !slots.is_empty()
    }

    fn delete(&mut self, slot: &Slot) {
        let Some(run) = self.runs.remove(slot) else { return };
        self.objects.remove(slot);
        for secret in self.lent.iter_mut().filter(|secret| secret.namespace == slot.0) {
            secret.users.retain(|run| (&run.kind, &run.name) != (&slot.1, &slot.2));
        }
        self.lent.retain(|secret| !secret.users.is_empty());
        let gone = RunChange::Gone { kind: slot.1.clone(), name: slot.2.clone() };
        self.changes.push((run, gone));
    }

    /// Cancels a run that goes on, or deletes one that ended. What has no label of Sentry's is left alone.
    pub(super) fn retire(&mut self, slot: &Slot, how: RetireHow, now: Timestamp) {
        let Some(run) = self.runs.get(slot).filter(|run| !run.commit.is_empty()) else { return };
        match (how, run.status.state) {
            (RetireHow::Cancel, RunState::Running) => {
                self.writes += 1;
                self.end(slot, RunState::Cancelled, "Cancelled", now);
            }
            (RetireHow::Delete, state) if state.is_final() => {
                self.writes += 1;
                self.delete(slot);
            }
            _ => {}
        }
    }

    /// How a run stands, by its delivery and name.
    pub(super) fn status(&self, delivery: &DeliveryId, name: &str) -> Option<RunStatus> {
        let hit = |run: &&Run| run.delivery == delivery.as_str() && run.status.name == name;
        self.runs.values().find(hit).map(|run| run.status.clone())
    }

    /// The names of the runs that go on.
    pub(super) fn active(&self) -> Vec<String> {
        let active = self.runs.values().filter(|run| run.status.state == RunState::Running);
        active.map(|run| run.status.name.clone()).collect()
    }

    pub(super) fn most_active(&self) -> usize {
        self.most_active
    }

    /// How every wanted run stands, and the place in the changes from which to go on.
    pub(super) fn standing(&self, query: &FollowQuery) -> (Vec<RunChange>, usize) {
        let runs = self.runs.values().filter(|run| wanted(run, query));
        let stand = runs.map(|run| RunChange::Stands(run.status.clone())).collect();
        (stand, self.changes.len())
    }

    /// What happened to wanted runs from a place on, and the next place.
    pub(super) fn since(&self, query: &FollowQuery, place: usize) -> (Vec<RunChange>, usize) {
        let new = self.changes[place..].iter().filter(|(run, _)| wanted(run, query));
        (new.map(|(_, change)| change.clone()).collect(), self.changes.len())
    }

    /// When the next run ends by itself.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let active = self.runs.values().filter(|run| run.status.state == RunState::Running);
        active.filter_map(|run| run.due).min()
    }
}
