//! What a deployer met.

use crate::error::{Error, Kind};
use crate::retry::Retry;

/// What kind of error a deployer met; decides the exit code and the retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployErrorKind {
    /// The cluster can't be reached, did not answer in time, or what answered was not understood: what was sent may
    /// have arrived.
    Unreachable,
    /// The cluster answered that it can't do it now: it is overloaded, a webhook can't be called, somebody else wrote
    /// at the same moment.
    Unavailable,
    /// The cluster refuses our credentials, or what gets them for us failed.
    Unauthorized,
    /// Our account may not do it: it lacks a right, a quota is full, the namespace is being deleted.
    Forbidden,
    /// The namespace, or the kind in this version, is not there.
    Missing,
    /// Another field manager owns the object's fields.
    Conflict,
    /// The cluster refuses an object as it is: it is invalid, or a webhook denies it.
    Refused,
    /// The object is not as the check saw it: somebody has written it since. The next attempt checks it anew.
    Stale,
    /// A run's name is taken by an object with another key.
    NameConflict,
    /// The program, context or kubeconfig is missing or unusable.
    Local,
    /// The attempt took longer than the plan's timeout: a cluster that stopped responding in the middle can't be
    /// distinguished from a slow one.
    Timeout,
    /// It was stopped before it finished.
    Interrupted,
}

impl Kind for DeployErrorKind {
    /// What passes on its own is waited for and never counted; what the cluster's owner may fix is counted; what is
    /// wrong with the object itself is definite.
    fn retry(self) -> Retry {
        match self {
            Self::Unreachable
            | Self::Unavailable
            | Self::Unauthorized
            | Self::Timeout
            | Self::Stale
            | Self::Interrupted => Retry::Backoff,
            // A kubeconfig that is mounted later, or a kubectl that is installed, changes nothing that we are notified
            // of.
            Self::Forbidden | Self::Missing | Self::Conflict | Self::Local => Retry::Counted,
            Self::Refused | Self::NameConflict => Retry::Stalled,
        }
    }
}

impl DeployErrorKind {
    /// True if the cluster itself said no, so that what the error is about was not written.
    #[must_use]
    pub fn is_answer(self) -> bool {
        match self {
            Self::Unavailable
            | Self::Unauthorized
            | Self::Forbidden
            | Self::Missing
            | Self::Conflict
            | Self::Refused
            | Self::Stale
            | Self::NameConflict => true,
            Self::Unreachable | Self::Local | Self::Timeout | Self::Interrupted => false,
        }
    }
}

/// An error of a deployer. The text names object and cluster, never a secret.
pub type DeployError = Error<DeployErrorKind>;
