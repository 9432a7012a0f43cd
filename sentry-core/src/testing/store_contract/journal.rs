//! The contract of [`Journal`](crate::store::Journal) and its [`Claim`](crate::store::Claim).

use futures::future::{join, join_all};

use super::Handles;
use crate::closed_list::ClosedList as _;
use crate::cursor::Cursors;
use crate::delivery::{Asked, Cancellation, Cause, Delivery, DeliveryState, Trigger, TriggerState};
use crate::store::{
    DeliveryQuery, Hold, InventoryItem, Outage, Outgoing, OverviewQuery, Report, Requests,
    Snapshot, StoreErrorKind, Trouble, WatchState, Write,
};
use crate::testing::sample;

/// One `#[tokio::test]` per clause of [`journal`](crate::testing::store_contract::journal); the argument is the path of an
/// `async fn() -> Handles` that makes an empty store.
#[macro_export]
macro_rules! journal_contract_tests {
    ($make:path) => {
        $crate::store_contract_tests! { journal $make:
            an_empty_store_is_empty
            a_branch_reads_back_with_every_field_set
            a_branch_reads_back_with_no_optional_field_set
            a_branch_is_replaced_not_repeated
            branches_of_two_watches_are_kept_apart
            a_forgotten_branch_is_gone_and_its_siblings_stay
            a_watch_reads_back_and_is_replaced
            a_validator_is_kept_replaced_and_forgotten
            every_state_and_cause_of_a_delivery_reads_back
            a_snapshot_holds_only_deliveries_that_are_not_final
            the_agents_record_is_kept_and_replaced
            a_report_is_live_until_it_is_shown_or_given_up
            reports_of_other_contexts_and_commits_stand_beside_each_other
            a_notice_waits_for_each_of_its_receivers_until_that_one_is_told
            what_was_told_of_a_branch_is_kept_replaced_and_forgotten
            pruning_forgets_old_notices_and_troubles
            pruning_forgets_settled_reports
            pruning_forgets_what_forgotten_deliveries_put_somewhere_but_for_runs_to_be_deleted
            a_commit_carries_out_all_its_writes_in_order
            an_empty_commit_changes_nothing
            commits_and_requests_at_once_are_all_kept
            a_prune_forgets_what_is_older_and_spares_what_is_open
            a_claim_is_exclusive_and_its_holder_is_named
            a_dropped_claim_lets_the_next_one_in
            a_claim_stops_neither_readers_nor_requests
            a_claim_that_was_lost_is_fenced_and_writes_nothing
        }
    };
}

/// See the name.
pub async fn an_empty_store_is_empty(at: Handles) {
    assert_eq!(at.snapshot().await, Snapshot::default());
    assert_eq!(at.requests().await, Requests::default());
    assert!(at.all_ids().await.is_empty() && at.heads("").await.is_empty());
    assert_eq!(at.store.inbox.trigger(&sample::trigger_id(1)).await.expect("the answer"), None);
}

/// See the name.
pub async fn a_branch_reads_back_with_every_field_set(at: Handles) {
    at.commit(&[Write::Cursors(sample::cursors(1))]).await;
    assert_eq!(at.snapshot().await.cursors, [sample::cursors(1)]);
}

/// See the name.
pub async fn a_branch_reads_back_with_no_optional_field_set(at: Handles) {
    let bare = Cursors::first_seen(sample::watch("app"), sample::subject("ünï/1"), sample::mark(1));
    at.commit(&[Write::Cursors(bare.clone())]).await;
    assert_eq!(at.snapshot().await.cursors, [bare]);
}

/// See the name.
pub async fn a_branch_is_replaced_not_repeated(at: Handles) {
    at.commit(&[Write::Cursors(sample::cursors(1))]).await;
    at.commit(&[Write::Cursors(sample::cursors(2))]).await;
    assert_eq!(at.snapshot().await.cursors, [sample::cursors(2)]);
}

/// See the name.
pub async fn branches_of_two_watches_are_kept_apart(at: Handles) {
    let other = Cursors { watch: sample::watch("other"), ..sample::cursors(2) };
    at.commit(&[Write::Cursors(sample::cursors(1)), Write::Cursors(other.clone())]).await;
    let kept = at.snapshot().await.cursors;
    assert_eq!(kept.len(), 2);
    assert!(kept.contains(&other) && kept.contains(&sample::cursors(1)));
}

/// See the name.
pub async fn a_forgotten_branch_is_gone_and_its_siblings_stay(at: Handles) {
    let sibling = Cursors { subject: sample::subject("next"), ..sample::cursors(1) };
    at.commit(&[Write::Cursors(sample::cursors(1)), Write::Cursors(sibling.clone())]).await;
    let forget = || Write::ForgetCursors(sample::watch("app"), sample::subject("main"));
    at.commit(&[forget()]).await;
    at.commit(&[forget()]).await;
    assert_eq!(at.snapshot().await.cursors, [sibling]);
}

/// See the name.
pub async fn a_watch_reads_back_and_is_replaced(at: Handles) {
    at.commit(&[Write::Watch(sample::watch_state(1))]).await;
    assert_eq!(at.snapshot().await.watches, [sample::watch_state(1)]);
    let recovered = WatchState { unreachable: None, ..sample::watch_state(2) };
    at.commit(&[Write::Watch(recovered.clone())]).await;
    assert_eq!(at.snapshot().await.watches, [recovered]);
    let unasked = Outage { since: sample::time(1), error: String::new(), next: None };
    let away = WatchState { unreachable: Some(unasked), ..sample::watch_state(3) };
    at.commit(&[Write::Watch(away.clone())]).await;
    assert_eq!(at.snapshot().await.watches, [away]);
}

/// See the name.
pub async fn a_validator_is_kept_replaced_and_forgotten(at: Handles) {
    let write = |n| Write::Validator("https://git.example main".into(), n);
    at.commit(&[write(Some(sample::validator(1)))]).await;
    at.commit(&[write(Some(sample::validator(2))), Write::Validator("b".into(), None)]).await;
    let kept = vec![("https://git.example main".to_owned(), sample::validator(2))];
    assert_eq!(at.snapshot().await.validators, kept);
    at.commit(&[write(None)]).await;
    assert_eq!(at.snapshot().await.validators, []);
}

/// See the name.
pub async fn every_state_and_cause_of_a_delivery_reads_back(at: Handles) {
    use DeliveryState as S;
    let states = [S::Pending, S::Fetching, S::Checking, S::Applying, S::Succeeded, S::Failed];
    for state in states.into_iter().chain([S::NothingRan, S::Superseded, S::Parked, S::Cancelled]) {
        for cause in Cause::all() {
            let asked = Asked { cause, ..sample::asked(1) };
            let by = Some("ops".to_owned());
            let cancelled =
                (state == S::Cancelled).then(|| Cancellation { by, at: sample::time(7) });
            let delivery = Delivery { state, asked, cancelled, ..sample::delivery(1) };
            at.commit(&[Write::Delivery(Box::new(delivery.clone()))]).await;
            assert_eq!(at.snapshot().await.open.is_empty(), state.is_final(), "{state:?}");
            assert_eq!(at.deliveries(&DeliveryQuery::default()).await, [delivery]);
        }
    }
}

/// See the name.
pub async fn a_snapshot_holds_only_deliveries_that_are_not_final(at: Handles) {
    let open = sample::open_delivery(2);
    at.commit(&[
        Write::Delivery(Box::new(sample::delivery(1))),
        Write::Delivery(Box::new(open.clone())),
    ])
    .await;
    assert_eq!(at.snapshot().await.open, std::slice::from_ref(&open));
    let ended = Delivery { state: DeliveryState::Succeeded, ..open };
    at.commit(&[Write::Delivery(Box::new(ended))]).await;
    assert_eq!(at.snapshot().await.open, []);
}

/// See the name.
pub async fn the_agents_record_is_kept_and_replaced(at: Handles) {
    at.commit(&[Write::Agent(sample::agent(1))]).await;
    at.commit(&[Write::Agent(sample::agent(2))]).await;
    assert_eq!(at.snapshot().await.agent, Some(sample::agent(2)));
}

/// See the name.
pub async fn a_report_is_live_until_it_is_shown_or_given_up(at: Handles) {
    let due = sample::report(1);
    at.commit(&[Write::Report(due.clone()), Write::Report(sample::report(2))]).await;
    assert_eq!(at.snapshot().await.reports, [due.clone(), sample::report(2)]);
    let shown = Report { sent: Some(due.status.state), ..due.clone() };
    at.commit(&[Write::Report(shown.clone())]).await;
    assert_eq!(at.snapshot().await.reports, [sample::report(2)]);
    at.commit(&[Write::Report(Report { given_up: true, ..sample::report(2) })]).await;
    assert_eq!(at.snapshot().await.reports, []);
    at.commit(&[Write::Report(due.clone())]).await;
    assert_eq!(at.snapshot().await.reports, [due]);
}

/// See the name.
pub async fn reports_of_other_contexts_and_commits_stand_beside_each_other(at: Handles) {
    let one = sample::report(1);
    let mut other = one.clone();
    other.status.context = "sentry-gitops/app/ci".to_owned();
    at.commit(&[Write::Report(one.clone()), Write::Report(other.clone())]).await;
    let mut kept = at.snapshot().await.reports;
    kept.sort_by_key(|r| r.status.context.len());
    assert_eq!(kept, [one, other]);
}

/// See the name.
pub async fn a_notice_waits_for_each_of_its_receivers_until_that_one_is_told(at: Handles) {
    let put = |to: &str, n| Write::Notice(Box::new(sample::outgoing(to, n)));
    at.commit(&[put("chat", 2), put("chat", 1), put("pager", 1)]).await;
    let mut kept = at.snapshot().await.outbox;
    kept.sort_by(|a, b| (&a.receiver, &a.notice.id).cmp(&(&b.receiver, &b.notice.id)));
    let [chat_1, chat_2] = [1, 2].map(|n| sample::outgoing("chat", n));
    assert_eq!(kept, [chat_1.clone(), chat_2, sample::outgoing("pager", 1)]);
    let tried = Outgoing { tries: 3, error: None, ..chat_1 };
    let forget =
        |to: &str, n| Write::ForgetNotice { receiver: to.to_owned(), id: sample::notice_id(n) };
    at.commit(&[Write::Notice(Box::new(tried.clone())), forget("chat", 2), forget("pager", 1)])
        .await;
    assert_eq!(at.snapshot().await.outbox, [tried]);
    at.commit(&[forget("chat", 1), forget("chat", 1)]).await;
    assert_eq!(at.snapshot().await.outbox, []);
}

/// See the name.
pub async fn what_was_told_of_a_branch_is_kept_replaced_and_forgotten(at: Handles) {
    let other = Trouble { subject: sample::subject("other"), ..sample::trouble(9) };
    at.commit(&[Write::Trouble(sample::trouble(1)), Write::Trouble(other.clone())]).await;
    let bare = Trouble { tests: None, start: None, ..sample::trouble(2) };
    at.commit(&[Write::Trouble(bare.clone())]).await;
    assert_eq!(at.snapshot().await.troubles, [bare, other.clone()]);
    let forget = || Write::ForgetTrouble(sample::watch("app"), sample::subject("main"));
    at.commit(&[forget(), forget()]).await;
    assert_eq!(at.snapshot().await.troubles, [other]);
}

/// See the name.
pub async fn pruning_forgets_old_notices_and_troubles(at: Handles) {
    let trouble = |n, name| Trouble { subject: sample::subject(name), ..sample::trouble(n) };
    for (n, name) in [(1, "old"), (60, "new")] {
        let outgoing = Write::Notice(Box::new(sample::outgoing("chat", n)));
        at.commit(&[outgoing, Write::Trouble(trouble(n, name))]).await;
    }
    at.commit(&[Write::Prune { before: sample::time(50), keep: 0 }]).await;
    assert_eq!(at.snapshot().await.outbox, [sample::outgoing("chat", 60)]);
    assert_eq!(at.snapshot().await.troubles, [trouble(60, "new")]);
}

/// See the name.
pub async fn pruning_forgets_settled_reports(at: Handles) {
    let due = sample::report(1);
    let shown = Report { sent: Some(due.status.state), ..sample::report(2) };
    at.commit(&[Write::Report(due.clone()), Write::Report(shown)]).await;
    at.commit(&[Write::Prune { before: sample::time(50), keep: 0 }]).await;
    assert_eq!(at.snapshot().await.reports, [due]);
}

/// See the name.
pub async fn pruning_forgets_what_forgotten_deliveries_put_somewhere_but_for_runs_to_be_deleted(
    at: Handles,
) {
    let of = |name: &str, run, limited, n| {
        let item = InventoryItem { run, limited, ..sample::inventory(name, n) };
        InventoryItem { delivery: sample::id(n), at: sample::time(n), ..item }
    };
    let (old, kept, young) = (1, 2, 60);
    let forgotten = [of("object", false, false, old), of("run", true, false, old)];
    let stays = [
        of("by-number", true, true, old),
        of("of-a-kept-delivery", false, false, kept),
        of("young", true, false, young),
    ];
    let mut writes: Vec<Write> =
        [old, kept].map(|n| Write::Delivery(Box::new(sample::delivery(n)))).into();
    writes.extend(forgotten.into_iter().chain(stays.clone()).map(Write::Inventory));
    at.commit(&writes).await;
    at.commit(&[Write::Prune { before: sample::time(50), keep: 1 }]).await;
    assert_eq!(at.inventory("app").await, stays);
}

/// See the name.
pub async fn a_commit_carries_out_all_its_writes_in_order(at: Handles) {
    let forget = Write::ForgetCursors(sample::watch("app"), sample::subject("main"));
    at.commit(&[
        Write::Cursors(sample::cursors(1)),
        forget.clone(),
        Write::Cursors(sample::cursors(2)),
        Write::Watch(sample::watch_state(1)),
        Write::Validator("k".into(), Some(sample::validator(1))),
        Write::Delivery(Box::new(sample::open_delivery(1))),
        Write::Head(sample::head(1)),
        Write::Report(sample::report(1)),
        Write::Notice(Box::new(sample::outgoing("chat", 1))),
        Write::Trouble(sample::trouble(1)),
        Write::Agent(sample::agent(1)),
    ])
    .await;
    let expected = Snapshot {
        cursors: vec![sample::cursors(2)],
        watches: vec![sample::watch_state(1)],
        validators: vec![("k".into(), sample::validator(1))],
        open: vec![sample::open_delivery(1)],
        reports: vec![sample::report(1)],
        outbox: vec![sample::outgoing("chat", 1)],
        troubles: vec![sample::trouble(1)],
        inbox: Requests::default(),
        agent: Some(sample::agent(1)),
    };
    assert_eq!(at.snapshot().await, expected);
    assert_eq!(at.heads("").await, [sample::head(1)]);
    at.commit(&[Write::Cursors(sample::cursors(3)), forget]).await;
    assert_eq!(at.snapshot().await.cursors, []);
}

/// See the name.
pub async fn an_empty_commit_changes_nothing(at: Handles) {
    at.commit(&[Write::Cursors(sample::cursors(1))]).await;
    let before = at.snapshot().await;
    at.commit(&[]).await;
    assert_eq!(at.snapshot().await, before);
}

/// See the name.
pub async fn commits_and_requests_at_once_are_all_kept(at: Handles) {
    let writes: Vec<[Write; 1]> =
        (0..40).map(|n| [Write::Delivery(Box::new(sample::open_delivery(n)))]).collect();
    let claim = at.claim().await;
    let commits = join_all(writes.iter().map(|write| claim.commit(write)));
    let triggers: Vec<Trigger> = (0..40).map(sample::trigger).collect();
    let requests = join_all(triggers.iter().map(|trigger| at.other.inbox.request(trigger)));
    let (commits, requests) = join(commits, requests).await;
    commits.into_iter().for_each(|result| result.expect("a commit"));
    requests.into_iter().for_each(|result| drop(result.expect("a request")));
    assert_eq!(at.all_ids().await, (0..40).rev().map(sample::id).collect::<Vec<_>>());
    assert_eq!(at.requests().await.triggers, triggers);
}

/// See the name.
pub async fn a_prune_forgets_what_is_older_and_spares_what_is_open(at: Handles) {
    for n in [1, 2, 3, 4] {
        let asked = at.request(&sample::trigger(n)).await;
        let taken = Trigger { state: TriggerState::Taken(sample::id(n)), ..asked };
        let delivery = if n == 2 { sample::open_delivery(n) } else { sample::delivery(n) };
        at.commit(&[Write::Delivery(Box::new(delivery)), Write::Head(sample::head(n))]).await;
        if n != 2 {
            at.commit(&[Write::Trigger(taken)]).await;
        }
    }
    at.commit(&[Write::Prune { before: sample::time(4), keep: 0 }]).await;
    assert_eq!(at.all_ids().await, [4, 2].map(sample::id), "open, or not older");
    assert_eq!(at.heads("").await, [sample::head(4)]);
    assert_eq!(at.requests().await.triggers, [sample::trigger(2)]);
    for (n, kept) in [(1, false), (2, true), (3, false), (4, true)] {
        let trigger = at.store.inbox.trigger(&sample::trigger_id(n)).await.expect("the answer");
        assert_eq!(trigger.is_some(), kept, "trigger {n}");
    }
}

/// See the name.
pub async fn a_claim_is_exclusive_and_its_holder_is_named(at: Handles) {
    let _held = at.store.journal.claim("pid 7 on host-a").await.expect("the claim");
    for handle in [&at.store, &at.other] {
        let refused = handle.journal.claim("pid 8 on host-b").await.expect_err("a second claim");
        assert_eq!(refused.kind(), StoreErrorKind::Held);
        assert!(refused.to_string().contains("pid 7 on host-a"), "{refused}");
    }
}

/// See the name.
pub async fn a_dropped_claim_lets_the_next_one_in(at: Handles) {
    let first = at.store.journal.claim("agent-one, with a longer name").await.expect("the claim");
    drop(first);
    let _second = at.other.journal.claim("agent-two").await.expect("the claim after the first");
    let refused = at.store.journal.claim("agent-three").await.expect_err("a third claim");
    assert!(refused.to_string().contains("agent-two"), "{refused}");
    assert!(!refused.to_string().contains("name"), "{refused}");
}

/// See the name.
pub async fn a_claim_stops_neither_readers_nor_requests(at: Handles) {
    let _held = at.store.journal.claim("agent").await.expect("the claim");
    at.other.inbox.request(&sample::trigger(1)).await.expect("the request");
    at.hold(&Hold::Suspend(sample::suspension("app", 1))).await;
    let kept = at.overview(&OverviewQuery::default()).await.watches;
    assert_eq!(kept[0].suspension, Some(sample::suspension("app", 1)));
    assert_eq!(kept[0].triggers, 1);
}

/// See the name.
pub async fn a_claim_that_was_lost_is_fenced_and_writes_nothing(at: Handles) {
    let write = |n| [Write::Cursors(sample::cursors(n))];
    let first = at.store.journal.claim("agent-one").await.expect("the claim");
    first.commit(&write(1)).await.expect("the commit");
    (at.lose)();
    let second = at.other.journal.claim("agent-two").await.expect("the claim after it was lost");
    for refused in [first.commit(&write(2)).await, first.load().await.map(drop)] {
        assert_eq!(refused.expect_err("a lost claim").kind(), StoreErrorKind::Fenced);
    }
    assert_eq!(second.load().await.expect("the state").cursors, [sample::cursors(1)]);
    drop(first);
    let refused = at.store.journal.claim("agent-three").await.expect_err("a third claim");
    assert!(refused.to_string().contains("agent-two"), "{refused}");
    second.commit(&write(3)).await.expect("a commit of who has it");
    assert_eq!(second.load().await.expect("the state").cursors, [sample::cursors(3)]);
}
