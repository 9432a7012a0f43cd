//! Heads of forks: what a person's approval starts, and what nobody starts without one.

use super::Machine;
use crate::approval::{self, Approvable, Approval, Approved};
use crate::change;
use crate::cursor::Cursors;
use crate::delivery::{Cause, Delivery, Trigger, TriggerKind};
use crate::forge::StatusState;
use crate::names::WatchName;
use crate::repo::CommitSha;
use crate::revision::Revision;
use crate::store::Write;
use crate::subject::Subject;

/// A head that has no delivery, and what its commit is to show.
#[derive(Debug)]
pub(in crate::engine) struct Undelivered {
    pub(in crate::engine) watch: WatchName,
    pub(in crate::engine) revision: Revision,
    pub(in crate::engine) state: StatusState,
    pub(in crate::engine) text: &'static str,
}

impl Machine {
    /// The delivery is made of what was approved, in the commit that keeps the approval: no later word of the forge is asked.
    pub(super) fn take_approve(&mut self, trigger: &Trigger) {
        let TriggerKind::Approve { number, sha, base } = &trigger.kind else { return };
        let key = (trigger.watch.clone(), Subject::from(number.clone()));
        let state = self.ledger.cursors(&key);
        let state = match approval::judge(&key.0, number, state, sha, base) {
            Ok(Approvable::Already(delivery)) => {
                return self.answer(trigger, &delivery, Vec::new());
            }
            Ok(Approvable::Now(state)) => state.clone(),
            Err(why) => return self.reject(trigger, why),
        };
        let selector =
            self.known.watches.get(&key.0).and_then(|w| w.source.subjects.pulls.as_ref());
        if !selector.zip(state.pull.as_deref()).is_some_and(|(s, pull)| s.matches(pull)) {
            let text = format!("watch {} does not select {}", key.0, key.1.label());
            return self.reject(trigger, text);
        }
        let revision = Revision { subject: key.1, sha: sha.clone() };
        let mut delivery = self.new_delivery(&key.0, revision, Cause::Change);
        delivery.asked.by.clone_from(&trigger.by);
        let given = Approved {
            head: sha.clone(),
            base: base.clone(),
            by: trigger.by.clone(),
            at: self.now.stamp,
            delivery: delivery.id.clone(),
        };
        // One that was there at first sight is to be delivered from now on.
        let passed = state.passed.clone().filter(|_| delivery.asked.dry_run);
        let approval = Some(Box::new(Approval::Given(given)));
        let state = Cursors { approval, passed, ..state };
        let id = delivery.id.clone();
        let head = Write::Head(self.waiting(&delivery));
        let writes = vec![Write::Cursors(state), head, Write::Delivery(Box::new(delivery))];
        self.answer(trigger, &id, writes);
    }

    /// Why a person's request may not start this commit: a fork's pull request has it as its head, and nobody approved it.
    pub(super) fn held_back(
        &self,
        watch: &WatchName,
        subject: &Subject,
        sha: Option<&CommitSha>,
    ) -> Option<String> {
        let all = self.ledger.cursors.get(watch)?;
        let is_head = |state: &Cursors| sha.is_none_or(|sha| *sha == state.observed.sha);
        let state = match all.get(subject).map(AsRef::as_ref) {
            Some(own) if is_head(own) && !own.is_unapproved() => return None,
            Some(own) if own.approval.is_some() => own,
            _ => {
                let strange = |state: &&Cursors| state.is_unapproved() && is_head(state);
                sha.and_then(|_| all.values().map(AsRef::as_ref).find(strange))?
            }
        };
        let (label, head) = (state.subject.label(), &state.observed.sha);
        let (number, sha) = (state.subject.name(), sha.unwrap_or(head));
        let base = state.pull.as_ref().map(|pull| format!(" --base {}", pull.target_branch));
        let base = base.unwrap_or_default();
        Some(if sha == head {
            format!(
                "{sha} is the head of {label} of watch {watch}, from a fork, and nobody has approved it: look \
                 at it, then run `sentry approve {watch} {number} --revision {sha}{base}`"
            )
        } else {
            format!(
                "{label} of watch {watch} is from a fork, and {sha} is not its head, which is {head}: only its \
                 head can be approved"
            )
        })
    }

    /// The same of what an earlier delivery brought: an approval is over once the head or the target has moved.
    pub(super) fn held_back_again(&self, earlier: &Delivery) -> Option<String> {
        let is_fork = earlier.pull.as_ref().is_some_and(|pull| pull.is_fork);
        let Revision { subject, sha } = &earlier.revision;
        is_fork.then(|| self.held_back(&earlier.watch, subject, Some(sha))).flatten()
    }

    /// What another configuration says of heads of forks that are known.
    pub(super) fn take_up_approvals(&mut self) {
        let mut writes = Vec::new();
        for (name, watch) in &self.known.watches {
            let Some(selector) = &watch.source.subjects.pulls else { continue };
            for state in self.ledger.cursors.get(name).into_iter().flat_map(|all| all.values()) {
                let Some(pull) = &state.pull else { continue };
                let approval = change::approval(selector, pull, state.approval.as_deref());
                if approval.as_ref() != state.approval.as_deref() {
                    let approval = approval.map(Box::new);
                    writes.push(Write::Cursors(Cursors { approval, ..Cursors::clone(state) }));
                }
            }
        }
        self.write(writes);
    }
}
