//! The contract of [`Archive`](crate::store::Archive).

use super::Handles;
use crate::cursor::{Cursors, Mark, Passed};
use crate::delivery::{Delivery, HeadRecord, Reason};
use crate::plan::Action;
use crate::store::{DeliveryQuery, InventoryItem, Report, Write};
use crate::testing::sample;

/// One `#[tokio::test]` per clause of [`archive`](crate::testing::store_contract::archive); the argument is the path of an
/// `async fn() -> Handles` that makes an empty store.
#[macro_export]
macro_rules! archive_contract_tests {
    ($make:path) => {
        $crate::store_contract_tests! { archive $make:
            a_delivery_reads_back_with_every_field_set
            every_action_on_an_object_reads_back
            every_reason_of_a_head_reads_back
            deliveries_come_newest_first_and_limited
            deliveries_are_found_by_watch_and_id_prefix
            deliveries_are_found_by_watch_and_commit
            a_prefix_with_wildcards_matches_nothing
            a_head_is_replaced_not_repeated_and_found_by_prefix
            the_same_commit_of_two_watches_has_two_decisions_newest_first
            the_inventory_keeps_an_object_until_it_is_known_to_be_deleted
            a_reader_sees_all_of_a_commit_or_nothing_of_it
            a_prune_keeps_the_newest_deliveries_of_each_watch
            a_watch_whose_newest_settled_report_was_given_up_is_told
        }
    };
}

/// See the name.
pub async fn a_delivery_reads_back_with_every_field_set(at: Handles) {
    let bare = Delivery {
        trigger: None,
        finished: None,
        intent: None,
        next_attempt: None,
        objects: vec![],
        steps: vec![],
        notes: vec![],
        error: None,
        superseded_by: None,
        dry_run: false,
        ..sample::delivery(2)
    };
    let write = |d: &Delivery| Write::Delivery(Box::new(d.clone()));
    at.commit(&[write(&sample::delivery(1)), write(&bare)]).await;
    assert_eq!(at.deliveries(&DeliveryQuery::default()).await, [bare, sample::delivery(1)]);
}

/// See the name.
pub async fn every_action_on_an_object_reads_back(at: Handles) {
    use Action as A;
    let all = [A::Created, A::Configured, A::Unchanged, A::Exists, A::Skipped, A::Failed];
    let delivery = Delivery { objects: all.map(sample::outcome).into(), ..sample::delivery(1) };
    at.commit(&[Write::Delivery(Box::new(delivery.clone()))]).await;
    assert_eq!(at.deliveries(&DeliveryQuery::default()).await, [delivery]);
}

/// See the name.
pub async fn every_reason_of_a_head_reads_back(at: Handles) {
    let reasons = [
        Reason::Delivered,
        Reason::Waiting,
        Reason::SupersededBy(sample::sha(9)),
        Reason::Baseline,
        Reason::NoRunMatched,
        Reason::NoFile,
        Reason::OnlyObjects,
        Reason::RunsLeftOut,
        Reason::SkippedByMarker,
        Reason::Suspended,
        Reason::Parked,
        Reason::ForgeUnreachable { since: sample::time(9) },
        Reason::NotSeen,
    ];
    for reason in reasons {
        let head = HeadRecord { reason: reason.clone(), delivery: None, ..sample::head(1) };
        let passed = Passed { mark: Mark { ..sample::mark(1) }, reason };
        let branch = Cursors { passed: Some(passed), ..sample::cursors(1) };
        at.commit(&[Write::Head(head.clone()), Write::Cursors(branch.clone())]).await;
        assert_eq!(at.heads(sample::sha(1).as_str()).await, [head]);
        assert_eq!(at.snapshot().await.cursors, [branch]);
    }
}

/// See the name.
pub async fn deliveries_come_newest_first_and_limited(at: Handles) {
    for n in [2, 1, 3] {
        at.commit(&[Write::Delivery(Box::new(sample::delivery(n)))]).await;
    }
    assert_eq!(at.all_ids().await, [3, 2, 1].map(sample::id));
    let two = DeliveryQuery { limit: Some(2), ..DeliveryQuery::default() };
    assert_eq!(at.deliveries(&two).await, [3, 2].map(sample::delivery));
    let none = DeliveryQuery { limit: Some(0), ..DeliveryQuery::default() };
    assert_eq!(at.deliveries(&none).await, []);
}

/// See the name.
pub async fn deliveries_are_found_by_watch_and_id_prefix(at: Handles) {
    let other = Delivery { watch: sample::watch("other"), ..sample::delivery(2) };
    at.commit(&[
        Write::Delivery(Box::new(sample::delivery(1))),
        Write::Delivery(Box::new(other.clone())),
    ])
    .await;
    let find = |watch: Option<&str>, prefix: &str| DeliveryQuery {
        watch: watch.map(sample::watch),
        id_prefix: Some(prefix.to_owned()),
        ..DeliveryQuery::default()
    };
    let (first, second) = (sample::id(1), sample::id(2));
    assert_eq!(at.deliveries(&find(Some("other"), "")).await, std::slice::from_ref(&other));
    assert_eq!(at.deliveries(&find(None, first.as_str())).await, [sample::delivery(1)]);
    assert_eq!(at.deliveries(&find(None, &second.as_str()[..4])).await.len(), 2);
    assert_eq!(at.deliveries(&find(Some("app"), second.as_str())).await, []);
    assert_eq!(at.deliveries(&find(Some("absent"), "")).await, []);
}

/// See the name.
pub async fn deliveries_are_found_by_watch_and_commit(at: Handles) {
    let again = Delivery { revision: sample::revision(1), ..sample::delivery(3) };
    let other = Delivery { watch: sample::watch("other"), ..sample::delivery(1) };
    let other = Delivery { id: sample::id(4), ..other };
    for delivery in [&sample::delivery(1), &sample::delivery(2), &again, &other] {
        at.commit(&[Write::Delivery(Box::new(delivery.clone()))]).await;
    }
    let find = |watch: Option<&str>, n| DeliveryQuery {
        watch: watch.map(sample::watch),
        sha: Some(sample::sha(n)),
        ..DeliveryQuery::default()
    };
    let both = [again.clone(), sample::delivery(1)];
    assert_eq!(at.deliveries(&find(Some("app"), 1)).await, both);
    assert_eq!(at.deliveries(&find(None, 1)).await, [vec![other], both.to_vec()].concat());
    let one = DeliveryQuery { limit: Some(1), ..find(Some("app"), 1) };
    assert_eq!(at.deliveries(&one).await, [again]);
    assert_eq!(at.deliveries(&find(Some("app"), 9)).await, []);
}

/// See the name.
pub async fn a_prefix_with_wildcards_matches_nothing(at: Handles) {
    at.commit(&[Write::Delivery(Box::new(sample::delivery(1))), Write::Head(sample::head(1))])
        .await;
    for odd in ["%", "_", "*", "?", "' OR 1=1 --", "0*", "[0-9]", "~", "\u{10ffff}"] {
        let query = DeliveryQuery { id_prefix: Some(odd.to_owned()), ..DeliveryQuery::default() };
        assert_eq!(at.deliveries(&query).await, [], "{odd:?}");
        assert_eq!(at.heads(odd).await, [], "{odd:?}");
    }
}

/// See the name.
pub async fn a_head_is_replaced_not_repeated_and_found_by_prefix(at: Handles) {
    let later = HeadRecord { reason: Reason::Delivered, detail: None, ..sample::head(1) };
    at.commit(&[Write::Head(sample::head(1)), Write::Head(sample::head(2))]).await;
    at.commit(&[Write::Head(later.clone())]).await;
    let sha = sample::sha(1);
    assert_eq!(at.heads(sha.as_str()).await, std::slice::from_ref(&later));
    assert_eq!(at.heads(&sha.as_str()[..39]).await.len(), 2, "both share all but one digit");
    assert_eq!(at.heads("fff").await, []);
}

/// See the name.
pub async fn the_same_commit_of_two_watches_has_two_decisions_newest_first(at: Handles) {
    let other =
        HeadRecord { watch: sample::watch("other"), at: sample::time(60), ..sample::head(1) };
    at.commit(&[Write::Head(other.clone()), Write::Head(sample::head(1))]).await;
    assert_eq!(at.heads(sample::sha(1).as_str()).await, [other, sample::head(1)]);
}

/// See the name.
pub async fn the_inventory_keeps_an_object_until_it_is_known_to_be_deleted(at: Handles) {
    let (old, new) = (sample::inventory("ci-1", 1), sample::inventory("ci-2", 2));
    at.commit(&[Write::Inventory(old.clone()), Write::Inventory(new.clone())]).await;
    assert_eq!(at.inventory("app").await, [old.clone(), new.clone()]);
    let again = InventoryItem { delivery: sample::id(3), at: sample::time(3), ..old.clone() };
    at.commit(&[Write::Inventory(again.clone())]).await;
    let kept = at.inventory("app").await;
    assert_eq!(kept, [again.clone(), new.clone()]);
    assert_eq!(at.inventory("other").await, []);
    // An item of another delivery is the same object: what is deleted is the object.
    at.commit(&[Write::ForgetInventory(old)]).await;
    assert_eq!(at.inventory("app").await, [new]);
}

/// See the name.
pub async fn a_reader_sees_all_of_a_commit_or_nothing_of_it(at: Handles) {
    const LAST: u32 = 60;
    let write = async {
        for n in 1..=LAST {
            at.commit(&sample::generation(n)).await;
        }
    };
    let read = async {
        while sample::generation_of(&at.other.archive.snapshot().await.expect("the state"), LAST)
            < LAST
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, read);
}

/// See the name.
pub async fn a_prune_keeps_the_newest_deliveries_of_each_watch(at: Handles) {
    for n in 1..=6 {
        let name = if n <= 2 { "quiet" } else { "busy" };
        let delivery = Delivery { watch: sample::watch(name), ..sample::delivery(n) };
        at.commit(&[Write::Delivery(Box::new(delivery))]).await;
    }
    at.commit(&[Write::Prune { before: sample::time(100), keep: 2 }]).await;
    assert_eq!(at.all_ids().await, [6, 5, 2, 1].map(sample::id));
    at.commit(&[Write::Prune { before: sample::time(100), keep: 1 }]).await;
    assert_eq!(at.all_ids().await, [6, 2].map(sample::id));
}

/// See the name.
pub async fn a_watch_whose_newest_settled_report_was_given_up_is_told(at: Handles) {
    let given_up = |n| Report { given_up: true, ..sample::report(n) };
    let shown = |n| Report { sent: Some(sample::report(n).status.state), ..sample::report(n) };
    let other = Report { watch: sample::watch("other"), ..given_up(9) };
    at.commit(&[Write::Report(given_up(3)), Write::Report(shown(1)), Write::Report(given_up(2))])
        .await;
    at.commit(&[Write::Report(other.clone()), Write::Report(sample::report(4))]).await;
    assert_eq!(at.snapshot().await.given_up, [given_up(3), other.clone()]);
    at.commit(&[Write::Report(shown(5))]).await;
    assert_eq!(at.snapshot().await.given_up, [other]);
}
