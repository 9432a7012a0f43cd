//! `sentry demo`: the whole road on this machine with nothing set up. Real git repositories, the real engine and
//! store; only the deployer is the one that writes nothing. All of it is in a temporary directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sentry_config::{Config, Environment, LogLevel};
use sentry_core::engine::Stop;
use sentry_core::event::{Event, EventKind};
use sentry_core::plan::ObjectOutcome;
use sentry_core::repo::CommitSha;
use sentry_core::revision::Revision;
use sentry_process::{Program, Workdir, sweep};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Context, why};
use crate::args::OutputArg;
use crate::compose::{self, Composition};
use crate::exit::{Exit, Failure};
use crate::signals::{Ended, Signals};
use crate::table::{Rows, end, middle, whole};
use crate::ui::{Tone, Ui, span, tinted};

/// How long an event is waited for: a few intervals of a watch on this machine's disk.
const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = "\
forges:
  local: {type: git}
watches:
  - name: demo
    polling_interval: 1
    source:    {url: \"${A}\", branches: [main]}
    manifests: {url: \"${B}\", branch: main, dir: .tekton}
    cluster:   {deployer: dry-run, namespace: qa}
";

/// How the directories of all demos begin.
const PREFIX: &str = "sentry-demo-";
/// What B keeps in `.tekton`.
const MANIFESTS: &[(&str, &str)] = &[
    (".tekton/config.yaml", include_str!("demo/config.yaml")),
    (".tekton/task.yaml", include_str!("demo/task.yaml")),
    (".tekton/run.yaml", include_str!("demo/run.yaml")),
];

pub(crate) async fn run(ctx: &Context) -> Result<Exit, Failure> {
    ctx.start_logging(LogLevel::Warn);
    let parent = std::env::temp_dir();
    sweep(&parent, PREFIX);
    let dir = Workdir::new(&parent, PREFIX)
        .map_err(|e| Failure::usage("can't make a temporary directory").with_source(e))?;
    let mut signals = Signals::listen()?;
    let stop = Stop::new();
    let ended = signals.around(&stop, |text| ctx.announce(text), play(ctx, &dir, &stop)).await;
    drop(dir);
    match ended {
        Ended::Aborted => Ok(Exit::Aborted),
        Ended::Itself(result) => {
            result?;
            ctx.ui.line(tinted(
                "\nThat's all; the temporary directory has been removed.",
                Tone::Quiet,
            ));
            ctx.ui.line("For your own repositories: `sentry init`, then `sentry watch`.");
            Ok(Exit::Done)
        }
    }
}

async fn play(ctx: &Context, dir: &Workdir, stop: &Stop) -> Result<(), Failure> {
    let ui = &ctx.ui;
    let stage = Stage::set(dir.path()).await?;
    title(ui, 1, "Two git repositories, made for this demo");
    ui.line(format!("   A, the product          {}", stage.a.display()));
    ui.line(format!("   B, what runs for it     {}", stage.b.display()));
    for (path, _) in MANIFESTS {
        ui.line(tinted(&format!("                           {path}"), Tone::Quiet));
    }
    title(ui, 2, "A watch, in sentry.yaml");
    for line in stage.config_text().lines() {
        ui.line(tinted(&format!("   {line}"), Tone::Quiet));
    }
    let config = stage.config()?;
    let store = compose::open_store(&dir.path().join("state"))?;
    let engine = Composition::new(config, store.clone(), &ctx.redactor)?.engine;
    let script = async {
        let result = script(ui, &stage, engine.events()).await;
        stop.soft();
        result
    };
    let (ran, played) = tokio::join!(engine.run(stop), script);
    ran?;
    let sha = played?;
    title(ui, 5, &format!("Why? At any time: sentry why {}", sha.short()));
    why::explain_commit(ctx, store, &sha).await
}

/// The plot: a baseline, a commit, its delivery.
async fn script(ui: &Ui, stage: &Stage, mut events: Receiver<Event>) -> Result<CommitSha, Failure> {
    let baseline = next(&mut events, "the baseline", |event| match event {
        EventKind::Baseline { revision, .. } => Some(revision),
        _ => None,
    })
    .await?;
    title(ui, 3, "Sentry sees A's branch for the first time");
    ui.line(format!("   {}  recorded as the baseline: nothing runs for it", shown(&baseline)));
    title(ui, 4, "A commit is pushed to A");
    stage.commit(&stage.a, "Greet politely", &[("greeting.txt", "Good morning\n")]).await?;
    let change = next(&mut events, "the change", |event| match event {
        EventKind::Change { revision, .. } => Some(revision),
        _ => None,
    })
    .await?;
    ui.line(format!("   {}  seen: it differs from the baseline", shown(&change)));
    let settled = next(&mut events, "the delivery", |event| match event {
        EventKind::DeliverySettled { .. } => Some(event),
        _ => None,
    })
    .await?;
    let EventKind::DeliverySettled { id, manifests, objects, took, error, .. } = settled else {
        return Err(Failure::new(Exit::Failed, "the demo's delivery did not settle"));
    };
    if let Some(error) = error {
        return Err(Failure::new(Exit::Failed, format!("the demo's delivery failed: {error}")));
    }
    let of = manifests.map(|sha| format!(" of B's commit {}", sha.short())).unwrap_or_default();
    ui.line(format!("   delivered in {}{of}: delivery {id}", span(took)));
    ui.line("   The dry-run deployer wrote nothing; kubectl would have been asked to:\n");
    ui.indented(&made(&objects), OutputArg::default(), "   ");
    Ok(change.sha)
}

fn made(objects: &[ObjectOutcome]) -> Rows {
    let mut rows = Rows::new(&[whole(""), end("kind"), middle("name"), middle("file of B")]);
    for outcome in objects {
        let (word, tone) =
            if outcome.run { ("create", Tone::Good) } else { ("apply", Tone::Plain) };
        rows.row([
            (word, tone),
            (&outcome.object.kind, Tone::Plain),
            (&outcome.object.name, Tone::Plain),
            (&format!(".tekton/{}", outcome.object.path), Tone::Quiet),
        ]);
    }
    rows
}

fn title(ui: &Ui, number: u8, text: &str) {
    ui.line(format!("\n{}  {text}", tinted(&number.to_string(), Tone::Busy)));
}

fn shown(revision: &Revision) -> String {
    tinted(&format!("{} {}", revision.subject, revision.sha.short()), Tone::Good)
}

/// The first event that is looked for.
async fn next<T>(
    events: &mut Receiver<Event>,
    what: &str,
    mut wanted: impl FnMut(EventKind) -> Option<T>,
) -> Result<T, Failure> {
    let failed =
        |why: &str| Failure::new(Exit::Failed, format!("the demo was waiting for {what}: {why}"));
    let find = async {
        loop {
            match events.recv().await {
                Ok(Event { kind: EventKind::Stopping, .. }) => {
                    return Err(failed("stopped"));
                }
                Ok(event) => {
                    if let Some(found) = wanted(event.kind) {
                        return Ok(found);
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(failed("the engine ended")),
            }
        }
    };
    tokio::time::timeout(PATIENCE, find).await.unwrap_or_else(|_| Err(failed("timed out")))
}

/// The two repositories.
struct Stage {
    dir: PathBuf,
    a: PathBuf,
    b: PathBuf,
}

impl Stage {
    async fn set(dir: &Path) -> Result<Self, Failure> {
        let stage = Self { dir: dir.to_owned(), a: dir.join("product.git"), b: dir.join("qa.git") };
        for repo in [&stage.a, &stage.b] {
            let args = ["init", "--quiet", "--bare", "--initial-branch=main"];
            stage.git(git().args(args).arg(repo.as_os_str())).await?;
        }
        stage.commit(&stage.a, "Begin", &[("greeting.txt", "Hello\n")]).await?;
        stage.commit(&stage.b, "What runs for every commit of A", MANIFESTS).await?;
        Ok(stage)
    }

    /// Commits files to a bare repository's main.
    async fn commit(
        &self,
        repo: &Path,
        message: &str,
        files: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let mut stream = format!(
            "commit refs/heads/main\ncommitter Demo <demo@example.com> now\ndata {}\n{message}\n",
            message.len()
        );
        if repo.join("refs/heads/main").exists() {
            stream.push_str("from refs/heads/main^0\n");
        }
        for (path, text) in files {
            stream.push_str(&format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len()));
        }
        let args = ["fast-import", "--quiet", "--date-format=now"];
        self.git(git().arg("-C").arg(repo.as_os_str()).args(args).stdin(stream)).await
    }

    async fn git(&self, program: Program) -> Result<(), Failure> {
        // Neither the person's nor the machine's git settings may change what the demo shows.
        let program = program
            .dir(&self.dir)
            .env("HOME", self.dir.as_os_str())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = program.run().await.map_err(|e| {
            Failure::usage("can't run git").with_source(e).with_hint("the demo needs git in PATH")
        })?;
        if output.status.success() {
            return Ok(());
        }
        Err(Failure::usage(format!("git failed: {}", output.stderr_text())))
    }

    fn config_text(&self) -> String {
        let url = |repo: &Path| format!("file://{}", repo.display());
        CONFIG.replace("${A}", &url(&self.a)).replace("${B}", &url(&self.b))
    }

    fn config(&self) -> Result<Config, Failure> {
        sentry_config::parse(&self.config_text(), "sentry.yaml", &Environment::default())
            .map_err(|problems| Failure::usage(problems.to_string()))
    }
}

fn git() -> Program {
    Program::new("git").deadline(PATIENCE)
}
