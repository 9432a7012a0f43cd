//! The check: everything is sent as a dry run, nothing is written.

use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::plan::{ObjectRef, Operation, Plan, PlannedObject};
use sentry_core::retry::Retry;

use super::call::{self, Caller, Reply};
use super::{Before, Kubectl, answer, git_auth, output};

/// kubectl can ask the server for strict field validation from this minor version on; `true` is the older, weaker form.
const STRICT_SINCE: u32 = 25;

pub(super) async fn check(kubectl: &Kubectl, plan: &Plan) -> Result<Before, DeployError> {
    let caller = kubectl.caller(&plan.cluster, plan.timeout).hiding(plan);
    let validate = validation(kubectl, &caller).await?;
    git_auth::check(kubectl, &caller, plan).await?;
    let mut before = Before::new();
    for (namespace, places) in by_namespace(plan, 0..plan.objects.len()) {
        let caller = caller.in_namespace(namespace);
        let (runs, named): (Vec<&PlannedObject>, Vec<_>) =
            places.iter().map(|&at| &plan.objects[at]).partition(|p| is_run(p));
        let (first, second) = tokio::join!(
            check_named(kubectl, &caller, validate, &named),
            check_runs(&caller, validate, &runs),
        );
        let result = first.and_then(|live| second.map(|()| live));
        let live = result.inspect_err(|error| {
            // The table of kinds let the kind through: it is out of date.
            if error.kind() == DeployErrorKind::Missing {
                kubectl.forget_kinds(&plan.cluster);
            }
        })?;
        for at in places.into_iter().filter(|&at| !is_run(&plan.objects[at])) {
            let found = output::find(&live, &plan.objects[at].object);
            before.extend(found.and_then(output::resource_version).map(|version| (at, version)));
        }
    }
    Ok(before)
}

/// How kubectl is told to validate fields.
pub(super) async fn validation(
    kubectl: &Kubectl,
    caller: &Caller<'_>,
) -> Result<&'static str, DeployError> {
    let strict = kubectl.minor(caller).await? >= STRICT_SINCE;
    Ok(if strict { "--validate=strict" } else { "--validate=true" })
}

/// Places of a plan by namespace, in order: one call of kubectl is for one namespace. First the cluster's own, with
/// what lives in none, since other namespaces' objects may need it.
pub(super) fn by_namespace(
    plan: &Plan,
    places: impl IntoIterator<Item = usize>,
) -> Vec<(&str, Vec<usize>)> {
    let own = plan.cluster.namespace.as_str();
    let mut groups = vec![(own, Vec::new())];
    for at in places {
        let namespace = plan.objects[at].object.namespace.as_deref().unwrap_or(own);
        match groups.iter_mut().find(|(known, _)| *known == namespace) {
            Some((_, group)) => group.push(at),
            None => groups.push((namespace, vec![at])),
        }
    }
    groups.retain(|(_, group)| !group.is_empty());
    groups
}

pub(super) fn is_run(planned: &PlannedObject) -> bool {
    matches!(planned.operation, Operation::Create { .. })
}

/// Returns what the objects would be: those that exist carry a resource version.
pub(super) async fn check_named(
    kubectl: &Kubectl,
    caller: &Caller<'_>,
    validate: &str,
    named: &[&PlannedObject],
) -> Result<Vec<serde_json::Value>, DeployError> {
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let mut args = apply_args(kubectl);
    args.extend(["--dry-run=server", validate, "-o", "json"]);
    let reply = caller.run(&args, call::list(named)).await?;
    if reply.success {
        return Ok(output::objects(&reply.stdout));
    }
    // With JSON kubectl prints nothing when anything failed. Its lines tell which object it was, and the server's
    // error often does not name it.
    args.truncate(args.len() - 2);
    let again = if reply.ended.is_none() && named.len() > 1 {
        caller.run(&args, call::list(named)).await?
    } else {
        reply
    };
    Err(refused(&again, named, |_| false))
}

/// A run that exists already is no reason to refuse: its key decides when it is applied.
async fn check_runs(
    caller: &Caller<'_>,
    validate: &str,
    runs: &[&PlannedObject],
) -> Result<(), DeployError> {
    if runs.is_empty() {
        return Ok(());
    }
    let args = ["create", "-f", "-", "--dry-run=server", validate];
    let reply = caller.run(&args, call::list(runs)).await?;
    let exists = |error: &str| answer::server_reason(error) == Some("AlreadyExists");
    let fine = reply.ended.is_none() && !reply.errors.is_empty();
    if reply.success || (fine && reply.errors.iter().all(|error| exists(error))) {
        return Ok(());
    }
    Err(refused(&reply, runs, exists))
}

/// The first object that is refused for a reason that is none of the excused ones; first of all one that is refused for
/// good, since to wait for the others changes nothing for it.
pub(super) fn refused(
    reply: &Reply,
    objects: &[&PlannedObject],
    excused: impl Fn(&str) -> bool,
) -> DeployError {
    let refs: Vec<&ObjectRef> = objects.iter().map(|planned| &planned.object).collect();
    let done = output::acknowledged(&reply.stdout, &refs);
    let missing: Vec<&ObjectRef> =
        refs.iter().zip(&done).filter(|(_, done)| !**done).map(|(object, _)| *object).collect();
    if reply.ended.is_some() {
        return reply.error("");
    }
    let errors = output::assign(&reply.errors, &missing);
    let refused = missing.iter().zip(errors).filter_map(|(object, error)| {
        error.filter(|error| !excused(error)).map(|error| (*object, error))
    });
    let first =
        refused.min_by_key(|(_, error)| answer::classify(error).0.retry() != Retry::Stalled);
    match first {
        Some((object, error)) => object_error(object, &error),
        None => reply.error("the check failed"),
    }
}

/// An error about one object, naming its file and document. What no server answered is about none.
pub(super) fn object_error(object: &ObjectRef, error: &str) -> DeployError {
    let kind = answer::classify(error).0;
    if kind == DeployErrorKind::Unauthorized
        || (!kind.is_answer() && answer::server_reason(error).is_none())
    {
        return call::describe("kubectl", error);
    }
    call::describe(&place(object), error).with_object(object.clone())
}

/// `Task unit (tasks.yaml, document 2)`.
pub(super) fn place(object: &ObjectRef) -> String {
    format!("{} {} ({}, document {})", object.kind, object.name, object.path, object.document)
}

/// Server-side apply, as `sentry`.
pub(super) fn apply_args(kubectl: &Kubectl) -> Vec<&'static str> {
    let mut args = vec!["apply", "-f", "-", "--server-side", "--field-manager=sentry"];
    if kubectl.settings.force_conflicts {
        args.push("--force-conflicts");
    }
    args
}
