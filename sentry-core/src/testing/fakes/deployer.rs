//! A deployer with a cluster in memory, whose runs end when a test says so.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::held::Held;
use super::{TokioClock, guard};
use crate::clock::{Clock as _, Timestamp};
use crate::delivery::{RunState, TaskRecord};
use crate::deployer::{
    Checked, Cluster, DeployError, DeployErrorKind, Deployer, FollowQuery, KindTable, KindsQuery,
    ObjectDiff, Probe, Retire, RunChange, RunStatus, Stood,
};
use crate::ids::DeliveryId;
use crate::names::ClusterRef;
use crate::plan::{Action, ChangeSet, GitAuth, ObjectOutcome, Plan, PlannedObject};

/// A deployer with a cluster in memory.
///
/// Its runs go on until they are told to end: by [`Self::finish`], by [`Self::auto_finish`], or by being retired.
#[derive(Debug)]
pub struct FakeDeployer {
    cluster: Mutex<Held>,
    /// Wakes followers after every change.
    changed: watch::Sender<()>,
    clock: TokioClock,
    takes: Duration,
    follows: bool,
    retired: Mutex<Vec<Retire>>,
}

impl Default for FakeDeployer {
    fn default() -> Self {
        Self {
            cluster: Mutex::default(),
            changed: watch::channel(()).0,
            clock: TokioClock::new(),
            takes: Duration::ZERO,
            follows: false,
            retired: Mutex::default(),
        }
    }
}

impl FakeDeployer {
    /// One with an empty cluster that answers at once, whose runs can't be followed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every apply takes this long.
    #[must_use]
    pub fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// Its runs can be followed.
    #[must_use]
    pub fn following(mut self) -> Self {
        self.follows = true;
        self
    }

    /// A run ends by itself this long after it was made, in this state.
    #[must_use]
    pub fn auto_finish(self, after: Duration, state: RunState) -> Self {
        guard(&self.cluster).auto_finish = Some((after, state));
        self
    }

    /// Changes the cluster, then wakes who follows it.
    fn change<T>(&self, change: impl FnOnce(&mut Held, Timestamp) -> T) -> T {
        let done = change(&mut guard(&self.cluster), self.clock.now());
        self.changed.send_replace(());
        done
    }

    /// The cluster as it is now.
    fn look<T>(&self, look: impl FnOnce(&Held) -> T) -> T {
        let mut cluster = guard(&self.cluster);
        cluster.settle(self.clock.now());
        look(&cluster)
    }

    /// From now on the cluster refuses the object of this name when it is applied, and runs whose document gives it, as it
    /// does when a quota is full;
    /// `None` ends it.
    pub fn refuse(&self, name: Option<&str>) {
        guard(&self.cluster).refused = name.map(str::to_owned);
    }

    /// From now on the cluster says at the check that it would not take the objects of these names, or the runs that are
    /// named after them.
    pub fn refuse_at_check(&self, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned());
        guard(&self.cluster).refused_at_check = names.collect();
    }

    /// From now on the cluster refuses the object of this name like this, at the check and at the apply; `None` ends it.
    pub fn refuse_as(&self, name: &str, kind: Option<DeployErrorKind>) {
        let troubled = &mut guard(&self.cluster).troubled;
        troubled.remove(name);
        troubled.extend(kind.map(|kind| (name.to_owned(), kind)));
    }

    /// From now on the cluster can't be reached, or can again. Who follows is told.
    pub fn down(&self, down: bool) {
        self.change(|cluster, _| cluster.down = down);
    }

    /// Says how the run of this name stands from now on, and the cluster's reason. False if there is no such run.
    pub fn finish(&self, name: &str, state: RunState, reason: &str) -> bool {
        self.change(|cluster, now| cluster.finish(name, state, reason, now))
    }

    /// Says what tasks the run of this name has from now on.
    pub fn tasks(&self, name: &str, tasks: &[TaskRecord]) {
        self.change(|cluster, _| cluster.set_tasks(name, tasks));
    }

    /// Deletes the run of this name. False if there is no such run.
    pub fn delete_run(&self, name: &str) -> bool {
        self.change(|cluster, _| cluster.delete_runs(name))
    }

    /// From now on following fails so: streams end with it, new ones begin with it. `None` ends it.
    pub fn fail_follow(&self, kind: Option<DeployErrorKind>) {
        self.change(|cluster, _| cluster.follow_fails = kind.map(|kind| (None, kind)));
    }

    /// The same in this namespace alone.
    pub fn fail_follow_in(&self, namespace: &str, kind: DeployErrorKind) {
        self.change(|cluster, _| cluster.follow_fails = Some((Some(namespace.to_owned()), kind)));
    }

    /// Every run that was made, in order; one that was made before is not in it twice.
    #[must_use]
    pub fn created(&self) -> Vec<PlannedObject> {
        guard(&self.cluster).created.clone()
    }

    /// The names of all objects that are on the cluster.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        guard(&self.cluster).names()
    }

    /// The Secrets that were lent to runs and are on the cluster, each with the runs that own it.
    #[must_use]
    pub fn lent(&self) -> Vec<GitAuth> {
        guard(&self.cluster).lent.clone()
    }

    /// The names of the runs that go on.
    #[must_use]
    pub fn active_runs(&self) -> Vec<String> {
        self.look(Held::active)
    }

    /// The most runs that ever went on at once in one namespace.
    #[must_use]
    pub fn most_active(&self) -> usize {
        self.look(Held::most_active)
    }

    /// How a delivery's run of this name stands; `None` if it is not on the cluster.
    #[must_use]
    pub fn run(&self, delivery: &DeliveryId, name: &str) -> Option<RunStatus> {
        self.look(|cluster| cluster.status(delivery, name))
    }

    /// Every request to retire runs so far.
    #[must_use]
    pub fn retired(&self) -> Vec<Retire> {
        guard(&self.retired).clone()
    }

    /// The names of what was sent without what a check had learnt of it.
    #[must_use]
    pub fn unchecked(&self) -> Vec<String> {
        guard(&self.cluster).unchecked.clone()
    }

    /// How many times something was written.
    #[must_use]
    pub fn writes(&self) -> usize {
        guard(&self.cluster).writes
    }

    /// How many applies were asked for, and how many of them went on at once at most.
    #[must_use]
    pub fn applies(&self) -> (usize, usize) {
        let cluster = guard(&self.cluster);
        (cluster.applies, cluster.busiest)
    }

    fn followed(&self, namespace: &str) -> Result<(), DeployError> {
        let cluster = guard(&self.cluster);
        cluster.reach()?;
        match &cluster.follow_fails {
            Some((place, kind)) if place.as_ref().is_none_or(|place| place == namespace) => {
                Err(DeployError::new(*kind, "the fake cluster was told to end this following"))
            }
            _ => Ok(()),
        }
    }
}

/// Counts an apply as going on until it is dropped.
struct Busy<'a>(&'a Mutex<Held>);

impl<'a> Busy<'a> {
    fn start(cluster: &'a Mutex<Held>) -> Self {
        let mut c = guard(cluster);
        c.applies += 1;
        c.busy += 1;
        c.busiest = c.busiest.max(c.busy);
        Self(cluster)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        guard(self.0).busy -= 1;
    }
}

/// One who follows.
struct Follower<'a> {
    fake: &'a FakeDeployer,
    query: FollowQuery,
    wake: watch::Receiver<()>,
    /// The place in the cluster's changes; `None` before everything was told.
    place: Option<usize>,
    told: VecDeque<RunChange>,
    ended: bool,
}

impl Follower<'_> {
    async fn step(mut self) -> Option<(Result<RunChange, DeployError>, Self)> {
        self.next().await.map(|change| (change, self))
    }

    async fn next(&mut self) -> Option<Result<RunChange, DeployError>> {
        while !self.ended {
            if let Err(error) = self.fake.followed(self.query.cluster.namespace.as_str()) {
                self.ended = true;
                return Some(Err(error));
            }
            if let Some(change) = self.told.pop_front() {
                return Some(Ok(change));
            }
            self.wake.mark_unchanged();
            let (news, place) = self.fake.look(|cluster| match self.place {
                Some(place) => cluster.since(&self.query, place),
                None => cluster.standing(&self.query),
            });
            self.told.extend(news);
            if self.place.replace(place).is_none() {
                self.told.push_back(RunChange::Synced);
            }
            if self.told.is_empty() {
                self.wait().await;
            }
        }
        None
    }

    /// Until something changed or the next run ends by itself.
    async fn wait(&mut self) {
        let due = self.fake.look(Held::next_due);
        let ends = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The sender lives as long as the fake, which is borrowed here.
            _ = self.wake.changed() => {}
            () = ends => {}
        }
    }
}

/// An object as text: JSON is YAML, and good enough here. Data of a Secret is a digest, as the port asks.
fn shown(planned: &PlannedObject) -> String {
    let mut json = planned.json.clone();
    for field in ["data", "stringData"].iter().filter(|_| planned.object.kind == "Secret") {
        if let Some(data) = json.get_mut(*field) {
            *data = Value::String(format!("[secret {:x}]", Sha256::digest(data.to_string())));
        }
    }
    format!("{json:#}\n")
}

#[async_trait]
impl Cluster for FakeDeployer {
    async fn kinds(
        &self,
        _: &ClusterRef,
        _: &KindsQuery,
    ) -> Result<Option<Arc<KindTable>>, DeployError> {
        Ok(None)
    }

    async fn exist(
        &self,
        target: &ClusterRef,
        objects: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
        let cluster = guard(&self.cluster);
        cluster.reach()?;
        let namespace = target.namespace.as_str();
        let held = objects.iter().filter(|(_, kind, name)| cluster.holds(namespace, kind, name));
        Ok(Some(held.map(|(_, kind, name)| (kind.clone(), name.clone())).collect()))
    }

    async fn diff(&self, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
        let cluster = guard(&self.cluster);
        cluster.reach()?;
        let diff = |planned: &PlannedObject| {
            let (before, action) = (cluster.get(planned), cluster.action(planned)?);
            // A run is never changed: one that exists stays as it is.
            let after = before.filter(|_| planned.is_run()).unwrap_or(planned);
            let (before, after) = (before.map(shown), shown(after));
            Ok(ObjectDiff { object: planned.object.clone(), action, before, after })
        };
        plan.objects.iter().map(diff).collect()
    }

    async fn probe(&self, _: &ClusterRef, _: bool) -> Result<Vec<Probe>, DeployError> {
        let reached = guard(&self.cluster).reach();
        let detail =
            reached.as_ref().err().map_or_else(|| "in memory".to_owned(), DeployError::to_string);
        Ok(vec![Probe { what: "reach the cluster".into(), allowed: reached.is_ok(), detail }])
    }
}

#[async_trait]
impl Deployer for FakeDeployer {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        let cluster = guard(&self.cluster);
        cluster.reach()?;
        let mut checked = Checked::default();
        for planned in &plan.objects {
            let object = &planned.object;
            if let Err(error) = cluster.takes(planned) {
                checked.refused.push((object.clone(), error));
                continue;
            }
            let stood = cluster.get(planned).map(|live| Stood::At(live.json.to_string()));
            checked.learn(object, stood.unwrap_or(Stood::Absent));
        }
        Ok(checked)
    }

    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        guard(&self.cluster).reach()?;
        let _busy = Busy::start(&self.cluster);
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let unknown =
            plan.objects.iter().filter(|planned| checked.stood(&planned.object).is_none());
        let unknown = unknown.map(|planned| planned.object.name.clone());
        guard(&self.cluster).unchecked.extend(unknown);
        let mut error = self.change(|cluster, _| cluster.lend(&plan.git_auth)).err();
        let mut objects = Vec::new();
        for planned in &plan.objects {
            let put = match error {
                None => self.change(|cluster, now| {
                    cluster.is_as(planned, checked.binding(&planned.object))?;
                    cluster.put(plan, planned, now)
                }),
                Some(_) => Ok(Action::Skipped),
            };
            let (action, reason) = match put {
                Ok(action) => (action, None),
                Err(failure) => {
                    let reason = failure.to_string();
                    error = Some(failure);
                    (Action::Failed, Some(reason))
                }
            };
            let (object, run) = (planned.object.clone(), planned.is_run());
            objects.push(ObjectOutcome { object, run, action, reason });
        }
        self.change(|cluster, _| cluster.give());
        Ok(ChangeSet { objects, error })
    }

    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        if !self.follows {
            return None;
        }
        let (wake, told) = (self.changed.subscribe(), VecDeque::new());
        let follower = Follower { fake: self, query, wake, place: None, told, ended: false };
        Some(stream::unfold(follower, Follower::step).boxed())
    }

    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        guard(&self.cluster).reach()?;
        guard(&self.retired).push(request.clone());
        self.change(|cluster, now| {
            cluster.settle(now);
            let namespace = request.cluster.namespace.to_string();
            for (_, kind, name) in request.runs.iter().cloned() {
                cluster.retire(&(namespace.clone(), kind, name), request.how, now);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{COMMIT_LABEL, ObjectRef, Operation, RunRules};
    use crate::testing::sample;
    use crate::watch::ForceConflicts;
    use serde_json::json;

    fn cluster() -> ClusterRef {
        let namespace = sample::parse("qa");
        ClusterRef { deployer: "deployer".into(), context: None, namespace }
    }

    fn run(name: &str) -> PlannedObject {
        let object = ObjectRef {
            path: "run.yaml".into(),
            document: 1,
            line: 1,
            api_version: "tekton.dev/v1".into(),
            kind: "PipelineRun".into(),
            namespace: Some("qa".into()),
            name: name.into(),
        };
        let operation = Operation::Create { key: name.into() };
        let json = json!({"metadata": {"labels": {COMMIT_LABEL: sample::sha(1).as_str()}}});
        PlannedObject { object, operation, json, rules: RunRules::default() }
    }

    fn plan(names: &[&str]) -> Plan {
        let objects = names.iter().map(|name| run(name)).collect();
        let (delivery, git_auth) = (sample::id(1), Vec::new());
        let force_conflicts = ForceConflicts::default();
        let timeout = Duration::MAX;
        Plan { delivery, cluster: cluster(), force_conflicts, objects, git_auth, timeout }
    }

    fn query(commit: u32) -> FollowQuery {
        let kinds = vec![("tekton.dev/v1".into(), "PipelineRun".into())];
        let (commits, known) = (vec![sample::sha(commit)], BTreeSet::new());
        FollowQuery { cluster: cluster(), commits, kinds, known }
    }

    fn stands(change: Option<Result<RunChange, DeployError>>) -> (String, RunState) {
        match change.unwrap().unwrap() {
            RunChange::Stands(status) => (status.name, status.state),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_following_that_was_told_to_fail_ends_with_its_error_until_it_is_well_again() {
        let fake = FakeDeployer::new().following();
        let mut told = fake.follow(query(1)).unwrap();
        assert_eq!(told.next().await.unwrap().unwrap(), RunChange::Synced);
        fake.fail_follow(Some(DeployErrorKind::Unreachable));
        assert!(told.next().await.unwrap().is_err());
        assert!(told.next().await.is_none());
        assert!(fake.follow(query(2)).unwrap().next().await.unwrap().is_err());
        fake.fail_follow(None);
        let synced = fake.follow(query(2)).unwrap().next().await;
        assert_eq!(synced.unwrap().unwrap(), RunChange::Synced);
        assert!(FakeDeployer::new().follow(query(1)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn runs_end_by_themselves_when_told_to_and_the_high_water_mark_stays() {
        let minute = Duration::from_secs(60);
        let fake = FakeDeployer::new().following().auto_finish(minute, RunState::Succeeded);
        fake.apply(&plan(&["one", "two"]), &Checked::default()).await.unwrap();
        assert_eq!(fake.active_runs().len(), 2);
        let mut told = fake.follow(query(1)).unwrap().skip(3);
        let started = tokio::time::Instant::now();
        assert_eq!(stands(told.next().await), ("one".into(), RunState::Succeeded));
        assert_eq!(stands(told.next().await), ("two".into(), RunState::Succeeded));
        assert!(started.elapsed() >= minute);
        fake.apply(&plan(&["three"]), &Checked::default()).await.unwrap();
        assert_eq!((fake.active_runs().len(), fake.most_active()), (1, 2));
    }
}
