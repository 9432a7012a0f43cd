//! What a state tells of its members and slots, and the port to it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::slot::{MemberId, Slot, SlotSet, Term};
use crate::names::WatchName;
use crate::store::{AgentState, State, StoreError};

/// How long a renewal lasts.
pub const LEASE: Duration = Duration::from_secs(10);

/// The slots of a state that many processes share.
///
/// Five methods, because a process must be able to do each of these without the others (ADR 36).
#[async_trait]
pub trait Slots: fmt::Debug + Send + Sync {
    /// Says that this member lives for [`LEASE`] from now, by the state's clock, and tells how things are then.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`](crate::store::StoreErrorKind::Unavailable) may pass.
    async fn renew(&self, me: &Member) -> Result<Table, StoreError>;

    /// Takes a slot whose term is still the one that was seen, and whose owner is this member or no live one.
    ///
    /// # Errors
    /// [`StoreErrorKind::Held`](crate::store::StoreErrorKind::Held) if that does not hold any more: a newer table tells how things are.
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable) may pass; the slot may have been taken all the same.
    async fn take(
        &self,
        me: &MemberId,
        slot: Slot,
        seen: Option<&Term>,
    ) -> Result<Term, StoreError>;

    /// Gives a slot back. One that is not held under this term any more is left as it is.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`](crate::store::StoreErrorKind::Unavailable) may pass, and needs no repeat: a slot that is
    /// not given back is free once its owner's lease is over.
    async fn give(&self, slot: Slot, term: &Term) -> Result<(), StoreError>;

    /// Brings the records of these watches into a slot that is held under this term, and frees the slot's other watches for
    /// whoever has them. Returns the watches that are in the slot now: one is left out while it is in another slot, which a
    /// live member owns, and was not freed.
    ///
    /// # Errors
    /// [`StoreErrorKind::Fenced`](crate::store::StoreErrorKind::Fenced) if the term is not that of the slot;
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable) may pass, and may be repeated.
    async fn settle(
        &self,
        slot: Slot,
        term: &Term,
        watches: &[WatchName],
    ) -> Result<Vec<WatchName>, StoreError>;

    /// The state of a slot. Its claims hold as long as the term is that of the slot: then they are
    /// [`StoreErrorKind::Fenced`](crate::store::StoreErrorKind::Fenced).
    fn state(&self, slot: Slot, term: &Term) -> State;
}

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// The slots that its configuration has watches in; none once it is leaving.
    pub wanted: SlotSet,
    /// How it is; its `holder` names process and host.
    pub agent: AgentState,
}

/// A live member, as the state tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: MemberId,
    /// Its process and host.
    pub holder: String,
    /// The slots that it has watches in.
    pub wanted: SlotSet,
    /// How long it has been a member.
    pub age: Duration,
}

/// Whose a slot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// A live member's.
    Owned {
        /// Whose.
        by: MemberId,
        /// Since which taking.
        term: Term,
    },
    /// Nobody's: it was given back, or its owner does not live any more.
    Free {
        /// The last taking; `None` if there was none.
        term: Option<Term>,
        /// For how long.
        since: Duration,
    },
}

/// Members and slots at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Every live member.
    pub members: Vec<Peer>,
    /// Every slot that was ever taken.
    pub slots: BTreeMap<Slot, Holding>,
}

impl Table {
    /// The slots that any live member has watches in.
    #[must_use]
    pub fn wanted(&self) -> SlotSet {
        self.members.iter().fold(SlotSet::default(), |all, peer| all.union(peer.wanted))
    }

    /// Who owns a slot.
    #[must_use]
    pub fn owner(&self, slot: Slot) -> Option<&MemberId> {
        match self.slots.get(&slot) {
            Some(Holding::Owned { by, .. }) => Some(by),
            Some(Holding::Free { .. }) | None => None,
        }
    }
}
