//! How a machine begins: with the state that an earlier agent left.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::outages::LOOK;
use super::{Attempts, Effects, Known, Machine, Mode, Moment, Polls};
use crate::cursor::Cursors;
use crate::engine::courier::{AttemptEnd, Outcome};
use crate::engine::failure::AttemptError;
use crate::engine::ledger::Ledger;
use crate::engine::{Summary, poller};
use crate::event::EventKind;
use crate::ids::{self, Sequence};
use crate::retry::look;
use crate::store::Write;

impl Machine {
    /// A machine over the state as it was loaded, and what it does first: it takes up waits that were begun, counts attempts
    /// in whose middle an earlier process ended, and looks at heads anew that a person's change unparks.
    pub(in crate::engine) fn start(
        known: Arc<Known>,
        mode: Mode,
        ledger: Ledger,
        now: Moment,
    ) -> (Self, Effects) {
        let mut ids = Sequence::default();
        let told = ledger.outbox.keys().map(|(_, id)| ids::bits(id.as_str())).max();
        let newest = ledger.newest.as_ref().map(|id| ids::bits(id.as_str()));
        ids.go_on_after(told.max(newest));
        let polls = Polls {
            groups: poller::groups(&known.watches, now.instant),
            next_round: now.instant,
            asked: HashMap::new(),
        };
        let mut machine = Self {
            known,
            mode,
            now,
            effects: Effects::default(),
            late: Vec::new(),
            ids,
            ledger,
            index: Default::default(),
            polls,
            attempts: Attempts::default(),
            following: Default::default(),
            reporting: Default::default(),
            notifying: Default::default(),
            retiring: Default::default(),
            grace_ends: None,
            summary: Summary::default(),
        };
        machine.take_up_index();
        machine.take_up_waits();
        machine.take_up_heads();
        machine.take_up_approvals();
        machine.tell(EventKind::Started { watches: machine.known.watches.len() });
        machine.count_cut_off();
        let effects = std::mem::take(&mut machine.effects);
        (machine, effects)
    }

    fn take_up_index(&mut self) {
        let open: Vec<_> = self.ledger.open.keys().cloned().collect();
        let due: Vec<_> = self.ledger.reports.keys().cloned().collect();
        open.iter().for_each(|id| self.index_delivery(id));
        due.iter().for_each(|key| self.note_report(key));
    }

    fn take_up_waits(&mut self) {
        for delivery in self.ledger.open.values() {
            let left = delivery.next_attempt.map(|at| {
                Duration::try_from(at.duration_since(self.now.stamp)).unwrap_or_default()
            });
            // A wall clock that was set back must not hold a delivery longer than the longest wait; what only outages held
            // up finds out soon whether they are over.
            let longest = if delivery.attempts.failures == 0 { LOOK } else { Duration::MAX };
            let left = left.unwrap_or_default().min(self.known.options.backoff.cap).min(longest);
            // A single pass makes its attempt, however long an earlier pass wanted to wait.
            let left = if matches!(self.mode, Mode::Run) { left } else { Duration::ZERO };
            self.attempts.ready.wait(delivery.id.clone(), self.now.instant + left);
        }
    }

    /// Heads that were given up: another configuration takes them up, or they wait for their look.
    fn take_up_heads(&mut self) {
        let mut writes = Vec::new();
        for (name, watch) in &self.known.watches {
            let fingerprint = watch.fingerprint();
            for state in self.ledger.cursors.get(name).into_iter().flat_map(BTreeMap::values) {
                let Some(parked) = &state.parked else { continue };
                if parked.fingerprint != fingerprint {
                    let state = Cursors::clone(state);
                    writes.push(Write::Cursors(Cursors { parked: None, ..state }));
                } else if let Some(at) = parked.again {
                    let left = at.duration_since(self.now.stamp);
                    // However the wall clock was set meanwhile.
                    let left = Duration::try_from(left).unwrap_or_default().min(look(u32::MAX));
                    let key = (name.clone(), state.subject.clone());
                    self.attempts.look_at.insert(key, self.now.instant + left);
                }
            }
        }
        self.write(writes);
    }

    /// Attempts in whose middle an earlier process ended have failed: that is written down before anything is begun anew.
    fn count_cut_off(&mut self) {
        let cut_off: Vec<_> =
            self.ledger.open.values().filter(|d| d.is_in_attempt()).cloned().collect();
        for delivery in cut_off {
            let attempt = delivery.attempts.tries.saturating_add(1);
            self.touch(&delivery.id);
            self.conclude(AttemptEnd {
                earlier: delivery.runs.len(),
                delivery,
                outcome: Outcome::Failed(AttemptError::CutOff { attempt }),
            });
        }
    }
}
