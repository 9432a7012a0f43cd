//! 49: one agent, then five, then two: work is divided anew soon, with hardly a move that was not needed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sentry_tests::crew::{Crew, Member};
use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::sandbox::Agent;

const BALANCED: AtMost = AtMost::seconds(300.0);
const NEEDLESS: AtMost = AtMost::times(5.0);
const WATCHES: usize = 10;

/// Who owns which slot, by what the database says.
fn owners(crew: &Crew) -> BTreeMap<String, String> {
    let owned = "SELECT slot || ' ' || owner FROM slots s JOIN members m ON m.id = s.owner
        WHERE s.given_at IS NULL AND m.until > clock_timestamp()";
    let rows = crew.sql(owned);
    let pairs = rows.lines().filter_map(|row| row.split_once(' '));
    pairs.map(|(slot, owner)| (slot.to_owned(), owner.to_owned())).collect()
}

/// Waits until so many agents have an equal part each; how long that took, and how often a slot changed hands meanwhile.
fn until_balanced(crew: &Crew, agents: usize) -> (Duration, usize) {
    let (begun, mut moves) = (Instant::now(), 0);
    let all: usize = crew.sql("SELECT count(*) FROM slots").parse().unwrap();
    let mut last = owners(crew);
    loop {
        let now = owners(crew);
        moves +=
            now.iter().filter(|(slot, owner)| last.get(*slot).is_some_and(|o| o != *owner)).count();
        // One without an owner for now is still whose it was.
        last.extend(now.clone());
        let mut parts: BTreeMap<&String, usize> = BTreeMap::new();
        now.values().for_each(|owner| *parts.entry(owner).or_default() += 1);
        let most = parts.values().max().copied().unwrap_or(0);
        if now.len() == all && parts.len() == agents.min(all) && most <= all.div_ceil(agents) {
            return (begun.elapsed(), moves);
        }
        assert!(begun.elapsed() < Duration::from_secs(400), "{parts:?} of {all}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn one_agent_five_and_two_have_equal_parts_soon_and_hardly_move_what_need_not() {
    let all = cases(50, 1);
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for _ in 0..all {
        let mut crew = Crew::new(WATCHES);
        let members: Vec<Member> = (0..5).map(|n| crew.member(&format!("m{n}"))).collect();
        let mut agents: Vec<Agent> = vec![crew.start(&members[0])];
        crew.until_seen();
        let slots: usize = crew.sql("SELECT count(*) FROM slots").parse().unwrap();
        agents.extend(members[1..].iter().map(|member| crew.start(member)));
        let (grown, moved) = until_balanced(&crew, 5);
        // The first keeps its part.
        let needless = moved.saturating_sub(slots - slots.div_ceil(5));
        for agent in agents.split_off(2) {
            assert_eq!(agent.term().code, Some(0));
        }
        let (shrunk, _) = until_balanced(&crew, 2);
        let took = grown.max(shrunk);
        BALANCED.hold_time("an equal part each", took);
        NEEDLESS.hold("needless moves", needless as f64);
        (slowest, most) = (slowest.max(took), most.max(needless));
        crew.branches().for_each(|branch| crew.push(&branch));
        sentry_tests::sandbox::eventually("each head is delivered", || crew.is_delivered());
        assert_eq!(crew.doubled(), 0);
        for agent in agents {
            assert_eq!(agent.term().code, Some(0));
        }
    }
    let seen = format!(
        "{all} times 1, 5 and 2 agents: equal parts in {}, needless moves: {most} of 5 at most; 0 heads lost, 0 runs doubled",
        BALANCED.told_time(slowest)
    );
    kept(49, "", &seen);
}
