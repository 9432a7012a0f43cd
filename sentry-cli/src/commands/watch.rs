//! `sentry watch`: the agent.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use sentry_api::shape::RunTotals;
use sentry_core::delivery::Delivery;
use sentry_core::engine::{Engine, EngineError, Stop, Summary};
use sentry_server::Server;
use tokio::net::TcpListener;

use super::Context;
use super::history::tone;
use super::request::verdict;
use crate::args::WatchArgs;
use crate::compose;
use crate::exit::{Exit, Failure};
use crate::report::{during, objects_line};
use crate::signals::{Ended, Signals};
use crate::ui::{Ui, plain, tinted};

pub(crate) async fn run(ctx: &Context, args: WatchArgs) -> Result<Exit, Failure> {
    let mut config = ctx.start()?;
    let state = ctx.state_dir(Some(&config))?;
    let store = if args.dry_run {
        compose::dry_run(&mut config);
        compose::memory_store()
    } else {
        compose::open_store(&state)?
    };
    let engine = compose::engine(&config, Arc::clone(&store), &ctx.redactor)?;
    let file = ctx.config_file()?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %file.display(),
        state = %if args.dry_run { "memory".to_owned() } else { state.display().to_string() },
        watches = config.watches.len(),
        dry_run = args.dry_run,
        "sentry"
    );
    if args.once {
        return once(ctx, &engine).await;
    }
    let Some(address) = args.listen.or(config.server.listen) else {
        return until_stopped(ctx, &engine, None).await;
    };
    let listener = listen(address).await?;
    let shown = (!args.dry_run).then_some(&*state);
    let server = compose::server(&config, &engine, store, shown, &ctx.redactor);
    until_stopped(ctx, &engine, Some((server, listener))).await
}

/// The port, claimed before anything else begins.
async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let failed = |error: std::io::Error| {
        let failure = Failure::usage(format!("can't listen on {address}"));
        let failure = match error.kind() {
            ErrorKind::AddrInUse => {
                failure.with_hint("another program has the port: choose another one")
            }
            ErrorKind::PermissionDenied => failure.with_hint("choose a port from 1024 on"),
            _ => failure.with_hint("choose an address of this machine, such as 127.0.0.1:8080"),
        };
        failure.with_source(error)
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "serving health, metrics and webhooks");
    Ok(listener)
}

/// The engine, and beside it the server, which goes when the engine has gone.
async fn run_and_serve(
    engine: &Engine,
    stop: &Stop,
    served: Option<(Server, TcpListener)>,
) -> Result<(), EngineError> {
    let Some((server, listener)) = served else { return engine.run(stop).await };
    let (gone, wait) = tokio::sync::oneshot::channel::<()>();
    let serving = server.serve(listener, async move { drop(wait.await) });
    let working = async move {
        let result = engine.run(stop).await;
        drop(gone);
        result
    };
    tokio::join!(working, serving).0
}

async fn until_stopped(
    ctx: &Context,
    engine: &Engine,
    served: Option<(Server, TcpListener)>,
) -> Result<Exit, Failure> {
    let (stop, mut signals, mut reporter) = (Stop::new(), Signals::listen()?, ctx.reporter());
    let mut events = engine.events();
    let work = during(&mut events, &mut reporter, run_and_serve(engine, &stop, served));
    match signals.around(&stop, work).await {
        Ended::Aborted => Ok(Exit::Aborted),
        Ended::Itself(result) => {
            result?;
            tracing::info!("stopped");
            Ok(Exit::Done)
        }
    }
}

async fn once(ctx: &Context, engine: &Engine) -> Result<Exit, Failure> {
    let (stop, mut signals, mut reporter) = (Stop::new(), Signals::listen()?, ctx.reporter());
    let mut events = engine.events();
    let work = during(&mut events, &mut reporter, engine.once(&stop));
    match signals.around(&stop, work).await {
        Ended::Aborted => Ok(Exit::Aborted),
        Ended::Itself(summary) => Ok(conclude(&ctx.ui, &summary?)),
    }
}

/// A failed delivery weighs more than a forge that can't be reached: it needs a person.
fn conclude(ui: &Ui, summary: &Summary) -> Exit {
    for delivery in &summary.deliveries {
        ui.line(delivery_line(delivery));
    }
    for (watch, _, error) in &summary.poll_errors {
        ui.complain(&format!("error: {watch}: {error}"));
    }
    if summary.deliveries.is_empty() && summary.poll_errors.is_empty() {
        ui.line("nothing to deliver");
    }
    let states = summary.deliveries.iter().map(|d| d.state.into());
    match (verdict(states), summary.poll_errors.is_empty()) {
        (Exit::Done, false) => Exit::Unreachable,
        (exit, _) => exit,
    }
}

fn delivery_line(delivery: &Delivery) -> String {
    let state = tinted(delivery.state.as_str(), tone(delivery.state.into()));
    let mut line = format!("{}  {}  {}  {state}", delivery.id, delivery.watch, delivery.revision);
    if !delivery.objects.is_empty() {
        line.push_str(&format!("  {}", objects_line(&delivery.objects)));
    }
    let totals = RunTotals::of(delivery);
    if totals.total > 0 && !delivery.dry_run {
        line.push_str(&format!("  runs: {}", totals.words()));
    }
    if let Some(error) = &delivery.error {
        line.push_str(&format!("  {}", plain(error)));
    }
    line
}
