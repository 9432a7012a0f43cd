//! The loop of a member: it renews its lease, does what the decision says, and runs an engine for each slot that it owns.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::decision::{Step, decide};
use super::lease::Renewal;
use super::slot::{MemberId, Slot, SlotSet, Term};
use super::table::{LEASE, Member, Slots, Table};
use super::wire::Heard;
use crate::clock::Timestamp;
use crate::engine::{Engine, EngineError, Stop};
use crate::event::EventKind;
use crate::names::WatchName;
use crate::store::{AgentState, StoreError, StoreErrorKind};
use crate::watch::Watch;

/// How often a member renews its lease.
const RENEWAL: Duration = Duration::from_secs(2);
/// A slot whose engine could not work is left to others for so long.
const REST: Duration = Duration::from_secs(30);

/// One of many equal processes that share a state.
#[derive(Debug)]
pub struct Fleet {
    engine: Engine,
    slots: Arc<dyn Slots>,
    /// The watches of each slot.
    homes: BTreeMap<Slot, Vec<WatchName>>,
}

impl Fleet {
    /// A member that works for what the engine watches, as far as it owns it. The engine itself never runs: it knows what all
    /// of them do ([`Engine::events`], [`Engine::vitals`]), and hands hints on. `slot_of` must come to the same in each process.
    #[must_use]
    pub fn new(engine: Engine, slots: Arc<dyn Slots>, slot_of: impl Fn(&Watch) -> Slot) -> Self {
        let mut homes: BTreeMap<Slot, Vec<WatchName>> = BTreeMap::new();
        for watch in engine.watches() {
            homes.entry(slot_of(watch)).or_default().push(watch.name.clone());
        }
        engine.divide();
        Self { engine, slots, homes }
    }

    /// Works until it is stopped. What it owns is given back slot by slot, as their engines end.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the state is damaged or of a newer version. A state that can't be reached is waited for.
    pub async fn run(&self, stop: &Stop) -> Result<(), EngineError> {
        self.engine.wrote(Some("it was not reached yet".to_owned()));
        Work::new(self, stop).turn().await
    }
}

/// What a call of the state came to.
enum Did {
    Renewed(Instant, Result<Table, StoreError>),
    Took(Slot, Result<(Term, Vec<WatchName>), StoreError>),
    Gave(Slot),
}

/// A slot that is held here.
struct Held {
    term: Term,
    stop: Stop,
    is_leaving: bool,
}

struct Work<'a> {
    fleet: &'a Fleet,
    stop: &'a Stop,
    me: MemberId,
    started: Timestamp,
    renewal: Renewal,
    held: BTreeMap<Slot, Held>,
    /// Slots that are being taken or given back.
    busy: BTreeSet<Slot>,
    /// When a slot was last taken or given back: a table that was asked for before tells nothing of it.
    changed: BTreeMap<Slot, Instant>,
    /// Slots that are left to others until then.
    resting: BTreeMap<Slot, Instant>,
    engines: JoinSet<Result<(), EngineError>>,
    slot_of: HashMap<Id, Slot>,
    calls: FuturesUnordered<BoxFuture<'a, Did>>,
    words: BoxStream<'static, Heard>,
    next: Instant,
    /// Nothing is taken before: after a gap in its renewals it waits for a lease.
    takes_from: Instant,
    is_away: bool,
}

impl<'a> Work<'a> {
    fn new(fleet: &'a Fleet, stop: &'a Stop) -> Self {
        let now = Instant::now();
        Self {
            fleet,
            stop,
            me: MemberId::new(fastrand::u128(..)),
            started: fleet.engine.now(),
            renewal: Renewal::new(now),
            held: BTreeMap::new(),
            busy: BTreeSet::new(),
            changed: BTreeMap::new(),
            resting: BTreeMap::new(),
            engines: JoinSet::new(),
            slot_of: HashMap::new(),
            calls: FuturesUnordered::new(),
            words: fleet.engine.hear(),
            next: now,
            takes_from: now,
            is_away: false,
        }
    }

    async fn turn(mut self) -> Result<(), EngineError> {
        let lease = self.renewal.lease();
        let mut renewing = false;
        loop {
            let is_leaving = self.stop.is_stopping();
            if is_leaving && self.held.is_empty() && self.busy.is_empty() && !renewing {
                let (slots, me) = (Arc::clone(&self.fleet.slots), self.ended_member());
                drop(self);
                if let Err(error) = slots.renew(&me).await {
                    // Its silence tells.
                    tracing::debug!(%error, "nobody was told of the end");
                }
                return Ok(());
            }
            tokio::select! {
                biased;
                // The engines stop with it. Their slots are given back one by one, under a lease that is renewed.
                () = self.stop.stopping(), if !is_leaving => self.next = Instant::now(),
                () = lease.over(), if self.holds_any() => self.lapse(),
                Some(did) = self.calls.next() => match did {
                    Did::Renewed(begun, table) => {
                        renewing = false;
                        self.renewed(begun, table)?;
                    }
                    Did::Took(slot, taken) => self.took(slot, taken),
                    Did::Gave(slot) => self.settled(slot),
                },
                Some(ended) = self.engines.join_next_with_id() => self.ended(ended)?,
                () = tokio::time::sleep_until(self.next), if !renewing => {
                    renewing = true;
                    self.renew();
                }
                Some(heard) = self.words.next() => self.fleet.engine.heard(heard),
            }
        }
    }

    /// True while an engine works that was not told to end at once.
    fn holds_any(&self) -> bool {
        self.held.values().any(|held| !held.stop.is_aborted())
    }

    /// The lease is over: what it held may be another's from now on.
    fn lapse(&mut self) {
        self.takes_from = Instant::now() + LEASE;
        self.held.values().for_each(|held| held.stop.hard());
    }

    fn renew(&mut self) {
        let begun = Instant::now();
        self.next = begun + RENEWAL;
        let is_leaving = self.stop.is_stopping();
        let wanted = self.fleet.homes.keys().copied().filter(|_| !is_leaving).collect();
        let agent = self.fleet.engine.speak(self.started, RENEWAL);
        let me = Member { id: self.me.clone(), wanted, agent };
        let slots = Arc::clone(&self.fleet.slots);
        let renewal = async move { Did::Renewed(begun, slots.renew(&me).await) };
        self.calls.push(Box::pin(renewal));
    }

    /// What it says of itself last.
    fn ended_member(&self) -> Member {
        let agent = self.fleet.engine.speak(self.started, RENEWAL);
        let agent = AgentState { ended: Some(agent.beat), ..agent };
        Member { id: self.me.clone(), wanted: SlotSet::default(), agent }
    }

    fn renewed(
        &mut self,
        begun: Instant,
        table: Result<Table, StoreError>,
    ) -> Result<(), EngineError> {
        match table {
            Ok(table) => {
                self.is_away = false;
                self.fleet.engine.wrote(None);
                self.renewal.extend(begun + LEASE);
                self.follow(begun, &table);
                Ok(())
            }
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                let text = crate::error::text(&error);
                self.fleet.engine.wrote(Some(text.clone()));
                if !std::mem::replace(&mut self.is_away, true) {
                    self.fleet.engine.tell(EventKind::StateUnavailable { error: text });
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Does what the decision says, where the table is newer than what was last done.
    fn follow(&mut self, begun: Instant, table: &Table) {
        let now = Instant::now();
        let mine = self.held.iter().map(|(slot, held)| (*slot, held.term.clone())).collect();
        let leaving: SlotSet =
            self.held.iter().filter(|(_, held)| held.is_leaving).map(|(slot, _)| *slot).collect();
        self.resting.retain(|_, until| *until > now);
        for step in decide(&self.me, &mine, leaving, table) {
            let (Step::Take(slot, _) | Step::Give(slot) | Step::Drop(slot)) = &step;
            let is_old = self.changed.get(slot).is_some_and(|at| *at >= begun);
            if is_old || self.busy.contains(slot) {
                continue;
            }
            match step {
                Step::Take(slot, seen) => {
                    let may = now >= self.takes_from && !self.resting.contains_key(&slot);
                    if may && !self.stop.is_stopping() {
                        self.take(slot, seen);
                    }
                }
                Step::Give(slot) => {
                    if let Some(held) = self.held.get_mut(&slot) {
                        held.is_leaving = true;
                        held.stop.soft();
                    }
                }
                Step::Drop(slot) => self.held.get(&slot).into_iter().for_each(|h| h.stop.hard()),
            }
        }
    }

    fn take(&mut self, slot: Slot, seen: Option<Term>) {
        self.busy.insert(slot);
        let (slots, me) = (Arc::clone(&self.fleet.slots), self.me.clone());
        let watches = self.fleet.homes.get(&slot).cloned().unwrap_or_default();
        self.calls.push(Box::pin(async move {
            let work = async {
                let term = slots.take(&me, slot, seen.as_ref()).await?;
                let watches = slots.settle(slot, &term, &watches).await?;
                Ok((term, watches))
            };
            Did::Took(slot, work.await)
        }));
    }

    fn took(&mut self, slot: Slot, taken: Result<(Term, Vec<WatchName>), StoreError>) {
        self.settled(slot);
        // Where it failed, the next table says how things are.
        let Ok((term, watches)) = taken else { return };
        let state = self.fleet.slots.state(slot, &term);
        let stop = self.stop.child();
        let engine = self.fleet.engine.part(slot, state, &watches, self.renewal.lease());
        let task = {
            let stop = stop.clone();
            self.engines.spawn(async move { engine.run(&stop).await })
        };
        self.slot_of.insert(task.id(), slot);
        self.fleet.engine.tell(EventKind::SlotTaken { slot, watches: watches.len() });
        self.held.insert(slot, Held { term, stop, is_leaving: false });
    }

    fn settled(&mut self, slot: Slot) {
        self.busy.remove(&slot);
        self.changed.insert(slot, Instant::now());
    }

    fn ended(
        &mut self,
        ended: Result<(Id, Result<(), EngineError>), JoinError>,
    ) -> Result<(), EngineError> {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Some(slot) = self.slot_of.remove(&id) else { return Ok(()) };
        self.fleet.engine.part_ended(slot);
        let Some(Held { term, stop, is_leaving }) = self.held.remove(&slot) else { return Ok(()) };
        let lost = match result {
            Ok(()) => (stop.is_aborted() && !is_leaving).then(|| "its lease was over".to_owned()),
            Err(EngineError::Store(error)) if error.kind() == StoreErrorKind::Fenced => {
                Some("another process has taken it".to_owned())
            }
            Err(EngineError::Store(error)) if error.kind() == StoreErrorKind::Unavailable => {
                self.resting.insert(slot, Instant::now() + REST);
                Some(crate::error::text(&error))
            }
            Err(error) => return Err(error),
        };
        self.fleet.engine.tell(match lost {
            Some(why) => EventKind::SlotLost { slot, why },
            None => EventKind::SlotGiven { slot },
        });
        self.busy.insert(slot);
        let slots = Arc::clone(&self.fleet.slots);
        self.calls.push(Box::pin(async move {
            // One that can't be given back is free once this member's lease is over.
            let given = slots.give(slot, &term).await;
            if let Err(error) = given {
                tracing::debug!(%slot, %error, "not given back");
            }
            Did::Gave(slot)
        }));
        Ok(())
    }
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("me", &self.me).field("held", &self.held.keys()).finish()
    }
}
