//! Deployers: [`Native`] and [`Kubectl`] apply a plan to a cluster, a [`dry_run`] only says what would be done.
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
//! | `native` | the API server as cluster and deployer, over HTTP |
//! | `kubectl` | the real kubectl as cluster and deployer; what its answers mean apart as pure code |
//! | `tekton`, `api` | what the objects of runs mean, and the Kubernetes API's paths, documents and answers: pure |
//! | `follow` | the runs of a namespace as a stream, however a cluster is read |
//! | `kubeconfig` | where kubeconfigs are, and the secrets in them |
//! | `dry_run` | a deployer without a cluster |

mod api;
mod dry_run;
mod follow;
mod kubeconfig;
mod kubectl;
mod native;
mod tekton;

pub use dry_run::dry_run;
pub use kubeconfig::current_context;
pub use kubectl::{Kubectl, KubectlSettings};
pub use native::{Native, NativeSettings, cluster_identity};
