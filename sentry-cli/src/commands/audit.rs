//! `sentry audit`: who asked for what.

use sentry_api::query::AuditQuery;
use sentry_api::shape::{Act, Audit};
use sentry_api::text::short;
use sentry_core::clock::Timestamp;

use super::Context;
use crate::args::questions::AuditArgs;
use crate::exit::{Exit, Failure};
use crate::table::{Rows, folded, middle, whole};
use crate::ui::{Tone, age};

pub(crate) async fn audit(ctx: &Context, args: &AuditArgs) -> Result<Exit, Failure> {
    let source = ctx.source().await?;
    let query = AuditQuery {
        watch: args.watch.as_ref().map(ToString::to_string),
        by: args.by.clone(),
        since: args.since.map(|span| ctx.now() - span),
        before: args.before,
        limit: Some(args.limit),
    };
    let audit = source.answers.audit(&query).await?;
    ctx.ui.answer(args.output, &audit, names, |audit| {
        if audit.acts.is_empty() {
            ctx.ui.line(format!("nobody asked for anything in {} yet", source.place));
            return;
        }
        ctx.ui.table(&table(&audit.acts, ctx.now()), args.output);
        if let Some(next) = audit.next {
            ctx.ui.complain(&format!("hint: `sentry audit --before {next}` lists earlier ones"));
        }
    })?;
    Ok(Exit::Done)
}

/// The deliveries that somebody acted on.
fn names(audit: &Audit) -> Vec<String> {
    audit.acts.iter().filter_map(|act| act.delivery.clone()).collect()
}

fn table(acts: &[Act], now: Timestamp) -> Rows {
    let mut rows =
        Rows::new(&[whole("age"), middle("who"), whole("act"), middle("watch"), folded("what")]);
    for act in acts {
        rows.row([
            (&age(now, act.at), Tone::Quiet),
            (act.by.as_deref().unwrap_or("-"), Tone::Plain),
            (act.act.as_str(), Tone::Plain),
            (act.watch.as_str(), Tone::Plain),
            (&what(act), Tone::Plain),
        ]);
    }
    rows
}

/// `main 0a1b2c3d, run unit`.
fn what(act: &Act) -> String {
    let revision = act.revision.as_deref().map(short);
    let named: Vec<&str> =
        act.branch.as_deref().into_iter().chain(revision).chain(act.delivery.as_deref()).collect();
    let named = Some(named.join(" ")).filter(|text| !text.is_empty());
    named.into_iter().chain(act.detail.clone()).collect::<Vec<_>>().join(", ")
}
