//! The apply: what is lent to runs; for each namespace the named objects in one call; then, for each, the runs in
//! another, and what became of those that were not confirmed.

use sentry_core::deployer::{Checked, DeployError, DeployErrorKind, Stood};
use sentry_core::plan::{Action, ChangeSet, ObjectRef, Plan, PlannedObject};
use sentry_core::watch::ForceConflicts;
use serde_json::Value;

use super::call::{self, APPLY, Caller, FORCE, Reply, object_error};
use super::dry::about_all;
use super::{Kubectl, answer, git_auth, managers, output};
use crate::api::object::{self, by_namespace};
use crate::api::outcomes::Outcomes;

fn planned<'a>(book: &Outcomes<'a>, places: &[usize]) -> Vec<&'a PlannedObject> {
    places.iter().map(|&at| &book.plan.objects[at]).collect()
}

fn refs<'a>(book: &Outcomes<'a>, places: &[usize]) -> Vec<&'a ObjectRef> {
    places.iter().map(|&at| &book.plan.objects[at].object).collect()
}

/// Notes what a reply confirms; the rest of the places stays open.
fn confirm(
    book: &mut Outcomes<'_>,
    places: &[usize],
    reply: &Reply,
    action: impl Fn(usize) -> Action,
) {
    let confirmed = output::acknowledged(&reply.stdout, &refs(book, places));
    for (&at, _) in places.iter().zip(confirmed).filter(|(_, confirmed)| *confirmed) {
        book.done(at, action(at));
    }
}

/// The error of each open place of a reply: its own, where that is certain, or else what is known of all of them.
fn errors(book: &Outcomes<'_>, places: &[usize], reply: &Reply) -> Vec<DeployError> {
    let texts = output::assign(&reply.errors, &refs(book, places));
    let each = places.iter().zip(texts);
    each.map(|(&at, text)| match text {
        Some(text) => object_error(&book.plan.objects[at].object, &text),
        None => reply.error(&format!("one of {} objects", places.len())),
    })
    .collect()
}

pub(super) async fn apply(
    kubectl: &Kubectl,
    plan: &Plan,
    checked: &Checked,
) -> Result<ChangeSet, DeployError> {
    let caller = kubectl.caller(&plan.cluster, plan.timeout).hiding(plan);
    let mut book = Outcomes::new(plan);
    let written = match git_auth::lend(&caller, plan).await {
        Ok(()) => write(&mut book, &caller, checked).await,
        Err(error) => Err(error),
    };
    // Whatever failed, nothing that was lent may stay without an owner.
    let given = git_auth::give(&caller, plan).await;
    written?;
    if let Err(error) = given {
        book.also(error);
    }
    Ok(book.close())
}

/// Writes the objects. `Err` only if nothing was sent.
async fn write(
    book: &mut Outcomes<'_>,
    caller: &Caller<'_>,
    checked: &Checked,
) -> Result<(), DeployError> {
    let plan = book.plan;
    // The named objects of every namespace come before any run.
    for runs in [false, true] {
        for (namespace, places) in by_namespace(plan, book.open(runs)) {
            if book.has_failed() {
                return Ok(());
            }
            let caller = caller.in_namespace(namespace);
            let done = if runs {
                create_runs(book, &caller, &places).await
            } else {
                apply_named(book, &caller, &places, checked).await
            };
            match done {
                Err(error) if book.is_untouched() => return Err(error),
                Err(error) => places.iter().for_each(|&at| book.failed(at, error.clone())),
                Ok(()) => {}
            }
        }
    }
    Ok(())
}

/// Applies the named objects of one namespace. `Err` only if nothing was sent.
async fn apply_named(
    book: &mut Outcomes<'_>,
    caller: &Caller<'_>,
    places: &[usize],
    checked: &Checked,
) -> Result<(), DeployError> {
    // The check has just validated the same bytes strictly; asking again costs an OpenAPI download.
    let mut args = APPLY.to_vec();
    args.push("--validate=false");
    args.extend((book.plan.force_conflicts == ForceConflicts::Always).then_some(FORCE));
    let reply = caller.run(&args, call::list(&planned(book, places))).await?;
    if let Some(error) = never_sent(&reply) {
        return Err(error);
    }
    let plan = book.plan;
    let action = |at: usize| match checked.stood(&plan.objects[at].object) {
        Some(Stood::Absent) => Action::Created,
        Some(Stood::At(_)) | None => Action::Configured,
    };
    confirm(book, places, &reply, action);
    let open = book.left(places);
    if let Err(error) = about_all(&reply) {
        open.iter().for_each(|&at| book.failed(at, error.clone()));
    } else {
        for at in open {
            match apply_alone(book.plan, at, caller, &args).await {
                Ok(()) => book.done(at, action(at)),
                Err(error) => book.failed(at, error),
            }
        }
    }
    mark_unchanged(book, caller, places, checked).await;
    Ok(())
}

/// Applies one object on its own, which shows for certain what is wrong with it, and takes over what it may.
async fn apply_alone(
    plan: &Plan,
    at: usize,
    caller: &Caller<'_>,
    args: &[&str],
) -> Result<(), DeployError> {
    let planned = &plan.objects[at];
    let list = || call::list(&[planned]);
    let mut reply = caller.run(args, list()).await?;
    let first = plan.force_conflicts == ForceConflicts::First;
    if first && reply.errors.iter().any(|error| managers::is_left_by_kubectl(error)) {
        reply = caller.run(&[args, &[FORCE]].concat(), list()).await?;
    }
    match reply.errors.first() {
        _ if reply.success => Ok(()),
        Some(text) => Err(object_error(&planned.object, text)),
        None => Err(reply.error(&object::place(&planned.object))),
    }
}

/// The error of a call that failed before kubectl sent anything, because of something on this side.
fn never_sent(reply: &Reply) -> Option<DeployError> {
    let local = |error: &String| answer::classify(error).0 == DeployErrorKind::Local;
    let all_local = !reply.errors.is_empty() && reply.errors.iter().all(local);
    (reply.stdout.is_empty() && all_local).then(|| reply.error("kubectl"))
}

/// Server-side apply does not say whether it changed anything: the resource versions do. Only for people, so a failure
/// leaves the objects as "configured".
async fn mark_unchanged(
    book: &mut Outcomes<'_>,
    caller: &Caller<'_>,
    places: &[usize],
    checked: &Checked,
) {
    let existed = |at: &usize| {
        let stood = checked.stood(&book.plan.objects[*at].object);
        book.is_acknowledged(*at) && matches!(stood, Some(Stood::At(_)))
    };
    let existed: Vec<usize> = places.iter().copied().filter(existed).collect();
    if existed.is_empty() {
        return;
    }
    let Ok(live) = live(caller, &planned(book, &existed)).await else { return };
    for at in existed {
        let planned = &book.plan.objects[at].object;
        let now = object::find(&live, planned).and_then(object::resource_version);
        if now.map(Stood::At).as_ref() == checked.stood(planned) {
            book.done(at, Action::Unchanged);
        }
    }
}

/// What the cluster holds of these objects.
pub(super) async fn live(
    caller: &Caller<'_>,
    planned: &[&PlannedObject],
) -> Result<Vec<Value>, DeployError> {
    let args = ["get", "-f", "-", "--ignore-not-found", "-o", "json"];
    let reply = caller.run(&args, call::list(planned)).await?;
    if reply.success {
        Ok(output::objects(&reply.stdout))
    } else {
        Err(reply.error("can't read the objects"))
    }
}

/// Creates the runs of one namespace. Those that were not confirmed are read back: the answer may have been lost, or
/// an earlier attempt may have made them. `Err` only if nothing was sent.
async fn create_runs(
    book: &mut Outcomes<'_>,
    caller: &Caller<'_>,
    places: &[usize],
) -> Result<(), DeployError> {
    let args = ["create", "-f", "-", "--validate=false"];
    let reply = caller.run(&args, call::list(&planned(book, places))).await?;
    if let Some(error) = never_sent(&reply) {
        return Err(error);
    }
    confirm(book, places, &reply, |_| Action::Created);
    let open = book.left(places);
    if open.is_empty() {
        return Ok(());
    }
    let errors = errors(book, &open, &reply);
    let live =
        if caller.has_time() { live(caller, &planned(book, &open)).await.ok() } else { None };
    for (at, error) in open.into_iter().zip(errors) {
        let planned = &book.plan.objects[at];
        let found = live.as_deref().and_then(|live| object::find(live, &planned.object));
        match found.map(|found| object::conflict(planned, found)) {
            Some(None) => {
                book.exists(at, object::made_by_another(planned, found));
            }
            Some(Some(conflict)) => book.failed(at, conflict),
            None => book.failed(at, error),
        }
    }
    Ok(())
}
