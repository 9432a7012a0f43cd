//! A watch's own page: its branches, its deliveries, and what can be done with it.

use askama::Template;
use sentry_api::shape::{BranchStatus, Delivery, WatchStatus};
use sentry_api::words::BranchState;

use super::chart::{Chart, LARGE};
use super::delivery::Row;
use super::{Act, Commit, Frame, Moment, Part as _, Reader, State, Tone, branch};
use crate::page::link::WatchPlace;

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
        let row = |delivery| Row::new(reader, delivery, facts.place);
        Self {
            frame,
            name: status.name.clone(),
            watch: WatchView::new(reader, facts),
            chart: Chart::new(reader, facts.recent, LARGE),
            rows: facts.recent.iter().map(row).collect(),
            suspended: status.suspended,
            branches: status.branches.iter().map(|branch| branch.branch.clone()).collect(),
            keys: Keys { trigger: reader.key("commit"), form: reader.form_token.clone() },
        }
    }
}

/// A watch.
#[derive(Debug, Template)]
#[template(path = "part/watch.html")]
pub(crate) struct WatchView {
    pub(crate) route: Option<Route>,
    troubles: Vec<Trouble>,
    waiting: Option<String>,
    branches: Vec<BranchView>,
    /// What to do where no branch was seen yet.
    patterns: String,
}

/// From A to the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) source: (String, Option<String>),
    pub(crate) patterns: Vec<String>,
    pub(crate) manifests: (String, Option<String>),
    pub(crate) dir: String,
    pub(crate) target: String,
}

impl Route {
    pub(crate) fn new(place: &WatchPlace) -> Self {
        Self {
            source: (place.source.path.clone(), place.source.address()),
            patterns: place.branches.clone(),
            manifests: (place.manifests.path.clone(), place.manifests.address()),
            dir: place.dir.clone(),
            target: place.target.clone(),
        }
    }
}

/// What a person should know about a watch as a whole.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) state: State,
    pub(super) text: Option<String>,
    pub(super) since: Option<Moment>,
    /// When it ends or is tried again, in words.
    pub(super) next: Option<Moment>,
    /// Whether it then ends.
    pub(super) ends: bool,
}

/// A branch.
#[derive(Debug)]
struct BranchView {
    name: String,
    is_gone: bool,
    state: State,
    since: Moment,
    head: Commit,
    /// What the cluster has, where it is another one.
    delivered: Option<(Commit, Moment)>,
    runs: Option<String>,
    next: String,
    next_at: Option<Moment>,
    errors: Vec<String>,
    delivery: Option<String>,
    act: Option<Act>,
}

/// A watch's answer with what is known beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) status: &'a WatchStatus,
    /// Its deliveries, newest first.
    pub(crate) recent: &'a [Delivery],
    pub(crate) place: Option<&'a WatchPlace>,
    pub(crate) agent: bool,
}

impl WatchView {
    pub(crate) fn new(reader: &Reader, facts: Facts<'_>) -> Self {
        let status = facts.status;
        let mut branches: Vec<_> =
            status.branches.iter().map(|branch| BranchView::new(reader, facts, branch)).collect();
        branches.sort_by_key(|branch| match branch.state.tone {
            Tone::Bad => 0,
            Tone::Busy | Tone::Wait => 1,
            Tone::Good => 2,
            Tone::Quiet => 3,
        });
        let patterns = facts.place.map(|place| place.branches.join(", ")).unwrap_or_default();
        Self {
            route: facts.place.map(Route::new),
            troubles: troubles(reader, status),
            waiting: (status.waiting_triggers > 0)
                .then(|| reader.words.count("requests", status.waiting_triggers)),
            branches,
            patterns,
        }
    }
}

pub(super) fn troubles(reader: &Reader, status: &WatchStatus) -> Vec<Trouble> {
    let trouble = |tone, key, text| {
        let state = State::new(tone, reader.words.say(key));
        Trouble { state, text, since: None, next: None, ends: false }
    };
    let moment = |at| Moment::new(reader, at);
    let suspended = status.suspension.as_ref().map(|suspension| Trouble {
        since: Some(moment(suspension.since)),
        next: suspension.until.map(moment),
        ends: true,
        ..trouble(Tone::Wait, "trouble-suspended", suspension.reason.clone())
    });
    let silent = status.unreachable.as_ref().map(|outage| Trouble {
        since: Some(moment(outage.since)),
        next: outage.next.map(moment),
        ..trouble(Tone::Bad, "trouble-silent", Some(outage.error.clone()))
    });
    let unreported = status.reporting.as_ref();
    let unreported = unreported
        .map(|reporting| trouble(Tone::Wait, "trouble-reports", Some(reporting.error.clone())));
    let idle = (!status.idle_patterns.is_empty())
        .then(|| trouble(Tone::Wait, "trouble-idle", Some(status.idle_patterns.join(", "))));
    [silent, suspended, idle, unreported].into_iter().flatten().collect()
}

impl BranchView {
    fn new(reader: &Reader, facts: Facts<'_>, branch: &BranchStatus) -> Self {
        let (words, source) = (reader.words, facts.place.map(|place| &place.source));
        let delivered = branch.delivered.as_ref().filter(|mark| mark.sha != branch.observed.sha);
        let gone = branch.state == BranchState::Gone;
        Self {
            name: branch.branch.clone(),
            is_gone: gone,
            state: branch::state(words, branch),
            since: Moment::new(reader, branch::since(branch)),
            head: Commit::new(&branch.observed.sha, source),
            delivered: delivered
                .map(|mark| (Commit::new(&mark.sha, source), Moment::new(reader, mark.at))),
            runs: Some(branch.runs.words()).filter(|words| !words.is_empty()),
            next: branch::next(words, facts.status, branch, facts.agent),
            next_at: branch.next_attempt.map(|at| Moment::new(reader, at)),
            errors: branch.errors.clone(),
            delivery: branch.delivery.clone(),
            act: (!gone).then(|| deliver(reader, &facts.status.name, &branch.branch)).flatten(),
        }
    }
}

fn deliver(reader: &Reader, watch: &str, branch: &str) -> Option<Act> {
    let about = [("branch", branch.into()), ("watch", watch.into())];
    let about = reader.words.with("act-deliver-about", about);
    let fields = vec![("watch", watch.to_owned()), ("branch", branch.to_owned())];
    reader.act(reader.words.say("act-deliver"), about, "/trigger".to_owned(), fields)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::sample;
    use super::*;

    fn view(said: Value) -> WatchView {
        let status = sample::watch(said);
        let facts = Facts { status: &status, recent: &[], place: None, agent: true };
        WatchView::new(&sample::reader(), facts)
    }

    #[test]
    fn what_a_person_should_know_of_a_watch_stands_above_its_branches() {
        let all = view(json!({
            "unreachable": {"since": "2026-01-01T00:08:00Z", "error": "no route", "next": "2026-01-01T00:11:00Z"},
            "suspension": {"since": "2026-01-01T00:05:00Z", "reason": "a freeze", "until": "2026-01-01T01:10:00Z"},
            "idle_patterns": ["release/*", "v*"],
            "reporting": {"error": "forbidden", "given_up": true},
            "waiting_triggers": 2,
        }));
        let said = |moment: &Option<Moment>| moment.clone().map(|moment| moment.said);
        let told: Vec<_> = all
            .troubles
            .iter()
            .map(|t| {
                (
                    t.state.tone,
                    t.state.word.as_str(),
                    t.text.clone().unwrap(),
                    said(&t.since),
                    said(&t.next),
                )
            })
            .collect();
        let (since, next) =
            (|text: &str| Some(text.to_owned()), |text: &str| Some(text.to_owned()));
        let wanted = [
            (
                Tone::Bad,
                "the forge does not answer",
                "no route".to_owned(),
                since("2 min ago"),
                next("in 1 min"),
            ),
            (Tone::Wait, "suspended", "a freeze".to_owned(), since("5 min ago"), next("in 1 h")),
            (Tone::Wait, "no branch matches", "release/*, v*".to_owned(), None, None),
            (Tone::Wait, "verdicts are not shown on commits", "forbidden".to_owned(), None, None),
        ];
        assert_eq!(told, wanted);
        assert_eq!(all.waiting.as_deref(), Some("2 requests not picked up yet"));
        let none = view(json!({}));
        assert!(none.troubles.is_empty() && none.waiting.is_none());
    }

    #[test]
    fn branches_that_need_somebody_stand_first() {
        let states = ["baseline", "delivered", "pending", "parked"];
        let branches = states.map(|state| sample::branch(json!({"state": state})));
        let view = view(json!({"branches": branches}));
        let order: Vec<_> = view.branches.iter().map(|branch| branch.state.tone).collect();
        assert_eq!(order, [Tone::Bad, Tone::Wait, Tone::Good, Tone::Quiet]);
    }

    #[test]
    fn what_the_cluster_has_is_shown_where_it_is_another_commit() {
        let mark = json!({"sha": "ffffffffffff", "at": "2026-01-01T00:03:00Z"});
        for (said, shown) in [(json!({}), None), (json!({"delivered": mark}), Some("ffffffff"))] {
            let (status, branch) = (sample::watch(json!({})), sample::branch(said));
            let facts = Facts { status: &status, recent: &[], place: None, agent: true };
            let view = BranchView::new(&sample::reader(), facts, &branch);
            assert_eq!(view.delivered.map(|(commit, _)| commit.short).as_deref(), shown);
        }
    }
}
