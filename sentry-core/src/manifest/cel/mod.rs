//! `on-cel-expression`: what Pipelines-as-Code decides by an expression, within bounds.
//!
//! The expression is read by the `cel` crate, which knows the language and its macros. It is evaluated here and not
//! by that crate, because the author of B writes the expression: every step costs fuel, so nested loops, growing
//! texts and costly patterns end, and "which paths changed is not known" is an answer of its own.

mod bind;
mod check;
mod eval;
mod functions;
mod guard;
mod patterns;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cel::common::ast::IdedExpr;

pub(super) use self::bind::of_glob;
use self::value::Fault;
use super::marked::Marked;
use super::selection::Means;
use crate::forge::ChangedPaths;

/// What an expression can ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// `event` and `event_type`.
    pub(super) event: &'a str,
    /// `source_branch`: a branch's name, or another subject's whole reference.
    pub(super) source_branch: &'a str,
    /// `target_branch`, in the same form.
    pub(super) target_branch: &'a str,
    /// What makes both whole references: `refs/heads/`, or nothing where they are that.
    pub(super) heads: &'static str,
    /// `source_url` and `target_url`.
    pub(super) url: &'a str,
    /// `event_title`.
    pub(super) title: &'a str,
    /// The watch's own variables.
    pub(super) own: &'a BTreeMap<String, String>,
    /// What changed; `None` where it is not known.
    pub(super) changed: Option<&'a ChangedPaths>,
}

/// What an expression says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    /// It depends on which paths changed, or how, which is not known.
    DependsOnPaths,
    /// A value would have to become a part of the expression: why, and the remedy.
    Refused(String),
}

/// Why an expression has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It asks for a webhook's payload, which a watched branch does not have.
    Payload(String),
    /// It can't be read, is wrong, or is over a limit.
    Unclear(String),
}

impl From<String> for NoAnswer {
    fn from(why: String) -> Self {
        Self::Unclear(why)
    }
}

/// The stack that an expression gets: at the limits of [`guard`], the parser needs a few megabytes without
/// optimisation, and the caller may have less left.
const STACK_BYTES: usize = 32 << 20;

/// What reading an expression costs, for each byte.
const FOR_BYTE: usize = 50;
/// Why an expression that costs too much has no answer.
const TOO_LONG: &str = "it takes too long: simplify it";

/// Evaluates an expression; the values of its variables are values in it.
///
/// # Errors
/// Why it has no answer, in a few words.
pub(super) fn evaluate(
    expression: &Marked,
    facts: &Facts<'_>,
    means: &mut Means<'_>,
) -> Result<Truth, NoAnswer> {
    let text = &expression.text;
    guard::check(text)?;
    means.fuel.refill();
    means.fuel.spend(FOR_BYTE * text.len()).map_err(|_| TOO_LONG.to_owned())?;
    on_a_stack(STACK_BYTES, || evaluate_here(expression, facts, means))?.map_err(|why| match why {
        NoAnswer::Payload(why) => NoAnswer::Payload(expression.shown(&why)),
        NoAnswer::Unclear(why) => NoAnswer::Unclear(expression.shown(&why)),
    })
}

fn evaluate_here(
    marked: &Marked,
    facts: &Facts<'_>,
    means: &mut Means<'_>,
) -> Result<Truth, NoAnswer> {
    let mut expression = parse(&marked.text)?;
    let known = |name: &str| facts.own.contains_key(name) || marked.variable(name).is_some();
    let names = check::check(&expression, &known);
    let refusals = bind::bind(&mut expression, marked);
    let prefix = if names.full_refs { facts.heads } else { "" };
    let [source, target] =
        [facts.source_branch, facts.target_branch].map(|branch| format!("{prefix}{branch}"));
    let facts = &Facts { source_branch: &source, target_branch: &target, ..*facts };
    let mut answer = eval::answer(&expression, facts, &refusals, means);
    if matches!(answer, Err(Fault::Exhausted | Fault::Limit(_))) {
        // Many and long paths are A's doing: without them, the expression's author gets an answer all the same.
        means.fuel.reserve();
        let unknown = Facts { changed: None, ..*facts };
        answer = eval::answer(&expression, &unknown, &refusals, means).or(answer);
    }
    match (answer, names.problem) {
        // It starts nothing, however the unknown name is read.
        (Ok(Truth::No), _) => Ok(Truth::No),
        (_, Some(problem)) => Err(problem.into()),
        (answer, None) => answer.map_err(|fault| match fault {
            Fault::Payload(why) => NoAnswer::Payload(why),
            Fault::Other(why) | Fault::Limit(why) | Fault::Refused(why) => NoAnswer::Unclear(why),
            Fault::Exhausted | Fault::Paths => NoAnswer::Unclear(TOO_LONG.to_owned()),
        }),
    }
}

/// True if an expression may ask which paths changed; it is not parsed for that.
pub(super) fn may_ask_for_paths(text: &str) -> bool {
    text.contains("files") || text.contains("pathChanged")
}

/// Does something on a stack of its own.
fn on_a_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(bytes).spawn_scoped(scope, work);
        let joined = thread.map_err(|e| format!("can't start a thread: {e}"))?.join();
        joined.map_err(|_| "the parser failed".to_owned())
    })
}

fn parse(text: &str) -> Result<IdedExpr, String> {
    let parser =
        cel::parser::Parser::new().max_recursion_depth(guard::MAX_NESTING).error_recovery_limit(1);
    parser.parse(text).map_err(|errors| {
        // The crate's own text is a drawing of several lines.
        let first = errors.errors.first().map_or("", |e| e.msg.as_str());
        format!("can't be read: {}", super::printable(first, 120))
    })
}
