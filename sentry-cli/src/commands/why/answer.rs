//! An answer of `sentry why`, and how it is shown.

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Reason, Verdict};
use sentry_core::watch::WatchName;

use crate::json;
use crate::runs::Totals;
use crate::ui::{Tone, Ui, age, plain, time, tinted};

/// What is said about the commit for one watch and branch.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) watch: WatchName,
    pub(super) branch: Option<String>,
    pub(super) sha: Option<String>,
    pub(super) reason: Reason,
    pub(super) at: Option<Timestamp>,
    pub(super) delivery: Option<String>,
    pub(super) detail: Option<String>,
    /// The runs that its delivery started, where it started some.
    pub(super) runs: Option<Totals>,
    pub(super) verdict: Option<Verdict>,
    /// Where nothing ran: what was decided about each document.
    pub(super) notes: Vec<String>,
    pub(super) next_step: String,
}

impl Answer {
    pub(super) fn to_json(&self) -> json::WhyAnswer {
        let (by, since) = match &self.reason {
            Reason::SupersededBy(sha) => (Some(sha.to_string()), None),
            Reason::ForgeUnreachable { since } => (None, Some(since.to_string())),
            _ => (None, None),
        };
        json::WhyAnswer {
            watch: self.watch.to_string(),
            branch: self.branch.clone(),
            sha: self.sha.clone(),
            reason: self.reason.as_str(),
            superseded_by: by,
            since,
            at: self.at.map(|at| at.to_string()),
            delivery: self.delivery.clone(),
            detail: self.detail.clone(),
            runs: self.runs.map(Into::into),
            verdict: self.verdict.map(Verdict::as_str),
            notes: self.notes.clone(),
            next_step: self.next_step.clone(),
        }
    }

    fn tone(&self) -> Tone {
        match self.reason {
            Reason::Delivered => self.runs.map_or(Tone::Good, Totals::tone),
            Reason::Waiting => Tone::Busy,
            Reason::Parked | Reason::ForgeUnreachable { .. } => Tone::Bad,
            _ => Tone::Plain,
        }
    }
}

pub(super) fn show(ui: &Ui, prefix: &str, answers: &[Answer], now: Timestamp) {
    if answers.is_empty() {
        ui.line(format!("{prefix}: not seen"));
        ui.line("  next   no watch is known here: `sentry init` writes a configuration");
    }
    for answer in answers {
        let reason = tinted(&answer.reason.to_string(), answer.tone());
        ui.line(format!("{}: {reason}", answer.sha.as_deref().unwrap_or(prefix)));
        let branch = answer.branch.as_deref().map(|b| format!(", branch {b}")).unwrap_or_default();
        ui.line(format!("  watch  {}{branch}", answer.watch));
        if let Some(at) = answer.at {
            ui.line(format!("  when   {} ({} ago)", time(at), age(now, at)));
        }
        if let Some(detail) = &answer.detail {
            ui.line(format!("  detail {}", plain(detail)));
        }
        if let Some(runs) = answer.runs {
            ui.line(format!("  runs   {}", tinted(&runs.words(), runs.tone())));
        }
        for note in &answer.notes {
            ui.line(format!("  note   {}", plain(note)));
        }
        ui.line(format!("  next   {}", answer.next_step));
    }
}
