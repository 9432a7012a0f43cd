//! Which runs start: what Pipelines-as-Code's annotations say about an event on a branch.
//!
//! A run that does not start is left out before anything else about it is judged. As in Pipelines-as-Code
//! (`pkg/matcher`): an expression decides alone; otherwise event, branch, paths and labels must all fit.

use serde_json::Value;

use super::annotations::{self, Annotations};
use super::cel::{self, Answer};
use super::fuel::Fuel;
use super::marked::Marked;
use super::parse::{Content, printable};
use super::variables::Variables;
use super::{Context, Documents, MAX_TEXT_CHARS, policy};
use crate::plan::RunRules;
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
    /// Whether it does can't be said without taking a value for program text: why, and the remedy.
    Refused(String),
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
    fuel: &mut Fuel,
) -> Start {
    let own = Annotations::of(document);
    let mut choice =
        Choice { own: &own, context, variables, fuel, notes: Vec::new(), is_refused: false };
    match choice.why(document) {
        Ok(why) => {
            let rules = choice.rules();
            Start::Yes(Started { why, rules, notes: choice.notes })
        }
        Err(why) if choice.is_refused => Start::Refused(why),
        Err(why) => Start::No(why),
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

/// What to say if the run that is asked for is not there.
pub(super) fn no_such_run(documents: &Documents, context: &Context<'_>) -> Option<String> {
    let asked = context.selection.run.as_deref()?;
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

struct Choice<'c> {
    own: &'c Annotations,
    context: &'c Context<'c>,
    variables: &'c Variables<'c>,
    fuel: &'c mut Fuel,
    notes: Vec<String>,
    /// True if the run must not be passed over, though it does not start.
    is_refused: bool,
}

impl<'c> Choice<'c> {
    /// Why it starts.
    ///
    /// # Errors
    /// Why it does not.
    fn why(&mut self, document: &Value) -> Result<String, String> {
        let asked = self.context.selection.run.as_deref();
        if let Some(asked) = asked {
            let name = policy::name_in(document).unwrap_or_default();
            if !is_called(name, asked) {
                return Err(format!("only the run {asked} is asked for"));
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
            return Err("starts on a comment only (on-comment)".to_owned());
        }
        let event = self.context.selection.event();
        match self.context.watch.reading.unannotated {
            _ if asked.is_some() => Ok("asked for by name".to_owned()),
            _ if event != "push" => Err(format!("has no on-event that names {event}")),
            Unannotated::Run => Ok("no annotation restricts it".to_owned()),
            Unannotated::Skip => Err(format!(
                "has no annotation such as `{}on-event`, and the watch says `unannotated: skip`",
                annotations::PREFIX
            )),
        }
    }

    /// An annotation that decides and that nobody here understands must not be passed over.
    fn understood(&self) -> Result<(), String> {
        let known = |name: &str| {
            [EVENT, BRANCH, EXPRESSION, COMMENT, LABEL].contains(&name)
                || PATHS.contains(&name)
                || IGNORED_PATHS.contains(&name)
        };
        match self.own.names().find(|name| name.starts_with("on-") && !known(name)) {
            Some(name) => Err(format!("`{}{name}` is not understood", annotations::PREFIX)),
            None => Ok(()),
        }
    }

    /// `target-namespace` binds a run to the namespace of another installation.
    fn place(&mut self) -> Result<(), String> {
        let namespace = self.context.watch.cluster.namespace.as_str();
        match self.value("target-namespace") {
            Some(other) if other != namespace => {
                match self.context.watch.reading.namespace_policy {
                    NamespacePolicy::Override => {
                        self.notes.push(format!(
                            "target-namespace {other} is not heeded: the run goes to {namespace}"
                        ));
                        Ok(())
                    }
                    _ => Err(format!(
                        "is for the namespace {other} (target-namespace), not {namespace}"
                    )),
                }
            }
            _ => Ok(()),
        }
    }

    fn expression(&mut self) -> Result<String, String> {
        let context = self.context;
        let facts = cel::Facts {
            event: context.selection.event(),
            branch: context.revision.branch.as_str(),
            url: context.watch.source.repo.as_str(),
            title: context.title,
            own: &context.watch.variables,
            changed: context.changed,
        };
        let text = self.own.get(EXPRESSION).unwrap_or_default();
        match cel::evaluate(&Marked::new(text, self.variables), &facts, self.fuel) {
            Ok(Answer::Yes) => Ok(format!("{EXPRESSION} is true")),
            Ok(Answer::DependsOnPaths) => Ok(format!(
                "{EXPRESSION} depends on how paths changed, which is not known and counts as changed"
            )),
            Ok(Answer::Refused(why)) => {
                self.is_refused = true;
                Err(format!("{EXPRESSION}: {why}"))
            }
            Ok(Answer::No) => Err(format!("{EXPRESSION} is false for {}", self.event_and_branch())),
            Err(why) => Err(format!("{EXPRESSION} has no answer: {why}")),
        }
    }

    /// An annotation's value, with its variables replaced.
    fn value(&self, name: &str) -> Option<String> {
        Some(self.variables.replace(self.own.get(name)?, |_, value| value.to_owned()))
    }

    /// The patterns of an annotation. The list is taken apart before values are put in, and in a pattern they stand for
    /// themselves.
    fn patterns(&mut self, name: &str, text: &str) -> Result<Vec<String>, String> {
        let marked = Marked::new(text, self.variables);
        let unread = |problem| format!("{name} `{text}` {problem}");
        let patterns = annotations::list(&marked.text).map_err(unread)?;
        let filled = patterns.iter().map(|pattern| marked.pattern(pattern, cel::of_glob));
        filled.collect::<Result<_, _>>().map_err(|problem| {
            self.is_refused = true;
            format!("{name}: {problem}")
        })
    }

    fn event_and_branch(&self) -> String {
        format!("{} to {}", self.context.selection.event(), self.context.revision.branch)
    }

    fn annotated(&mut self) -> Result<String, String> {
        self.event()?;
        self.branch()?;
        let mut why = self.pair();
        for name in PATHS {
            if let Some(what) = self.paths(name)? {
                why = format!("{why}; {what}");
            }
        }
        if let Some(labels) = self.own.get(LABEL) {
            return Err(format!("needs a pull request with a label of {labels} ({LABEL})"));
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

    fn event(&self) -> Result<(), String> {
        let event = self.context.selection.event();
        let Some(text) = self.own.get(EVENT) else {
            // Without a word about events, a run is for pushes.
            return if event == "push" {
                Ok(())
            } else {
                Err(format!("has no {EVENT} that names {event}"))
            };
        };
        let marked = Marked::new(text, self.variables);
        let events = annotations::list(&marked.text)
            .map_err(|problem| format!("{EVENT} `{text}` {problem}"))?;
        // Pipelines-as-Code's incoming webhook starts what is for pushes too.
        let fits = |own: String| own == event || (event == "incoming" && own == "push");
        if events.iter().map(|own| marked.filled(own)).any(fits) {
            Ok(())
        } else {
            Err(format!("{EVENT} {text} is not {event}"))
        }
    }

    fn branch(&mut self) -> Result<(), String> {
        let Some(text) = self.own.get(BRANCH) else { return Ok(()) };
        let branch = self.context.revision.branch.as_str();
        let patterns = self.patterns(BRANCH, text)?;
        if self.any(BRANCH, &patterns, &[branch])? {
            return Ok(());
        }
        Err(if patterns.iter().all(|p| annotations::is_for_tags(p)) {
            format!("{BRANCH} {text} is for tags, which are not watched")
        } else if patterns.iter().any(|p| p.starts_with(['"', '\''])) {
            format!("{BRANCH} {text} is not {branch}: quotes are part of the name")
        } else {
            format!("{BRANCH} {text} is not {branch}")
        })
    }

    /// What `on-path-change` says, if it stands there.
    fn paths(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = self.own.get(name) else { return Ok(None) };
        let patterns = self.patterns(name, text)?;
        let Some(paths) = self.known_paths() else {
            self.any(name, &patterns, &[])?;
            return Ok(Some(format!("{name}: what changed is not known and counts as changed")));
        };
        if self.any(name, &patterns, &paths)? {
            Ok(Some(format!("{name} {text}")))
        } else {
            Err(format!("no path that changed fits {name} {text}"))
        }
    }

    fn ignored_paths(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = self.own.get(name) else { return Ok(None) };
        let patterns = self.patterns(name, text)?;
        let Some(paths) = self.known_paths() else {
            self.any(name, &patterns, &[])?;
            return Ok(Some(format!("{name}: what changed is not known and counts as changed")));
        };
        if self.any(name, &patterns, &paths)? {
            Err(format!("a path that changed fits {name} {text}"))
        } else {
            Ok(Some(format!("no path that changed fits {name}")))
        }
    }

    fn known_paths(&self) -> Option<Vec<&'c str>> {
        let changed = self.context.changed.filter(|changed| !changed.truncated)?;
        Some(changed.paths.iter().map(String::as_str).collect())
    }

    /// True if any pattern matches any text. Every pattern is read, so that a wrong one is always told.
    fn any(&mut self, name: &str, patterns: &[String], texts: &[&str]) -> Result<bool, String> {
        if patterns.len() > MAX_PATTERNS {
            return Err(format!("{name} has more than {MAX_PATTERNS} patterns"));
        }
        self.fuel.refill();
        let mut found = false;
        for pattern in patterns {
            let read = |problem| format!("{name} can't be read: {problem}");
            found |= texts.contains(&pattern.as_str());
            if annotations::is_for_tags(pattern) {
                continue;
            }
            let glob = annotations::glob_of(pattern).map_err(read)?;
            let late = |_| format!("{name} takes too long");
            self.fuel.spend(200 + 20 * pattern.len()).map_err(late)?;
            for text in texts {
                self.fuel.spend((1 + pattern.len() / 32) * (8 + text.len() / 4)).map_err(late)?;
                if found {
                    break;
                }
                found = glob.matches(text);
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
                    "max-keep-runs `{text}` is no number from 1 on: all runs are kept"
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

/// True if a run is the one that is asked for: by its `name`, or its `generateName` with or without the dash.
fn is_called(name: &str, asked: &str) -> bool {
    !name.is_empty() && (name == asked || name.strip_suffix('-') == Some(asked))
}
