//! The first page: what needs somebody, what is in progress, and every watch on one line; or what a filter finds.

use std::cmp::Reverse;

use askama::Template;
use sentry_api::shape::{BranchStatus, Status, WatchStatus};

use super::filter::{Filter, STATES, place};
use super::line::{BranchLine, Counts, WatchLine};
use super::watch::{Trouble, troubles};
use super::{Frame, Part as _, Reader, Tone, Words, branch, sums};
use crate::page::link::WatchPlace;

/// So many branches stand in a list; a link leads to the rest.
const LISTED: usize = 50;
/// Up to so many branches in all, each is shown below its watch.
const FEW: usize = 60;
/// So many watches that share a trouble are named.
const NAMED: usize = 3;

/// The page.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub(crate) struct Home {
    frame: Frame,
    words: Words,
    headline: String,
    /// What the headline says once nothing needs somebody.
    calm: String,
    sums: String,
    queue: Vec<String>,
    troubles: Vec<Shared>,
    filter: Filter,
    /// What may be chosen for a state: value and word.
    states: Vec<(&'static str, String)>,
    lists: Vec<List>,
    watches: Vec<WatchEntry>,
    /// Whether the branches that are in no list stand below their watch.
    unfolded: bool,
    form_token: Option<String>,
}

/// A trouble, and whose it is.
#[derive(Debug)]
struct Shared {
    trouble: Trouble,
    watches: Vec<String>,
}

impl Shared {
    fn names(&self) -> String {
        let more = self.watches.len().saturating_sub(NAMED);
        let names = self.watches.iter().take(NAMED).cloned();
        let more = (more > 0).then(|| format!("+{more}"));
        names.chain(more).collect::<Vec<_>>().join(", ")
    }
}

/// Branches below a heading.
#[derive(Debug)]
struct List {
    /// Its name: what its element and its lines are found by.
    name: &'static str,
    heading: String,
    lines: Vec<BranchLine>,
    /// Where there are more of them: the address and its text.
    more: Option<(String, String)>,
}

/// A watch in the list of all.
#[derive(Debug)]
struct WatchEntry {
    line: WatchLine,
    lines: Vec<BranchLine>,
    /// Why nothing is there yet, where no branch was seen.
    empty: Option<String>,
}

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) status: &'a Status,
    pub(crate) places: &'a [WatchPlace],
}

/// A branch with its watch.
type Found<'a> = (&'a WatchStatus, &'a BranchStatus);

impl<'a> Facts<'a> {
    fn place(self, watch: &str) -> Option<&'a WatchPlace> {
        self.places.iter().find(|place| place.name == watch)
    }

    fn line(self, (watch, branch): Found<'_>) -> BranchLine {
        let agent = self.status.agent.as_ref().is_some_and(|agent| agent.healthy);
        let source = self.place(&watch.name).map(|place| &place.source);
        BranchLine::new(self.reader, watch, branch, source, agent)
    }

    /// The branches that a filter selects, the newest first.
    fn found(self, filter: &Filter) -> Vec<Found<'a>> {
        let all = self
            .status
            .watches
            .iter()
            .flat_map(|watch| watch.branches.iter().map(move |branch| (watch, branch)));
        let mut found: Vec<Found<'a>> =
            all.filter(|(watch, branch)| filter.selects(&watch.name, branch)).collect();
        let place =
            |found: &Found<'a>| place(&found.0.name, &found.1.branch, branch::since(found.1));
        found.sort_by(|a, b| place(a).cmp(&place(b)));
        found
    }

    /// A page of a list.
    fn list(self, name: &'static str, heading: impl Fn(usize) -> String, filter: &Filter) -> List {
        let found = self.found(filter);
        let all = found.len();
        let after = filter.after();
        let from = after.map_or(0, |after| {
            found.partition_point(|(watch, branch)| {
                place(&watch.name, &branch.branch, branch::since(branch)) <= after
            })
        });
        let rest = found.get(from..).unwrap_or_default();
        let lines: Vec<_> = rest.iter().take(LISTED).map(|found| self.line(*found)).collect();
        let more = lines.last().filter(|_| rest.len() > LISTED).map(|last| {
            let left = rest.len() - LISTED;
            (filter.address(Some(last.place())), self.reader.words.count("more", left))
        });
        List { name, heading: heading(all), lines, more }
    }

    fn entry(self, watch: &WatchStatus, unfolded: bool) -> WatchEntry {
        let (words, place) = (self.reader.words, self.place(&watch.name));
        let rest =
            |branch: &&BranchStatus| matches!(branch::tone(branch), Tone::Good | Tone::Quiet);
        let mut lines = Vec::new();
        if unfolded {
            lines.extend(
                watch.branches.iter().filter(rest).map(|branch| self.line((watch, branch))),
            );
            lines.sort_by(|a, b| a.place().cmp(&b.place()));
        }
        let empty = (unfolded && watch.branches.is_empty()).then(|| match place {
            Some(place) => words.put("branch-none-of", "text", place.branches.join(", ")),
            None => words.say("branch-none"),
        });
        WatchEntry { line: WatchLine::new(self.reader, watch, place), lines, empty }
    }

    fn troubles(self) -> Vec<Shared> {
        let mut found: Vec<Shared> = Vec::new();
        for watch in &self.status.watches {
            for trouble in troubles(self.reader, watch) {
                let is_same = |known: &&mut Shared| {
                    (&known.trouble.state, &known.trouble.text) == (&trouble.state, &trouble.text)
                };
                match found.iter_mut().find(is_same) {
                    Some(known) => known.watches.push(watch.name.clone()),
                    None => found.push(Shared { trouble, watches: vec![watch.name.clone()] }),
                }
            }
        }
        found.sort_by_key(|shared| {
            (shared.trouble.state.tone != Tone::Bad, Reverse(shared.watches.len()))
        });
        found
    }
}

impl Home {
    pub(crate) fn new(mut frame: Frame, facts: Facts<'_>, filter: Filter) -> Self {
        let Facts { reader, status, .. } = facts;
        let words = reader.words;
        let sum = status.watches.iter().map(|watch| Counts::of(&watch.branches));
        let sum = sum.fold(Counts::default(), |all, one| all + one);
        let troubles = facts.troubles();
        let calm = calm(status, &troubles, sum);
        let headline = match sum {
            Counts { bad: n @ 1.., .. } => words.count("needs-you", n),
            Counts { open: n @ 1.., .. } => words.count("under-way", n),
            _ => words.say(calm),
        };
        frame.title.clone_from(&headline);
        frame.worst = worst(&troubles, sum);
        let unfolded = sum.all <= FEW;
        let is_filtered = !filter.is_empty();
        let lists = if is_filtered {
            vec![facts.list("found", |n| words.count("section-found", n), &filter)]
        } else {
            sections()
                .map(|(name, key, filter)| facts.list(name, |_| words.say(key), &filter))
                .into()
        };
        let shown = status.watches.iter().filter(|_| !is_filtered);
        let form_token = reader.may_act.then(|| reader.form_token.clone());
        Self {
            words,
            headline,
            calm: words.say(calm),
            sums: sums(words, [status.watches.len(), sum.all, sum.open]),
            queue: queue(words, status),
            troubles,
            states: states(words),
            filter,
            lists,
            watches: shown.map(|watch| facts.entry(watch, unfolded)).collect(),
            unfolded,
            form_token,
            frame,
        }
    }

    fn is_filtered(&self) -> bool {
        !self.filter.is_empty()
    }
}

/// The lists of a page without a filter: name, heading, and what stands in it.
fn sections() -> [(&'static str, &'static str, Filter); 2] {
    [
        ("bad", "section-bad", Filter::of("state=failed")),
        ("open", "section-open", Filter::of("state=moving,waiting")),
    ]
}

/// What may be chosen for a state.
fn states(words: Words) -> Vec<(&'static str, String)> {
    let word = |tone| {
        words.say(match tone {
            Tone::Bad => "tone-bad",
            Tone::Busy => "tone-busy",
            Tone::Wait => "tone-wait",
            Tone::Good => "tone-good",
            Tone::Quiet => "tone-quiet",
        })
    };
    let any = [("", words.say("filter-any")), ("moving,waiting", words.say("filter-open"))];
    any.into_iter().chain(STATES.map(|(tone, name)| (name, word(tone)))).collect()
}

fn queue(words: Words, status: &Status) -> Vec<String> {
    let line = |queue: &sentry_api::shape::QueueStatus| {
        let unknown = || words.say("no-namespace");
        let namespace = queue.namespace.clone().unwrap_or_else(unknown);
        words.with("queue", [("n", queue.runs.into()), ("namespace", namespace.into())])
    };
    status.queue.iter().map(line).collect()
}

/// The headline where no branch needs somebody or is in progress.
fn calm(status: &Status, troubles: &[Shared], sum: Counts) -> &'static str {
    if status.watches.is_empty() {
        "no-watch"
    } else if troubles.iter().any(|shared| shared.trouble.state.tone == Tone::Bad) {
        "forge-silent"
    } else if sum.all == 0 {
        "first-poll"
    } else {
        "all-delivered"
    }
}

fn worst(troubles: &[Shared], sum: Counts) -> Tone {
    let silent = troubles.iter().any(|shared| shared.trouble.state.tone == Tone::Bad);
    match sum {
        Counts { bad: 1.., .. } => Tone::Bad,
        _ if silent => Tone::Bad,
        Counts { open: 1.., .. } => Tone::Busy,
        _ => Tone::Good,
    }
}

/// What an event changed: the lines of some branches of a watch, and the watch's own.
#[derive(Debug, Template)]
#[template(path = "fragments.html")]
pub(crate) struct Fragments {
    watch: WatchLine,
    lines: Vec<BranchLine>,
}

impl Fragments {
    /// `None` where the status has no such watch.
    pub(crate) fn new(facts: Facts<'_>, branches: &[&str]) -> Option<Self> {
        let watch = facts.status.watches.first()?;
        let wanted = watch.branches.iter().filter(|b| branches.contains(&b.branch.as_str()));
        let line = WatchLine::new(facts.reader, watch, facts.place(&watch.name));
        Some(Self {
            watch: line,
            lines: wanted.map(|branch| facts.line((watch, branch))).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
