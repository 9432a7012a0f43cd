//! `sentry notify --test`: tells receivers that this is a test, now.

use sentry_core::ids::NoticeId;
use sentry_core::notifier::{NotifyError, NotifyErrorKind};
use sentry_core::subscription::Route;

use super::Context;
use crate::args::{NotifyArgs, OutputArg};
use crate::compose;
use crate::exit::{Exit, Failure};
use crate::json::{self, VERSION};
use crate::table::{Rows, folded, middle, whole};
use crate::ui::{Tone, plain};

/// What became of one test.
struct Sent {
    receiver: String,
    kind: &'static str,
    route: Route,
    error: Option<NotifyError>,
}

pub(crate) async fn run(ctx: &Context, args: &NotifyArgs) -> Result<Exit, Failure> {
    let config = ctx.start()?;
    let receivers = compose::receivers(&config, &ctx.redactor)?;
    let known: Vec<&str> = receivers.iter().map(|receiver| receiver.name()).collect();
    if known.is_empty() {
        return Err(Failure::usage("the configuration has no receivers")
            .with_hint("add one under `notify`: docs/operations.md has examples"));
    }
    if let Some(name) = args.receiver.as_deref().filter(|name| !known.contains(name)) {
        let text = format!("no receiver named {}", plain(name));
        return Err(
            Failure::usage(text).with_hint(format!("the receivers are {}", known.join(", ")))
        );
    }
    let is_wanted = |name: &str| args.receiver.as_deref().is_none_or(|wanted| wanted == name);
    let mut sent = Vec::new();
    for receiver in receivers.iter().filter(|receiver| is_wanted(receiver.name())) {
        let kind = config.receivers.iter().find(|r| r.name == receiver.name()).map(|r| r.kind);
        let mut heard = config.watches.iter().flat_map(|watch| &watch.notify);
        let heard = heard.find(|s| s.receiver == receiver.name());
        let routes = heard.map_or(Route::ALL.to_vec(), |heard| heard.routes.clone());
        for route in routes {
            let error = receiver.test(NoticeId::new(ctx.now(), fastrand::u128(..)), route).await;
            sent.push(Sent {
                receiver: receiver.name().to_owned(),
                kind: kind.map_or("", |kind| kind.as_str()),
                route,
                error: error.err(),
            });
        }
    }
    show(ctx, args.output, &sent)?;
    Ok(exit(&sent))
}

fn show(ctx: &Context, output: OutputArg, sent: &[Sent]) -> Result<(), Failure> {
    let answer = json::Notified { version: VERSION, receivers: sent.iter().map(to_json).collect() };
    ctx.ui.answer(output, &answer, names, |_| show_table(ctx, output, sent))
}

fn names(answer: &json::Notified) -> Vec<String> {
    answer.receivers.iter().map(|one| one.receiver.clone()).collect()
}

fn show_table(ctx: &Context, output: OutputArg, sent: &[Sent]) {
    let columns = [whole(""), middle("receiver"), whole("type"), whole("route"), folded("detail")];
    let mut rows = Rows::new(&columns);
    for one in sent {
        let detail = one.error.as_ref().map_or("told".to_owned(), text);
        let (sign, tone) =
            if one.error.is_none() { ("ok", Tone::Good) } else { ("✗", Tone::Bad) };
        rows.row([
            (sign, tone),
            (&one.receiver, Tone::Plain),
            (one.kind, Tone::Plain),
            (one.route.as_str(), Tone::Plain),
            (&ctx.redactor.redact(&detail), Tone::Plain),
        ]);
    }
    ctx.ui.table(&rows, output);
    for one in sent {
        if let Some(hint) = one.error.as_ref().and_then(NotifyError::hint) {
            ctx.ui.complain(&format!("hint: {}: {hint}", one.receiver));
        }
    }
}

fn text(error: &NotifyError) -> String {
    sentry_core::error::text(error)
}

fn to_json(sent: &Sent) -> json::NotifiedReceiver {
    json::NotifiedReceiver {
        receiver: sent.receiver.clone(),
        kind: sent.kind,
        route: sent.route.as_str(),
        result: if sent.error.is_none() { "told" } else { "failed" },
        error: sent.error.as_ref().map(text),
        hint: sent.error.as_ref().and_then(NotifyError::hint).map(str::to_owned),
    }
}

/// What only a person can change on this machine weighs less than a receiver that can't be reached.
fn exit(sent: &[Sent]) -> Exit {
    let code = |sent: &Sent| {
        Some(match sent.error.as_ref()?.kind() {
            NotifyErrorKind::Rejected | NotifyErrorKind::Local => Exit::Failed,
            _ => Exit::Unreachable,
        })
    };
    sent.iter().filter_map(code).max_by_key(|exit| *exit as u8).unwrap_or(Exit::Done)
}
