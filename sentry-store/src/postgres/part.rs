//! The part of a state that a term of a slot is for.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use sentry_core::fleet::{Slot, Term};
use sentry_core::store::{AgentState, Claim, Journal, Snapshot, StoreError, Write};

use super::failure::Failure;
use super::rows::get;
use super::session::Value;
use super::snapshot::snapshot;
use super::writes::Writes;
use super::{PostgresStore, slots};

/// A slot that is held under a term, as long as it is.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) store: PostgresStore,
    pub(super) slot: Slot,
    pub(super) term: Term,
}

impl Part {
    /// What names it to the database.
    pub(super) fn values(&self) -> [Value; 2] {
        [slots::value(self.slot), Value::Text(self.term.to_string())]
    }

    pub(super) fn fenced(&self, by: &str) -> Failure {
        let by = if by.is_empty() { "another process" } else { by };
        Failure::Fenced(format!("has slot {} taken by {by}; this process leaves it", self.slot))
    }

    async fn check(&self) -> Result<(), Failure> {
        let sql = "SELECT (SELECT holder FROM members WHERE id = owner),
            term = $2 AND given_at IS NULL FROM slots WHERE slot = $1";
        let rows = self.store.pool().rows(sql, &self.values()).await?;
        let Some(row) = rows.first() else { return Err(self.fenced("")) };
        if get(row, 1)? {
            return Ok(());
        }
        Err(self.fenced(get::<Option<&str>>(row, 0)?.unwrap_or_default()))
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), Failure> {
        let Writes { watches, json } = Writes::of(writes)?;
        let [slot, term] = self.values();
        let values = [slot, term, Value::Texts(watches), Value::MaybeText(Some(json))];
        let sql = "SELECT taken_by, foreign_watch FROM sentry_commit_1($1, $2, $3, $4::jsonb)";
        let rows = self.store.pool().rows(sql, &values).await?;
        let row = rows.first().ok_or_else(|| Failure::Damaged("a commit has no answer".into()))?;
        if let Some(by) = get::<Option<&str>>(row, 0)? {
            return Err(self.fenced(by));
        }
        get::<Option<&str>>(row, 1)?.map_or(Ok(()), |watch| {
            Err(Failure::Fenced(format!("has watch {watch} in another slot than {}", self.slot)))
        })
    }
}

#[async_trait]
impl Journal for Part {
    async fn claim(&self, _holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        self.store.done(self.check().await)?;
        Ok(Box::new(Claimed { part: self.clone(), said: Mutex::default() }))
    }
}

/// A claim, which holds as long as the term does.
#[derive(Debug)]
struct Claimed {
    part: Part,
    /// How the agent last said that it is.
    said: Mutex<Option<AgentState>>,
}

impl Claimed {
    fn said(&self) -> Option<AgentState> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Claim for Claimed {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut all = self.part.store.done(snapshot(&self.part).await)?;
        all.agent = self.said().or(all.agent);
        Ok(all)
    }

    /// How the agent is alone is worth no call: its member's renewals tell, every two seconds.
    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let is_said = |write: &Write| matches!(write, Write::Agent(_));
        if writes.is_empty() || !writes.iter().all(is_said) {
            let _change = self.part.store.shared.seen.change_by(writes);
            self.part.store.done(self.part.commit(writes).await)?;
        }
        if let Some(Write::Agent(agent)) = writes.iter().rfind(|write| is_said(write)) {
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(agent.clone());
        }
        Ok(())
    }
}
