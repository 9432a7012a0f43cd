//! The apply: what is lent to runs; for each namespace the named objects in one call; then, for each, the runs in
//! another, and what became of those that were not confirmed.

use sentry_core::deployer::{Checked, DeployError, DeployErrorKind, Stood};
use sentry_core::plan::{
    Action, ChangeSet, DELIVERY_LABEL, ObjectOutcome, ObjectRef, Operation, Plan, PlannedObject,
};
use sentry_core::watch::ForceConflicts;
use serde_json::Value;

use super::call::{self, APPLY, Caller, FORCE, Reply, object_error, place};
use super::check::{by_namespace, is_run};
use super::dry::about_all;
use super::{Kubectl, answer, git_auth, managers, output};

/// The outcomes while they are being found out.
struct Book<'a> {
    plan: &'a Plan,
    outcomes: Vec<Option<(Action, Option<String>)>>,
    error: Option<DeployError>,
}

impl<'a> Book<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self { plan, outcomes: vec![None; plan.objects.len()], error: None }
    }

    /// The places of the runs, or of the others, that have no outcome yet.
    fn open(&self, runs: bool) -> Vec<usize> {
        let open =
            |at: &usize| is_run(&self.plan.objects[*at]) == runs && self.outcomes[*at].is_none();
        (0..self.outcomes.len()).filter(open).collect()
    }

    /// Those of the places that have no outcome yet.
    fn left(&self, places: &[usize]) -> Vec<usize> {
        places.iter().copied().filter(|&at| self.outcomes[at].is_none()).collect()
    }

    /// True if nothing was attempted yet.
    fn is_untouched(&self) -> bool {
        self.outcomes.iter().all(Option::is_none)
    }

    fn planned(&self, places: &[usize]) -> Vec<&'a PlannedObject> {
        places.iter().map(|&at| &self.plan.objects[at]).collect()
    }

    fn refs(&self, places: &[usize]) -> Vec<&'a ObjectRef> {
        places.iter().map(|&at| &self.plan.objects[at].object).collect()
    }

    fn done(&mut self, at: usize, action: Action) {
        self.outcomes[at] = Some((action, None));
    }

    fn failed(&mut self, at: usize, error: DeployError) {
        self.outcomes[at] = Some((Action::Failed, Some(error.to_string())));
        // An object that may have arrived is looked for first, whatever is wrong with the others.
        if self.error.as_ref().is_none_or(|e| e.kind().is_answer() && !error.kind().is_answer()) {
            self.error = Some(error);
        }
    }

    /// Notes what a reply confirms; the rest of the places stays open.
    fn confirm(&mut self, places: &[usize], reply: &Reply, action: impl Fn(usize) -> Action) {
        let confirmed = output::acknowledged(&reply.stdout, &self.refs(places));
        for (&at, _) in places.iter().zip(confirmed).filter(|(_, confirmed)| *confirmed) {
            self.done(at, action(at));
        }
    }

    /// The error of each open place of a reply: its own, where that is certain, or else what is known of all of them.
    fn errors(&self, places: &[usize], reply: &Reply) -> Vec<DeployError> {
        let texts = output::assign(&reply.errors, &self.refs(places));
        let each = places.iter().zip(texts);
        each.map(|(&at, text)| match text {
            Some(text) => object_error(&self.plan.objects[at].object, &text),
            None => reply.error(&format!("one of {} objects", places.len())),
        })
        .collect()
    }

    fn close(self) -> ChangeSet {
        let outcome = |(planned, outcome): (&PlannedObject, Option<(Action, Option<String>)>)| {
            let skipped = || (Action::Skipped, Some("an earlier object failed".to_owned()));
            let (action, reason) = outcome.unwrap_or_else(skipped);
            ObjectOutcome { object: planned.object.clone(), run: is_run(planned), action, reason }
        };
        let objects = self.plan.objects.iter().zip(self.outcomes).map(outcome).collect();
        ChangeSet { objects, error: self.error }
    }
}

pub(super) async fn apply(
    kubectl: &Kubectl,
    plan: &Plan,
    checked: &Checked,
) -> Result<ChangeSet, DeployError> {
    let caller = kubectl.caller(&plan.cluster, plan.timeout).hiding(plan);
    let mut book = Book::new(plan);
    let written = match git_auth::lend(&caller, plan).await {
        Ok(()) => write(&mut book, &caller, checked).await,
        Err(error) => Err(error),
    };
    // Whatever failed, nothing that was lent may stay without an owner.
    let given = git_auth::give(&caller, plan).await;
    written?;
    if let Err(error) = given {
        book.error.get_or_insert(error);
    }
    Ok(book.close())
}

/// Writes the objects. `Err` only if nothing was sent.
async fn write(
    book: &mut Book<'_>,
    caller: &Caller<'_>,
    checked: &Checked,
) -> Result<(), DeployError> {
    let plan = book.plan;
    // The named objects of every namespace come before any run.
    for runs in [false, true] {
        for (namespace, places) in by_namespace(plan, book.open(runs)) {
            if book.error.is_some() {
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
    book: &mut Book<'_>,
    caller: &Caller<'_>,
    places: &[usize],
    checked: &Checked,
) -> Result<(), DeployError> {
    // The check has just validated the same bytes strictly; asking again costs an OpenAPI download.
    let mut args = APPLY.to_vec();
    args.push("--validate=false");
    args.extend((book.plan.force_conflicts == ForceConflicts::Always).then_some(FORCE));
    let reply = caller.run(&args, call::list(&book.planned(places))).await?;
    if let Some(error) = never_sent(&reply) {
        return Err(error);
    }
    let plan = book.plan;
    let action = |at: usize| match checked.stood(&plan.objects[at].object) {
        Some(Stood::Absent) => Action::Created,
        Some(Stood::At(_)) | None => Action::Configured,
    };
    book.confirm(places, &reply, action);
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
        None => Err(reply.error(&place(&planned.object))),
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
    book: &mut Book<'_>,
    caller: &Caller<'_>,
    places: &[usize],
    checked: &Checked,
) {
    let existed = |at: &usize| {
        let acknowledged =
            matches!(&book.outcomes[*at], Some((action, _)) if action.is_acknowledged());
        let stood = checked.stood(&book.plan.objects[*at].object);
        acknowledged && matches!(stood, Some(Stood::At(_)))
    };
    let existed: Vec<usize> = places.iter().copied().filter(existed).collect();
    if existed.is_empty() {
        return;
    }
    let Ok(live) = live(caller, &book.planned(&existed)).await else { return };
    for at in existed {
        let object = &book.plan.objects[at].object;
        let now = output::find(&live, object).and_then(output::resource_version);
        if now.map(Stood::At).as_ref() == checked.stood(object) {
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
    book: &mut Book<'_>,
    caller: &Caller<'_>,
    places: &[usize],
) -> Result<(), DeployError> {
    let args = ["create", "-f", "-", "--validate=false"];
    let reply = caller.run(&args, call::list(&book.planned(places))).await?;
    if let Some(error) = never_sent(&reply) {
        return Err(error);
    }
    book.confirm(places, &reply, |_| Action::Created);
    let open = book.left(places);
    if open.is_empty() {
        return Ok(());
    }
    let errors = book.errors(&open, &reply);
    let live = if caller.has_time() { live(caller, &book.planned(&open)).await.ok() } else { None };
    for (at, error) in open.into_iter().zip(errors) {
        let planned = &book.plan.objects[at];
        let found = live.as_deref().and_then(|live| output::find(live, &planned.object));
        match found.map(|found| conflict(planned, found)) {
            Some(None) => {
                book.outcomes[at] = Some((Action::Exists, made_by_another(planned, found)))
            }
            Some(Some(conflict)) => book.failed(at, conflict),
            None => book.failed(at, error),
        }
    }
    Ok(())
}

/// Which delivery made a run that exists, if it was an earlier one: it is followed by that one's id.
fn made_by_another(planned: &PlannedObject, live: Option<&Value>) -> Option<String> {
    let label =
        |object: &Value| object["metadata"]["labels"][DELIVERY_LABEL].as_str().map(str::to_owned);
    let theirs = live.and_then(label)?;
    (label(&planned.json).as_ref() != Some(&theirs))
        .then(|| format!("created by delivery {theirs}"))
}

/// The error if a live run is not the planned one: the keys decide.
pub(super) fn conflict(planned: &PlannedObject, live: &Value) -> Option<DeployError> {
    let Operation::Create { key } = &planned.operation else { return None };
    let other = output::key(live);
    if other == Some(key) {
        return None;
    }
    let theirs = other.map_or("no key".to_owned(), |other| format!("the key {other}"));
    let text = format!(
        "{}: an object of this name already exists with {theirs}, and this one has the key {key}",
        place(&planned.object)
    );
    let hint = format!(
        "rename the run in {}, or delete {} {} from the cluster",
        planned.object.path, planned.object.kind, planned.object.name
    );
    let error = DeployError::new(DeployErrorKind::NameConflict, text);
    Some(error.with_hint(hint))
}
