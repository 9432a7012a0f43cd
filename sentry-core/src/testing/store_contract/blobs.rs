//! The contract of [`Blobs`](crate::store::Blobs).

use super::Handles;
use crate::clock::Timestamp;
use crate::delivery::{Delivery, DeliveryState};
use crate::remote::digest;
use crate::store::Write;
use crate::testing::sample;

/// One `#[tokio::test]` per clause of [`blobs`](crate::testing::store_contract::blobs); the argument is the path of an
/// `async fn() -> Handles` that makes an empty store.
#[macro_export]
macro_rules! blobs_contract_tests {
    ($make:path) => {
        $crate::store_contract_tests! { blobs $make:
            what_is_kept_of_an_open_delivery_reads_back_by_its_digest
            what_a_delivery_keeps_is_its_own
            the_commit_that_ends_a_delivery_forgets_what_it_keeps_and_no_other_does
            nothing_is_kept_for_a_delivery_that_is_not_open
            a_delivery_that_is_forgotten_takes_what_it_keeps_with_it
        }
    };
}

async fn put(at: &Handles, n: u32, bytes: &[u8]) {
    at.store.blobs.put(&sample::id(n), bytes).await.expect("it is kept");
}

async fn kept(at: &Handles, n: u32, bytes: &[u8]) -> bool {
    let found = at.other.blobs.get(&sample::id(n), &digest(bytes)).await.expect("the answer");
    found.is_some_and(|found| found == bytes)
}

async fn open(at: &Handles, n: u32) {
    at.commit(&[Write::Delivery(Box::new(sample::open_delivery(n)))]).await;
}

async fn end(at: &Handles, n: u32, state: DeliveryState) {
    let ended = Delivery { state, ..sample::open_delivery(n) };
    at.commit(&[Write::Delivery(Box::new(ended))]).await;
}

/// See the name.
pub async fn what_is_kept_of_an_open_delivery_reads_back_by_its_digest(at: Handles) {
    open(&at, 1).await;
    let large = vec![0xa5; 1 << 20];
    let all: [&[u8]; 4] = [b"", b"kind: Task", b"\0\xff\n", &large];
    for bytes in all {
        assert!(!kept(&at, 1, bytes).await);
        put(&at, 1, bytes).await;
        put(&at, 1, bytes).await;
        assert!(kept(&at, 1, bytes).await);
    }
    assert!(!kept(&at, 1, b"another").await);
    let odd = at.other.blobs.get(&sample::id(1), "no digest").await.expect("the answer");
    assert_eq!(odd, None);
}

/// See the name.
pub async fn what_a_delivery_keeps_is_its_own(at: Handles) {
    open(&at, 1).await;
    open(&at, 2).await;
    put(&at, 1, b"x").await;
    assert!(kept(&at, 1, b"x").await && !kept(&at, 2, b"x").await);
    put(&at, 2, b"x").await;
    end(&at, 1, DeliveryState::Succeeded).await;
    assert!(!kept(&at, 1, b"x").await && kept(&at, 2, b"x").await);
}

/// See the name.
pub async fn the_commit_that_ends_a_delivery_forgets_what_it_keeps_and_no_other_does(at: Handles) {
    use DeliveryState::{
        Applying, Cancelled, Checking, Failed, Fetching, Following, NothingRan, Parked, Pending,
        Succeeded, Superseded,
    };
    let finals = [Succeeded, NothingRan, Failed, Superseded, Parked, Cancelled];
    for (n, state) in (1..).zip(finals) {
        open(&at, n).await;
        put(&at, n, b"x").await;
        for goes_on in [Pending, Fetching, Checking, Applying, Following] {
            end(&at, n, goes_on).await;
            assert!(kept(&at, n, b"x").await, "{goes_on}");
        }
        end(&at, n, state).await;
        assert!(!kept(&at, n, b"x").await, "{state}");
    }
}

/// See the name.
pub async fn nothing_is_kept_for_a_delivery_that_is_not_open(at: Handles) {
    put(&at, 1, b"x").await;
    assert!(!kept(&at, 1, b"x").await, "nobody knows the delivery");
    open(&at, 2).await;
    end(&at, 2, DeliveryState::Failed).await;
    put(&at, 2, b"x").await;
    assert!(!kept(&at, 2, b"x").await, "it has ended");
    // A person asked for another attempt.
    open(&at, 2).await;
    put(&at, 2, b"x").await;
    assert!(kept(&at, 2, b"x").await);
}

/// See the name.
pub async fn a_delivery_that_is_forgotten_takes_what_it_keeps_with_it(at: Handles) {
    open(&at, 1).await;
    put(&at, 1, b"x").await;
    let prune = |before: Timestamp| Write::Prune { before, keep: 0 };
    at.commit(&[prune(Timestamp::MAX)]).await;
    assert!(kept(&at, 1, b"x").await, "an open one is not forgotten");
}
