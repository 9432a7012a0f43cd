//! Fields of Tekton's objects that Tekton does not have. Pipelines-as-Code decodes and encodes what it sends, so that
//! such a field is never seen by the cluster; here it is left out in the same way, unless it looks like a slip.
//!
//! The tables beside this file are made from tektoncd/pipeline at v1.15.0-49-g3ee1745 (`pkg/apis/pipeline/*/swagger.json`
//! and the `ResolverRef` that its types embed) and Kubernetes' own types at v0.35 (`core/v1/types.go`): a line for each
//! type that a `spec` holds, with its fields, `field:Type` for one, `field:[Type]` for a list, `field:{Type}` for a map.
//! A field without a type holds what the table does not look into.

mod nearest;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use self::nearest::nearest;
use super::Context;
use crate::deployer::Fields;
use crate::watch::UnknownFields;

/// What was found in an object's `spec`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tidied {
    /// What refuses it.
    pub(super) problems: Vec<String>,
    /// What was changed.
    pub(super) notes: Vec<String>,
}

/// The most fields that one text names.
const NAMED: usize = 20;

/// Leaves out what the `spec` of one of Tekton's objects has and Tekton has not. Other objects stay as they are.
pub(super) fn tidy(object: &mut Value, context: &Context<'_>) -> Tidied {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let served = context.kinds.and_then(|kinds| kinds.fields(text("apiVersion"), text("kind")));
    let served = served.cloned();
    tidied(object, context.watch.reading.unknown_fields, served.as_ref())
}

/// True if an object has fields that the table does not.
pub(super) fn has_unknown(object: &Value) -> bool {
    let found = tidied(&mut object.clone(), UnknownFields::Refuse, None);
    !found.problems.is_empty()
}

fn tidied(object: &mut Value, rule: UnknownFields, served: Option<&Fields>) -> Tidied {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let version = text("apiVersion").strip_prefix("tekton.dev/").and_then(Version::read);
    let Some(version) = version else { return Tidied::default() };
    let root = format!("{}Spec", text("kind"));
    let Some((root, _)) = version.types().get_key_value(root.as_str()) else {
        return Tidied::default();
    };
    let (left_out, empty, problems) = (Vec::new(), Vec::new(), Vec::new());
    let mut walk = Walk { version, rule, left_out, empty, problems };
    if let Some(spec) = object.get_mut("spec") {
        walk.value(spec, root, served, "spec");
    }
    walk.told()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V1Beta1,
}

impl Version {
    fn read(text: &str) -> Option<Self> {
        [Self::V1, Self::V1Beta1].into_iter().find(|version| version.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Beta1 => "v1beta1",
        }
    }

    fn types(self) -> &'static Types {
        static V1: LazyLock<Types> = LazyLock::new(|| read(include_str!("fields/v1.txt")));
        static V1BETA1: LazyLock<Types> =
            LazyLock::new(|| read(include_str!("fields/v1beta1.txt")));
        match self {
            Self::V1 => &V1,
            Self::V1Beta1 => &V1BETA1,
        }
    }
}

/// The fields of each type.
type Types = BTreeMap<&'static str, BTreeMap<&'static str, Shape>>;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Anything.
    Open,
    One(&'static str),
    List(&'static str),
    Map(&'static str),
}

/// A table, with Kubernetes' types.
fn read(table: &'static str) -> Types {
    let field = |word: &'static str| match word.split_once(':') {
        None => (word, Shape::Open),
        Some((name, inner)) => {
            let within = |open, close| inner.strip_prefix(open).and_then(|t| t.strip_suffix(close));
            let list = within('[', ']').map(Shape::List);
            (name, list.or(within('{', '}').map(Shape::Map)).unwrap_or(Shape::One(inner)))
        }
    };
    let line = |line: &'static str| {
        line.split_once(": ").map(|(name, fields)| (name, fields.split(' ').map(field).collect()))
    };
    table.lines().chain(include_str!("fields/kubernetes.txt").lines()).filter_map(line).collect()
}

struct Walk {
    version: Version,
    rule: UnknownFields,
    left_out: Vec<String>,
    /// Parameters that got an empty value.
    empty: Vec<String>,
    problems: Vec<String>,
}

impl Walk {
    fn value(&mut self, value: &mut Value, of: &'static str, served: Option<&Fields>, at: &str) {
        let (Some(fields), Value::Object(map)) = (self.version.types().get(of), value) else {
            return;
        };
        if of == "Param" {
            self.param(map, at);
        }
        // A newer Tekton may have more fields than the table.
        let is_known = |key: &str| {
            fields.contains_key(key) || served.is_some_and(|s| s.named.contains_key(key))
        };
        map.retain(|key, _| is_known(key) || self.keeps(key, fields.keys(), at));
        for (key, value) in map {
            let Some((key, shape)) = fields.get_key_value(key.as_str()) else { continue };
            let at = format!("{at}.{key}");
            let inner = served.and_then(|served| served.get(key));
            match (shape, value) {
                (Shape::One(of), value) => self.value(value, of, inner, &at),
                (Shape::List(of), Value::Array(items)) => {
                    for (n, item) in items.iter_mut().enumerate() {
                        self.value(item, of, inner, &format!("{at}[{n}]"));
                    }
                }
                (Shape::Map(of), Value::Object(values)) => {
                    for (name, value) in values {
                        self.value(
                            value,
                            of,
                            inner.and_then(|inner| inner.get(name)),
                            &format!("{at}.{name}"),
                        );
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether an unknown field stays, which it does only in what is refused.
    fn keeps<'f>(
        &mut self,
        key: &str,
        known: impl Iterator<Item = &'f &'static str>,
        at: &str,
    ) -> bool {
        let near = nearest(key, known);
        if near.is_empty() && self.rule == UnknownFields::Drop {
            self.left_out.push(format!("`{at}.{key}`"));
            return false;
        }
        let remedy = if near.is_empty() {
            "remove it, or set `unknown_fields: drop`".to_owned()
        } else {
            let near: Vec<_> = near.iter().map(|name| format!("`{name}`")).collect();
            format!("write {}, or remove it", near.join(" or "))
        };
        let version = self.version.as_str();
        self.problems.push(format!("`{at}.{key}` is not a field of Tekton's {version}: {remedy}"));
        true
    }

    /// Tekton's v1beta1 reads a parameter without a value as one with an empty text, and null in both versions
    /// (`ParamValue`, its decoding and its conversion to v1); as it stands, a cluster refuses it.
    fn param(&mut self, param: &mut Map<String, Value>, at: &str) {
        let absent = match param.get("value") {
            None => self.version == Version::V1Beta1,
            Some(value) => value.is_null(),
        };
        if absent && param.contains_key("name") {
            param.insert("value".to_owned(), "".into());
            self.empty.push(format!("`{at}`"));
        }
    }

    fn told(self) -> Tidied {
        let mut notes = Vec::new();
        if !self.left_out.is_empty() {
            let version = self.version.as_str();
            let fields = named(&self.left_out);
            notes.push(format!("{fields} left out: Tekton's {version} has no such field"));
        }
        if !self.empty.is_empty() {
            let params = named(&self.empty);
            notes.push(format!("{params} has no value: an empty string is sent"));
        }
        let mut problems = self.problems;
        let more = problems.len().saturating_sub(NAMED);
        problems.truncate(NAMED);
        problems.extend((more > 0).then(|| format!("{more} more fields are unknown")));
        Tidied { problems, notes }
    }
}

/// The first of many, and how many more there are.
fn named(fields: &[String]) -> String {
    let more = fields.len().saturating_sub(NAMED);
    let first = fields[..fields.len() - more].join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    /// The fields that lead from a `spec` to a type.
    type Way = Vec<(&'static str, Shape)>;

    /// A kind, a type that its `spec` reaches, and the way there: each type that the table has.
    fn every_type(version: Version) -> Vec<(&'static str, &'static str, Way)> {
        let types = version.types();
        let kinds = ["Task", "Pipeline", "PipelineRun", "TaskRun", "StepAction", "CustomRun"];
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        for kind in kinds {
            let root = format!("{kind}Spec");
            let Some((root, _)) = types.get_key_value(root.as_str()) else { continue };
            let mut waiting = vec![(*root, Vec::new())];
            while let Some((of, way)) = waiting.pop() {
                if !seen.insert((of, kind)) {
                    continue;
                }
                for (name, shape) in &types[of] {
                    let (Shape::One(inner) | Shape::List(inner) | Shape::Map(inner)) = shape else {
                        continue;
                    };
                    assert!(types.contains_key(inner), "{of}.{name} is of {inner}");
                    waiting.push((inner, [&way[..], &[(*name, *shape)]].concat()));
                }
                found.push((kind, of, way));
            }
        }
        found
    }

    /// An object of a kind that has a field at the end of a way.
    fn with(version: Version, kind: &str, way: &[(&str, Shape)], field: &str) -> Value {
        let mut inner = json!({field: 1});
        for (name, shape) in way.iter().rev() {
            inner = match shape {
                Shape::List(_) => json!({*name: [inner]}),
                Shape::Map(_) => json!({*name: {"any": inner}}),
                _ => json!({*name: inner}),
            };
        }
        let version = version.as_str();
        json!({"apiVersion": format!("tekton.dev/{version}"), "kind": kind, "spec": inner})
    }

    /// Every word that is one slip away.
    fn slipped(name: &str) -> BTreeSet<String> {
        let letters: Vec<char> = name.chars().collect();
        let mut words = BTreeSet::new();
        let mut add = |letters: Vec<char>| words.insert(letters.into_iter().collect::<String>());
        for at in 0..=letters.len() {
            let (before, after) = letters.split_at(at);
            for letter in ['a', 'z', 'E', '-'] {
                add([before, &[letter], after].concat());
                if let Some((_, rest)) = after.split_first() {
                    add([before, &[letter], rest].concat());
                }
            }
            if let Some((first, rest)) = after.split_first() {
                add([before, rest].concat());
                let folded = if first.is_uppercase() {
                    first.to_ascii_lowercase()
                } else {
                    first.to_ascii_uppercase()
                };
                add([before, &[folded], rest].concat());
                if let Some((second, rest)) = rest.split_first() {
                    add([before, &[*second, *first], rest].concat());
                }
            }
        }
        words.remove("");
        words
    }

    #[test]
    fn every_slip_of_every_known_field_is_refused_with_that_field_and_every_far_word_is_left_out() {
        let (mut slips, mut far) = (0, 0);
        for version in [Version::V1, Version::V1Beta1] {
            for (kind, of, way) in every_type(version) {
                let fields = &version.types()[of];
                for name in fields.keys() {
                    for word in
                        slipped(name).into_iter().filter(|word| !fields.contains_key(word.as_str()))
                    {
                        let near = nearest(&word, fields.keys());
                        assert!(near.contains(name), "{of}: {word} for {name}: {near:?}");
                        slips += 1;
                    }
                    let known = with(version, kind, &way, name);
                    let mut same = known.clone();
                    assert_eq!(
                        tidied(&mut same, UnknownFields::Drop, None).problems,
                        [""; 0],
                        "{known}"
                    );
                    // A parameter's value is filled in.
                    assert!(same == known || of == "Param", "{same}");
                }
                let wrong = format!("{}x", fields.keys().next().unwrap());
                let mut slip = with(version, kind, &way, &wrong);
                let refused = tidied(&mut slip, UnknownFields::Drop, None);
                assert_eq!(refused.problems.len(), 1, "{slip}");
                for word in ["unheardOfByAnybody", "x-my-own-extension", "日本語の項目"] {
                    let mut object = with(version, kind, &way, word);
                    let found = tidied(&mut object, UnknownFields::Drop, None);
                    assert!(
                        found.problems.is_empty() && found.notes[0].contains(word),
                        "{found:?}"
                    );
                    assert!(!object.to_string().contains(word), "{object}");
                    let mut object = with(version, kind, &way, word);
                    let found = tidied(&mut object, UnknownFields::Refuse, None);
                    assert!(
                        found.problems[0].contains(word) && found.notes.is_empty(),
                        "{found:?}"
                    );
                    far += 1;
                }
            }
        }
        println!("{slips} slips refused, {far} far words left out and refused");
        assert!(slips > 50_000 && far > 500);
    }

    #[test]
    fn short_fields_are_no_trap_for_short_words() {
        let known = ["name", "ref", "env", "url", "ip"];
        for (word, near) in [
            ("nmae", vec!["name"]),
            ("Name", vec!["name"]),
            ("game", vec!["name"]),
            ("gate", vec![]),
            ("owner", vec![]),
            ("uri", vec!["url"]),
            ("rot", vec![]),
            ("ib", vec!["ip"]),
        ] {
            assert_eq!(nearest(word, known.iter()), near, "{word}");
        }
        assert_eq!(nearest("runafter", ["runAfter", "retries"].iter()), ["runAfter"]);
        assert_eq!(nearest("rnuAftr", ["runAfter", "retries"].iter()), ["runAfter"]);
    }

    #[test]
    fn what_tekton_has_not_is_left_out_of_its_own_kinds_alone() {
        let spec = json!({"owner": "x", "tasks": [{"name": "a", "team": {"lead": 1}, "taskRef": {"name": "b", "resolver": "git"}}]});
        let left = json!({"tasks": [{"name": "a", "taskRef": {"name": "b", "resolver": "git"}}]});
        let mut run = json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "spec": {"pipelineSpec": spec}});
        let found = tidied(&mut run, UnknownFields::Drop, None);
        assert_eq!(run["spec"]["pipelineSpec"], left);
        assert_eq!(
            found.notes,
            [
                "`spec.pipelineSpec.owner`, `spec.pipelineSpec.tasks[0].team` left out: Tekton's v1 has no such field"
            ]
        );
        for (version, kind) in [
            ("example.org/v1", "Pipeline"),
            ("triggers.tekton.dev/v1beta1", "Pipeline"),
            ("tekton.dev/v1alpha1", "Pipeline"),
            ("tekton.dev/v1", "Other"),
        ] {
            let other = json!({"apiVersion": version, "kind": kind, "spec": spec});
            let mut same = other.clone();
            assert_eq!(tidied(&mut same, UnknownFields::Refuse, None), Tidied::default());
            assert_eq!(same, other);
        }
    }

    #[test]
    fn of_many_fields_the_first_are_named_and_the_others_counted() {
        let spec: Map<String, Value> =
            (0..NAMED + 3).map(|n| (format!("unheardOf{n:02}"), json!(1))).collect();
        let mut run = json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "spec": spec});
        let refused = tidied(&mut run.clone(), UnknownFields::Refuse, None);
        assert_eq!(refused.problems.len(), NAMED + 1);
        assert_eq!(refused.problems[NAMED], "3 more fields are unknown");
        let notes = tidied(&mut run, UnknownFields::Drop, None).notes;
        assert!(notes[0].contains("`spec.unheardOf19` and 3 more left out"), "{notes:?}");
    }

    #[test]
    fn a_parameter_without_a_value_is_sent_as_pipelines_as_code_sends_it() {
        for (version, param, sent) in [
            ("v1beta1", json!({"name": "a"}), json!({"name": "a", "value": ""})),
            ("v1beta1", json!({"name": "a", "value": null}), json!({"name": "a", "value": ""})),
            ("v1", json!({"name": "a", "value": null}), json!({"name": "a", "value": ""})),
            ("v1", json!({"name": "a"}), json!({"name": "a"})),
            ("v1beta1", json!({"name": "a", "value": []}), json!({"name": "a", "value": []})),
        ] {
            let mut run = json!({"apiVersion": format!("tekton.dev/{version}"), "kind": "PipelineRun",
                "spec": {"params": [param], "pipelineSpec": {"params": [{"name": "declared"}]}}});
            let found = tidied(&mut run, UnknownFields::Refuse, None);
            assert_eq!(run["spec"]["params"][0], sent);
            assert_eq!(run["spec"]["pipelineSpec"]["params"][0], json!({"name": "declared"}));
            assert_eq!(found.notes.is_empty(), param == sent, "{found:?}");
        }
    }

    #[test]
    fn what_the_cluster_itself_describes_stays_even_where_it_looks_like_a_slip() {
        let leaf = Fields::default;
        let named = |fields: &[(&str, Fields)]| Fields {
            named: fields.iter().map(|(name, f)| ((*name).to_owned(), f.clone())).collect(),
            any: None,
        };
        let task = named(&[("novelty", leaf()), ("runAfters", leaf())]);
        let served = named(&[("pipelineSpec", named(&[("tasks", task)]))]);
        let mut run = json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "spec": {"pipelineSpec": {
            "novelty": 1, "tasks": [{"name": "a", "novelty": {"x": 1}, "runAfters": []}]}}});
        let found = tidied(&mut run, UnknownFields::Drop, Some(&served));
        assert_eq!(found.problems, [""; 0]);
        assert_eq!(
            found.notes,
            ["`spec.pipelineSpec.novelty` left out: Tekton's v1 has no such field"]
        );
        let left = json!([{"name": "a", "novelty": {"x": 1}, "runAfters": []}]);
        assert_eq!(run["spec"]["pipelineSpec"], json!({"tasks": left}));
    }
}
