//! A state in memory that many members of one process share, as tests of a fleet do. Its clock is tokio's.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use async_trait::async_trait;
use sentry_core::fleet::{Holding, LEASE, Member, MemberId, Peer, Slot, Slots, Table, Term};
use sentry_core::forge::Validator;
use sentry_core::names::WatchName;
use sentry_core::store::{
    Claim, FleetView, Journal, MemberView, Snapshot, State, StoreError, StoreErrorKind, Write,
};
use tokio::time::Instant;

use super::{Kept, MemoryStore};

/// Who has which slot, and where the records of watches belong.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    members: BTreeMap<MemberId, Membership>,
    slots: BTreeMap<Slot, Taken>,
    homes: BTreeMap<WatchName, Home>,
    terms: u128,
}

#[derive(Debug)]
struct Membership {
    said: Member,
    joined: Instant,
    until: Instant,
}

#[derive(Debug)]
struct Taken {
    by: MemberId,
    term: Term,
    given: Option<Instant>,
}

#[derive(Debug)]
struct Home {
    slot: Slot,
    is_free: bool,
}

impl Fleet {
    /// When the slot became free, if it is.
    fn free_since(&self, taken: &Taken, now: Instant) -> Option<Instant> {
        let until = self.members.get(&taken.by).map(|member| member.until);
        taken.given.or_else(|| until.filter(|until| *until <= now))
    }

    fn table(&self, now: Instant) -> Table {
        let live = self.members.values().filter(|member| member.until > now);
        let peer = |member: &Membership| Peer {
            id: member.said.id.clone(),
            holder: member.said.agent.holder.clone(),
            wanted: member.said.wanted,
            age: now - member.joined,
        };
        let holding = |taken: &Taken| match self.free_since(taken, now) {
            Some(since) => Holding::Free { term: Some(taken.term.clone()), since: now - since },
            None => Holding::Owned { by: taken.by.clone(), term: taken.term.clone() },
        };
        let slots = self.slots.iter().map(|(slot, taken)| (*slot, holding(taken)));
        Table { members: live.map(peer).collect(), slots: slots.collect() }
    }

    /// Who works for what; nothing where no process ever was a member.
    pub(super) fn view(&self, now: Instant) -> Option<FleetView> {
        let owns = |id: &MemberId, slot: Slot| {
            let taken = self.slots.get(&slot).filter(|t| self.free_since(t, now).is_none());
            taken.is_some_and(|taken| taken.by == *id)
        };
        let live = self.members.iter().filter(|(_, member)| member.until > now);
        let mut members: Vec<MemberView> = live
            .map(|(id, member)| MemberView {
                holder: member.said.agent.holder.clone(),
                age: now - member.joined,
                slots: self
                    .slots
                    .iter()
                    .filter(|(slot, _)| owns(id, **slot))
                    .map(|(slot, taken)| (*slot, taken.term.clone()))
                    .collect(),
                watches: self.homes.values().filter(|h| !h.is_free && owns(id, h.slot)).count(),
            })
            .collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.age));
        let is_owned = |home: &Home| self.members.keys().any(|id| owns(id, home.slot));
        let unowned = self.homes.iter().filter(|(_, home)| !home.is_free && !is_owned(home));
        let unowned = unowned.map(|(watch, _)| watch.clone()).collect();
        (!self.members.is_empty()).then_some(FleetView { members, unowned })
    }

    fn fence(&self, slot: Slot, term: &Term) -> Result<(), StoreError> {
        let taken = self.slots.get(&slot).filter(|taken| taken.given.is_none());
        if taken.is_some_and(|taken| taken.term == *term) {
            return Ok(());
        }
        let message = format!("slot {slot} of the state in memory was taken by another process");
        Err(StoreError::new(StoreErrorKind::Fenced, message))
    }

    /// True if the watch's records may be brought into a slot from where they are.
    fn may_move(&self, home: &Home, to: Slot, now: Instant) -> bool {
        let owner = |slot| self.slots.get(&slot).filter(|t| self.free_since(t, now).is_none());
        let owner = |slot| owner(slot).map(|taken| &taken.by);
        home.is_free || owner(home.slot).is_none_or(|by| Some(by) == owner(to))
    }

    fn is_home(&self, watch: &WatchName, slot: Slot) -> bool {
        self.homes.get(watch).is_some_and(|home| home.slot == slot)
    }
}

#[async_trait]
impl Slots for MemoryStore {
    async fn renew(&self, me: &Member) -> Result<Table, StoreError> {
        let (mut kept, now) = (self.kept(), Instant::now());
        let until = now + LEASE;
        let known = kept.fleet.members.get(&me.id).filter(|member| member.until > now);
        let joined = known.map_or(now, |member| member.joined);
        kept.fleet.members.insert(me.id.clone(), Membership { said: me.clone(), joined, until });
        Ok(kept.fleet.table(now))
    }

    async fn take(
        &self,
        me: &MemberId,
        slot: Slot,
        seen: Option<&Term>,
    ) -> Result<Term, StoreError> {
        let (mut kept, now) = (self.kept(), Instant::now());
        let fleet = &mut kept.fleet;
        let taken = fleet.slots.get(&slot);
        let is_free = taken.is_none_or(|t| fleet.free_since(t, now).is_some() || t.by == *me);
        if taken.map(|taken| &taken.term) != seen || !is_free {
            let message = format!("slot {slot} of the state in memory is another process's");
            return Err(StoreError::new(StoreErrorKind::Held, message));
        }
        fleet.terms += 1;
        let term = Term::new(fleet.terms);
        fleet.slots.insert(slot, Taken { by: me.clone(), term: term.clone(), given: None });
        Ok(term)
    }

    async fn give(&self, slot: Slot, term: &Term) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let taken = kept.fleet.slots.get_mut(&slot).filter(|taken| taken.term == *term);
        taken.into_iter().for_each(|taken| {
            taken.given.get_or_insert_with(Instant::now);
        });
        Ok(())
    }

    async fn settle(
        &self,
        slot: Slot,
        term: &Term,
        watches: &[WatchName],
    ) -> Result<Vec<WatchName>, StoreError> {
        let (mut kept, now) = (self.kept(), Instant::now());
        let fleet = &mut kept.fleet;
        fleet.fence(slot, term)?;
        let given_up =
            |(watch, home): &(&WatchName, &mut Home)| home.slot == slot && !watches.contains(watch);
        fleet.homes.iter_mut().filter(given_up).for_each(|(_, home)| home.is_free = true);
        let mut settled = Vec::new();
        for watch in watches {
            let home = fleet.homes.get(watch);
            if home.is_none_or(|home| home.slot == slot || fleet.may_move(home, slot, now)) {
                fleet.homes.insert(watch.clone(), Home { slot, is_free: false });
                settled.push(watch.clone());
            }
        }
        Ok(settled)
    }

    fn state(&self, slot: Slot, term: &Term) -> State {
        let journal = Arc::new(Part { store: self.clone(), slot, term: term.clone() });
        let all = Arc::new(self.clone());
        State { journal, inbox: Arc::clone(&all) as _, archive: Arc::clone(&all) as _, blobs: all }
    }
}

/// The part of a state that a term of a slot is for.
#[derive(Debug, Clone)]
struct Part {
    store: MemoryStore,
    slot: Slot,
    term: Term,
}

impl Part {
    fn kept(&self) -> Result<MutexGuard<'_, Kept>, StoreError> {
        let kept = self.store.kept();
        kept.fleet.fence(self.slot, &self.term).map(|()| kept)
    }

    /// A validator's key: two slots may ask the same repository the same question.
    fn key(&self, key: &str) -> String {
        format!("{} {key}", self.slot)
    }
}

#[async_trait]
impl Journal for Part {
    async fn claim(&self, _holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        drop(self.kept()?);
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Claim for Part {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let kept = self.kept()?;
        let mut all = kept.snapshot();
        let is_own = |watch: &WatchName| kept.fleet.is_home(watch, self.slot);
        all.cursors.retain(|cursors| is_own(&cursors.watch));
        all.watches.retain(|state| is_own(&state.watch));
        all.open.retain(|delivery| is_own(&delivery.watch));
        all.reports.retain(|report| is_own(&report.watch));
        all.outbox.retain(|outgoing| is_own(&outgoing.notice.watch));
        all.troubles.retain(|trouble| is_own(&trouble.watch));
        all.inbox.triggers.retain(|trigger| is_own(&trigger.watch));
        all.inbox.suspensions.retain(|suspension| is_own(&suspension.watch));
        let prefix = self.key("");
        let own = |(key, validator): (String, Validator)| {
            key.strip_prefix(&prefix).map(|key| (key.to_owned(), validator))
        };
        all.validators = all.validators.into_iter().filter_map(own).collect();
        Ok(all)
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut kept = self.kept()?;
        let foreign = writes.iter().filter_map(Write::watch);
        if let Some(watch) = foreign.into_iter().find(|w| !kept.fleet.is_home(w, self.slot)) {
            let message = format!("watch {watch} belongs to another slot than {}", self.slot);
            return Err(StoreError::new(StoreErrorKind::Fenced, message));
        }
        for write in writes {
            kept.apply(match write.clone() {
                Write::Validator(key, validator) => Write::Validator(self.key(&key), validator),
                other => other,
            });
        }
        Ok(())
    }
}
