//! Deliveries: started, led from step to step, and taken in when they end.

use super::*;
use crate::delivery::RunState;

impl Agent {
    pub(super) fn runnable(&self) -> Vec<(SubjectKey, Start)> {
        let fresh: HashSet<TriggerId> = self
            .ledger
            .inbox
            .triggers
            .iter()
            .filter(|t| self.is_fresh(t))
            .map(|t| t.id.clone())
            .collect();
        let only = if let Mode::Settle(ids) = &self.mode { Some(self.only(ids)) } else { None };
        runnable(&self.view(&fresh, only))
    }

    fn view<'a>(&'a self, fresh: &'a HashSet<TriggerId>, only: Option<Only<'a>>) -> View<'a> {
        View {
            ledger: &self.ledger,
            watches: &self.parts.watches,
            running: &self.running,
            retry_at: &self.retry_at,
            shown: &self.shown,
            fresh,
            only,
            now: Instant::now(),
            stamp: self.parts.clock.now(),
        }
    }

    fn room(&self, delivery: &Delivery) -> usize {
        self.view(&HashSet::new(), None).room(delivery)
    }

    pub(super) fn only<'a>(&'a self, triggers: &'a [TriggerId]) -> Only<'a> {
        Only { triggers, begun: &self.touched }
    }

    /// True once the trigger's repository was asked after the trigger came, or its commit is given.
    pub(super) fn is_fresh(&self, trigger: &Trigger) -> bool {
        let TriggerKind::Deliver { subject, sha, .. } = &trigger.kind else { return false };
        let key = (trigger.watch.clone(), subject.clone());
        let known = self.ledger.cursors(&key).is_some_and(|s| s.gone.is_none());
        let group = self.groups.iter().find(|g| g.is_source_of(&trigger.watch));
        let asked =
            self.asked.get(&trigger.id).zip(group).is_some_and(|(first, g)| g.rounds > *first);
        asked && (known || sha.is_some())
    }

    pub(super) async fn start_deliveries(&mut self) {
        let places = self.parts.options.max_parallel;
        let share = share(places, self.parts.watches.len());
        for ((watch, _), start) in self.runnable() {
            if self.running.len() >= places {
                break;
            }
            if self.running.keys().filter(|(of, _)| *of == watch).count() >= share {
                continue;
            }
            self.start_one(start).await;
            if !self.state_ok {
                break;
            }
        }
    }

    pub(super) async fn start_one(&mut self, start: Start) {
        let stamp = self.parts.clock.now();
        let mut writes = Vec::new();
        let mut answered = None;
        let delivery = match start {
            Start::Resume(id) => self.ledger.open[&id].clone(),
            Start::Change(key) => {
                let Some(state) = self.ledger.cursors(&key) else { return };
                let revision = Revision { subject: key.1.clone(), sha: state.observed.sha.clone() };
                self.new_delivery(&key.0, revision, Cause::Change)
            }
            Start::Trigger(id) => {
                let Some(trigger) = self.ledger.inbox.triggers.iter().find(|t| t.id == id).cloned()
                else {
                    return;
                };
                let Some(delivery) = self.triggered(&trigger) else { return };
                let state = TriggerState::Taken(delivery.id.clone());
                writes.push(Write::Trigger(Trigger { state, ..trigger.clone() }));
                answered = Some(trigger);
                delivery
            }
        };
        let key = key_of(&delivery);
        if let Some(by) = self.newer_head(&delivery) {
            let end = superseded(delivery, Some(by), stamp);
            return self.written(end).await;
        }
        if let Some(state) = self.ledger.cursors(&key).filter(|_| !delivery.dry_run) {
            let attempted = Some(Mark { sha: delivery.revision.sha.clone(), at: stamp });
            writes.push(Write::Cursors(Cursors { attempted, ..state.clone() }));
            writes.push(Write::Head(waiting(&delivery, stamp)));
        }
        writes.push(Write::Delivery(Box::new(delivery.clone())));
        if !self.commit(writes).await {
            return;
        }
        if let Some(trigger) = answered {
            self.told(&trigger, Ok(delivery.id.clone()));
        }
        self.launch(delivery, key).await;
    }

    pub(super) fn new_delivery(
        &self,
        watch: &WatchName,
        revision: Revision,
        cause: Cause,
    ) -> Delivery {
        let deployer =
            self.parts.watches.get(watch).map(|w| &self.parts.deployers[&w.cluster.deployer]);
        Delivery {
            id: DeliveryId::of(self.parts.new_id()),
            watch: watch.clone(),
            event: revision.subject.event(),
            only: None,
            revision,
            cause,
            trigger: None,
            dry_run: deployer.is_some_and(|d| d.is_dry_run()),
            state: DeliveryState::Pending,
            started: self.parts.clock.now(),
            finished: None,
            manifests: None,
            intent: None,
            failures: 0,
            tries: 0,
            cut_off: 0,
            next_attempt: None,
            objects: Vec::new(),
            runs: Vec::new(),
            following_since: None,
            verdict: None,
            passed: None,
            steps: Vec::new(),
            notes: Vec::new(),
            error: None,
            superseded_by: None,
        }
    }

    pub(super) fn triggered(&self, trigger: &Trigger) -> Option<Delivery> {
        let TriggerKind::Deliver { subject, sha, selection } = &trigger.kind else { return None };
        let key = (trigger.watch.clone(), subject.clone());
        let sha =
            sha.clone().or_else(|| self.ledger.cursors(&key).map(|s| s.observed.sha.clone()))?;
        let revision = Revision { subject: subject.clone(), sha };
        let mut delivery = self.new_delivery(&trigger.watch, revision, trigger.cause);
        delivery.trigger = Some(trigger.id.clone());
        if let Some(event) = &selection.event {
            delivery.event = event.clone();
        }
        delivery.only.clone_from(&selection.run);
        Some(delivery)
    }

    /// The head that takes a change's place, if there is a newer one.
    pub(super) fn newer_head(&self, delivery: &Delivery) -> Option<CommitSha> {
        let state = self.ledger.cursors(&key_of(delivery))?;
        let is_change = delivery.cause == Cause::Change && delivery.trigger.is_none();
        (is_change && state.observed.sha != delivery.revision.sha)
            .then(|| state.observed.sha.clone())
    }

    pub(super) async fn launch(&mut self, delivery: Delivery, key: SubjectKey) {
        let Some(watch) = self.parts.watches.get(&delivery.watch).cloned() else { return };
        let Some(only) = self.rerun_filter(&delivery).await else { return };
        let target = Arc::clone(self.targets.entry(watch.cluster.clone()).or_default());
        self.parts.emit(EventKind::DeliveryStarted {
            id: delivery.id.clone(),
            watch: delivery.watch.clone(),
            revision: delivery.revision.clone(),
            cause: delivery.cause,
            attempt: delivery.tries + 1,
        });
        self.running.insert(key, delivery.id.clone());
        self.retry_at.remove(&delivery.id);
        self.touched.insert(delivery.id.clone());
        if matches!(self.mode, Mode::Run) {
            self.touched.clear();
        }
        let job = Job::Attempt(Box::new(delivery.clone()));
        // What a person asks for runs whatever changed.
        let base = self.ledger.cursors(&key_of(&delivery)).filter(|_| delivery.trigger.is_none());
        let base = base.and_then(|cursors| cursors.base().cloned());
        let attempt = Attempt {
            base,
            source: Arc::clone(&self.parts.forges[&watch.source.forge]),
            manifests: Arc::clone(&self.parts.forges[&watch.manifests.forge]),
            deployer: Arc::clone(&self.parts.deployers[&watch.cluster.deployer]),
            delivery,
            watch,
            target,
            only,
            progress: self.progress.0.clone(),
            clock: Arc::clone(&self.parts.clock),
            stop: self.stop.clone(),
        };
        let task = self.tasks.spawn(async move { Ended::Attempted(Box::new(attempt.run().await)) });
        self.jobs.insert(task.id(), job);
    }

    /// What a rerun is limited to; the outer `None` means that the state could not be read.
    pub(super) async fn rerun_filter(
        &mut self,
        delivery: &Delivery,
    ) -> Option<Option<BTreeSet<(String, usize)>>> {
        let Some(id) = delivery.trigger.as_ref().filter(|_| delivery.cause == Cause::Rerun) else {
            return Some(None);
        };
        let trigger = self.parts.store.trigger(id).await;
        let trigger = self.state(trigger)?;
        let Some(TriggerKind::Rerun { delivery, failed_only: true }) = trigger.map(|t| t.kind)
        else {
            return Some(None);
        };
        let earlier = self.kept(&delivery).await?;
        Some(Some(earlier.as_ref().map(failed_documents).unwrap_or_default()))
    }

    /// A delivery wants to take its next step: it may once that is written down.
    pub(super) async fn proceed(&mut self, progress: Progress) {
        let Progress { mut delivery, wanted, go } = progress;
        let newer =
            self.newer_head(&delivery).filter(|_| delivery.state != DeliveryState::Applying);
        let answer = if self.grace_ends.is_some() {
            Err(Halt::Stopping)
        } else if let Some(by) = newer {
            Err(Halt::Superseded(by))
        } else {
            let (id, watch, state) = (delivery.id.clone(), delivery.watch.clone(), delivery.state);
            let known = self.ledger.open.get(&id);
            let is_new = known.is_none_or(|known| known.state != state);
            merge_runs(&mut delivery, known);
            let allowed = if wanted.is_empty() { 0 } else { self.room(&delivery) };
            let allowed = allowed.min(wanted.len());
            delivery.runs.extend(wanted.into_iter().take(allowed));
            if self.commit(vec![Write::Delivery(delivery)]).await {
                if is_new {
                    self.parts.emit(EventKind::DeliveryStep { id, watch, state });
                }
                Ok(allowed)
            } else {
                Err(Halt::State("see the event before".into()))
            }
        };
        // An attempt that is gone needs no answer.
        go.send(answer).ok();
    }

    pub(super) async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        match ended {
            Ok((id, Ended::Polled { forge, asked, answers, took })) => {
                self.jobs.remove(&id);
                self.polled(forge, asked, answers, took).await;
            }
            Ok((id, Ended::Attempted(end))) => {
                self.jobs.remove(&id);
                self.attempted(*end).await;
            }
            Ok((_, Ended::Followed(cluster, number))) => self.follower_ended(&cluster, number),
            Ok((id, Ended::Reported(key, report, result))) => {
                self.jobs.remove(&id);
                self.reported(key, *report, result).await;
            }
            Ok((id, Ended::Notified(outgoing, result))) => {
                self.jobs.remove(&id);
                self.notified(*outgoing, result).await;
            }
            Ok((_, Ended::Retired(request, items, result))) => {
                self.retired(*request, items, result).await;
            }
            Err(error) => self.broke_down(&error).await,
        }
    }

    /// A task was cut off by a stop, or an embedder's port panicked: neither may hold its branch or repository.
    pub(super) async fn broke_down(&mut self, error: &JoinError) {
        match self.jobs.remove(&error.id()) {
            Some(Job::Poll(asked)) => self.poll_broke_down(asked, error).await,
            Some(Job::Attempt(begun)) => {
                let delivery = self.ledger.open.get(&begun.id).cloned().unwrap_or(*begun);
                let outcome = if error.is_cancelled() {
                    Outcome::Interrupted
                } else {
                    Outcome::Failed(AttemptError::Panic(error.to_string()))
                };
                let earlier = delivery.runs.len();
                let end = AttemptEnd { delivery, outcome, earlier, turn: None };
                self.attempted(end).await;
            }
            Some(Job::Report(key)) => drop(self.reporting.remove(&key)),
            Some(Job::Notice(receiver)) => self.notifier_broke_down(receiver),
            None => {}
        }
    }

    pub(super) async fn attempted(&mut self, end: AttemptEnd) {
        self.running.remove(&key_of(&end.delivery));
        self.unwritten.push(end);
        self.write_unwritten().await;
    }

    /// Writes down how attempts ended. What the store does not take is kept here and tried again.
    pub(super) async fn write_unwritten(&mut self) {
        for end in std::mem::take(&mut self.unwritten) {
            self.conclude(end).await;
        }
    }

    pub(super) async fn conclude(&mut self, mut end: AttemptEnd) {
        let stamp = self.parts.clock.now();
        // The next attempt at the target counts this one's runs: it waits until they are written down.
        let _turn = end.turn.take();
        let known = self.ledger.open.get(&end.delivery.id);
        merge_runs(&mut end.delivery, known);
        let Some(watch) = self.parts.watches.get(&end.delivery.watch).cloned() else { return };
        let key = key_of(&end.delivery);
        let again = AttemptEnd {
            delivery: end.delivery.clone(),
            outcome: match end.outcome {
                // Nothing but its end says that it was made.
                Outcome::Failed(AttemptError::CutOff { attempt }) => {
                    Outcome::Failed(AttemptError::CutOff { attempt })
                }
                _ => Outcome::Interrupted,
            },
            earlier: end.earlier,
            turn: None,
        };
        let (id, dry_run, sha) =
            (end.delivery.id.clone(), end.delivery.dry_run, end.delivery.revision.sha.clone());
        let done = matches!(end.outcome, Outcome::Done | Outcome::Passed(_));
        let backoff = self.backoff_after(&end.outcome, &watch.cluster, &id);
        let conclusion = conclude(end, &watch, self.ledger.cursors(&key), stamp, &backoff);
        match conclusion.retry {
            Some(Wait::Attempt(wait)) => drop(self.retry_at.insert(id, Instant::now() + wait)),
            Some(Wait::Look(wait)) => drop(self.look_at.insert(key.clone(), Instant::now() + wait)),
            None => {}
        }
        if dry_run && done {
            self.shown.insert(key, sha);
        }
        self.written_or(conclusion, again).await;
    }

    pub(super) async fn written(&mut self, conclusion: Conclusion) {
        if self.commit(conclusion.writes).await {
            for event in conclusion.events {
                self.parts.emit(event);
            }
        }
    }

    /// An end that the store did not take is an interruption: the attempt is made once more, which makes nothing
    /// twice.
    pub(super) async fn written_or(&mut self, conclusion: Conclusion, again: AttemptEnd) {
        if self.commit(conclusion.writes).await {
            for event in conclusion.events {
                self.parts.emit(event);
            }
        } else {
            self.running.remove(&key_of(&again.delivery));
            self.unwritten.push(again);
        }
    }
}

/// The documents whose object was not acknowledged, or whose run did not succeed.
fn failed_documents(delivery: &Delivery) -> BTreeSet<(String, usize)> {
    let objects = delivery.objects.iter().filter(|o| !o.action.is_acknowledged());
    let runs = delivery.runs.iter().filter(|run| run.state != RunState::Succeeded);
    let objects = objects.map(|o| &o.object).chain(runs.map(|run| &run.object));
    objects.map(|object| (object.path.clone(), object.document)).collect()
}
