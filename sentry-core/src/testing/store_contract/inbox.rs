//! The contract of [`Inbox`](crate::store::Inbox).

use futures::future::join_all;

use super::Handles;
use crate::delivery::{Selection, Trigger, TriggerKind, TriggerState};
use crate::store::{Act, AuditQuery, Hold, Requests, Suspension, Write};
use crate::testing::sample;

/// One `#[tokio::test]` per clause of [`inbox`](crate::testing::store_contract::inbox); the argument is the path of an
/// `async fn() -> Handles` that makes an empty store.
#[macro_export]
macro_rules! inbox_contract_tests {
    ($make:path) => {
        $crate::store_contract_tests! { inbox $make:
            a_trigger_reads_back_whatever_it_asks_for
            a_request_with_a_known_key_returns_the_first_trigger
            fifty_requests_at_once_with_one_key_are_one_trigger
            an_answered_trigger_leaves_the_inbox_and_keeps_its_key
            a_write_of_an_unknown_trigger_keeps_nothing
            pending_triggers_come_oldest_first
            an_inbox_sees_what_another_handle_wrote
            an_inbox_sees_what_its_own_handle_wrote
            a_suspension_is_kept_replaced_and_ended
            what_is_requested_is_a_line_of_the_audit_log_and_its_repetition_is_not
        }
    };
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
        TriggerKind::Approve {
            number: 12.into(),
            sha: sample::sha(3),
            base: sample::parse("release/1"),
        },
        TriggerKind::Retry(sample::id(7)),
        TriggerKind::Cancel(sample::id(7)),
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
            let kept = at.other.inbox.trigger(&trigger.id).await.expect("the trigger");
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
    assert_eq!(at.requests().await.triggers, [first]);
    assert_eq!(at.store.inbox.trigger(&second.id).await.expect("the answer"), None);
}

/// See the name.
pub async fn fifty_requests_at_once_with_one_key_are_one_trigger(at: Handles) {
    let asked: Vec<Trigger> =
        (0..50).map(|n| Trigger { key: "push-1".into(), ..sample::trigger(n) }).collect();
    let answers = join_all(asked.iter().enumerate().map(|(n, trigger)| {
        let handle = if n % 2 == 0 { &at.store } else { &at.other };
        handle.inbox.request(trigger)
    }))
    .await;
    let answers: Vec<Trigger> = answers.into_iter().map(|a| a.expect("an answer")).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "two callers got two triggers");
    assert_eq!(at.requests().await.triggers, answers[..1]);
}

/// See the name.
pub async fn an_answered_trigger_leaves_the_inbox_and_keeps_its_key(at: Handles) {
    let asked = at.request(&sample::trigger(1)).await;
    let taken = Trigger { state: TriggerState::Taken(sample::id(5)), ..asked.clone() };
    at.commit(&[Write::Trigger(taken.clone())]).await;
    assert_eq!(at.requests().await.triggers, []);
    let again = Trigger { key: asked.key, ..sample::trigger(2) };
    assert_eq!(at.request(&again).await, taken);
    assert_eq!(at.requests().await.triggers, []);
}

/// See the name.
pub async fn a_write_of_an_unknown_trigger_keeps_nothing(at: Handles) {
    at.commit(&[Write::Trigger(sample::trigger(1))]).await;
    assert_eq!(at.store.inbox.trigger(&sample::trigger_id(1)).await.expect("the answer"), None);
    assert_eq!(at.requests().await, Requests::default());
}

/// See the name.
pub async fn pending_triggers_come_oldest_first(at: Handles) {
    for n in [2, 3, 1] {
        at.request(&sample::trigger(n)).await;
    }
    assert_eq!(at.requests().await.triggers, [1, 2, 3].map(sample::trigger));
    assert_eq!(at.snapshot().await.inbox, at.requests().await);
}

/// See the name.
pub async fn an_inbox_sees_what_another_handle_wrote(at: Handles) {
    assert_eq!(at.requests().await, Requests::default());
    at.other.inbox.request(&sample::trigger(1)).await.expect("the request");
    assert_eq!(at.requests().await.triggers, [sample::trigger(1)]);
    at.hold(&Hold::Suspend(sample::suspension("app", 1))).await;
    assert_eq!(at.requests().await.suspensions, [sample::suspension("app", 1)]);
    at.hold(&Hold::Resume(sample::resumption("app"))).await;
    assert_eq!(at.requests().await.suspensions, []);
}

/// See the name.
pub async fn an_inbox_sees_what_its_own_handle_wrote(at: Handles) {
    assert_eq!(at.requests().await, Requests::default());
    at.request(&sample::trigger(1)).await;
    assert_eq!(at.requests().await.triggers, [sample::trigger(1)]);
    let state = TriggerState::Taken(sample::id(5));
    at.commit(&[Write::Trigger(Trigger { state, ..sample::trigger(1) })]).await;
    assert_eq!(at.requests().await.triggers, []);
    let hold = Hold::Suspend(sample::suspension("app", 1));
    at.store.inbox.hold(&hold).await.expect("the suspension");
    assert_eq!(at.requests().await.suspensions, [sample::suspension("app", 1)]);
    let resume = Hold::Resume(sample::resumption("app"));
    at.store.inbox.hold(&resume).await.expect("its end");
    assert_eq!(at.requests().await, Requests::default());
}

/// See the name.
pub async fn a_suspension_is_kept_replaced_and_ended(at: Handles) {
    at.hold(&Hold::Suspend(sample::suspension("app", 1))).await;
    assert_eq!(at.requests().await.suspensions, [sample::suspension("app", 1)]);
    let endless = Suspension { reason: None, until: None, ..sample::suspension("app", 2) };
    let other = sample::suspension("other", 3);
    at.hold(&Hold::Suspend(endless.clone())).await;
    at.hold(&Hold::Suspend(other.clone())).await;
    let kept = at.requests().await.suspensions;
    assert_eq!(kept.len(), 2);
    assert!(kept.contains(&endless) && kept.contains(&other));
    for _ in 0..2 {
        at.hold(&Hold::Resume(sample::resumption("app"))).await;
    }
    assert_eq!(at.snapshot().await.inbox.suspensions, [other]);
}

/// See the name.
pub async fn what_is_requested_is_a_line_of_the_audit_log_and_its_repetition_is_not(at: Handles) {
    let (first, hold) = (sample::trigger(1), Hold::Suspend(sample::suspension("app", 2)));
    let again = Trigger { key: first.key.clone(), ..sample::trigger(3) };
    let resume = Hold::Resume(sample::resumption("web"));
    at.request(&first).await;
    at.request(&again).await;
    at.hold(&hold).await;
    at.hold(&resume).await;
    let acts: Vec<_> = at.acts(&AuditQuery::default()).await.into_iter().map(|e| e.act).collect();
    let asked = Act::of(&first).expect("a person's request");
    assert_eq!(acts, [Act::from(&resume), Act::from(&hold), asked]);
}
