//! Requests that write objects, or ask what would come of it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sentry_core::deployer::{DeployError, Stood};
use sentry_core::plan::{Plan, PlannedObject};
use sentry_core::watch::ForceConflicts;
use serde_json::Value;

use super::call::{Ask, Caller};
use super::resources::Known;
use super::status::{Refusal, Reply};
use crate::api::object;

/// How many requests are on their way at once.
pub(super) const AT_ONCE: usize = 8;
/// Who owns what Sentry applies.
const MANAGER: &str = "fieldManager=sentry";
/// What `kubectl create` and `kubectl apply` leave: neither comes back by itself.
const LEFT: &[&str] = &["kubectl-client-side-apply", "kubectl-create"];

/// So often an object is applied that others write to at the same time.
const OTHERS: usize = 4;

/// Whether it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// What would be is asked for, and fields that the kind does not have are refused.
    Ask,
    /// The check has just validated the same bytes.
    Write,
}

impl Mode {
    fn query(self) -> &'static str {
        match self {
            Self::Ask => "&dryRun=All&fieldValidation=Strict",
            Self::Write => "&fieldValidation=Ignore",
        }
    }
}

/// Why an object was not written.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: DeployError,
    /// True if it is about no object: then the others fare no better.
    pub(super) is_general: bool,
    /// True if the name is taken.
    pub(super) is_taken: bool,
}

impl Failed {
    /// There was no answer.
    fn unanswered(error: DeployError) -> Self {
        Self { error, is_general: true, is_taken: false }
    }

    /// The object can't be sent.
    fn unsent(error: DeployError) -> Self {
        Self { error, is_general: false, is_taken: false }
    }

    fn refused(caller: &Caller<'_>, planned: &PlannedObject, refusal: &Refusal) -> Self {
        let error = caller.object_error(&planned.object, refusal);
        Self { error, is_general: refusal.is_general(), is_taken: refusal.is_taken() }
    }
}

/// What the server holds now, or would. It may be a Secret: it is not to be shown.
pub(super) struct Written {
    pub(super) object: Value,
    pub(super) is_new: bool,
}

/// The kinds of a plan.
pub(super) fn kinds_of(plan: &Plan) -> BTreeSet<(String, String)> {
    let kind =
        |planned: &PlannedObject| (planned.object.api_version.clone(), planned.object.kind.clone());
    plan.objects.iter().map(kind).collect()
}

/// How a named object is applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct How<'a> {
    pub(super) force: ForceConflicts,
    pub(super) mode: Mode,
    /// How the object must still stand; `None` if however it does.
    pub(super) stood: Option<&'a Stood>,
}

/// Applies a named object on the server's side, and takes over what it may. Where it must stand as it was, what others than
/// Sentry wrote to it meanwhile is no obstacle: a controller's status, an autoscaler's number.
pub(super) async fn apply(
    caller: &Caller<'_>,
    known: &Known,
    planned: &PlannedObject,
    how: How<'_>,
) -> Result<Written, Failed> {
    let name = Some(planned.object.name.as_str());
    let path = known.place(caller.cluster, &planned.object, name).map_err(Failed::unsent)?;
    let mut stood = how.stood.cloned();
    for _ in 0..OTHERS {
        let json = bound(&planned.json, stood.as_ref());
        let refusal = match apply_as_it_is(caller, &path, (planned, &json), how).await? {
            Ok(written) => return Ok(written),
            Err(refusal) => refusal,
        };
        if stood.is_none() || !refusal.is_outdated() {
            return Err(Failed::refused(caller, planned, &refusal));
        }
        let live = live(caller, known, planned).await.map_err(Failed::unanswered)?;
        if live.as_ref().is_some_and(|live| object::is_of_a_newer_delivery(planned, live)) {
            break;
        }
        let version = live.as_ref().and_then(object::resource_version);
        stood = Some(version.map_or(Stood::Absent, Stood::At));
    }
    Err(Failed::unsent(object::stale(planned)))
}

async fn apply_as_it_is(
    caller: &Caller<'_>,
    path: &str,
    (planned, json): (&PlannedObject, &Value),
    how: How<'_>,
) -> Result<Result<Written, Refusal>, Failed> {
    let ask = |forced: bool| {
        let forced = if forced { "&force=true" } else { "" };
        Ask::apply(format!("{path}?{MANAGER}{}{forced}", how.mode.query()), json)
    };
    let reply = send(caller, &ask(how.force == ForceConflicts::Always)).await?;
    Ok(match taken(&reply, planned) {
        Err(refusal) if how.force == ForceConflicts::First && refusal.is_held_by_none_but(LEFT) => {
            taken(&send(caller, &ask(true)).await?, planned)
        }
        done => done,
    })
}

/// The object, which the server takes only if it stands so. The version 1 is none that an object can have: with it, what is
/// not there is created, and what is there by now is refused.
fn bound<'v>(json: &'v Value, stood: Option<&Stood>) -> Cow<'v, Value> {
    let version = match stood {
        None => return Cow::Borrowed(json),
        Some(Stood::Absent) => "1",
        Some(Stood::At(version)) => version,
    };
    let mut json = json.clone();
    json["metadata"]["resourceVersion"] = version.into();
    Cow::Owned(json)
}

/// Creates a run.
pub(super) async fn create(
    caller: &Caller<'_>,
    known: &Known,
    planned: &PlannedObject,
    mode: Mode,
) -> Result<Written, Failed> {
    let path = known.place(caller.cluster, &planned.object, None).map_err(Failed::unsent)?;
    let ask = Ask::create(format!("{path}?{MANAGER}{}", mode.query()), &planned.json);
    let reply = send(caller, &ask).await?;
    taken(&reply, planned).map_err(|refusal| Failed::refused(caller, planned, &refusal))
}

/// What the cluster holds of an object; `None` if it is not there, or its kind is not.
pub(super) async fn read(
    caller: &Caller<'_>,
    known: &Known,
    (api_version, kind, name): (&str, &str, &str),
    namespace: Option<&str>,
) -> Result<Option<Value>, DeployError> {
    let namespace = namespace.unwrap_or(caller.cluster.namespace.as_str());
    let Some(path) = known.path((api_version, kind), namespace, Some(name)) else {
        return Ok(None);
    };
    match caller.send(&Ask::get(path)).await?.json() {
        Ok(object) => Ok(Some(object)),
        Err(refusal) if refusal.is_gone() => Ok(None),
        Err(refusal) => {
            let doing = format!("can't read {kind} {name} of {}", caller.cluster);
            Err(caller.error(&doing, &refusal))
        }
    }
}

/// The same of a planned object.
pub(super) async fn live(
    caller: &Caller<'_>,
    known: &Known,
    planned: &PlannedObject,
) -> Result<Option<Value>, DeployError> {
    let it = &planned.object;
    let named = (it.api_version.as_str(), it.kind.as_str(), it.name.as_str());
    read(caller, known, named, it.namespace.as_deref()).await
}

async fn send(caller: &Caller<'_>, ask: &Ask) -> Result<Reply, Failed> {
    caller.send(ask).await.map_err(Failed::unanswered)
}

/// A success that is about the object which was sent: another one is no API server's answer.
fn taken(reply: &Reply, planned: &PlannedObject) -> Result<Written, Refusal> {
    let object = reply.json()?;
    if object::find(std::slice::from_ref(&object), &planned.object).is_none() {
        return Err(Refusal::new(reply.code, Value::Null));
    }
    Ok(Written { object, is_new: reply.code == 201 })
}
