//! How short ids may be written: as git does it, by as few characters as tell them from all others that are kept.

use sentry_core::delivery::Delivery;
use sentry_core::store::DeliveryQuery;

use super::Local;
use crate::error::ApiError;

/// No shorter, though it may tell all of them apart today: what somebody wrote down should still do so tomorrow.
const LEAST: usize = 7;

/// So many first characters of the ids of these deliveries are the beginning of no other delivery's id; 0 where there are
/// none.
pub(super) async fn length(local: &Local, deliveries: &[Delivery]) -> Result<usize, ApiError> {
    let mut ids: Vec<&str> = deliveries.iter().map(|delivery| delivery.id.as_str()).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    ids.sort_unstable();
    let alike = ids.windows(2).map(|pair| common(pair[0], pair[1]) + 1);
    let mut length = alike.max().unwrap_or_default().max(LEAST);
    for id in ids {
        // Each look finds the one itself, and any other that begins so: the next look is longer than what they share.
        while let Some(other) = other(local, id, length).await? {
            length = common(id, &other) + 1;
        }
    }
    Ok(length)
}

/// Another delivery whose id begins as this one.
async fn other(local: &Local, id: &str, length: usize) -> Result<Option<String>, ApiError> {
    let query = DeliveryQuery {
        id_prefix: id.get(..length).map(str::to_owned),
        limit: Some(2),
        ..DeliveryQuery::default()
    };
    let found = local.store.archive.deliveries(&query).await?;
    let other = found.into_iter().find(|delivery| delivery.id.as_str() != id);
    Ok(other.map(|delivery| delivery.id.to_string()))
}

/// How many first characters two ids share.
fn common(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sentry_core::ids::DeliveryId;
    use sentry_core::store::Write;
    use sentry_core::testing::sample;
    use sentry_store::MemoryStore;

    use super::*;

    /// Deliveries whose ids share so many first characters with the one before.
    fn sharing(shared: &[usize]) -> Vec<Delivery> {
        let mut bits = 0;
        let step = |shared: &usize| {
            bits += 1_u128 << (5 * (25 - shared));
            let (time, random) = (bits >> 80, bits & ((1 << 80) - 1));
            let time = i64::try_from(time).unwrap();
            let id = DeliveryId::new(
                sentry_core::clock::Timestamp::from_millisecond(time).unwrap(),
                random,
            );
            Delivery { id, ..sample::delivery(1) }
        };
        shared.iter().map(step).collect()
    }

    #[tokio::test]
    async fn a_short_id_is_the_beginning_of_one_delivery_alone_and_no_longer_than_that() {
        for (shared, listed, length) in [
            (&[][..], 0..0, 0),
            (&[2], 0..1, LEAST),
            (&[2, 3], 0..2, LEAST),
            (&[2, 9], 0..2, 10),
            (&[2, 25], 0..2, 26),
            // What is not listed counts as well.
            (&[2, 9, 3], 2..3, LEAST),
            (&[2, 9], 1..2, 10),
            (&[2, 9, 12], 0..1, 10),
            (&[2, 12, 20], 1..2, 21),
        ] {
            let all = sharing(shared);
            let store = Arc::new(MemoryStore::new());
            let writes: Vec<_> = all.iter().cloned().map(Box::new).map(Write::Delivery).collect();
            sentry_core::testing::commit(store.as_ref(), &writes).await.unwrap();
            let local = Local::new(store, Vec::new());
            let found = self::length(&local, &all[listed.clone()]).await.unwrap();
            assert_eq!(found, length, "{shared:?} {listed:?}");
        }
    }
}
