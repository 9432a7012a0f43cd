//! 3: lost answers, kills and agents that race make exactly one run of each commit and document, by what the API server
//! created.

use sentry_tests::promise::{cases, kept};
use sentry_tests::road::{By, Road};
use sentry_tests::sandbox::{Agent, eventually};
use sentry_tests::tally::{DOCUMENTS, Tally, tree};

/// Writes of a delivery of the tree: a Task, a Pipeline, two runs.
const WRITES: usize = 4;

fn road(by: By) -> Road {
    let files = tree();
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let road = Road::by(by, &files);
    road.configure("branches: [main, 'release/*'], tags: 'v*'");
    road
}

/// A new head: `main` and new tags take turns, of which every second one is an object of its own.
fn push(road: &Road, n: usize) -> String {
    if n.is_multiple_of(2) {
        return road.push();
    }
    let (sha, tag) = (road.a.commit("scratch", &[("n", &n.to_string())], "work"), format!("v{n}"));
    road.a.force(&format!("refs/tags/{tag}"), &sha);
    if n % 4 == 1 {
        road.a.annotate(&tag, &sha);
    }
    sha
}

/// Each head that stood has its runs, and none has more.
#[track_caller]
fn judge(road: &Road, heads: &[String]) {
    let tally = Tally::of(&road.cluster);
    assert_eq!((tally.lost(heads), tally.doubled()), (0, 0), "{tally:?}");
}

/// Loses answers of deliveries; how many there were.
fn lose_answers(by: By, number: usize) -> usize {
    let road = road(by);
    assert_eq!(road.once().code, Some(0));
    let mut heads = Vec::new();
    // Of each two the second is lost as well: the repeat's own answer.
    let patterns: Vec<Vec<usize>> = (1..=WRITES).flat_map(|n| [vec![n], vec![n, n + 1]]).collect();
    // Each pattern meets a branch in one round and a tag in the next.
    for (turn, lost) in patterns.iter().cycle().take(number).enumerate() {
        for n in lost {
            road.cluster.faults().lose_response_of_write(*n);
        }
        heads.push(push(&road, turn + turn / patterns.len()));
        let output = road.once();
        assert_eq!(output.code, Some(0), "{lost:?}: {output:?}");
        judge(&road, &heads);
        road.cluster.faults().heal();
    }
    let answers = road.cluster.requests().iter().filter(|r| r.is_write()).count();
    assert!(answers > heads.len() * WRITES, "lost answers were asked for again");
    heads.len()
}

#[test]
fn an_answer_lost_after_any_write_makes_no_second_run() {
    let number = cases(200, 2 * WRITES);
    let told = By::EACH.map(|by| format!("{} by {by:?}", lose_answers(by, number)));
    kept(
        3,
        "lost answers",
        &format!("deliveries of branches and tags: {}; exactly 1 run each", told.join(", ")),
    );
}

#[test]
fn agents_that_race_with_states_of_their_own_are_killed_and_lose_answers_make_one_run() {
    let rounds = cases(120, 5);
    let told = [race(By::Kubectl, rounds), race(By::Native, rounds.div_ceil(2))];
    kept(3, "racing agents", &told.join("; "));
}

/// Agents that race for so many commits; what was seen.
fn race(by: By, rounds: usize) -> String {
    let road = road(by);
    let states = ["one", "two", "three"].map(|name| road.sandbox.root().join(name));
    let states = states.map(|path| path.display().to_string());
    for state in &states {
        let first = road.sandbox.sentry(["watch", "--once", "--state-dir", state]);
        assert_eq!(first.code, Some(0), "{first:?}");
    }
    let start = |state: &String| road.sandbox.spawn(["watch", "--state-dir", state]);
    let mut agents: Vec<Agent> = states.iter().map(start).collect();
    let mut random = fastrand::Rng::with_seed(3);
    let (mut heads, mut kills) = (Vec::new(), 0);
    for round in 0..rounds {
        if round % 2 == 1 {
            road.cluster.faults().lose_response_of_write(1 + random.usize(..WRITES));
        }
        let sha = push(&road, round / 2);
        if round % 3 > 0 {
            std::thread::sleep(std::time::Duration::from_millis(random.u64(..2500)));
            let which = random.usize(..agents.len());
            agents.remove(which).kill9();
            agents.insert(which, start(&states[which]));
            kills += 1;
        }
        for state in &states {
            eventually("all call it delivered", || {
                let why = road.sandbox.sentry(["why", &sha, "--state-dir", state]);
                why.stdout.contains("delivered")
            });
        }
        heads.push(sha);
        judge(&road, &heads);
        road.cluster.faults().heal();
    }
    for mut agent in agents {
        // Before it listens for signals, one ends it by itself: the last one may have been started just now.
        agent.wait_for_log("started");
        let ended = agent.term();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    format!(
        "{by:?}: {} commits, {} agents with states of their own, {kills} kills: exactly 1 run of each of {} documents",
        heads.len(),
        states.len(),
        DOCUMENTS.len()
    )
}

#[test]
fn the_judge_sees_a_run_that_is_made_again() {
    let road = road(By::Kubectl);
    assert_eq!(road.once().code, Some(0));
    let head = road.push();
    assert_eq!(road.once().code, Some(0));
    judge(&road, std::slice::from_ref(&head));
    // A person's trigger makes new runs of the same commit: what must never happen by itself.
    let again = road.sandbox.sentry(["trigger", "qa", "--branch", "main"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(Tally::of(&road.cluster).doubled(), DOCUMENTS.len());
    assert_eq!(Tally::of(&road.cluster).lost(&["0".repeat(40)]), 1);
}
