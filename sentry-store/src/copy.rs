//! A whole state from one place to another, record by record, and compared at the end.
//!
//! What is not copied: validators of forges' answers, which are a slot's own, and what open deliveries got from elsewhere: both are
//! asked for anew. And what an agent last said of itself.

use async_trait::async_trait;
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{Delivery, HeadRecord, Trigger};
use sentry_core::store::{
    Act, InventoryItem, Outgoing, Report, StoreError, Suspension, Trouble, WatchState, Write,
};
use sha2::{Digest as _, Sha256};

use crate::dto::{DtoError, Record};
use crate::{PostgresStore, SqliteStore};

/// So many records are moved at a time.
pub(crate) const PAGE: usize = 200;

/// The kinds of records, in the order in which they are copied; each is a table of both databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Watches,
    Cursors,
    Deliveries,
    Triggers,
    Heads,
    Reports,
    Inventory,
    Outbox,
    Troubles,
    Suspensions,
    Acts,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Watches,
        Self::Cursors,
        Self::Deliveries,
        Self::Triggers,
        Self::Heads,
        Self::Reports,
        Self::Inventory,
        Self::Outbox,
        Self::Troubles,
        Self::Suspensions,
        Self::Acts,
    ];

    /// What its table is called, everywhere.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Watches => "watches",
            Self::Cursors => "cursors",
            Self::Deliveries => "deliveries",
            Self::Triggers => "triggers",
            Self::Heads => "heads",
            Self::Reports => "reports",
            Self::Inventory => "inventory",
            Self::Outbox => "outbox",
            Self::Troubles => "troubles",
            Self::Suspensions => "suspensions",
            Self::Acts => "acts",
        }
    }

    /// A record of its table, but a delivery, whose parts are kept apart.
    pub(crate) fn decode(self, version: u32, json: &str) -> Result<Item, DtoError> {
        let write = match self {
            Self::Watches => Write::Watch(WatchState::decode(version, json)?),
            Self::Cursors => Write::Cursors(Cursors::decode(version, json)?),
            Self::Deliveries => Write::Delivery(Box::new(Delivery::decode(version, json)?)),
            Self::Heads => Write::Head(HeadRecord::decode(version, json)?),
            Self::Reports => Write::Report(Report::decode(version, json)?),
            Self::Inventory => Write::Inventory(InventoryItem::decode(version, json)?),
            Self::Outbox => Write::Notice(Box::new(Outgoing::decode(version, json)?)),
            Self::Troubles => Write::Trouble(Trouble::decode(version, json)?),
            Self::Triggers => return Ok(Item::Trigger(Trigger::decode(version, json)?)),
            Self::Suspensions => return Ok(Item::Suspension(Suspension::decode(version, json)?)),
            Self::Acts => return Ok(Item::Act(Act::decode(version, json)?)),
        };
        Ok(Item::Write(write))
    }
}

/// One record.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// What an agent writes.
    Write(Write),
    Trigger(Trigger),
    Suspension(Suspension),
    Act(Act),
}

impl Item {
    /// What both databases keep of it alike.
    fn text(&self) -> Result<String, DtoError> {
        let text = match self {
            Self::Write(write) => match write {
                Write::Watch(record) => record.encode(),
                Write::Cursors(record) => record.encode(),
                Write::Delivery(record) => record.encode(),
                Write::Head(record) => record.encode(),
                Write::Report(record) => record.encode(),
                Write::Inventory(record) => record.encode(),
                Write::Notice(record) => record.encode(),
                Write::Trouble(record) => record.encode(),
                // No record is one of these.
                _ => Ok(String::new()),
            },
            Self::Trigger(record) => record.encode(),
            Self::Suspension(record) => record.encode(),
            Self::Act(record) => record.encode(),
        };
        text.map(crate::postgres::without_nul)
    }
}

/// How many records there are, and a digest of them that does not depend on their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    count: u64,
    digest: u128,
}

impl Sum {
    fn add(&mut self, item: &Item) -> Result<(), DtoError> {
        let hash = Sha256::digest(item.text()?);
        let half = hash[..16].iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
        self.count += 1;
        self.digest = self.digest.wrapping_add(half);
        Ok(())
    }
}

/// One side of a copy. Nobody else works with its state while it is there.
#[async_trait]
pub(crate) trait Side: Send + Sync {
    /// What it is called in messages.
    fn place(&self) -> String;

    /// The records of a kind after the one with this key, in an order of its own, each with its key.
    async fn page(
        &self,
        kind: Kind,
        after: Option<&str>,
    ) -> Result<Vec<(String, Item)>, StoreError>;

    /// Keeps records of a kind.
    async fn put(&self, kind: Kind, items: Vec<Item>) -> Result<(), StoreError>;

    /// Keeps all that was put, for good.
    async fn finish(self: Box<Self>) -> Result<(), StoreError>;
}

/// A state that nobody works with.
#[derive(Debug)]
pub enum AnyStore<'a> {
    /// In a directory.
    Sqlite(&'a SqliteStore),
    /// In a database.
    Postgres(&'a PostgresStore),
}

/// How many records of a kind were copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What the kind's table is called in both databases.
    pub kind: &'static str,
    /// How many there are on both sides.
    pub count: u64,
}

/// Why a state is not copied. A person must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The state that is copied, or the one that it is copied to, can't be used, or an agent works with it
    /// ([`StoreErrorKind::Held`](sentry_core::store::StoreErrorKind::Held)).
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state that it is copied to holds something already.
    #[error("{place} is not empty: it holds {count} of {kind}")]
    NotEmpty {
        /// Where.
        place: String,
        /// Of which kind.
        kind: &'static str,
        /// How many at least.
        count: usize,
    },
    /// What is there after the copy is not what was there before.
    #[error("{kind} differ after the copy: {from} in the old state, {to} in the new one")]
    Differs {
        /// Of which kind.
        kind: &'static str,
        /// How many the old state holds.
        from: u64,
        /// How many the new one holds.
        to: u64,
    },
    /// A record can't be read or written.
    #[error("a record can't be copied")]
    Record(#[from] DtoError),
}

/// Copies all of a state to an empty one, and compares both. Neither may have an agent at work, and none can begin meanwhile.
///
/// # Errors
/// [`CopyError`]. Where it fails half-way, a database is as it was; a directory may hold a part.
pub async fn copy(from: AnyStore<'_>, to: AnyStore<'_>) -> Result<Vec<Copied>, CopyError> {
    let (from, to) = (from.side(false).await?, to.side(true).await?);
    for kind in Kind::ALL {
        let there = to.page(kind, None).await?;
        if !there.is_empty() {
            let (place, kind, count) = (to.place(), kind.table(), there.len());
            return Err(CopyError::NotEmpty { place, kind, count });
        }
    }
    let mut copied = Vec::new();
    for kind in Kind::ALL {
        let sent = each(&*from, kind, Some(&*to)).await?;
        let kept = each(&*to, kind, None).await?;
        if sent != kept {
            let (kind, from, to) = (kind.table(), sent.count, kept.count);
            return Err(CopyError::Differs { kind, from, to });
        }
        copied.push(Copied { kind: kind.table(), count: sent.count });
    }
    to.finish().await?;
    Ok(copied)
}

/// Reads every record of a kind; where there is another side, it gets them.
async fn each(from: &dyn Side, kind: Kind, to: Option<&dyn Side>) -> Result<Sum, CopyError> {
    let (mut sum, mut last) = (Sum::default(), None::<String>);
    loop {
        let page = from.page(kind, last.as_deref()).await?;
        let Some((key, _)) = page.last() else { return Ok(sum) };
        last = Some(key.clone());
        let items: Vec<Item> = page.into_iter().map(|(_, item)| item).collect();
        items.iter().try_for_each(|item| sum.add(item))?;
        if let Some(to) = to {
            to.put(kind, items).await?;
        }
    }
}

impl<'a> AnyStore<'a> {
    async fn side(self, writes: bool) -> Result<Box<dyn Side + 'a>, StoreError> {
        Ok(match self {
            Self::Sqlite(store) => Box::new(store.side().await?),
            Self::Postgres(store) => Box::new(store.side(writes).await?),
        })
    }
}
