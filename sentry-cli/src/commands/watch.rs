//! `sentry watch`: the agent, with one configuration after the other.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use sentry_api::shape::{Delivery, RunTotals};
use sentry_api::text::revision;
use sentry_core::engine::{Engine, EngineError, Stop, Summary};
use sentry_core::store::{StoreError, StoreErrorKind};
use sentry_server::{Counters, Server};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Context;
use super::history::tone;
use super::reload::{Kept, Reloader};
use super::request::verdict;
use crate::args::WatchArgs;
use crate::compose::Composition;
use crate::exit::{Exit, Failure};
use crate::report::{during, objects_line};
use crate::signals::{Ended, Signals};
use crate::ui::{Ui, plain, tinted};

/// How often a state that another program holds is asked for, after a reload has given it away for a moment.
const CLAIM: Duration = Duration::from_millis(500);

pub(crate) async fn run(ctx: &Context, args: WatchArgs) -> Result<Exit, Failure> {
    let config = ctx.start()?;
    let listen = args.listen.or(config.server.listen).filter(|_| !args.once);
    let kept = Kept::new(ctx, args, listen, &config)?;
    let parts = kept.compose(ctx, config).await?;
    let file = ctx.config_file()?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %file.display(),
        state = %if args.dry_run { "memory".to_owned() } else { kept.place.to_string() },
        watches = parts.config.watches.len(),
        dry_run = args.dry_run,
        "starting"
    );
    if args.once {
        return once(ctx, &parts.engine).await;
    }
    let listener = match listen {
        Some(address) => match claim(address) {
            Ok(listener) => Some(listener),
            Err(failure) => return Err(kept.or_held(failure).await),
        },
        None => None,
    };
    until_stopped(ctx, &kept, parts, listener, Reloader::new(file)?).await
}

/// So many clients may wait to be let in, if the kernel allows as many (`net.core.somaxconn`): one that finds the queue full
/// comes again after a second.
const BACKLOG: u32 = 4096;

/// The port, claimed before anything else begins, and kept over every reload.
fn claim(address: SocketAddr) -> Result<std::net::TcpListener, Failure> {
    let failed = |error: std::io::Error| {
        let failure = Failure::usage(format!("can't listen on {address}"));
        let failure = match error.kind() {
            ErrorKind::AddrInUse => failure.with_hint("the port is in use: choose another one"),
            ErrorKind::PermissionDenied => failure.with_hint("choose port 1024 or higher"),
            _ => failure.with_hint("choose an address of this machine, such as 127.0.0.1:8080"),
        };
        failure.with_source(error)
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let bound = socket.and_then(|socket| {
        // As every server does: a port that was given up a moment ago may be taken.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    let listener = bound.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "serving");
    listener.into_std().map_err(failed)
}

/// Servers on one port: the one of the engine that runs, and those before it that still end a conversation.
struct Serving {
    port: Option<std::net::TcpListener>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// Serves until the sender goes.
    fn begin(&mut self, server: Option<Server>) -> Result<oneshot::Sender<()>, Failure> {
        let (gone, wait) = oneshot::channel::<()>();
        let failed = |e| Failure::usage("the listener failed").with_source(e);
        if let (Some(server), Some(port)) = (server, &self.port) {
            let listener = port.try_clone().and_then(TcpListener::from_std).map_err(failed)?;
            self.tasks.spawn(server.serve(listener, async move { drop(wait.await) }));
        }
        Ok(gone)
    }

    /// Lets conversations end.
    async fn end(mut self) {
        self.port = None;
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Runs one configuration after the other, until a signal asks to stop.
async fn until_stopped(
    ctx: &Context,
    kept: &Kept,
    mut parts: Composition,
    port: Option<std::net::TcpListener>,
    mut reloader: Reloader,
) -> Result<Exit, Failure> {
    let (mut signals, mut reporter) = (Signals::listen()?, ctx.reporter());
    let mut serving = Serving { port, tasks: JoinSet::new() };
    let mut counters = None;
    loop {
        let (stop, mut events) = (Stop::new(), parts.engine.events());
        let server = kept.server(&parts, counters);
        counters = server.as_ref().map(Server::counters);
        let gone = serving.begin(server)?;
        let next = run_until_another(ctx, kept, &parts, counters.as_ref(), &mut reloader, &stop);
        let work = during(&mut events, &mut reporter, next);
        let (result, another) = match signals.around(&stop, |text| ctx.announce(text), work).await {
            Ended::Aborted => return Ok(Exit::Aborted),
            Ended::Itself(ended) => ended,
        };
        drop(gone);
        result?;
        match another {
            Some(next) if !signals.asked() => parts = next,
            _ => break,
        }
    }
    serving.end().await;
    ctx.announce("stopped");
    Ok(Exit::Done)
}

/// Runs the engine until it is told to stop, or until another configuration is right: then begun work is finished.
async fn run_until_another(
    ctx: &Context,
    kept: &Kept,
    now: &Composition,
    counters: Option<&Counters>,
    reloader: &mut Reloader,
    stop: &Stop,
) -> (Result<(), EngineError>, Option<Composition>) {
    let mut work = std::pin::pin!(claim_and_run(now, stop, reloader.was_taken()));
    let another = tokio::select! {
        result = &mut work => return (result, None),
        another = reloader.next(ctx, kept, now.config.log_level, counters) => another,
    };
    stop.soft();
    (work.await, Some(another))
}

/// Runs the engine. One that takes over from another waits for the state: a command may have taken it in the meantime, or
/// the disk be full, and neither ended the engine before.
async fn claim_and_run(
    parts: &Composition,
    stop: &Stop,
    takes_over: bool,
) -> Result<(), EngineError> {
    loop {
        match parts.run(stop).await {
            Err(EngineError::Store(error))
                if takes_over && may_pass(&error) && !stop.is_stopping() =>
            {
                tracing::warn!(error = %error, "waiting for the state");
                tokio::time::sleep(CLAIM).await;
            }
            ended => return ended,
        }
    }
}

fn may_pass(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Held | StoreErrorKind::Unavailable)
}

async fn once(ctx: &Context, engine: &Engine) -> Result<Exit, Failure> {
    let (stop, mut signals, mut reporter) = (Stop::new(), Signals::listen()?, ctx.reporter());
    let mut events = engine.events();
    let work = during(&mut events, &mut reporter, engine.once(&stop));
    match signals.around(&stop, |text| ctx.announce(text), work).await {
        Ended::Aborted => Ok(Exit::Aborted),
        Ended::Itself(summary) => Ok(conclude(&ctx.ui, &summary?)),
    }
}

/// A failed delivery weighs more than a forge that can't be reached: it needs a person.
fn conclude(ui: &Ui, summary: &Summary) -> Exit {
    let deliveries: Vec<Delivery> = summary.deliveries.iter().map(Into::into).collect();
    for delivery in &deliveries {
        ui.line(delivery_line(delivery));
    }
    for (watch, _, error) in &summary.poll_errors {
        ui.complain(&format!("error: {watch}: {error}"));
    }
    if deliveries.is_empty() && summary.poll_errors.is_empty() {
        ui.line("nothing to deliver");
    }
    match (verdict(deliveries.iter().map(|d| d.state)), summary.poll_errors.is_empty()) {
        (Exit::Done, false) => Exit::Unreachable,
        (exit, _) => exit,
    }
}

fn delivery_line(delivery: &Delivery) -> String {
    let state = tinted(delivery.state.as_str(), tone(delivery.state));
    let revision = revision(&delivery.branch, &delivery.revision);
    let mut line = format!("{}  {}  {revision}  {state}", delivery.id, delivery.watch);
    if !delivery.objects.is_empty() {
        let actions: Vec<_> = delivery.objects.iter().map(|object| object.action).collect();
        line.push_str(&format!("  {}", objects_line(&actions)));
    }
    let totals = RunTotals::of_answer(delivery);
    if totals.total > 0 && !delivery.dry_run {
        line.push_str(&format!("  runs: {}", totals.words()));
    }
    if let Some(error) = &delivery.error {
        line.push_str(&format!("  {}", plain(error)));
    }
    line
}
