//! Who is told how deliveries end: written down with the delivery that it is about, then told, oldest first, until the
//! receiver takes it. A receiver that fails holds nothing up.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, Machine};
use crate::engine::ledger::key_of;
use crate::engine::notices::{decide, notice};
use crate::event::EventKind;
use crate::ids::NoticeId;
use crate::notifier::{Notice, NotifyError, NotifyErrorKind};
use crate::retry::Backoff;
use crate::store::{Outgoing, Trouble, Write};
use crate::subject::SubjectKey;

/// So many notices of one branch wait for one receiver; beyond it the oldest are forgotten: a receiver that is away for
/// weeks fills no disk, and is told the newest when it is back.
const KEPT: usize = 10;
/// The longest wait between two attempts: when a receiver is back, it hears soon.
const LONGEST: Duration = Duration::from_secs(60);
/// A single pass waits for so many failed attempts in a row.
const TRIES_OF_A_PASS: u32 = 3;

/// How receivers stand.
#[derive(Debug, Default)]
pub(super) struct Notifying {
    /// Those that are being told something.
    busy: HashSet<String>,
    /// When one that failed is tried again.
    at: HashMap<String, Instant>,
    /// Failed attempts in a row.
    failures: HashMap<String, u32>,
    /// Those that refused: they are tried again when there is more to tell.
    stalled: HashSet<String>,
}

impl Notifying {
    pub(super) fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// When receivers are tried again.
    pub(super) fn next(&self) -> impl Iterator<Item = Instant> {
        self.at.values().copied()
    }
}

impl Machine {
    /// Adds to deliveries that are written what receivers are to be told of them.
    pub(super) fn add_notices(&mut self, writes: &mut Vec<Write>) {
        let at = self.now.stamp;
        let mut more: Vec<Write> = Vec::new();
        let mut told: Vec<Notice> = Vec::new();
        // Of several deliveries of one branch, the later see what the earlier came to.
        let mut troubles: HashMap<SubjectKey, Option<Trouble>> = HashMap::new();
        for write in writes.iter() {
            let Write::Delivery(delivery) = write else { continue };
            let Some(watch) = self.known.watches.get(&delivery.watch) else { continue };
            let key = key_of(delivery);
            let kept = || self.ledger.troubles.get(&key).cloned();
            let trouble = troubles.get(&key).cloned().unwrap_or_else(kept);
            let before = self.ledger.open.get(&delivery.id);
            let decision = decide(watch, before, delivery, trouble.as_ref(), at);
            more.extend(decision.write(delivery));
            if let Some(trouble) = decision.trouble {
                troubles.insert(key, trouble);
            }
            for telling in decision.told {
                let id = NoticeId::of(self.ids.next(at, fastrand::u128(..)));
                told.push(notice(watch, delivery, telling, id, at));
            }
        }
        in_order(&mut told);
        for notice in told {
            self.address(&notice, &mut more);
        }
        writes.extend(more);
    }

    /// A notice for each receiver that wants it.
    fn address(&mut self, notice: &Notice, writes: &mut Vec<Write>) {
        let Some(watch) = self.known.watches.get(&notice.watch) else { return };
        let wants = watch.notify.iter().filter(|s| s.wants(notice.route, notice.occasion));
        for receiver in wants.map(|s| s.receiver.clone()).collect::<Vec<_>>() {
            self.notifying.stalled.remove(&receiver);
            let key = (notice.watch.clone(), notice.revision.subject.clone());
            let waiting = self.ledger.waiting_notices(&receiver, &key);
            let surplus = (waiting.len() + 1).saturating_sub(KEPT);
            for id in waiting.into_iter().take(surplus) {
                writes.push(Write::ForgetNotice { receiver: receiver.clone(), id });
            }
            let notice = notice.clone();
            let outgoing = Outgoing { receiver, notice, tries: 0, error: None };
            writes.push(Write::Notice(Box::new(outgoing)));
        }
    }

    /// Tells each receiver the oldest notice that waits for it.
    pub(super) fn send_notices(&mut self) {
        let now = self.now.instant;
        let Notifying { busy, at, stalled, .. } = &self.notifying;
        let is_due = |receiver: &&String| {
            !busy.contains(*receiver)
                && !stalled.contains(*receiver)
                && at.get(*receiver).is_none_or(|at| *at <= now)
        };
        // One that is in the configuration no more is told should it come back.
        let due = self.known.notifiers.iter().filter(is_due);
        let next = due.filter_map(|receiver| self.ledger.next_notice(receiver).cloned());
        for outgoing in next.collect::<Vec<_>>() {
            self.notifying.busy.insert(outgoing.receiver.clone());
            self.call(Call::Notify(Box::new(outgoing)));
        }
    }

    pub(super) fn notified(&mut self, outgoing: Outgoing, result: Result<(), NotifyError>) {
        let Outgoing { receiver, notice, .. } = outgoing;
        self.notifying.busy.remove(&receiver);
        self.notifying.at.remove(&receiver);
        let forget = Write::ForgetNotice { receiver: receiver.clone(), id: notice.id.clone() };
        let error = match result {
            Ok(()) => {
                self.notifying.failures.remove(&receiver);
                self.note(forget);
                self.tell(EventKind::Notified { receiver, notice: Box::new(notice) });
                return;
            }
            Err(error) => error,
        };
        let tries = self.notifying.failures.get(&receiver).map_or(1, |n| n.saturating_add(1));
        let usual = self.known.options.backoff;
        let backoff = Backoff { cap: usual.cap.min(LONGEST), ..usual };
        let wait = backoff.wait(error.retry(), tries, fastrand::f64());
        let text = error.told();
        if error.kind() == NotifyErrorKind::Rejected {
            // The receiver lives: what it does not take must not keep the others from it.
            self.notifying.failures.remove(&receiver);
            self.write(vec![forget]);
        } else {
            self.notifying.failures.insert(receiver.clone(), tries);
            if let Some(wait) = wait {
                self.notifying.at.insert(receiver.clone(), self.now.instant + wait);
            } else {
                self.notifying.stalled.insert(receiver.clone());
            }
            let key = (receiver.clone(), notice.id.clone());
            // It may have been forgotten meanwhile for newer ones.
            if let Some(kept) = self.ledger.outbox.get(&key).cloned() {
                let tries = kept.tries.saturating_add(1);
                let kept = Outgoing { tries, error: Some(text.clone()), ..kept };
                self.write(vec![Write::Notice(Box::new(kept))]);
            }
        }
        self.tell(EventKind::NotifyFailed {
            receiver,
            notice: Box::new(notice),
            error: text,
            tries,
            wait,
        });
    }

    /// A notifier panicked, or was cut off by a stop: it is asked again.
    pub(super) fn notifier_broke_down(&mut self, receiver: String) {
        self.notifying.busy.remove(&receiver);
        self.notifying.at.insert(receiver, self.now.instant + LONGEST);
    }

    /// True if a receiver is still to be told what a single pass waits for.
    pub(super) fn owes_notices(&self) -> bool {
        self.ledger.outbox.keys().any(|(receiver, _)| {
            let failures = self.notifying.failures.get(receiver).copied().unwrap_or_default();
            self.known.notifiers.contains(receiver)
                && !self.notifying.stalled.contains(receiver)
                && failures <= TRIES_OF_A_PASS
        })
    }
}

/// Notices of one moment have ids of one time: they are given out so that they sort as they were decided.
fn in_order(notices: &mut [Notice]) {
    let mut ids: Vec<NoticeId> = notices.iter().map(|notice| notice.id.clone()).collect();
    ids.sort();
    for (notice, id) in notices.iter_mut().zip(ids) {
        notice.id = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample;

    #[test]
    fn notices_of_one_moment_sort_as_they_were_decided() {
        let mut notices = [3, 1, 2].map(sample::notice);
        for (notice, text) in notices.iter_mut().zip(["first", "second", "third"]) {
            notice.reason = Some(text.to_owned());
        }
        in_order(&mut notices);
        notices.sort_by(|one, other| one.id.cmp(&other.id));
        let told = notices.map(|notice| notice.reason.unwrap());
        assert_eq!(told, ["first", "second", "third"]);
    }
}
