//! An engine in parts, one for each slot that a process owns: each works for some of the watches, on a state of its own.
//! Forges, deployers, events, places and what was looked up are shared, and whoever asks the whole is told of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};

use super::machine::Known;
use super::{Engine, Parts};
use crate::clock::Timestamp;
use crate::delivery::Trigger;
use crate::event::EventKind;
use crate::fleet::{Heard, Lease, Slot, Wire};
use crate::ids::TriggerId;
use crate::names::WatchName;
use crate::store::{AgentState, Hold, Inbox, LoopState, Requests, State, StoreError};

/// The parts that work now; `None` for an engine that is not in parts.
#[derive(Debug, Default)]
pub(super) struct Working {
    parts: Mutex<Option<BTreeMap<Slot, Engine>>>,
    /// The way to the other processes.
    wire: OnceLock<Arc<dyn Wire>>,
}

impl Working {
    pub(super) fn engines(&self) -> Vec<Engine> {
        self.parts().iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The slots of the parts.
    pub(super) fn slots(&self) -> usize {
        self.parts().as_ref().map_or(0, BTreeMap::len)
    }

    /// The watches that a part works for; `None` for an engine that is not in parts.
    pub(super) fn watches(&self) -> Option<BTreeSet<WatchName>> {
        let parts = self.parts();
        let engines = parts.as_ref()?.values();
        Some(engines.flat_map(|part| part.parts.known.watches.keys().cloned()).collect())
    }

    pub(super) fn wire(&self) -> Option<&Arc<dyn Wire>> {
        self.wire.get()
    }

    fn parts(&self) -> MutexGuard<'_, Option<BTreeMap<Slot, Engine>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Makes what this engine is told ([`Engine::hint`]) known to the other processes that share its state, and what they say
    /// known to it while it works as a [`Fleet`](crate::fleet::Fleet). An engine joins once; a second wire is not taken.
    pub fn join(&self, wire: Arc<dyn Wire>) {
        self.parts.working.wire.get_or_init(|| wire);
    }

    /// What other processes say; nothing for an engine that has not joined.
    pub(crate) fn hear(&self) -> BoxStream<'static, Heard> {
        self.parts.working.wire().map_or_else(|| stream::pending().boxed(), |wire| wire.hear())
    }

    /// From now on it works in parts alone.
    pub(crate) fn divide(&self) {
        self.parts.working.parts().get_or_insert_default();
    }

    /// The part that works for these watches, as long as the lease lasts.
    pub(crate) fn part(
        &self,
        slot: Slot,
        state: State,
        watches: &[WatchName],
        lease: Lease,
    ) -> Self {
        let whole = &self.parts;
        let own = watches.iter().filter_map(|name| whole.known.watches.get_key_value(name));
        let known = Known {
            watches: own.map(|(name, watch)| (name.clone(), Arc::clone(watch))).collect(),
            options: whole.known.options.clone(),
            dry: whole.known.dry.clone(),
            reporters: whole.known.reporters.clone(),
            notifiers: whole.known.notifiers.clone(),
        };
        let inbox =
            Arc::new(OwnRequests { all: state.inbox, watches: watches.iter().cloned().collect() });
        let part = Self {
            parts: Arc::new(Parts {
                known: Arc::new(known),
                forges: whole.forges.clone(),
                deployers: whole.deployers.clone(),
                notifiers: whole.notifiers.clone(),
                state: State { inbox, ..state },
                clock: Arc::clone(&whole.clock),
                holder: whole.holder.clone(),
                events: whole.events.clone(),
                hints: Default::default(),
                inbox_told: Default::default(),
                lookups: Arc::clone(&whole.lookups),
                pulse: Default::default(),
                lease,
                places: Arc::clone(&whole.places),
                working: Working::default(),
            }),
        };
        whole.working.parts().get_or_insert_default().insert(slot, part.clone());
        part
    }

    /// The part of this slot works no more.
    pub(crate) fn part_ended(&self, slot: Slot) {
        self.parts.working.parts().iter_mut().for_each(|parts| drop(parts.remove(&slot)));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn tell(&self, kind: EventKind) {
        self.parts.emit(kind);
    }

    /// The state could be used, or why it could not.
    pub(crate) fn wrote(&self, failure: Option<String>) {
        self.parts.pulse.wrote(failure);
    }

    /// Says that the whole lives, and returns what it says: the poll loops of all parts, each forge's by the one that is most
    /// late.
    pub(crate) fn speak(&self, started: Timestamp, pace: Duration) -> AgentState {
        let mut loops: BTreeMap<String, LoopState> = BTreeMap::new();
        for part in self.parts.working.engines() {
            for one in part.vitals().map(|vitals| vitals.agent.loops).unwrap_or_default() {
                let kept = loops.entry(one.forge.clone()).or_insert_with(|| one.clone());
                if one.beat < kept.beat {
                    *kept = one;
                }
            }
        }
        let agent = AgentState {
            holder: self.parts.holder.clone(),
            started,
            beat: self.now(),
            ended: None,
            loops: loops.into_values().collect(),
        };
        self.parts.pulse.beat(&agent, pace);
        agent
    }
}

/// The requests that are for a part's watches.
#[derive(Debug)]
struct OwnRequests {
    all: Arc<dyn Inbox>,
    watches: BTreeSet<WatchName>,
}

#[async_trait::async_trait]
impl Inbox for OwnRequests {
    async fn request(&self, trigger: &Trigger) -> Result<Trigger, StoreError> {
        self.all.request(trigger).await
    }

    async fn trigger(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError> {
        self.all.trigger(id).await
    }

    async fn hold(&self, hold: &Hold) -> Result<(), StoreError> {
        self.all.hold(hold).await
    }

    async fn requests(&self) -> Result<Requests, StoreError> {
        let mut requests = self.all.requests().await?;
        requests.triggers.retain(|trigger| self.watches.contains(&trigger.watch));
        requests.suspensions.retain(|suspension| self.watches.contains(&suspension.watch));
        Ok(requests)
    }
}
