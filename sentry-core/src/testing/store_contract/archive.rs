//! The contract of [`Archive`](crate::store::Archive).

use super::{Handles, search};
use crate::cursor::{Cursors, Mark, Passed};
use crate::delivery::{Asked, Delivery, DeliveryState, HeadRecord, Reason, Trigger};
use crate::plan::Action;
use crate::revision::Revision;
use crate::store::{AUDIT, AuditQuery, DeliveryQuery, InventoryItem, OverviewQuery, Write};
use crate::testing::sample;

/// One `#[tokio::test]` per clause of [`archive`](crate::testing::store_contract::archive) and of
/// [`overview`](crate::testing::store_contract::overview); the argument is the path of an
/// `async fn() -> Handles` that makes an empty store.
#[macro_export]
macro_rules! archive_contract_tests {
    ($make:path) => {
        $crate::store_contract_tests! { archive $make:
            a_delivery_reads_back_with_every_field_set
            a_delivery_that_gains_and_loses_parts_reads_back_as_it_is_now
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
            deliveries_are_found_by_subject_and_state
            deliveries_are_found_by_text_author_and_time_as_a_walk_over_all_finds_them
            deliveries_are_told_page_by_page_to_their_end
            the_audit_log_is_told_by_watch_name_and_time_page_by_page
            the_audit_log_outlives_what_it_tells_of_by_a_year
        }
        $crate::store_contract_tests! { overview $make:
            an_overview_tells_what_is_kept_of_each_watch
            an_overview_tells_how_a_watchs_newest_deliveries_stand
            an_overview_tells_what_others_are_compared_with
            an_overview_tells_of_a_subject_what_is_open_newest_and_delivered
            an_overview_counts_the_newest_run_of_each_document_of_a_head
            an_overview_tells_of_the_subjects_that_are_asked_for
            an_overview_is_told_page_by_page_to_its_end
            an_overview_tells_why_no_statuses_are_shown
            an_overview_tells_when_a_head_that_makes_something_run_was_last_delivered
            an_overview_counts_what_waits_for_room_and_for_receivers
        }
    };
}

/// See the name.
pub async fn a_delivery_reads_back_with_every_field_set(at: Handles) {
    let bare = Delivery {
        commit: None,
        asked: Asked {
            trigger: None,
            by: None,
            repeats: None,
            only: None,
            dry_run: false,
            ..sample::asked(2)
        },
        finished: None,
        intent: None,
        next_attempt: None,
        objects: vec![],
        steps: vec![],
        notes: vec![],
        detail: None,
        remotes: vec![],
        error: None,
        superseded_by: None,
        ..sample::delivery(2)
    };
    let write = |d: &Delivery| Write::Delivery(Box::new(d.clone()));
    at.commit(&[write(&sample::delivery(1)), write(&bare)]).await;
    assert_eq!(at.deliveries(&DeliveryQuery::default()).await, [bare, sample::delivery(1)]);
}

/// See the name.
pub async fn a_delivery_that_gains_and_loses_parts_reads_back_as_it_is_now(at: Handles) {
    let whole = sample::delivery(1);
    let outcome = |n: u32| {
        let mut outcome = sample::outcome(Action::Created);
        outcome.object.name = format!("object-{n}");
        outcome
    };
    let of = |objects: &[u32], runs: usize, steps: usize| Delivery {
        objects: objects.iter().map(|n| outcome(*n)).collect(),
        runs: std::iter::repeat_n(whole.runs[0].clone(), runs).collect(),
        steps: std::iter::repeat_n(whole.steps[0].clone(), steps).collect(),
        ..whole.clone()
    };
    let ways =
        [of(&[1], 1, 1), of(&[1, 2, 3], 2, 4), of(&[3, 2], 2, 0), of(&[], 0, 1), of(&[4, 5], 1, 1)];
    let other = Delivery { objects: vec![outcome(9)], ..sample::delivery(2) };
    at.commit(&[Write::Delivery(Box::new(other.clone()))]).await;
    for delivery in ways {
        at.commit(&[Write::Delivery(Box::new(delivery.clone()))]).await;
        let kept = at.deliveries(&DeliveryQuery::default()).await;
        assert_eq!(kept, [other.clone(), delivery]);
    }
    at.commit(&[Write::Prune { before: sample::time(100), keep: 1 }]).await;
    at.commit(&[Write::Delivery(Box::new(of(&[], 0, 0)))]).await;
    let kept = at.deliveries(&DeliveryQuery::default()).await;
    assert_eq!(kept, [other, of(&[], 0, 0)], "nothing of what was forgotten comes back");
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
        Reason::InPullRequest,
        Reason::WaitsForApproval,
        Reason::Suspended,
        Reason::Parked,
        Reason::Cancelled,
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
    // A claim may be more than one call of the state.
    at.claim().await;
    let write = async {
        for n in 1..=LAST {
            at.commit(&sample::generation(n)).await;
        }
    };
    let read = async {
        while sample::generation_of(&at.overview(&OverviewQuery::default()).await, LAST) < LAST {
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

/// A delivery of a branch's head, which put one run on the cluster.
pub(super) fn delivered(n: u32, branch: &str, sha: u32) -> Delivery {
    let revision = Revision { subject: sample::subject(branch), sha: sample::sha(sha) };
    let objects = vec![sample::outcome(Action::Created)];
    let state = DeliveryState::Succeeded;
    let asked = Asked { dry_run: false, only: None, repeats: None, ..sample::asked(n) };
    Delivery { revision, objects, state, asked, ..sample::delivery(n) }
}

/// See the name.
pub async fn deliveries_are_found_by_subject_and_state(at: Handles) {
    use DeliveryState as S;
    let of = |n, branch, state| Delivery { state, ..delivered(n, branch, n) };
    let all = [
        of(1, "main", S::Succeeded),
        of(2, "next", S::Failed),
        of(3, "main", S::Parked),
        of(4, "main", S::Failed),
        Delivery { watch: sample::watch("other"), ..of(5, "main", S::Failed) },
    ];
    at.commit(&all.clone().map(|d| Write::Delivery(Box::new(d)))).await;
    let ask = async |watch: Option<&str>, branch: Option<&str>, states: &[S], limit| {
        let query = DeliveryQuery {
            watch: watch.map(sample::watch),
            subject: branch.map(sample::subject),
            states: states.to_vec(),
            limit,
            ..DeliveryQuery::default()
        };
        let found = at.deliveries(&query).await.into_iter();
        found
            .map(|d| 1 + all.iter().position(|a| a.id == d.id).expect("one of them"))
            .collect::<Vec<_>>()
    };
    let none = Vec::<usize>::new();
    assert_eq!(ask(Some("app"), Some("main"), &[], None).await, [4, 3, 1]);
    assert_eq!(ask(Some("app"), Some("next"), &[], None).await, [2]);
    assert_eq!(ask(Some("app"), None, &[S::Failed], None).await, [4, 2]);
    assert_eq!(ask(None, None, &[S::Failed], None).await, [5, 4, 2]);
    assert_eq!(ask(None, None, &[S::Parked, S::Failed, S::Failed], Some(3)).await, [5, 4, 3]);
    assert_eq!(ask(Some("app"), Some("main"), &[S::Parked, S::Succeeded], None).await, [3, 1]);
    assert_eq!(ask(None, None, &[S::Applying], None).await, none);
    assert_eq!(ask(Some("other"), Some("next"), &[], None).await, none);
}

/// See the name.
pub async fn deliveries_are_found_by_text_author_and_time_as_a_walk_over_all_finds_them(
    at: Handles,
) {
    let all = search::deliveries();
    for delivery in all.iter().rev() {
        // What the commit says of itself is known a little later.
        for commit in [None, delivery.commit.clone()] {
            let delivery = Delivery { commit, ..delivery.clone() };
            at.commit(&[Write::Delivery(Box::new(delivery))]).await;
        }
    }
    let mut found = 0;
    for query in search::queries() {
        let most = query.limit.unwrap_or(usize::MAX);
        let walk = all.iter().filter(|d| query.selects(d)).take(most).cloned();
        let walk: Vec<_> = walk.collect();
        found += walk.len();
        assert_eq!(at.deliveries(&query).await, walk, "{query:?}");
    }
    assert!(found > 300, "{found} found");
    at.commit(&[Write::Prune { before: sample::time(100), keep: 0 }]).await;
    let text = Some("fix".to_owned());
    let query = DeliveryQuery { text, ..DeliveryQuery::default() };
    assert_eq!(at.deliveries(&query).await, [], "what is forgotten is not found");
}

/// See the name.
pub async fn deliveries_are_told_page_by_page_to_their_end(at: Handles) {
    for n in 1..=7 {
        at.commit(&[Write::Delivery(Box::new(sample::delivery(n)))]).await;
    }
    for states in [vec![], vec![sample::delivery(1).state, DeliveryState::Parked]] {
        let (mut before, mut pages) = (None, Vec::new());
        loop {
            let (states, limit) = (states.clone(), Some(3));
            let query = DeliveryQuery { states, before, limit, ..DeliveryQuery::default() };
            let page: Vec<_> = at.deliveries(&query).await.into_iter().map(|d| d.id).collect();
            let Some(last) = page.last() else { break };
            before = Some(last.clone());
            pages.push(page);
        }
        let ids = |ns: &[u32]| ns.iter().map(|n| sample::id(*n)).collect::<Vec<_>>();
        assert_eq!(pages, [ids(&[7, 6, 5]), ids(&[4, 3, 2]), ids(&[1])]);
    }
}

/// See the name.
pub async fn the_audit_log_is_told_by_watch_name_and_time_page_by_page(at: Handles) {
    for n in 1..=6 {
        let watch = sample::watch(if n % 2 == 0 { "app" } else { "web" });
        let by = (n != 3).then(|| if n < 3 { "ada" } else { "ben" }.to_owned());
        at.request(&Trigger { watch, by, ..sample::trigger(n) }).await;
    }
    let told = async |query: AuditQuery| {
        let entries = at.acts(&query).await;
        let times = entries.iter().map(|entry| entry.act.at).collect::<Vec<_>>();
        (times, entries.last().map(|entry| entry.number))
    };
    let times = |ns: &[u32]| ns.iter().map(|n| sample::trigger(*n).at).collect::<Vec<_>>();
    let (app, ada) = (Some(sample::watch("app")), Some("ada".to_owned()));
    let everything = AuditQuery::default();
    let of_app = AuditQuery { watch: app.clone(), ..everything.clone() };
    assert_eq!(told(of_app).await.0, times(&[6, 4, 2]));
    let by_ada = AuditQuery { by: ada.clone(), ..everything.clone() };
    assert_eq!(told(by_ada).await.0, times(&[2, 1]));
    let both = AuditQuery { watch: app, by: ada, ..everything.clone() };
    assert_eq!(told(both).await.0, times(&[2]));
    let late = AuditQuery { since: Some(sample::trigger(5).at), ..everything.clone() };
    assert_eq!(told(late).await.0, times(&[6, 5]));
    let (mut before, mut pages) = (None, Vec::new());
    loop {
        let page = AuditQuery { before, limit: Some(4), ..everything.clone() };
        let (found, last) = told(page).await;
        let Some(last) = last else { break };
        before = Some(last);
        pages.push(found);
    }
    assert_eq!(pages, [times(&[6, 5, 4, 3]), times(&[2, 1])]);
}

/// See the name.
pub async fn the_audit_log_outlives_what_it_tells_of_by_a_year(at: Handles) {
    let (old, new) = (sample::trigger(1), sample::trigger(2));
    at.request(&old).await;
    at.request(&new).await;
    for (after, left) in [(new.at, 2), (new.at + AUDIT, 1)] {
        at.commit(&[Write::Prune { before: after, keep: 0 }]).await;
        assert_eq!(at.acts(&AuditQuery::default()).await.len(), left);
    }
}
