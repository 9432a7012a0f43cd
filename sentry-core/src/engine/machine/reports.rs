//! Statuses on A's commits: written down with the delivery that they tell of, then shown, at most once per change.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tokio::time::Instant;

use super::{Call, Machine, Undelivered};
use crate::cursor::Cursors;
use crate::delivery::Delivery;
use crate::engine::ledger::{ReportKey, report_key};
use crate::engine::standing::{statuses, undelivered};
use crate::engine::waits::Waits;
use crate::event::EventKind;
use crate::forge::{CommitStatus, ForgeError, ForgeErrorKind};
use crate::names::WatchName;
use crate::store::{Report, Write};
use crate::watch::ReportMode;

/// Statuses that are being shown at a time.
const IN_FLIGHT: usize = 4;

/// How statuses are shown.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    /// Those that are being shown.
    busy: HashSet<ReportKey>,
    /// When one that could not be shown is tried again.
    at: Waits<ReportKey>,
    /// Those that are due and wait for nothing.
    ready: BTreeSet<ReportKey>,
    /// Those that were to be shown once more while they were being shown: what that came to does not count.
    again: HashSet<ReportKey>,
    /// Heads without a delivery whose commit is to show something.
    pub(super) undelivered: Vec<Undelivered>,
    /// Watches of which it was told that their statuses can't be shown.
    denied: HashSet<WatchName>,
}

impl Reporting {
    pub(super) fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// When the next status is tried again.
    pub(super) fn next_after(&self, now: Instant) -> Option<Instant> {
        self.at.next_after(now)
    }
}

impl Machine {
    /// The statuses that written deliveries change: of their commit of a watch, where other subjects of the watch may stand
    /// as well. `before` is all that is kept of the commit, oldest first, without the writes.
    pub(in crate::engine) fn add_statuses(
        &mut self,
        name: &WatchName,
        before: &[Delivery],
        written: &[&Delivery],
    ) -> Vec<Write> {
        let Some(watch) = self.known.reported(name) else { return Vec::new() };
        let mut after: BTreeMap<_, _> = before.iter().map(|d| (&d.id, d)).collect();
        after.extend(written.iter().map(|d| (&d.id, *d)));
        let after: Vec<Delivery> = after.into_values().cloned().collect();
        let (before, after) = (statuses(watch, before), statuses(watch, &after));
        let reports = after.into_iter().filter_map(|status| {
            let shown = before.iter().find(|b| b.context == status.context);
            self.report(name, status, shown)
        });
        let writes: Vec<Write> = reports.map(Write::Report).collect();
        self.apply(&writes);
        writes
    }

    /// Heads without a delivery whose commit is to show something, each once.
    pub(in crate::engine) fn take_undelivered(&mut self) -> Vec<Undelivered> {
        let all = std::mem::take(&mut self.reporting.undelivered);
        let is_shown = |head: &Undelivered| {
            let watch = self.known.reported(&head.watch);
            watch.is_some_and(|w| w.reporting.mode != ReportMode::Off && !self.known.is_dry(w))
        };
        all.into_iter().filter(is_shown).collect()
    }

    /// What such a head shows. `is_alone` is true if nothing else was delivered at its commit: only then, and if nothing else
    /// of the watch has its head there, it may speak for the watch. A stranger chooses the commit.
    pub(in crate::engine) fn add_undelivered(
        &mut self,
        head: &Undelivered,
        is_alone: bool,
    ) -> Vec<Write> {
        let Some(watch) = self.known.reported(&head.watch) else { return Vec::new() };
        let is_other = |state: &Cursors| {
            state.observed.sha == head.revision.sha && state.subject != head.revision.subject
        };
        let mut all = self.ledger.cursors.get(&head.watch).into_iter().flat_map(|all| all.values());
        let status = undelivered(watch, head, is_alone && !all.any(|state| is_other(state)));
        let writes: Vec<Write> =
            self.report(&head.watch, status, None).into_iter().map(Write::Report).collect();
        self.apply(&writes);
        writes
    }

    /// Every status of a commit, as if none had been shown.
    pub(super) fn statuses_again(
        &mut self,
        name: &WatchName,
        deliveries: &[Delivery],
    ) -> Vec<Write> {
        let Some(watch) = self.known.reported(name) else { return Vec::new() };
        let report = |status| Report {
            watch: name.clone(),
            status,
            at: self.now.stamp,
            sent: None,
            tries: 0,
            error: None,
            given_up: false,
        };
        let reports: Vec<Report> = statuses(watch, deliveries).into_iter().map(report).collect();
        let keys = reports.iter().map(report_key);
        let Reporting { busy, again, .. } = &mut self.reporting;
        again.extend(keys.filter(|key| busy.contains(key)));
        reports.into_iter().map(Write::Report).collect()
    }

    /// Whether a status is to be shown now, as it stands.
    pub(super) fn note_report(&mut self, key: &ReportKey) {
        let is_due = self.ledger.reports.contains_key(key);
        let Reporting { busy, at, ready, .. } = &mut self.reporting;
        if !is_due {
            at.remove(key);
        }
        if is_due && !busy.contains(key) && at.get(key).is_none() {
            ready.insert(key.clone());
        } else {
            ready.remove(key);
        }
    }

    /// The call that showed a status ended without an answer.
    pub(super) fn report_ended(&mut self, key: &ReportKey) {
        self.reporting.busy.remove(key);
        self.reporting.again.remove(key);
        self.note_report(key);
    }

    /// The report, if it says otherwise than what was decided for this line before.
    fn report(
        &self,
        watch: &WatchName,
        status: CommitStatus,
        before: Option<&CommitStatus>,
    ) -> Option<Report> {
        let key = (watch.clone(), status.revision.sha.clone(), status.context.clone());
        let due = self.ledger.reports.get(&key);
        let sent = match due.map(|r| (&r.status, r.sent)).or(before.map(|b| (b, Some(b.state)))) {
            Some((decided, _)) if says_the_same(decided, &status) => return None,
            Some((decided, sent)) if is_about_the_same(decided, &status) => sent,
            _ => None,
        };
        let (watch, at) = (watch.clone(), self.now.stamp);
        Some(Report { watch, status, at, sent, tries: 0, error: None, given_up: false })
    }

    /// Starts to show what is due.
    pub(super) fn send_reports(&mut self) {
        for key in self.reporting.at.take_due(self.now.instant) {
            self.note_report(&key);
        }
        let Reporting { busy, ready, .. } = &self.reporting;
        let room = IN_FLIGHT.saturating_sub(busy.len());
        // A watch that is configured no more, or whose forge has no statuses, has nobody to show it.
        let due = ready.iter().filter(|(watch, ..)| self.known.reported(watch).is_some());
        let due: Vec<ReportKey> = due.take(room).cloned().collect();
        for key in due {
            let Some(report) = self.ledger.reports.get(&key).cloned() else { continue };
            self.reporting.ready.remove(&key);
            self.reporting.busy.insert(key.clone());
            self.call(Call::Report(key, Box::new(report)));
        }
    }

    pub(super) fn reported(
        &mut self,
        key: ReportKey,
        sent: Report,
        result: Result<(), ForgeError>,
    ) {
        self.reporting.busy.remove(&key);
        self.reporting.at.remove(&key);
        let counts = !self.reporting.again.remove(&key);
        // What is to be shown may have changed meanwhile.
        let now = self.ledger.reports.get(&key).cloned().unwrap_or_else(|| sent.clone());
        match result {
            Ok(()) => {
                let same = counts && is_about_the_same(&now.status, &sent.status);
                let told = same.then_some(sent.status.state);
                let report = Report { sent: told, tries: 0, error: None, ..now };
                self.write(vec![Write::Report(report)]);
                let (watch, status) = (sent.watch, sent.status);
                self.tell(EventKind::Reported { watch, status });
            }
            Err(error) => self.not_reported(key, now, &error),
        }
    }

    /// A forge that can't show this status, or forbids it, is not asked again for it; all else is tried again.
    fn not_reported(&mut self, key: ReportKey, report: Report, error: &ForgeError) {
        let tries = report.tries.saturating_add(1);
        let max = self.known.watches.get(&report.watch).map_or(0, |w| w.timing.max_retries);
        let hopeless = match error.kind() {
            ForgeErrorKind::Unsupported | ForgeErrorKind::Unauthorized => true,
            ForgeErrorKind::Unreachable | ForgeErrorKind::RateLimited => false,
            _ => tries > max,
        };
        let backoff = self.known.options.backoff;
        let wait = backoff.wait(error.retry(), tries, fastrand::f64()).filter(|_| !hopeless);
        if let Some(wait) = wait {
            self.reporting.at.insert(key, self.now.instant + wait);
        }
        let text = error.told();
        let (watch, status) = (report.watch.clone(), report.status.clone());
        let given_up = wait.is_none();
        self.write(vec![Write::Report(Report {
            tries,
            error: Some(text.clone()),
            given_up,
            ..report
        })]);
        let said = given_up && !self.reporting.denied.insert(watch.clone());
        if !said {
            self.tell(EventKind::ReportFailed { watch, status, error: text, wait });
        }
    }

    /// True if a status is still to be shown that a single pass waits for.
    pub(super) fn owes_reports(&self) -> bool {
        self.ledger.reports.values().any(|report| {
            let watch = self.known.reported(&report.watch);
            watch.is_some_and(|watch| report.tries <= watch.timing.max_retries)
        })
    }
}

/// True if the two are about the same delivery, at the same branches: then a state that the forge took of one need not be
/// sent again for the other.
fn is_about_the_same(one: &CommitStatus, other: &CommitStatus) -> bool {
    one.delivery == other.delivery && one.subjects == other.subjects
}

fn says_the_same(one: &CommitStatus, other: &CommitStatus) -> bool {
    one.state == other.state && is_about_the_same(one, other)
}
