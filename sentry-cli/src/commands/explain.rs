//! `sentry explain`: what would be done with each document of B, and why. Writes nothing, takes no lock.

use std::fmt::Display;

use sentry_api::query::ExplainQuery;
use sentry_api::{Answers, Local};
use sentry_config::Config;
use sentry_core::engine::Preview;
use sentry_core::plan::{Operation, PlannedObject};

use super::Context;
use super::lint::show_documents;
use crate::args::OutputArg;
use crate::args::questions::ExplainArgs;
use crate::compose::{self, Composition};
use crate::exit::{Exit, Failure};
use crate::signals::Signals;
use crate::table::{Rows, end, middle, whole};
use crate::ui::{Tone, Ui, count, plain};

pub(crate) async fn run(ctx: &Context, args: &ExplainArgs) -> Result<Exit, Failure> {
    let query = ExplainQuery {
        watch: args.watch.as_ref().map(ToString::to_string),
        branch: args.branch.as_ref().map(ToString::to_string),
        event: args.event.event.clone(),
    };
    let answers: Box<dyn Answers> = match ctx.server()? {
        Some(server) => Box::new(server),
        None => Box::new(local(ctx).await?),
    };
    let documents = uninterrupted(answers.explain(&query)).await?;
    if let (true, Some(commit), Some(manifests)) =
        (args.output.is_table(), &documents.commit, &documents.manifests)
    {
        heading(&ctx.ui, commit, manifests);
    }
    show_documents(&ctx.ui, &documents, args.output)?;
    Ok(if documents.has_refusals() { Exit::Failed } else { Exit::Done })
}

/// Answers on this machine: with an engine that knows what was delivered, and writes nothing.
async fn local(ctx: &Context) -> Result<Local, Failure> {
    Ok(for_questions(ctx, ctx.start()?).await?.answers())
}

/// What can be asked: it knows what was delivered, as far as that is known here, and writes nothing.
pub(crate) async fn for_questions(ctx: &Context, config: Config) -> Result<Composition, Failure> {
    let kept = ctx.read(&ctx.place(Some(&config))?).await?;
    let state = kept.unwrap_or_else(compose::memory_store);
    Ok(Composition::new(config, state, &ctx.redactor)?)
}

/// The answer to a question that may be left at any point.
pub(crate) async fn uninterrupted<T, E>(
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    match Signals::listen()?.until(question).await {
        Some(answer) => Ok(answer?),
        None => Err(Failure::new(Exit::Aborted, "stopped; nothing was written")),
    }
}

pub(crate) fn heading(ui: &Ui, commit: &impl Display, manifests: &impl Display) {
    ui.line(format!("commit     {}", plain(&commit.to_string())));
    ui.line(format!("manifests  {}\n", plain(&manifests.to_string())));
}

/// What would be written, in order; and what would not, and why.
pub(crate) fn show_plan(ui: &Ui, preview: &Preview) {
    heading(ui, &preview.revision, &preview.manifests);
    complain_of_refusals(ui, preview);
    let objects = &preview.set.objects;
    if objects.is_empty() {
        ui.line("nothing would be written: `sentry explain` says why for each document");
        return;
    }
    ui.line(format!("would write {}; nothing was written", count(objects.len(), "object")));
    ui.table(&plan_table(objects), OutputArg::default());
}

/// Each refused document on stderr.
pub(crate) fn complain_of_refusals(ui: &Ui, preview: &Preview) {
    for refusal in preview.set.refusals() {
        ui.complain(&format!("error: {}:{}: {}", refusal.path, refusal.line, refusal.reason));
    }
}

/// The objects of a plan in the order they are written.
pub(crate) fn plan_table(objects: &[PlannedObject]) -> Rows {
    let mut rows = Rows::new(&[whole("operation"), end("kind"), middle("name"), middle("file")]);
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
