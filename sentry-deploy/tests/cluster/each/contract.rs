//! The contract of a deployer, kept over an API server.

use std::sync::Arc;

use sentry_core::deployer::DeployerPorts;
use sentry_core::testing::deployer_contract::Bench;

use super::{cluster, lab};

async fn bench() -> Bench {
    let lab = Arc::new(lab());
    Bench { ports: DeployerPorts::new(Arc::clone(&lab.deployer)), target: cluster(), ground: lab }
}

sentry_core::deployer_contract_tests!(bench);
