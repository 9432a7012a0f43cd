//! What the state says of one branch, put together from the places where it is kept.

use sentry_core::clock::Timestamp;
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{DeliveryState, Reason};
use sentry_core::repo::CommitSha;
use sentry_core::store::{Brief, SubjectView, WatchState};

use crate::shape::Commit;
use crate::words::BranchState as Word;

/// One branch.
pub(super) struct Facts<'a> {
    pub(super) cursors: &'a Cursors,
    /// The delivery under way, if its objects are not all acknowledged yet.
    pub(super) open: Option<&'a Brief>,
    /// The delivery whose runs are told: the one under way once it has some, else the delivered head's newest.
    pub(super) told: Option<&'a Brief>,
    /// The delivery to look at: the one under way, else the newest.
    pub(super) shown: Option<&'a Brief>,
    /// The delivered head's newest delivery.
    delivered: Option<&'a Brief>,
    watch: Option<&'a WatchState>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(subject: &'a SubjectView, watch: Option<&'a WatchState>) -> Self {
        // The one that works or waits for its next attempt comes before one that waits behind it.
        let open = subject.open.iter().find(|delivery| !is_settled(delivery));
        let told = open.filter(|delivery| delivery.has_runs()).or(subject.delivered.as_ref());
        let shown = open.or(subject.newest.as_ref());
        let delivered = subject.delivered.as_ref();
        Self { cursors: &subject.cursors, open, told, shown, delivered, watch }
    }

    /// What one of its heads says of itself, if a delivery that is told or shown is of it.
    pub(super) fn commit(&self, sha: &CommitSha) -> Option<Commit> {
        let of_it = |brief: &&&Brief| brief.revision.sha == *sha;
        let briefs = [self.shown, self.told, self.delivered];
        briefs.iter().flatten().filter(of_it).find_map(|brief| Some(brief.commit.as_ref()?.into()))
    }

    /// The word of the documented list.
    pub(super) fn word(&self) -> Word {
        let branch = self.cursors;
        if branch.gone.is_some() {
            return Word::Gone;
        }
        if branch.waits_for_approval() {
            return Word::WaitsForApproval;
        }
        if let Some(delivery) = self.open {
            return match delivery.state {
                DeliveryState::Pending if delivery.tries > 0 => Word::Retrying,
                DeliveryState::Pending => Word::Pending,
                _ => Word::Delivering,
            };
        }
        if branch.is_parked() {
            return Word::Parked;
        }
        if branch.is_change() {
            return Word::Pending;
        }
        match (&branch.passed, &branch.delivered) {
            (Some(passed), _) if passed.reason == Reason::Baseline => Word::Baseline,
            (Some(passed), _) if passed.reason == Reason::Cancelled => Word::Cancelled,
            (Some(_), _) => Word::NothingRan,
            (None, None) => Word::Baseline,
            (None, Some(_)) => Word::Delivered,
        }
    }

    /// Why no run of the branch's head was to start.
    pub(super) fn nothing_ran(&self) -> Option<&'a Reason> {
        let passed = self.cursors.passed.as_ref().map(|passed| &passed.reason);
        passed.filter(|_| self.word() == Word::NothingRan)
    }

    /// Why the branch's head is not delivered, where that was tried.
    pub(super) fn delivery_error(&self) -> Option<&'a str> {
        let delivery = self.open.and_then(|d| d.error.as_deref());
        let parked = self.cursors.parked.as_ref().filter(|_| self.cursors.is_parked());
        delivery.or(parked.map(|p| p.error.as_str()))
    }

    /// Which runs of the delivered head failed, or could not be followed.
    pub(super) fn run_error(&self) -> Option<&'a str> {
        self.told.filter(|d| d.verdict.is_some()).and_then(|d| d.error.as_deref())
    }

    pub(super) fn error(&self) -> Option<&'a str> {
        let forge = || self.watch?.unreachable.as_ref().map(|o| o.error.as_str());
        self.delivery_error().or_else(|| self.run_error()).or_else(forge)
    }

    pub(super) fn next_attempt(&self) -> Option<Timestamp> {
        let forge = || self.watch?.unreachable.as_ref()?.next;
        let parked = || self.cursors.parked.as_ref().filter(|_| self.cursors.is_parked())?.again;
        self.open.and_then(|d| d.next_attempt).or_else(parked).or_else(forge)
    }
}

/// True if every object is acknowledged and only runs are waited for.
fn is_settled(delivery: &Brief) -> bool {
    delivery.state == DeliveryState::Following && !delivery.is_queued()
}

#[cfg(test)]
mod tests {
    use sentry_core::cursor::{Parked, Passed};
    use sentry_core::delivery::{Asked, AttemptCounts, Delivery};
    use sentry_core::plan::Action;
    use sentry_core::testing::sample;

    use super::*;

    fn seen() -> Cursors {
        Cursors::first_seen(sample::watch("app"), sample::subject("main"), sample::mark(1))
    }

    fn word(branch: &Cursors, open: &[Delivery]) -> &'static str {
        let open = open.iter().map(Brief::from).collect();
        let (newest, delivered) = (None, None);
        let view = SubjectView { cursors: branch.clone(), open, newest, delivered };
        Facts::of(&view, None).word().as_str()
    }

    fn delivery(n: u32, state: DeliveryState) -> Delivery {
        let attempts = AttemptCounts::default();
        let asked = Asked { dry_run: false, ..sample::asked(n) };
        Delivery { state, asked, attempts, ..sample::delivery(n) }
    }

    #[test]
    fn each_branch_has_a_word_of_the_documented_list() {
        let word = |branch: &Cursors| word(branch, &[]);
        assert_eq!(word(&seen()), "pending");
        let mark = || sample::mark(1);
        let baseline = Passed { mark: mark(), reason: Reason::Baseline };
        let baseline = Cursors { passed: Some(baseline), ..seen() };
        assert_eq!(word(&baseline), "baseline");
        let delivered = Cursors { delivered: Some(mark()), ..seen() };
        assert_eq!(word(&delivered), "delivered");
        let passed = |reason| Passed { mark: mark(), reason };
        let skipped = Some(passed(Reason::SkippedByMarker));
        assert_eq!(word(&Cursors { passed: skipped, ..seen() }), "nothing_ran");
        let cancelled = Some(passed(Reason::Cancelled));
        assert_eq!(word(&Cursors { passed: cancelled, ..delivered.clone() }), "cancelled");
        let applied = Some(passed(Reason::OnlyObjects));
        assert_eq!(word(&Cursors { passed: applied, ..delivered }), "nothing_ran");
        let parked = Parked {
            mark: mark(),
            delivery: sample::id(1),
            fingerprint: String::new(),
            manifests: None,
            regardless_of_b: false,
            error: "refused".into(),
            again: None,
        };
        let parked = Cursors { parked: Some(Box::new(parked)), ..seen() };
        assert_eq!(word(&parked), "parked");
        assert_eq!(word(&Cursors { gone: Some(sample::time(1)), ..parked }), "gone");
    }

    #[test]
    fn a_branch_whose_runs_go_on_is_delivered_and_one_with_queued_runs_is_not() {
        let branch = Cursors { delivered: Some(sample::mark(1)), ..seen() };
        let mut following = delivery(1, DeliveryState::Following);
        following.objects.retain(|o| o.action != Action::Queued);
        assert_eq!(word(&branch, &[following.clone()]), "delivered");
        let mut queued = following.clone();
        queued.objects[0].action = Action::Queued;
        assert_eq!(word(&branch, &[queued]), "delivering");
        let next = delivery(2, DeliveryState::Applying);
        assert_eq!(word(&branch, &[following.clone(), next]), "delivering");
        let attempts = AttemptCounts { tries: 1, ..AttemptCounts::default() };
        let waits = Delivery { attempts, ..delivery(2, DeliveryState::Pending) };
        assert_eq!(word(&branch, &[following, waits]), "retrying");
    }
}
