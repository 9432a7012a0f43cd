//! 1: kill -9 of the real process: at its state writes, at the start and the end of its children, and at random times.
//!
//! After each death it is started again, killed once more while it recovers, and then left to finish. What became of
//! it is judged by what the API server holds, never by what Sentry says about itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::road::{PIPELINE, Road, TASK};
use sentry_tests::strace::Strace;

/// Both runs carry the commit and the document that they stand for.
const RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {NAME, labels: {document: DOCUMENT}}\n\
                   spec: {pipelineRef: {name: suite}, params: [{name: sha, value: '{{ revision }}'}]}\n";
const DOCUMENTS: [(&str, &str); 2] =
    [("first", "name: nightly"), ("second", "generateName: smoke-")];

/// How long an agent that is left alone may take for the newest head, whatever a death left.
const RECOVERY: AtMost = AtMost::seconds(60.0);
/// So long a pass waits for a run of an older head that may have been sent before a death.
const TIMEOUT: &str = "timeout: 20";

/// What the process is doing when it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    StateWrite,
    StateSync,
    BeforeChild,
    ChildStarted,
    ChildEnded,
    AnyTime,
}

const MOMENTS: [Moment; 6] = [
    Moment::StateWrite,
    Moment::StateSync,
    Moment::BeforeChild,
    Moment::ChildStarted,
    Moment::ChildEnded,
    Moment::AnyTime,
];

impl Moment {
    /// The system calls that mark it. Only SQLite writes by offset and syncs; a child is started by `clone3` with
    /// `posix_spawn`, as a thread is, else by one of the others; the runtime asks for a handle of a child that it has just
    /// started, and waits for one that has ended.
    fn calls(self) -> &'static str {
        match self {
            Self::StateWrite => "pwrite64",
            Self::StateSync => "fsync,fdatasync",
            Self::BeforeChild => "clone,?clone3,?vfork",
            Self::ChildStarted => "pidfd_open",
            Self::ChildEnded => "wait4,waitid",
            Self::AnyTime => "none",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::StateWrite => "at state writes",
            Self::StateSync => "at state syncs",
            Self::BeforeChild => "before a child starts",
            Self::ChildStarted => "after a child started",
            Self::ChildEnded => "at a child's end",
            Self::AnyTime => "at random times",
        }
    }
}

/// The n-th call of a moment in one thread; for [`Moment::AnyTime`] milliseconds after the start.
type Point = (Moment, usize);

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// A road, what was pushed to it, and how often its agent died.
struct Story {
    road: Road,
    dice: Dice,
    /// How many of a moment's calls one thread makes in a cycle; the milliseconds that two cycles take.
    reach: BTreeMap<Moment, usize>,
    deaths: BTreeMap<Moment, usize>,
    /// How many deaths left 0, 1 and 2 runs of the newest head on the cluster.
    left: [usize; 3],
    pushed: Vec<String>,
    /// The heads that stood until they were settled: these must not be lost.
    stood: Vec<String>,
    /// The longest that an agent, left alone after a death, took to deliver the newest head.
    slowest: Duration,
}

impl Story {
    fn begin() -> Self {
        let runs =
            DOCUMENTS.map(|(label, name)| RUN.replace("DOCUMENT", label).replace("NAME", name));
        let tree = [
            (".tekton/a.yaml", &*runs[0]),
            (".tekton/b.yaml", &*runs[1]),
            (".tekton/p.yaml", PIPELINE),
            (".tekton/t.yaml", TASK),
        ];
        let road = Road::with(&tree);
        road.configure_with("branches: [main], tags: 'v*'", TIMEOUT);
        assert_eq!(road.once().code, Some(0));
        Self {
            road,
            dice: Dice(7),
            reach: BTreeMap::new(),
            deaths: MOMENTS.map(|moment| (moment, 0)).into(),
            left: [0; 3],
            pushed: Vec::new(),
            stood: Vec::new(),
            slowest: Duration::ZERO,
        }
    }

    /// Looks at undisturbed cycles.
    fn measure(&mut self) {
        for moment in MOMENTS.into_iter().filter(|moment| *moment != Moment::AnyTime) {
            self.push();
            let strace = Strace::of_the_program(moment.calls());
            let output = self.road.sandbox.spawn_under(&strace, ["watch", "--once"]).wait();
            assert_eq!(output.code, Some(0), "{output:?}");
            let mut threads = BTreeMap::<String, usize>::new();
            for line in strace.lines().iter().filter(|line| line.contains('(')) {
                *threads.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
            }
            let most = threads.into_values().max().unwrap_or(0);
            assert!(most > 0, "no {}: are these still the calls that mark it?", moment.name());
            self.reach.insert(moment, most);
            self.settle();
        }
        self.push();
        let began = Instant::now();
        self.settle();
        let cycle = usize::try_from(began.elapsed().as_millis()).unwrap();
        self.reach.insert(Moment::AnyTime, cycle * 2);
    }

    /// Two heads of `main` to each new tag. No later head takes a tag's place.
    fn push(&mut self) {
        let n = self.pushed.len();
        if n % 3 != 2 {
            return self.pushed.push(self.road.push());
        }
        let sha = self.road.a.commit("scratch", &[("n", &n.to_string())], "work");
        self.road.a.force(&format!("refs/tags/v{n}"), &sha);
        if n.is_multiple_of(2) {
            self.road.a.annotate(&format!("v{n}"), &sha);
        }
        self.stood.push(sha.clone());
        self.pushed.push(sha);
    }

    /// Left alone, the agent delivers what is pushed by now.
    fn settle(&mut self) {
        let head = self.pushed.last().unwrap();
        let began = Instant::now();
        let mut agent = self.road.sandbox.spawn(["watch", "--once"]);
        while agent.is_running() && self.runs_of(head) < DOCUMENTS.len() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let took = began.elapsed();
        RECOVERY.hold_time("the recovery", took);
        self.slowest = self.slowest.max(took);
        let output = agent.wait();
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(self.runs_of(head), 2, "{head}: {output:?}");
        self.stood.push(head.clone());
    }

    fn runs_of(&self, head: &str) -> usize {
        let runs = self.road.runs();
        runs.iter().filter(|run| run["spec"]["params"][0]["value"] == head).count()
    }

    /// Every point of a cycle and some random times, each moment's in random order, the moments in turn.
    fn points(&mut self) -> Vec<Point> {
        let mut queues: Vec<Vec<Point>> = Vec::new();
        for moment in MOMENTS {
            let reach = self.reach[&moment];
            let mut queue: Vec<Point> = match moment {
                Moment::AnyTime => (0..40).map(|_| (moment, self.dice.below(reach))).collect(),
                _ => (1..=reach).map(|n| (moment, n)).collect(),
            };
            for place in 1..queue.len() {
                queue.swap(place, self.dice.below(place + 1));
            }
            queues.push(queue);
        }
        let longest = queues.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest)
            .flat_map(|turn| queues.iter().filter_map(move |queue| queue.get(turn)))
            .copied()
            .collect()
    }

    /// A push, a death, perhaps another push, a death in the recovery from the first one; then peace.
    fn round(&mut self, point: Point) {
        self.push();
        if self.die(point) {
            if self.dice.below(3) == 0 {
                self.push();
            }
            let moment = MOMENTS[self.dice.below(MOMENTS.len())];
            let n = 1 + self.dice.below(self.reach[&moment]);
            self.die((moment, n));
        }
        self.settle();
    }

    /// False if the agent came to its end before it came to the point: then nothing died.
    fn die(&mut self, (moment, n): Point) -> bool {
        let sandbox = &self.road.sandbox;
        let output = if moment == Moment::AnyTime {
            let agent = sandbox.spawn(["watch"]);
            std::thread::sleep(Duration::from_millis(n as u64));
            agent.kill9()
        } else {
            let calls = moment.calls();
            let strace = Strace::of_the_program(calls).killing_at(calls, n);
            sandbox.spawn_under(&strace, ["watch", "--once"]).wait()
        };
        let died = output.code.is_none();
        assert!(died || output.code == Some(0), "{} {n}: {output:?}", moment.name());
        if died {
            *self.deaths.get_mut(&moment).unwrap() += 1;
            let runs = self.runs_of(self.pushed.last().unwrap());
            self.left[runs.min(2)] += 1;
        }
        died
    }

    fn total(&self) -> usize {
        self.deaths.values().sum()
    }

    /// At every kind of moment, and on both sides of the apply.
    fn died_everywhere(&self) -> bool {
        self.deaths.values().all(|deaths| *deaths > 0) && self.left[0] > 0 && self.left[2] > 0
    }

    /// Heads that stood and lack a run, and runs beyond one per commit and document.
    fn judge(&self) -> (usize, usize) {
        let mut made = BTreeMap::<(String, String), usize>::new();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        for run in self.road.runs() {
            let document = text(&run["metadata"]["labels"]["document"]);
            *made.entry((text(&run["spec"]["params"][0]["value"]), document)).or_default() += 1;
        }
        let created = self.road.cluster.creates_of("PipelineRun").len();
        assert_eq!(created, made.values().sum::<usize>(), "the API server forgot none");
        let lost = |head: &&String| {
            DOCUMENTS
                .iter()
                .any(|(label, _)| !made.contains_key(&((*head).clone(), (*label).into())))
        };
        (self.stood.iter().filter(lost).count(), made.values().map(|runs| runs - 1).sum())
    }

    fn report(&self) -> String {
        let mut text = format!("killed {} times (", self.total());
        for (moment, deaths) in &self.deaths {
            _ = write!(text, "{deaths} {}, ", moment.name());
        }
        text.truncate(text.len() - 2);
        let [none, one, two] = self.left;
        let (lost, doubled) = self.judge();
        _ = write!(
            text,
            "), {} heads pushed, of them {} tags; {none}, {one}, {two} deaths left 0, 1, 2 runs of the newest head; lost heads: {lost}, \
             doubled runs: {doubled}; recovered within {}",
            self.pushed.len(),
            self.pushed.len() / 3,
            RECOVERY.told_time(self.slowest)
        );
        text
    }
}

#[test]
fn killed_wherever_it_may_be_the_process_loses_no_head_and_makes_no_run_twice() {
    let wanted = cases(500, 40);
    let mut story = Story::begin();
    story.measure();
    // Once through every point kills some 300 times: the deaths in recoveries differ from pass to pass, and so do the
    // threads that make a call, so that not every point is a death.
    let is_enough = |story: &Story| story.total() >= wanted && story.died_everywhere();
    for _ in 0..10 {
        for point in story.points() {
            if is_enough(&story) {
                break;
            }
            story.round(point);
        }
    }
    assert_eq!(story.judge(), (0, 0), "{}", story.report());
    assert!(is_enough(&story), "not everywhere: {}", story.report());
    kept(1, "", &story.report());
}

#[test]
fn the_judge_of_the_kills_sees_a_lost_head_and_a_doubled_run() {
    let mut story = Story::begin();
    story.push();
    story.settle();
    assert_eq!(story.judge(), (0, 0));
    // A person's trigger makes new runs of the same commit: what must never happen by itself.
    let again = story.road.sandbox.sentry(["trigger", "qa", "--branch", "main"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(story.judge(), (0, 2));
    story.push();
    story.stood.push(story.pushed.last().unwrap().clone());
    assert_eq!(story.judge(), (1, 2));
}
