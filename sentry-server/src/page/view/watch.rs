//! A watch's own page: its branches, how its last 30 days went, its history, and what can be done with it.

use askama::Template;
use sentry_api::shape::{BranchStatus, History, SuspensionStatus, WatchStatus};
use sentry_api::text::short;
use sentry_api::words::BranchState;

use super::chart::Chart;
use super::delivery::Row;
use super::filter::place;
use super::history::HistoryFilter;
use super::line::BranchLine;
use super::{
    Act, Commit, Frame, Moment, Part as _, Prose, Reader, State, Timed, Tone, Words, branch,
};
use crate::page::link::WatchPlace;

/// So many branches are listed; a link leads to all of them.
const LISTED: usize = 50;

/// The page.
#[derive(Debug, Template)]
#[template(path = "watch.html")]
pub(crate) struct WatchPage {
    frame: Frame,
    words: Words,
    name: String,
    route: Option<Route>,
    troubles: Vec<Trouble>,
    waiting: Option<String>,
    lines: Vec<BranchLine>,
    /// Where there are more branches: the text of the link to them.
    more: Option<String>,
    /// What to say where no branch was seen yet.
    empty: String,
    /// The heads of forks that wait for somebody.
    strangers: Vec<Stranger>,
    chart: Option<Chart>,
    filter: HistoryFilter,
    /// What may be chosen for a state: value and word.
    states: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    /// The addresses of the newest and of the older deliveries.
    newest: Option<String>,
    older: Option<String>,
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

/// A watch's answer with what is known beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) status: &'a WatchStatus,
    /// A page of its deliveries, newest first.
    pub(crate) history: &'a History,
    pub(crate) place: Option<&'a WatchPlace>,
    pub(crate) agent: bool,
}

impl WatchPage {
    pub(crate) fn new(
        mut frame: Frame,
        reader: &Reader,
        facts: Facts<'_>,
        filter: HistoryFilter,
    ) -> Self {
        let (words, status) = (reader.words, facts.status);
        let row = |delivery| Row::new(reader, delivery, facts.place);
        let lines = lines(reader, facts);
        frame.worst = lines.first().map_or(Tone::Good, BranchLine::tone);
        let more = status.branches.len().saturating_sub(LISTED);
        let patterns = facts.place.map(|place| place.branches.join(", "));
        Self {
            words,
            name: status.name.clone(),
            route: facts.place.map(Route::new),
            troubles: troubles(reader, status),
            waiting: (status.waiting_triggers > 0)
                .then(|| words.count("requests", status.waiting_triggers)),
            lines,
            more: (more > 0).then(|| words.count("more", more)),
            empty: match patterns {
                Some(patterns) => words.put("branch-none-of", "text", patterns),
                None => words.say("branch-none"),
            },
            strangers: strangers(reader, facts),
            chart: status.pace.as_ref().and_then(|pace| Chart::new(reader, pace)),
            states: HistoryFilter::states(words),
            rows: facts.history.deliveries.iter().map(row).collect(),
            newest: filter.is_later().then(|| filter.address(&status.name, None)),
            older: facts.history.next.as_deref().map(|id| filter.address(&status.name, Some(id))),
            filter,
            suspended: status.suspended,
            branches: status.branches.iter().map(|branch| branch.branch.clone()).collect(),
            keys: Keys { trigger: reader.key("commit"), form: reader.form_token.clone() },
            frame,
        }
    }
}

/// The branches, those that need somebody first, then as they stand on the first page.
fn lines(reader: &Reader, facts: Facts<'_>) -> Vec<BranchLine> {
    let status = facts.status;
    let mut branches: Vec<_> = status.branches.iter().collect();
    branches.sort_by_cached_key(|one| {
        let rank = match branch::tone(one) {
            Tone::Bad => 0,
            Tone::Busy | Tone::Wait => 1,
            Tone::Good => 2,
            Tone::Quiet => 3,
        };
        (rank, place("", &one.branch, branch::since(one)).0, one.branch.clone())
    });
    let source = facts.place.map(|place| &place.source);
    let line = |one| BranchLine::new(reader, status, one, source, facts.agent);
    branches.into_iter().take(LISTED).map(line).collect()
}

/// The head of a fork that nobody approved, with a button for who may.
#[derive(Debug)]
pub(super) struct Stranger {
    number: String,
    text: String,
    head: Commit,
    act: Option<Act>,
}

fn strangers(reader: &Reader, facts: Facts<'_>) -> Vec<Stranger> {
    let status = facts.status;
    let waits = |branch: &&BranchStatus| branch.state == BranchState::WaitsForApproval;
    let stranger = |branch: &BranchStatus| {
        let pull = branch.pull_request.as_ref()?;
        let (number, sha) = (branch.subject.name.clone(), branch.observed.sha.clone());
        let names = [("text", &pull.title), ("by", &pull.author), ("branch", &pull.base)];
        let names = names.map(|(name, text)| (name, text.as_str().into()));
        let about = [("name", number.as_str().into()), ("commit", short(&sha).into())];
        let [label, about] =
            [reader.words.say("act-approve"), reader.words.with("act-approve-about", about)];
        let fields = vec![
            ("number", number.clone()),
            ("revision", sha.clone()),
            ("base", pull.base.clone()),
        ];
        let action = format!("/watches/{}/approve", status.name);
        let act = reader.act(label, about, action, fields).filter(|_| reader.may_approve);
        let head = Commit::new(&sha, facts.place.map(|place| &place.source));
        Some(Stranger { number, text: reader.words.with("stranger", names), head, act })
    };
    status.branches.iter().filter(waits).filter_map(stranger).take(LISTED).collect()
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
    pub(super) text: Option<Prose>,
    pub(super) since: Option<Moment>,
    /// When it ends or is tried again.
    pub(super) next: Option<Timed>,
}

pub(super) fn troubles(reader: &Reader, status: &WatchStatus) -> Vec<Trouble> {
    let trouble = |tone, key, text: Option<&str>| {
        let text = text.map(Prose::of);
        let state = State::new(tone, reader.words.say(key));
        Trouble { state, text, since: None, next: None }
    };
    let moment = |at| Moment::new(reader, at);
    let suspended = status.suspension.as_ref().map(|suspension| Trouble {
        since: Some(moment(suspension.since)),
        next: suspension.until.map(|at| Timed::new(reader, "trouble-ends", at)),
        ..trouble(
            Tone::Wait,
            "trouble-suspended",
            suspended_text(reader.words, suspension).as_deref(),
        )
    });
    let silent = status.unreachable.as_ref().map(|outage| Trouble {
        since: Some(moment(outage.since)),
        next: outage.next.map(|at| Timed::new(reader, "trouble-next", at)),
        ..trouble(Tone::Bad, "trouble-silent", Some(&outage.error))
    });
    let unreported = status.reporting.as_ref();
    let unreported =
        unreported.map(|reporting| trouble(Tone::Wait, "trouble-reports", Some(&reporting.error)));
    let idle = (!status.idle_patterns.is_empty())
        .then(|| trouble(Tone::Wait, "trouble-idle", Some(&status.idle_patterns.join(", "))));
    [silent, suspended, idle, unreported].into_iter().flatten().collect()
}

/// Why it is suspended, and by whom.
fn suspended_text(words: Words, suspension: &SuspensionStatus) -> Option<String> {
    let by = suspension.by.as_ref().map(|by| words.put("ended-by", "by", by));
    let text: Vec<String> = suspension.reason.clone().into_iter().chain(by).collect();
    (!text.is_empty()).then(|| text.join(" · "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::sample;
    use super::*;

    fn page(said: Value) -> WatchPage {
        let status = sample::watch(said);
        let history = History { version: 1, deliveries: Vec::new(), next: None, id_length: 0 };
        let facts = Facts { status: &status, history: &history, place: None, agent: true };
        let frame = Frame::for_reader("qa", "1", &sample::reader());
        WatchPage::new(frame, &sample::reader(), facts, HistoryFilter::default())
    }

    #[test]
    fn what_a_person_should_know_of_a_watch_stands_above_its_branches() {
        let all = page(json!({
            "unreachable": {"since": "2026-01-01T00:08:00Z", "error": "no route", "next": "2026-01-01T00:11:00Z"},
            "suspension": {"since": "2026-01-01T00:05:00Z", "reason": "a freeze", "by": "ada", "until": "2026-01-01T01:10:00Z"},
            "idle_patterns": ["release/*", "v*"],
            "reporting": {"error": "forbidden", "given_up": true},
            "waiting_triggers": 2,
        }));
        let said = |moment: &Option<Moment>| moment.clone().map(|moment| moment.said);
        let timed = |timed: &Option<Timed>| timed.clone().map(|it| it.before + &it.at.said);
        let told: Vec<_> = all
            .troubles
            .iter()
            .map(|t| {
                (
                    t.state.tone,
                    t.state.word.as_str(),
                    t.text.clone().unwrap(),
                    said(&t.since),
                    timed(&t.next),
                )
            })
            .collect();
        let (since, next) =
            (|text: &str| Some(text.to_owned()), |text: &str| Some(text.to_owned()));
        let wanted = [
            (
                Tone::Bad,
                "the forge does not answer",
                Prose::of("no route"),
                since("2 min ago"),
                next("next try in 1 min"),
            ),
            (
                Tone::Wait,
                "suspended",
                Prose::of("a freeze · by ada"),
                since("5 min ago"),
                next("ends in 1 h"),
            ),
            (Tone::Wait, "no branch matches", Prose::of("release/*, v*"), None, None),
            (Tone::Wait, "verdicts are not shown on commits", Prose::of("forbidden"), None, None),
        ];
        assert_eq!(told, wanted);
        assert_eq!(all.waiting.as_deref(), Some("2 requests not picked up yet"));
        let none = page(json!({}));
        assert!(none.troubles.is_empty() && none.waiting.is_none());
    }

    #[test]
    fn branches_that_need_somebody_stand_first_and_more_than_a_page_are_elsewhere() {
        let states = ["baseline", "delivered", "pending", "parked"];
        let branches = states.map(|state| sample::branch(json!({"state": state})));
        let few = page(json!({"branches": branches}));
        let order: Vec<_> = few.lines.iter().map(BranchLine::tone).collect();
        assert_eq!(order, [Tone::Bad, Tone::Wait, Tone::Good, Tone::Quiet]);
        assert_eq!((few.frame.worst, few.more), (Tone::Bad, None));
        let many = page(json!({"branches": vec![sample::branch(json!({})); LISTED + 7]}));
        assert_eq!((many.lines.len(), many.more.as_deref()), (LISTED, Some("Show the rest (7)")));
    }
}
