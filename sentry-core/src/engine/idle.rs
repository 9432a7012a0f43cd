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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Operation, RunRules};
    use crate::testing::sample;

    /// A document: what is done with it, whether it is a run, and whether its kind is known.
    fn document(decision: Decision, run: bool, is_read: bool) -> DocumentDecision {
        DocumentDecision {
            path: "x.yaml".to_owned(),
            document: 1,
            line: 1,
            column: None,
            kind: is_read.then(|| "Some".to_owned()),
            run,
            name: None,
            decision,
            reason: String::new(),
            of_cluster: false,
        }
    }

    #[test]
    fn where_no_run_starts_the_first_reason_that_fits_is_the_cause() {
        use Decision::{Apply, Refuse, Skip};
        let object = |operation| PlannedObject {
            object: sample::object(),
            operation,
            json: serde_json::Value::Null,
            rules: RunRules::default(),
        };
        let of = |decisions: &[DocumentDecision], objects: Vec<PlannedObject>| {
            cause(&ManifestSet { decisions: decisions.to_vec(), objects, ..ManifestSet::default() })
        };
        let (skipped, applied) = (document(Skip, true, true), document(Apply, false, true));
        let (left_out, unread) = (document(Refuse, true, true), document(Refuse, false, false));
        let refused = document(Refuse, false, true);
        let note = document(Skip, false, false);
        let why = |decisions: &[&DocumentDecision]| {
            let decisions: Vec<_> = decisions.iter().map(|d| (*d).clone()).collect();
            of(&decisions, vec![object(Operation::Apply)])
        };
        assert_eq!(why(&[]), Some(Reason::NoFile));
        assert_eq!(why(&[&note]), Some(Reason::NoFile));
        assert_eq!(why(&[&applied]), Some(Reason::OnlyObjects));
        assert_eq!(why(&[&applied, &refused]), Some(Reason::OnlyObjects));
        assert_eq!(why(&[&applied, &skipped]), Some(Reason::NoRunMatched));
        assert_eq!(why(&[&refused, &skipped]), Some(Reason::NoRunMatched));
        assert_eq!(why(&[&skipped, &left_out]), Some(Reason::RunsLeftOut));
        assert_eq!(why(&[&skipped, &unread]), Some(Reason::RunsLeftOut));
        let run = object(Operation::Create { key: "k".to_owned() });
        assert_eq!(of(std::slice::from_ref(&left_out), vec![run]), None);
        let skips = [&skipped, &applied, &left_out, &note].map(is_skipped_run);
        assert_eq!(skips, [true, false, false, false]);
    }
}
