//! What is done with a plan: [`Kubectl`] brings it to a cluster, a [`dry_run`] only says what would be done.

mod dry_run;
mod kubectl;

pub use dry_run::dry_run;
pub use kubectl::{Kubectl, KubectlSettings};
