//! 45: three agents share a state in a real PostgreSQL. One after the other is killed, stands still, or loses its link to the
//! database: the others take over, no head is lost, no run is made twice, nothing older is written over what is newer, and what
//! stands on each commit in the end is its verdict. What the cluster and the forge received judges.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sentry_tests::crew::{Crew, Member};
use sentry_tests::postgres::Server;
use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::proxy::Link;
use sentry_tests::sandbox::Agent;

/// From the moment that an owner is gone until the newest head of each branch has all its runs.
const TAKEN_OVER: AtMost = AtMost::seconds(20.0);
const WATCHES: usize = 6;
/// So many cases one cluster sees: what it holds is looked through again and again.
const CASES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(180);

/// Three agents and what becomes of them.
pub(crate) struct Story {
    pub(crate) crew: Crew,
    members: Vec<Member>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) random: fastrand::Rng,
    slowest: Duration,
    heads: usize,
}

impl Story {
    pub(crate) fn begin(seed: u64) -> Self {
        Self::with(Crew::new(WATCHES), seed)
    }

    /// One whose database is on a server of its own.
    pub(crate) fn on(server: &Arc<Server>, seed: u64) -> Self {
        Self::with(Crew::on(server, WATCHES), seed)
    }

    fn with(crew: Crew, seed: u64) -> Self {
        let members: Vec<Member> = ["one", "two", "three"].map(|name| crew.member(name)).into();
        let agents = members.iter().map(|member| crew.start(member)).collect();
        crew.until_seen();
        let random = fastrand::Rng::with_seed(seed);
        Self { crew, members, agents, random, slowest: Duration::ZERO, heads: 0 }
    }

    pub(crate) fn push(&mut self) {
        self.crew.branches().for_each(|branch| self.crew.push(&branch));
        self.heads += WATCHES;
    }

    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_true(self) {
            let logs =
                || self.agents.iter().map(Agent::stderr_so_far).collect::<Vec<_>>().join("\n");
            assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}\n{}", logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The agent that owns the most slots now.
    pub(crate) fn victim(&self) -> usize {
        self.wait("all slots have an owner", |story| story.crew.unowned() == 0);
        let owned = |n: &usize| self.crew.slots_of(self.agents[*n].id());
        (0..self.agents.len()).max_by_key(owned).unwrap()
    }

    /// A push to each branch at the moment that an owner is gone: how long until all is delivered.
    fn taken_over(&mut self, what: &str) {
        let gone = Instant::now();
        self.push();
        self.wait("the others take over", |story| story.crew.is_delivered());
        let took = gone.elapsed();
        TAKEN_OVER.hold_time(what, took);
        self.slowest = self.slowest.max(took);
    }

    /// Once nothing is under way: what everybody received.
    pub(crate) fn judge(&mut self) {
        self.push();
        self.wait("each head is delivered", |story| story.crew.is_delivered());
        self.wait("each verdict is shown", |story| story.crew.is_reported());
        assert_eq!((self.crew.doubled(), self.crew.older_after_newer()), (0, 0));
    }

    fn kill(&mut self) {
        let victim = self.victim();
        self.agents.remove(victim).kill9();
        self.taken_over("a kill");
        self.agents.insert(victim, self.crew.start(&self.members[victim]));
    }

    pub(crate) fn freeze(&mut self, victim: usize, span: Duration) {
        let stopped = Instant::now();
        self.agents[victim].signal(Signal::STOP);
        self.taken_over("a stop");
        std::thread::sleep(span.saturating_sub(stopped.elapsed()));
        self.agents[victim].signal(Signal::CONT);
    }

    fn cut(&mut self, span: Duration, half_open_after: Option<usize>) {
        let victim = self.victim();
        let begun = Instant::now();
        match half_open_after {
            Some(bytes) => self.members[victim].link.turn(Link::HalfOpenAfter(bytes)),
            None => self.members[victim].link.refuse(),
        }
        self.taken_over("a cut link");
        std::thread::sleep(span.saturating_sub(begun.elapsed()));
        match half_open_after {
            Some(_) => self.members[victim].link.turn(Link::Fine),
            None => self.members[victim].link.accept(),
        }
    }

    /// All of them end in order; how many heads there were, and the slowest takeover.
    pub(crate) fn end(self) -> (usize, Duration) {
        for agent in self.agents {
            let ended = agent.term();
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
        (self.heads, self.slowest)
    }
}

/// Tells so many cases, some by each crew; what was seen of them.
fn stories(all: usize, case: impl Fn(&mut Story, usize)) -> String {
    let (mut heads, mut slowest) = (0, Duration::ZERO);
    for first in (0..all).step_by(CASES) {
        let mut story = Story::begin(u64::try_from(first).unwrap());
        for n in first..all.min(first + CASES) {
            case(&mut story, n);
            story.judge();
        }
        let (pushed, took) = story.end();
        heads += pushed;
        slowest = slowest.max(took);
    }
    format!(
        "{heads} heads of {WATCHES} branches: 0 lost, 0 runs doubled, 0 older objects after newer, each last status its verdict; \
         taken over in {}",
        TAKEN_OVER.told_time(slowest)
    )
}

#[test]
fn an_agent_that_is_killed_is_taken_over_from() {
    let all = cases(500, 1);
    let seen = stories(all, |story, _| story.kill());
    kept(45, "killed", &format!("{all} kill -9 of the one that owns most; {seen}"));
}

#[test]
fn an_agent_that_stands_still_is_taken_over_from_and_harms_nothing_when_it_goes_on() {
    let all = cases(200, 1);
    let seen = stories(all, |story, _| {
        let span = if all == 1 { 15 } else { story.random.u64(1..=120) };
        let victim = story.victim();
        story.freeze(victim, Duration::from_secs(span));
    });
    kept(45, "frozen", &format!("{all} SIGSTOP of 1 s to 120 s; {seen}"));
}

#[test]
fn an_agent_whose_link_to_the_database_is_cut_is_taken_over_from() {
    let all = cases(200, 1);
    let seen = stories(all, |story, n| {
        let span = Duration::from_secs(story.random.u64(1..=60));
        // Each new connection gets so far: not to the end of a renewal.
        let half_open = (n % 2 == 1).then(|| story.random.usize(0..600));
        story.cut(span.min(Duration::from_secs(if all == 1 { 15 } else { 60 })), half_open);
    });
    kept(45, "cut off", &format!("{all} links to the database cut, each second half-open; {seen}"));
}
