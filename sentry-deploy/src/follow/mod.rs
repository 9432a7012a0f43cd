//! Following runs: the feeds of all kinds as one stream, runs that ended explained. How the cluster is read is a deployer's
//! own ([`Reader`]).

mod detail;
mod feed;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use sentry_core::deployer::{DeployError, DeployErrorKind, FollowQuery, RunChange};
use sentry_core::names::ClusterRef;
use sentry_core::secret::Redactor;

use crate::tekton::runs;
use feed::{Feed, News, Told};

/// How many runs that ended are inspected at once.
const DETAILS: usize = 8;

/// How paths of a cluster's API are read.
#[async_trait]
pub(crate) trait Reader: Sync {
    /// The lines of a watch's answer.
    type Lines: Lines;

    /// The answer to a GET that may take so long.
    async fn get(
        &self,
        cluster: &ClusterRef,
        path: &str,
        limit: Duration,
    ) -> Result<String, Trouble>;

    /// Opens a watch, which the path says the length of.
    async fn watch(&self, cluster: &ClusterRef, path: &str) -> Result<Self::Lines, Trouble>;

    /// How long one watch lasts.
    fn length(&self) -> Duration;

    /// Takes known secrets out of texts.
    fn redactor(&self) -> &Redactor;
}

/// What a watch tells, line by line.
#[async_trait]
pub(crate) trait Lines: Send {
    /// The next line; `None` when the server has ended the watch in good order.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble>;
}

/// Why a step came to nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The resource version is too old: everything must be read again.
    Old,
    Error(DeployError),
}

/// The error of who lost contact with a cluster while it followed runs.
pub(crate) fn lost(cluster: &ClusterRef, why: &str) -> DeployError {
    let text = format!("lost track of the runs of {cluster}: {why}");
    DeployError::new(DeployErrorKind::Unreachable, text)
}

/// All feeds as one stream, ended by the first error.
pub(crate) fn follow<R: Reader>(
    reader: &R,
    query: FollowQuery,
) -> BoxStream<'_, Result<RunChange, DeployError>> {
    let query = Arc::new(query);
    let mut feeds = stream::SelectAll::new();
    let mut endless = Vec::new();
    for (api_version, kind) in &query.kinds {
        match runs::followed(api_version, kind) {
            Some(followed) => {
                let feed = Feed::new(reader, Arc::clone(&query), followed, api_version);
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
                    RunChange::Stands(detail::explained(reader, &query, status, &object).await)
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
