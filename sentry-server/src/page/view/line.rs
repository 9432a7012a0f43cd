//! One line for a branch, one for a watch: what stands in lists, and what an event changes.

use askama::Template;
use sentry_api::shape::{BranchStatus, WatchStatus};
use sentry_api::words::BranchState;
use sentry_core::clock::Timestamp;

use super::filter::{Place, place};
use super::{Commit, Moment, Part as _, Prose, Reader, State, Tone, Words, branch, delivery};
use crate::page::link::{Repository, WatchPlace};

/// So much of an error stands in a line, in characters; the whole is on the delivery's page.
const MOST_OF_AN_ERROR: usize = 160;

/// A branch.
#[derive(Debug, Template)]
#[template(path = "part/branch.html")]
pub(crate) struct BranchLine {
    words: Words,
    watch: String,
    branch: String,
    state: State,
    since: Timestamp,
    at: Moment,
    head: Commit,
    /// What its head says of itself: title and author.
    note: Option<String>,
    /// Where its name leads.
    address: String,
    /// What failed, or what comes next of what is in progress.
    said: Option<Prose>,
    next: Option<Moment>,
    /// The idempotency key of its button, for who may press it.
    key: Option<String>,
}

impl BranchLine {
    pub(super) fn new(
        reader: &Reader,
        watch: &WatchStatus,
        status: &BranchStatus,
        source: Option<&Repository>,
        agent: bool,
    ) -> Self {
        let (words, since) = (reader.words, branch::since(status));
        let state = branch::state(words, status);
        let error = status.errors.first().map(|error| beginning(error));
        let said = error.or_else(|| said(words, watch, status, agent));
        let address = match &status.delivery {
            Some(id) => format!("/deliveries/{id}"),
            None => format!("/watches/{}", watch.name),
        };
        let can_be_delivered = ![BranchState::Gone, BranchState::WaitsForApproval]
            .iter()
            .any(|it| status.state == *it);
        let key = (reader.may_act && can_be_delivered)
            .then(|| reader.key(&format!("{}/{}", watch.name, status.branch)));
        Self {
            words,
            watch: watch.name.clone(),
            branch: status.branch.clone(),
            since,
            at: Moment::new(reader, since),
            head: Commit::new(&status.observed.sha, source),
            note: status
                .commit
                .as_ref()
                .map(|commit| format!("{} · {}", commit.title, commit.author)),
            address,
            said: said.as_deref().map(Prose::of),
            next: status.next_attempt.map(|at| Moment::new(reader, at)),
            state,
            key,
        }
    }

    pub(super) fn tone(&self) -> Tone {
        self.state.tone
    }

    pub(super) fn place(&self) -> Place<'_> {
        place(&self.watch, &self.branch, self.since)
    }

    /// The list of the first page that it stands in.
    fn list(&self) -> &'static str {
        match self.state.tone {
            Tone::Bad => "bad",
            Tone::Busy | Tone::Wait => "open",
            Tone::Good | Tone::Quiet => "rest",
        }
    }

    /// What lists are sorted by, the newest first.
    fn millisecond(&self) -> i64 {
        self.since.as_millisecond()
    }

    fn about(&self) -> String {
        let names =
            [("branch", self.branch.as_str().into()), ("watch", self.watch.as_str().into())];
        self.words.with("act-deliver-about", names)
    }
}

/// What there is to say of a branch without an error: how far its runs are, else what comes next; why nothing ran.
fn said(words: Words, watch: &WatchStatus, status: &BranchStatus, agent: bool) -> Option<String> {
    match branch::tone(status) {
        Tone::Busy if status.runs.total > 0 => Some(delivery::runs(words, status.runs)),
        Tone::Busy | Tone::Wait => Some(branch::next(words, watch, status, agent)),
        _ if status.state == BranchState::NothingRan => {
            delivery::nothing_ran(words, status.nothing_ran)
        }
        _ => None,
    }
}

/// The first line of an error, and of that the beginning.
fn beginning(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    match line.char_indices().nth(MOST_OF_AN_ERROR) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// How many branches of a watch stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) bad: usize,
    pub(super) open: usize,
    pub(super) all: usize,
}

impl Counts {
    pub(super) fn of(branches: &[BranchStatus]) -> Self {
        branches.iter().fold(Self::default(), |counts, status| {
            let tone = branch::tone(status);
            counts
                + Self {
                    bad: usize::from(tone == Tone::Bad),
                    open: usize::from(matches!(tone, Tone::Busy | Tone::Wait)),
                    all: 1,
                }
        })
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (bad, open) = (self.bad + other.bad, self.open + other.open);
        Self { bad, open, all: self.all + other.all }
    }
}

/// A watch.
#[derive(Debug, Template)]
#[template(path = "part/line.html")]
pub(crate) struct WatchLine {
    words: Words,
    pub(super) name: String,
    /// From A to B.
    way: Option<String>,
    pub(super) counts: Counts,
    trouble: Option<State>,
    requests: Option<String>,
    strip: Option<Strip>,
    newest: Option<Moment>,
}

impl WatchLine {
    pub(super) fn new(reader: &Reader, status: &WatchStatus, place: Option<&WatchPlace>) -> Self {
        let words = reader.words;
        let newest = status.branches.iter().map(branch::since).max();
        let trouble = super::watch::troubles(reader, status).into_iter().next();
        Self {
            words,
            name: status.name.clone(),
            way: place.map(|place| format!("{} → {}", place.source.path, place.manifests.path)),
            counts: Counts::of(&status.branches),
            trouble: trouble.map(|trouble| trouble.state),
            requests: (status.waiting_triggers > 0)
                .then(|| words.count("requests", status.waiting_triggers)),
            strip: Strip::new(words, status),
            newest: newest.map(|at| Moment::new(reader, at)),
        }
    }

    fn bad(&self) -> String {
        self.words.count("count-bad", self.counts.bad)
    }

    fn open(&self) -> String {
        self.words.count("count-open", self.counts.open)
    }

    fn all(&self) -> String {
        match self.counts.all {
            0 => self.words.say("branch-none"),
            all => self.words.count("count-branches", all),
        }
    }
}

/// The newest deliveries of a watch, the newest on the right: failures are higher, what is in progress lower.
#[derive(Debug, PartialEq, Eq)]
struct Strip {
    about: String,
    fine: String,
    bad: String,
}

impl Strip {
    /// So many are drawn.
    const MOST: usize = 12;

    fn new(words: Words, status: &WatchStatus) -> Option<Self> {
        let recent = status.recent.get(..Self::MOST).unwrap_or(&status.recent);
        if recent.is_empty() {
            return None;
        }
        let (mut fine, mut bad, mut failed) = (String::new(), String::new(), 0);
        for (n, state) in recent.iter().enumerate() {
            let x = 2 + 5 * (Self::MOST - 1 - n);
            match delivery::tone(*state) {
                Tone::Bad => {
                    failed += 1;
                    bad.push_str(&format!("M{x} 1v14"));
                }
                Tone::Busy | Tone::Wait => fine.push_str(&format!("M{x} 12v3")),
                Tone::Good | Tone::Quiet => fine.push_str(&format!("M{x} 7v8")),
            }
        }
        let numbers = [("n", recent.len().into()), ("failed", failed.into())];
        Some(Self { about: words.with("strip", numbers), fine, bad })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::sample;
    use super::*;

    fn line(said: Value) -> BranchLine {
        let (watch, branch) = (sample::watch(json!({})), sample::branch(said));
        BranchLine::new(&sample::reader(), &watch, &branch, None, true)
    }

    #[test]
    fn a_line_says_what_failed_or_what_comes_next_and_leads_to_the_delivery() {
        let said = |text: &str| Some(Prose::of(text));
        let failed = json!({"state": "parked", "errors": ["refused\nby the API server"], "delivery": "01k9"});
        let failed = line(failed);
        assert_eq!((&failed.said, failed.list()), (&said("refused"), "bad"));
        assert_eq!(failed.address, "/deliveries/01k9");
        let moving = line(json!({"state": "pending"}));
        assert_eq!((&moving.said, moving.list()), (&said("waits for its turn"), "open"));
        let totals = json!({"total": 5, "running": 2, "succeeded": 2, "failed": 1});
        let running = line(json!({"state": "delivering", "runs": totals}));
        assert_eq!(running.said, said("1 failed, 2 in progress, 2 succeeded"));
        let nothing = line(json!({"state": "nothing_ran", "nothing_ran": "no file"}));
        assert_eq!(nothing.said, said("there is no file"));
        assert_eq!(moving.address, "/watches/qa");
        let well = line(json!({"verdict": "success"}));
        assert_eq!((&well.said, well.list()), (&None, "rest"));
        assert!(line(json!({"state": "gone"})).key.is_none() && well.key.is_some());
        let long = beginning(&"é".repeat(200));
        assert_eq!(long.chars().count(), MOST_OF_AN_ERROR + 1);
    }

    #[test]
    fn a_strip_shows_the_newest_on_the_right_and_failures_higher() {
        let of = |states: &[&str]| {
            Strip::new(Words::default(), &sample::watch(json!({"recent": states})))
        };
        assert_eq!(of(&[]), None);
        let strip = of(&["failed", "succeeded", "following"]).unwrap();
        assert_eq!(strip.about, "The newest 3 deliveries, 1 failed");
        assert_eq!((strip.bad.as_str(), strip.fine.as_str()), ("M57 1v14", "M52 7v8M47 12v3"));
        let full = of(&["succeeded"; 40]).unwrap();
        assert!(full.fine.ends_with("M2 7v8") && full.bad.is_empty(), "{}", full.fine);
    }

    #[test]
    fn a_watch_says_what_is_wrong_with_it_before_it_counts() {
        let states = ["parked", "pending", "delivering", "delivered"];
        let branches = states.map(|state| sample::branch(json!({"state": state})));
        let said = json!({"branches": branches, "idle_patterns": ["v*"], "waiting_triggers": 2});
        let line = WatchLine::new(&sample::reader(), &sample::watch(said), None);
        assert_eq!(line.counts, Counts { bad: 1, open: 2, all: 4 });
        let text = line.render().unwrap();
        let counts = text.split("counts\">").nth(1).unwrap().split("</span>").next().unwrap();
        let wanted = "<b class=\"wait\">no branch matches</b> <b class=\"bad\">1 failed</b> 2 in progress · 2 requests not picked up yet · 4 branches";
        assert_eq!(counts, wanted);
    }
}
