//! What each filter, search and page of the history costs over a large state in a real SQLite file.
//!
//! `cargo bench -p sentry-tests --bench history`; `WATCHES=200 BRANCHES=20 DELIVERIES=4000` are the numbers, the last one of
//! each watch.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sentry_api::query::{HistoryQuery, StatusQuery};
use sentry_api::{Answers as _, Local};
use sentry_core::testing::sample;
use sentry_store::SqliteStore;
use sentry_tests::large::Size;

const HOW: &str = "\
The state is a file in a temporary directory; each delivery has one object, a run. Each figure is the best of 5, for a page of
20 deliveries or branches.";

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// What is asked, as the query string of the API.
const HISTORY: &[&str] = &[
    "",
    "before=MIDDLE",
    "watch=watch-17",
    "watch=watch-17&branch=release/7",
    "branch=release/7",
    "branch=release/none",
    "state=failed",
    "failed=true",
    "state=parked",
    "watch=watch-17&failed=true",
    "since=MIDDLE",
    "until=MIDDLE",
    "since=MIDDLE&until=MIDDLE",
    "author=grace hopper",
    "author=nobody",
    "watch=watch-17&author=nobody",
    "q=payments",
    "q=acquirer&state=failed",
    "q=release/19",
    "q=watch-17",
    "q=林巧稚",
    "q=zzz",
    "q=Change 777:",
    "q=that timed out at the acquired",
    "q=SHA",
    "q=payments&state=parked",
    "watch=watch-17&q=zzz",
    "q=payments&until=MIDDLE",
];

const STATUS: &[&str] = &[
    "watch=watch-17&branch=release/7",
    "branch=release/7",
    "q=ease/19",
    "state=parked",
    "limit=20",
];

async fn best(mut work: impl AsyncFnMut() -> usize) -> (Duration, usize) {
    let (mut best, mut found) = (Duration::MAX, 0);
    for _ in 0..5 {
        let begun = Instant::now();
        found = work().await;
        best = best.min(begun.elapsed());
    }
    (best, found)
}

fn told(what: &str, (time, found): (Duration, usize)) {
    println!("{:>7.1} ms {found:>3} {what}", time.as_secs_f64() * 1e3);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{HOW}\n");
    let [watches, branches, deliveries] =
        [("WATCHES", 200), ("BRANCHES", 20), ("DELIVERIES", 4_000)].map(|(n, d)| number(n, d));
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
    Size { watches, branches, deliveries, objects: 1 }.fill(&store).await;
    println!("{watches} watches x {branches} branches, {} deliveries", watches * deliveries);
    let local = Local::new(Arc::clone(&store), Vec::new());
    let middle = watches * deliveries / 2;
    for query in HISTORY {
        let asked = query
            .replace("before=MIDDLE", &format!("before={}", sample::id(middle)))
            .replace("MIDDLE", &sample::time(middle).to_string())
            .replace("SHA", sample::sha(middle).as_str());
        let asked: HistoryQuery = serde_urlencoded::from_str(&asked).unwrap();
        told(query, best(async || local.history(&asked).await.unwrap().deliveries.len()).await);
    }
    for query in STATUS {
        let asked: StatusQuery = serde_urlencoded::from_str(query).unwrap();
        let branches = async || {
            let status = local.status(&asked).await.unwrap();
            status.watches.iter().map(|watch| watch.branches.len()).sum()
        };
        told(&format!("status {query}"), best(branches).await);
    }
}
