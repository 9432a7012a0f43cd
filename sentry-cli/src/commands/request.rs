//! What trigger, retry and rerun share: a durable request, and waiting for the delivery that answers it.

use std::sync::Arc;
use std::time::Duration;

use sentry_config::Config;
use sentry_core::delivery::{
    Cause, Delivery, DeliveryId, DeliveryState, RunState, Trigger, TriggerKind, TriggerState,
};
use sentry_core::engine::{EngineError, Stop};
use sentry_core::event::{Event, EventKind};
use sentry_core::repo::BranchName;
use sentry_core::store::{DeliveryQuery, StateStore, StoreErrorKind};
use sentry_core::watch::WatchName;

use super::Context;
use super::history::show_text;
use crate::compose;
use crate::exit::{Exit, Failure};
use crate::report::{Reporter, during};
use crate::signals::{Ended, Signals};

/// How often another agent's progress is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// A new trigger. Without a key of its own, its id is the key: it is like no other.
pub(crate) fn new_trigger(
    ctx: &Context,
    watch: WatchName,
    kind: TriggerKind,
    cause: Cause,
    key: Option<String>,
) -> Trigger {
    let at = ctx.now();
    let id = DeliveryId::new(at, fastrand::u128(..));
    let key = key.unwrap_or_else(|| id.to_string());
    Trigger { id, key, watch, kind, cause, at, state: TriggerState::Pending }
}

/// Keeps the trigger, says so, and leaves.
pub(crate) async fn leave(
    ctx: &Context,
    store: &dyn StateStore,
    trigger: &Trigger,
) -> Result<Exit, Failure> {
    let kept = store.request(trigger).await?;
    ctx.ui.line(kept.id.as_str());
    Ok(Exit::Done)
}

/// Keeps the trigger and waits until it is answered: by us, or by the agent that holds the state.
pub(crate) async fn carry_out(
    ctx: &Context,
    config: &Config,
    store: Arc<dyn StateStore>,
    trigger: &Trigger,
) -> Result<Exit, Failure> {
    let kept = store.request(trigger).await?;
    tracing::info!(trigger = %kept.id, watch = %kept.watch, "trigger stored");
    let engine = compose::engine(config, Arc::clone(&store), &ctx.redactor)?;
    let (stop, mut signals, mut reporter) = (Stop::new(), Signals::listen()?, ctx.reporter());
    let mut events = engine.events();
    let ids = [kept.id.clone()];
    let work = during(&mut events, &mut reporter, engine.settle(&ids, &stop));
    let deliveries = match signals.around(&stop, work).await {
        Ended::Aborted => return Ok(Exit::Aborted),
        Ended::Itself(Ok(deliveries)) => deliveries,
        Ended::Itself(Err(EngineError::Store(e))) if e.kind() == StoreErrorKind::Held => {
            tracing::info!("an agent works on this state: it delivers, we follow");
            vec![follow(ctx, store.as_ref(), &kept.id, &mut signals, &mut reporter).await?]
        }
        Ended::Itself(Err(EngineError::Unknown(why))) => {
            return Err(Failure::new(Exit::Failed, why));
        }
        Ended::Itself(Err(EngineError::Stopped)) => {
            let text = format!("stopped before trigger {} was answered", kept.id);
            let hint = "it is kept: the next `sentry watch` answers it";
            return Err(Failure::new(Exit::Aborted, text).with_hint(hint));
        }
        Ended::Itself(Err(error)) => return Err(error.into()),
    };
    let now = ctx.now();
    for delivery in &deliveries {
        show_text(&ctx.ui, delivery, now);
        if let (Some(run), Exit::Done) = (&delivery.selection.run, verdict(&deliveries))
            && !delivery.objects.iter().any(|outcome| outcome.run)
        {
            return Err(no_such_run(&delivery.watch, &delivery.revision.branch, run));
        }
    }
    Ok(verdict(&deliveries))
}

/// Whoever names a run expects it to run: that nothing did is no success.
pub(crate) fn no_such_run(watch: &WatchName, branch: &BranchName, run: &str) -> Failure {
    Failure::new(Exit::Failed, format!("no run {run} would start for branch {branch}")).with_hint(
        format!("`sentry explain {watch} --branch {branch}` lists the documents and says why"),
    )
}

/// 0 only if every delivery has succeeded.
pub(crate) fn verdict(deliveries: &[Delivery]) -> Exit {
    let fine =
        |d: &Delivery| matches!(d.state, DeliveryState::Succeeded | DeliveryState::Superseded);
    if deliveries.iter().all(fine) { Exit::Done } else { Exit::Failed }
}

/// Looks at what the agent does with the trigger until it is settled.
async fn follow(
    ctx: &Context,
    store: &dyn StateStore,
    id: &DeliveryId,
    signals: &mut Signals,
    reporter: &mut Reporter,
) -> Result<Delivery, Failure> {
    let watching = async {
        let mut last: Option<Delivery> = None;
        loop {
            if let Some(delivery) = answer(store, id).await? {
                for kind in progress(last.as_ref(), &delivery) {
                    reporter.show(&Event { at: ctx.now(), kind });
                }
                if delivery.state.is_final() {
                    return Ok(delivery);
                }
                last = Some(delivery);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    // Nothing of ours is under way: the first signal ends the following.
    match signals.until(watching).await {
        Some(result) => result,
        None => Err(Failure::new(Exit::Aborted, format!("stopped following trigger {id}"))
            .with_hint("the agent goes on; `sentry history` shows how it ends")),
    }
}

/// The delivery that answers the trigger, once there is one.
async fn answer(store: &dyn StateStore, id: &DeliveryId) -> Result<Option<Delivery>, Failure> {
    let trigger = store.trigger(id).await?;
    let delivery = match trigger.map(|t| t.state) {
        Some(TriggerState::Pending) => return Ok(None),
        Some(TriggerState::Taken(delivery)) => delivery,
        Some(TriggerState::Rejected(why)) => return Err(Failure::new(Exit::Failed, why)),
        None => return Err(Failure::usage(format!("trigger {id} is no longer in the state"))),
    };
    let query = DeliveryQuery {
        id_prefix: Some(delivery.to_string()),
        limit: Some(1),
        ..DeliveryQuery::default()
    };
    Ok(store.deliveries(&query).await?.pop())
}

/// Another agent's progress as the events that it told itself.
fn progress(last: Option<&Delivery>, now: &Delivery) -> Vec<EventKind> {
    let (id, watch, revision) = (&now.id, &now.watch, &now.revision);
    let mut events = Vec::new();
    if last.is_none() {
        events.push(EventKind::DeliveryStarted {
            id: id.clone(),
            watch: watch.clone(),
            revision: revision.clone(),
            cause: now.cause,
            attempt: now.tries + 1,
        });
    }
    for run in &now.runs {
        let before = last.and_then(|l| l.runs.iter().find(|r| r.object == run.object));
        if before.map_or(RunState::Running, |before| before.state) != run.state {
            let (id, watch, revision) = (id.clone(), watch.clone(), revision.clone());
            events.push(EventKind::RunChanged { id, watch, revision, run: run.clone() });
        }
    }
    if now.state.is_final() {
        events.push(settled(now));
    } else if last.is_none_or(|last| last.state != now.state) {
        let (id, watch, state) = (id.clone(), watch.clone(), now.state);
        events.push(EventKind::DeliveryStep { id, watch, state });
    }
    events
}

fn settled(delivery: &Delivery) -> EventKind {
    let end = delivery.finished.unwrap_or(delivery.started);
    EventKind::DeliverySettled {
        id: delivery.id.clone(),
        watch: delivery.watch.clone(),
        revision: delivery.revision.clone(),
        state: delivery.state,
        manifests: delivery.intent.as_ref().map(|intent| intent.manifests.clone()),
        objects: delivery.objects.clone(),
        runs: delivery.runs.clone(),
        verdict: delivery.verdict,
        took: end.duration_since(delivery.started).unsigned_abs(),
        error: delivery.error.clone(),
        dry_run: delivery.dry_run,
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;

    fn delivery(state: DeliveryState, run: RunState) -> Delivery {
        Delivery { state, runs: vec![sample::run(run)], ..sample::delivery(1) }
    }

    #[test]
    fn what_another_agent_does_is_told_once_and_to_its_end() {
        let applying = delivery(DeliveryState::Applying, RunState::Running);
        let following = delivery(DeliveryState::Following, RunState::Running);
        let failed = delivery(DeliveryState::Failed, RunState::Failed);
        let kinds = |last: Option<&Delivery>, now: &Delivery| -> Vec<&'static str> {
            let word = |event: &EventKind| match event {
                EventKind::DeliveryStarted { .. } => "started",
                EventKind::DeliveryStep { state, .. } => state.as_str(),
                EventKind::RunChanged { run, .. } => run.state.as_str(),
                EventKind::DeliverySettled { state, .. } => state.as_str(),
                _ => "other",
            };
            progress(last, now).iter().map(word).collect()
        };
        assert_eq!(kinds(None, &applying), ["started", "applying"]);
        assert_eq!(kinds(Some(&applying), &following), ["following"]);
        assert_eq!(kinds(Some(&following), &following), [""; 0]);
        assert_eq!(kinds(Some(&following), &failed), ["failed", "failed"]);
        assert_eq!(kinds(None, &failed), ["started", "failed", "failed"]);
    }
}
