//! Statuses on A's commits: written down with the delivery that they tell of, then shown, at most once per change.

use super::*;
use crate::engine::ledger::ReportKey;
use crate::engine::standing::statuses;
use crate::forge::CommitStatus;
use crate::store::Report;
use crate::watch::ReportMode;

/// Statuses that are being shown at a time.
const IN_FLIGHT: usize = 4;

impl Agent {
    /// Adds to deliveries that are written the statuses which they change: of their commits, where other subjects of the
    /// watch may stand as well.
    ///
    /// # Errors
    /// Those of [`StateStore::deliveries`]: without the others at the commit nothing right can be shown.
    pub(super) async fn add_reports(&self, writes: &mut Vec<Write>) -> Result<(), StoreError> {
        let mut commits: BTreeMap<(WatchName, CommitSha), Vec<Delivery>> = BTreeMap::new();
        for write in writes.iter() {
            let Write::Delivery(delivery) = write else { continue };
            let commit = (delivery.watch.clone(), delivery.revision.sha.clone());
            commits.entry(commit).or_default().push(delivery.as_ref().clone());
        }
        for ((name, sha), changed) in commits {
            let Some(watch) = self.parts.watches.get(&name) else { continue };
            if watch.reporting.mode == ReportMode::Off {
                continue;
            }
            let before = self.ledger.delivered_at(&name, &sha).await?;
            let mut after: BTreeMap<_, _> = before.iter().map(|d| (&d.id, d)).collect();
            after.extend(changed.iter().map(|d| (&d.id, d)));
            let after: Vec<Delivery> = after.into_values().cloned().collect();
            let (before, after) = (statuses(watch, &before), statuses(watch, &after));
            let reports = after.into_iter().filter_map(|status| {
                let shown = before.iter().find(|b| b.context == status.context);
                self.report(&name, status, shown)
            });
            writes.extend(reports.map(Write::Report));
        }
        Ok(())
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
        let (watch, at) = (watch.clone(), self.parts.clock.now());
        Some(Report { watch, status, at, sent, tries: 0, error: None, given_up: false })
    }

    /// Starts to show what is due.
    pub(super) fn send_reports(&mut self) {
        let now = Instant::now();
        let due: Vec<(ReportKey, Report)> = self
            .ledger
            .reports
            .iter()
            .filter(|(key, _)| !self.reporting.contains(*key))
            .filter(|(key, _)| self.report_at.get(*key).is_none_or(|at| *at <= now))
            .map(|(key, report)| (key.clone(), report.clone()))
            .collect();
        for (key, report) in due {
            if self.reporting.len() >= IN_FLIGHT {
                return;
            }
            let Some(watch) = self.parts.watches.get(&report.watch) else { continue };
            let forge = Arc::clone(&self.parts.forges[&watch.source.forge]);
            let repo = watch.source.repo.clone();
            self.reporting.insert(key.clone());
            let job = Job::Report(key.clone());
            let task = self.tasks.spawn(async move {
                let result = forge.set_status(&repo, &report.status).await;
                Ended::Reported(key, Box::new(report), result)
            });
            self.jobs.insert(task.id(), job);
        }
    }

    pub(super) async fn reported(
        &mut self,
        key: ReportKey,
        sent: Report,
        result: Result<(), ForgeError>,
    ) {
        self.reporting.remove(&key);
        self.report_at.remove(&key);
        // What is to be shown may have changed meanwhile.
        let now = self.ledger.reports.get(&key).cloned().unwrap_or_else(|| sent.clone());
        match result {
            Ok(()) => {
                let same = is_about_the_same(&now.status, &sent.status);
                let told = same.then_some(sent.status.state);
                let report = Report { sent: told, tries: 0, error: None, ..now };
                if self.commit(vec![Write::Report(report)]).await {
                    let (watch, status) = (sent.watch, sent.status);
                    self.parts.emit(EventKind::Reported { watch, status });
                }
            }
            Err(error) => self.not_reported(key, now, &error).await,
        }
    }

    /// A forge without statuses, or one that forbids them, is not asked again for this one; all else is tried again.
    async fn not_reported(&mut self, key: ReportKey, report: Report, error: &ForgeError) {
        let tries = report.tries.saturating_add(1);
        let max = self.parts.watches.get(&report.watch).map_or(0, |w| w.timing.max_retries);
        let hopeless = match error.kind() {
            ForgeErrorKind::Unsupported | ForgeErrorKind::Unauthorized => true,
            ForgeErrorKind::Unreachable | ForgeErrorKind::RateLimited => false,
            _ => tries > max,
        };
        let backoff = self.parts.options.backoff;
        let wait = backoff.wait(error.retry(), tries, fastrand::f64()).filter(|_| !hopeless);
        if let Some(wait) = wait {
            self.report_at.insert(key, Instant::now() + wait);
        }
        let text = error.told();
        let (watch, status) = (report.watch.clone(), report.status.clone());
        let given_up = wait.is_none();
        self.commit(vec![Write::Report(Report {
            tries,
            error: Some(text.clone()),
            given_up,
            ..report
        })])
        .await;
        let said = given_up && !self.denied.insert(watch.clone());
        // A forge that has no statuses at all has nothing to be told of.
        let has_none = error.kind() == ForgeErrorKind::Unsupported && error.hint().is_none();
        if !has_none && !said {
            self.parts.emit(EventKind::ReportFailed { watch, status, error: text, wait });
        }
    }

    /// True if a status is still to be shown that a single pass waits for.
    pub(super) fn owes_reports(&self) -> bool {
        self.ledger.reports.values().any(|report| {
            let watch = self.parts.watches.get(&report.watch);
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
