//! Which runs may be cancelled and deleted: only those that carry Sentry's marks. Pure.

use sentry_core::delivery::RunState;
use sentry_core::secret::Redactor;
use serde_json::Value;

use super::runs;

/// True for a run that Sentry made.
pub(crate) fn is_ours(run: &Value) -> bool {
    runs::commit(run).is_some()
}

/// True for a run that ended: it may be deleted.
pub(crate) fn has_ended(run: &Value) -> bool {
    [RunState::Succeeded, RunState::Failed, RunState::Cancelled].contains(&state(run))
}

/// What `spec.status` is set to so that a run ends: for one that goes on, was not asked to end, and can be.
pub(crate) fn cancel_word(run: &Value) -> Option<&'static str> {
    // A run that waits for its start can be cancelled as well.
    let asked = run["spec"]["status"].as_str().is_some_and(|s| s != "PipelineRunPending");
    let (api_version, kind) = words(run);
    let cancel = runs::followed(api_version, kind)?.cancel?;
    (state(run) == RunState::Running && !asked).then_some(cancel)
}

/// What names a run: its `apiVersion`, kind and name.
pub(crate) fn reference(run: &Value) -> (String, String, String) {
    let (api_version, kind) = words(run);
    let name = run["metadata"]["name"].as_str().unwrap_or_default();
    (api_version.to_owned(), kind.to_owned(), name.to_owned())
}

fn words(run: &Value) -> (&str, &str) {
    (run["apiVersion"].as_str().unwrap_or_default(), run["kind"].as_str().unwrap_or_default())
}

fn state(run: &Value) -> RunState {
    let (api_version, kind) = words(run);
    let status = runs::status(api_version, kind, run, &Redactor::new());
    status.map_or(RunState::Unfollowed, |status| status.state)
}
