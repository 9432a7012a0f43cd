//! The apply: what is lent to runs; the named objects, those of one kind beside each other; then the runs, in their order,
//! and what became of those that were not confirmed.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use futures::stream;
use sentry_core::deployer::{Checked, DeployError, Stood};
use sentry_core::plan::{Action, ChangeSet, Plan};

use super::call::Caller;
use super::resources::{self, Known};
use super::write::{self, AT_ONCE, Failed, How, Mode, Written, kinds_of};
use super::{Native, git_auth};
use crate::api::object::{self, by_namespace};
use crate::api::outcomes::Outcomes;

pub(super) async fn apply(
    native: &Native,
    plan: &Plan,
    checked: &Checked,
) -> Result<ChangeSet, DeployError> {
    let caller = native.caller(&plan.cluster, plan.timeout).hiding(plan);
    // Whatever is wrong up to here, nothing was attempted.
    let known = resources::known(native, &caller, &kinds_of(plan)).await?;
    let lent = git_auth::lend(&caller, plan).await;
    let mut outcomes = Outcomes::new(plan);
    if lent.is_ok() {
        write(&mut outcomes, &caller, &known, checked).await;
    }
    // Whatever failed, nothing that was lent may stay without an owner.
    let given = git_auth::give(&caller, &known, plan).await;
    lent?;
    if let Err(error) = given {
        outcomes.also(error);
    }
    Ok(outcomes.close())
}

/// Writes the objects, until something failed.
async fn write(outcomes: &mut Outcomes<'_>, caller: &Caller<'_>, known: &Known, checked: &Checked) {
    let plan = outcomes.plan;
    // The named objects of every namespace come before any run.
    for (_, places) in by_namespace(plan, outcomes.open(false)) {
        if outcomes.has_failed() {
            return;
        }
        for phase in phases(plan, &places) {
            if apply_phase(outcomes, caller, known, phase, checked).await.is_break() {
                return;
            }
        }
    }
    for (_, places) in by_namespace(plan, outcomes.open(true)) {
        if outcomes.has_failed() {
            return;
        }
        create_runs(outcomes, caller, known, &places).await;
    }
}

/// Neighbours of one kind: they never need each other, and what comes later may need them.
fn phases<'a>(plan: &Plan, places: &'a [usize]) -> impl Iterator<Item = &'a [usize]> {
    places.chunk_by(|&one, &next| {
        let kind =
            |at: usize| (&plan.objects[at].object.api_version, &plan.objects[at].object.kind);
        kind(one) == kind(next)
    })
}

/// Applies objects that don't need each other. After an error that is about none of them nothing more is begun.
async fn apply_phase(
    outcomes: &mut Outcomes<'_>,
    caller: &Caller<'_>,
    known: &Known,
    phase: &[usize],
    checked: &Checked,
) -> ControlFlow<()> {
    let plan = outcomes.plan;
    let lost = &AtomicBool::new(false);
    let one = |at: usize| async move {
        if lost.load(Ordering::Relaxed) {
            return None;
        }
        let planned = &plan.objects[at];
        let stood = checked.binding(&planned.object);
        let how = How { force: plan.force_conflicts, mode: Mode::Write, stood };
        Some((at, write::apply(caller, known, planned, how).await))
    };
    let mut done = stream::iter(phase.iter().copied()).map(one).buffer_unordered(AT_ONCE);
    // Those that are on their way are waited for: whatever arrived is told.
    while let Some(done) = done.next().await {
        match done {
            None => {}
            Some((at, Ok(written))) => {
                let stood = checked.stood(&plan.objects[at].object);
                outcomes.done(at, action(&written, stood));
            }
            Some((at, Err(failed))) => {
                lost.fetch_or(failed.is_general, Ordering::Relaxed);
                outcomes.failed(at, failed.error);
            }
        }
    }
    if lost.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Server-side apply does not say whether it changed anything: the resource versions do.
fn action(written: &Written, stood: Option<&Stood>) -> Action {
    let now = object::resource_version(&written.object).map(Stood::At);
    match stood {
        _ if written.is_new => Action::Created,
        Some(Stood::Absent) => Action::Created,
        stood if stood.is_some() && stood == now.as_ref() => Action::Unchanged,
        _ => Action::Configured,
    }
}

/// Creates the runs of one namespace, one after another: their order is the files'.
async fn create_runs(
    outcomes: &mut Outcomes<'_>,
    caller: &Caller<'_>,
    known: &Known,
    places: &[usize],
) {
    for &at in places {
        let planned = &outcomes.plan.objects[at];
        match write::create(caller, known, planned, Mode::Write).await {
            Ok(_) => outcomes.done(at, Action::Created),
            Err(failed) => {
                let lost = failed.is_general;
                read_back(outcomes, caller, known, at, failed).await;
                if lost && outcomes.has_failed() {
                    return;
                }
            }
        }
    }
}

/// A run that was not confirmed is read: the answer may have been lost, or an earlier attempt may have made it.
async fn read_back(
    outcomes: &mut Outcomes<'_>,
    caller: &Caller<'_>,
    known: &Known,
    at: usize,
    failed: Failed,
) {
    let planned = &outcomes.plan.objects[at];
    let found = if caller.has_time() {
        write::live(caller, known, planned).await.ok().flatten()
    } else {
        None
    };
    match found.as_ref().map(|found| object::conflict(planned, found)) {
        Some(None) => outcomes.exists(at, object::made_by_another(planned, found.as_ref())),
        Some(Some(conflict)) => outcomes.failed(at, conflict),
        None => outcomes.failed(at, failed.error),
    }
}
