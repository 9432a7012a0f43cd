//! `sentry explain`: what would be done with each document of B, and why. Writes nothing, takes no lock.

use sentry_config::Config;
use sentry_core::engine::Preview;
use sentry_core::plan::{Operation, PlannedObject};
use sentry_core::repo::{BranchName, CommitSha};
use sentry_core::watch::Watch;

use super::lint::show_set;
use super::{Context, pick_branch, pick_watch};
use crate::args::ExplainArgs;
use crate::compose;
use crate::exit::{Exit, Failure};
use crate::signals::Signals;
use crate::ui::{Rows, Tone, Ui, count};

pub(crate) async fn run(ctx: &Context, args: &ExplainArgs) -> Result<Exit, Failure> {
    let config = ctx.start()?;
    let watch = pick_watch(&config, args.watch.as_ref())?;
    let branch = pick_branch(watch, args.branch.as_ref())?;
    let preview = preview(ctx, &config, watch, &branch, None).await?;
    if !args.output.is_json() {
        heading(&ctx.ui, &preview);
    }
    show_set(&ctx.ui, &preview.set, args.output.is_json())?;
    let refused = preview.set.refusals().next().is_some();
    Ok(if refused { Exit::Failed } else { Exit::Done })
}

/// What a delivery of the branch's head, or of the given commit, would be.
pub(crate) async fn preview(
    ctx: &Context,
    config: &Config,
    watch: &Watch,
    branch: &BranchName,
    sha: Option<CommitSha>,
) -> Result<Preview, Failure> {
    let engine = compose::engine(config, compose::memory_store(), &ctx.redactor)?;
    match Signals::listen()?.until(engine.preview(&watch.name, branch, sha)).await {
        Some(preview) => Ok(preview?),
        None => Err(Failure::new(Exit::Aborted, "stopped; nothing was written")),
    }
}

fn heading(ui: &Ui, preview: &Preview) {
    ui.line(format!("commit     {}", preview.revision));
    ui.line(format!("manifests  {}\n", preview.manifests));
}

/// What would be written, in order; and what would not, and why.
pub(crate) fn show_plan(ui: &Ui, preview: &Preview) {
    heading(ui, preview);
    for refusal in preview.set.refusals() {
        ui.complain(&format!("error: {}:{}: {}", refusal.path, refusal.line, refusal.reason));
    }
    let objects = &preview.set.objects;
    if objects.is_empty() {
        ui.line("nothing would be written: `sentry explain` says why for each document");
        return;
    }
    ui.line(format!("would write {}; nothing was written", count(objects.len(), "object")));
    ui.table(&plan_table(objects));
}

/// The objects of a plan in the order they are written.
pub(crate) fn plan_table(objects: &[PlannedObject]) -> Rows {
    let mut rows = Rows::new(&["operation", "kind", "name", "file"]);
    for planned in objects {
        let (word, tone) = match planned.operation {
            Operation::Apply => ("apply", Tone::Plain),
            Operation::Create { .. } => ("create", Tone::Good),
        };
        let object = &planned.object;
        rows.row([
            (word, tone),
            (&object.kind, Tone::Plain),
            (&object.name, Tone::Plain),
            (&format!("{}:{}", object.path, object.line), Tone::Quiet),
        ]);
    }
    rows
}
