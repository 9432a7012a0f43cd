//! Cancelling and deleting runs. Only those that carry Sentry's marks are touched.

use std::collections::BTreeSet;

use sentry_core::delivery::RunState;
use sentry_core::deployer::{DeployError, Retire, RetireHow};
use sentry_core::secret::Redactor;
use serde_json::{Value, json};

use super::call::{self, Caller};
use super::{Kubectl, output, runs};

pub(super) async fn retire(kubectl: &Kubectl, request: &Retire) -> Result<(), DeployError> {
    if request.runs.is_empty() {
        return Ok(());
    }
    let caller = kubectl.caller(&request.cluster, request.timeout);
    match request.how {
        RetireHow::Cancel => cancel(&caller, request).await,
        RetireHow::Delete => delete(&caller, request).await,
    }
}

/// Asks each active run to end: one call for each kind. Kinds that can't be cancelled are left alone.
async fn cancel(caller: &Caller<'_>, request: &Retire) -> Result<(), DeployError> {
    let going = going(caller, request).await?;
    let words: BTreeSet<&str> = going.iter().filter_map(cancel_word).collect();
    for word in words {
        let runs = going.iter().filter(|run| cancel_word(run) == Some(word));
        let patch = json!({"spec": {"status": word}}).to_string();
        let args =
            ["patch", "-f", "-", "--type=merge", "--field-manager=sentry", "-p", patch.as_str()];
        let reply = caller.run(&args, list(runs)).await?;
        // A run that ended or was deleted in between is refused: an error only if one is still active.
        let failed = !reply.success
            && self::going(caller, request).await?.iter().any(|r| cancel_word(r) == Some(word));
        if failed {
            return Err(reply.error(&format!("can't cancel runs of {}", request.cluster)));
        }
    }
    Ok(())
}

/// Deletes the runs that ended, in one call.
async fn delete(caller: &Caller<'_>, request: &Retire) -> Result<(), DeployError> {
    let found = found(caller, request).await?;
    let ended = [RunState::Succeeded, RunState::Failed, RunState::Cancelled];
    let ended: Vec<_> = found.iter().filter(|run| ended.contains(&state(run))).collect();
    if ended.is_empty() {
        return Ok(());
    }
    let args = ["delete", "-f", "-", "--ignore-not-found", "--wait=false"];
    let reply = caller.run(&args, list(ended)).await?;
    if reply.success {
        Ok(())
    } else {
        Err(reply.error(&format!("can't delete runs of {}", request.cluster)))
    }
}

/// The wanted runs that exist and are Sentry's.
async fn found(caller: &Caller<'_>, request: &Retire) -> Result<Vec<Value>, DeployError> {
    let wanted = call::references(&request.runs);
    let args = ["get", "-f", "-", "--ignore-not-found", "-o", "json"];
    let reply = caller.run(&args, wanted).await?;
    if !reply.success {
        return Err(reply.error(&format!("can't read the runs of {}", request.cluster)));
    }
    let mut found = output::objects(&reply.stdout);
    found.retain(|run| runs::commit(run).is_some());
    Ok(found)
}

/// Those that are active and were not asked to end.
async fn going(caller: &Caller<'_>, request: &Retire) -> Result<Vec<Value>, DeployError> {
    let mut found = found(caller, request).await?;
    // A run that waits for its start can be cancelled as well.
    let asked =
        |run: &Value| run["spec"]["status"].as_str().is_some_and(|s| s != "PipelineRunPending");
    found.retain(|run| state(run) == RunState::Running && !asked(run));
    Ok(found)
}

fn words(run: &Value) -> (&str, &str) {
    (run["apiVersion"].as_str().unwrap_or_default(), run["kind"].as_str().unwrap_or_default())
}

fn state(run: &Value) -> RunState {
    let (api_version, kind) = words(run);
    let status = runs::status(api_version, kind, run, &Redactor::new());
    status.map_or(RunState::Unfollowed, |status| status.state)
}

fn cancel_word(run: &Value) -> Option<&'static str> {
    let (api_version, kind) = words(run);
    runs::followed(api_version, kind)?.cancel
}

/// The runs as a `List` of what names them.
fn list<'a>(runs: impl IntoIterator<Item = &'a Value>) -> Vec<u8> {
    let name = |run: &Value| {
        let (api_version, kind) = words(run);
        let name = run["metadata"]["name"].as_str().unwrap_or_default();
        (api_version.to_owned(), kind.to_owned(), name.to_owned())
    };
    call::references(&runs.into_iter().map(name).collect::<Vec<_>>())
}
