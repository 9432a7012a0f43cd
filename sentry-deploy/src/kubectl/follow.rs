//! Following runs: the feeds of all kinds as one stream, runs that ended explained.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use sentry_core::deployer::{DeployError, FollowQuery, RunChange};

use super::feed::{Feed, News, Told};
use super::{Kubectl, detail, runs};

/// How many runs that ended are inspected at once.
const DETAILS: usize = 8;

/// All feeds as one stream, ended by the first error.
pub(super) fn follow(
    kubectl: &Kubectl,
    query: FollowQuery,
) -> BoxStream<'_, Result<RunChange, DeployError>> {
    let query = Arc::new(query);
    let mut feeds = stream::SelectAll::new();
    let mut endless = Vec::new();
    for (api_version, kind) in &query.kinds {
        match runs::followed(api_version, kind) {
            Some(followed) => {
                let feed = Feed::new(kubectl, Arc::clone(&query), followed, api_version);
                feeds.push(stream::unfold(feed, Feed::step).boxed());
            }
            None => endless.push(Ok(RunChange::Endless { kind: kind.clone() })),
        }
    }
    let start = Merged { unsynced: feeds.len(), first: feeds.is_empty(), feeds };
    let merged = stream::unfold(Some(start), Merged::step);
    let tell = move |news: Told| {
        let query = Arc::clone(&query);
        async move {
            Ok(match news? {
                News::Run(status, object) => {
                    RunChange::Stands(detail::explained(kubectl, &query, status, &object).await)
                }
                News::Gone(kind, name) => RunChange::Gone { kind, name },
                News::Synced => RunChange::Synced,
            })
        }
    };
    // In order, so that a run that failed and is deleted is reported in that order.
    stream::iter(endless).chain(merged.map(tell).buffered(DETAILS)).boxed()
}

struct Merged<'a> {
    feeds: stream::SelectAll<BoxStream<'a, Told>>,
    unsynced: usize,
    /// True if there is nothing to follow: then that is reported first.
    first: bool,
}

impl Merged<'_> {
    async fn step(merged: Option<Self>) -> Option<(Told, Option<Self>)> {
        let mut merged = merged?;
        if std::mem::take(&mut merged.first) {
            return Some((Ok(News::Synced), Some(merged)));
        }
        loop {
            let Some(told) = merged.feeds.next().await else {
                // Nothing to follow: continue all the same, as the stream ends only with an error.
                return std::future::pending().await;
            };
            match told {
                Err(error) => return Some((Err(error), None)),
                Ok(News::Synced) => {
                    merged.unsynced -= 1;
                    if merged.unsynced == 0 {
                        return Some((Ok(News::Synced), Some(merged)));
                    }
                }
                Ok(news) => return Some((Ok(news), Some(merged))),
            }
        }
    }
}
