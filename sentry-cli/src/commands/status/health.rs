//! Whether an agent works on the state: for `sentry status --check`, and the last line of the table.

use std::time::Duration;

use sentry_core::clock::Timestamp;
use sentry_core::store::AgentState;

use crate::exit::Exit;
use crate::ui::{Ui, age};

/// An agent that did not say that it lives for so long is taken for dead: three of its beats of 10 s, and a slow disk.
const AGENT_SILENCE: Duration = Duration::from_secs(35);
/// What a loop may be late beside its three intervals: a slow request is no hang.
pub(super) const LOOP_SLACK: Duration = Duration::from_secs(5);

/// Whether an agent works on the state, and all its loops turn.
pub(super) fn check(ui: &Ui, agent: Option<&AgentState>, now: Timestamp) -> Exit {
    match health(agent, now) {
        Ok(text) => {
            ui.line(text);
            Exit::Done
        }
        Err(text) => {
            ui.line(text);
            Exit::Failed
        }
    }
}

pub(super) fn health(agent: Option<&AgentState>, now: Timestamp) -> Result<String, String> {
    let Some(agent) = agent else { return Err("no agent has worked on this state".to_owned()) };
    if passed(now, agent.beat) > AGENT_SILENCE {
        return Err(format!(
            "no agent works on this state: {} was last heard of {} ago",
            agent.holder,
            age(now, agent.beat)
        ));
    }
    let late = agent.loops.iter().find(|l| passed(now, l.beat) > l.interval * 3 + LOOP_SLACK);
    match late {
        Some(late) => Err(format!(
            "the loop of forge {} missed 3 intervals: no answer of any kind for {}",
            late.forge,
            age(now, late.beat)
        )),
        None => Ok(format!("agent {} works for {}", agent.holder, age(now, agent.started))),
    }
}

pub(super) fn passed(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.as_second() - at.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use sentry_core::store::LoopState;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn agent(beat: i64, round: i64) -> AgentState {
        AgentState {
            holder: "process 7 on host".into(),
            started: at(0),
            beat: at(beat),
            loops: vec![LoopState {
                forge: "hub".into(),
                beat: at(round),
                interval: Duration::from_secs(60),
                budget: None,
            }],
        }
    }

    #[test]
    fn an_agent_is_healthy_while_it_speaks_and_no_loop_missed_three_intervals() {
        assert!(health(Some(&agent(1000, 830)), at(1010)).is_ok());
        let silent = health(Some(&agent(1000, 1000)), at(1036)).unwrap_err();
        assert!(silent.contains("process 7 on host was last heard of 36s ago"), "{silent}");
        let late = health(Some(&agent(1000, 810)), at(1000)).unwrap_err();
        assert!(late.contains("forge hub missed 3 intervals"), "{late}");
        assert!(health(None, at(0)).is_err());
        assert!(health(Some(&agent(1000, 1000)), at(0)).is_ok(), "the clock was set back");
    }
}
