//! `sentry man`: a page for the program and one for each command, in the sections that man-pages(7) names.

use std::fs;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Context;
use crate::args::ManArgs;
use crate::exit::{Exit, Failure};
use crate::help;

const STATUS: &[(&str, &str)] = &[
    ("0", "Success."),
    ("1", "A delivery or a run failed, or a check found something."),
    ("2", "The command line, the configuration or the state can't be used as it is."),
    ("3", "A forge, git server, cluster or Sentry server can't be reached or refuses access."),
    ("4", "Another agent holds the state; the message says which."),
    ("130", "Aborted: by a second signal, or before there was a result."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("SENTRY_CONFIG", "The configuration file, unless --config names one."),
    ("SENTRY_STATE_DIR", "The state directory, unless --state-dir names one."),
    ("SENTRY_SERVER", "The server to use, unless --server, --config or --state-dir is given."),
    ("SENTRY_TOKEN_FILE", "The file with the server's token, unless --token-file names one."),
    ("STATE_DIRECTORY", "The state directory that systemd made for the service."),
    (
        "XDG_STATE_HOME",
        "Where the state directory is made if nothing else names one; ~/.local/state by default.",
    ),
    ("COLUMNS", "How many columns a table may take; the terminal's width by default."),
    ("NO_COLOR", "If it is set, nothing is coloured unless --color=always is given."),
    (
        "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
        "The proxies for forges, receivers and servers, where the configuration names none.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "./sentry.yaml, /config/sentry.yaml, /etc/sentry/sentry.yaml",
        "The configuration: the first of them that exists.",
    ),
    (".env", "Variables for the configuration, in the same directory as it."),
    ("~/.local/state/sentry", "The state: what was seen and delivered."),
];

pub(crate) fn run(ctx: &Context, args: &ManArgs) -> Result<Exit, Failure> {
    let program = help::command();
    let Some(dir) = &args.dir else {
        ctx.ui.write(&page(&program, args.command.as_deref())?);
        return Ok(Exit::Done);
    };
    let cant = |e| Failure::usage(format!("can't write to {}", dir.display())).with_source(e);
    fs::create_dir_all(dir).map_err(cant)?;
    fs::write(dir.join("sentry.1"), page(&program, None)?).map_err(cant)?;
    for command in program.get_subcommands() {
        let name = command.get_name();
        let file = dir.join(format!("sentry-{name}.1"));
        fs::write(file, page(&program, Some(name))?).map_err(cant)?;
    }
    Ok(Exit::Done)
}

/// The page of a command, or of the program.
fn page(program: &clap::Command, name: Option<&str>) -> Result<String, Failure> {
    let command = match name {
        None => program.clone(),
        Some(name) => program.find_subcommand(name).cloned().ok_or_else(|| {
            let hint = "`sentry --help` lists the commands";
            Failure::usage(format!("there is no command {name}")).with_hint(hint)
        })?,
    };
    render(&command, name, program)
        .map_err(|e| Failure::usage("can't write the page").with_source(e))
}

fn render(
    command: &clap::Command,
    name: Option<&str>,
    program: &clap::Command,
) -> std::io::Result<String> {
    let man = Man::new(command.clone()).manual("Sentry Manual").date("");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if name.is_none() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut rest = Roff::default();
    section(&mut rest, "EXIT STATUS", STATUS);
    section(&mut rest, "ENVIRONMENT", ENVIRONMENT);
    section(&mut rest, "FILES", FILES);
    section(&mut rest, "EXAMPLES", help::examples(command.get_name()));
    rest.control("SH", ["SEE ALSO"]);
    rest.text(see_also(name, program));
    rest.to_writer(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Each term, and below it what it means.
fn section(roff: &mut Roff, title: &str, rows: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (term, meaning) in rows {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*meaning)]);
    }
}

/// The program's page has all commands, a command's page leads to the program's, where the global options are.
fn see_also(name: Option<&str>, program: &clap::Command) -> Vec<clap_mangen::roff::Inline> {
    if name.is_some() {
        return vec![bold("sentry"), roman("(1), which has the options of all commands")];
    }
    let pages = program.get_subcommands().flat_map(|command| {
        [roman(", "), bold(format!("sentry-{}", command.get_name())), roman("(1)")]
    });
    pages.skip(1).collect()
}
