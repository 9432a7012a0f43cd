//! `sentry suspend` and `sentry resume`: a watch starts nothing new until a time, or until it is resumed.

use sentry_core::store::{Snapshot, Suspension, Write};
use sentry_core::watch::WatchName;

use super::Context;
use super::status::in_force;
use crate::args::{ResumeArgs, SuspendArgs};
use crate::exit::{Exit, Failure};

pub(crate) async fn suspend(ctx: &Context, args: &SuspendArgs) -> Result<Exit, Failure> {
    let store = ctx.state_to_write()?;
    known(ctx, &store.snapshot().await?, &args.watch)?;
    let since = ctx.now();
    let until = match args.duration {
        Some(time) => {
            Some(since.checked_add(time).map_err(|_| Failure::usage("--for is too long"))?)
        }
        None => None,
    };
    let watch = args.watch.clone();
    let suspension = Suspension { watch, reason: args.reason.clone(), since, until };
    store.commit(&[Write::Suspension(suspension)]).await?;
    let end = until.map_or_else(
        || "until it is resumed".to_owned(),
        |at| format!("until {}", crate::ui::time(at)),
    );
    ctx.ui.line(format!("watch {} is suspended {end}; what has begun goes on", args.watch));
    Ok(Exit::Done)
}

pub(crate) async fn resume(ctx: &Context, args: &ResumeArgs) -> Result<Exit, Failure> {
    let store = ctx.state_to_write()?;
    let snapshot = store.snapshot().await?;
    known(ctx, &snapshot, &args.watch)?;
    let now = ctx.now();
    let was = snapshot.inbox.suspensions.iter().any(|s| s.watch == args.watch && in_force(s, now));
    store.commit(&[Write::Resume(args.watch.clone())]).await?;
    ctx.ui.line(if was {
        format!("watch {} is resumed: the newest head of each branch is next", args.watch)
    } else {
        format!("watch {} was not suspended", args.watch)
    });
    Ok(Exit::Done)
}

/// A misspelt name must not be taken for a suspended watch.
fn known(ctx: &Context, snapshot: &Snapshot, watch: &WatchName) -> Result<(), Failure> {
    let mut names = ctx.configured_watches();
    names.extend(snapshot.watches.iter().map(|w| w.watch.clone()));
    names.extend(snapshot.inbox.suspensions.iter().map(|s| s.watch.clone()));
    if names.contains(watch) { Ok(()) } else { Err(super::unknown_watch(watch, &names)) }
}
