//! `sentry suspend` and `sentry resume`: a watch starts nothing new until a time, or until it is resumed.

use sentry_api::shape::SuspendRequest;

use super::Context;
use crate::args::requests::{ResumeArgs, SuspendArgs};
use crate::exit::{Exit, Failure};
use crate::ui::plain;
use crate::user;

pub(crate) async fn suspend(ctx: &Context, args: &SuspendArgs) -> Result<Exit, Failure> {
    let request = SuspendRequest {
        reason: args.reason.clone(),
        for_seconds: args.duration.map(|time| time.as_secs()),
    };
    let source = ctx.source_to_write().await?;
    let done = source.answers.suspend(args.watch.as_str(), &request, Some(&user::name())).await?;
    let end = done.until.map_or_else(
        || "until it is resumed".to_owned(),
        |at| format!("until {}", crate::ui::time(at)),
    );
    let watch = plain(&done.watch);
    ctx.ui.line(format!("watch {watch} is suspended {end}; work in progress continues"));
    Ok(Exit::Done)
}

pub(crate) async fn resume(ctx: &Context, args: &ResumeArgs) -> Result<Exit, Failure> {
    let answers = ctx.source_to_write().await?.answers;
    let done = answers.resume(args.watch.as_str(), Some(&user::name())).await?;
    let watch = plain(&done.watch);
    ctx.ui.line(if done.was_suspended {
        format!("watch {watch} is resumed: the newest head of each branch comes next")
    } else {
        format!("watch {watch} was not suspended")
    });
    Ok(Exit::Done)
}
