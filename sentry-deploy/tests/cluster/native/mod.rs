//! The deployer that speaks to the API itself.

#[path = "../each/apply.rs"]
mod apply;
#[path = "../each/blame.rs"]
mod blame;
#[path = "../each/contract.rs"]
mod contract;
#[path = "../each/diff.rs"]
mod diff;
#[path = "../each/exist.rs"]
mod exist;
#[path = "../each/follow.rs"]
mod follow;
#[path = "../each/git_auth.rs"]
mod git_auth;
mod identity;
#[path = "../each/kinds.rs"]
mod kinds;
#[path = "../each/managers.rs"]
mod managers;
#[cfg(feature = "cluster")]
#[path = "../each/real.rs"]
mod real;
#[cfg(feature = "cluster")]
#[path = "../each/real_contract.rs"]
mod real_contract;
#[path = "../each/retire.rs"]
mod retire;
#[path = "../each/role.rs"]
mod role;

mod reach;
mod speak;
mod versions;

use std::path::PathBuf;

use sentry_core::secret::Redactor;
use sentry_deploy::{Native, NativeSettings};

pub(crate) use crate::lab::*;

pub(crate) type Lab = crate::lab::Lab<Native>;
/// What the tests on a real cluster use.
#[cfg(feature = "cluster")]
pub(crate) type Deployed = Native;
#[cfg(feature = "cluster")]
pub(crate) const NAME: &str = "native";

pub(crate) fn lab() -> Lab {
    lab_with(|_| {})
}

/// One whose deployer has other settings.
pub(crate) fn lab_with(change: impl FnOnce(&mut NativeSettings)) -> Lab {
    Lab::with(|kubeconfig, redactor| deployer(kubeconfig, redactor, change))
}

pub(crate) fn deployer(
    kubeconfig: PathBuf,
    redactor: Redactor,
    change: impl FnOnce(&mut NativeSettings),
) -> Native {
    let mut settings = NativeSettings::new(redactor);
    settings.kubeconfig = Some(kubeconfig);
    change(&mut settings);
    Native::new(settings)
}
