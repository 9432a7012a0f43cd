//! `sentry open`: where the page is, of all, of a watch or of a delivery; and there for whoever sits at a terminal.

use std::time::Duration;

use sentry_api::ErrorKind;
use sentry_api::query::StatusQuery;
use sentry_api::words::Word::Known;
use sentry_process::Program;

use super::Context;
use crate::args::OpenArgs;
use crate::exit::{Exit, Failure};

/// What opens an address in the person's own browser.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
/// It returns at once, or something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(ctx: &Context, args: &OpenArgs) -> Result<Exit, Failure> {
    let base = base(ctx)?;
    let url = match &args.what {
        None => format!("{base}/"),
        Some(what) => format!("{base}/{}", path(ctx, what).await?),
    };
    ctx.ui.line(&url);
    if ctx.ui.is_terminal() && !args.print {
        let opened = Program::new(OPENER).arg(url).deadline(PATIENCE).run().await;
        if !opened.is_ok_and(|output| output.status.success()) {
            ctx.ui.complain(&format!("warning: {OPENER} did not open it"));
        }
    }
    Ok(Exit::Done)
}

/// The page's address, without a slash at its end.
fn base(ctx: &Context) -> Result<String, Failure> {
    if let Some(server) = ctx.server()? {
        return Ok(server.place().to_owned());
    }
    ctx.config()?.server.public_url.ok_or_else(|| {
        Failure::usage("the page has no address")
            .with_hint("set `server.public_url`, or name a server with --server")
    })
}

/// Where a watch or a delivery is on the page.
async fn path(ctx: &Context, what: &str) -> Result<String, Failure> {
    let source = ctx.source().await?;
    let query = StatusQuery { watch: Some(what.to_owned()), ..StatusQuery::default() };
    match source.answers.status(&query).await {
        Ok(_) => return Ok(format!("watches/{what}")),
        Err(error) => match error.kind() {
            Known(ErrorKind::UnknownWatch | ErrorKind::BadRequest) => {}
            _ => return Err(error.into()),
        },
    }
    match source.answers.show(what).await {
        Ok(show) => Ok(format!("deliveries/{}", show.delivery.id)),
        Err(error)
            if matches!(
                error.kind(),
                Known(ErrorKind::BadRequest | ErrorKind::UnknownDelivery)
            ) =>
        {
            let text = format!("{} is neither a watch nor a delivery", crate::ui::plain(what));
            Err(Failure::usage(text).with_hint("`sentry status` and `sentry history` list them"))
        }
        Err(error) => Err(error.into()),
    }
}
