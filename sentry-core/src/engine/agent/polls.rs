//! Rounds of polling: one task for each forge, with all questions that are due. A repository that failed is asked by
//! itself: it may hang or break down, and no other waits for it.

use super::*;

/// A forge, and the one repository that this round is about, if it is asked by itself.
type Round = (String, Option<usize>);

impl Agent {
    pub(super) fn start_polls(&mut self) {
        let now = Instant::now();
        if now < self.next_round {
            return;
        }
        let mut rounds: BTreeMap<Round, Vec<(usize, HeadsQuery)>> = BTreeMap::new();
        for (index, group) in self.groups.iter_mut().enumerate() {
            if group.in_flight || group.due > now || !is_asked(&self.mode, &self.ledger, group) {
                continue;
            }
            match group.query(&self.ledger) {
                Some(query) => {
                    let alone = group.is_failing().then_some(index);
                    let round = rounds.entry((group.forge.clone(), alone)).or_default();
                    round.push((index, query));
                }
                None => {
                    group.due = now + group.interval;
                    group.rounds += 1;
                }
            }
        }
        if !rounds.is_empty() {
            self.next_round = now + GATHER;
        }
        for ((forge, _), asked) in rounds {
            for (index, _) in &asked {
                self.groups[*index].in_flight = true;
            }
            let port = Arc::clone(&self.parts.forges[&forge]);
            let job = Job::Poll(asked.clone());
            let task = self.tasks.spawn(async move {
                let started = Instant::now();
                let queries: Vec<HeadsQuery> =
                    asked.iter().map(|(_, query)| query.clone()).collect();
                let answers = port.heads(&queries).await;
                Ended::Polled { forge, asked, answers, took: started.elapsed() }
            });
            self.jobs.insert(task.id(), job);
        }
    }

    /// Repositories that are said to have moved are due.
    pub(super) fn take_hints(&mut self) {
        for (forge, repo) in self.parts.hints.take() {
            let is_meant = |group: &&mut Group| group.forge == forge && group.repo.path() == repo;
            self.groups.iter_mut().filter(is_meant).for_each(Group::hint);
        }
    }

    pub(super) async fn polled(
        &mut self,
        forge: String,
        asked: Vec<(usize, HeadsQuery)>,
        answers: Vec<Result<HeadsAnswer, ForgeError>>,
        took: Duration,
    ) {
        let mut answers = answers.into_iter();
        let (mut answered, mut failed) = (0, 0);
        for (index, query) in asked {
            let answer = answers.next().unwrap_or_else(|| {
                let text = format!("forge {forge} gave fewer answers than it was asked questions");
                Err(ForgeError::new(ForgeErrorKind::WrongAnswer, text))
            });
            *(if answer.is_ok() { &mut answered } else { &mut failed }) += 1;
            self.parts.pulse.asked(&forge, &query.repo, answer.is_ok());
            if let Err(error) = &answer {
                self.note_poll_error(index, error);
            }
            self.absorb(index, &query, answer).await;
        }
        self.parts.emit(EventKind::Polled { forge, answered, failed, took });
        self.take_triggers().await;
    }

    /// A round was cut off by a stop, or the forge's code panicked at one of its questions: which one, asking each by
    /// itself will show.
    pub(super) async fn poll_broke_down(
        &mut self,
        asked: Vec<(usize, HeadsQuery)>,
        error: &JoinError,
    ) {
        for (index, query) in asked {
            if error.is_cancelled() {
                self.groups[index].in_flight = false;
                continue;
            }
            let text = format!("asking {} broke down: {error}", query.repo);
            let error = ForgeError::new(ForgeErrorKind::WrongAnswer, text);
            self.note_poll_error(index, &error);
            self.absorb(index, &query, Err(error)).await;
        }
    }

    pub(super) fn note_poll_error(&mut self, index: usize, error: &ForgeError) {
        let group = &self.groups[index];
        for watch in self.parts.watches.values().filter(|w| group.is_source_of(&w.name)) {
            let entry = (watch.name.clone(), error.kind(), error.told());
            self.summary.poll_errors.push(entry);
        }
        // A long run needs no list of its outages: they are told as events.
        if matches!(self.mode, Mode::Run) {
            self.summary.poll_errors.clear();
        }
    }

    pub(super) async fn absorb(
        &mut self,
        index: usize,
        query: &HeadsQuery,
        answer: Result<HeadsAnswer, ForgeError>,
    ) {
        let stamp = self.parts.clock.now();
        let backoff = self.parts.options.backoff;
        let Absorbed { mut writes, mut events, closed } =
            self.groups[index].absorb(query, answer, &self.ledger, stamp, &backoff);
        for (key, by) in closed {
            let waiting =
                self.ledger.open_change(&key).filter(|_| !self.running.contains_key(&key));
            if let Some(delivery) = waiting.cloned() {
                let end = superseded(delivery, by, stamp);
                writes.extend(end.writes);
                events.extend(end.events);
            }
        }
        if self.commit(writes).await {
            for event in events {
                self.parts.emit(event);
            }
            self.follow_manifests(index, stamp).await;
        } else {
            // What was not kept must be asked for again, whatever the interval.
            self.groups[index].due = Instant::now() + STATE_RETRY;
        }
    }

    /// A change of B, for watches that also follow B, is a durable trigger: one for each pair of commits.
    pub(super) async fn follow_manifests(&mut self, index: usize, stamp: Timestamp) {
        for ((watch, subject), sha) in self.groups[index].moved_manifests(&self.ledger) {
            let key = format!("manifests {watch} {subject} {sha}");
            let id = TriggerId::of(self.parts.new_id());
            let kind = TriggerKind::Deliver { subject, sha: None, selection: Selection::default() };
            let state = TriggerState::Pending;
            let trigger = Trigger { id, key, watch, kind, cause: Cause::Change, at: stamp, state };
            let kept = self.parts.store.request(&trigger).await;
            self.state(kept);
        }
    }
}
