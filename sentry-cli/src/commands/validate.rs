//! `sentry validate`: every problem of the configuration at once; with `--online` also what can only be asked.

use sentry_config::{Config, LoadError, Problem};

use super::{Context, online};
use crate::args::ValidateArgs;
use crate::compose;
use crate::exit::{Exit, Failure};
use crate::json;
use crate::ui::{Rows, Tone, count_of, plain};

pub(crate) async fn run(ctx: &Context, args: ValidateArgs) -> Result<Exit, Failure> {
    let file = ctx.config_file()?;
    let config = match sentry_config::load(&file, &ctx.env) {
        Ok(config) => config,
        Err(LoadError::Problems(problems)) if args.output.is_json() => {
            let problems: Vec<_> = problems.iter().map(problem_json).collect();
            ctx.ui.json(&validation(problems, Vec::new(), Vec::new()))?;
            return Ok(Exit::Usage);
        }
        Err(error) => return Err(error.into()),
    };
    ctx.adopt(&config);
    // A template is tried out as well as read.
    compose::receivers(&config, &ctx.redactor)?;
    if args.print {
        ctx.ui.write(&sentry_config::to_long_form(&config));
        return Ok(Exit::Done);
    }
    let checks = if args.online { online::checks(ctx, &config).await? } else { Vec::new() };
    if args.output.is_json() {
        let warnings = config.warnings.iter().map(problem_json).collect();
        let checks = checks.iter().map(online::Check::to_json).collect();
        ctx.ui.json(&validation(Vec::new(), warnings, checks))?;
    } else {
        show(ctx, &file.display().to_string(), &config, &checks);
    }
    Ok(online::exit(&checks))
}

fn validation(
    problems: Vec<json::ProblemJson>,
    warnings: Vec<json::ProblemJson>,
    checks: Vec<json::CheckJson>,
) -> json::Validation {
    let valid = problems.is_empty();
    json::Validation { version: json::VERSION, valid, problems, warnings, checks }
}

fn problem_json(problem: &Problem) -> json::ProblemJson {
    json::ProblemJson {
        file: problem.file.clone(),
        path: problem.path.clone(),
        line: (problem.line > 0).then_some(problem.line),
        column: (problem.column > 0).then_some(problem.column),
        message: problem.message.clone(),
        remedy: (!problem.hint.is_empty()).then(|| problem.hint.clone()),
    }
}

fn show(ctx: &Context, file: &str, config: &Config, checks: &[online::Check]) {
    for warning in &config.warnings {
        ctx.ui.complain(&format!("warning: {warning}"));
    }
    ctx.ui.line(format!(
        "{file} is valid: {}, {}",
        count_of(config.watches.len(), "watch", "watches"),
        count_of(config.forges.len(), "forge", "forges")
    ));
    if checks.is_empty() {
        return;
    }
    ctx.ui.line("");
    let mut rows = Rows::new(&["", "subject", "check", "detail"]);
    for check in checks {
        let (word, tone) =
            if check.problem.is_none() { ("ok", Tone::Good) } else { ("✗", Tone::Bad) };
        rows.row([
            (word, tone),
            (&check.subject, Tone::Plain),
            (&check.what, Tone::Plain),
            (&check.detail, Tone::Plain),
        ]);
    }
    ctx.ui.table(&rows);
    for check in checks {
        if let Some(remedy) = &check.remedy {
            ctx.ui.complain(&format!("hint: {}, {}: {}", check.subject, check.what, plain(remedy)));
        }
    }
}
