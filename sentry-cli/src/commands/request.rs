//! What trigger, retry and rerun share: a durable request, and waiting for the delivery that answers it.

use std::sync::Arc;
use std::time::Duration;

use sentry_config::Config;
use sentry_core::delivery::{
    Cause, Delivery, DeliveryId, DeliveryState, Trigger, TriggerKind, TriggerState,
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
        let mut last = None;
        loop {
            if let Some(delivery) = answer(store, id).await? {
                if last != Some(delivery.state) {
                    last = Some(delivery.state);
                    reporter.show(&step(ctx, &delivery));
                }
                if delivery.state.is_final() {
                    return Ok(delivery);
                }
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

/// Another agent's progress as the event that it saw itself.
fn step(ctx: &Context, delivery: &Delivery) -> Event {
    let (id, watch) = (delivery.id.clone(), delivery.watch.clone());
    Event { at: ctx.now(), kind: EventKind::DeliveryStep { id, watch, state: delivery.state } }
}
