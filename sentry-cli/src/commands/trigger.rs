//! `sentry trigger`, `sentry retry` and `sentry rerun`: deliver now.

use sentry_config::Config;
use sentry_core::delivery::{Cause, DeliveryState, Selection, TriggerKind};
use sentry_core::plan::PlannedObject;
use sentry_core::repo::BranchName;
use sentry_core::watch::Watch;

use super::history::find;
use super::request::{carry_out, leave, new_trigger, no_such_run};
use super::{Context, explain, pick_branch, pick_watch};
use crate::args::{RerunArgs, RetryArgs, TriggerArgs};
use crate::compose;
use crate::exit::{Exit, Failure};

pub(crate) async fn run(ctx: &Context, args: &TriggerArgs) -> Result<Exit, Failure> {
    let config = ctx.start()?;
    let watch = pick_watch(&config, args.watch.as_ref())?;
    let branch = pick_branch(watch, args.branch.as_ref())?;
    if args.dry_run {
        return dry_run(ctx, &config, watch, &branch, args).await;
    }
    let store = compose::open_store(&ctx.state_dir(Some(&config))?)?;
    let kind =
        TriggerKind::Deliver { branch, sha: args.revision.clone(), selection: selection(args) };
    let key = args.idempotency_key.clone();
    let trigger = new_trigger(ctx, watch.name.clone(), kind, Cause::Manual, key);
    if args.no_wait {
        return leave(ctx, store.as_ref(), &trigger).await;
    }
    carry_out(ctx, &config, store, &trigger).await
}

async fn dry_run(
    ctx: &Context,
    config: &Config,
    watch: &Watch,
    branch: &BranchName,
    args: &TriggerArgs,
) -> Result<Exit, Failure> {
    let engine = explain::reading_engine(ctx, config)?;
    let (sha, mut selection) = (args.revision.as_ref(), selection(args));
    // With an event that is named, the question is not what a change would do: every path counts as changed.
    selection.event.get_or_insert_with(|| "push".to_owned());
    let question = engine.preview(&watch.name, branch, sha, &selection);
    let preview = explain::uninterrupted(question).await?;
    explain::show_plan(&ctx.ui, &preview);
    if preview.set.refusals().next().is_some() {
        return Ok(Exit::Failed);
    }
    if let Some(text) = preview.set.no_such_run {
        return Err(Failure::new(Exit::Failed, text));
    }
    preview.check?;
    match &selection.run {
        Some(run) if !preview.set.objects.iter().any(PlannedObject::is_run) => {
            Err(no_such_run(&watch.name, branch, run))
        }
        _ => Ok(Exit::Done),
    }
}

fn selection(args: &TriggerArgs) -> Selection {
    Selection { event: args.event.event.clone(), run: args.run.clone() }
}

pub(crate) async fn retry(ctx: &Context, args: &RetryArgs) -> Result<Exit, Failure> {
    let config = if args.no_wait { None } else { Some(ctx.start()?) };
    let store = compose::open_store(&ctx.state_dir(config.as_ref())?)?;
    let delivery = find(store.as_ref(), &args.delivery).await?;
    if !matches!(delivery.state, DeliveryState::Failed | DeliveryState::Parked) {
        return Err(Failure::usage(format!(
            "delivery {} is {}: only a failed or parked one can be retried",
            delivery.id,
            delivery.state.as_str()
        ))
        .with_hint(format!("`sentry rerun {}` makes new runs of the same commits", delivery.id)));
    }
    if delivery.verdict.is_some() {
        let text =
            format!("every object of delivery {} was delivered; its runs ended", delivery.id);
        return Err(Failure::usage(text)
            .with_hint(format!("`sentry rerun {} --failed` makes new runs", delivery.id)));
    }
    let kind = TriggerKind::Retry(delivery.id.clone());
    let trigger = new_trigger(ctx, delivery.watch, kind, Cause::Manual, None);
    match &config {
        None => leave(ctx, store.as_ref(), &trigger).await,
        Some(config) => carry_out(ctx, config, store, &trigger).await,
    }
}

pub(crate) async fn rerun(ctx: &Context, args: &RerunArgs) -> Result<Exit, Failure> {
    let config = if args.no_wait { None } else { Some(ctx.start()?) };
    let store = compose::open_store(&ctx.state_dir(config.as_ref())?)?;
    let delivery = find(store.as_ref(), &args.delivery).await?;
    if !delivery.state.is_final() {
        return Err(Failure::usage(format!(
            "delivery {} is still {}",
            delivery.id,
            delivery.state.as_str()
        ))
        .with_hint(format!("`sentry show {}` says what it waits for", delivery.id)));
    }
    let kind = TriggerKind::Rerun { delivery: delivery.id.clone(), failed_only: args.failed };
    let trigger = new_trigger(ctx, delivery.watch, kind, Cause::Rerun, None);
    match &config {
        None => leave(ctx, store.as_ref(), &trigger).await,
        Some(config) => carry_out(ctx, config, store, &trigger).await,
    }
}
