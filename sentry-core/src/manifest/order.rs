//! The order in which objects are written: what a run refers to is there before the run.

use crate::plan::{Operation, PlannedObject};

/// Other kinds, then tasks, then pipelines, then runs; within each in the order of the files.
pub(super) fn sort(objects: &mut [PlannedObject]) {
    objects.sort_by_cached_key(|p| (rank(p), p.object.path.clone(), p.object.document));
}

fn rank(planned: &PlannedObject) -> u8 {
    if matches!(planned.operation, Operation::Create { .. }) {
        return 3;
    }
    let tekton = planned.object.api_version.starts_with("tekton.dev/");
    match planned.object.kind.as_str() {
        "Task" | "StepAction" if tekton => 1,
        "Pipeline" if tekton => 2,
        _ => 0,
    }
}
