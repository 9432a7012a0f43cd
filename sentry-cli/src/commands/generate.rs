//! `sentry schema` and `sentry completions`: texts made from what the program knows of itself.

use super::Context;
use crate::complete;
use crate::exit::{Exit, Failure};

pub(crate) fn schema(ctx: &Context, api: bool) -> Result<Exit, Failure> {
    let schema = if api { sentry_api::openapi::description() } else { sentry_config::schema() };
    ctx.ui.json(&schema)?;
    Ok(Exit::Done)
}

pub(crate) fn completions(ctx: &Context, shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let script = complete::script(&shell.to_string())?;
    ctx.ui.write(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
