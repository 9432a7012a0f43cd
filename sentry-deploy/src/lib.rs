//! Deployers: [`Kubectl`] applies a plan to a cluster, a [`dry_run`] only says what would be done.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use sentry_core::deployer::DeployerPorts;
//! use sentry_core::secret::Redactor;
//! use sentry_deploy::{Kubectl, KubectlSettings};
//!
//! # fn deployer() -> Result<DeployerPorts, Box<dyn std::error::Error>> {
//! let kubectl = Kubectl::new(KubectlSettings::new(Redactor::new()))?;
//! Ok(DeployerPorts::new(Arc::new(kubectl)))
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `kubectl` | the real kubectl as cluster and deployer: one folder, with what its answers and Tekton's objects mean apart as pure code |
//! | `dry_run` | a deployer without a cluster |

mod dry_run;
mod kubectl;

pub use dry_run::dry_run;
pub use kubectl::{Kubectl, KubectlSettings, current_context};
