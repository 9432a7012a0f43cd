//! `sentry status -w`: the same answer again and again. A server says when something happened; the state on this machine is
//! looked at, as another process writes it.

use std::time::Duration;

use reqwest::Response;
use sentry_api::ApiError;
use sentry_api::shape::Status;
use tokio::time::{sleep, timeout};

use super::status::{ask, lines, names};
use super::{Context, Source};
use crate::args::questions::StatusArgs;
use crate::exit::{Exit, Failure};
use crate::remote::Remote;
use crate::signals::Signals;

/// How often the state on this machine is looked at, and a server that can't say when something happens.
const LOOK: Duration = Duration::from_secs(1);
/// Ages grow: they are shown anew even if nothing happens.
const AGES: Duration = Duration::from_secs(10);
/// Of many events at once the last one is shown.
const BURST: Duration = Duration::from_millis(250);

/// Shows it until a signal comes.
pub(super) async fn follow(
    ctx: &Context,
    source: &Source,
    args: &StatusArgs,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    match signals.until(show_again(ctx, source, args)).await {
        Some(failed) => failed,
        None => Ok(Exit::Done),
    }
}

async fn show_again(ctx: &Context, source: &Source, args: &StatusArgs) -> Result<Exit, Failure> {
    let output = args.output;
    let mut changes = Changes { server: source.server.as_deref(), stream: None };
    let mut last: Option<Status> = None;
    loop {
        let (status, trouble) = match (ask(source, args).await, &last) {
            (Ok(status), _) => (status, None),
            (Err(error), Some(last)) if error.kind().may_pass() => (last.clone(), Some(error)),
            (Err(error), _) => return Err(error.into()),
        };
        let is_news = last.as_ref().is_none_or(|last| is_news(last, &status));
        if output.is_table() && ctx.ui.is_terminal() {
            let mut shown = lines(&ctx.ui, output, &status, ctx.now());
            shown.extend(
                trouble.map(|error| {
                    format!("no answer, retrying: {}", sentry_core::error::text(&error))
                }),
            );
            ctx.ui.redraw(&shown);
        } else if is_news {
            ctx.ui.answer(output, &status, names, |status| {
                lines(&ctx.ui, output, status, ctx.now()).iter().for_each(|line| ctx.ui.line(line));
            })?;
        }
        last = Some(status);
        changes.next().await;
    }
}

/// Whether anything but an agent's heartbeat differs.
fn is_news(last: &Status, now: &Status) -> bool {
    let agent = |status: &Status| status.agent.as_ref().map(|agent| agent.healthy);
    let unowned = |status: &Status| status.fleet.as_ref().map(|fleet| fleet.unowned.clone());
    (&last.watches, &last.queue, &last.notifications, agent(last), unowned(last))
        != (&now.watches, &now.queue, &now.notifications, agent(now), unowned(now))
}

/// When to look again.
struct Changes<'a> {
    server: Option<&'a Remote>,
    stream: Option<Response>,
}

impl Changes<'_> {
    async fn next(&mut self) {
        let Some(server) = self.server else { return sleep(LOOK).await };
        match timeout(AGES, event(server, &mut self.stream)).await {
            Ok(Ok(())) => sleep(BURST).await,
            // Who can't be listened to is asked.
            Ok(Err(_)) => sleep(LOOK).await,
            Err(_) => {}
        }
    }
}

/// Waits for the next event of a server; its heartbeats count.
async fn event(server: &Remote, stream: &mut Option<Response>) -> Result<(), ApiError> {
    let mut open = match stream.take() {
        Some(open) => open,
        None => server.events().await?,
    };
    if open.chunk().await.is_ok_and(|chunk| chunk.is_some()) {
        *stream = Some(open);
    }
    Ok(())
}
