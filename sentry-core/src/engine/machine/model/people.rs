//! What people do: they push, repair, suspend, and ask for deliveries.

use super::reference::Branch;
use super::world::World;
use crate::delivery::{Cause, Selection, Trigger, TriggerKind, TriggerState};
use crate::ids::TriggerId;
use crate::repo::CommitSha;
use crate::store::Suspension;
use crate::testing::sample;

impl World {
    pub(super) fn push(&mut self, branch: Branch) -> CommitSha {
        let sha = sample::sha(u32::try_from(self.commits.len()).expect("a few"));
        self.commits.push(sha.clone());
        self.heads.insert(branch, sha.clone());
        sha
    }

    pub(super) fn repair(&mut self) {
        self.number += 1;
        self.tests = sample::sha(1_000_000 + u32::try_from(self.number).expect("a few"));
    }

    pub(super) fn suspend(&mut self, suspend: bool) {
        let suspensions = &mut self.kept.ledger.inbox.suspensions;
        suspensions.clear();
        if suspend {
            let (watch, since) = (sample::watch("qa"), self.now().stamp);
            self.kept.ledger.inbox.suspensions =
                vec![Suspension { watch, reason: None, since, until: None, by: None }];
        }
    }

    /// A request is acknowledged with its id; the same request has the same one.
    pub(super) fn ask(&mut self, request: usize, key: Option<u8>) {
        let at = self.now().stamp;
        let kind = TriggerKind::Deliver {
            subject: sample::subject("main"),
            sha: None,
            selection: Selection::default(),
        };
        let trigger = Trigger {
            id: TriggerId::new(at, fastrand::u128(..)),
            key: key.map_or_else(|| format!("request {request}"), |key| format!("key {key}")),
            watch: sample::watch("qa"),
            kind,
            cause: Cause::Manual,
            by: None,
            at,
            state: TriggerState::Pending,
        };
        let known = self.kept.triggers.values().find(|kept| kept.key == trigger.key).cloned();
        let kept = known.unwrap_or_else(|| {
            self.kept.triggers.insert(trigger.id.clone(), trigger.clone());
            self.kept.ledger.inbox.triggers.push(trigger.clone());
            trigger
        });
        let kept = (kept.id, kept.at);
        let first = self.requests.entry(request).or_insert_with(|| kept.clone());
        assert_eq!(*first, kept, "promise 6: the same key is the same request");
        self.latest = self.latest.max(at);
    }
}
