//! Who has which slot, by the database's clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sentry_core::fleet::{
    Holding, LEASE, Member, MemberId, Peer, Slot, SlotSet, Slots, Table, Term,
};
use sentry_core::names::WatchName;
use sentry_core::store::{State, StoreError};
use tokio::time::sleep;
use tokio_postgres::Row;

use super::PostgresStore;
use super::failure::Failure;
use super::part::Part;
use super::rows::{get, odd, parsed};
use super::session::{Lent, Pool, Value};
use super::writes;
use crate::dto::VERSION;

/// How long a call may take: a lease outlasts one that hangs.
const CALL: Duration = Duration::from_secs(4);
/// Who stands in the way of a take for so long is ended: shortly before the database gives up on the lock.
const PATIENCE: Duration = Duration::from_millis(1500);
/// So often is a take tried that somebody stands in the way of.
const TRIES: usize = 3;

/// Ends what blocks a connection for longer than its patience: connections of our own role that are not themselves waiting, as
/// those of a process that stands still in the middle of a commit.
const END_BLOCKERS: &str =
    "SELECT pg_terminate_backend(a.pid) FROM unnest(pg_blocking_pids($1)) b (pid)
    JOIN pg_stat_activity a ON a.pid = b.pid
    WHERE a.usename = current_user AND a.wait_event_type IS DISTINCT FROM 'Lock'
        AND a.xact_start < clock_timestamp() - interval '1 second'";

pub(super) fn value(slot: Slot) -> Value {
    Value::Slot(i16::from(slot.number()))
}

/// The slot of a column.
pub(super) fn slot(number: i16) -> Result<Slot, Failure> {
    let slot = u8::try_from(number).ok().and_then(Slot::new);
    slot.ok_or_else(|| odd("slot", &number.to_string()))
}

#[async_trait]
impl Slots for PostgresStore {
    async fn renew(&self, me: &Member) -> Result<Table, StoreError> {
        self.done(renew(self.leases(), me).await)
    }

    async fn take(
        &self,
        me: &MemberId,
        slot: Slot,
        seen: Option<&Term>,
    ) -> Result<Term, StoreError> {
        self.done(take(self.leases(), me, slot, seen).await)
    }

    async fn give(&self, slot: Slot, term: &Term) -> Result<(), StoreError> {
        let sql = "UPDATE slots SET given_at = clock_timestamp()
            WHERE slot = $1 AND term = $2 AND given_at IS NULL";
        let values = [value(slot), Value::Text(term.to_string())];
        self.done(short(self.leases(), sql, &values).await.map(drop))
    }

    async fn settle(
        &self,
        slot: Slot,
        term: &Term,
        watches: &[WatchName],
    ) -> Result<Vec<WatchName>, StoreError> {
        let part = Part { store: self.clone(), slot, term: term.clone() };
        self.done(settle(&part, watches).await)
    }

    fn state(&self, slot: Slot, term: &Term) -> State {
        let journal = Arc::new(Part { store: self.clone(), slot, term: term.clone() });
        let all = Arc::new(self.clone());
        State { journal, inbox: Arc::clone(&all) as _, archive: Arc::clone(&all) as _, blobs: all }
    }
}

async fn short(pool: &Pool, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failure> {
    pool.session(CALL).await?.rows(sql, values).await
}

async fn renew(pool: &Pool, me: &Member) -> Result<Table, Failure> {
    let values = [
        Value::Text(me.id.to_string()),
        Value::Text(me.agent.holder.clone()),
        Value::Seconds(LEASE.as_secs_f64()),
        Value::Int(me.wanted.bits().cast_signed()),
        Value::Count(i32::try_from(VERSION).unwrap_or(i32::MAX)),
        Value::MaybeText(Some(writes::record(&me.agent)?)),
    ];
    let sql = "SELECT member, holder, wanted, slot, term, free, age
        FROM sentry_renew_1($1, $2, $3, $4, $5, $6::jsonb) ORDER BY member, slot";
    let mut table = Table::default();
    for row in short(pool, sql, &values).await? {
        let member: MemberId = parsed(get(&row, 0)?)?;
        let age = Duration::try_from_secs_f64(get::<f64>(&row, 6)?.max(0.0)).unwrap_or_default();
        let Some(number) = get::<Option<i16>>(&row, 3)? else {
            let wanted = SlotSet::from_bits(get::<i64>(&row, 2)?.cast_unsigned());
            table.members.push(Peer { id: member, holder: get(&row, 1)?, wanted, age });
            continue;
        };
        let slot = slot(number)?;
        let term: Term = parsed(get(&row, 4)?)?;
        let holding = match get(&row, 5)? {
            true => Holding::Free { term: Some(term), since: age },
            false => Holding::Owned { by: member, term },
        };
        table.slots.insert(slot, holding);
    }
    Ok(table)
}

/// Takes the slot, and ends who stands in the way of that for too long.
async fn take(
    pool: &Pool,
    me: &MemberId,
    slot: Slot,
    seen: Option<&Term>,
) -> Result<Term, Failure> {
    let mut tries = 1;
    loop {
        match attempt(pool, me, slot, seen).await {
            Err(failure) if failure.is_lock_timeout() && tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

async fn attempt(
    pool: &Pool,
    me: &MemberId,
    slot: Slot,
    seen: Option<&Term>,
) -> Result<Term, Failure> {
    let db = pool.session(CALL).await?;
    let (fresh, pid) = fresh(&db).await?;
    let values = [
        Value::Text(me.to_string()),
        value(slot),
        Value::MaybeText(seen.map(ToString::to_string)),
        Value::Text(fresh.to_string()),
    ];
    let sql = "SELECT taken, held_by FROM sentry_take_1($1, $2, $3, $4)";
    let took = async { db.rows(sql, &values).await };
    let evict = async {
        sleep(PATIENCE).await;
        short(pool, END_BLOCKERS, &[Value::Count(pid)]).await
    };
    let mut took = std::pin::pin!(took);
    let rows = tokio::select! {
        biased;
        rows = &mut took => rows?,
        ended = evict => {
            ended?;
            took.await?
        }
    };
    let row = rows.first().ok_or_else(|| Failure::Damaged("a take has no answer".into()))?;
    if get(row, 0)? {
        return Ok(fresh);
    }
    let by = get::<Option<&str>>(row, 1)?.unwrap_or("another process");
    Err(Failure::Held(format!("has slot {slot} in use by {by}")))
}

/// A new term, and the number of the connection's own server process.
async fn fresh(db: &Lent<'_>) -> Result<(Term, i32), Failure> {
    let sql = "SELECT replace(gen_random_uuid()::text, '-', ''), pg_backend_pid()";
    let rows = db.rows(sql, &[]).await?;
    let row = rows.first().ok_or_else(|| Failure::Damaged("a random id is missing".into()))?;
    Ok((parsed(get(row, 0)?)?, get(row, 1)?))
}

async fn settle(part: &Part, watches: &[WatchName]) -> Result<Vec<WatchName>, Failure> {
    let [slot, term] = part.values();
    let names = watches.iter().map(ToString::to_string).collect();
    let sql = "SELECT settled FROM sentry_settle_1($1, $2, $3)";
    let rows = short(part.store.leases(), sql, &[slot, term, Value::Texts(names)]).await?;
    let settled: Option<Vec<String>> = rows.first().map(|row| get(row, 0)).transpose()?.flatten();
    let settled = settled.ok_or_else(|| part.fenced(""))?;
    let is_settled = |watch: &&WatchName| settled.iter().any(|name| name == watch.as_str());
    Ok(watches.iter().filter(is_settled).cloned().collect())
}
