//! The contract of [`StateStore`], clause by clause: whoever writes a store of their own runs it against that.
//!
//! Each clause is a function that takes an empty store and panics, as a test does, where the store breaks it.
//! [`store_contract_tests!`](crate::store_contract_tests) makes one test of each, so that the name of the
//! failing test says what is broken:
//!
//! ```
//! use std::sync::Arc;
//! use sentry_core::testing::store_contract::Handles;
//!
//! # use sentry_store::MemoryStore as MyStore;
//! async fn empty() -> Handles {
//!     let store = Arc::new(MyStore::new());
//!     Handles::new(store.clone(), store)
//! }
//!
//! # #[cfg(any())]
//! sentry_core::store_contract_tests!(empty);
//! # fn main() {}
//! ```
//!
//! The crate that uses the macro needs `tokio` with the features `macros` and `rt`.
//! What no clause can ask of every store, that a commit survives a kill, is for the store's own tests.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use futures::future::join_all;

use super::sample;
use crate::cursor::{Cursors, Mark, Passed};
use crate::delivery::{
    Cause, Delivery, DeliveryState, HeadRecord, Reason, Selection, Trigger, TriggerKind,
    TriggerState,
};
use crate::ids::DeliveryId;
use crate::plan::Action;
use crate::store::{
    DeliveryQuery, Inbox, InventoryItem, Outage, Outgoing, Report, Snapshot, StateStore,
    StoreErrorKind, Suspension, Trouble, WatchState, Write,
};

/// An empty store, opened twice, as two programs would.
#[derive(Debug)]
pub struct Handles {
    /// The store.
    pub store: Arc<dyn StateStore>,
    /// The same store through another handle; may be the same one where a store has but one.
    pub other: Arc<dyn StateStore>,
    place: Option<Box<dyn Place>>,
}

trait Place: Any + Debug + Send + Sync {}
impl<T: Any + Debug + Send + Sync> Place for T {}

impl Handles {
    /// Two handles on one empty store.
    #[must_use]
    pub fn new(store: Arc<dyn StateStore>, other: Arc<dyn StateStore>) -> Self {
        Self { store, other, place: None }
    }

    /// With what must live as long as the store, such as its temporary directory.
    #[must_use]
    pub fn living_in(mut self, place: impl Any + Debug + Send + Sync) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    async fn commit(&self, writes: &[Write]) {
        self.store.commit(writes).await.expect("the commit");
    }

    async fn snapshot(&self) -> Snapshot {
        self.other.snapshot().await.expect("the snapshot")
    }

    async fn inbox(&self) -> Inbox {
        self.store.inbox().await.expect("the inbox")
    }

    async fn request(&self, trigger: &Trigger) -> Trigger {
        self.store.request(trigger).await.expect("the request")
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Vec<Delivery> {
        self.store.deliveries(query).await.expect("the deliveries")
    }

    async fn all_ids(&self) -> Vec<DeliveryId> {
        self.deliveries(&DeliveryQuery::default()).await.into_iter().map(|d| d.id).collect()
    }

    async fn inventory(&self, watch: &str) -> Vec<InventoryItem> {
        self.store.inventory(&sample::watch(watch)).await.expect("the inventory")
    }

    async fn heads(&self, prefix: &str) -> Vec<HeadRecord> {
        self.store.heads(prefix).await.expect("the heads")
    }
}

/// One `#[tokio::test]` per clause of [`store_contract`](crate::testing::store_contract); the argument is the path
/// of an `async fn() -> Handles` that makes an empty store.
#[macro_export]
macro_rules! store_contract_tests {
    ($make:path) => {
        $crate::store_contract_tests! { $make:
            an_empty_store_is_empty
            a_branch_reads_back_with_every_field_set
            a_branch_reads_back_with_no_optional_field_set
            a_branch_is_replaced_not_repeated
            branches_of_two_watches_are_kept_apart
            a_forgotten_branch_is_gone_and_its_siblings_stay
            a_watch_reads_back_and_is_replaced
            a_validator_is_kept_replaced_and_forgotten
            a_delivery_reads_back_with_every_field_set
            every_state_and_cause_of_a_delivery_reads_back
            every_action_on_an_object_reads_back
            every_reason_of_a_head_reads_back
            a_snapshot_holds_only_deliveries_that_are_not_final
            deliveries_come_newest_first_and_limited
            deliveries_are_found_by_watch_and_id_prefix
            deliveries_are_found_by_watch_and_commit
            a_prefix_with_wildcards_matches_nothing
            a_trigger_reads_back_whatever_it_asks_for
            a_request_with_a_known_key_returns_the_first_trigger
            fifty_requests_at_once_with_one_key_are_one_trigger
            an_answered_trigger_leaves_the_inbox_and_keeps_its_key
            a_write_of_an_unknown_trigger_keeps_nothing
            pending_triggers_come_oldest_first
            an_inbox_sees_what_another_handle_wrote
            an_inbox_sees_what_its_own_handle_wrote
            a_suspension_is_kept_replaced_and_ended
            a_head_is_replaced_not_repeated_and_found_by_prefix
            the_same_commit_of_two_watches_has_two_decisions_newest_first
            the_agents_record_is_kept_and_replaced
            a_report_is_live_until_it_is_shown_or_given_up
            a_watch_whose_newest_settled_report_was_given_up_is_told
            reports_of_other_contexts_and_commits_stand_beside_each_other
            a_notice_waits_for_each_of_its_receivers_until_that_one_is_told
            what_was_told_of_a_branch_is_kept_replaced_and_forgotten
            the_inventory_keeps_an_object_until_it_is_known_to_be_deleted
            pruning_forgets_settled_reports_and_never_the_inventory
            pruning_forgets_old_notices_and_troubles
            a_commit_carries_out_all_its_writes_in_order
            a_reader_sees_all_of_a_commit_or_nothing_of_it
            an_empty_commit_changes_nothing
            commits_from_two_handles_at_once_are_all_kept
            a_prune_forgets_what_is_older_and_spares_what_is_open
            a_prune_keeps_the_newest_deliveries_of_each_watch
            a_lock_is_exclusive_and_its_holder_is_named
            a_dropped_lock_lets_the_next_one_in
            a_lock_stops_neither_readers_nor_requests
        }
    };
    ($make:path: $($clause:ident)*) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testing::store_contract::$clause($make().await).await;
            }
        )*
    };
}

/// See the name.
pub async fn an_empty_store_is_empty(at: Handles) {
    assert_eq!(at.snapshot().await, Snapshot::default());
    assert_eq!(at.inbox().await, Inbox::default());
    assert!(at.all_ids().await.is_empty() && at.heads("").await.is_empty());
    assert_eq!(at.store.trigger(&sample::trigger_id(1)).await.expect("the answer"), None);
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
pub async fn every_state_and_cause_of_a_delivery_reads_back(at: Handles) {
    use DeliveryState as S;
    let states = [S::Pending, S::Fetching, S::Checking, S::Applying, S::Succeeded, S::Failed];
    for state in states.into_iter().chain([S::NothingRan, S::Superseded, S::Parked]) {
        for cause in [Cause::Change, Cause::Manual, Cause::Webhook, Cause::Rerun] {
            let delivery = Delivery { state, cause, ..sample::delivery(1) };
            at.commit(&[Write::Delivery(Box::new(delivery.clone()))]).await;
            assert_eq!(at.snapshot().await.open.is_empty(), state.is_final(), "{state:?}");
            assert_eq!(at.deliveries(&DeliveryQuery::default()).await, [delivery]);
        }
    }
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
pub async fn a_trigger_reads_back_whatever_it_asks_for(at: Handles) {
    let kinds = [
        TriggerKind::Deliver {
            subject: sample::subject("a/b"),
            sha: None,
            selection: Selection::default(),
        },
        TriggerKind::Deliver {
            subject: sample::subject("a/b"),
            sha: Some(sample::sha(3)),
            selection: Selection::default(),
        },
        TriggerKind::Retry(sample::id(7)),
        TriggerKind::Rerun { delivery: sample::id(7), failed_only: true },
        TriggerKind::Rerun { delivery: sample::id(7), failed_only: false },
    ];
    for (n, kind) in (1..).zip(kinds) {
        let mut trigger = Trigger { kind, ..sample::trigger(n) };
        assert_eq!(at.request(&trigger).await, trigger);
        for state in
            [TriggerState::Taken(sample::id(9)), TriggerState::Rejected("no \"such\"".into())]
        {
            trigger.state = state;
            at.commit(&[Write::Trigger(trigger.clone())]).await;
            let kept = at.other.trigger(&trigger.id).await.expect("the trigger");
            assert_eq!(kept.as_ref(), Some(&trigger));
        }
    }
}

/// See the name.
pub async fn a_request_with_a_known_key_returns_the_first_trigger(at: Handles) {
    let first = sample::trigger(1);
    let second = Trigger { key: first.key.clone(), ..sample::trigger(2) };
    assert_eq!(at.request(&first).await, first);
    assert_eq!(at.request(&second).await, first);
    assert_eq!(at.inbox().await.triggers, [first]);
    assert_eq!(at.store.trigger(&second.id).await.expect("the answer"), None);
}

/// See the name.
pub async fn fifty_requests_at_once_with_one_key_are_one_trigger(at: Handles) {
    let asked: Vec<Trigger> =
        (0..50).map(|n| Trigger { key: "push-1".into(), ..sample::trigger(n) }).collect();
    let answers = join_all(asked.iter().enumerate().map(|(n, trigger)| {
        let handle = if n % 2 == 0 { &at.store } else { &at.other };
        handle.request(trigger)
    }))
    .await;
    let answers: Vec<Trigger> = answers.into_iter().map(|a| a.expect("an answer")).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "two callers got two triggers");
    assert_eq!(at.inbox().await.triggers, answers[..1]);
}

/// See the name.
pub async fn an_answered_trigger_leaves_the_inbox_and_keeps_its_key(at: Handles) {
    let asked = at.request(&sample::trigger(1)).await;
    let taken = Trigger { state: TriggerState::Taken(sample::id(5)), ..asked.clone() };
    at.commit(&[Write::Trigger(taken.clone())]).await;
    assert_eq!(at.inbox().await.triggers, []);
    let again = Trigger { key: asked.key, ..sample::trigger(2) };
    assert_eq!(at.request(&again).await, taken);
    assert_eq!(at.inbox().await.triggers, []);
}

/// See the name.
pub async fn a_write_of_an_unknown_trigger_keeps_nothing(at: Handles) {
    at.commit(&[Write::Trigger(sample::trigger(1))]).await;
    assert_eq!(at.store.trigger(&sample::trigger_id(1)).await.expect("the answer"), None);
    assert_eq!(at.inbox().await, Inbox::default());
}

/// See the name.
pub async fn pending_triggers_come_oldest_first(at: Handles) {
    for n in [2, 3, 1] {
        at.request(&sample::trigger(n)).await;
    }
    assert_eq!(at.inbox().await.triggers, [1, 2, 3].map(sample::trigger));
    assert_eq!(at.snapshot().await.inbox, at.inbox().await);
}

/// See the name.
pub async fn an_inbox_sees_what_another_handle_wrote(at: Handles) {
    assert_eq!(at.inbox().await, Inbox::default());
    at.other.request(&sample::trigger(1)).await.expect("the request");
    assert_eq!(at.inbox().await.triggers, [sample::trigger(1)]);
    let suspend = Write::Suspension(sample::suspension("app", 1));
    at.other.commit(&[suspend]).await.expect("the commit");
    assert_eq!(at.inbox().await.suspensions, [sample::suspension("app", 1)]);
    at.other.commit(&[Write::Resume(sample::watch("app"))]).await.expect("the commit");
    assert_eq!(at.inbox().await.suspensions, []);
}

/// See the name.
pub async fn an_inbox_sees_what_its_own_handle_wrote(at: Handles) {
    assert_eq!(at.inbox().await, Inbox::default());
    at.request(&sample::trigger(1)).await;
    assert_eq!(at.inbox().await.triggers, [sample::trigger(1)]);
    let state = TriggerState::Taken(sample::id(5));
    at.commit(&[Write::Trigger(Trigger { state, ..sample::trigger(1) })]).await;
    assert_eq!(at.inbox().await.triggers, []);
    at.commit(&[Write::Suspension(sample::suspension("app", 1))]).await;
    assert_eq!(at.inbox().await.suspensions, [sample::suspension("app", 1)]);
    at.commit(&[Write::Resume(sample::watch("app"))]).await;
    assert_eq!(at.inbox().await, Inbox::default());
}

/// See the name.
pub async fn a_suspension_is_kept_replaced_and_ended(at: Handles) {
    at.commit(&[Write::Suspension(sample::suspension("app", 1))]).await;
    assert_eq!(at.inbox().await.suspensions, [sample::suspension("app", 1)]);
    let endless = Suspension { reason: None, until: None, ..sample::suspension("app", 2) };
    let other = sample::suspension("other", 3);
    at.commit(&[Write::Suspension(endless.clone()), Write::Suspension(other.clone())]).await;
    let kept = at.inbox().await.suspensions;
    assert_eq!(kept.len(), 2);
    assert!(kept.contains(&endless) && kept.contains(&other));
    let resume = || Write::Resume(sample::watch("app"));
    at.commit(&[resume(), resume()]).await;
    assert_eq!(at.snapshot().await.inbox.suspensions, [other]);
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
pub async fn pruning_forgets_settled_reports_and_never_the_inventory(at: Handles) {
    let due = sample::report(1);
    let shown = Report { sent: Some(due.status.state), ..sample::report(2) };
    let item = sample::inventory("ci-1", 1);
    at.commit(&[Write::Report(due.clone()), Write::Report(shown), Write::Inventory(item.clone())])
        .await;
    at.commit(&[Write::Prune { before: sample::time(50), keep: 0 }]).await;
    assert_eq!(at.snapshot().await.reports, [due]);
    assert_eq!(at.inventory("app").await, [item]);
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
        Write::Suspension(sample::suspension("app", 1)),
        Write::Agent(sample::agent(1)),
    ])
    .await;
    let expected = Snapshot {
        cursors: vec![sample::cursors(2)],
        watches: vec![sample::watch_state(1)],
        validators: vec![("k".into(), sample::validator(1))],
        open: vec![sample::open_delivery(1)],
        reports: vec![sample::report(1)],
        given_up: vec![],
        outbox: vec![sample::outgoing("chat", 1)],
        troubles: vec![sample::trouble(1)],
        inbox: Inbox { triggers: vec![], suspensions: vec![sample::suspension("app", 1)] },
        agent: Some(sample::agent(1)),
    };
    assert_eq!(at.snapshot().await, expected);
    assert_eq!(at.heads("").await, [sample::head(1)]);
    at.commit(&[Write::Cursors(sample::cursors(3)), forget]).await;
    assert_eq!(at.snapshot().await.cursors, []);
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
        while sample::generation_of(&at.other.snapshot().await.expect("the state"), LAST) < LAST {
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, read);
}

/// See the name.
pub async fn an_empty_commit_changes_nothing(at: Handles) {
    at.commit(&[Write::Cursors(sample::cursors(1))]).await;
    let before = at.snapshot().await;
    at.commit(&[]).await;
    assert_eq!(at.snapshot().await, before);
}

/// See the name.
pub async fn commits_from_two_handles_at_once_are_all_kept(at: Handles) {
    let writes: Vec<[Write; 1]> =
        (0..40).map(|n| [Write::Delivery(Box::new(sample::open_delivery(n)))]).collect();
    let done = join_all(writes.iter().enumerate().map(|(n, write)| {
        let handle = if n % 2 == 0 { &at.store } else { &at.other };
        handle.commit(write)
    }))
    .await;
    done.into_iter().for_each(|result| result.expect("a commit"));
    assert_eq!(at.all_ids().await, (0..40).rev().map(sample::id).collect::<Vec<_>>());
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
    assert_eq!(at.inbox().await.triggers, [sample::trigger(2)]);
    for (n, kept) in [(1, false), (2, true), (3, false), (4, true)] {
        let trigger = at.store.trigger(&sample::trigger_id(n)).await.expect("the answer");
        assert_eq!(trigger.is_some(), kept, "trigger {n}");
    }
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
pub async fn a_lock_is_exclusive_and_its_holder_is_named(at: Handles) {
    let _held = at.store.lock("pid 7 on host-a").await.expect("the lock");
    for handle in [&at.store, &at.other] {
        let refused = handle.lock("pid 8 on host-b").await.expect_err("a second lock");
        assert_eq!(refused.kind(), StoreErrorKind::Held);
        assert!(refused.to_string().contains("pid 7 on host-a"), "{refused}");
    }
}

/// See the name.
pub async fn a_dropped_lock_lets_the_next_one_in(at: Handles) {
    let first = at.store.lock("agent-one, with a longer name").await.expect("the lock");
    drop(first);
    let _second = at.other.lock("agent-two").await.expect("the lock after the first was dropped");
    let refused = at.store.lock("agent-three").await.expect_err("a third lock");
    assert!(refused.to_string().contains("agent-two"), "{refused}");
    assert!(!refused.to_string().contains("name"), "{refused}");
}

/// See the name.
pub async fn a_lock_stops_neither_readers_nor_requests(at: Handles) {
    let _held = at.store.lock("agent").await.expect("the lock");
    at.other.request(&sample::trigger(1)).await.expect("the request");
    let suspend = Write::Suspension(sample::suspension("app", 1));
    at.other.commit(&[suspend]).await.expect("the commit");
    let snapshot = at.other.snapshot().await.expect("the snapshot");
    assert_eq!(snapshot.inbox.triggers, [sample::trigger(1)]);
}
