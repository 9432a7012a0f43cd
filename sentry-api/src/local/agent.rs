//! Whether an agent works on the state.

use std::time::Duration;

use sentry_core::clock::Timestamp;
use sentry_core::store::{AgentState, LoopState};

use crate::shape::{AgentStatus, BudgetStatus, ForgeStatus};
use crate::text::{age, passed};

/// An agent that did not say that it lives for so long is taken for dead: three of its beats of 10 s, and a slow disk.
const AGENT_SILENCE: Duration = Duration::from_secs(35);
/// What a loop may be late beside its three intervals: a slow request is no hang.
const LOOP_SLACK: Duration = Duration::from_secs(5);

pub(super) fn agent(agent: &AgentState, now: Timestamp) -> AgentStatus {
    let health = health(agent, now);
    AgentStatus {
        holder: agent.holder.clone(),
        started: agent.started,
        beat: agent.beat,
        healthy: health.is_ok(),
        health: health.unwrap_or_else(|problem| problem),
        forges: agent.loops.iter().map(|one| forge(one, agent.beat)).collect(),
    }
}

fn forge(one: &LoopState, beat: Timestamp) -> ForgeStatus {
    ForgeStatus {
        forge: one.forge.clone(),
        beat: one.beat,
        waits: passed(beat, one.beat) > LOOP_SLACK,
        interval_ms: u64::try_from(one.interval.as_millis()).unwrap_or(u64::MAX),
        budget: one.budget.map(|b| BudgetStatus { left: b.left, limit: b.limit, reset: b.reset }),
    }
}

/// That the agent works, in words; or what is wrong.
fn health(agent: &AgentState, now: Timestamp) -> Result<String, String> {
    if let Some(ended) = agent.ended {
        return Err(format!(
            "no agent is running on this state: {} stopped {} ago",
            agent.holder,
            age(now, ended)
        ));
    }
    if passed(now, agent.beat) > AGENT_SILENCE {
        return Err(format!(
            "no agent is running on this state: the last heartbeat of {} was {} ago",
            agent.holder,
            age(now, agent.beat)
        ));
    }
    let late = agent.loops.iter().find(|l| passed(now, l.beat) > l.interval * 3 + LOOP_SLACK);
    match late {
        Some(late) => Err(format!(
            "the poll loop of forge {} missed 3 intervals: no answer of any kind for {}",
            late.forge,
            age(now, late.beat)
        )),
        None => {
            Ok(format!("agent {} has been running for {}", agent.holder, age(now, agent.started)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn agent(beat: i64, round: i64) -> AgentState {
        AgentState {
            holder: "process 7 on host".into(),
            started: at(0),
            beat: at(beat),
            ended: None,
            loops: vec![LoopState {
                forge: "hub".into(),
                beat: at(round),
                interval: Duration::from_secs(60),
                budget: None,
            }],
        }
    }

    #[test]
    fn an_agent_that_ended_is_told_at_once() {
        let ended = AgentState { ended: Some(at(1001)), ..agent(1000, 1000) };
        let told = super::agent(&ended, at(1003));
        assert!(!told.healthy);
        assert!(told.health.contains("process 7 on host stopped 2s ago"), "{}", told.health);
    }

    #[test]
    fn an_agent_is_healthy_while_it_speaks_and_no_loop_missed_three_intervals() {
        assert!(health(&agent(1000, 830), at(1010)).is_ok());
        let silent = health(&agent(1000, 1000), at(1036)).unwrap_err();
        assert!(silent.contains("last heartbeat of process 7 on host was 36s ago"), "{silent}");
        let late = health(&agent(1000, 810), at(1000)).unwrap_err();
        assert!(late.contains("forge hub missed 3 intervals"), "{late}");
        assert!(health(&agent(1000, 1000), at(0)).is_ok(), "the clock was set back");
        let told = super::agent(&agent(1000, 810), at(1000));
        assert_eq!(
            (told.healthy, told.forges[0].waits, told.forges[0].interval_ms),
            (false, true, 60_000)
        );
    }
}
