//! The Secrets by which runs clone A: written before the runs, then given to those that are there. They are never read;
//! what a write of them answers tells their versions.

use futures::StreamExt as _;
use futures::stream;
use sentry_core::deployer::DeployError;
use sentry_core::plan::{GitAuth, Plan};
use serde_json::{Value, json};

use super::call::{Ask, Caller, within};
use super::resources::Known;
use super::write::{self, AT_ONCE};
use crate::api::paths;
use crate::tekton::retiring;

/// Owns the owners: with a manager of their own, the next attempt's apply, which knows of none, takes none away
/// (Kubernetes, "Server-Side Apply").
const OWNERS: &str = "fieldManager=sentry-owners";
/// Owns nothing: it only looks.
const NOBODY: &str = "fieldManager=sentry-look";
const OURS: &str = "fieldManager=sentry";

/// Asks whether the cluster would take the Secrets.
pub(super) async fn check(caller: &Caller<'_>, plan: &Plan) -> Result<(), DeployError> {
    for secret in &plan.git_auth {
        apply(caller, secret, &format!("{OURS}&dryRun=All"), &secret.object(), "make").await?;
    }
    Ok(())
}

/// Writes the Secrets, with the credentials of this attempt.
pub(super) async fn lend(caller: &Caller<'_>, plan: &Plan) -> Result<(), DeployError> {
    for secret in &plan.git_auth {
        apply(caller, secret, OURS, &secret.object(), "make").await?;
    }
    Ok(())
}

/// Makes the runs that are there the owners of their Secret, so that it goes with the last of them; a Secret without a
/// run is deleted. The same at every attempt, so that a lost answer is repaired by the next one.
///
/// # Errors
/// Whatever the server said: then the attempt is not complete, and is repeated.
pub(super) async fn give(
    caller: &Caller<'_>,
    known: &Known,
    plan: &Plan,
) -> Result<(), DeployError> {
    for secret in &plan.git_auth {
        // Before the runs are looked for: whoever is given it from then on changes its version.
        let stood = stood(caller, secret).await?;
        let found = users(caller, known, secret).await?;
        if !found.is_empty() {
            let owned = secret.owned_by(&found);
            apply(caller, secret, OWNERS, &owned, "set the owners of").await?;
        } else if let Some(stood) = stood {
            delete(caller, secret, &stood).await?;
        }
    }
    Ok(())
}

/// The Secret that is there: which one, in which version. A dry run that would change nothing shows it.
async fn stood(caller: &Caller<'_>, secret: &GitAuth) -> Result<Option<Value>, DeployError> {
    let query = format!("{NOBODY}&dryRun=All");
    let metadata = json!({"name": secret.name, "namespace": secret.namespace});
    let nothing = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata});
    let there = apply(caller, secret, &query, &nothing, "look for").await?;
    let metadata = &there["metadata"];
    let version = metadata["resourceVersion"].as_str().filter(|version| !version.is_empty());
    Ok(version.map(|version| json!({"uid": metadata["uid"], "resourceVersion": version})))
}

/// Deletes the very Secret that was seen.
async fn delete(caller: &Caller<'_>, secret: &GitAuth, stood: &Value) -> Result<(), DeployError> {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": stood});
    let doing = doing("delete", secret);
    let reply = caller.send(&Ask::delete(path(secret), &options)).await;
    match reply.map_err(|error| within(&doing, &error))?.json() {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.is_gone() => Ok(()),
        Err(refusal) => Err(caller.error(&doing, &refusal)),
    }
}

/// The runs of the Secret that exist and are Sentry's.
async fn users(
    caller: &Caller<'_>,
    known: &Known,
    secret: &GitAuth,
) -> Result<Vec<Value>, DeployError> {
    let mut found = Vec::new();
    let mut read = stream::iter(0..secret.users.len())
        .map(|at| {
            let run = &secret.users[at];
            let named = (run.api_version.as_str(), run.kind.as_str(), run.name.as_str());
            write::read(caller, known, named, Some(secret.namespace.as_str()))
        })
        .buffered(AT_ONCE);
    while let Some(run) = read.next().await {
        found.extend(run?.filter(retiring::is_ours));
    }
    Ok(found)
}

async fn apply(
    caller: &Caller<'_>,
    secret: &GitAuth,
    query: &str,
    object: &Value,
    what: &str,
) -> Result<Value, DeployError> {
    let ask = Ask::apply(format!("{}?{query}", path(secret)), object);
    caller.json(&ask, &doing(what, secret)).await
}

fn path(secret: &GitAuth) -> String {
    paths::object("v1", Some(&secret.namespace), "secrets", Some(&secret.name))
}

fn doing(what: &str, secret: &GitAuth) -> String {
    format!("can't {what} the Secret {} in {} (git_auth_secret)", secret.name, secret.namespace)
}
