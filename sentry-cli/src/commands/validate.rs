//! `sentry validate`: every problem of the configuration at once; with `--online` also what can only be asked.

use sentry_config::{Config, LoadError, Problem};

use super::online::Check;
use super::{Context, online};
use crate::args::{OutputArg, ValidateArgs};
use crate::compose;
use crate::exit::{Exit, Failure};
use crate::json;
use crate::table::{Rows, folded, middle, whole};
use crate::ui::{Tone, count, count_of, plain};

pub(crate) async fn run(ctx: &Context, args: ValidateArgs) -> Result<Exit, Failure> {
    let file = ctx.config_file()?;
    let config = match sentry_config::load(&file, &ctx.env) {
        Ok(config) => config,
        Err(LoadError::Problems(problems)) if !args.output.is_table() => {
            let problems: Vec<_> = problems.iter().map(problem_json).collect();
            let answer = validation(problems, Vec::new(), Vec::new());
            ctx.ui.answer(args.output, &answer, names, |_| {})?;
            return Ok(Exit::Usage);
        }
        Err(error) => return Err(error.into()),
    };
    ctx.adopt(&config);
    // A template is tried out as well as read.
    compose::receivers(&config, &ctx.redactor)?;
    config.postgres.iter().try_for_each(|it| compose::shared_store(it, &ctx.redactor).map(drop))?;
    if args.print {
        ctx.ui.write(&sentry_config::to_long_form(&config));
        return Ok(Exit::Done);
    }
    let checks = if args.online { online::checks(ctx, &config).await? } else { Vec::new() };
    let warnings = config.warnings.iter().map(problem_json).collect();
    let answer = validation(Vec::new(), warnings, checks.iter().map(Check::to_json).collect());
    ctx.ui.answer(args.output, &answer, names, |_| {
        show_config(ctx, &file.display().to_string(), &config);
        if args.online {
            show_checks(ctx, args.output, &checks);
        }
    })?;
    Ok(online::exit(&checks))
}

/// Each place of the configuration that is wrong, and each subject of which a check failed.
fn names(answer: &json::Validation) -> Vec<String> {
    let failed = answer.checks.iter().filter(|check| check.result != "ok");
    let mut failed: Vec<_> = failed.map(|check| check.subject.clone()).collect();
    failed.dedup();
    answer.problems.iter().map(|problem| problem.path.clone()).chain(failed).collect()
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

fn show_config(ctx: &Context, file: &str, config: &Config) {
    for warning in &config.warnings {
        ctx.ui.complain(&format!("warning: {warning}"));
    }
    ctx.ui.line(format!(
        "{file} is valid: {}, {}",
        count_of(config.watches.len(), "watch", "watches"),
        count_of(config.forges.len(), "forge", "forges")
    ));
}

/// What failed alone, or all checks where none did or where all are asked for; the count last.
fn show_checks(ctx: &Context, output: OutputArg, checks: &[Check]) {
    ctx.ui.line("");
    let (failed, passed): (Vec<&Check>, Vec<&Check>) =
        checks.iter().partition(|check| check.problem.is_some());
    let shown = if failed.is_empty() || output.is_wide() {
        failed.iter().chain(&passed).copied().collect()
    } else {
        failed.clone()
    };
    let mut rows = Rows::new(&[whole(""), middle("subject"), whole("check"), folded("detail")]);
    for check in &shown {
        let (word, tone) =
            if check.problem.is_none() { ("ok", Tone::Good) } else { ("✗", Tone::Bad) };
        rows.row([
            (word, tone),
            (&check.subject, Tone::Plain),
            (&check.what, Tone::Plain),
            (&check.detail, Tone::Plain),
        ]);
    }
    ctx.ui.table(&rows, output);
    for check in shown {
        if let Some(remedy) = &check.remedy {
            ctx.ui.line(plain(&format!("hint: {}, {}: {remedy}", check.subject, check.what)));
        }
    }
    let all = count(checks.len(), "check");
    ctx.ui.line(match failed.len() {
        0 => format!("\n{all} passed"),
        number => format!("\n{number} of {all} failed"),
    });
}
