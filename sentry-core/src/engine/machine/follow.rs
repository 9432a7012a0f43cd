//! Runs that deliveries started: followed to their end, one follower for each cluster and namespace.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::unconfirmed::{confirm, makes_nothing};
use super::{Call, Machine};
use crate::delivery::{CANT_FOLLOW, Delivery, DeliveryState, RUN_TIMEOUT, RunRecord, RunState};
use crate::deployer::{DeployError, FollowQuery, RunChange, RunStatus};
use crate::engine::conclude::{finished, inventory, leave_queue};
use crate::engine::index::cluster_of;
use crate::engine::waits::Waits;
use crate::event::EventKind;
use crate::ids::DeliveryId;
use crate::names::ClusterRef;
use crate::repo::CommitSha;
use crate::retry::Retry;
use crate::store::{InventoryItem, Write};
use crate::watch::Watch;

/// How runs are followed.
#[derive(Debug, Default)]
pub(super) struct Following {
    followers: HashMap<ClusterRef, Follower>,
    /// The last follower's.
    number: u64,
    /// Failures in a row of following one cluster.
    failures: HashMap<ClusterRef, u32>,
    /// When that is tried again.
    again: Waits<ClusterRef>,
    /// Where what is to be followed may be otherwise than before.
    changed: BTreeSet<ClusterRef>,
    /// Where it is so by the time alone, as runs there are unconfirmed.
    unsure: BTreeSet<ClusterRef>,
    /// When the runs of a delivery are followed no longer.
    until: Waits<DeliveryId>,
}

impl Following {
    /// Failures in a row at a cluster.
    pub(super) fn failures(&self, cluster: &ClusterRef) -> u32 {
        self.failures.get(cluster).copied().unwrap_or_default()
    }

    /// Where runs are followed.
    #[cfg(test)]
    pub(super) fn clusters(&self) -> impl Iterator<Item = &ClusterRef> {
        self.followers.keys()
    }

    /// Where that is tried again after a failure, should there be something to follow by then.
    #[cfg(test)]
    pub(super) fn again(&self) -> impl Iterator<Item = &ClusterRef> {
        self.again.keys()
    }

    /// When the next follower is tried again, or a delivery runs out of its time.
    pub(super) fn next_after(&self, now: Instant) -> Option<Instant> {
        self.again.next_after(now).into_iter().chain(self.until.next_after(now)).min()
    }

    /// What is to be followed there may be otherwise than before.
    pub(super) fn look_at(&mut self, clusters: impl Iterator<Item = ClusterRef>) {
        self.changed.extend(clusters);
    }

    /// A cluster was followed: it is well.
    fn is_well(&mut self, cluster: &ClusterRef) {
        self.failures.remove(cluster);
        self.again.remove(cluster);
    }
}

/// Who follows the runs of one cluster and namespace.
#[derive(Debug)]
struct Follower {
    /// Tells its messages from those of the follower before.
    number: u64,
    deliveries: BTreeSet<DeliveryId>,
    kinds: BTreeSet<(String, String)>,
    /// Of these deliveries it answers whether runs were ever made: its list is younger than their last attempt.
    unconfirmed: BTreeSet<DeliveryId>,
    /// Runs that it told of, by kind and name.
    told: BTreeSet<(String, String)>,
}

/// What is followed in one cluster and namespace.
#[derive(Default)]
struct Wanted {
    deliveries: BTreeSet<DeliveryId>,
    commits: BTreeSet<CommitSha>,
    kinds: BTreeSet<(String, String)>,
    /// Runs of these deliveries that ended, by kind and name.
    ended: BTreeSet<(String, String)>,
    /// Deliveries of which a new list of the runs would tell whether those were ever made.
    unconfirmed: BTreeSet<DeliveryId>,
    /// True if there is a delivery that is such a one now, or will be with the time.
    is_unsure: bool,
}

impl Follower {
    /// True if it follows all that is wanted. With nothing wanted it is not: then nobody needs it.
    fn covers(&self, wanted: &Wanted) -> bool {
        !wanted.deliveries.is_empty()
            && self.deliveries.is_superset(&wanted.deliveries)
            && self.kinds.is_superset(&wanted.kinds)
            && self.unconfirmed.is_superset(&wanted.unconfirmed)
    }
}

impl Machine {
    /// Follows what must be followed now, and nothing else.
    pub(super) fn manage_followers(&mut self) {
        let Following { again, changed, unsure, .. } = &mut self.following;
        let mut clusters = std::mem::take(changed);
        clusters.extend(again.take_due(self.now.instant));
        clusters.extend(unsure.iter().cloned());
        for cluster in clusters {
            let wanted = self.wanted_runs(&cluster);
            if wanted.is_unsure {
                self.following.unsure.insert(cluster.clone());
            } else {
                self.following.unsure.remove(&cluster);
            }
            let follower = self.following.followers.get(&cluster);
            if follower.is_some_and(|follower| !follower.covers(&wanted)) {
                self.unfollow(&cluster);
            }
            let waits = self.following.again.get(&cluster).is_some();
            let is_followed = self.following.followers.contains_key(&cluster);
            if !waits && !is_followed && !wanted.deliveries.is_empty() {
                self.start_follower(cluster, wanted);
            }
        }
    }

    fn unfollow(&mut self, cluster: &ClusterRef) {
        if let Some(follower) = self.following.followers.remove(cluster) {
            self.call(Call::Unfollow(follower.number));
        }
    }

    /// The runs that go on in a cluster and namespace, of deliveries with no attempt under way.
    fn wanted_runs(&self, cluster: &ClusterRef) -> Wanted {
        let attempted: HashSet<&DeliveryId> = self.attempts.running.values().collect();
        let mut wanted = Wanted::default();
        for id in self.index.followed(cluster).iter().filter(|id| !attempted.contains(id)) {
            let Some(delivery) = self.ledger.open.get(id) else { continue };
            let watch = self.known.watches.get(&delivery.watch);
            let Some(watch) = watch.filter(|watch| !self.known.is_dry(watch)) else { continue };
            let here = |run: &&RunRecord| cluster_of(watch, &run.object) == *cluster;
            let ended = delivery.runs.iter().filter(|run| run.state.is_final()).filter(here);
            let named = |run: &RunRecord| (run.object.kind.clone(), run.object.name.clone());
            wanted.ended.extend(ended.map(named));
            for run in delivery.active_runs().filter(here) {
                wanted.deliveries.insert(id.clone());
                wanted.commits.insert(delivery.revision.sha.clone());
                wanted.kinds.insert((run.object.api_version.clone(), run.object.kind.clone()));
                wanted.is_unsure |= delivery.is_unconfirmed(run);
                if self.may_be_unmade(watch, delivery, run) {
                    wanted.unconfirmed.insert(id.clone());
                }
            }
        }
        wanted
    }

    fn start_follower(&mut self, cluster: ClusterRef, wanted: Wanted) {
        self.following.number += 1;
        let number = self.following.number;
        let query = FollowQuery {
            cluster: cluster.clone(),
            commits: wanted.commits.into_iter().collect(),
            kinds: wanted.kinds.iter().cloned().collect(),
            known: wanted.ended,
        };
        let (deliveries, kinds, unconfirmed) =
            (wanted.deliveries, wanted.kinds, wanted.unconfirmed);
        let follower = Follower { number, deliveries, kinds, unconfirmed, told: BTreeSet::new() };
        self.following.followers.insert(cluster, follower);
        self.call(Call::Follow { number, query });
    }

    /// A follower's task ended: another one is started when there is still something to follow.
    pub(super) fn follower_ended(&mut self, cluster: &ClusterRef, number: u64) {
        if self.following.followers.get(cluster).is_some_and(|f| f.number == number) {
            self.following.followers.remove(cluster);
            self.following.changed.insert(cluster.clone());
        }
    }

    pub(super) fn saw(
        &mut self,
        cluster: &ClusterRef,
        number: u64,
        change: Option<Result<RunChange, DeployError>>,
    ) {
        let current = self.following.followers.get(cluster).is_some_and(|f| f.number == number);
        match change {
            Some(Ok(RunChange::Stands(status))) => {
                self.following.is_well(cluster);
                if let Some(follower) =
                    self.following.followers.get_mut(cluster).filter(|_| current)
                {
                    follower.told.insert((status.kind.clone(), status.name.clone()));
                }
                self.stands(cluster, &status);
            }
            Some(Ok(RunChange::Gone { kind, name })) => self.gone(cluster, &kind, &name),
            Some(Ok(RunChange::Endless { kind })) if current => {
                self.unfollowed(cluster, None, |_| true, |run| run.object.kind == kind);
            }
            Some(Ok(RunChange::Synced)) if current => self.synced(cluster),
            Some(Err(error)) if current => self.follow_failed(cluster, &error),
            None if current => self.unfollowed(cluster, None, |_| true, |_| true),
            _ => {}
        }
    }

    fn stands(&mut self, cluster: &ClusterRef, status: &RunStatus) {
        self.change_run(cluster, &status.kind, &status.name, |run| {
            run.state = status.state;
            run.reason.clone_from(&status.reason);
            run.message.clone_from(&status.message);
            run.failure = status.failure;
            run.started = status.started.or(run.started);
            run.completed = status.completed;
            run.tasks.clone_from(&status.tasks);
        });
    }

    fn gone(&mut self, cluster: &ClusterRef, kind: &str, name: &str) {
        self.change_run(cluster, kind, name, |run| run.state = RunState::Gone);
    }

    /// Changes the record of one active run; what nobody waits for is left alone.
    fn change_run(
        &mut self,
        cluster: &ClusterRef,
        kind: &str,
        name: &str,
        change: impl Fn(&mut RunRecord),
    ) {
        for id in self.index.waiting_for(cluster, kind, name) {
            let Some(mut delivery) = self.ledger.open.get(&id).cloned() else { continue };
            let it = |run: &&mut RunRecord| run.object.kind == kind && run.object.name == name;
            if let Some(run) = delivery.runs.iter_mut().find(it) {
                change(run);
                let object = run.object.clone();
                confirm(&mut delivery, object);
            }
            self.runs_changed(&delivery);
        }
    }

    /// What was not told of does not exist: any more, or it was never made. Of deliveries that make nothing now.
    fn synced(&mut self, cluster: &ClusterRef) {
        let Some(follower) = self.following.followers.get(cluster) else { return };
        let attempted: HashSet<&DeliveryId> = self.attempts.running.values().collect();
        let (mut gone, mut never_made) = (Vec::new(), BTreeMap::new());
        for delivery in follower.deliveries.iter().filter_map(|id| self.ledger.open.get(id)) {
            let Some(watch) = self.known.watches.get(&delivery.watch) else { continue };
            if !makes_nothing(delivery) || attempted.contains(&delivery.id) {
                continue;
            }
            let absent = delivery.active_runs().filter(|run| {
                let identity = (run.object.kind.clone(), run.object.name.clone());
                cluster_of(watch, &run.object) == *cluster && !follower.told.contains(&identity)
            });
            for run in absent {
                let object = run.object.clone();
                if !delivery.is_unconfirmed(run) {
                    gone.push((object.kind, object.name));
                } else if follower.unconfirmed.contains(&delivery.id)
                    && self.may_be_unmade(watch, delivery, run)
                {
                    never_made.entry(delivery.id.clone()).or_insert_with(Vec::new).push(object);
                }
            }
        }
        self.following.is_well(cluster);
        for (kind, name) in gone {
            self.gone(cluster, &kind, &name);
        }
        for (id, runs) in never_made {
            self.never_made(&id, &runs);
        }
    }

    /// An outage is waited for; what the cluster refuses for good ends the following of what was tried often enough.
    fn follow_failed(&mut self, cluster: &ClusterRef, error: &DeployError) {
        self.unfollow(cluster);
        let failures = self.following.failures(cluster).saturating_add(1);
        let backoff = self.known.options.backoff;
        let wait = backoff.wait(Retry::Backoff, failures, fastrand::f64()).unwrap_or(backoff.cap);
        self.following.failures.insert(cluster.clone(), failures);
        self.following.again.insert(cluster.clone(), self.now.instant + wait);
        let text = error.told();
        self.tell(EventKind::FollowFailed { cluster: cluster.clone(), error: text.clone(), wait });
        let advice = error.retry();
        let is_over = |watch: &Watch| match advice {
            Retry::Backoff | Retry::After(_) => false,
            Retry::Counted => failures > watch.timing.max_retries,
            Retry::Stalled => true,
        };
        self.unfollowed(cluster, Some((CANT_FOLLOW, &text)), is_over, |_| true);
    }

    /// Runs of a cluster are followed no more: of the watches, and of these the runs, that this is true for.
    fn unfollowed(
        &mut self,
        cluster: &ClusterRef,
        why: Option<(&str, &str)>,
        of: impl Fn(&Watch) -> bool,
        which: impl Fn(&RunRecord) -> bool,
    ) {
        for id in self.wanted_runs(cluster).deliveries {
            let Some(mut delivery) = self.ledger.open.get(&id).cloned() else { continue };
            let watch = self.known.watches.get(&delivery.watch).filter(|watch| of(watch)).cloned();
            let Some(watch) = watch else { continue };
            for run in delivery.runs.iter_mut().filter(|run| !run.state.is_final()) {
                if which(run) && cluster_of(&watch, &run.object) == *cluster {
                    run.state = RunState::Unfollowed;
                    run.reason = why.map(|(reason, _)| reason.to_owned());
                    run.message = why.map(|(_, text)| text.to_owned());
                }
            }
            self.runs_changed(&delivery);
        }
    }

    /// Deliveries whose runs were followed as long as their watch allows.
    pub(super) fn end_overdue(&mut self) {
        let attempted = |id: &&DeliveryId| self.attempts.running.values().any(|r| r == *id);
        let overdue = self.following.until.due(self.now.instant).filter(|id| !attempted(id));
        for id in overdue.cloned().collect::<Vec<_>>() {
            self.following.until.remove(&id);
            let Some(mut delivery) = self.ledger.open.get(&id).cloned() else { continue };
            for run in delivery.runs.iter_mut().filter(|run| !run.state.is_final()) {
                (run.state, run.reason) = (RunState::Unfollowed, Some(RUN_TIMEOUT.to_owned()));
            }
            leave_queue(&mut delivery, "run_timeout passed before the run could start");
            self.runs_changed(&delivery);
        }
    }

    /// Until when the runs of a delivery are followed, as it stands now.
    pub(super) fn note_limit(&mut self, id: &DeliveryId) {
        let until = &mut self.following.until;
        let Some(delivery) = self.ledger.open.get(id) else { return until.remove(id) };
        let watch = self.known.watches.get(&delivery.watch);
        let limit = watch.and_then(|watch| watch.timing.run_timeout);
        let (Some(limit), Some(since)) = (limit, delivery.following_since) else { return };
        if until.get(id).is_none() {
            // A jump of the wall clock shortens or lengthens nothing by more than the limit itself.
            let passed = self.now.stamp.duration_since(since);
            let left = limit.saturating_sub(Duration::try_from(passed).unwrap_or_default());
            until.insert(id.clone(), self.now.instant + left);
        }
    }

    /// Writes down a delivery whose runs stand otherwise, and ends it when nothing more is waited for. What the cluster says
    /// of a run that goes on may be asked for again: it is written with what comes next.
    pub(super) fn runs_changed(&mut self, delivery: &Delivery) {
        let Some(known) = self.ledger.open.get(&delivery.id) else { return };
        if known == delivery && !self.is_over(delivery) {
            return;
        }
        if is_told_again(known, delivery) && !self.is_over(delivery) {
            return self.note(Write::Delivery(Box::new(delivery.clone())));
        }
        let before = |now: &RunRecord| known.runs.iter().find(|run| run.object == now.object);
        let changed = delivery.runs.iter().filter(|now| before(now) != Some(now));
        let changed: Vec<RunRecord> = changed.cloned().collect();
        let told = |now: &&RunRecord| before(now).is_none_or(|before| before.state != now.state);
        let told: Vec<RunRecord> = changed.iter().filter(told).cloned().collect();
        let mut writes = Vec::new();
        if let Some(watch) =
            self.known.watches.get(&delivery.watch).filter(|_| known.objects != delivery.objects)
        {
            writes.extend(inventory(delivery, watch, self.now.stamp));
        }
        writes.extend(self.forget_gone(delivery, &changed));
        let mut events = Vec::new();
        for run in told {
            let (id, watch) = (delivery.id.clone(), delivery.watch.clone());
            let revision = delivery.revision.clone();
            events.push(EventKind::RunChanged { id, watch, revision, run });
        }
        if self.is_over(delivery) {
            let end = finished(delivery.clone(), self.now.stamp);
            writes.extend(end.writes);
            events.extend(end.events);
        } else {
            writes.push(Write::Delivery(Box::new(delivery.clone())));
        }
        self.write(writes);
        self.effects.events.extend(events);
        self.tidy(delivery, &changed);
    }

    /// True if a delivery that is only followed has nothing left to wait for.
    fn is_over(&self, delivery: &Delivery) -> bool {
        delivery.state == DeliveryState::Following
            && !delivery.is_queued()
            && delivery.active_runs().next().is_none()
            && !self.attempts.running.values().any(|id| *id == delivery.id)
    }

    fn forget_gone(&self, delivery: &Delivery, changed: &[RunRecord]) -> Vec<Write> {
        let Some(watch) = self.known.watches.get(&delivery.watch) else { return Vec::new() };
        let gone = changed.iter().filter(|run| run.state == RunState::Gone);
        gone.map(|run| {
            Write::ForgetInventory(InventoryItem {
                watch: delivery.watch.clone(),
                subject: delivery.revision.subject.clone(),
                cluster: watch.cluster.to_string(),
                object: run.object.clone(),
                run: true,
                limited: run.rules.keep.is_some(),
                delivery: delivery.id.clone(),
                at: delivery.started,
            })
        })
        .collect()
    }
}

/// True if the two differ at most in what the cluster says of runs whose state is the same.
fn is_told_again(one: &Delivery, other: &Delivery) -> bool {
    let silent = |delivery: &Delivery| {
        let mut delivery = delivery.clone();
        for run in &mut delivery.runs {
            (run.reason, run.message) = (None, None);
            (run.started, run.tasks) = (None, Vec::new());
        }
        delivery
    };
    silent(one) == silent(other)
}

/// What became known while an attempt held an older copy of the delivery: that it was cancelled, that runs exist, and how
/// they ended.
pub(super) fn merge(delivery: &mut Delivery, known: Option<&Delivery>) {
    let Some(known) = known else { return };
    delivery.cancelled.clone_from(&known.cancelled);
    for run in &mut delivery.runs {
        let newer = known.runs.iter().find(|k| k.object == run.object && k.state.is_final());
        if let Some(newer) = newer {
            run.clone_from(newer);
        }
    }
    for seen in known.objects.iter().filter(|o| o.run && o.action.is_acknowledged()) {
        confirm(delivery, seen.object.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::testing::sample;

    #[test]
    fn what_was_seen_of_runs_during_an_attempt_outlives_the_attempts_older_copy() {
        let (running, ended) = (sample::run(RunState::Running), sample::run(RunState::Succeeded));
        let of = |run: &RunRecord, objects: &[Action]| Delivery {
            runs: vec![run.clone()],
            objects: objects.iter().map(|action| sample::outcome(*action)).collect(),
            ..sample::delivery(1)
        };
        let merged = |mut older: Delivery, known: &Delivery| {
            merge(&mut older, Some(known));
            (older.runs[0].state, older.objects.iter().map(|o| o.action).collect::<Vec<_>>())
        };
        let seen = of(&ended, &[Action::Created]);
        assert_eq!(merged(of(&running, &[]), &seen), (RunState::Succeeded, vec![Action::Exists]));
        let failed = of(&running, &[Action::Failed]);
        assert_eq!(merged(failed, &seen), (RunState::Succeeded, vec![Action::Exists]));
        // An end stays, and what was not acknowledged is no news.
        let unsure = of(&running, &[Action::Failed]);
        assert_eq!(merged(of(&ended, &[]), &unsure), (RunState::Succeeded, vec![]));
        let mut alone = of(&running, &[]);
        merge(&mut alone, None);
        assert_eq!(alone, of(&running, &[]));
    }
}
