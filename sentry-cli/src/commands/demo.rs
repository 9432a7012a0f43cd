//! `sentry demo`: the whole road on this machine with nothing set up. The engine, the state and the deployer are the real
//! ones; the forge and the cluster are stand-ins in this process. All files are in a temporary directory.

mod forge;
mod repository;
mod stage;
#[cfg(test)]
mod tests;
mod upload_pack;

use std::future::pending;
use std::time::Duration;

use sentry_config::LogLevel;
use sentry_core::delivery::{DeliveryState, RunRecord, RunState};
use sentry_core::engine::Stop;
use sentry_core::event::{Event, EventKind};
use sentry_core::forge::{CommitStatus, StatusState};
use sentry_core::ids::DeliveryId;
use sentry_core::repo::CommitSha;
use sentry_core::revision::Revision;
use sentry_core::store::State;
use sentry_process::{Workdir, sweep};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::stage::{MANIFESTS, Page, REPOSITORIES, Stage};
use super::{Context, why};
use crate::args::{DemoArgs, OutputArg};
use crate::compose::{self, Composition};
use crate::exit::{Exit, Failure};
use crate::signals::{Ended, Signals};
use crate::table::{Rows, folded, middle, whole};
use crate::ui::{Tone, Ui, plain, span, tinted};

/// How long an event is waited for: a few intervals of a watch on this machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How the directories of all demos begin.
const PREFIX: &str = "sentry-demo-";

pub(crate) async fn run(ctx: &Context, args: DemoArgs) -> Result<Exit, Failure> {
    ctx.start_logging(LogLevel::Warn);
    let mut signals = Signals::listen()?;
    let parent = std::env::temp_dir();
    sweep(&parent, PREFIX);
    let dir = Workdir::new(&parent, PREFIX).map_err(|e| {
        Failure::usage(format!("can't make a directory in {}", parent.display()))
            .with_source(e)
            .with_hint("set TMPDIR to a directory that can be written to")
    })?;
    let stop = Stop::new();
    let play = play(ctx, &dir, args, &stop);
    let ended = signals.around(&stop, |text| ctx.announce(text), play).await;
    drop(dir);
    match ended {
        Ended::Itself(Ok(())) => {
            let text = "\nThat's all; the temporary directory has been removed.";
            ctx.ui.line(tinted(text, Tone::Quiet));
            ctx.ui.line("For your own repositories: `sentry init`, then `sentry watch`.");
            Ok(Exit::Done)
        }
        Ended::Itself(Err(failure)) if !signals.asked() => Err(failure),
        Ended::Itself(Err(_)) | Ended::Aborted => Ok(Exit::Aborted),
    }
}

async fn play(ctx: &Context, dir: &Workdir, args: DemoArgs, stop: &Stop) -> Result<(), Failure> {
    let mut stage = Stage::set(dir.path(), args.page).await?;
    let config = stage.config(dir.path())?;
    let store = compose::open_store(&dir.path().join("state"))?;
    let parts = Composition::new(config, store.clone(), &ctx.redactor)?;
    let mut serving = JoinSet::new();
    if let Some(listener) = stage.listener.take() {
        serving.spawn(parts.server(Some(dir.path()), None).serve(listener, pending()));
    }
    introduce(&ctx.ui, &stage);
    let events = parts.engine.events();
    let script = async {
        let script = Script { ctx, ui: &ctx.ui, stage: &stage, store };
        let result = script.play(events).await;
        stop.soft();
        result
    };
    let (ran, played) = tokio::select! {
        both = async { tokio::join!(parts.engine.run(stop), script) } => both,
        never = stage.control_runs() => match never {},
    };
    ran?;
    played
}

fn introduce(ui: &Ui, stage: &Stage) {
    ui.line("One commit of A, from its push to the verdict that stands on it.");
    for line in [
        "Real: Sentry's engine, its state, its git client and its native deployer.",
        "Stand-ins in this process: the forge, and the cluster, where no container runs.",
    ] {
        ui.line(tinted(line, Tone::Quiet));
    }
    title(ui, 1, "Two repositories on a forge");
    let [a, b] = REPOSITORIES.map(|name| stage.forge.url(name));
    ui.line(format!("   A, the product          {a}"));
    ui.line(format!("   B, what runs for it     {b}"));
    for (path, _) in MANIFESTS {
        ui.line(tinted(&format!("                           {path}"), Tone::Quiet));
    }
    title(ui, 2, "A watch, in sentry.yaml");
    for line in stage.config_text().lines() {
        ui.line(tinted(&format!("   {line}"), Tone::Quiet));
    }
}

/// What is shown while it happens.
struct Script<'a> {
    ctx: &'a Context,
    ui: &'a Ui,
    stage: &'a Stage,
    store: State,
}

impl Script<'_> {
    /// The plot: a baseline, a commit, its delivery, its runs, the verdict. Then the page, until somebody asks to stop.
    async fn play(&self, mut events: Receiver<Event>) -> Result<(), Failure> {
        let ui = self.ui;
        let baseline = next(&mut events, "the baseline", |event| match event {
            EventKind::Baseline { revision, .. } => Some(revision),
            _ => None,
        })
        .await?;
        title(ui, 3, "Sentry sees A's branch for the first time");
        ui.line(format!("   {}  recorded as the baseline: nothing runs for it", shown(&baseline)));
        let sha = self.deliver(&mut events).await?;
        let mut reports = events.resubscribe();
        let delivery = self.follow(&mut events).await?;
        self.show_verdict(&mut reports, &sha).await?;
        title(ui, 7, &format!("Why? At any time: sentry why {}", sha.short()));
        why::explain_commit(self.ctx, self.store.clone(), &sha).await?;
        let Some(Page { url, token }) = &self.stage.page else { return Ok(()) };
        title(ui, 8, "The page, until Ctrl-C");
        ui.line(format!("   {url}/deliveries/{delivery}"));
        ui.line(format!("   log in with the token {token}"));
        ui.line("   There: what failed and its log line, the tasks of both runs, every object.");
        ui.line("   \"Rerun all\" starts new runs, and the page follows them.");
        ui.line(format!("   All watches: {url}/"));
        loop {
            match events.recv().await {
                Ok(Event { kind: EventKind::Stopping, .. }) | Err(RecvError::Closed) => {
                    return Ok(());
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
            }
        }
    }

    /// A commit to A, until its runs are on the cluster.
    async fn deliver(&self, events: &mut Receiver<Event>) -> Result<CommitSha, Failure> {
        let (ui, [a, _]) = (self.ui, REPOSITORIES);
        title(ui, 4, "A commit is pushed to A: \"Greet politely\"");
        self.stage.forge.commit(a, "Greet politely", &[("greeting.txt", "Good morning\n")]);
        let change = next(events, "the change", |event| match event {
            EventKind::Change { revision, .. } => Some(revision),
            _ => None,
        })
        .await?;
        let seen = Instant::now();
        ui.line(format!("   {}  seen: it differs from the baseline", shown(&change)));
        let delivered = next(events, "the delivery", |event| match event {
            EventKind::DeliveryStep { state: DeliveryState::Following, .. } => Some(Ok(())),
            EventKind::DeliverySettled { error, .. } => Some(Err(error.unwrap_or_default())),
            _ => None,
        });
        delivered
            .await?
            .map_err(|error| failed(&format!("its delivery started no run: {error}")))?;
        ui.line(format!(
            "   delivered in {}; now in the cluster's namespace qa:\n",
            span(seen.elapsed())
        ));
        let mut rows = Rows::new(&[whole("kind"), middle("name")]);
        for object in self.stage.cluster.objects() {
            let text = |field: &serde_json::Value| field.as_str().map(plain).unwrap_or_default();
            let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            let tone = if kind == "PipelineRun" { Tone::Good } else { Tone::Plain };
            if ["ConfigMap", "Task", "PipelineRun"].contains(&kind.as_str()) {
                rows.row([(&kind, tone), (&name, Tone::Plain)]);
            }
        }
        ui.indented(&rows, OutputArg::default(), "   ");
        Ok(change.sha)
    }

    /// The runs, until all of them have ended.
    async fn follow(&self, events: &mut Receiver<Event>) -> Result<DeliveryId, Failure> {
        title(self.ui, 5, "Both runs are followed to their end");
        let (id, runs) = next(events, "the end of the runs", |event| match event {
            EventKind::DeliverySettled { id, runs, .. } => Some((id, runs)),
            _ => None,
        })
        .await?;
        let mut rows = Rows::new(&[middle("run"), whole("state"), folded("why")]);
        for RunRecord { object, state, message, .. } in &runs {
            let tone = if *state == RunState::Succeeded { Tone::Good } else { Tone::Bad };
            let why = message.as_deref().unwrap_or_default();
            rows.row([(&object.name, Tone::Plain), (state.as_str(), tone), (why, Tone::Plain)]);
        }
        self.ui.indented(&rows, OutputArg::default(), "   ");
        Ok(id)
    }

    /// What the forge has on the commit.
    async fn show_verdict(
        &self,
        events: &mut Receiver<Event>,
        sha: &CommitSha,
    ) -> Result<(), Failure> {
        let is_final = |status: &CommitStatus| status.state != StatusState::Pending;
        let reported = next(events, "the status on the commit", |event| match event {
            EventKind::Reported { status, .. } if is_final(&status) => Some(Ok(())),
            EventKind::ReportFailed { error, .. } => Some(Err(error)),
            _ => None,
        });
        reported.await?.map_err(|error| failed(&format!("its status was not set: {error}")))?;
        title(self.ui, 6, "The verdict on A's commit, as the forge has it");
        let mut rows =
            Rows::new(&[whole("commit"), whole("context"), whole("state"), folded("description")]);
        for status in self.stage.forge.statuses(sha.as_str()) {
            let tone = if status.state == "success" { Tone::Good } else { Tone::Bad };
            rows.row([
                (sha.short(), Tone::Plain),
                (&status.context, Tone::Plain),
                (&status.state, tone),
                (&status.description, Tone::Plain),
            ]);
        }
        self.ui.indented(&rows, OutputArg::default(), "   ");
        Ok(())
    }
}

fn title(ui: &Ui, number: u8, text: &str) {
    ui.line(format!("\n{}  {text}", tinted(&number.to_string(), Tone::Busy)));
}

fn shown(revision: &Revision) -> String {
    tinted(&format!("{} {}", revision.subject, revision.sha.short()), Tone::Good)
}

/// What went otherwise than the script has it.
fn failed(what: &str) -> Failure {
    Failure::new(Exit::Failed, format!("the demo failed: {}", plain(what)))
        .with_hint("`sentry demo --log-level debug` shows more")
}

/// The first event that is looked for; an attempt that fails, or a forge that does not answer, ends the wait.
async fn next<T>(
    events: &mut Receiver<Event>,
    what: &str,
    mut wanted: impl FnMut(EventKind) -> Option<T>,
) -> Result<T, Failure> {
    let waited = |why: &str| failed(&format!("while it was waiting for {what}: {why}"));
    let find = async {
        loop {
            match events.recv().await {
                Ok(Event { kind, .. }) => match kind {
                    EventKind::Stopping => return Err(waited("stopped")),
                    EventKind::DeliveryRetrying { error, .. }
                    | EventKind::ForgeUnreachable { error, .. }
                    | EventKind::FollowFailed { error, .. }
                    | EventKind::StateUnavailable { error } => return Err(waited(&error)),
                    kind => {
                        if let Some(found) = wanted(kind) {
                            return Ok(found);
                        }
                    }
                },
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(waited("the engine ended")),
            }
        }
    };
    tokio::time::timeout(PATIENCE, find).await.unwrap_or_else(|_| Err(waited("timed out")))
}
