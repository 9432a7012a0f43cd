//! What the tests of the file on the disk share.

use std::path::Path;

use sentry_core::delivery::{Delivery, HeadRecord, Trigger};
use sentry_core::store::{
    Archive, DeliveryQuery, Hold, Inbox, Overview, OverviewQuery, StoreError, Write,
};
use sentry_core::testing::{commit, sample};
use sentry_store::SqliteStore;

/// Everything that a store tells.
#[derive(Debug, PartialEq)]
pub(crate) struct All(Overview, Vec<Delivery>, Vec<HeadRecord>, Option<Trigger>);

/// Reads everything that a store tells.
pub(crate) async fn read_all(store: &SqliteStore) -> Result<All, StoreError> {
    Ok(All(
        store.overview(&OverviewQuery::default()).await?,
        store.deliveries(&DeliveryQuery::default()).await?,
        store.heads("").await?,
        store.trigger(&sample::trigger_id(1)).await?,
    ))
}

/// Some records of every kind: enough for pages of every kind.
pub(crate) async fn fill(store: &SqliteStore) {
    let mut writes = vec![
        Write::Cursors(sample::cursors(1)),
        Write::Watch(sample::watch_state(1)),
        Write::Agent(sample::agent(1)),
    ];
    for n in 0..40 {
        writes.push(Write::Delivery(Box::new(sample::delivery(n))));
        writes.push(Write::Delivery(Box::new(sample::open_delivery(n + 100))));
        writes.push(Write::Head(sample::head(n)));
        writes.push(Write::Validator(format!("key-{n}"), Some(sample::validator(n))));
        store.request(&sample::trigger(n)).await.unwrap();
    }
    let suspend = Hold::Suspend(sample::suspension("app", 1));
    store.hold(&suspend).await.unwrap();
    commit(store, &writes).await.unwrap();
}

/// The names of a directory's files, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let entries = std::fs::read_dir(dir).unwrap().map(name);
    let mut names: Vec<String> = entries.map(|n| n.into_string().unwrap()).collect();
    names.sort();
    names
}
