//! The machine against a small model of what it promises: pushes, deaths, outages, requests, clock jumps and people's
//! changes in any order, without a runtime. A failure is shrunk to the shortest story that still fails, and that story is
//! printed.
//!
//! `PROPTEST_CASES` says how many stories are tried.

mod cancels;
mod cluster;
mod people;
#[path = "../../../../tests/model/reference.rs"]
mod reference;
mod walk;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use proptest::test_runner::Config;
use proptest_state_machine::{StateMachineTest, prop_state_machine};

use self::reference::{Branch, Event, Model};
use self::world::{APPLY, INTERVAL, World};
use super::Input;
use crate::cursor::Passed;
use crate::delivery::{DeliveryState, Reason};
use crate::repo::CommitSha;
use crate::testing::sample;

impl World {
    /// A subject's text.
    pub(super) fn name(&self, branch: Branch) -> &'static str {
        match branch {
            Branch::Main => "main",
            Branch::Dev => self.dev,
        }
    }

    fn happens(&mut self, model: &Model, event: &Event) {
        match *event {
            Event::Push(branch) => drop(self.push(branch)),
            Event::MoveBack(branch, _) => {
                let head = model.head(branch).map(|head| self.commits[head].clone());
                self.heads.insert(branch, head.expect("a head"));
            }
            Event::Delete => drop(self.heads.remove(&Branch::Dev)),
            Event::TheClusterIs(how) => self.cluster_is(how),
            Event::TheForgeIsAway(away) => self.forge_is_away = away,
            Event::DiesAtWrite(n) => self.left = n,
            Event::Restart => {
                self.input(Input::Stop);
                self.wait(INTERVAL.as_secs() + 2);
                self.restart();
            }
            Event::Trigger(key) => self.ask(model.request, key),
            Event::Cancel { nth, by } => self.cancel(nth, by),
            Event::ClockJumps(days) => self.days += days,
            Event::Select { dev } if dev != self.selects_dev => {
                self.selects_dev = dev;
                self.forge_is_away = false;
                self.restart();
                // Until the first poll it is not known what was there before.
                self.wait(5);
            }
            Event::Select { .. } => {}
            Event::Suspend(suspend) => self.suspend(suspend),
            Event::Repair => self.repair(),
            Event::Wait { seconds } => self.wait(seconds),
        }
    }

    /// What holds at any time.
    fn invariants(&self, model: &Model) {
        assert!(self.faults.is_empty(), "{:?}", self.faults);
        let unique: BTreeSet<_> = self.made.iter().collect();
        assert_eq!(
            unique.len(),
            self.made.len(),
            "promise 3: a run was made twice: {:?}",
            self.made
        );
        self.none_goes_on();
        let mut waiting = BTreeSet::new();
        // One whose runs are followed waits for nothing, and holds nothing up.
        let open = self.kept.ledger.open.values();
        for delivery in
            open.filter(|d| d.asked.trigger.is_none() && d.state != DeliveryState::Following)
        {
            let subject = &delivery.revision.subject;
            assert!(waiting.insert(subject), "promise 4: two heads of {subject} wait");
        }
        let parked = self.cursors().find_map(|cursors| cursors.parked.as_ref());
        assert!(model.was_refused || parked.is_none(), "an outage parked a head: {parked:?}");
        for branch in [Branch::Main, Branch::Dev] {
            let heads = model.history.get(&branch).into_iter().flatten();
            let mut heads = heads.map(|commit| &self.commits[*commit]);
            for cursor in self.delivered.get(self.name(branch)).into_iter().flatten() {
                let order = "promise 4: delivered in another order than the heads came";
                assert!(heads.any(|head| head == cursor), "{order}: {:?}", self.delivered);
            }
        }
    }

    /// Everything is well again and has its time.
    fn settle(&mut self) {
        self.forge_is_away = false;
        self.cluster_is(reference::Cluster::Well);
        self.suspend(false);
        self.repair();
        self.restart();
        self.wait(200);
    }

    /// What holds once everything has settled.
    fn outcome(&self, model: &Model) {
        assert!(self.kept.ledger.open.is_empty(), "promise 9: stuck: {:#?}", self.kept.ledger.open);
        for branch in [Branch::Main, Branch::Dev] {
            let name = self.name(branch);
            let state = self.cursors().find(|cursors| cursors.subject.text() == name);
            let delivered = state.and_then(|state| Some(&state.delivered.as_ref()?.sha));
            let owed = model.owed(branch).map(|commit| &self.commits[commit]);
            let passed = state.and_then(|state| state.passed.as_ref());
            // What was cancelled is settled, however often the branch moved away and back.
            let is_cancelled = |sha: &&CommitSha| {
                let is_passed = |p: &Passed| p.reason == Reason::Cancelled && p.mark.sha == **sha;
                passed.is_some_and(is_passed) && self.cancels.has(&sample::subject(name), sha)
            };
            if let Some(sha) = owed.filter(|sha| !is_cancelled(sha)) {
                assert_eq!(delivered, Some(sha), "promise 1: the head of {name} is lost");
                assert!(self.is_complete(name, sha), "promise 1: {name}");
            }
            let is_there = model.head(branch).is_some() && model.selects(branch);
            let followed = state.is_some_and(|state| state.gone.is_none());
            assert_eq!(is_there, followed, "promise 10: {name}: {state:?}");
        }
        self.all_are_answered();
        assert_eq!(self.going_on().next(), None, "a run is left");
        let mut answers = BTreeMap::new();
        for delivery in self.kept.deliveries.values() {
            *answers.entry(delivery.asked.trigger.as_ref()).or_insert(0) += 1;
        }
        for (request, (id, _)) in &self.requests {
            let answers = answers.get(&Some(id)).copied().unwrap_or_default();
            assert_eq!(answers, 1, "promise 6: request {request} has {answers} answers");
        }
    }

    /// However the clock stands, the next push is delivered in time.
    fn next_push(&mut self) {
        let sha = self.push(Branch::Main);
        self.wait(2 * INTERVAL.as_secs() + 2 * APPLY.as_secs());
        assert!(self.is_complete("main", &sha), "promise 16: two intervals went by without a poll");
    }
}

/// With a tag beside the branch, or with two branches.
struct TheMachine<const TAG: bool>;

impl<const TAG: bool> StateMachineTest for TheMachine<TAG> {
    type SystemUnderTest = World;
    type Reference = Model;

    fn init_test(_: &Model) -> World {
        fastrand::seed(1);
        let mut world = World::new(if TAG { reference::TAG } else { reference::DEV });
        world.restart();
        world.wait(5);
        world
    }

    fn apply(mut world: World, model: &Model, event: Event) -> World {
        world.happens(model, &event);
        world.invariants(model);
        world
    }

    fn teardown(mut world: World, model: Model) {
        world.settle();
        world.invariants(&model);
        world.outcome(&model);
        world.next_push();
    }
}

prop_state_machine! {
    #![proptest_config(Config {
        cases: std::env::var("PROPTEST_CASES").map_or(1_000, |n| n.parse().expect("a whole number")),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn whatever_happens_in_whatever_order_the_machine_keeps_what_the_model_promises(
        sequential 1..40 => TheMachine<false>
    );

    #[test]
    fn whatever_happens_to_a_tag_the_machine_keeps_what_the_model_promises(
        sequential 1..40 => TheMachine<true>
    );
}
