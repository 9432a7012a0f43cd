//! The contract of a deployer, kept by the fake.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::sync::{Arc, Mutex};

use sentry_core::delivery::RunState;
use sentry_core::deployer::{DeployErrorKind, DeployerPorts};
use sentry_core::names::ClusterRef;
use sentry_core::testing::deployer_contract::{Bench, Ground, Refusal};
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::sample;

#[derive(Debug)]
struct Memory {
    fake: Arc<FakeDeployer>,
    refused: Mutex<Vec<String>>,
}

impl Ground for Memory {
    fn writes(&self) -> usize {
        self.fake.writes()
    }
    fn made(&self) -> Vec<String> {
        self.fake.created().into_iter().map(|run| run.object.name).collect()
    }
    fn refuse(&self, _: &str, name: &str, how: Refusal) {
        let kind = match how {
            Refusal::ForGood => DeployErrorKind::Refused,
            Refusal::ForNow => DeployErrorKind::Forbidden,
        };
        self.fake.refuse_as(name, Some(kind));
        self.refused.lock().unwrap().push(name.to_owned());
    }
    fn heal(&self) {
        for name in self.refused.lock().unwrap().drain(..) {
            self.fake.refuse_as(&name, None);
        }
    }
    fn away(&self, away: bool) {
        self.fake.down(away);
    }
    fn finish(&self, name: &str, well: bool) {
        let (state, reason) = match well {
            true => (RunState::Succeeded, "Succeeded"),
            false => (RunState::Failed, "Failed"),
        };
        assert!(self.fake.finish(name, state, reason));
    }
    fn delete(&self, name: &str) {
        assert!(self.fake.delete_run(name));
    }
}

async fn bench() -> Bench {
    let fake = Arc::new(FakeDeployer::new().following());
    Bench {
        ports: DeployerPorts::new(Arc::clone(&fake)),
        target: ClusterRef {
            deployer: "deployer".into(),
            context: None,
            namespace: sample::parse("qa"),
        },
        ground: Arc::new(Memory { fake, refused: Mutex::default() }),
    }
}

sentry_core::deployer_contract_tests!(bench);
