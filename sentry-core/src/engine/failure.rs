//! Why an attempt did not come to its end.

use std::time::Duration;

use crate::deployer::DeployError;
use crate::forge::{ForgeError, ForgeErrorKind};
use crate::manifest::DocumentDecision;
use crate::retry::Retry;

/// Why an attempt did not come to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum AttemptError {
    #[error("{what}")]
    Forge {
        what: String,
        #[source]
        source: ForgeError,
    },
    #[error("{what}")]
    Deploy {
        what: String,
        #[source]
        source: DeployError,
    },
    #[error("{repo} has none of the branches {wanted}; create one, or change `manifests.branch`")]
    NoBranch { repo: String, wanted: String },
    #[error("{} of {total} documents are refused: {}", refusals.len(), list(refusals))]
    Refused { refusals: Vec<DocumentDecision>, total: usize },
    #[error("{0}")]
    NoSuchRun(String),
    #[error("the state could not be saved before writing to the cluster: {0}")]
    State(String),
    #[error("it took longer than the watch's timeout of {} s", limit.as_secs())]
    Timeout { limit: Duration },
    #[error("the attempt crashed: {0}")]
    Panic(String),
    /// Found by the next process: of the attempt no end was written down.
    #[error(
        "the process ended in the middle of attempt {attempt}: it was killed, or memory ran out"
    )]
    CutOff { attempt: u32 },
}

impl AttemptError {
    /// What to do after it, for a watch that is polled at this interval.
    pub(super) fn retry(&self, interval: Duration) -> Retry {
        match self {
            // As with polls: the forge holds requests back itself, until the token changes.
            Self::Forge { source, .. } if source.kind() == ForgeErrorKind::Unauthorized => {
                Retry::After(interval)
            }
            Self::Forge { source, .. } => source.retry(),
            Self::Deploy { source, .. } => source.retry(),
            Self::Refused { refusals, .. } if refusals.iter().all(|d| d.of_cluster) => {
                Retry::Counted
            }
            Self::NoBranch { .. } | Self::Refused { .. } | Self::NoSuchRun(_) => Retry::Stalled,
            Self::Panic(_) | Self::CutOff { .. } => Retry::Counted,
            // Nothing came back in time: that is an outage, not a refusal.
            Self::State(_) | Self::Timeout { .. } => Retry::Backoff,
        }
    }

    /// With its causes and the remedy, where there is one.
    pub(super) fn told(&self) -> String {
        let hint = match self {
            Self::Forge { source, .. } => source.hint(),
            Self::Deploy { source, .. } => source.hint(),
            Self::CutOff { .. } => Some(
                "if it keeps happening, check the log, the memory limit and what this delivery reads",
            ),
            _ => None,
        };
        crate::error::told(self, hint)
    }
}

fn list(refusals: &[DocumentDecision]) -> String {
    let one = |d: &DocumentDecision| {
        let place =
            d.column.map_or_else(|| d.line.to_string(), |column| format!("{}:{column}", d.line));
        format!("{}:{place} (document {}): {}", d.path, d.document, d.reason)
    };
    refusals.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refused_token_is_tried_again_at_the_polls_pace() {
        let interval = Duration::from_secs(60);
        let retry = |source| AttemptError::Forge { what: String::new(), source }.retry(interval);
        for kind in [ForgeErrorKind::Unreachable, ForgeErrorKind::NotFound] {
            assert_eq!(retry(ForgeError::new(kind, "")), Retry::Backoff, "{kind:?}");
        }
        for kind in [ForgeErrorKind::NoCommit, ForgeErrorKind::OutOfMemory] {
            assert_eq!(retry(ForgeError::new(kind, "")), Retry::Counted, "{kind:?}");
        }
        assert_eq!(retry(ForgeError::new(ForgeErrorKind::TooLarge, "")), Retry::Stalled);
        let refused = ForgeError::new(ForgeErrorKind::Unauthorized, "");
        assert_eq!(retry(refused), Retry::After(interval));
    }
}
