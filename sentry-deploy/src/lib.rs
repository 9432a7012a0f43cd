//! What is done with a plan: [`Kubectl`] brings it to a cluster, [`DryRun`] only says what would be done.

mod dry_run;
mod kubectl;

pub use dry_run::DryRun;
pub use kubectl::{Kubectl, KubectlSettings, Probe};
