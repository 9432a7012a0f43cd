//! The same contract on a real API server.

use std::sync::Arc;

use sentry_core::deployer::DeployerPorts;
use sentry_core::secret::Redactor;
use sentry_core::testing::deployer_contract::Bench;

use super::deployer;
use crate::door::Door;

async fn bench() -> Bench {
    let door = Door::open();
    let deployer = deployer(door.kubeconfig.clone(), Redactor::new(), |_| {});
    let (ports, target) = (DeployerPorts::new(Arc::new(deployer)), door.target());
    Bench { ports, target, ground: Arc::new(door) }
}

sentry_core::deployer_contract_tests!(bench);
