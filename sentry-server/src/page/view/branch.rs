//! How a branch stands: in which state, since when, and what comes next.

use sentry_api::shape::{BranchStatus, WatchStatus};
use sentry_api::words::Word::{Known, Unknown};
use sentry_api::words::{BranchState, Verdict};
use sentry_core::clock::Timestamp;

use super::{State, Tone, Words};

/// The tone and the word of a branch.
pub(super) fn state(words: Words, branch: &BranchStatus) -> State {
    let (tone, key) = standing(branch);
    State::new(tone, words.say(key))
}

/// The tone of a branch.
pub(super) fn tone(branch: &BranchStatus) -> Tone {
    standing(branch).0
}

fn standing(branch: &BranchStatus) -> (Tone, &'static str) {
    let to_come = branch.runs.running + branch.runs.queued > 0;
    match (branch.state, branch.verdict) {
        (Known(BranchState::Delivered), Some(Known(Verdict::Failure))) => {
            (Tone::Bad, "state-runs-failed")
        }
        (Known(BranchState::Delivered), Some(Known(Verdict::Error))) => {
            (Tone::Bad, "state-not-followed")
        }
        (Known(BranchState::Delivered), Some(_)) => (Tone::Good, "state-succeeded"),
        (Known(BranchState::Delivered), None) if to_come => (Tone::Busy, "state-running"),
        (Known(BranchState::Delivered), None) => (Tone::Good, "state-delivered"),
        (Known(BranchState::NothingRan), _) => (Tone::Quiet, "state-nothing-ran"),
        (Known(BranchState::Delivering), _) if to_come => (Tone::Busy, "state-running"),
        (Known(BranchState::Delivering), _) => (Tone::Busy, "state-delivering"),
        (Known(BranchState::Pending), _) => (Tone::Wait, "state-waiting"),
        (Known(BranchState::WaitsForApproval), _) => (Tone::Wait, "state-waits-for-approval"),
        (Known(BranchState::Retrying), _) => (Tone::Wait, "state-retrying"),
        (Known(BranchState::Parked), _) => (Tone::Bad, "state-parked"),
        (Known(BranchState::Cancelled), _) => (Tone::Quiet, "state-cancelled"),
        (Known(BranchState::Baseline), _) => (Tone::Quiet, "state-baseline"),
        (Known(BranchState::Gone), _) => (Tone::Quiet, "state-gone"),
        (Unknown, _) => (Tone::Quiet, "state-unknown"),
    }
}

/// Since when it is in that state.
pub(super) fn since(branch: &BranchStatus) -> Timestamp {
    let mark = match branch.state {
        Known(BranchState::Delivered) => branch.delivered.as_ref(),
        Known(BranchState::Delivering | BranchState::Retrying | BranchState::Parked) => {
            branch.attempted.as_ref()
        }
        Known(
            BranchState::Baseline
            | BranchState::Pending
            | BranchState::WaitsForApproval
            | BranchState::NothingRan
            | BranchState::Cancelled
            | BranchState::Gone,
        )
        | Unknown => None,
    };
    mark.unwrap_or(&branch.observed).at
}

/// What comes next, and what a person can do. `agent` says whether one works.
pub(super) fn next(
    words: Words,
    watch: &WatchStatus,
    branch: &BranchStatus,
    agent: bool,
) -> String {
    let to_come = branch.runs.running + branch.runs.queued > 0;
    words.say(match (branch.state, branch.verdict) {
        (Known(BranchState::Pending), _) if watch.suspended => "next-resumed",
        (Known(BranchState::Pending | BranchState::Retrying), _) if !agent => "next-agent",
        (Known(BranchState::Pending), _) => "next-turn",
        (Known(BranchState::WaitsForApproval), _) => "next-approve",
        (Known(BranchState::Retrying), _) => "next-attempt",
        (Known(BranchState::Delivering), _) if to_come => "next-rest",
        (Known(BranchState::Delivering), _) => "next-start",
        (Known(BranchState::Parked), _) if branch.next_attempt.is_some() => "next-again",
        (Known(BranchState::Parked), _) => "next-parked",
        (Known(BranchState::Baseline), _) => "next-baseline",
        (Known(BranchState::Gone), _) => "next-gone",
        (Known(BranchState::Delivered), None) if to_come => "next-finish",
        (Known(BranchState::Delivered), Some(Known(Verdict::Failure | Verdict::Error))) => {
            "next-rerun"
        }
        (
            Known(BranchState::NothingRan | BranchState::Cancelled | BranchState::Delivered)
            | Unknown,
            _,
        ) => "next-commit",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{ago, sample};
    use super::*;

    fn runs(running: usize, queued: usize) -> Value {
        json!({"total": running + queued, "running": running, "queued": queued, "succeeded": 0, "failed": 0})
    }

    #[test]
    fn how_a_branch_stands_has_a_tone_and_a_word() {
        for (said, tone, word) in [
            (json!({"state": "delivered", "verdict": "failure"}), Tone::Bad, "runs failed"),
            (json!({"state": "delivered", "verdict": "error"}), Tone::Bad, "runs not followed"),
            (json!({"state": "delivered", "verdict": "success"}), Tone::Good, "succeeded"),
            (json!({"state": "delivered", "runs": runs(1, 0)}), Tone::Busy, "running"),
            (json!({"state": "delivered", "runs": runs(0, 1)}), Tone::Busy, "running"),
            (json!({"state": "delivered", "runs": runs(1, 1)}), Tone::Busy, "running"),
            (json!({"state": "delivered"}), Tone::Good, "delivered"),
            (json!({"state": "nothing_ran"}), Tone::Quiet, "nothing ran"),
            (json!({"state": "delivering", "runs": runs(1, 0)}), Tone::Busy, "running"),
            (json!({"state": "pending"}), Tone::Wait, "waiting"),
            (json!({"state": "delivering"}), Tone::Busy, "delivering"),
            (json!({"state": "retrying"}), Tone::Wait, "retrying"),
            (json!({"state": "parked"}), Tone::Bad, "parked"),
            (json!({"state": "baseline"}), Tone::Quiet, "baseline"),
            (json!({"state": "gone"}), Tone::Quiet, "gone"),
        ] {
            let found = state(Words::default(), &sample::branch(said.clone()));
            assert_eq!(found, State::new(tone, word), "{said}");
        }
    }

    #[test]
    fn a_branch_says_since_when_it_stands_so_and_what_comes_next() {
        let rerun = "the next commit, or a rerun of what failed";
        let changed = "retried when the branch, the manifests or the configuration change";
        let next_attempt = json!({"state": "parked", "next_attempt": "2026-01-01T00:15:00Z"});
        for (said, minutes, wanted) in [
            (json!({"state": "pending"}), 9, "waits for its turn"),
            (json!({"state": "retrying"}), 8, "next attempt"),
            (json!({"state": "delivering"}), 8, "its runs start"),
            (json!({"state": "delivering", "runs": runs(1, 0)}), 8, "the rest of its runs"),
            (json!({"state": "delivering", "runs": runs(0, 1)}), 8, "the rest of its runs"),
            (json!({"state": "delivering", "runs": runs(1, 1)}), 8, "the rest of its runs"),
            (next_attempt, 8, "checked again"),
            (json!({"state": "parked"}), 8, changed),
            (json!({"state": "parked", "attempted": null}), 9, changed),
            (json!({"state": "baseline"}), 9, "the next commit is delivered"),
            (json!({"state": "gone"}), 9, "nothing, until the branch is back"),
            (json!({"state": "delivered", "runs": runs(1, 0)}), 7, "its runs finish"),
            (json!({"state": "delivered"}), 7, "the next commit"),
            (json!({"state": "delivered", "verdict": "failure"}), 7, rerun),
            (json!({"state": "delivered", "verdict": "error"}), 7, rerun),
            (json!({"state": "delivered", "verdict": "success"}), 7, "the next commit"),
            (json!({"state": "nothing_ran"}), 9, "the next commit"),
        ] {
            let (status, branch) = (sample::watch(json!({})), sample::branch(said.clone()));
            let words = Words::default();
            assert_eq!(next(words, &status, &branch, true), wanted, "{said}");
            let at = ago(words, sample::now(), since(&branch));
            assert_eq!(at, format!("{minutes} min ago"), "{said}");
        }
    }

    #[test]
    fn what_can_not_start_now_says_what_it_waits_for() {
        let next = |suspended: bool, agent: bool, state: &str| {
            let status = sample::watch(json!({"suspended": suspended}));
            let branch = sample::branch(json!({"state": state}));
            super::next(Words::default(), &status, &branch, agent)
        };
        let agent = "nothing starts until an agent runs: `sentry watch`";
        assert_eq!(next(true, true, "pending"), "starts when the watch is resumed");
        assert_eq!(next(true, false, "pending"), "starts when the watch is resumed");
        assert_eq!(next(false, false, "pending"), agent);
        assert_eq!(next(false, false, "retrying"), agent);
        assert_eq!(next(false, false, "delivered"), "the next commit");
    }
}
