//! 57: what passes is waited for and never counted, what may pass is counted, given up and looked at again, what is
//! definite is refused at once with its own sentence: whatever answers, and at whichever step.

use std::sync::Arc;
use std::time::Duration;

use sentry_core::delivery::{Delivery, DeliveryState, RunState, Verdict};
use sentry_core::deployer::{DeployError, DeployErrorKind, Deployer as _, FollowQuery};
use sentry_core::plan::Plan;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_tests::apiserver::ApiServer;
use sentry_tests::promise::{cases, kept};
use serde_json::{Value, json};

use crate::answers::{ANSWERS, Column, Step, Troubled, column, kubectl_that_says};
use crate::clients::{cluster, objects};
use crate::world::{RUNS, World, seconds};

const STEPS: [Step; 3] = [Step::Check, Step::Apply, Step::Follow];

/// What the real deployer makes of what kubectl says at each step.
fn errors(text: &str) -> [DeployError; 3] {
    let home = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kubectl = kubectl_that_says(text, home.path());
        let check = kubectl.check(&plan()).await.unwrap_err();
        let apply = match kubectl.apply(&plan()).await {
            Ok(changes) => changes.error.unwrap(),
            Err(error) => error,
        };
        [check, apply, follow(&kubectl).await]
    })
}

fn plan() -> Plan {
    let (git_auth, timeout) = (Vec::new(), Duration::from_secs(60));
    let delivery = "01hf7yat000000000000000000".parse().unwrap();
    Plan { delivery, cluster: cluster(), objects: objects(), git_auth, timeout }
}
