//! `sentry schema`, `sentry completions` and `sentry man`: texts made from what the program knows of itself.

use clap::CommandFactory as _;

use super::Context;
use crate::args::Cli;
use crate::exit::{Exit, Failure};

pub(crate) fn schema(ctx: &Context, api: bool) -> Result<Exit, Failure> {
    let schema = if api { sentry_api::openapi::description() } else { sentry_config::schema() };
    ctx.ui.json(&schema)?;
    Ok(Exit::Done)
}

pub(crate) fn completions(ctx: &Context, shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sentry", &mut script);
    ctx.ui.write(&String::from_utf8_lossy(&script));
    Exit::Done
}

/// One page for all: the program, then each command as a section.
pub(crate) fn man(ctx: &Context) -> Result<Exit, Failure> {
    let failed = |e: std::io::Error| Failure::usage("can't write the manual page").with_source(e);
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(&mut page).map_err(failed)?;
    man.render_name_section(&mut page).map_err(failed)?;
    man.render_synopsis_section(&mut page).map_err(failed)?;
    man.render_description_section(&mut page).map_err(failed)?;
    man.render_options_section(&mut page).map_err(failed)?;
    for sub in command.get_subcommands() {
        let name = sub.get_name().to_uppercase();
        page.extend_from_slice(format!(".SH \"SENTRY {name}\"\n").as_bytes());
        let sub = clap_mangen::Man::new(sub.clone());
        let mut part = Vec::new();
        sub.render_synopsis_section(&mut part).map_err(failed)?;
        sub.render_description_section(&mut part).map_err(failed)?;
        sub.render_options_section(&mut part).map_err(failed)?;
        let part = String::from_utf8_lossy(&part).replace(".SH ", ".SS ");
        page.extend_from_slice(part.as_bytes());
    }
    ctx.ui.write(&String::from_utf8_lossy(&page));
    Ok(Exit::Done)
}
