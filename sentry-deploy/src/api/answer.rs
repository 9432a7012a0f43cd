//! What kind of error an answer of an API server's is: whether it passes, may pass, or is definite. Pure.
//!
//! Reasons are those of `StatusReason` (apimachinery, `pkg/apis/meta/v1/types.go`); where something in between answered
//! without any, one stands for the status code (client-go, `NewGenericServerResponse`).

use sentry_core::deployer::DeployErrorKind;

/// An answer that is no success.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    /// True if the API server said it itself. Where something in between did, what was sent may have arrived.
    pub(crate) is_own: bool,
    /// True if it is about fields that another manager owns.
    pub(crate) is_of_fields: bool,
    /// True if what it is about is a namespace.
    pub(crate) names_namespace: bool,
}

impl Answer<'_> {
    /// What kind of error it is, and what a person can do about it. What is not known is waited for.
    pub(crate) fn classify(&self) -> (DeployErrorKind, Option<&'static str>) {
        use DeployErrorKind::{
            Conflict, Forbidden, Missing, Refused, Unauthorized, Unavailable, Unreachable,
        };
        match self.reason {
            // A webhook gives its denial whatever reason it likes; one that is a server's trouble is no denial.
            "InternalError" if self.is_own || is_denied(self.message) => (Unavailable, None),
            "ServiceUnavailable" | "TooManyRequests" => (Unavailable, None),
            "InternalError" | "Timeout" | "ServerTimeout" => (Unreachable, None),
            _ if is_denied(self.message) => (Refused, None),
            "BadRequest" | "Invalid" | "RequestEntityTooLarge" | "UnsupportedMediaType" => {
                (Refused, None)
            }
            "Unauthorized" => (Unauthorized, Some(LOG_IN)),
            "Forbidden" if self.message.contains(" is forbidden: User ") => {
                (Forbidden, Some(GRANT))
            }
            "Forbidden" => (Forbidden, None),
            "NotFound" if self.names_namespace => (Missing, Some(NAMESPACE)),
            "NotFound" => (Missing, None),
            "Conflict" if self.is_of_fields => (Conflict, Some(TAKE_OVER)),
            // Somebody else wrote at the same moment.
            "Conflict" => (Unavailable, None),
            _ => (Unreachable, None),
        }
    }
}

/// True for what an admission webhook denied (apiserver, `ToStatusErr`), not for one that could not be called.
pub(crate) fn is_denied(message: &str) -> bool {
    let name = message.strip_prefix("admission webhook \"").and_then(|rest| rest.split_once('"'));
    name.is_some_and(|(_, rest)| rest.starts_with(" denied the request"))
}

pub(crate) const GRANT: &str =
    "grant the right to Sentry's account: `kubectl auth can-i --list` shows what it has";
pub(crate) const LOG_IN: &str =
    "renew the credentials in the kubeconfig, or the pod's service account";
pub(crate) const TAKE_OVER: &str = "another field manager owns these fields: remove them there, or set the watch's \
    `cluster.force_conflicts` to `first`, which takes over what `kubectl apply` and `kubectl create` left, or to `always`";
pub(crate) const NAMESPACE: &str = "create the namespace first: Sentry does not";
pub(crate) const NO_KIND: &str =
    "install the kind's CRD on the cluster, or correct `apiVersion` and `kind`";
pub(crate) const CERTIFICATE: &str =
    "put the cluster's CA into the kubeconfig (`certificate-authority-data`)";
pub(crate) const OUR_CERTIFICATE: &str = "renew `client-certificate` and `client-key` in the kubeconfig: the cluster takes certificates of its own CA alone";
pub(crate) const KUBECONFIG: &str = "`kubectl config get-contexts` shows what the kubeconfig holds";
pub(crate) const NO_CLUSTER: &str =
    "no kubeconfig names a cluster: set `kubeconfig`, or run Sentry inside the cluster";
