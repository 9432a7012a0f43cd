//! Runs that deliveries started: followed to their end, one follower for each cluster and namespace.

use futures::StreamExt as _;
use tokio::task::AbortHandle;

use super::unconfirmed::{confirm, makes_nothing};
use super::*;
use crate::delivery::{RunRecord, RunState};
use crate::deployer::{DeployError, FollowQuery, RunChange, RunStatus};
use crate::engine::conclude::{finished, inventory, leave_queue};
use crate::engine::verdict::{CANT_FOLLOW, RUN_TIMEOUT};
use crate::plan::ObjectRef;
use crate::store::InventoryItem;
use crate::watch::Watch;

/// Who follows the runs of one cluster and namespace.
pub(super) struct Follower {
    /// Tells its messages from those of the follower before.
    number: u64,
    deliveries: BTreeSet<DeliveryId>,
    kinds: BTreeSet<(String, String)>,
    /// Of these deliveries it answers whether runs were ever made: its list is younger than their last attempt.
    unconfirmed: BTreeSet<DeliveryId>,
    /// Runs that it told of, by kind and name.
    told: BTreeSet<(String, String)>,
    task: AbortHandle,
}

/// What a follower found out. `None` says that the deployer can't follow runs.
pub(super) struct Seen {
    cluster: ClusterRef,
    number: u64,
    change: Option<Result<RunChange, DeployError>>,
}

/// Failures in a row of following one cluster, and when it is tried again.
pub(super) type FollowFailures = HashMap<ClusterRef, (u32, Instant)>;

/// What is followed in one cluster and namespace.
#[derive(Default)]
struct Wanted {
    deliveries: BTreeSet<DeliveryId>,
    commits: BTreeSet<CommitSha>,
    kinds: BTreeSet<(String, String)>,
    /// Deliveries of which a new list of the runs would tell whether those were ever made.
    unconfirmed: BTreeSet<DeliveryId>,
}

impl Agent {
    /// Follows what must be followed now, and nothing else.
    pub(super) fn manage_followers(&mut self) {
        let wanted = self.wanted_runs();
        let covers = |cluster: &ClusterRef, follower: &mut Follower| {
            wanted.get(cluster).is_some_and(|wanted| {
                follower.deliveries.is_superset(&wanted.deliveries)
                    && follower.kinds.is_superset(&wanted.kinds)
                    && follower.unconfirmed.is_superset(&wanted.unconfirmed)
            })
        };
        self.followers.retain(|cluster, follower| {
            let keep = covers(cluster, follower);
            if !keep {
                follower.task.abort();
            }
            keep
        });
        let now = Instant::now();
        for (cluster, wanted) in wanted {
            let waits = self.follow_failures.get(&cluster).is_some_and(|(_, at)| *at > now);
            if !waits && !self.followers.contains_key(&cluster) {
                self.start_follower(cluster, wanted);
            }
        }
    }

    /// The runs that go on, of deliveries with no attempt under way.
    fn wanted_runs(&self) -> BTreeMap<ClusterRef, Wanted> {
        let attempted: HashSet<&DeliveryId> = self.running.values().collect();
        let mut wanted: BTreeMap<ClusterRef, Wanted> = BTreeMap::new();
        for delivery in self.ledger.open.values().filter(|d| !attempted.contains(&d.id)) {
            let Some(watch) = self.parts.watches.get(&delivery.watch) else { continue };
            if self.is_dry(watch) {
                continue;
            }
            for run in delivery.active_runs() {
                let here = wanted.entry(cluster_of(watch, &run.object)).or_default();
                here.deliveries.insert(delivery.id.clone());
                here.commits.insert(delivery.revision.sha.clone());
                here.kinds.insert((run.object.api_version.clone(), run.object.kind.clone()));
                if self.may_be_unmade(watch, delivery, run) {
                    here.unconfirmed.insert(delivery.id.clone());
                }
            }
        }
        wanted
    }

    fn start_follower(&mut self, cluster: ClusterRef, wanted: Wanted) {
        let Some(deployer) = self.parts.deployers.get(&cluster.deployer).cloned() else { return };
        self.follower_number += 1;
        let number = self.follower_number;
        let query = FollowQuery {
            cluster: cluster.clone(),
            commits: wanted.commits.iter().cloned().collect(),
            kinds: wanted.kinds.iter().cloned().collect(),
        };
        let (sender, place) = (self.seen.0.clone(), cluster.clone());
        let task = self.tasks.spawn(async move {
            let seen = |change| Seen { cluster: place.clone(), number, change };
            match deployer.follow(query) {
                // A closed channel means that the agent is gone.
                None => drop(sender.send(seen(None)).await),
                Some(mut changes) => {
                    while let Some(change) = changes.next().await {
                        let over = change.is_err();
                        if sender.send(seen(Some(change))).await.is_err() || over {
                            break;
                        }
                    }
                }
            }
            Ended::Followed(place, number)
        });
        let (told, Wanted { deliveries, kinds, unconfirmed, .. }) = (BTreeSet::new(), wanted);
        let follower = Follower { number, deliveries, kinds, unconfirmed, told, task };
        self.followers.insert(cluster, follower);
    }

    /// A follower's task ended: another one is started when there is still something to follow.
    pub(super) fn follower_ended(&mut self, cluster: &ClusterRef, number: u64) {
        if self.followers.get(cluster).is_some_and(|f| f.number == number) {
            self.followers.remove(cluster);
        }
    }

    pub(super) async fn saw(&mut self, seen: Seen) {
        let Seen { cluster, number, change } = seen;
        let current = self.followers.get(&cluster).is_some_and(|f| f.number == number);
        match change {
            Some(Ok(RunChange::Stands(status))) => {
                self.follow_failures.remove(&cluster);
                if let Some(follower) = self.followers.get_mut(&cluster).filter(|_| current) {
                    follower.told.insert((status.kind.clone(), status.name.clone()));
                }
                self.stands(&cluster, status).await;
            }
            Some(Ok(RunChange::Gone { kind, name })) => self.gone(&cluster, &kind, &name).await,
            Some(Ok(RunChange::Endless { kind })) if current => {
                self.unfollowed(&cluster, None, |_| true, |run| run.object.kind == kind).await;
            }
            Some(Ok(RunChange::Synced)) if current => self.synced(&cluster).await,
            Some(Err(error)) if current => self.follow_failed(&cluster, &error).await,
            None if current => self.unfollowed(&cluster, None, |_| true, |_| true).await,
            _ => {}
        }
    }

    /// The deliveries that wait for a run: more than one where a head came back to a commit that was delivered before.
    fn waiting_for(&self, cluster: &ClusterRef, kind: &str, name: &str) -> Vec<DeliveryId> {
        let waits = |d: &&Delivery| {
            let watch = self.parts.watches.get(&d.watch);
            watch.is_some_and(|watch| {
                d.active_runs().any(|run| {
                    run.object.kind == kind
                        && run.object.name == name
                        && cluster_of(watch, &run.object) == *cluster
                })
            })
        };
        self.ledger.open.values().filter(waits).map(|d| d.id.clone()).collect()
    }

    async fn stands(&mut self, cluster: &ClusterRef, status: RunStatus) {
        self.change_run(cluster, &status.kind, &status.name, |run| {
            run.state = status.state;
            run.reason.clone_from(&status.reason);
            run.message.clone_from(&status.message);
            run.completed = status.completed;
        })
        .await;
    }

    async fn gone(&mut self, cluster: &ClusterRef, kind: &str, name: &str) {
        self.change_run(cluster, kind, name, |run| run.state = RunState::Gone).await;
    }

    /// Changes the record of one active run; what nobody waits for is left alone.
    async fn change_run(
        &mut self,
        cluster: &ClusterRef,
        kind: &str,
        name: &str,
        change: impl Fn(&mut RunRecord),
    ) {
        for id in self.waiting_for(cluster, kind, name) {
            let Some(mut delivery) = self.ledger.open.get(&id).cloned() else { continue };
            let it = |run: &&mut RunRecord| run.object.kind == kind && run.object.name == name;
            if let Some(run) = delivery.runs.iter_mut().find(it) {
                change(run);
                let object = run.object.clone();
                confirm(&mut delivery, object);
            }
            self.runs_changed(delivery).await;
        }
    }

    /// What was not told of does not exist: any more, or it was never made. Of deliveries that make nothing now.
    async fn synced(&mut self, cluster: &ClusterRef) {
        let Some(follower) = self.followers.get(cluster) else { return };
        let attempted: HashSet<&DeliveryId> = self.running.values().collect();
        let (mut gone, mut never_made) = (Vec::new(), BTreeMap::new());
        for delivery in follower.deliveries.iter().filter_map(|id| self.ledger.open.get(id)) {
            let Some(watch) = self.parts.watches.get(&delivery.watch) else { continue };
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
        self.follow_failures.remove(cluster);
        for (kind, name) in gone {
            self.gone(cluster, &kind, &name).await;
        }
        for (id, runs) in never_made {
            self.never_made(&id, &runs).await;
        }
    }

    /// An outage is waited for; what the cluster refuses for good ends the following of what was tried often enough.
    async fn follow_failed(&mut self, cluster: &ClusterRef, error: &DeployError) {
        if let Some(follower) = self.followers.remove(cluster) {
            follower.task.abort();
        }
        let failures = self.follow_failures.get(cluster).map_or(0, |(n, _)| *n).saturating_add(1);
        let backoff = self.parts.options.backoff;
        let wait = backoff.wait(Retry::Backoff, failures, fastrand::f64()).unwrap_or(backoff.cap);
        self.follow_failures.insert(cluster.clone(), (failures, Instant::now() + wait));
        let text = error.told();
        self.parts.emit(EventKind::FollowFailed {
            cluster: cluster.clone(),
            error: text.clone(),
            wait,
        });
        let advice = error.retry();
        let is_over = |watch: &Watch| match advice {
            Retry::Backoff | Retry::After(_) => false,
            Retry::Counted => failures > watch.timing.max_retries,
            Retry::Stalled => true,
        };
        self.unfollowed(cluster, Some((CANT_FOLLOW, text)), is_over, |_| true).await;
    }

    /// Runs of a cluster are followed no more: of the watches, and of these the runs, that this is true for.
    async fn unfollowed(
        &mut self,
        cluster: &ClusterRef,
        why: Option<(&str, String)>,
        of: impl Fn(&Watch) -> bool,
        which: impl Fn(&RunRecord) -> bool,
    ) {
        let wanted = self.wanted_runs().remove(cluster).unwrap_or_default().deliveries;
        for id in wanted {
            let Some(mut delivery) = self.ledger.open.get(&id).cloned() else { continue };
            let watch = self.parts.watches.get(&delivery.watch).filter(|watch| of(watch)).cloned();
            let Some(watch) = watch else { continue };
            for run in delivery.runs.iter_mut().filter(|run| !run.state.is_final()) {
                if which(run) && cluster_of(&watch, &run.object) == *cluster {
                    run.state = RunState::Unfollowed;
                    run.reason = why.as_ref().map(|(reason, _)| (*reason).to_owned());
                    run.message = why.as_ref().map(|(_, text)| text.clone());
                }
            }
            self.runs_changed(delivery).await;
        }
    }

    /// Deliveries whose runs were followed as long as their watch allows.
    pub(super) async fn end_overdue(&mut self) {
        let (now, stamp) = (Instant::now(), self.parts.clock.now());
        self.follow_until.retain(|id, _| self.ledger.open.contains_key(id));
        for delivery in self.ledger.open.values() {
            let watch = self.parts.watches.get(&delivery.watch);
            let limit = watch.and_then(|watch| watch.timing.run_timeout);
            let (Some(limit), Some(since)) = (limit, delivery.following_since) else { continue };
            // A jump of the wall clock shortens or lengthens nothing by more than the limit itself.
            let passed = Duration::try_from(stamp.duration_since(since)).unwrap_or_default();
            let left = limit.saturating_sub(passed);
            self.follow_until.entry(delivery.id.clone()).or_insert(now + left);
        }
        let overdue: Vec<DeliveryId> = self
            .follow_until
            .iter()
            .filter(|(id, at)| **at <= now && !self.running.values().any(|r| r == *id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in overdue {
            self.follow_until.remove(&id);
            let Some(mut delivery) = self.ledger.open.get(&id).cloned() else { continue };
            for run in delivery.runs.iter_mut().filter(|run| !run.state.is_final()) {
                (run.state, run.reason) = (RunState::Unfollowed, Some(RUN_TIMEOUT.to_owned()));
            }
            leave_queue(&mut delivery, "run_timeout passed before there was room");
            self.runs_changed(delivery).await;
        }
    }

    /// Writes down a delivery whose runs stand otherwise, and ends it when nothing more is waited for.
    pub(super) async fn runs_changed(&mut self, delivery: Delivery) {
        let Some(known) = self.ledger.open.get(&delivery.id) else { return };
        if *known == delivery && !self.is_over(&delivery) {
            return;
        }
        let before = |now: &RunRecord| known.runs.iter().find(|run| run.object == now.object);
        let changed = delivery.runs.iter().filter(|now| before(now) != Some(now));
        let changed: Vec<RunRecord> = changed.cloned().collect();
        let told = |now: &&RunRecord| before(now).is_none_or(|before| before.state != now.state);
        let told: Vec<RunRecord> = changed.iter().filter(told).cloned().collect();
        let mut writes = Vec::new();
        if let Some(watch) =
            self.parts.watches.get(&delivery.watch).filter(|_| known.objects != delivery.objects)
        {
            writes.extend(inventory(&delivery, watch, self.parts.clock.now()));
        }
        writes.extend(self.forget_gone(&delivery, &changed));
        let mut events = Vec::new();
        for run in told {
            let (id, watch) = (delivery.id.clone(), delivery.watch.clone());
            let revision = delivery.revision.clone();
            events.push(EventKind::RunChanged { id, watch, revision, run });
        }
        if self.is_over(&delivery) {
            let end = finished(delivery.clone(), self.parts.clock.now());
            writes.extend(end.writes);
            events.extend(end.events);
        } else {
            writes.push(Write::Delivery(Box::new(delivery.clone())));
        }
        if !self.commit(writes).await {
            // The cluster still knows: it is asked anew once the state can be written.
            self.followers.drain().for_each(|(_, follower)| follower.task.abort());
            return;
        }
        for event in events {
            self.parts.emit(event);
        }
        self.tidy(&delivery, &changed).await;
    }

    /// True if the watch's deployer never writes: what a real one started before is for that one to follow.
    pub(super) fn is_dry(&self, watch: &Watch) -> bool {
        self.parts.deployers.get(&watch.cluster.deployer).is_some_and(|d| d.is_dry_run())
    }

    /// True if a delivery that is only followed has nothing left to wait for.
    fn is_over(&self, delivery: &Delivery) -> bool {
        delivery.state == DeliveryState::Following
            && !delivery.is_queued()
            && delivery.active_runs().next().is_none()
            && !self.running.values().any(|id| *id == delivery.id)
    }

    fn forget_gone(&self, delivery: &Delivery, changed: &[RunRecord]) -> Vec<Write> {
        let Some(watch) = self.parts.watches.get(&delivery.watch) else { return Vec::new() };
        let gone = changed.iter().filter(|run| run.state == RunState::Gone);
        gone.map(|run| {
            Write::ForgetInventory(InventoryItem {
                watch: delivery.watch.clone(),
                subject: delivery.revision.subject.clone(),
                cluster: watch.cluster.to_string(),
                object: run.object.clone(),
                run: true,
                delivery: delivery.id.clone(),
                at: delivery.started,
            })
        })
        .collect()
    }

    /// When followers are tried again, and deliveries run out of their time.
    pub(super) fn next_follow(&self) -> impl Iterator<Item = Instant> {
        let again = self.follow_failures.values().map(|(_, at)| *at);
        let overdue = self.follow_until.values().copied();
        let now = Instant::now();
        again.chain(overdue).filter(move |at| *at > now)
    }
}

/// What was seen of runs while an attempt held an older copy of the delivery: that they exist, and how they ended.
pub(super) fn merge_runs(delivery: &mut Delivery, known: Option<&Delivery>) {
    let Some(known) = known else { return };
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

/// Where a run is: the watch's cluster, in the run's own namespace.
pub(super) fn cluster_of(watch: &Watch, object: &ObjectRef) -> ClusterRef {
    let own = object.namespace.as_deref().and_then(|name| name.parse().ok());
    let namespace = own.unwrap_or_else(|| watch.cluster.namespace.clone());
    ClusterRef { namespace, ..watch.cluster.clone() }
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
            merge_runs(&mut older, Some(known));
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
        merge_runs(&mut alone, None);
        assert_eq!(alone, of(&running, &[]));
    }
}
