//! Why a delivery starts no run. Pure.

use crate::delivery::Reason;
use crate::manifest::{Decision, DocumentDecision, ManifestSet};
use crate::plan::PlannedObject;

/// Why no run of a set starts; `None` if one does. Of a strict watch's set nothing is refused any more.
pub(super) fn cause(set: &ManifestSet) -> Option<Reason> {
    if set.objects.iter().any(PlannedObject::is_run) {
        return None;
    }
    let any = |is: &dyn Fn(&DocumentDecision) -> bool| set.decisions.iter().any(is);
    // What can't be read may be a run.
    let may_be_run = |d: &DocumentDecision| d.run || d.kind.is_none();
    Some(if any(&|d| d.decision == Decision::Refuse && may_be_run(d)) {
        Reason::RunsLeftOut
    } else if any(&|d| d.run) {
        Reason::NoRunMatched
    } else if any(&|d| d.kind.is_some()) {
        Reason::OnlyObjects
    } else {
        Reason::NoFile
    })
}

/// True for a run that is not meant for this head.
pub(super) fn is_skipped_run(decision: &DocumentDecision) -> bool {
    decision.run && decision.decision == Decision::Skip
}
