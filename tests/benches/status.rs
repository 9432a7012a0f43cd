//! What `status` costs over a large state in a real SQLite file, and what it costs to open that.
//!
//! `cargo bench -p sentry-tests --bench status`; `WATCHES=200 BRANCHES=20 DELIVERIES=200` are the numbers, the last one of
//! each watch, and `OPEN=1,10000,200000` the deliveries of the states that are opened.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sentry_api::query::StatusQuery;
use sentry_api::{Answers as _, Local};
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{Asked, Delivery, DeliveryState, RunState};
use sentry_core::plan::Action;
use sentry_core::revision::Revision;
use sentry_core::store::{WatchState, Write};
use sentry_core::testing::{commit, load, sample};
use sentry_store::SqliteStore;

const HOW: &str = "\
The state is a file in a temporary directory; each delivery has 10 objects, 3 of them runs that ended. Each figure is the
best of 10. A state that is opened has 100 watches with a branch each; opening is what an agent does until it works: it opens
the file, claims it and loads what is live. What it then reads beside its work, once, is all.";

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn delivery(n: u32, watch: &str, branch: u32) -> Delivery {
    let revision =
        Revision { subject: sample::subject(&format!("release/{branch}")), sha: sample::sha(n) };
    let mut delivery = Delivery {
        id: sample::id(n),
        watch: sample::watch(watch),
        revision,
        asked: Asked { dry_run: false, only: None, repeats: None, ..sample::asked(n) },
        state: DeliveryState::Succeeded,
        error: None,
        superseded_by: None,
        objects: Vec::new(),
        runs: Vec::new(),
        ..sample::delivery(n)
    };
    for at in 0..10 {
        let (mut outcome, mut run) =
            (sample::outcome(Action::Created), sample::run(RunState::Succeeded));
        outcome.object.name = format!("object-{n}-{at}");
        outcome.run = at < 3;
        run.object = outcome.object.clone();
        if outcome.run {
            delivery.runs.push(run);
        }
        delivery.objects.push(outcome);
    }
    delivery
}

async fn fill(store: &SqliteStore, watches: u32, branches: u32, deliveries: u32) {
    let mut next = 0;
    for watch in 0..watches {
        let name = format!("watch-{watch}");
        let mut writes = vec![Write::Watch(WatchState {
            watch: sample::watch(&name),
            ..sample::watch_state(1)
        })];
        for n in 0..deliveries {
            next += 1;
            let delivery = delivery(next, &name, n % branches);
            if n + branches >= deliveries {
                let mark = sample::mark(next);
                let Revision { subject, .. } = delivery.revision.clone();
                let seen = Cursors::first_seen(sample::watch(&name), subject, mark.clone());
                writes.push(Write::Cursors(Cursors { delivered: Some(mark), ..seen }));
            }
            writes.push(Write::Delivery(Box::new(delivery)));
        }
        commit(store, &writes).await.unwrap();
    }
}

/// The best of some times.
async fn best(mut work: impl AsyncFnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let begun = Instant::now();
        work().await;
        best = best.min(begun.elapsed());
    }
    best
}

/// What it costs to open a state with so many deliveries, and to read all of it.
async fn opening(deliveries: u32) {
    let dir = tempfile::tempdir().unwrap();
    let watches = deliveries.min(100);
    fill(&SqliteStore::open(dir.path()).unwrap(), watches, 1, deliveries / watches).await;
    let open = best(async || {
        let store = SqliteStore::open(dir.path()).unwrap();
        load(&store).await.unwrap();
    });
    let open = open.await;
    let store = SqliteStore::open(dir.path()).unwrap();
    let begun = Instant::now();
    store.verify().await.unwrap();
    let (open, all) = (ms(open), ms(begun.elapsed()));
    println!("{deliveries:>7} deliveries: opened in {open:.1} ms, all of it read in {all:.0} ms");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{HOW}\n");
    let open = std::env::var("OPEN").unwrap_or_else(|_| "1,10000,200000".to_owned());
    let [watches, branches, deliveries] =
        [("WATCHES", 200), ("BRANCHES", 20), ("DELIVERIES", 200)].map(|(n, d)| number(n, d));
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
    fill(&store, watches, branches, deliveries).await;
    let local = Local::new(Arc::clone(&store), Vec::new());
    let ask = async |watch: Option<String>| {
        let query = StatusQuery { watch, ..StatusQuery::default() };
        best(async || drop(local.status(&query).await.unwrap())).await
    };
    let (all, one) = (ask(None).await, ask(Some("watch-0".to_owned())).await);
    println!("{watches} watches x {branches} branches x {deliveries} deliveries");
    println!("status of all: {:.1} ms, of one watch: {:.2} ms", ms(all), ms(one));
    drop((local, store, dir));
    for deliveries in open.split(',') {
        opening(deliveries.parse().unwrap()).await;
    }
}
