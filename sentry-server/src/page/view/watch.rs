//! A watch's own page: its branches, its deliveries, and what can be done with it.

use askama::Template;
use sentry_api::shape::WatchStatus;

use super::chart::{Chart, LARGE};
use super::delivery::Row;
use super::home::{Facts, WatchView};
use super::{Frame, Part as _, Reader};

/// The page.
#[derive(Debug, Template)]
#[template(path = "watch.html")]
pub(crate) struct WatchPage {
    frame: Frame,
    name: String,
    watch: WatchView,
    chart: Option<Chart>,
    rows: Vec<Row>,
    suspended: bool,
    /// The branches that were seen, to choose from.
    branches: Vec<String>,
    keys: Keys,
}

/// The idempotency keys of the page's forms.
#[derive(Debug)]
struct Keys {
    trigger: String,
    form: String,
}

impl WatchPage {
    pub(crate) fn new(frame: Frame, reader: &Reader, facts: Facts<'_>) -> Self {
        let status: &WatchStatus = facts.status;
        let row = |delivery| Row::new(delivery, facts.place, reader.now);
        Self {
            frame,
            name: status.name.clone(),
            watch: WatchView::new(reader, facts, false),
            chart: Chart::new(facts.recent, reader.now, LARGE),
            rows: facts.recent.iter().map(row).collect(),
            suspended: status.suspended,
            branches: status.branches.iter().map(|branch| branch.branch.clone()).collect(),
            keys: Keys { trigger: reader.key("commit"), form: reader.form_token.clone() },
        }
    }
}
