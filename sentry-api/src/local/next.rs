//! What comes next for a commit, and what a person can do about it.

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Delivery, HeadRecord, Reason, Verdict};
use sentry_core::names::WatchName;
use sentry_core::revision::Revision;
use sentry_core::store::Brief;

use super::why::Known;
use crate::shape::RunTotals;
use crate::text::{ahead, count};

impl Known {
    pub(super) fn next_step(
        &self,
        record: &HeadRecord,
        reason: &Reason,
        open: Option<&Brief>,
        by_hand: &str,
    ) -> String {
        let id = record.delivery.as_ref().map(ToString::to_string).unwrap_or_default();
        let watch = &record.watch;
        match reason {
            Reason::Delivered => self
                .delivery(record)
                .map_or_else(|| "nothing to do: it was delivered".to_owned(), after_delivery),
            Reason::Waiting if self.delivery(record).is_some_and(|d| d.asked.dry_run) => {
                format!("deliver it with `deployer: native`; `sentry show {id}` lists the objects")
            }
            Reason::Waiting => self.waiting_for(open),
            Reason::SupersededBy(sha) => {
                let next = format!("see `sentry why {sha}` for that one");
                match self.delivery(record).map(|d| d.verdict.is_some() || goes_on(d)) {
                    Some(true) => {
                        format!("{next}; `sentry show {id}` shows the runs of this one")
                    }
                    _ => format!("{next}; to deliver this one: `{by_hand}`"),
                }
            }
            Reason::Baseline => {
                format!("the branch's next commit is delivered; to deliver this one: `{by_hand}`")
            }
            Reason::NoRunMatched | Reason::OnlyObjects => {
                let branch = &record.revision.subject;
                format!("`sentry explain {watch} --branch {branch}` shows why for each document")
            }
            Reason::RunsLeftOut => {
                let branch = &record.revision.subject;
                format!(
                    "fix what was refused: `sentry explain {watch} --branch {branch}` shows why"
                )
            }
            Reason::NoFile => format!(
                "add a run to the watch's directory, then `{by_hand}`; `sentry show {id}` names \
                 the \
                 commit that was read"
            ),
            Reason::SkippedByMarker => {
                format!("its message has a skip marker; to deliver it anyway: `{by_hand}`")
            }
            Reason::InPullRequest => {
                format!(
                    "its pull request's own runs count; to deliver the push as well: `{by_hand}`"
                )
            }
            Reason::WaitsForApproval => self.approving(record),
            Reason::Cancelled => format!("nothing to do; to deliver it after all: `{by_hand}`"),
            Reason::Suspended => format!("`sentry resume {watch}`"),
            Reason::Parked => {
                let again = self.looked_at(record).map(|at| ahead(self.now, at));
                let again = again.map(|at| format!("it is retried {at}; "));
                format!(
                    "{}fix what the detail names: a change to the manifests or the \
                     configuration triggers a retry; to retry now: `sentry retry {id}`",
                    again.unwrap_or_default()
                )
            }
            Reason::ForgeUnreachable { .. } | Reason::NotSeen => self.no_record_step(watch),
        }
    }

    /// When the parked head of a record is looked at again by itself.
    /// With the branch that it is to be merged into: it may be another one by the time of the command.
    fn approving(&self, record: &HeadRecord) -> String {
        let (watch, Revision { subject, sha }) = (&record.watch, &record.revision);
        let pull = self.subject(record).and_then(|subject| subject.cursors.pull.as_ref());
        let base = pull.map(|pull| format!(" --base {}", pull.target_branch)).unwrap_or_default();
        let number = subject.name();
        format!("look at it, then `sentry approve {watch} {number} --revision {sha}{base}`")
    }

    fn looked_at(&self, record: &HeadRecord) -> Option<Timestamp> {
        let parked = self.subject(record)?.cursors.parked.as_ref()?;
        parked.again.filter(|_| record.delivery.as_ref() == Some(&parked.delivery))
    }

    pub(super) fn waiting_for(&self, open: Option<&Brief>) -> String {
        if self.overview.agent.is_none() {
            return "no agent has run on this state: start `sentry watch`".to_owned();
        }
        match open {
            Some(d) if d.next_attempt.is_some() => {
                let at = d.next_attempt.map(|at| ahead(self.now, at)).unwrap_or_default();
                format!("nothing to do: the next attempt is due {at}; `sentry show {}`", d.id)
            }
            Some(d) if d.is_queued() => {
                format!("nothing to do: queued runs start as others end; `sentry show {}`", d.id)
            }
            Some(d) => format!("nothing to do: it is {}; `sentry show {}`", d.state.as_str(), d.id),
            None => {
                "nothing to do: it is queued; `sentry status` shows what is ahead of it".to_owned()
            }
        }
    }

    pub(super) fn no_record_step(&self, watch: &WatchName) -> String {
        match self.outage(watch) {
            Some(outage) => {
                let next = outage.next.map(|at| ahead(self.now, at)).unwrap_or_default();
                format!(
                    "the next poll of the forge is due {next}; `sentry validate --online` tests \
                     it now"
                )
            }
            None => format!(
                "check that it was pushed to a branch that `sentry status {watch}` \
                 lists; to deliver it: `sentry trigger {watch} --branch BRANCH --revision SHA`"
            ),
        }
    }
}

fn goes_on(delivery: &Delivery) -> bool {
    delivery.active_runs().next().is_some()
}

/// Every object is acknowledged: what is left is how the runs end.
fn after_delivery(delivery: &Delivery) -> String {
    let (id, totals) = (&delivery.id, RunTotals::from(delivery.run_totals()));
    match delivery.verdict {
        None if totals.running > 0 => {
            let runs = count(totals.total, "run");
            format!("nothing to do: {} of {runs} still running; `sentry show {id}`", totals.running)
        }
        Some(Verdict::Failure) => format!(
            "`sentry show {id}` shows why each run failed; to run those again: \
             `sentry rerun {id} --failed`"
        ),
        Some(Verdict::Error) => format!(
            "check the runs on the cluster, listed by `sentry show {id}`; to run them \
             again: `sentry rerun {id} --failed`"
        ),
        Some(Verdict::Success) | None => {
            format!("nothing to do; `sentry show {id}` lists the objects")
        }
    }
}
