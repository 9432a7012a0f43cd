//! `{{ name }}` in parsed texts: so a value can't change a document's structure.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Context, MAX_NOTES, naming};
use crate::repo::TagName;
use crate::watch::GitAuthSecret;

/// Bytes of all values that are put into all documents: many uses of a long value must not fill the memory.
const MAX_VALUE_BYTES: usize = 5 << 20;

/// Values that anyone who may push to A chooses.
const CHOSEN_OUTSIDE: &[&str] =
    &["source_branch", "target_branch", "sender", "git_tag", "pull_request_labels"];

/// What a run's name may not hold: it would differ between two attempts at the same commit, and the run exist twice.
const UNSTABLE: &[&str] = &["sender", "sentry.delivery", "sentry.manifests_revision"];

/// Fields of webhooks' payloads that a push's payload does not have, on GitHub and GitLab.
const NOT_OF_A_PUSH: &[&str] =
    &["action", "comment", "issue", "number", "object_attributes", "pull_request", "review"];

/// Where a text uses a variable.
struct Use<'t> {
    start: usize,
    end: usize,
    name: &'t str,
}

/// The uses of variables in a text, as Pipelines-as-Code finds them: `{{`, no `}` inside, `}}`.
fn uses_in(text: &str) -> impl Iterator<Item = Use<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text[from..].find("{{")?;
            let inside = start + 2;
            let end = inside + text[inside..].find('}')?;
            if text[end..].starts_with("}}") {
                from = end + 2;
                return Some(Use { start, end: from, name: text[inside..end].trim() });
            }
            from = end;
        }
    })
}

/// True for what can be a variable's name. Anything else between the braces (`{{ .Values.x }}`) is not ours.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// True if any text in the value uses the variable.
pub(super) fn uses(value: &Value, variable: &str) -> bool {
    match value {
        Value::String(text) => uses_in(text).any(|u| u.name == variable),
        Value::Array(items) => items.iter().any(|item| uses(item, variable)),
        Value::Object(map) => map.values().any(|item| uses(item, variable)),
        _ => false,
    }
}

/// The first variable's name in a text, known or not.
pub(super) fn first_in(text: &str) -> Option<&str> {
    uses_in(text).map(|u| u.name).next()
}

/// The variables in a text whose value a pusher chooses.
pub(super) fn chosen_in(text: &str) -> impl Iterator<Item = &str> {
    uses_in(text).map(|u| u.name).filter(|name| CHOSEN_OUTSIDE.contains(name))
}

/// The first variable in a run's name that differs between attempts.
pub(super) fn unstable_in(text: &str) -> Option<&str> {
    uses_in(text).map(|u| u.name).find(|name| UNSTABLE.contains(name))
}

/// What a name stands for.
enum Meaning<'v> {
    Value(&'v str),
    Refused(String),
    Unknown,
}

/// The variables of a delivery.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    builtin: BTreeMap<&'static str, String>,
    own: &'a BTreeMap<String, String>,
    /// The Secret's name, if there is one.
    git_auth_secret: Option<String>,
    sender_known: bool,
    /// Bytes that values may still add to all documents together.
    room: Cell<usize>,
}

/// What substituting a document found, beside the new texts.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Why the document may not go to the cluster.
    pub(super) problems: BTreeSet<String>,
    /// Variables that nobody knows.
    pub(super) unknown: BTreeSet<String>,
    /// True if `sender` was used and is not known.
    pub(super) no_sender: bool,
}

impl<'a> Variables<'a> {
    /// What Pipelines-as-Code sets for a push to a branch or a tag, with A's values, and Sentry's own.
    pub(super) fn new(context: &Context<'a>) -> Self {
        let watch = context.watch;
        let url = watch.source.repo.as_str();
        let path = watch.source.repo.path();
        let (subject, pull) = (&context.revision.subject, context.pull);
        // Who opened it, as in Pipelines-as-Code.
        let sender = pull.map(|pull| pull.author.as_str()).or(context.sender);
        let labels: Vec<&str> = pull.iter().flat_map(|p| &p.labels).map(String::as_str).collect();
        // Two characters, as Pipelines-as-Code has it.
        let labels = labels.join("\\n");
        let builtin = [
            ("revision", context.revision.sha.as_str()),
            ("repo_url", url),
            ("source_url", url),
            ("repo_owner", &path.owner().to_lowercase()),
            ("repo_name", &path.name().to_lowercase()),
            ("source_branch", context.source_branch()),
            ("target_branch", context.target_branch()),
            ("sender", sender.unwrap_or_default()),
            ("event_type", context.event.as_str()),
            ("target_namespace", watch.cluster.namespace.as_str()),
            ("git_tag", subject.tag().map_or("", TagName::as_str)),
            ("trigger_comment", ""),
            ("pull_request_number", pull.map_or("", |pull| pull.number.as_str())),
            ("pull_request_labels", &labels),
            ("sentry.watch", watch.name.as_str()),
            ("sentry.delivery", context.delivery.as_str()),
            ("sentry.manifests_revision", context.manifests.sha.as_str()),
            ("sentry.manifests_url", watch.manifests.repo.as_str()),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        Self {
            builtin: builtin.into(),
            own: &watch.variables,
            git_auth_secret: match &watch.reading.git_auth_secret {
                GitAuthSecret::Unset => None,
                GitAuthSecret::Named(name) => Some(name.clone()),
                GitAuthSecret::PerRun => Some(naming::git_auth_name(context)),
            },
            sender_known: sender.is_some(),
            room: Cell::new(MAX_VALUE_BYTES),
        }
    }

    /// Puts the values into every text of a document. Keys are left as they are.
    pub(super) fn substitute(&self, value: &mut Value, findings: &mut Findings) {
        match value {
            Value::String(text) => {
                *text = self.text(text, findings);
            }
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.substitute(item, findings));
            }
            Value::Object(map) => {
                map.values_mut().for_each(|item| self.substitute(item, findings));
            }
            _ => {}
        }
    }

    /// A text with something in the place of each variable that has a value, made of its name and value.
    pub(super) fn replace(&self, text: &str, mut with: impl FnMut(&str, &str) -> String) -> String {
        let mut new = String::new();
        let mut copied = 0;
        for u in uses_in(text) {
            let Meaning::Value(value) = self.meaning(u.name) else { continue };
            // What has no room stays as it is: where it is sent, that is told.
            if value.len() <= self.room.get() {
                self.room.set(self.room.get() - value.len());
                new.push_str(&text[copied..u.start]);
                new.push_str(&with(u.name, value));
                copied = u.end;
            }
        }
        new + &text[copied..]
    }

    /// The text with its variables replaced; a value is never looked into again.
    fn text(&self, text: &str, findings: &mut Findings) -> String {
        let mut new = String::new();
        let mut copied = 0;
        for u in uses_in(text) {
            match self.meaning(u.name) {
                Meaning::Value(value) if value.len() > self.room.get() => {
                    findings.problems.insert(format!(
                        "the values of variables have more than {MAX_VALUE_BYTES} bytes in total: \
                         use fewer of them"
                    ));
                }
                Meaning::Value(value) => {
                    self.room.set(self.room.get() - value.len());
                    new.push_str(&text[copied..u.start]);
                    new.push_str(value);
                    copied = u.end;
                    findings.no_sender |= u.name == "sender" && !self.sender_known;
                }
                Meaning::Refused(why) => {
                    findings.problems.insert(why);
                }
                // More than can be noted need not be kept.
                Meaning::Unknown => {
                    let ours = is_name(u.name) || u.name.starts_with("body.");
                    if ours && findings.unknown.len() <= MAX_NOTES {
                        findings.unknown.insert(u.name.to_owned());
                    }
                }
            }
        }
        new + &text[copied..]
    }

    fn meaning(&self, name: &str) -> Meaning<'_> {
        if let Some(value) = self.builtin.get(name).or_else(|| self.own.get(name)) {
            return Meaning::Value(value);
        }
        if name == "git_auth_secret" {
            return self.git_auth_secret();
        }
        if name.starts_with("cel:") {
            return Meaning::Refused(format!(
                "`{{{{ {name} }}}}` is an expression over a webhook's payload, which a watched \
                 branch does not have: set a variable of the watch instead"
            ));
        }
        if let Some(meaning) = self.of_a_push(name) {
            return meaning;
        }
        let of_event = ["body", "headers", "files"]
            .iter()
            .any(|p| name.strip_prefix(p).is_some_and(|rest| rest.starts_with(['.', '['])));
        if of_event {
            return Meaning::Refused(format!(
                "`{{{{ {name} }}}}` is part of a webhook's payload, which a watched branch does \
                 not have: use a variable such as `{{{{ revision }}}}` or set one for the watch"
            ));
        }
        Meaning::Unknown
    }

    /// What is known of a push's payload without having it: the event's name, and what no push has. Pipelines-as-Code
    /// leaves the latter as it is, and scripts that ask for pull requests too rely on that.
    fn of_a_push(&self, name: &str) -> Option<Meaning<'_>> {
        let event = self.builtin.get("event_type").filter(|event| *event == "push")?;
        let header = name.strip_prefix("headers[").and_then(|rest| rest.strip_suffix(']'));
        let header = header.map(|header| header.trim_matches(['"', '\'']));
        if header.is_some_and(|header| header.eq_ignore_ascii_case("X-GitHub-Event")) {
            return Some(Meaning::Value(event));
        }
        let field = name.strip_prefix("body.")?.split(['.', '[']).next()?;
        NOT_OF_A_PUSH.contains(&field).then_some(Meaning::Unknown)
    }

    fn git_auth_secret(&self) -> Meaning<'_> {
        match &self.git_auth_secret {
            Some(name) => Meaning::Value(name),
            None => Meaning::Refused(
                "`{{ git_auth_secret }}` is used and not set for this watch: set \
                 `git_auth_secret` to the name of a Secret that can read A, or to \
                 `{per_run: true}`, and Sentry creates one"
                    .to_owned(),
            ),
        }
    }
}
