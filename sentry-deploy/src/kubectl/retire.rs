//! Cancelling and deleting runs. Only those that carry Sentry's marks are touched.

use std::collections::BTreeSet;

use sentry_core::deployer::{DeployError, Retire, RetireHow};
use serde_json::{Value, json};

use super::call::{self, Caller};
use super::{Kubectl, output};
use crate::tekton::retiring;

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
    let found = found(caller, request).await?;
    let words: BTreeSet<&str> = found.iter().filter_map(retiring::cancel_word).collect();
    for word in words {
        let is_meant = |run: &&Value| retiring::cancel_word(run) == Some(word);
        let patch = json!({"spec": {"status": word}}).to_string();
        let args =
            ["patch", "-f", "-", "--type=merge", "--field-manager=sentry", "-p", patch.as_str()];
        let reply = caller.run(&args, list(found.iter().filter(is_meant))).await?;
        // A run that ended or was deleted in between is refused: an error only if one is still active.
        let failed =
            !reply.success && self::found(caller, request).await?.iter().any(|r| is_meant(&r));
        if failed {
            return Err(reply.error(&format!("can't cancel runs of {}", request.cluster)));
        }
    }
    Ok(())
}

/// Deletes the runs that ended, in one call.
async fn delete(caller: &Caller<'_>, request: &Retire) -> Result<(), DeployError> {
    let found = found(caller, request).await?;
    let ended: Vec<_> = found.iter().filter(|run| retiring::has_ended(run)).collect();
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
    found.retain(retiring::is_ours);
    Ok(found)
}

/// The runs as a `List` of what names them.
fn list<'a>(runs: impl IntoIterator<Item = &'a Value>) -> Vec<u8> {
    call::references(&runs.into_iter().map(retiring::reference).collect::<Vec<_>>())
}
