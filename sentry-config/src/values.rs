//! Values of the file that may be written in more than one way.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sentry_core::manifest::kinds_named;
use sentry_core::secret::{Form, Secret};
use sentry_core::watch::GroupKind;

use crate::node::{Kind, Node};
use crate::place::{At, Place};
use crate::problem::Report;
use crate::raw::RawPulls;
use crate::read::{Fields, Read, nearest_hint, wrong_type};

/// Gives a type that has no schema of its own one that stands where it is used.
macro_rules! inline_schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// A time span: `300` (seconds), `"90s"`, `5m`, `1h30m`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

inline_schema!(Span, "Span", {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": r"^([0-9]+[smhd]?)+$|\$\{"}
    ]
});

impl Read for Span {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let hint = "write seconds (300) or units: 90s, 5m, 1h30m";
        let (Kind::Number(text) | Kind::Text { text, .. }) = &node.kind else {
            wrong_type(node, place, "a duration", hint, report);
            return None;
        };
        let span = parse_span(text.trim());
        if span.is_none() {
            report.error(place, "is not a duration greater than zero", hint);
        }
        span.map(Self)
    }
}

fn parse_span(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        let seconds = match unit {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            None if digits == text.len() => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(seconds)?)?;
        rest = &rest[digits + unit.map_or(0, char::len_utf8)..];
    }
    // Ten years: longer is a slip, and later sums of times must not overflow.
    (1..=315_360_000).contains(&total).then(|| Duration::from_secs(total))
}

/// Texts as a list, or in one text with commas between them.
#[derive(Debug, Clone)]
pub struct Texts(pub Vec<At<String>>);

inline_schema!(Texts, "Texts", {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}
    ]
});

impl Read for Texts {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let texts = match &node.kind {
            Kind::List(_) => Vec::read(node, place, report)?,
            Kind::Text { text, .. } => split(text)
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|part| At::new(part.to_owned(), place.clone()))
                .collect(),
            _ => {
                wrong_type(
                    node,
                    place,
                    "a string or a list",
                    "write names in quotes: [\"main\", \"1.0\"]",
                    report,
                );
                return None;
            }
        };
        if texts.is_empty() {
            report.error(place, "is empty", "name at least one, such as main");
            return None;
        }
        Some(Self(texts))
    }
}

/// `pull_requests`: `true`, `false`, or which of them.
#[derive(Debug, Clone)]
pub enum Pulls {
    /// None.
    None,
    /// These.
    Some(Box<RawPulls>),
}

impl JsonSchema for Pulls {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pulls".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let some = generator.subschema_for::<RawPulls>();
        json_schema!({"anyOf": [{"type": "boolean"}, some]})
    }
}

impl Read for Pulls {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        match node.kind {
            Kind::Bool(true) => Some(Self::Some(Box::default())),
            Kind::Bool(false) => Some(Self::None),
            Kind::Map(_) => RawPulls::read(node, place, report).map(|raw| Self::Some(raw.into())),
            _ => {
                let hint = "write true, or a mapping with target, drafts, labels or forks";
                wrong_type(node, place, "true or a mapping", hint, report);
                None
            }
        }
    }
}

/// `tags`: names and globs as of branches, or `{semver: RANGE}`.
#[derive(Debug, Clone)]
pub enum Tags {
    /// Names and globs.
    Named(Texts),
    /// A range of versions.
    Versions(At<String>),
}

inline_schema!(Tags, "Tags", {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
        {"type": "object", "properties": {"semver": {"type": "string", "minLength": 1}},
            "required": ["semver"], "additionalProperties": false}
    ]
});

impl Read for Tags {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => {
                let fields = Fields::open(node, place, &["semver"], report)?;
                let range = fields.get("semver", report);
                if entries.is_empty() {
                    report.missing(place, "semver", "write a range: {semver: \">=1.2\"}");
                }
                range.map(Self::Versions)
            }
            Kind::Text { .. } | Kind::List(_) => Texts::read(node, place, report).map(Self::Named),
            _ => {
                let hint = "write names in quotes: [\"v*\"], or {semver: \">=1.2\"}";
                wrong_type(node, place, "a string, a list or {semver: …}", hint, report);
                None
            }
        }
    }
}

/// The parts between commas; commas inside a glob's braces separate nothing.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .collect()
}

/// `allow_kinds`: the word `tekton`, or a list of kinds.
#[derive(Debug, Clone)]
pub enum Kinds {
    /// Task, StepAction, Pipeline, PipelineRun, TaskRun of Tekton.
    Tekton,
    /// These kinds.
    Listed(BTreeSet<GroupKind>),
}

inline_schema!(Kinds, "Kinds", {
    "anyOf": [
        {"const": "tekton"},
        {"type": "array", "items": {"type": "string", "pattern": "^[A-Z][A-Za-z0-9]*(\\.[a-z0-9.-]+)?$"}}
    ]
});

impl Read for Kinds {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let hint = "write `tekton` or a list of kinds; kinds outside Kubernetes and Tekton need \
                    their \
                    group: [ConfigMap, Certificate.cert-manager.io]";
        match &node.kind {
            Kind::Text { text, .. } if text == "tekton" => Some(Self::Tekton),
            Kind::Text { .. } => {
                report.error(place, "is not a known group of kinds", hint);
                None
            }
            Kind::List(_) => {
                let written: Vec<At<String>> = Vec::read(node, place, report)?;
                let mut kinds = BTreeSet::new();
                let mut good = true;
                for At { value, place, .. } in &written {
                    match kinds_named(value) {
                        Ok(named) => kinds.extend(named),
                        Err(error) => {
                            good = false;
                            report.error(place, error.problem(), hint);
                        }
                    }
                }
                good.then_some(Self::Listed(kinds))
            }
            _ => {
                wrong_type(node, place, "a list of kinds", hint, report);
                None
            }
        }
    }
}

/// `namespace_policy`: the word `refuse` or `override`, or a list of namespaces.
#[derive(Debug, Clone)]
pub enum Namespaces {
    /// Only the cluster's own.
    Refuse,
    /// Any, and the cluster's own is written in its place.
    Override,
    /// The cluster's own and these.
    Listed(Vec<At<String>>),
}

inline_schema!(Namespaces, "Namespaces", {
    "anyOf": [
        {"enum": ["refuse", "override"]},
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}
    ]
});

impl Read for Namespaces {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let hint = "write refuse, override, or a list of namespaces: [qa-data, qa-tools]";
        match &node.kind {
            Kind::Text { text, .. } => match text.trim() {
                "refuse" => Some(Self::Refuse),
                "override" => Some(Self::Override),
                other => {
                    let near = nearest_hint(other, &["refuse", "override"]);
                    let hint = if near.starts_with("did") { &near } else { hint };
                    report.error(place, "is not one of the allowed values", hint);
                    None
                }
            },
            Kind::List(items) if items.is_empty() => {
                report.error(place, "is empty", hint);
                None
            }
            Kind::List(_) => Vec::read(node, place, report).map(Self::Listed),
            _ => {
                wrong_type(node, place, "a word or a list of namespaces", hint, report);
                None
            }
        }
    }
}

/// `git_auth_secret`: the name of a Secret that is in the namespace already, or `{per_run: true}`.
#[derive(Debug, Clone)]
pub enum SecretName {
    /// That Secret.
    Named(String),
    /// One that Sentry makes.
    PerRun,
}

inline_schema!(SecretName, "SecretName", {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "object", "properties": {"per_run": {"const": true}}, "required": ["per_run"],
            "additionalProperties": false}
    ]
});

impl Read for SecretName {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let hint = "write the name of a Secret in the namespace, such as git-credentials, or \
                    {per_run: true}";
        if let Kind::Map(entries) = &node.kind {
            let per_run = |(key, value): &(crate::node::Key, Node)| {
                key.text == "per_run" && matches!(value.kind, Kind::Bool(true))
            };
            if matches!(&entries[..], [entry] if per_run(entry)) {
                return Some(Self::PerRun);
            }
            report.error(place, "is a mapping other than {per_run: true}", hint);
            return None;
        }
        let name = String::read(node, place, report)?.trim().to_owned();
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        // The names that Kubernetes allows: labels with dots between them (RFC 1123, "DNS subdomain").
        let label = |part: &str| {
            !part.is_empty()
                && part.chars().all(inner)
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            report.error(place, "is not a Secret name", hint);
            return None;
        }
        Some(Self::Named(name))
    }
}

/// A token, or an address that may hold a password.
#[derive(Debug, Clone)]
pub struct SecretText(pub Secret);

inline_schema!(SecretText, "SecretText", {"type": "string", "minLength": 1});

impl Read for SecretText {
    fn read(node: &Node, place: &Place, report: &mut Report) -> Option<Self> {
        let text = String::read(node, place, report)?;
        let given = Secret::given(&text, Form::Word);
        given.map_err(|odd| report.error(place, odd.to_string(), odd.hint())).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_units() {
        for (text, seconds) in
            [("300", 300), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800)]
        {
            assert_eq!(parse_span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in
            ["", "0", "-5", "5x", "m", "1m30", "1.5h", "5 m", "99999999999999999999", "400000000"]
        {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }

    #[test]
    fn commas_inside_braces_separate_nothing() {
        assert_eq!(split("main, {a,b}/*,x"), ["main", "{a,b}/*", "x"]);
    }
}
