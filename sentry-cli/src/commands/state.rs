//! `sentry state copy`: a whole state, from a directory to the database of the configuration, or back.

use std::path::Path;

use super::Context;
use crate::args::{OutputArg, StateAction, StateArgs};
use crate::compose::Place;
use crate::exit::{Exit, Failure};
use crate::table::{Rows, end, whole};
use crate::ui::{Tone, count};

/// What stands for the database of the configuration.
const DATABASE: &str = "postgres";

pub(crate) async fn run(ctx: &Context, args: &StateArgs) -> Result<Exit, Failure> {
    let StateAction::Copy = args.what;
    let (from, to) = (place(ctx, &args.from)?, place(ctx, &args.to)?);
    if from == to {
        return Err(Failure::usage("--from and --to are the same")
            .with_hint("name a directory and `postgres`, or two directories"));
    }
    let copied = from.copy_to(&to, &ctx.redactor).await?;
    let mut rows = Rows::new(&[whole("kind"), end("records")]);
    for kind in &copied {
        rows.row([(kind.kind, Tone::Plain), (&kind.count.to_string(), Tone::Plain)]);
    }
    ctx.ui.table(&rows, OutputArg::default());
    let all = copied.iter().map(|kind| kind.count).sum::<u64>();
    let all = count(usize::try_from(all).unwrap_or(usize::MAX), "record");
    ctx.ui.line(format!("copied {all} to {to}, and compared them"));
    Ok(Exit::Done)
}

fn place(ctx: &Context, named: &Path) -> Result<Place, Failure> {
    if named != Path::new(DATABASE) {
        return Ok(Place::Directory(named.to_owned()));
    }
    let postgres = sentry_config::database(&ctx.config_file()?, &ctx.env)?;
    postgres.map(Place::Postgres).ok_or_else(|| {
        Failure::usage("the configuration has no database")
            .with_hint("set `state.postgres`, or name a directory: ./postgres")
    })
}
