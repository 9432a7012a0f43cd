//! Cancelling and deleting runs. Only those that carry Sentry's marks are touched.

use futures::StreamExt as _;
use futures::stream;
use sentry_core::deployer::{DeployError, Retire, RetireHow};
use serde_json::{Value, json};

use super::Native;
use super::call::{Ask, Caller};
use super::resources::{self, Known};
use super::write::{self, AT_ONCE};
use crate::tekton::retiring;

pub(super) async fn retire(native: &Native, request: &Retire) -> Result<(), DeployError> {
    if request.runs.is_empty() {
        return Ok(());
    }
    let caller = native.caller(&request.cluster, request.timeout);
    let kinds = request.runs.iter().map(|(version, kind, _)| (version.clone(), kind.clone()));
    let known = resources::known(native, &caller, &kinds.collect()).await?;
    let mut done = stream::iter(0..request.runs.len())
        .map(|at| one(&caller, &known, &request.runs[at], request.how))
        .buffered(AT_ONCE);
    // Those on their way are carried out, whatever became of one.
    let mut first = Ok(());
    while let Some(one) = done.next().await {
        first = first.and(one);
    }
    first
}

async fn one(
    caller: &Caller<'_>,
    known: &Known,
    run: &(String, String, String),
    how: RetireHow,
) -> Result<(), DeployError> {
    let (version, kind, name) = (run.0.as_str(), run.1.as_str(), run.2.as_str());
    let namespace = caller.cluster.namespace.as_str();
    let Some(path) = known.path((version, kind), namespace, Some(name)) else { return Ok(()) };
    let found = || async {
        let found = write::read(caller, known, (version, kind, name), None).await?;
        Ok::<_, DeployError>(found.filter(retiring::is_ours))
    };
    let Some(live) = found().await? else { return Ok(()) };
    let (ask, doing) = match how {
        RetireHow::Cancel => {
            let Some(word) = retiring::cancel_word(&live) else { return Ok(()) };
            let patch = json!({"spec": {"status": word}});
            (Ask::merge(format!("{path}?fieldManager=sentry"), &patch), "cancel")
        }
        RetireHow::Delete if retiring::has_ended(&live) => (deletion(path, &live), "delete"),
        RetireHow::Delete => return Ok(()),
    };
    let Err(refusal) = caller.send(&ask).await?.json() else { return Ok(()) };
    // A run that ended or was deleted in between is refused: an error only if there is still something to do.
    let is_open = |run: &Value| match how {
        RetireHow::Cancel => retiring::cancel_word(run).is_some(),
        RetireHow::Delete => run["metadata"]["uid"] == live["metadata"]["uid"],
    };
    if !refusal.is_gone() && found().await?.is_some_and(|run| is_open(&run)) {
        let doing = format!("can't {doing} runs of {}", caller.cluster);
        return Err(caller.error(&doing, &refusal));
    }
    Ok(())
}

/// The deletion of this very run, with what it made.
fn deletion(path: String, run: &Value) -> Ask {
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
        "preconditions": {"uid": run["metadata"]["uid"]},
    });
    Ask::delete(path, &options)
}
