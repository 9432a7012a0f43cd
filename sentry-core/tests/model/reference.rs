//! What Sentry promises about heads, as a small model: what there is on the forge, and what is owed for it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

/// The watch always selects `main`; the other one only with its wide selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Branch {
    Main,
    /// A branch or a tag, as the story has it.
    Dev,
}

/// What the other subject of a story is, by its text.
pub(crate) const DEV: &str = "dev";
/// In a story of tags.
pub(crate) const TAG: &str = "refs/tags/v1";

/// How the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cluster {
    Well,
    Away,
    /// It refuses one of the objects.
    Refusing,
}

/// What may happen, in any order.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A new commit; a branch that is not there is created.
    Push(Branch),
    /// The branch is moved to a head that it had before.
    MoveBack(Branch, usize),
    /// `dev` is deleted; `main` always exists.
    Delete,
    TheClusterIs(Cluster),
    TheForgeIsAway(bool),
    /// The agent dies before (or after) it wrote its state so many times.
    DiesAtWrite(usize),
    /// A dead agent, or a living one, is killed and started.
    Restart,
    /// A person's request for `main`; those with the same key are the same.
    Trigger(Option<u8>),
    /// One of two people cancels a delivery that goes on, picked by the number; the last one where none does.
    Cancel {
        nth: usize,
        by: &'static str,
    },
    /// The wall clock jumps by so many days.
    ClockJumps(i64),
    /// A person edits the configuration and restarts: the selector with `dev`, or without.
    Select {
        dev: bool,
    },
    Suspend(bool),
    /// A person repairs the tests in B.
    Repair,
    Wait {
        seconds: u64,
    },
}

/// The world, and what Sentry owes.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// The commits, by number, that each branch pointed at, in order; the last one is its head.
    pub(crate) history: BTreeMap<Branch, Vec<usize>>,
    pub(crate) commits: usize,
    pub(crate) is_deleted: bool,
    /// Heads that were there at first sight: nothing is owed for them.
    pub(crate) baseline: BTreeMap<Branch, usize>,
    pub(crate) selects_dev: bool,
    pub(crate) is_suspended: bool,
    /// Whether the cluster ever refused anything: only then may a head be given up.
    pub(crate) was_refused: bool,
    /// The request that each remembered key stands for, and the number of requests so far.
    pub(crate) keys: BTreeMap<u8, usize>,
    pub(crate) requests: usize,
    /// The request that was asked for last.
    pub(crate) request: usize,
}

impl Model {
    /// The commit that must be delivered in the end; `None` where nothing must be.
    pub(crate) fn owed(&self, branch: Branch) -> Option<usize> {
        let head = self.head(branch).filter(|_| self.selects(branch))?;
        (self.baseline.get(&branch) != Some(&head)).then_some(head)
    }

    pub(crate) fn head(&self, branch: Branch) -> Option<usize> {
        let is_there = branch == Branch::Main || !self.is_deleted;
        self.history.get(&branch)?.last().copied().filter(|_| is_there)
    }

    pub(crate) fn selects(&self, branch: Branch) -> bool {
        branch == Branch::Main || self.selects_dev
    }

    fn moves(&mut self, branch: Branch, commit: usize) {
        self.history.entry(branch).or_default().push(commit);
        self.is_deleted &= branch == Branch::Main;
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Event;

    /// `main` has one commit, which the agent has seen.
    fn init_state() -> BoxedStrategy<Self> {
        Just(Self {
            history: BTreeMap::from([(Branch::Main, vec![0])]),
            commits: 1,
            is_deleted: true,
            baseline: BTreeMap::from([(Branch::Main, 0)]),
            selects_dev: true,
            is_suspended: false,
            was_refused: false,
            keys: BTreeMap::new(),
            requests: 0,
            request: 0,
        })
        .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Event> {
        let branch = || prop_oneof![2 => Just(Branch::Main), 1 => Just(Branch::Dev)];
        let cluster =
            prop_oneof![Just(Cluster::Well), Just(Cluster::Away), Just(Cluster::Refusing)];
        let days = prop::sample::select(vec![1, -1, 3652, -3652]);
        prop_oneof![
            6 => branch().prop_map(Event::Push),
            3 => (branch(), 0..4_usize).prop_map(|(branch, n)| Event::MoveBack(branch, n)),
            1 => Just(Event::Delete),
            2 => cluster.prop_map(Event::TheClusterIs),
            1 => any::<bool>().prop_map(Event::TheForgeIsAway),
            3 => (0..16_usize).prop_map(Event::DiesAtWrite),
            3 => Just(Event::Restart),
            2 => prop::option::of(0..2_u8).prop_map(Event::Trigger),
            2 => (0..4_usize, prop::sample::select(vec!["ops", "qa"]))
                .prop_map(|(nth, by)| Event::Cancel { nth, by }),
            1 => days.prop_map(Event::ClockJumps),
            1 => any::<bool>().prop_map(|dev| Event::Select { dev }),
            1 => any::<bool>().prop_map(Event::Suspend),
            1 => Just(Event::Repair),
            8 => (0..100_u64).prop_map(|seconds| Event::Wait { seconds }),
        ]
        .boxed()
    }

    fn preconditions(state: &Self, event: &Event) -> bool {
        match event {
            Event::MoveBack(branch, _) => state.history.contains_key(branch),
            Event::Delete => !state.is_deleted,
            _ => true,
        }
    }

    fn apply(mut state: Self, event: &Event) -> Self {
        match event {
            Event::Push(branch) => {
                state.moves(*branch, state.commits);
                state.commits += 1;
            }
            Event::MoveBack(branch, n) => {
                let earlier = &state.history[branch];
                let commit = earlier[n % earlier.len()];
                state.moves(*branch, commit);
            }
            Event::Delete => state.is_deleted = true,
            Event::TheClusterIs(how) => state.was_refused |= *how == Cluster::Refusing,
            Event::Trigger(key) => {
                let new = state.requests;
                state.request = key.map_or(new, |key| *state.keys.entry(key).or_insert(new));
                state.requests += usize::from(state.request == new);
            }
            // Answered requests are remembered for 90 days.
            Event::ClockJumps(days) if *days > 90 => state.keys.clear(),
            Event::Select { dev } => {
                if state.selects_dev != *dev {
                    state.baseline.remove(&Branch::Dev);
                    state.selects_dev = *dev;
                    let head = state.head(Branch::Dev).filter(|_| *dev);
                    state.baseline.extend(head.map(|head| (Branch::Dev, head)));
                }
            }
            Event::Suspend(suspend) => state.is_suspended = *suspend,
            Event::ClockJumps(_)
            | Event::TheForgeIsAway(_)
            | Event::DiesAtWrite(_)
            | Event::Restart
            | Event::Repair
            | Event::Cancel { .. }
            | Event::Wait { .. } => {}
        }
        state
    }
}
