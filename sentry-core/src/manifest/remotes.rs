//! Pipelines-as-Code's annotations `task`, `task-1` and `pipeline`: tasks and pipelines from elsewhere, in its order of
//! precedence (`pkg/resolve/remote.go`): those that the run's annotations name, then those that its pipeline's name, then those
//! of the directory. Nothing is fetched here: what is needed is told ([`Overlay::wanted`]), and what was got is put in place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use url::Url;

use super::annotations::{self, Annotations};
use super::budget::Size;
use super::elsewhere::RemoteDocuments;
use super::marked::Marked;
use super::refs::{Held, Target};
use super::variables::Variables;
use super::{Context, Remote, RemoteUse, fields, flows, refs};
use crate::remote::{Place, RemoteKind, Wanted};

/// What was got from elsewhere, made fit to be put into runs.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    documents: BTreeMap<Wanted, Result<Loaded, String>>,
}

/// A document from elsewhere.
#[derive(Debug)]
struct Loaded {
    object: Value,
    size: Size,
    name: String,
    origin: String,
    sha256: String,
    notes: Vec<String>,
}

impl Shelf {
    pub(super) fn new(context: &Context<'_>) -> Self {
        let Remote::Got(documents) = context.remote else { return Self::default() };
        let load = |wanted: &Wanted, found: &RemoteDocuments| {
            let document = found.get(wanted)?;
            let mut object = document.content.clone()?;
            let tidied = fields::tidy(&mut object, context);
            if !tidied.problems.is_empty() {
                return Err(tidied.problems.join("; "));
            }
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            Ok(Loaded {
                name: name.to_owned(),
                size: Size::of(&object),
                origin: document.origin.clone(),
                sha256: document.sha256.clone(),
                notes: tidied.notes,
                object,
            })
        };
        let all = documents.wanted().map(|wanted| (wanted.clone(), load(wanted, documents)));
        Self { documents: all.collect() }
    }
}

/// What one run gets from elsewhere, before what the directory holds.
#[derive(Debug, Default)]
pub(super) struct Overlay<'s> {
    objects: BTreeMap<(&'static str, String), Held<'s>>,
    pub(super) uses: Vec<Use<'s>>,
    /// What nobody was asked for, and any name may come from.
    open: Vec<Wanted>,
    /// What has to be got before more can be told.
    pub(super) wanted: Vec<Wanted>,
    /// Why the run may not start.
    pub(super) problems: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// A document that a run uses.
#[derive(Debug)]
pub(super) struct Use<'s> {
    kind: RemoteKind,
    place: String,
    loaded: &'s Loaded,
}

impl Use<'_> {
    /// For people and programs: where it comes from.
    pub(super) fn told(&self, path: &str, document: usize) -> RemoteUse {
        RemoteUse {
            path: path.to_owned(),
            document,
            kind: self.kind,
            name: self.loaded.name.clone(),
            place: self.place.clone(),
            origin: self.loaded.origin.clone(),
            sha256: self.loaded.sha256.clone(),
        }
    }
}

impl<'s> Overlay<'s> {
    pub(super) fn get(&self, wanted: &Target<'_>) -> Option<&Held<'s>> {
        self.objects.get(&(wanted.kind, wanted.name.to_owned()))
    }

    /// True if a missing object may come from something that nobody was asked for.
    pub(super) fn may_hold(&self, kind: &str, name: &str) -> bool {
        self.open.iter().any(|open| {
            let is_kind = kind.eq_ignore_ascii_case(open.kind.as_str());
            is_kind && !matches!(&open.place, Place::Hub { name: own, .. } if own != name)
        })
    }

    /// What a missing object most likely comes from: a catalogue's entry and a file are mostly called like what they hold.
    pub(super) fn likely(&self, kind: &str, name: &str) -> Option<&Wanted> {
        let mut of_kind =
            self.open.iter().filter(|one| kind.eq_ignore_ascii_case(one.kind.as_str()));
        let called = |place: &Place| match place {
            Place::Hub { name, .. } => name.clone(),
            other => {
                let text = other.to_string();
                let last = text.rsplit('/').next().unwrap_or_default();
                last.split('.').next().unwrap_or_default().to_owned()
            }
        };
        of_kind.find(|one| called(&one.place) == name)
    }

    fn add(&mut self, wanted: Wanted, shelf: &'s Shelf, remote: Remote<'_>) -> Option<&'s Loaded> {
        match remote {
            Remote::Off => {
                self.notes.push(format!("{wanted} is not fetched: {}", remedy(&wanted)));
                self.open.push(wanted);
            }
            Remote::Unasked => {
                let text = "is fetched when it is delivered; `sentry vendor` locks what it holds";
                self.notes.push(format!("{wanted} {text}"));
                self.open.push(wanted);
            }
            Remote::Got(_) => match shelf.documents.get(&wanted) {
                Some(Ok(loaded)) => {
                    let kind = if wanted.kind == RemoteKind::Task { "Task" } else { "Pipeline" };
                    let held = Held::new(&loaded.object, loaded.size);
                    if let Some(held) = held {
                        self.objects.entry((kind, loaded.name.clone())).or_insert(held);
                    }
                    self.notes.extend(loaded.notes.iter().cloned());
                    let place = wanted.place.to_string();
                    self.uses.push(Use { kind: wanted.kind, place, loaded });
                    return Some(loaded);
                }
                Some(Err(why)) => self.problems.push(format!("{wanted} {why}")),
                None => self.wanted.push(wanted),
            },
        }
        None
    }
}

/// What does the same as an annotation that is not followed.
pub(super) fn remedy(wanted: &Wanted) -> &'static str {
    match wanted.place {
        Place::Hub { .. } => "refer to it with `resolver: hub`, or put it into the directory",
        Place::Url(_) => "refer to it with `resolver: http`, or put it into the directory",
        Place::File(_) => "refer to it with `resolver: git`, or put the file into the directory",
    }
}

/// What is known beside a run when it is decided what it gets from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'c, 's> {
    pub(super) shelf: &'s Shelf,
    pub(super) tree: &'c flows::Tree<'c>,
    pub(super) variables: &'c Variables<'c>,
    /// The tree's paths.
    pub(super) files: &'c BTreeSet<&'c str>,
    /// Where B keeps the tree.
    pub(super) directory: &'c str,
    pub(super) remote: Remote<'c>,
    /// True if no annotation may depend on a variable.
    pub(super) is_fixed: bool,
}

/// What a run gets from elsewhere: `raw` as it is written, `run` with its variables replaced. Only of PipelineRuns, as in
/// Pipelines-as-Code.
pub(super) fn overlay<'s>(raw: &Value, run: &Value, around: &Around<'_, 's>) -> Overlay<'s> {
    let mut overlay = Overlay::default();
    if refs::tekton_kind(raw) != Some("PipelineRun") {
        return overlay;
    }
    let own = Annotations::of(raw);
    let named = around.names(&own, None);
    let base = named.pipeline.as_ref().map(|(text, _)| text.clone());
    overlay.problems.extend(named.problems);
    let is_named = named.pipeline.is_some();
    let elsewhere = named.pipeline.and_then(|(_, source)| source);
    let is_waited_for = elsewhere.is_some();
    let pipeline = elsewhere.and_then(|wanted| overlay.add(wanted, around.shelf, around.remote));
    for wanted in named.tasks {
        overlay.add(wanted, around.shelf, around.remote);
    }
    let wanted = run.get("spec").and_then(|spec| refs::reference(spec, "pipelineRef", "Pipeline"));
    let Some(wanted) = wanted else { return overlay };
    // Another name than the reference's: then the directory's is meant.
    let found = pipeline.filter(|loaded| loaded.name == wanted.name);
    let named = match found {
        Some(loaded) => around.fixed(&Annotations::of(&loaded.object), base.as_deref()),
        None if is_waited_for && pipeline.is_none() => return overlay,
        None => match around.tree.raw("Pipeline", wanted.name) {
            Some(raw) => around.names(&Annotations::of(raw), base.as_deref().filter(|_| is_named)),
            None => return overlay,
        },
    };
    overlay.problems.extend(named.problems);
    for wanted in named.tasks {
        overlay.add(wanted, around.shelf, around.remote);
    }
    overlay
}

/// What the annotations of a document name.
#[derive(Debug, Default)]
struct Names {
    /// The value as it is written, and what is not in the tree.
    pipeline: Option<(String, Option<Wanted>)>,
    tasks: Vec<Wanted>,
    problems: Vec<String>,
}

impl Around<'_, '_> {
    /// Of a document of the tree: its annotations may use variables.
    fn names(&self, own: &Annotations, base: Option<&str>) -> Names {
        self.read(own, base, |text| Marked::new(text, self.variables))
    }

    /// Of a document from elsewhere: no variable is replaced there.
    fn fixed(&self, own: &Annotations, base: Option<&str>) -> Names {
        self.read(own, base, Marked::plain)
    }

    fn read(&self, own: &Annotations, base: Option<&str>, mark: impl Fn(&str) -> Marked) -> Names {
        let mut names = Names::default();
        let mut all: Vec<_> =
            own.iter().filter_map(|(name, text)| Some((kind(name)?, name, text))).collect();
        all.sort_by_key(|((kind, number), ..)| (*kind, *number));
        for ((kind, _), name, text) in all {
            let marked = mark(text);
            let values = match annotations::list(&marked.text) {
                Ok(values) => values,
                Err(problem) => {
                    names.problems.push(format!("the annotation {name} `{text}` {problem}"));
                    continue;
                }
            };
            for value in values.iter().filter(|value| !value.is_empty()) {
                match self.source(kind, value, &marked, base) {
                    Ok((text, source)) if kind == RemoteKind::Pipeline => {
                        if names.pipeline.replace((text, source)).is_some() {
                            let problem = "names more than one pipeline: a run has one";
                            names.problems.push(format!("the annotation {name} {problem}"));
                        }
                    }
                    Ok((_, source)) => names.tasks.extend(source),
                    Err(why) => {
                        let shown = marked.shown(value);
                        names
                            .problems
                            .push(format!("{kind} `{shown}` of the annotation {name} {why}"));
                    }
                }
            }
        }
        names
    }

    /// What a value means; nothing for a file that the tree holds. A variable's value may not decide which of the forms it is,
    /// nor lead to another folder than the one it stands in.
    fn source(
        &self,
        kind: RemoteKind,
        value: &str,
        marked: &Marked,
        base: Option<&str>,
    ) -> Result<(String, Option<Wanted>), String> {
        if self.is_fixed && marked.is_in(value) {
            return Err(
                "depends on a variable: only what is always the same can be locked".to_owned()
            );
        }
        let text = base
            .filter(|_| kind == RemoteKind::Task)
            .map_or_else(|| value.to_owned(), |base| beside(base, value));
        let is_address = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
        let filled =
            if is_address { marked.filled_by(&text, encoded)? } else { marked.filled(&text) };
        let place = if is_address {
            Place::Url(address(&filled)?)
        } else if text.contains("://") {
            return Err("is of a catalogue that Pipelines-as-Code's own configuration names: write the address of the \
                        document"
                .to_owned());
        } else if text.contains('/') {
            let path = file(&filled)?;
            let here = path.strip_prefix(self.directory).and_then(|rest| rest.strip_prefix('/'));
            if here.is_some_and(|path| self.files.contains(path)) {
                return Ok((filled, None));
            }
            Place::File(path)
        } else {
            hub(&filled)?
        };
        Ok((filled, Some(Wanted { kind, place })))
    }
}

/// What an annotation names, and its number.
fn kind(annotation: &str) -> Option<(RemoteKind, u64)> {
    if annotation == "pipeline" {
        return Some((RemoteKind::Pipeline, 0));
    }
    match annotation.strip_prefix("task")? {
        "" => Some((RemoteKind::Task, 0)),
        number => {
            let digits = number.strip_prefix('-')?;
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| (RemoteKind::Task, digits.parse().unwrap_or(u64::MAX)))
        }
    }
}

/// True if a document names something by such an annotation.
pub(super) fn is_annotated(document: &Value) -> bool {
    Annotations::of(document).names().any(|name| kind(name).is_some())
}

/// Where a pipeline from elsewhere finds a task that its annotations name: beside itself, unless it is a whole address. A
/// pipeline of the hub has no place, and its tasks are names.
fn beside(base: &str, value: &str) -> String {
    let lower = base.to_ascii_lowercase();
    let is_address = lower.starts_with("http://") || lower.starts_with("https://");
    let is_file = base.contains('/') && !base.contains("://");
    let is_whole = Url::parse(value).is_ok_and(|url| url.has_host());
    if is_whole || !(is_address || is_file) {
        return value.to_owned();
    }
    let (root, path) = match base.find("://").filter(|_| is_address) {
        Some(at) => {
            let end = base[at + 3..].find('/').map_or(base.len(), |slash| at + 3 + slash);
            base.split_at(end)
        }
        None => ("", base),
    };
    let (path, query) = path.split_once('?').map_or((path, ""), |(path, query)| (path, query));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(value.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if is_address || path.starts_with('/') { "/" } else { "" };
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("{root}{slash}{}{query}", parts.join("/"))
}

/// A variable's value within an address: it stays in its own segments.
fn encoded(value: &str) -> Result<String, String> {
    if value.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("has a variable whose value leads to another folder".to_owned());
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    Ok(value.bytes().fold(String::new(), |mut text, b| {
        if plain(b) {
            text.push(char::from(b));
        } else {
            text.push_str(&format!("%{b:02X}"));
        }
        text
    }))
}

fn address(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|_| "is not an address".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains credentials: anybody can read it there".to_owned());
    }
    url.set_fragment(None);
    Ok(url)
}

fn file(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("./").unwrap_or(text);
    let bad = |part: &str| matches!(part, "" | "." | ".." | ".git");
    if path.split('/').any(bad) || path.chars().any(char::is_control) {
        return Err("is not a file of the repository".to_owned());
    }
    if !path.ends_with(".yaml") && !path.ends_with(".yml") {
        return Err("is not a file that ends in .yaml or .yml".to_owned());
    }
    Ok(path.to_owned())
}

fn hub(text: &str) -> Result<Place, String> {
    let word = |text: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.+".contains(&b);
        !text.is_empty()
            && text.len() <= 128
            && text != "."
            && text != ".."
            && text.bytes().all(good)
    };
    let (name, version) = match text.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if !word(name) || !version.is_none_or(word) {
        return Err("is neither a name (`git-clone`, `git-clone:0.9.0`) nor an address nor a file"
            .to_owned());
    }
    Ok(Place::Hub { name: name.to_owned(), version: version.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipelines_tasks_are_found_beside_it_as_pipelines_as_code_finds_them() {
        for (base, value, want) in [
            ("https://h.example/a/b/p.yaml", "../t.yaml", "https://h.example/a/t.yaml"),
            ("https://h.example/a/b/p.yaml?ref=x", "t.yaml", "https://h.example/a/b/t.yaml?ref=x"),
            ("https://h.example/p.yaml", "../../t.yaml", "https://h.example/t.yaml"),
            ("https://h.example/a/p.yaml", "https://o.example/t.yaml", "https://o.example/t.yaml"),
            ("https://h.example/a/p.yaml", "git-clone", "https://h.example/a/git-clone"),
            (".tekton/pipelines/p.yaml", "../tasks/t.yaml", ".tekton/tasks/t.yaml"),
            ("p-of-the-hub", "git-clone", "git-clone"),
            ("other://p", "git-clone", "git-clone"),
        ] {
            assert_eq!(beside(base, value), want, "{base} {value}");
        }
    }

    #[test]
    fn annotations_have_their_order_by_number() {
        for (name, want) in [
            ("task", Some((RemoteKind::Task, 0))),
            ("task-2", Some((RemoteKind::Task, 2))),
            ("task-10", Some((RemoteKind::Task, 10))),
            ("pipeline", Some((RemoteKind::Pipeline, 0))),
            ("task-", None),
            ("task-x", None),
            ("tasks", None),
            ("pipeline-1", None),
        ] {
            assert_eq!(kind(name), want, "{name}");
        }
    }

    #[test]
    fn a_variables_value_stays_in_its_place() {
        assert_eq!(encoded("feature/x#1?a%2e").unwrap(), "feature/x%231%3Fa%252e");
        assert!(encoded("..").is_err() && encoded("a/../b").is_err());
        for bad in ["https://u:p@h.example/x", "https://u@h.example/x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        for bad in ["a/../b.yaml", "/etc/x.yaml", "a//b.yaml", ".git/x.yaml", "a/b.txt"] {
            assert!(file(bad).is_err(), "{bad}");
        }
        for bad in ["", "a b", "a:b:c", "a?b", ":1", "a:", "..", "a:.."] {
            assert!(hub(bad).is_err(), "{bad}");
        }
    }
}
