//! The contract of [`Deployer`] and [`Cluster`], clause by clause: whoever writes a deployer runs it against that.
//!
//! Each clause is a function that takes a deployer with an empty cluster behind it and panics, as a test does, where the
//! deployer breaks it. [`deployer_contract_tests!`](crate::deployer_contract_tests) makes one test of each, so that the
//! name of the failing test says what is broken; its argument is the path of an `async fn() -> Bench`.
//!
//! What the deployer says is compared with what the cluster got, which a [`Ground`] tells.
//! The crate that uses the macro needs `tokio` with the features `macros` and `rt`.

mod applies;
mod asks;
mod checks;
mod follows;
mod retires;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::{Value, json};

pub use applies::*;
pub use asks::*;
pub use checks::*;
pub use follows::*;
pub use retires::*;

use super::sample;
use crate::delivery::RunState;
use crate::deployer::{
    Checked, Cluster, DeployError, Deployer, DeployerPorts, FollowQuery, Retire, RetireHow,
    RunChange, RunStatus,
};
use crate::names::ClusterRef;
use crate::plan::{
    Action, COMMIT_LABEL, ChangeSet, DELIVERY_LABEL, KEY_ANNOTATION, ObjectRef, Operation, Plan,
    PlannedObject, RunRules,
};
use crate::watch::ForceConflicts;

/// The time that every call has: what takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The cluster behind a deployer, seen from outside.
pub trait Ground: Debug + Send + Sync {
    /// How many times something was to be written, whatever came of it; dry runs are none.
    fn writes(&self) -> usize;
    /// The names of the runs that were made, in order: one that was made twice stands there twice.
    fn made(&self) -> Vec<String>;
    /// From now on an object is refused, at the check and when it is written.
    fn refuse(&self, kind: &str, name: &str, how: Refusal);
    /// Nothing is refused any more.
    fn heal(&self);
    /// The cluster can't be reached, or can again.
    fn away(&self, away: bool);
    /// Ends a run that goes on.
    fn finish(&self, name: &str, well: bool);
    /// Deletes a run, as a person would.
    fn delete(&self, name: &str);
}

/// How a cluster refuses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is invalid.
    ForGood,
    /// A quota is full: somebody may free it.
    ForNow,
}

/// A deployer with an empty cluster behind it.
#[derive(Debug)]
pub struct Bench {
    /// The deployer.
    pub ports: DeployerPorts,
    /// Where it delivers to.
    pub target: ClusterRef,
    /// What is behind it. It lives as long as the bench.
    pub ground: Arc<dyn Ground>,
}

/// One `#[tokio::test]` per clause of [`deployer_contract`](crate::testing::deployer_contract); the argument is the
/// path of an `async fn() -> Bench` that makes a deployer with an empty cluster.
#[macro_export]
macro_rules! deployer_contract_tests {
    ($make:path) => {
        $crate::deployer_contract_tests! { $make:
            a_check_writes_nothing
            a_check_takes_a_run_that_exists
            a_refused_object_is_named_and_nothing_is_written
            refusals_come_in_the_plans_order
            what_is_refused_for_good_is_told_from_what_is_refused_for_now
            a_check_of_a_cluster_that_is_away_is_an_error_that_passes
            an_apply_tells_what_became_of_each_object_in_the_plans_order
            a_plan_that_is_applied_twice_makes_nothing_twice
            what_is_new_changed_and_right_is_told_apart
            what_a_check_learnt_serves_a_part_of_its_plan
            an_apply_without_a_check_is_carried_out
            a_run_whose_name_has_another_key_is_a_conflict_and_stays
            no_run_is_made_after_a_named_object_that_failed
            a_run_that_failed_takes_nothing_back_from_those_before_it
            what_was_refused_for_now_is_made_by_a_repeat
            an_apply_to_a_cluster_that_is_away_acknowledges_nothing
            a_follower_is_told_all_that_stands_then_that_it_is_all
            a_follower_is_told_of_a_new_run_and_of_its_end
            a_follower_is_told_why_a_run_failed
            a_follower_is_told_that_a_run_is_gone
            a_follower_hears_of_its_own_commits_and_kinds_alone
            a_following_of_a_cluster_that_is_away_ends_with_an_error
            a_run_that_goes_on_is_cancelled_and_not_deleted
            a_run_that_ended_is_deleted_and_not_cancelled
            retiring_a_run_that_is_gone_is_no_error
            a_run_without_our_labels_is_left_alone
            a_diff_tells_what_would_be_created_configured_and_left_and_writes_nothing
            a_diff_shows_no_data_of_a_secret
            a_diff_of_a_refused_object_is_an_error
            what_exists_is_told_and_what_does_not_is_not
            the_kinds_that_are_wanted_are_known
            a_probe_says_whether_the_cluster_is_there
        }
    };
    ($make:path: $($clause:ident)*) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testing::deployer_contract::$clause($make().await).await;
            }
        )*
    };
}

impl Bench {
    fn cluster(&self) -> &dyn Cluster {
        self.ports.cluster.as_ref()
    }

    fn deployer(&self) -> &dyn Deployer {
        self.ports.deployer.as_ref()
    }

    /// A named object; what `content` says stands in it.
    fn named(&self, name: &str, content: &str) -> PlannedObject {
        let spec = json!({"description": content, "steps": []});
        self.planned(("tekton.dev/v1", "Task", name), Operation::Apply, json!({"spec": spec}))
    }

    /// A run with this key.
    fn run(&self, name: &str, key: &str) -> PlannedObject {
        let spec = json!({"pipelineSpec": {"tasks": []}});
        let operation = Operation::Create { key: key.to_owned() };
        let mut run =
            self.planned(("tekton.dev/v1", "PipelineRun", name), operation, json!({"spec": spec}));
        run.json["metadata"]["annotations"] = json!({KEY_ANNOTATION: key});
        run
    }

    fn planned(
        &self,
        (api_version, kind, name): (&str, &str, &str),
        operation: Operation,
        mut json: Value,
    ) -> PlannedObject {
        let namespace = self.target.namespace.as_str();
        let labels = json!({
            DELIVERY_LABEL: sample::id(1).as_str(), COMMIT_LABEL: sample::sha(1).as_str(),
        });
        json["apiVersion"] = api_version.into();
        json["kind"] = kind.into();
        json["metadata"] = json!({"name": name, "namespace": namespace, "labels": labels});
        let object = ObjectRef {
            path: format!("{name}.yaml"),
            document: 1,
            line: 1,
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        };
        PlannedObject { object, operation, json, rules: RunRules::default() }
    }

    fn plan(&self, objects: &[PlannedObject]) -> Plan {
        Plan {
            delivery: sample::id(1),
            cluster: self.target.clone(),
            force_conflicts: ForceConflicts::default(),
            objects: objects.to_vec(),
            git_auth: Vec::new(),
            timeout: TIMEOUT,
        }
    }

    async fn check(&self, objects: &[PlannedObject]) -> Checked {
        self.deployer().check(&self.plan(objects)).await.expect("the check")
    }

    async fn apply(&self, objects: &[PlannedObject], checked: &Checked) -> ChangeSet {
        self.deployer().apply(&self.plan(objects), checked).await.expect("the apply")
    }

    /// Checks and applies what nothing is wrong with; what became of each object.
    async fn deliver(&self, objects: &[PlannedObject]) -> Vec<Action> {
        let checked = self.check(objects).await;
        assert!(checked.refused.is_empty(), "{checked:?}");
        let changes = self.apply(objects, &checked).await;
        assert!(changes.is_complete(), "{changes:?}");
        actions(&changes)
    }

    /// The names of those of these objects that exist.
    async fn exist(&self, objects: &[&PlannedObject]) -> Vec<String> {
        let asked: Vec<_> = objects.iter().map(|planned| reference(planned)).collect();
        let there = self.cluster().exist(&self.target, &asked).await.expect("the answer");
        let there = there.expect("the cluster can be asked");
        let held = asked.into_iter().filter(|(_, k, n)| there.contains(&(k.clone(), n.clone())));
        held.map(|(_, _, name)| name).collect()
    }

    async fn retire(&self, how: RetireHow, runs: &[&PlannedObject]) {
        let (cluster, runs) = (self.target.clone(), runs.iter().map(|run| reference(run)));
        let request = Retire { cluster, runs: runs.collect(), how, timeout: TIMEOUT };
        self.deployer().retire(&request).await.expect("the retiring");
    }

    /// What is told of runs of the commit that everything here is made for; `None` where runs can't be followed.
    fn follow(&self) -> Option<Told<'_>> {
        self.follow_kinds(1, &["PipelineRun"])
    }

    fn follow_kinds(&self, commit: u32, kinds: &[&str]) -> Option<Told<'_>> {
        let kinds = kinds.iter().map(|kind| ("tekton.dev/v1".to_owned(), (*kind).to_owned()));
        let (cluster, commits) = (self.target.clone(), vec![sample::sha(commit)]);
        let query =
            FollowQuery { cluster, commits, kinds: kinds.collect(), known: BTreeSet::new() };
        self.deployer().follow(query).map(Told)
    }
}

fn reference(planned: &PlannedObject) -> (String, String, String) {
    let ObjectRef { api_version, kind, name, .. } = &planned.object;
    (api_version.clone(), kind.clone(), name.clone())
}

fn actions(changes: &ChangeSet) -> Vec<Action> {
    changes.objects.iter().map(|outcome| outcome.action).collect()
}

fn refs(objects: &[PlannedObject]) -> Vec<&ObjectRef> {
    objects.iter().map(|planned| &planned.object).collect()
}

/// What a follower is told. What never comes fails the test instead of hanging it.
struct Told<'a>(BoxStream<'a, Result<RunChange, DeployError>>);

impl Told<'_> {
    async fn next(&mut self) -> Result<RunChange, DeployError> {
        let next = tokio::time::timeout(TIMEOUT, self.0.next()).await.expect("nothing was told");
        next.expect("a following ends with an error only")
    }

    async fn stands(&mut self) -> RunStatus {
        match self.next().await.expect("the change") {
            RunChange::Stands(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// What stands, in the order of the names, until that is all.
    async fn until_synced(&mut self) -> Vec<(String, RunState)> {
        let mut all = Vec::new();
        loop {
            match self.next().await.expect("the change") {
                RunChange::Synced => break,
                RunChange::Stands(status) => all.push((status.name, status.state)),
                other => panic!("{other:?}"),
            }
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// The next news of a run that does not only repeat what is known of it.
    async fn becomes(&mut self, name: &str, state: RunState) -> RunStatus {
        loop {
            let status = self.stands().await;
            assert_eq!(status.name, name, "{status:?}");
            if status.state == state {
                return status;
            }
        }
    }
}
