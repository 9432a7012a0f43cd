//! `history`: deliveries by filter, newest first, page by page to their end.

use sentry_core::delivery::DeliveryState;
use sentry_core::store::DeliveryQuery;

use super::{Local, abbreviate, limit, named, optional, subject};
use crate::VERSION;
use crate::error::{ApiError, ErrorKind};
use crate::query::HistoryQuery;
use crate::shape::History;
use crate::words::ClosedList;

pub(super) async fn history(local: &Local, asked: &HistoryQuery) -> Result<History, ApiError> {
    let limit = limit(asked.limit)?;
    // One more tells whether there is another page.
    let query = DeliveryQuery { limit: Some(limit.saturating_add(1)), ..query(asked)? };
    let mut deliveries = local.store.archive.deliveries(&query).await?;
    let is_last = deliveries.len() <= limit;
    deliveries.truncate(limit);
    let next = deliveries.last().filter(|_| !is_last).map(|last| last.id.to_string());
    let id_length = abbreviate::length(local, &deliveries).await?;
    let deliveries = deliveries.iter().map(Into::into).collect();
    Ok(History { version: VERSION, deliveries, id_length, next })
}

fn query(asked: &HistoryQuery) -> Result<DeliveryQuery, ApiError> {
    let watch = optional("watch", asked.watch.as_deref())?;
    let text = named("q", asked.q.clone())?;
    let least = DeliveryQuery::TEXT_CHARS;
    if watch.is_none() && text.as_ref().is_some_and(|text| text.chars().count() < least) {
        let text = format!("`q` has fewer than {least} characters");
        let error = ApiError::new(ErrorKind::Ambiguous, text);
        return Err(error.with_hint("name a watch, or search for more"));
    }
    Ok(DeliveryQuery {
        subject: subject(asked.branch.as_deref())?,
        states: states(asked)?,
        since: optional("since", asked.since.as_deref())?,
        until: optional("until", asked.until.as_deref())?,
        author: named("author", asked.author.clone())?,
        before: optional("before", asked.before.as_deref())?,
        watch,
        text,
        ..DeliveryQuery::default()
    })
}

fn states(asked: &HistoryQuery) -> Result<Vec<DeliveryState>, ApiError> {
    let mut states = words("state", asked.state.as_deref())?;
    if asked.failed {
        states.extend([DeliveryState::Failed, DeliveryState::Parked]);
    }
    Ok(states)
}

/// The values of a list of words with commas between them.
pub(super) fn words<T: ClosedList>(what: &str, text: Option<&str>) -> Result<Vec<T>, ApiError> {
    let word = |word: &str| {
        T::from_word(word).ok_or_else(|| {
            let all = T::all().map(T::as_str).collect::<Vec<_>>().join(", ");
            ApiError::bad_request(format!("`{what}` can't be {word:?}"))
                .with_hint(format!("it is one of {all}"))
        })
    };
    text.into_iter().flat_map(|text| text.split(',')).map(word).collect()
}
