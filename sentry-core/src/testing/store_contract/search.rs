//! Deliveries that differ in all that they are found by, and questions for them.

use super::archive::delivered;
use crate::delivery::{CommitNote, Delivery, DeliveryState};
use crate::store::DeliveryQuery;
use crate::testing::sample;

/// Two dozen, newest first.
pub(super) fn deliveries() -> Vec<Delivery> {
    use DeliveryState as S;
    let note = |title: &str, author: &str| {
        let (title, author) = (title.to_owned(), author.to_owned());
        Some(CommitNote { title, author, committed: None })
    };
    let notes = [
        note("Fix the \"total\" of 100% of_carts", "Ada"),
        note("修复购物车的总价 \\ (x)", "王芳"),
        None,
        note("fix", "ada"),
        note("Merge FIX into main", "renovate[bot]"),
        note("", ""),
    ];
    let delivery = |n: u32| {
        let place = n as usize;
        let mut delivery = delivered(n, ["main", "release/Pay", "fix/1"][place % 3], n);
        delivery.watch = sample::watch(["app", "shop"][place % 2]);
        delivery.state = [S::Failed, S::Succeeded, S::Parked, S::Failed][place % 4];
        delivery.commit.clone_from(&notes[place % notes.len()]);
        delivery
    };
    (1..=24).rev().map(delivery).collect()
}

/// Each text, and none, with each of some watches, branches and authors; the other filters turn by turn.
pub(super) fn queries() -> Vec<DeliveryQuery> {
    let sha = sample::sha(7).to_string();
    let texts = [
        "fix",
        "FIX",
        "fi",
        "of_carts",
        "ofxcarts",
        "100% of",
        "total\" of",
        "修复购",
        "购物车的总价",
        "车",
        "\\ (x)",
        "release/pay",
        "shop",
        "sho",
        "ada",
        "OR",
        "fix\" OR \"x",
        "*",
        "zzz",
        &sha,
        &sha[..12],
        &sha[8..20],
        "refs/heads/",
        "",
    ];
    let places = [
        (None, None, None),
        (Some("app"), None, None),
        (Some("shop"), Some("fix/1"), None),
        (None, Some("fix/1"), None),
        (None, None, Some("ADA")),
        (Some("app"), None, Some("renovate[bot]")),
    ];
    let mut queries = Vec::new();
    for (n, text) in [None].into_iter().chain(texts.map(Some)).enumerate() {
        for place in places {
            for states in [vec![], vec![DeliveryState::Failed, DeliveryState::Parked]] {
                queries.push(DeliveryQuery { states, ..query(n, text, place) });
            }
        }
    }
    queries
}

type Place = (Option<&'static str>, Option<&'static str>, Option<&'static str>);

fn query(n: usize, text: Option<&str>, (watch, branch, author): Place) -> DeliveryQuery {
    let bound = [None, Some(sample::time(9)), Some(sample::time(18))];
    DeliveryQuery {
        watch: watch.map(sample::watch),
        subject: branch.map(sample::subject),
        author: author.map(str::to_owned),
        text: text.map(str::to_owned),
        since: bound[n % 2],
        until: bound[(n % 3) & 2],
        before: (n % 5 == 4).then(|| sample::id(20)),
        limit: (n % 4 == 3).then_some(2),
        ..DeliveryQuery::default()
    }
}
