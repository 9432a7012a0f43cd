//! Which runs start: what Pipelines-as-Code's annotations say about an event on a branch or a tag.
//!
//! A run that does not start is left out before anything else about it is judged. As in Pipelines-as-Code
//! (`pkg/matcher`): an expression decides alone; otherwise event, branch, paths and labels must all fit.

use serde_json::Value;

use super::annotations::{self, Annotations};
use super::cel::{self, NoAnswer, Truth};
use super::fuel::Fuel;
use super::globs::{Globs, Trouble};
use super::marked::Marked;
use super::parse::{Content, printable};
use super::variables::Variables;
use super::{Context, Documents, MAX_TEXT_CHARS, policy};
use crate::plan::RunRules;
use crate::subject::Subject;
use crate::watch::{NamespacePolicy, Unannotated};

const EVENT: &str = "on-event";
const BRANCH: &str = "on-target-branch";
const EXPRESSION: &str = "on-cel-expression";
const COMMENT: &str = "on-comment";
const LABEL: &str = "on-label";
const PATHS: [&str; 2] = ["on-path-change", "on-path-changed"];
const IGNORED_PATHS: [&str; 3] =
    ["on-path-change-ignore", "on-path-changed-ignore", "on-path-change-ignored"];

/// The most patterns of one annotation.
const MAX_PATTERNS: usize = 200;

/// Whether a run starts.
#[derive(Debug)]
pub(super) enum Start {
    /// It does.
    Yes(Started),
    /// It does not, and why.
    No(String),
    /// Whether it does can't be told, and why: to leave it out would be a guess.
    Refused(String),
}

/// What deciding works with, from one run to the next.
#[derive(Debug)]
pub(super) struct Means<'c> {
    pub(super) fuel: Fuel,
    pub(super) globs: Globs<'c>,
}

/// Why a run does not start.
enum Not {
    /// It is for something else.
    Meant(String),
    /// Whether it does can't be told.
    Told(String),
}

/// Why a run starts, and what its document asks for.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) why: String,
    pub(super) rules: RunRules,
    pub(super) notes: Vec<String>,
}

/// Decides about a document that is a run.
pub(super) fn decide(
    document: &Value,
    context: &Context<'_>,
    variables: &Variables<'_>,
    means: &mut Means<'_>,
) -> Start {
    means.fuel.next();
    let own = Annotations::of(document);
    let mut choice = Choice { own: &own, context, variables, means, notes: Vec::new() };
    match choice.why(document) {
        Ok(why) => {
            let rules = choice.rules();
            Start::Yes(Started { why, rules, notes: choice.notes })
        }
        Err(Not::Meant(why)) => Start::No(why),
        Err(Not::Told(why)) => Start::Refused(why),
    }
}

/// True if whether a run starts depends on which paths changed.
pub(super) fn needs_changes(document: &Value) -> bool {
    let own = Annotations::of(document);
    match own.get(EXPRESSION) {
        Some(expression) => cel::may_ask_for_paths(expression),
        None => own.names().any(|name| PATHS.contains(&name) || IGNORED_PATHS.contains(&name)),
    }
}

/// What to say if the requested run does not exist.
pub(super) fn no_such_run(documents: &Documents, context: &Context<'_>) -> Option<String> {
    let asked = context.only?;
    let names: Vec<&str> = documents
        .entries
        .iter()
        .filter_map(|entry| match &entry.content {
            Content::Parsed(value) if policy::is_run(value) => policy::name_in(value),
            _ => None,
        })
        .collect();
    if names.iter().any(|name| is_called(name, asked)) {
        return None;
    }
    let known = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
    let text =
        format!("there is no run {asked} in {}; there is {known}", context.watch.manifests.dir);
    Some(printable(&text, MAX_TEXT_CHARS))
}

struct Choice<'c, 'm> {
    own: &'c Annotations,
    context: &'c Context<'c>,
    variables: &'c Variables<'c>,
    means: &'c mut Means<'m>,
    notes: Vec<String>,
}

impl<'m> Choice<'_, 'm> {
    /// Why it starts.
    ///
    /// # Errors
    /// Why it does not.
    fn why(&mut self, document: &Value) -> Result<String, Not> {
        let asked = self.context.only;
        if let Some(asked) = asked {
            let name = policy::name_in(document).unwrap_or_default();
            if !is_called(name, asked) {
                return Err(Not::Meant(format!("only the run {asked} was requested")));
            }
        }
        self.understood()?;
        self.place()?;
        if self.own.get(EXPRESSION).is_some() {
            return self.expression();
        }
        if self.own.names().any(|name| name.starts_with("on-") && name != COMMENT) {
            return self.annotated();
        }
        if self.own.get(COMMENT).is_some() {
            return Err(Not::Meant("starts on a comment only (on-comment)".to_owned()));
        }
        let event = self.context.event.as_str();
        match self.context.watch.reading.unannotated {
            _ if asked.is_some() => Ok("requested by name".to_owned()),
            _ if event != "push" => Err(Not::Meant(format!("has no on-event that names {event}"))),
            Unannotated::Run => Ok("no annotation restricts it".to_owned()),
            Unannotated::Skip => Err(Not::Meant(format!(
                "has no annotation such as `{}on-event`, and the watch says `unannotated: skip`",
                annotations::PREFIX
            ))),
        }
    }

    /// An annotation that decides and that nobody here understands must not be passed over.
    fn understood(&self) -> Result<(), Not> {
        let known = |name: &str| {
            [EVENT, BRANCH, EXPRESSION, COMMENT, LABEL].contains(&name)
                || PATHS.contains(&name)
                || IGNORED_PATHS.contains(&name)
        };
        match self.own.names().find(|name| name.starts_with("on-") && !known(name)) {
            Some(name) => {
                Err(Not::Meant(format!("`{}{name}` is not supported", annotations::PREFIX)))
            }
            None => Ok(()),
        }
    }

    /// `target-namespace` binds a run to the namespace of another installation.
    fn place(&mut self) -> Result<(), Not> {
        let namespace = self.context.watch.cluster.namespace.as_str();
        match self.value("target-namespace") {
            Some(other) if other != namespace => {
                match self.context.watch.reading.namespace_policy {
                    NamespacePolicy::Override => {
                        self.notes.push(format!(
                            "target-namespace {other} is ignored: the run goes to {namespace}"
                        ));
                        Ok(())
                    }
                    _ => Err(Not::Meant(format!(
                        "is for the namespace {other} (target-namespace), not {namespace}"
                    ))),
                }
            }
            _ => Ok(()),
        }
    }

    fn expression(&mut self) -> Result<String, Not> {
        let context = self.context;
        let facts = cel::Facts {
            event: context.event.as_str(),
            source_branch: context.source_branch(),
            target_branch: context.target_branch(),
            heads: match context.revision.subject {
                Subject::Branch(_) => annotations::HEADS,
                Subject::Tag(_) | Subject::PullRequest(_) => "",
            },
            url: context.watch.source.repo.as_str(),
            title: context.pull.map_or(context.title, |pull| &pull.title),
            own: &context.watch.variables,
            changed: context.changed,
        };
        let text = self.own.get(EXPRESSION).unwrap_or_default();
        match cel::evaluate(&Marked::new(text, self.variables), &facts, self.means) {
            Ok(Truth::Yes) => Ok(format!("{EXPRESSION} is true")),
            Ok(Truth::DependsOnPaths) => Ok(format!(
                "{EXPRESSION} depends on how paths changed, which is unknown and counts as changed"
            )),
            Ok(Truth::Refused(why)) => Err(Not::Told(format!("{EXPRESSION}: {why}"))),
            Ok(Truth::No) => {
                Err(Not::Meant(format!("{EXPRESSION} is false for {}", self.event_and_branch())))
            }
            Err(NoAnswer::Payload(why)) => {
                Err(Not::Meant(format!("{EXPRESSION} can't be evaluated: {why}")))
            }
            Err(NoAnswer::Unclear(why)) => {
                Err(Not::Told(format!("{EXPRESSION} can't be evaluated: {why}")))
            }
        }
    }

    /// An annotation's value, with its variables replaced.
    fn value(&self, name: &str) -> Option<String> {
        Some(self.variables.replace(self.own.get(name)?, |_, value| value.to_owned()))
    }

    /// The patterns of an annotation. The list is taken apart before values are put in, and in a pattern they stand for
    /// themselves.
    fn patterns(&mut self, name: &str, text: &str) -> Result<Vec<String>, Not> {
        if let Some(cut) = cut_in_braces(text) {
            self.notes.push(format!("{name}{cut}"));
        }
        let marked = Marked::new(text, self.variables);
        let patterns = list(name, text, &marked)?;
        if patterns.len() > MAX_PATTERNS {
            return Err(Not::Told(format!(
                "{name} has more than {MAX_PATTERNS} patterns: use fewer and broader ones"
            )));
        }
        let filled = patterns.iter().map(|pattern| marked.pattern(pattern, cel::of_glob));
        let unfilled = |problem| Not::Told(format!("{name}: {problem}"));
        filled.collect::<Result<_, _>>().map_err(unfilled)
    }

    fn event_and_branch(&self) -> String {
        format!("{} to {}", self.context.event, self.context.revision.subject.label())
    }

    fn annotated(&mut self) -> Result<String, Not> {
        self.event()?;
        self.branch()?;
        let mut why = self.pair();
        for name in PATHS {
            if let Some(what) = self.paths(name)? {
                why = format!("{why}; {what}");
            }
        }
        if let Some(labels) = self.label()? {
            why = format!("{why}; {labels}");
        }
        for name in IGNORED_PATHS {
            if let Some(what) = self.ignored_paths(name)? {
                why = format!("{why}; {what}");
            }
        }
        Ok(why)
    }

    /// The two annotations that fit. Pipelines-as-Code starts nothing with only one of them, which nobody means.
    fn pair(&mut self) -> String {
        let (event, branch) = (self.own.get(EVENT), self.own.get(BRANCH));
        let alone = match (event, branch) {
            (Some(event), Some(branch)) => return format!("{EVENT} {event}, {BRANCH} {branch}"),
            (Some(_), None) => BRANCH,
            (None, Some(_)) => EVENT,
            (None, None) => "on-event and on-target-branch",
        };
        self.notes.push(format!("Pipelines-as-Code would not start it without {alone}"));
        match (event, branch) {
            (Some(event), _) => format!("{EVENT} {event}"),
            (_, Some(branch)) => format!("{BRANCH} {branch}"),
            _ => "no event or branch is named".to_owned(),
        }
    }

    /// What `on-label` says, if it stands there: one of its labels must be on the pull request.
    fn label(&self) -> Result<Option<String>, Not> {
        let Some(text) = self.own.get(LABEL) else { return Ok(None) };
        let marked = Marked::new(text, self.variables);
        let wanted = list(LABEL, text, &marked)?;
        let has =
            |label: String| self.context.pull.is_some_and(|pull| pull.labels.contains(&label));
        if wanted.iter().map(|label| marked.filled(label)).any(has) {
            Ok(Some(format!("{LABEL} {text}")))
        } else {
            Err(Not::Meant(format!("needs a pull request with a label of {text} ({LABEL})")))
        }
    }

    fn event(&self) -> Result<(), Not> {
        let event = self.context.event.as_str();
        let Some(text) = self.own.get(EVENT) else {
            // Without a word about events, a run is for pushes.
            return if event == "push" {
                Ok(())
            } else {
                Err(Not::Meant(format!("has no {EVENT} that names {event}")))
            };
        };
        let marked = Marked::new(text, self.variables);
        let events = list(EVENT, text, &marked)?;
        // Pipelines-as-Code's incoming webhook starts what is for pushes too.
        let fits = |own: String| own == event || (event == "incoming" && own == "push");
        if events.iter().map(|own| marked.filled(own)).any(fits) {
            Ok(())
        } else {
            Err(Not::Meant(format!("{EVENT} {text} is not {event}")))
        }
    }

    fn branch(&mut self) -> Result<(), Not> {
        let Some(text) = self.own.get(BRANCH) else { return Ok(()) };
        let branch = self.context.target_branch();
        let patterns = self.patterns(BRANCH, text)?;
        let fits = |globs: &mut Globs<'m>, pattern: &str, fuel: &mut Fuel| {
            globs.branch(pattern, branch, fuel)
        };
        match self.any(BRANCH, &patterns, fits)? {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => {
                return Err(Not::Told(format!(
                    "{BRANCH} takes too long to match: use fewer or shorter patterns"
                )));
            }
        }
        let is_branch = self.context.revision.subject.tag().is_none();
        Err(Not::Meant(if is_branch && patterns.iter().all(|p| annotations::is_for_tags(p)) {
            format!("{BRANCH} {text} is for tags, and {branch} is a branch")
        } else if patterns.iter().any(|p| p.starts_with(['"', '\''])) {
            format!("{BRANCH} {text} is not {branch}: quotes are part of the name")
        } else {
            format!("{BRANCH} {text} is not {branch}{}", cut_in_braces(text).unwrap_or_default())
        }))
    }

    /// What `on-path-change` says, if it stands there.
    fn paths(&mut self, name: &str) -> Result<Option<String>, Not> {
        let Some(text) = self.own.get(name) else { return Ok(None) };
        match self.any_path(name, text)? {
            Changes::Fit => Ok(Some(format!("{name} {text}"))),
            Changes::Fail => {
                let hint = cut_in_braces(text).unwrap_or_default();
                Err(Not::Meant(format!("no changed path matches {name} {text}{hint}")))
            }
            Changes::Unknown(why) => Ok(Some(why)),
        }
    }

    fn ignored_paths(&mut self, name: &str) -> Result<Option<String>, Not> {
        let Some(text) = self.own.get(name) else { return Ok(None) };
        match self.any_path(name, text)? {
            Changes::Fit => Err(Not::Meant(format!("a changed path matches {name} {text}"))),
            Changes::Fail => Ok(Some(format!("no changed path matches {name}"))),
            Changes::Unknown(why) => Ok(Some(why)),
        }
    }

    /// What an annotation says of the paths that changed.
    fn any_path(&mut self, name: &str, text: &str) -> Result<Changes, Not> {
        let patterns = self.patterns(name, text)?;
        let unknown =
            |what| Changes::Unknown(format!("{name}: {what} is unknown and counts as changed"));
        if self.context.changed.is_none_or(|changed| changed.truncated) {
            self.any(name, &patterns, |globs, pattern, fuel| {
                globs.read(pattern, fuel).map(|()| false)
            })?;
            return Ok(unknown("what changed"));
        }
        Ok(match self.any(name, &patterns, Globs::path)? {
            Some(true) => Changes::Fit,
            Some(false) => Changes::Fail,
            None => unknown("the result, which takes too long to compute,"),
        })
    }

    /// True if any pattern fits; nothing if that takes too long. Every pattern is looked at, so that a wrong one is
    /// always told.
    fn any(
        &mut self,
        name: &str,
        patterns: &[String],
        mut fits: impl FnMut(&mut Globs<'m>, &str, &mut Fuel) -> Result<bool, Trouble>,
    ) -> Result<Option<bool>, Not> {
        let Means { fuel, globs } = &mut *self.means;
        fuel.refill();
        let mut found = Some(false);
        for pattern in patterns {
            match fits(globs, pattern, fuel) {
                Ok(true) => found = Some(true),
                Ok(false) => {}
                Err(Trouble::Exhausted) => return Ok(found.filter(|found| *found)),
                Err(Trouble::Broken(problem)) => {
                    return Err(Not::Told(format!(
                        "{name} can't be read, correct the pattern: {problem}"
                    )));
                }
            }
        }
        Ok(found)
    }

    /// What is asked for beside being run.
    fn rules(&mut self) -> RunRules {
        let mut rules = RunRules::default();
        if let Some(text) = self.value("max-keep-runs") {
            match text.trim().parse() {
                Ok(0) | Err(_) => self.notes.push(format!(
                    "max-keep-runs `{text}` is not a number of 1 or more: all runs are kept"
                )),
                Ok(number) => rules.keep = Some(number),
            }
        }
        match self.value("cancel-in-progress").as_deref().map(str::trim) {
            None | Some("false") => {}
            Some("true") => rules.cancels_older = true,
            Some(text) => self.notes.push(format!(
                "cancel-in-progress `{text}` is neither true nor false: nothing is cancelled"
            )),
        }
        rules
    }
}

/// What an annotation says of the paths that changed.
enum Changes {
    /// One fits.
    Fit,
    /// None does.
    Fail,
    /// It can't be told, and why.
    Unknown(String),
}

/// The values of an annotation's text, with marks in them.
fn list(name: &str, text: &str, marked: &Marked) -> Result<Vec<String>, Not> {
    let unread = |problem| Not::Told(format!("{name} `{text}` {problem}"));
    annotations::list(&marked.text).map_err(unread)
}

/// What to say of a list whose commas end patterns inside of braces, as in Pipelines-as-Code.
fn cut_in_braces(text: &str) -> Option<&'static str> {
    let is_cut = |part: &str| part.matches('{').count() > part.matches('}').count();
    (text.trim().starts_with('[') && text.split(',').any(is_cut))
        .then_some(": a comma ends a pattern, even in braces; write it as `&#44;` there")
}

/// True if a run is the requested one: by its `name`, or its `generateName` with or without the dash.
fn is_called(name: &str, asked: &str) -> bool {
    !name.is_empty() && (name == asked || name.strip_suffix('-') == Some(asked))
}
