//! `sentry trigger`, `sentry approve`, `sentry retry` and `sentry rerun`: deliver now; `sentry cancel`: no more.

use sentry_api::Asker;
use sentry_api::shape::{ApproveRequest, RerunRequest, TriggerRequest};
use sentry_config::Config;
use sentry_core::delivery::Selection;
use sentry_core::names::WatchName;
use sentry_core::plan::PlannedObject;
use sentry_core::subject::{EventName, Subject};

use super::request::{Desk, Wanted, no_such_run};
use super::source::pick;
use super::{Context, explain};
use crate::args::requests::{ApproveArgs, CancelArgs, RerunArgs, RetryArgs, TriggerArgs};
use crate::exit::{Exit, Failure};
use crate::user;

pub(crate) async fn run(ctx: &Context, args: &TriggerArgs) -> Result<Exit, Failure> {
    let by = user::name();
    let asker = Asker { by: Some(&by), key: args.idempotency_key.as_deref() };
    if let Some(server) = ctx.server()? {
        if args.dry_run {
            return Err(Failure::usage("--dry-run does not work through a server")
                .with_hint("`sentry explain` shows what would run; or unset SENTRY_SERVER"));
        }
        let desk = Desk::there(ctx, server);
        let kept = desk.answers.trigger(&request(args), asker).await?;
        return desk.finish(ctx, &kept, args.no_wait, Wanted::Delivered).await;
    }
    let config = ctx.start()?;
    let (watch, subject) = pick(&config, args.watch.as_ref(), args.branch.as_ref())?;
    if args.dry_run {
        return dry_run(ctx, config, &watch, &subject, args).await;
    }
    let desk = Desk::here(ctx, Some(config)).await?;
    let request = TriggerRequest {
        watch: Some(watch.to_string()),
        branch: Some(subject.to_string()),
        ..request(args)
    };
    let kept = desk.answers.trigger(&request, asker).await?;
    desk.finish(ctx, &kept, args.no_wait, Wanted::Delivered).await
}

fn request(args: &TriggerArgs) -> TriggerRequest {
    TriggerRequest {
        watch: args.watch.as_ref().map(ToString::to_string),
        branch: args.branch.as_ref().map(ToString::to_string),
        revision: args.revision.as_ref().map(ToString::to_string),
        event: args.event.event.clone(),
        run: args.run.clone(),
    }
}

async fn dry_run(
    ctx: &Context,
    config: Config,
    watch: &WatchName,
    subject: &Subject,
    args: &TriggerArgs,
) -> Result<Exit, Failure> {
    let engine = explain::for_questions(ctx, config).await?.engine;
    let sha = args.revision.as_ref();
    // With an event that is named, the question is not what a change would do: every path counts as changed.
    let event = args.event.event.clone().map_or_else(|| subject.event(), EventName::new);
    let selection = Selection { event: Some(event), run: args.run.clone() };
    let question = engine.preview(watch, subject, sha, &selection);
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
            Err(no_such_run(watch.as_str(), subject.name(), run))
        }
        _ => Ok(Exit::Done),
    }
}

pub(crate) async fn approve(ctx: &Context, args: &ApproveArgs) -> Result<Exit, Failure> {
    let (desk, by) = (desk(ctx, args.no_wait).await?, user::name());
    let asker = Asker { by: Some(&by), key: None };
    let request = ApproveRequest {
        revision: args.revision.to_string(),
        base: args.base.as_ref().map(ToString::to_string),
    };
    let (watch, number) = (args.watch.as_str(), args.number.as_str());
    let kept = desk.answers.approve(watch, number, &request, asker).await?;
    desk.finish(ctx, &kept, args.no_wait, Wanted::Delivered).await
}

pub(crate) async fn retry(ctx: &Context, args: &RetryArgs) -> Result<Exit, Failure> {
    let (desk, by) = (desk(ctx, args.no_wait).await?, user::name());
    let asker = Asker { by: Some(&by), key: None };
    let kept = desk.answers.retry(&args.delivery, asker).await?;
    desk.finish(ctx, &kept, args.no_wait, Wanted::Delivered).await
}

pub(crate) async fn cancel(ctx: &Context, args: &CancelArgs) -> Result<Exit, Failure> {
    let (desk, by) = (desk(ctx, args.no_wait).await?, user::name());
    let asker = Asker { by: Some(&by), key: None };
    let kept = desk.answers.cancel(&args.delivery, asker).await?;
    desk.finish(ctx, &kept, args.no_wait, Wanted::Cancelled).await
}

pub(crate) async fn rerun(ctx: &Context, args: &RerunArgs) -> Result<Exit, Failure> {
    let (desk, by) = (desk(ctx, args.no_wait).await?, user::name());
    let asker = Asker { by: Some(&by), key: None };
    let request = RerunRequest { failed: args.failed };
    let kept = desk.answers.rerun(&args.delivery, &request, asker).await?;
    desk.finish(ctx, &kept, args.no_wait, Wanted::Delivered).await
}

/// Who does not wait needs no configuration.
async fn desk(ctx: &Context, no_wait: bool) -> Result<Desk, Failure> {
    if let Some(server) = ctx.server()? {
        return Ok(Desk::there(ctx, server));
    }
    let config = if no_wait { None } else { Some(ctx.start()?) };
    Desk::here(ctx, config).await
}
