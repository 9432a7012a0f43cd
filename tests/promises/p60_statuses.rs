//! 60: several branches and a tag stand at one commit: each has a status that ends as its own runs did, and the short one is the
//! worst of them, whatever came first, was away, or was killed in between.

mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sentry_core::delivery::RunState;
use sentry_core::forge::{CommitStatus, ForgeErrorKind, StatusState};
use sentry_core::ids::DeliveryId;
use sentry_core::plan::{DELIVERY_LABEL, Operation, PlannedObject};
use sentry_core::subject::Subject;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::sample;
use sentry_core::watch::{ReportMode, TagSelector};
use sentry_tests::promise::{cases, kept};

use self::shown::{Shown, show};
use crate::world::{A, WallClock, World, seconds};

const SUBJECTS: [&str; 4] = ["main", "release/1.4", "release/hotfix", "refs/tags/v1.4"];
/// How long after the first branch the others reach the commit.
const GAPS: [u64; 5] = [1, 20, 90, 1_200, 86_400];
/// The runs of one delivery.
const RUNS: [&str; 2] = ["one", "two"];

/// What a story came to: every status that the forge took, and what each line has to say in the end.
struct Told {
    statuses: Vec<CommitStatus>,
    expected: BTreeMap<String, StatusState>,
    /// Of each branch, the lines that a forge shows which keeps them by branch.
    by_branch: BTreeSet<(String, String)>,
    kills: usize,
    outages: usize,
}

/// How a run ended, as a status says it.
fn word(end: RunState) -> StatusState {
    match end {
        RunState::Succeeded => StatusState::Success,
        RunState::Failed => StatusState::Failure,
        _ => StatusState::Error,
    }
}

fn worst(states: impl IntoIterator<Item = StatusState>) -> StatusState {
    let rank = |state: &StatusState| match state {
        StatusState::Failure => 2,
        StatusState::Error => 1,
        _ => 0,
    };
    states.into_iter().max_by_key(rank).unwrap()
}

/// What a status calls a subject.
fn label(text: &str) -> String {
    sample::subject(text).label().into_owned()
}

/// The branch, the delivery and the document's name of a run, as the cluster was given them.
fn owner(run: &PlannedObject) -> (String, DeliveryId, String) {
    let Operation::Create { key } = &run.operation else { panic!("a run is created") };
    let branch = key.split('|').nth(1).unwrap().to_owned();
    let delivery = run.json["metadata"]["labels"][DELIVERY_LABEL].as_str().unwrap();
    let base = run.object.name.split('-').next().unwrap().to_owned();
    (branch, delivery.parse().unwrap(), base)
}

struct Story {
    world: World,
    clock: Arc<WallClock>,
    random: fastrand::Rng,
    ends: BTreeMap<String, RunState>,
    kills: usize,
    outages: usize,
}

impl Story {
    /// Lets a while pass in which runs end, the forge goes and comes back, the agent is killed, and a person asks again.
    async fn goes_on(&mut self, for_seconds: u64) {
        let mut left = for_seconds;
        while left > 0 {
            let step = self.random.u64(1..=90).min(left);
            seconds(step).await;
            left -= step;
            match self.random.u8(0..8) {
                0..=3 => self.end_one(),
                4 => {
                    let away = self.random.bool().then_some(ForgeErrorKind::Unreachable);
                    self.outages += usize::from(away.is_some());
                    self.world.forge.fail_statuses(away);
                }
                5 => {
                    self.kills += 1;
                    self.world.kill().await;
                    self.end_one();
                    seconds(self.random.u64(0..60)).await;
                    self.world.start();
                }
                6 if self.random.u8(0..4) == 0 => {
                    // A time server that errs: which delivery is the newest is not told by the clock.
                    self.clock.jump(self.random.i64(-86_400..=86_400));
                    let key = format!("again {}", self.random.u64(..));
                    self.world.ask(SUBJECTS[0], &key).await;
                }
                _ => {}
            }
        }
    }

    fn end_one(&mut self) {
        let active = self.world.deployer.active_runs();
        let Some(run) = self.random.choice(active) else { return };
        let end = [RunState::Succeeded, RunState::Failed, RunState::Gone][self.random.usize(0..3)];
        let done = match end {
            RunState::Gone => self.world.deployer.delete_run(&run),
            _ => self.world.deployer.finish(&run, end, end.as_str()),
        };
        assert!(done);
        self.ends.insert(run, end);
    }

    /// What every line must say: of each branch the delivery counts that made its runs last.
    fn expected(&self, mode: ReportMode) -> BTreeMap<String, StatusState> {
        let mut newest: BTreeMap<String, (DeliveryId, BTreeMap<String, StatusState>)> =
            BTreeMap::new();
        for run in self.world.deployer.created() {
            let (branch, delivery, base) = owner(&run);
            let end = word(self.ends[&run.object.name]);
            let known = newest.entry(branch).or_insert_with(|| (delivery.clone(), BTreeMap::new()));
            if known.0 != delivery {
                *known = (delivery, BTreeMap::new());
            }
            known.1.insert(base, end);
        }
        let wholes = newest.iter().map(|(b, (_, runs))| (b, worst(runs.values().copied())));
        let mut lines = vec![(String::new(), wholes.collect::<Vec<_>>())];
        if mode == ReportMode::PerRun {
            for run in RUNS {
                let each = newest.iter().map(|(branch, (_, runs))| (branch, runs[run])).collect();
                lines.push((format!("/{run}"), each));
            }
        }
        let mut expected = BTreeMap::new();
        for (suffix, each) in lines {
            let name = format!("sentry-gitops/qa{suffix}");
            expected.insert(name.clone(), worst(each.iter().map(|(_, state)| *state)));
            expected.extend(each.into_iter().map(|(branch, s)| (format!("{name} ({branch})"), s)));
        }
        expected
    }
}

async fn story(seed: u64) -> Told {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(FakeDeployer::new().following());
    let mode = [ReportMode::PerWatch, ReportMode::PerRun][usize::from(seed % 2 == 1)];
    world.watches[0].reporting.mode = mode;
    world.watches[0].source.subjects.tags = TagSelector::names(["v*"]).ok();
    let clock = Arc::new(WallClock::new());
    world.clock = Arc::clone(&clock) as _;
    // A quiet day is many looks.
    world.options.inbox_interval = Duration::from_secs(30);
    world.start();
    seconds(20).await;
    let sha = world.push();
    let mut others = SUBJECTS[1..].to_vec();
    random.shuffle(&mut others);
    others.truncate(random.usize(1..=3));
    let mut story = Story { world, clock, random, ends: BTreeMap::new(), kills: 0, outages: 0 };
    for branch in &others {
        let gap = story.random.choice(GAPS).unwrap();
        // A quiet day is a long step.
        if gap > 3_600 {
            seconds(gap).await;
        } else {
            story.goes_on(gap).await;
        }
        story.world.forge.set(A, branch, &sha);
    }
    story.goes_on(900).await;
    story.world.forge.fail_statuses(None);
    for _ in 0..4 {
        seconds(180).await;
        while !story.world.deployer.active_runs().is_empty() {
            story.end_one();
            seconds(1).await;
        }
    }
    seconds(900).await;
    let expected = story.expected(mode);
    let subjects = [&SUBJECTS[..1], others.as_slice()].concat();
    let subjects: Vec<String> = subjects.into_iter().map(label).collect();
    let mut by_branch = BTreeSet::new();
    for line in expected.keys() {
        let own = line.split_once(" (").map(|(_, rest)| rest.trim_end_matches(')'));
        let places = subjects.iter().filter(|branch| own.is_none_or(|own| own == **branch));
        by_branch.extend(places.map(|branch| (branch.clone(), line.clone())));
    }
    let statuses = story.world.forge.statuses();
    let statuses = statuses.into_iter().filter(|s| s.revision.sha == sha).collect();
    Told { statuses, expected, by_branch, kills: story.kills, outages: story.outages }
}

/// A story with tokio's time held, in a runtime of its own: what follows speaks to real servers.
fn told(seed: u64) -> Told {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(story(seed))
}

#[test]
fn every_branch_at_a_commit_ends_as_its_own_runs_did_and_the_short_status_as_the_worst() {
    let (stories, mut statuses, mut kills, mut outages) = (cases(1_000, 24), 0, 0, 0);
    for seed in 0..stories as u64 {
        let told = told(seed);
        let last: BTreeMap<String, StatusState> =
            told.statuses.iter().map(|s| (s.context.clone(), s.state)).collect();
        assert_eq!(last, told.expected, "seed {seed}");
        let by_branch = told.statuses.iter().flat_map(|status| {
            let place = |b: &Subject| (b.label().into_owned(), status.context.clone());
            status.subjects.iter().map(move |b| (place(b), status.state))
        });
        let by_branch: BTreeMap<_, _> = by_branch.collect();
        let places: BTreeSet<_> = by_branch.keys().cloned().collect();
        assert_eq!(places, told.by_branch, "seed {seed}");
        for ((branch, line), state) in by_branch {
            assert_eq!(state, told.expected[&line], "seed {seed}: {line} at {branch}");
        }
        statuses += told.statuses.len();
        kills += told.kills;
        outages += told.outages;
    }
    let seen = format!(
        "{stories} stories of 2 to 4 branches and a tag at one commit, up to a day apart, per watch and per run, with {kills} \
         kills and {outages} outages of the forge: {statuses} statuses, each line ended as its own runs did, the short \
         ones as the worst"
    );
    kept(60, "engine", &seen);
}

#[test]
fn forges_show_in_the_end_what_each_branch_came_to() {
    let (stories, mut lines) = (cases(40, 3), 0);
    for seed in 0..stories as u64 {
        let told = told(1_000_000 + seed);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let Shown { statuses, check_runs, by_branch } = runtime.block_on(show(&told.statuses));
        let word = |state: &StatusState| state.as_str().to_owned();
        let github: BTreeMap<_, _> =
            told.expected.iter().map(|(line, state)| (line.clone(), word(state))).collect();
        assert_eq!(statuses, github, "GitHub's statuses, seed {seed}");
        let check = |state: &StatusState| match state {
            StatusState::Error => "action_required".to_owned(),
            other => word(other),
        };
        let checks: BTreeMap<_, _> =
            told.expected.iter().map(|(line, state)| (line.clone(), check(state))).collect();
        assert_eq!(check_runs, checks, "GitHub's check runs, seed {seed}");
        let lab = |line: &String| match told.expected[line] {
            StatusState::Success => "success".to_owned(),
            _ => "failed".to_owned(),
        };
        // GitLab's `ref` is a name alone.
        let at = |subject: &str| subject.trim_start_matches("tag ").to_owned();
        let place = |(subject, line): &(String, String)| ((at(subject), line.clone()), lab(line));
        let gitlab: BTreeMap<_, _> = told.by_branch.iter().map(place).collect();
        assert_eq!(by_branch, gitlab, "GitLab, seed {seed}");
        lines += statuses.len() + check_runs.len() + by_branch.len();
    }
    let seen = format!(
        "{stories} of such stories sent by the real clients: GitHub's statuses and check runs and GitLab's statuses by \
         branch, {lines} lines, each as it must be, no check run left open"
    );
    kept(60, "forges", &seen);
}
