//! 26: of agents on one state one works; the others refuse and say who it is; when it ends, the next one goes on.

use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::{Agent, eventually};

/// Agents that are started at once.
const AGENTS: usize = 4;

#[test]
fn of_agents_started_at_once_one_works_and_each_other_one_names_it() {
    let road = Road::new();
    assert_eq!(road.once().code, Some(0));
    let rounds = cases(100, 3);
    let mut refused = 0;
    for round in 1..=rounds {
        let mut agents: Vec<_> = (0..AGENTS).map(|_| road.watch()).collect();
        eventually("all but one have ended", || {
            agents.iter_mut().map(Agent::is_running).filter(|runs| *runs).count() == 1
        });
        let holder = agents.iter_mut().position(Agent::is_running).unwrap();
        let mut holder = agents.swap_remove(holder);
        for agent in agents {
            let output = agent.wait();
            assert_eq!(output.code, Some(4), "{output:?}");
            let named = output.stderr.contains(&format!("process {} on", holder.id()));
            assert!(named, "{} holds it: {output:?}", holder.id());
            refused += 1;
        }
        road.push();
        eventually("the one that works delivers", || road.runs().len() == 2 * round);
        assert!(holder.is_running());
        // However it ends, the next round's agents get in.
        if round % 2 == 0 {
            assert_eq!(holder.term().code, Some(0));
        } else {
            holder.kill9();
        }
    }
    assert_eq!(road.cluster.creates_of("PipelineRun").len(), 2 * rounds);
    let seen = format!(
        "{rounds} times {AGENTS} agents at once: 1 works, {refused} refused and named it, {rounds} deliveries once each"
    );
    kept(26, "", &seen);
}
