//! The contract of a deployer, kept by kubectl over an API server.

use std::sync::Arc;

use sentry_core::deployer::DeployerPorts;
use sentry_core::testing::deployer_contract::{Bench, Ground, Refusal};
use sentry_tests::apiserver::Outcome;

use crate::lab::{Lab, cluster, lab};

impl Ground for Lab {
    fn writes(&self) -> usize {
        self.server.writes()
    }
    fn made(&self) -> Vec<String> {
        self.server.creates_of("PipelineRun")
    }
    fn refuse(&self, kind: &str, name: &str, how: Refusal) {
        let (status, message) = match how {
            Refusal::ForGood => (422, "spec: Invalid value: not to our taste"),
            Refusal::ForNow => (403, "exceeded quota: runs"),
        };
        self.server.faults().refuse_always(kind, name, status, message);
    }
    fn heal(&self) {
        self.server.faults().heal();
    }
    fn away(&self, away: bool) {
        if away { self.server.pause() } else { self.server.resume() }
    }
    fn finish(&self, name: &str, well: bool) {
        let outcome = if well { Outcome::Succeeded } else { Outcome::TimedOut };
        assert!(self.server.finish_run(name, outcome));
    }
    fn delete(&self, name: &str) {
        assert!(self.server.delete("PipelineRun", name));
    }
}

async fn bench() -> Bench {
    let lab = Arc::new(lab());
    Bench { ports: DeployerPorts::new(Arc::clone(&lab.kubectl)), target: cluster(), ground: lab }
}

sentry_core::deployer_contract_tests!(bench);
