//! One fault at a time, of any kind, with some calm between two.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sentry_tests::http::Fault;

use crate::Dice;
use crate::town::Town;

pub(crate) struct Weather {
    /// When the present spell ends, and whether it is a bad one.
    until: Instant,
    bad: bool,
    seen: BTreeMap<&'static str, usize>,
}

const KINDS: [&str; 12] = [
    "API server away",
    "API server answers 503",
    "API server answers 429",
    "lost answers of writes",
    "dropped writes",
    "watches cut",
    "forge away",
    "git server away",
    "forge answers 500",
    "forge answers a sign-in page",
    "forge answers garbage",
    "forge answers are truncated",
];

impl Weather {
    pub(crate) fn fair() -> Self {
        Self { until: Instant::now(), bad: false, seen: BTreeMap::new() }
    }

    /// Ends the present spell when its time has come, and begins the next one.
    pub(crate) fn pass(&mut self, town: &Town, dice: &mut Dice) {
        if Instant::now() < self.until {
            return;
        }
        let seconds = if self.bad {
            self.clear(town);
            5 + dice.below(10)
        } else {
            let kind = KINDS[dice.below(KINDS.len())];
            strike(kind, town, dice);
            *self.seen.entry(kind).or_default() += 1;
            2 + dice.below(6)
        };
        self.bad = !self.bad;
        self.until = Instant::now() + Duration::from_secs(seconds as u64);
    }

    /// Everything is well.
    pub(crate) fn clear(&self, town: &Town) {
        town.cluster.faults().heal();
        town.cluster.resume();
        for http in [town.git.http(), town.hub.http(), town.lab.http()] {
            http.faults().clear();
            http.resume();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.values().sum()
    }

    pub(crate) fn kinds(&self) -> String {
        let kinds: Vec<_> =
            self.seen.iter().map(|(kind, times)| format!("{times} {kind}")).collect();
        kinds.join(", ")
    }
}

fn strike(kind: &str, town: &Town, dice: &mut Dice) {
    let faults = town.cluster.faults();
    let forge = if dice.below(2) == 0 { town.hub.http() } else { town.lab.http() };
    match kind {
        "API server away" => town.cluster.pause(),
        "API server answers 503" => faults.answer_all(503, None),
        "API server answers 429" => faults.answer_all(429, Some(1)),
        "lost answers of writes" => (1..4).for_each(|n| faults.lose_response_of_write(n * 2)),
        "dropped writes" => faults.drop_writes_after(dice.below(3)),
        "watches cut" => town.cluster.cut_watches(),
        "forge away" => forge.pause(),
        "git server away" => town.git.http().pause(),
        "forge answers 500" => forge.faults().until_cleared("", Fault::status(500)),
        "forge answers a sign-in page" => forge.faults().until_cleared("", Fault::Html),
        "forge answers garbage" => forge.faults().until_cleared("", Fault::Garbage),
        "forge answers are truncated" => forge.faults().until_cleared("", Fault::Truncated),
        other => unreachable!("no such fault: {other}"),
    }
}
