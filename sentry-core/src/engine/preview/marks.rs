//! Takes Sentry's own marks out of a diff: they name the delivery, so they would differ every time.

use crate::deployer::ObjectDiff;
use crate::plan::Action;

const MARK: &str = "    sentry-gitops.dev/";

/// The diff without Sentry's labels and annotations; what differs in nothing else is unchanged.
pub(super) fn left_out(diff: ObjectDiff) -> ObjectDiff {
    let before = diff.before.as_deref().map(without_marks);
    let after = without_marks(&diff.after);
    let action = match diff.action {
        Action::Configured if before.as_ref() == Some(&after) => Action::Unchanged,
        other => other,
    };
    ObjectDiff { object: diff.object, action, before, after }
}

/// Only in `metadata`, where the keys with our prefix are ours; a section that held nothing else goes as well.
fn without_marks(yaml: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut in_metadata = false;
    let mut section = None;
    for line in yaml.lines().chain([""]) {
        let depth = line.len() - line.trim_start().len();
        if depth <= 2 {
            if section.take().is_some_and(|at| at == kept.len()) {
                kept.pop();
            }
            if depth == 0 {
                in_metadata = line == "metadata:";
            }
        }
        if in_metadata && line.starts_with(MARK) {
            continue;
        }
        kept.push(line);
        if in_metadata && ["  labels:", "  annotations:"].contains(&line) {
            section = Some(kept.len());
        }
    }
    kept.pop();
    kept.iter().flat_map(|line| [*line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ObjectRef;

    const LIVE: &str = "\
apiVersion: v1
data:
  note: |
    sentry-gitops.dev/delivery: kept
kind: ConfigMap
metadata:
  annotations:
    sentry-gitops.dev/revision: a
  labels:
    app: x
    sentry-gitops.dev/delivery: a
  name: x
";

    fn diff(before: &str, after: &str) -> ObjectDiff {
        let object = ObjectRef {
            path: "c.yaml".into(),
            document: 1,
            line: 1,
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("qa".into()),
            name: "x".into(),
        };
        let before = Some(before.to_owned());
        left_out(ObjectDiff { object, action: Action::Configured, before, after: after.into() })
    }

    #[test]
    fn what_differs_in_marks_only_is_unchanged() {
        let diff = diff(LIVE, &LIVE.replace(": a\n", ": b\n"));
        assert_eq!(diff.action, Action::Unchanged);
        assert_eq!(
            diff.after,
            "apiVersion: v1\ndata:\n  note: |\n    sentry-gitops.dev/delivery: kept\nkind: ConfigMap\n\
             metadata:\n  labels:\n    app: x\n  name: x\n"
        );
    }

    #[test]
    fn an_object_that_sentry_marks_for_the_first_time_is_told_by_what_else_differs() {
        let bare = "kind: ConfigMap\nmetadata:\n  name: x\ndata:\n  a: '1'\n";
        let ours = bare.replace("  name", "  labels:\n    sentry-gitops.dev/watch: qa\n  name");
        assert_eq!(diff(bare, &ours).action, Action::Unchanged);
        let changed = diff(bare, &ours.replace("'1'", "'2'"));
        assert_eq!(changed.action, Action::Configured);
        assert_eq!(changed.after, bare.replace("'1'", "'2'"));
    }
}
