//! One slot of PostgreSQL as a state of its own, for the contract of a journal: a claim is a take, and drops give back.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sentry_core::fleet::{Holding, Member, MemberId, Slot, SlotSet, Slots as _, Term};
use sentry_core::store::{Claim, Journal, Snapshot, State, StoreError, Write};
use sentry_core::testing::sample;
use sentry_core::testing::store_contract::Handles;
use sentry_store::PostgresStore;

use crate::server::server;
use crate::shared::open;

/// The watches of the contract.
const WATCHES: [&str; 8] = ["app", "other", "web", "qa", "shop", "aside", "quiet", "busy"];

/// A state with one slot, in which all watches of the contract are: what agents know as a state of their own.
pub(crate) async fn handles() -> Handles {
    let database = server().database();
    let store = open(&database).await;
    let one = OneSlot { store, database, given: Arc::default(), lost: Arc::default() };
    let (state, other, lost) = (one.state(), one.state(), Arc::clone(&one.lost));
    Handles::new(state, other, move || *lost.lock().unwrap() = true)
}

#[derive(Debug, Clone)]
struct OneSlot {
    store: PostgresStore,
    database: String,
    /// Terms that are to be given back before another claim.
    given: Arc<Mutex<Vec<Term>>>,
    /// True if the next claim may come in though one stands.
    lost: Arc<Mutex<bool>>,
}

fn slot() -> Slot {
    Slot::new(7).unwrap()
}

impl OneSlot {
    fn state(&self) -> State {
        let all = Arc::new(self.store.clone());
        let (inbox, archive) = (Arc::clone(&all) as _, Arc::clone(&all) as _);
        State { journal: Arc::new(self.clone()), inbox, archive, blobs: all }
    }
}

#[async_trait]
impl Journal for OneSlot {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let given = std::mem::take(&mut *self.given.lock().unwrap());
        for term in given {
            self.store.give(slot(), &term).await?;
        }
        let mut agent = sample::agent(1);
        agent.holder = holder.to_owned();
        let wanted = SlotSet::default();
        let id = MemberId::new(fastrand::u128(..));
        let table = self.store.renew(&Member { id: id.clone(), wanted, agent }).await?;
        // No agent said anything before it commits, and none dies while a test is slow.
        let quiet = format!(
            "UPDATE members SET agent = NULL, until = until + interval '1 day' WHERE id = '{id}'"
        );
        server().sql(&self.database, &quiet);
        let seen = table.slots.get(&slot()).and_then(|holding| match holding {
            Holding::Owned { term, .. } => Some(term.clone()),
            Holding::Free { term, .. } => term.clone(),
        });
        if let Some(term) =
            seen.as_ref().filter(|_| std::mem::take(&mut *self.lost.lock().unwrap()))
        {
            self.store.give(slot(), term).await?;
        }
        let term = self.store.take(&id, slot(), seen.as_ref()).await?;
        self.store.settle(slot(), &term, &WATCHES.map(sample::watch)).await?;
        let claim = self.store.state(slot(), &term).journal.claim(holder).await?;
        Ok(Box::new(Claimed { claim, term, given: Arc::clone(&self.given) }))
    }
}

#[derive(Debug)]
struct Claimed {
    claim: Box<dyn Claim>,
    term: Term,
    given: Arc<Mutex<Vec<Term>>>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.given.lock().unwrap().push(self.term.clone());
    }
}

#[async_trait]
impl Claim for Claimed {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.claim.load().await
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.claim.commit(writes).await
    }
}
