//! `sentry explain`: what would be done with each document of B, and why. Writes nothing, takes no lock.

use sentry_config::Config;
use sentry_core::delivery::Selection;
use sentry_core::engine::{Engine, EngineError, Preview};
use sentry_core::plan::{Operation, PlannedObject};

use super::lint::{exit, show_set};
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
    let selection = Selection { event: args.event.event.clone(), run: None };
    let (engine, name) = (reading_engine(ctx, &config)?, &watch.name);
    let preview = uninterrupted(engine.preview(name, &branch, None, &selection)).await?;
    if !args.output.is_json() {
        heading(&ctx.ui, &preview);
    }
    show_set(&ctx.ui, &preview.set, args.output.is_json())?;
    Ok(exit(&preview.set))
}

/// An engine for questions: it knows what was delivered, and writes nothing.
pub(crate) fn reading_engine(ctx: &Context, config: &Config) -> Result<Engine, Failure> {
    let kept = compose::read_store(&ctx.state_dir(Some(config))?)?;
    Ok(compose::engine(config, kept.unwrap_or_else(compose::memory_store), &ctx.redactor)?)
}

/// The answer to a question that may be left at any point.
pub(crate) async fn uninterrupted<T>(
    question: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, Failure> {
    match Signals::listen()?.until(question).await {
        Some(answer) => Ok(answer?),
        None => Err(Failure::new(Exit::Aborted, "stopped; nothing was written")),
    }
}

pub(crate) fn heading(ui: &Ui, preview: &Preview) {
    ui.line(format!("commit     {}", preview.revision));
    ui.line(format!("manifests  {}\n", preview.manifests));
}

/// What would be written, in order; and what would not, and why.
pub(crate) fn show_plan(ui: &Ui, preview: &Preview) {
    heading(ui, preview);
    complain_of_refusals(ui, preview);
    let objects = &preview.set.objects;
    if objects.is_empty() {
        ui.line("nothing would be written: `sentry explain` says why for each document");
        return;
    }
    ui.line(format!("would write {}; nothing was written", count(objects.len(), "object")));
    ui.table(&plan_table(objects));
}

/// Each refused document on stderr.
pub(crate) fn complain_of_refusals(ui: &Ui, preview: &Preview) {
    for refusal in preview.set.refusals() {
        ui.complain(&format!("error: {}:{}: {}", refusal.path, refusal.line, refusal.reason));
    }
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
