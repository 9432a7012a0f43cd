//! The state as the agent sees it: it kills the agent at a write, and judges every cursor when it is written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sentry_core::delivery::Reason;
use sentry_core::plan::Operation;
use sentry_core::store::Write;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::hooked::{Call, Fault, Hook};
use sentry_core::testing::sample;
use sentry_store::MemoryStore;

/// How many runs one delivery makes.
pub(crate) const RUNS: usize = 2;

/// The key of every run that was made.
pub(crate) fn keys(cluster: &FakeDeployer) -> Vec<String> {
    let key = |operation| match operation {
        Operation::Create { key } => Some(key),
        Operation::Apply => None,
    };
    cluster.created().into_iter().filter_map(|run| key(run.operation)).collect()
}

/// True if all runs of a branch's commit are on the cluster, made for the change or for one request.
pub(crate) fn is_complete(cluster: &FakeDeployer, branch: &str, sha: &str) -> bool {
    let mut made = BTreeMap::<String, usize>::new();
    let part = format!("|{}|{sha}|", sample::subject(branch).key());
    for key in keys(cluster).iter().filter(|key| key.contains(&part)) {
        *made.entry(key.rsplit('|').next().unwrap().to_owned()).or_default() += 1;
    }
    made.values().any(|runs| *runs == RUNS)
}

#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) cluster: Arc<FakeDeployer>,
    /// How many more moments, before and after each write, the agent lives.
    pub(crate) left: AtomicUsize,
    /// The heads that each branch's cursor stood at, in order.
    pub(crate) cursors: Mutex<BTreeMap<String, Vec<String>>>,
    pub(crate) faults: Mutex<Vec<String>>,
}

impl Judge {
    /// True once the agent is as good as dead.
    pub(crate) fn is_sealed(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    async fn moment(&self) {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            std::future::pending::<()>().await;
        }
        self.left.store(left - 1, Ordering::Relaxed);
    }

    fn look(&self, write: &Write) {
        let Write::Cursors(state) = write else { return };
        let branch = &*state.subject.text();
        let expected = |reason: &Reason| matches!(reason, Reason::Baseline | Reason::Cancelled);
        if let Some(passed) = state.passed.as_ref().filter(|p| !expected(&p.reason)) {
            self.faults.lock().unwrap().push(format!("{branch}: let pass: {passed:?}"));
        }
        let Some(delivered) = &state.delivered else { return };
        let sha = delivered.sha.as_str();
        let mut cursors = self.cursors.lock().unwrap();
        let stood = cursors.entry(branch.to_owned()).or_default();
        if stood.last().is_none_or(|last| last != sha) {
            stood.push(sha.to_owned());
        }
        if !is_complete(&self.cluster, branch, sha) {
            let text = format!("promise 2: {branch}: the cursor is at {sha} before its runs are");
            self.faults.lock().unwrap().push(text);
        }
    }
}

#[async_trait]
impl Hook for Judge {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        if let Call::Commit(writes) = call {
            self.moment().await;
            writes.iter().for_each(|write| self.look(write));
        }
        Ok(())
    }
    async fn after(&self, call: Call<'_>) -> Result<(), Fault> {
        if let Call::Commit(_) = call {
            self.moment().await;
        }
        Ok(())
    }
}
