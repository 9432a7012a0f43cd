//! What is left in the state for the agent: triggers and suspensions.

use std::time::Duration;

use sentry_core::approval;
use sentry_core::delivery::{Cause, DeliveryState, Selection, Trigger, TriggerKind, TriggerState};
use sentry_core::ids::TriggerId;
use sentry_core::names::WatchName;
use sentry_core::pull::PullNumber;
use sentry_core::repo::{BranchName, CommitSha};
use sentry_core::store::{Hold, OverviewQuery, Resumption, Suspension};
use sentry_core::subject::EventName;

use super::{
    Local, in_force, named, optional, parsed,
    pick::{self, pick},
    subject,
};
use crate::VERSION;
use crate::answers::Asker;
use crate::error::{ApiError, ErrorKind};
use crate::shape::{
    Acknowledgement, ApproveRequest, RerunRequest, SuspendRequest, SuspensionAcknowledgement,
    TriggerRequest,
};

/// The longest idempotency key, in bytes: it is kept with the trigger.
const KEY_BYTES: usize = 255;

/// The longest suspension, in seconds: a year.
const SUSPENSION: u64 = 366 * 86_400;

pub(super) async fn state(local: &Local, trigger: &str) -> Result<Acknowledgement, ApiError> {
    let id: TriggerId = parsed("trigger", trigger)?;
    let kept = local.store.inbox.trigger(&id).await?;
    let kept = kept.ok_or_else(|| {
        ApiError::new(ErrorKind::UnknownTrigger, format!("no trigger {id} in this state"))
    })?;
    Ok((&kept).into())
}

pub(super) async fn trigger(
    local: &Local,
    request: &TriggerRequest,
    asker: Asker<'_>,
) -> Result<Acknowledgement, ApiError> {
    let watch = optional("watch", request.watch.as_deref())?;
    let subject = subject(request.branch.as_deref())?;
    let (watch, subject) = pick(&local.watches, watch, subject)?;
    let sha = optional("revision", request.revision.as_deref())?;
    let (event, run) = (named("event", request.event.clone())?, named("run", request.run.clone())?);
    let selection = Selection { event: event.map(EventName::new), run };
    let kind = TriggerKind::Deliver { subject, sha, selection };
    keep(local, watch, kind, Cause::Manual, asker).await
}

pub(super) async fn retry(
    local: &Local,
    delivery: &str,
    asker: Asker<'_>,
) -> Result<Acknowledgement, ApiError> {
    let delivery = local.find(delivery).await?;
    let (id, state) = (&delivery.id, delivery.state.as_str());
    if !matches!(delivery.state, DeliveryState::Failed | DeliveryState::Parked) {
        let text =
            format!("delivery {id} is {state}: only failed or parked deliveries can be retried");
        return Err(ApiError::new(ErrorKind::Conflict, text)
            .with_hint(format!("`sentry rerun {id}` starts new runs of the same commits")));
    }
    if delivery.verdict.is_some() {
        let text = format!("every object of delivery {id} was delivered, and its runs have ended");
        return Err(ApiError::new(ErrorKind::Conflict, text)
            .with_hint(format!("`sentry rerun {id} --failed` starts new runs")));
    }
    let kind = TriggerKind::Retry(delivery.id);
    keep(local, delivery.watch, kind, Cause::Manual, asker).await
}

pub(super) async fn cancel(
    local: &Local,
    delivery: &str,
    asker: Asker<'_>,
) -> Result<Acknowledgement, ApiError> {
    let delivery = local.find(delivery).await?;
    if !delivery.may_be_cancelled() {
        let (id, state) = (&delivery.id, delivery.state.as_str());
        let text = format!("delivery {id} has ended: {state}");
        return Err(ApiError::new(ErrorKind::Conflict, text)
            .with_hint(format!("`sentry show {id}` shows how")));
    }
    keep(local, delivery.watch, TriggerKind::Cancel(delivery.id), Cause::Manual, asker).await
}

/// What the agent would reject is told at once; whether it is still so, the agent judges.
pub(super) async fn approve(
    local: &Local,
    watch: &str,
    number: &str,
    request: &ApproveRequest,
    asker: Asker<'_>,
) -> Result<Acknowledgement, ApiError> {
    let (watch, _) = known(local, watch).await?;
    let number: PullNumber = parsed("number", number)?;
    let sha: CommitSha = parsed("revision", &request.revision)?;
    let base: Option<BranchName> = optional("base", request.base.as_deref())?;
    let query = OverviewQuery::subject(&watch, &number.clone().into());
    let found = local.store.archive.overview(&query).await?.subjects;
    let state = found.first().map(|subject| &subject.cursors);
    let target = || Some(state?.pull.as_ref()?.target_branch.clone());
    let Some(base) = base.or_else(target) else {
        let text = format!("watch {watch} knows no pull request {number}");
        return Err(ApiError::new(ErrorKind::UnknownBranch, text)
            .with_hint(format!("`sentry status {watch}` lists those that it has seen")));
    };
    if let Err(text) = approval::judge(&watch, &number, state, &sha, &base) {
        return Err(ApiError::new(ErrorKind::Conflict, text)
            .with_hint(format!("`sentry status {watch} --branch refs/pull/{number}` shows it")));
    }
    let kind = TriggerKind::Approve { number, sha, base };
    keep(local, watch, kind, Cause::Manual, asker).await
}

pub(super) async fn rerun(
    local: &Local,
    delivery: &str,
    request: RerunRequest,
    asker: Asker<'_>,
) -> Result<Acknowledgement, ApiError> {
    let delivery = local.find(delivery).await?;
    if !delivery.state.is_final() {
        let (id, state) = (&delivery.id, delivery.state.as_str());
        let text = format!("delivery {id} is still {state}");
        return Err(ApiError::new(ErrorKind::Conflict, text)
            .with_hint(format!("`sentry show {id}` shows what it is waiting for")));
    }
    let kind = TriggerKind::Rerun { delivery: delivery.id, failed_only: request.failed };
    keep(local, delivery.watch, kind, Cause::Rerun, asker).await
}

/// Keeps a new trigger. Without a key of its own, its id is the key: it is like no other.
async fn keep(
    local: &Local,
    watch: WatchName,
    kind: TriggerKind,
    cause: Cause,
    asker: Asker<'_>,
) -> Result<Acknowledgement, ApiError> {
    let at = local.clock.now();
    let id = TriggerId::new(at, fastrand::u128(..));
    let key = match asker.key {
        None => id.to_string(),
        Some(key) if (1..=KEY_BYTES).contains(&key.len()) => key.to_owned(),
        Some(_) => {
            let text = format!("an idempotency key must have 1 to {KEY_BYTES} bytes");
            return Err(ApiError::bad_request(text));
        }
    };
    let (by, state) = (asker.by.map(ToOwned::to_owned), TriggerState::Pending);
    let trigger = Trigger { id, key, watch, kind, cause, by, at, state };
    Ok((&local.store.inbox.request(&trigger).await?).into())
}

pub(super) async fn suspend(
    local: &Local,
    watch: &str,
    request: &SuspendRequest,
    by: Option<&str>,
) -> Result<SuspensionAcknowledgement, ApiError> {
    let (watch, was_suspended) = known(local, watch).await?;
    let since = local.clock.now();
    let until = match request.for_seconds {
        None => None,
        Some(seconds) if (1..=SUSPENSION).contains(&seconds) => {
            let end = since.checked_add(Duration::from_secs(seconds));
            Some(end.map_err(|_| ApiError::bad_request("the suspension is too long"))?)
        }
        Some(_) => {
            let text = "a suspension lasts 1 second to 366 days, or until the watch is resumed";
            return Err(ApiError::bad_request(text));
        }
    };
    let (name, reason) = (watch.to_string(), request.reason.clone());
    let by = by.map(ToOwned::to_owned);
    let suspension = Suspension { watch, reason, since, until, by };
    local.store.inbox.hold(&Hold::Suspend(suspension)).await?;
    let suspended = true;
    Ok(SuspensionAcknowledgement { version: VERSION, watch: name, suspended, was_suspended, until })
}

pub(super) async fn resume(
    local: &Local,
    watch: &str,
    by: Option<&str>,
) -> Result<SuspensionAcknowledgement, ApiError> {
    let (watch, was_suspended) = known(local, watch).await?;
    let (at, by) = (local.clock.now(), by.map(ToOwned::to_owned));
    let resumption = Resumption { watch: watch.clone(), at, by };
    local.store.inbox.hold(&Hold::Resume(resumption)).await?;
    let (name, suspended, until) = (watch.to_string(), false, None);
    Ok(SuspensionAcknowledgement { version: VERSION, watch: name, suspended, was_suspended, until })
}

/// The watch, and whether it is suspended. A misspelt name must not be taken for a watch.
async fn known(local: &Local, watch: &str) -> Result<(WatchName, bool), ApiError> {
    let watch: WatchName = parsed("watch", watch)?;
    let query = OverviewQuery { watch: Some(watch.clone()), ..OverviewQuery::watches() };
    let overview = local.store.archive.overview(&query).await?;
    pick::only(local, pick::names(local, &overview), Some(&watch)).await?;
    let suspension = overview.watches.first().and_then(|kept| kept.suspension.as_ref());
    let is_suspended = suspension.is_some_and(|s| in_force(s, local.clock.now()));
    Ok((watch, is_suspended))
}
