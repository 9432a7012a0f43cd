//! The Secrets by which runs clone A: written before the runs, then given to those that are there.

use sentry_core::deployer::DeployError;
use sentry_core::plan::{GitAuth, Plan};
use serde_json::Value;

use super::call::{self, APPLY, Caller};
use super::output;
use crate::tekton::retiring;

/// Owns the owners: with a manager of their own, the next attempt's apply, which knows of none, takes none away
/// (Kubernetes, "Server-Side Apply").
const OWNERS: &str = "--field-manager=sentry-owners";

/// Asks whether the cluster would take the Secrets.
pub(super) async fn check(caller: &Caller<'_>, plan: &Plan) -> Result<(), DeployError> {
    write(caller, plan, &["--dry-run=server"]).await
}

/// Writes the Secrets, with the credentials of this attempt.
pub(super) async fn lend(caller: &Caller<'_>, plan: &Plan) -> Result<(), DeployError> {
    write(caller, plan, &[]).await
}

async fn write(caller: &Caller<'_>, plan: &Plan, more: &[&str]) -> Result<(), DeployError> {
    for secret in &plan.git_auth {
        let args = [&APPLY[..], &["--validate=false"], more].concat();
        let caller = caller.in_namespace(&secret.namespace);
        call(&caller, &args, &secret.object(), &doing("make", secret)).await?;
    }
    Ok(())
}

/// Makes the runs that are there the owners of their Secret, so that it goes with the last of them; a Secret without a
/// run is deleted. The same at every attempt, so that a lost answer is repaired by the next one.
///
/// # Errors
/// Whatever kubectl or the server said: then the attempt is not complete, and is repeated.
pub(super) async fn give(caller: &Caller<'_>, plan: &Plan) -> Result<(), DeployError> {
    for secret in &plan.git_auth {
        let caller = caller.in_namespace(&secret.namespace);
        let found = users(&caller, secret).await?;
        if found.is_empty() {
            let name = secret.owned_by(&[]);
            let args = ["delete", "-f", "-", "--ignore-not-found", "--wait=false"];
            call(&caller, &args, &name, &doing("delete", secret)).await?;
        } else {
            let owned = secret.owned_by(&found);
            let args = ["apply", "-f", "-", "--server-side", OWNERS, "--validate=false"];
            call(&caller, &args, &owned, &doing("set the owners of", secret)).await?;
        }
    }
    Ok(())
}

/// The runs of the Secret that exist and are Sentry's.
async fn users(caller: &Caller<'_>, secret: &GitAuth) -> Result<Vec<Value>, DeployError> {
    let name = |run: &sentry_core::plan::ObjectRef| {
        (run.api_version.clone(), run.kind.clone(), run.name.clone())
    };
    let wanted: Vec<_> = secret.users.iter().map(name).collect();
    let args = ["get", "-f", "-", "--ignore-not-found", "-o", "json"];
    let reply = caller.run(&args, call::references(&wanted)).await?;
    if !reply.success {
        return Err(reply.error(&doing("read the runs of", secret)));
    }
    let mut found = output::objects(&reply.stdout);
    found.retain(retiring::is_ours);
    Ok(found)
}

async fn call(
    caller: &Caller<'_>,
    args: &[&str],
    object: &Value,
    doing: &str,
) -> Result<(), DeployError> {
    let reply = caller.run(args, call::items(&[object])).await?;
    if reply.success { Ok(()) } else { Err(reply.error(doing)) }
}

fn doing(what: &str, secret: &GitAuth) -> String {
    format!("can't {what} the Secret {} in {} (git_auth_secret)", secret.name, secret.namespace)
}
