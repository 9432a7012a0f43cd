//! The cluster's runs: they end by themselves after a while, or are cancelled, and who follows them is told.

use std::time::Duration;

use super::reference::Cluster;
use super::world::World;
use crate::delivery::RunState;
use crate::deployer::{DeployError, DeployErrorKind, FollowQuery, Retire, RunChange, RunStatus};
use crate::engine::machine::Input;
use crate::names::ClusterRef;
use crate::plan::ObjectRef;
use crate::repo::CommitSha;

/// How long runs take.
pub(super) const SHORT: Duration = Duration::from_secs(20);
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A run on the cluster.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) object: ObjectRef,
    pub(super) commit: CommitSha,
    pub(super) state: RunState,
    /// When it ends by itself.
    pub(super) ends: Duration,
}

impl World {
    /// The cluster can be reached, or not; who follows is told.
    pub(super) fn cluster_is(&mut self, how: Cluster) {
        self.cluster = how;
        if how == Cluster::Away {
            for (number, (query, _)) in std::mem::take(&mut self.followers) {
                self.seen(number, query.cluster, Err(away()));
            }
        }
    }

    fn seen(&mut self, number: u64, cluster: ClusterRef, change: Result<RunChange, DeployError>) {
        self.input(Input::Seen { cluster, number, change: Some(change) });
    }

    /// Ends a run, and tells who follows it.
    fn end_run(&mut self, nth: usize, state: RunState) {
        let run = &mut self.runs[nth];
        run.state = state;
        let status = status(run);
        let commit = run.commit.clone();
        let follows =
            |(query, listed): &(FollowQuery, bool)| *listed && query.commits.contains(&commit);
        let followers: Vec<_> = self.followers.iter().filter(|(_, f)| follows(f)).collect();
        let followers: Vec<_> = followers
            .into_iter()
            .map(|(number, (query, _))| (*number, query.cluster.clone()))
            .collect();
        for (number, cluster) in followers {
            self.seen(number, cluster, Ok(RunChange::Stands(status.clone())));
        }
    }

    /// Runs that have had their time end.
    pub(super) fn end_runs(&mut self) {
        for nth in 0..self.runs.len() {
            if self.runs[nth].state == RunState::Running && self.runs[nth].ends <= self.time {
                self.end_run(nth, RunState::Succeeded);
            }
        }
    }

    /// The deliveries of which a run goes on.
    pub(super) fn going_on(&self) -> impl Iterator<Item = &ObjectRef> {
        self.runs.iter().filter(|run| run.state == RunState::Running).map(|run| &run.object)
    }

    pub(super) fn listed(&mut self, number: u64) {
        let Some((query, listed)) = self.followers.get_mut(&number) else { return };
        let query = query.clone();
        if self.cluster == Cluster::Away {
            self.followers.remove(&number);
            return self.seen(number, query.cluster, Err(away()));
        }
        *listed = true;
        let mine = self.runs.iter().filter(|run| query.commits.contains(&run.commit));
        let changes: Vec<_> = mine.map(|run| RunChange::Stands(status(run))).collect();
        for change in changes.into_iter().chain([RunChange::Synced]) {
            self.seen(number, query.cluster.clone(), Ok(change));
        }
    }

    pub(super) fn retired(&mut self, request: Box<Retire>) {
        let result = if self.cluster == Cluster::Away { Err(away()) } else { Ok(()) };
        let names: Vec<_> = request.runs.iter().map(|(_, _, name)| name.clone()).collect();
        let is_done = result.is_ok();
        self.input(Input::Retired(request, Vec::new(), result));
        for nth in 0..self.runs.len() {
            let is_asked = names.contains(&self.runs[nth].object.name);
            if is_done && is_asked && self.runs[nth].state == RunState::Running {
                self.end_run(nth, RunState::Cancelled);
            }
        }
    }
}

fn away() -> DeployError {
    DeployError::new(DeployErrorKind::Unreachable, "away")
}

fn status(run: &Run) -> RunStatus {
    RunStatus {
        kind: run.object.kind.clone(),
        name: run.object.name.clone(),
        state: run.state,
        reason: None,
        message: None,
        failure: None,
        started: None,
        completed: None,
        tasks: Vec::new(),
    }
}
