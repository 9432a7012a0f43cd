//! A deployer with a cluster in memory, whose runs end when a test says so.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::{TokioClock, guard};
use crate::clock::{Clock as _, Timestamp};
use crate::delivery::RunState;
use crate::deployer::{
    DeployError, DeployErrorKind, Deployer, FollowQuery, ObjectDiff, ObjectErrors, Retire,
    RetireHow, RunChange, RunStatus,
};
use crate::ids::DeliveryId;
use crate::names::ClusterRef;
use crate::plan::{Action, ChangeSet, GitAuth, ObjectOutcome, ObjectRef, Plan, PlannedObject};

/// A deployer called `deployer` with a cluster in memory.
///
/// Its runs go on until they are told to end: by [`Self::finish`], by [`Self::auto_finish`], or by being retired.
#[derive(Debug)]
pub struct FakeDeployer {
    cluster: Mutex<Cluster>,
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
    fn change<T>(&self, change: impl FnOnce(&mut Cluster, Timestamp) -> T) -> T {
        let done = change(&mut guard(&self.cluster), self.clock.now());
        self.changed.send_replace(());
        done
    }

    /// The cluster as it is now.
    fn look<T>(&self, look: impl FnOnce(&Cluster) -> T) -> T {
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

    /// From now on the cluster can't be reached, or can again. Who follows is told.
    pub fn down(&self, down: bool) {
        self.change(|cluster, _| cluster.down = down);
    }

    /// Says how the run of this name stands from now on, and the cluster's reason. False if there is no such run.
    pub fn finish(&self, name: &str, state: RunState, reason: &str) -> bool {
        self.change(|cluster, now| cluster.finish(name, state, reason, now))
    }

    /// Deletes the run of this name. False if there is no such run.
    pub fn delete_run(&self, name: &str) -> bool {
        self.change(|cluster, _| cluster.delete_runs(name, |_| true))
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
        self.look(Cluster::active)
    }

    /// The most runs that ever went on at once in one namespace.
    #[must_use]
    pub fn most_active(&self) -> usize {
        self.look(Cluster::most_active)
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
struct Busy<'a>(&'a Mutex<Cluster>);

impl<'a> Busy<'a> {
    fn start(cluster: &'a Mutex<Cluster>) -> Self {
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
        let due = self.fake.look(Cluster::next_due);
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

#[async_trait]
impl Deployer for FakeDeployer {
    fn name(&self) -> &'static str {
        "deployer"
    }

    async fn check(&self, plan: &Plan) -> Result<ObjectErrors, DeployError> {
        let mut cluster = guard(&self.cluster);
        cluster.checks += 1;
        cluster.reach()?;
        let objects = plan.objects.iter().map(|planned| &planned.object);
        let is_meant = |object: &&ObjectRef| {
            let name = &object.name;
            cluster.refused_at_check.iter().any(|n| n == name || name.starts_with(&format!("{n}-")))
        };
        let refused = objects.filter(is_meant);
        let error = |object: &ObjectRef| {
            let text = format!("{} {}: not to the fake cluster's taste", object.kind, object.name);
            (object.clone(), DeployError::new(DeployErrorKind::Refused, text))
        };
        Ok(refused.map(error).collect())
    }

    async fn apply(&self, plan: &Plan) -> Result<ChangeSet, DeployError> {
        guard(&self.cluster).reach()?;
        let _busy = Busy::start(&self.cluster);
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let mut error = self.change(|cluster, _| cluster.lend(&plan.git_auth)).err();
        let mut objects = Vec::new();
        for planned in &plan.objects {
            let put = match error {
                None => self.change(|cluster, now| cluster.put(plan, planned, now)),
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

    async fn diff(&self, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
        let cluster = guard(&self.cluster);
        cluster.reach()?;
        // JSON is YAML, and good enough here.
        let text = |planned: &PlannedObject| format!("{:#}\n", planned.json);
        let diff = |planned: &PlannedObject| {
            let before = cluster.get(planned).map(text);
            let after = text(planned);
            let action = match cluster.action(planned)? {
                Action::Configured if before.as_ref() == Some(&after) => Action::Unchanged,
                action => action,
            };
            Ok(ObjectDiff { object: planned.object.clone(), action, before, after })
        };
        plan.objects.iter().map(diff).collect()
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
            for (_, _, name) in &request.runs {
                match request.how {
                    RetireHow::Cancel => cluster.cancel(name, now),
                    RetireHow::Delete => {
                        cluster.delete_runs(name, |status| status.state.is_final());
                    }
                }
            }
        });
        Ok(())
    }

    async fn exist(
        &self,
        _: &ClusterRef,
        objects: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
        let cluster = guard(&self.cluster);
        cluster.reach()?;
        let held = objects.iter().filter(|(_, kind, name)| cluster.holds(kind, name));
        Ok(Some(held.map(|(_, kind, name)| (kind.clone(), name.clone())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{COMMIT_LABEL, Operation, RunRules};
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
        FollowQuery { cluster: cluster(), commits: vec![sample::sha(commit)], kinds }
    }

    fn stands(change: Option<Result<RunChange, DeployError>>) -> (String, RunState) {
        match change.unwrap().unwrap() {
            RunChange::Stands(status) => (status.name, status.state),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_follower_is_told_what_stands_then_what_changes_then_what_is_gone() {
        let fake = FakeDeployer::new().following();
        assert!(FakeDeployer::new().follow(query(1)).is_none());
        fake.apply(&plan(&["one", "two"])).await.unwrap();
        let mut told = fake.follow(query(1)).unwrap();
        assert_eq!(stands(told.next().await), ("one".into(), RunState::Running));
        assert_eq!(stands(told.next().await), ("two".into(), RunState::Running));
        assert_eq!(told.next().await.unwrap().unwrap(), RunChange::Synced);
        assert!(fake.finish("two", RunState::Failed, "PipelineRunTimeout"));
        assert_eq!(stands(told.next().await), ("two".into(), RunState::Failed));
        assert!(fake.delete_run("one"));
        let gone = RunChange::Gone { kind: "PipelineRun".into(), name: "one".into() };
        assert_eq!(told.next().await.unwrap().unwrap(), gone);
        fake.fail_follow(Some(DeployErrorKind::Unreachable));
        assert!(told.next().await.unwrap().is_err());
        assert!(told.next().await.is_none());
        let mut others = fake.follow(query(2)).unwrap();
        assert!(others.next().await.unwrap().is_err());
        fake.fail_follow(None);
        let mut others = fake.follow(query(2)).unwrap();
        assert_eq!(others.next().await.unwrap().unwrap(), RunChange::Synced);
    }

    #[tokio::test(start_paused = true)]
    async fn runs_end_by_themselves_when_told_to_and_the_high_water_mark_stays() {
        let minute = Duration::from_secs(60);
        let fake = FakeDeployer::new().following().auto_finish(minute, RunState::Succeeded);
        fake.apply(&plan(&["one", "two"])).await.unwrap();
        assert_eq!(fake.active_runs().len(), 2);
        let mut told = fake.follow(query(1)).unwrap().skip(3);
        let started = tokio::time::Instant::now();
        assert_eq!(stands(told.next().await), ("one".into(), RunState::Succeeded));
        assert_eq!(stands(told.next().await), ("two".into(), RunState::Succeeded));
        assert!(started.elapsed() >= minute);
        fake.apply(&plan(&["three"])).await.unwrap();
        assert_eq!((fake.active_runs().len(), fake.most_active()), (1, 2));
    }

    #[tokio::test]
    async fn cancelling_ends_what_goes_on_and_deleting_takes_what_ended() {
        let fake = FakeDeployer::new().following();
        fake.apply(&plan(&["one", "two"])).await.unwrap();
        fake.finish("one", RunState::Succeeded, "Succeeded");
        let run = |name: &str| ("tekton.dev/v1".into(), "PipelineRun".into(), name.to_owned());
        let mut request = Retire {
            cluster: cluster(),
            runs: vec![run("one"), run("two"), run("three")],
            how: RetireHow::Delete,
            timeout: Duration::from_secs(9),
        };
        fake.retire(&request).await.unwrap();
        assert_eq!(fake.names(), ["two"]);
        request.how = RetireHow::Cancel;
        fake.retire(&request).await.unwrap();
        assert_eq!(fake.run(&sample::id(1), "two").unwrap().state, RunState::Cancelled);
        assert_eq!(fake.retired().len(), 2);
    }

    #[tokio::test]
    async fn a_diff_and_a_question_write_nothing() {
        let fake = FakeDeployer::new();
        let diff = fake.diff(&plan(&["one"])).await.unwrap();
        assert_eq!((diff[0].action, &diff[0].before), (Action::Created, &None));
        fake.apply(&plan(&["one"])).await.unwrap();
        assert_eq!(fake.diff(&plan(&["one"])).await.unwrap()[0].action, Action::Exists);
        let asked = |name: &str| ("tekton.dev/v1".into(), "PipelineRun".into(), name.to_owned());
        let held = fake.exist(&cluster(), &[asked("one"), asked("two")]).await.unwrap().unwrap();
        assert_eq!(held, BTreeSet::from([("PipelineRun".to_owned(), "one".to_owned())]));
    }
}
