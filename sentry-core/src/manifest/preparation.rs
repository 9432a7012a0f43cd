//! The way of all documents of a tree: first what each is and whether it starts, then what runs refer to, then what is
//! sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::budget::{self, PlanBudget, Size};
use super::charts::Charts;
use super::fields;
use super::flows;
use super::fuel::Fuel;
use super::globs::Globs;
use super::naming::{self, RunIdentity};
use super::notes::Notes;
use super::parse::{Content, Entry, printable};
use super::policy::{self, Subject};
use super::refs::{self, Inliner, Library};
use super::remotes::{self, Around, Overlay, Shelf};
use super::selection::{self, Means, Start, Started};
use super::variables::{self, Findings, Variables};
use super::{
    Context, Decision, DocumentDecision, Documents, MAX_NAME_CHARS, MAX_OBJECT_BYTES,
    MAX_TEXT_CHARS, ManifestSet, MissingRef, Remote, order, own, ownership,
};
use crate::plan::{ObjectRef, Operation, PlannedObject, RunRules};
use crate::remote::Wanted;

pub(super) fn prepare(documents: &Documents, context: &Context<'_>) -> ManifestSet {
    let shelf = Shelf::new(context);
    let mut preparation = Preparation::new(documents, context);
    let drafts: Vec<_> = documents.entries.iter().map(|entry| preparation.draft(entry)).collect();
    let (library, tree) = held(&drafts);
    let directory = context.watch.manifests.dir.to_string();
    let around = preparation.around(&shelf, &tree, &directory);
    let overlays: Vec<Overlay<'_>> = drafts.iter().map(|draft| draft.overlay(&around)).collect();
    let started = drafts.iter().zip(&overlays).filter_map(|(d, o)| Some((d.work.as_ref()?, o)));
    let used = started.filter(|(work, _)| work.started.is_some()).flat_map(|(work, overlay)| {
        library.reachable_beside(&work.object, work.namespace(), overlay)
    });
    let used = used.collect();
    let idle = drafts.iter().filter_map(Draft::idle_run);
    let idle = idle.flat_map(|run| library.reachable(run, policy::namespace_of(run, context)));
    let needs = Needs { used, idle: idle.collect() };
    let known = Known { library: &library, needs: &needs, tree: &tree };
    for (draft, overlay) in drafts.iter().zip(&overlays) {
        preparation.finish(draft, &known, overlay);
    }
    let mut set = preparation.set;
    set.notes = preparation.notes.texts;
    set.no_such_run = selection::no_such_run(documents, context);
    order::sort(&mut set.objects);
    set
}

/// What the drafts hold: with variables replaced, and as it is written.
fn held<'d>(drafts: &'d [Draft<'_>]) -> (Library<'d>, flows::Tree<'d>) {
    let (mut library, mut tree) = (Library::default(), flows::Tree::default());
    for work in drafts.iter().filter_map(|draft| draft.work.as_ref()) {
        library.add(&work.object, work.namespace(), !work.problems.is_empty());
        tree.add(work.raw);
    }
    (library, tree)
}

/// What has to be got from elsewhere before [`prepare`] can tell what becomes of the runs that start.
pub(super) fn remotes_wanted(documents: &Documents, context: &Context<'_>) -> BTreeSet<Wanted> {
    let shelf = Shelf::new(context);
    let mut preparation = Preparation::new(documents, context);
    let drafts: Vec<_> = documents.entries.iter().map(|entry| preparation.draft(entry)).collect();
    let (_, tree) = held(&drafts);
    let directory = context.watch.manifests.dir.to_string();
    let around = preparation.around(&shelf, &tree, &directory);
    drafts.iter().flat_map(|draft| draft.overlay(&around).wanted).collect()
}

/// What of elsewhere any run may need, and why that can't be told.
pub(super) fn remotes_of_all(
    documents: &Documents,
    context: &Context<'_>,
) -> (BTreeSet<Wanted>, Vec<String>) {
    let shelf = Shelf::new(context);
    let mut preparation = Preparation::new(documents, context);
    let drafts: Vec<_> = documents.entries.iter().map(|entry| preparation.draft(entry)).collect();
    let (_, mut tree) = held(&drafts);
    let parsed = documents.entries.iter().filter_map(|entry| match &entry.content {
        Content::Parsed(value) => Some((entry, value)),
        _ => None,
    });
    // Those too that only runs refer to which do not start now.
    parsed.clone().for_each(|(_, value)| tree.add(value));
    let directory = context.watch.manifests.dir.to_string();
    let around = preparation.around(&shelf, &tree, &directory);
    let around = Around { is_fixed: true, ..around };
    let (mut wanted, mut problems) = (BTreeSet::new(), Vec::new());
    for (entry, value) in parsed {
        let overlay = remotes::overlay(value, value, &around);
        wanted.extend(overlay.wanted);
        let placed = |why: String| format!("{}:{}: {why}", entry.path, entry.line);
        problems.extend(overlay.problems.into_iter().map(placed));
    }
    (wanted, problems)
}

/// What is known of all documents when each is finished.
struct Known<'k, 'd> {
    library: &'k Library<'d>,
    needs: &'k Needs,
    tree: &'k flows::Tree<'d>,
}

/// A document on its way.
struct Draft<'e> {
    entry: &'e Entry,
    decision: DocumentDecision,
    /// What is left to do; nothing for what is decided already.
    work: Option<Work<'e>>,
}

impl<'e> Draft<'e> {
    /// What it gets from elsewhere, if it is a run that starts.
    fn overlay<'s>(&self, around: &Around<'_, 's>) -> Overlay<'s> {
        let started = self.work.as_ref().filter(|work| work.started.is_some());
        started.map_or_else(Overlay::default, |w| remotes::overlay(w.raw, &w.object, around))
    }

    /// The run in the document, if it is one that does not start.
    fn idle_run(&self) -> Option<&'e Value> {
        match &self.entry.content {
            Content::Parsed(value) if self.work.is_none() && policy::is_run(value) => Some(value),
            _ => None,
        }
    }
}

/// An object that may go to the cluster.
struct Work<'e> {
    raw: &'e Value,
    /// With variables replaced.
    object: Value,
    /// What it is, if the policy lets it pass.
    subject: Option<Subject>,
    problems: Vec<String>,
    findings: Findings,
    /// What was changed in fields that Tekton does not know, each as a note.
    unknown: Vec<String>,
    /// Why it starts, if it is a run.
    started: Option<Started>,
}

impl Work<'_> {
    /// The namespace it goes to; empty for one of the whole cluster.
    fn namespace(&self) -> &str {
        self.subject.as_ref().and_then(|s| s.namespace.as_deref()).unwrap_or_default()
    }
}

/// What runs refer to, by kind and name.
struct Needs {
    /// Those that start.
    used: BTreeSet<(&'static str, String)>,
    /// Those that do not.
    idle: BTreeSet<(&'static str, String)>,
}

struct Preparation<'c, 'a> {
    context: &'c Context<'a>,
    variables: Variables<'a>,
    charts: Charts,
    files: BTreeSet<&'c str>,
    means: Means<'c>,
    looks: flows::Looks,
    /// How much may still be put into runs.
    room_in_runs: PlanBudget,
    /// How much may still be sent.
    room: PlanBudget,
    set: ManifestSet,
    /// Where each object was first seen, by group, kind, namespace and name.
    seen: BTreeMap<[String; 4], String>,
    notes: Notes,
}

impl<'c, 'a> Preparation<'c, 'a> {
    fn new(documents: &'c Documents, context: &'c Context<'a>) -> Self {
        let paths = || documents.entries.iter().map(|entry| entry.path.as_str());
        let is_run = |entry: &&Entry| matches!(&entry.content, Content::Parsed(value) if policy::is_run(value));
        let runs = documents.entries.iter().filter(is_run).count();
        Self {
            context,
            variables: Variables::new(context),
            charts: Charts::of(paths()),
            files: paths().collect(),
            means: Means { fuel: Fuel::new(runs), globs: Globs::new(context.changed) },
            looks: flows::Looks::new(),
            room_in_runs: PlanBudget::new(),
            room: PlanBudget::new(),
            set: ManifestSet::default(),
            seen: BTreeMap::new(),
            notes: Notes::default(),
        }
    }

    fn around<'r, 's>(
        &'r self,
        shelf: &'s Shelf,
        tree: &'r flows::Tree<'r>,
        directory: &'r str,
    ) -> Around<'r, 's> {
        let remote = self.context.remote;
        let (variables, files) = (&self.variables, &self.files);
        Around { shelf, tree, variables, files, directory, remote, is_fixed: false }
    }

    fn draft<'e>(&mut self, entry: &'e Entry) -> Draft<'e> {
        let mut decision = DocumentDecision {
            path: entry.path.clone(),
            document: entry.document,
            line: entry.line,
            column: None,
            kind: None,
            run: false,
            name: None,
            decision: Decision::Skip,
            reason: String::new(),
            of_cluster: false,
        };
        let mut work = None;
        match (&entry.content, self.charts.part(&entry.path)) {
            // What is wrong with a whole file, such as its size, is said in any case.
            (_, Some(chart)) if entry.document > 0 => decision.reason = chart,
            (Content::Skip(why), _) => decision.reason.clone_from(why),
            (Content::Refused { line, column, reason }, _) => {
                decision.decision = Decision::Refuse;
                (decision.line, decision.column) = (*line, *column);
                decision.reason.clone_from(reason);
            }
            (Content::Parsed(value), _) => {
                let shown = |text| printable(text, MAX_NAME_CHARS);
                let object = value.as_object();
                decision.kind = object.and_then(|o| policy::text(o, "kind")).map(shown);
                decision.run = policy::is_run(value);
                decision.name = policy::name_in(value).map(shown);
                match self.work(value) {
                    Ok(found) => work = Some(found),
                    Err(skipped) => decision.reason = skipped,
                }
            }
        }
        Draft { entry, decision, work }
    }

    /// What an object is, with its variables replaced.
    ///
    /// # Errors
    /// Why it is left out.
    fn work<'e>(&mut self, raw: &'e Value) -> Result<Work<'e>, String> {
        if let Some(why) = policy::nothing_for_the_cluster(raw, self.context) {
            return Err(why);
        }
        let mut problems = Vec::new();
        let mut started = None;
        if policy::is_run(raw) {
            match selection::decide(raw, self.context, &self.variables, &mut self.means) {
                Start::Yes(yes) => started = Some(yes),
                Start::No(why) => return Err(why),
                Start::Refused(why) => problems.push(why),
            }
        }
        let mut findings = Findings::default();
        let mut object = raw.clone();
        self.variables.substitute(&mut object, &mut findings);
        problems.extend(findings.problems.iter().cloned());
        let subject = policy::check(&object, self.context).map_err(|found| problems.extend(found));
        let unknown = fields::tidy(&mut object, self.context);
        problems.extend(unknown.problems);
        let (subject, unknown) = (subject.ok(), unknown.notes);
        Ok(Work { raw, object, subject, problems, findings, unknown, started })
    }

    fn finish<'d>(&mut self, draft: &Draft<'_>, known: &Known<'_, 'd>, overlay: &Overlay<'d>) {
        let mut decision = draft.decision.clone();
        if let Some(work) = &draft.work {
            (decision.decision, decision.reason) = self.decide(draft.entry, work, known, overlay);
            decision.of_cluster = decision.decision == Decision::Refuse
                && work.problems.len() == 1
                && policy::is_unserved(&work.object, self.context);
        }
        decision.reason = printable(&decision.reason, MAX_TEXT_CHARS);
        self.set.decisions.push(decision);
    }

    fn decide<'d>(
        &mut self,
        entry: &Entry,
        work: &Work<'_>,
        known: &Known<'_, 'd>,
        overlay: &Overlay<'d>,
    ) -> (Decision, String) {
        if let Some(why) = needed_by_none(work, known.needs) {
            return (Decision::Skip, why);
        }
        let started = work.started.iter().flat_map(|started| &started.notes);
        started.for_each(|note| self.notes.note(entry, note));
        self.notes.findings(entry, &work.findings);
        work.unknown.iter().for_each(|note| self.notes.note(entry, note));
        own::named(&work.object).iter().for_each(|note| self.notes.note(entry, note));
        let mut problems = work.problems.clone();
        problems.extend(self.flows(entry, work, known.tree, overlay));
        let planned = work
            .subject
            .as_ref()
            .map(|subject| self.plan(entry, work, subject, (known.library, overlay)));
        match planned {
            Some(Ok(planned)) if problems.is_empty() => {
                let name = &planned.object.name;
                let decided = match (&planned.operation, &work.started) {
                    (Operation::Create { .. }, Some(Started { why, .. })) => {
                        (Decision::Run, format!("created as {name}: {why}"))
                    }
                    (Operation::Create { .. }, None) => {
                        (Decision::Run, format!("created as {name}"))
                    }
                    (Operation::Apply, _) => (Decision::Apply, "applied".to_owned()),
                };
                self.set.objects.push(planned);
                decided
            }
            planned => {
                problems.extend(planned.and_then(Result::err).unwrap_or_default());
                (Decision::Refuse, problems.join("; "))
            }
        }
    }

    /// Finds where what a pusher chooses becomes code. Why the object may not be sent, where only leaving it out
    /// helps: a person reads what a script is given, an expression decides by itself.
    fn flows(
        &mut self,
        entry: &Entry,
        work: &Work<'_>,
        tree: &flows::Tree<'_>,
        overlay: &Overlay<'_>,
    ) -> Vec<String> {
        let Some(flows) = tree.flows(work.raw, overlay, &mut self.looks) else {
            return vec![budget::too_large()];
        };
        let (expressions, programs): (Vec<_>, Vec<_>) =
            flows.iter().partition(|flow| flow.is_expression);
        programs.iter().for_each(|flow| self.notes.note_once(entry, &flow.told()));
        expressions.iter().map(|flow| flow.told()).collect()
    }

    /// The object as it is sent: with name, namespace, labels and annotations.
    fn plan<'d>(
        &mut self,
        entry: &Entry,
        work: &Work<'_>,
        subject: &Subject,
        held: (&Library<'d>, &Overlay<'d>),
    ) -> Result<PlannedObject, Vec<String>> {
        let mut object = work.object.clone();
        let (name, operation) = if subject.is_run {
            let named = self.run(entry, work.raw, subject)?;
            self.claim_run(entry, &work.object, subject)?;
            self.resolve(entry, work, &mut object, held)?;
            named
        } else {
            self.claim(entry, subject, &subject.base)?;
            (subject.base.clone(), Operation::Apply)
        };
        let key = match &operation {
            Operation::Create { key } => Some(key.as_str()),
            Operation::Apply => None,
        };
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            self.metadata(entry, metadata, subject, &name, key);
        }
        self.weigh(&object)?;
        Ok(PlannedObject {
            object: ObjectRef {
                path: entry.path.clone(),
                document: entry.document,
                line: entry.line,
                api_version: subject.api_version.clone(),
                kind: subject.kind.clone(),
                namespace: subject.namespace.clone(),
                name,
            },
            operation,
            json: object,
            rules: work.started.as_ref().map_or_else(RunRules::default, |started| started.rules),
        })
    }

    /// The name and key of a run.
    fn run(
        &self,
        entry: &Entry,
        raw: &Value,
        subject: &Subject,
    ) -> Result<(String, Operation), Vec<String>> {
        if let Some(variable) = policy::name_in(raw).and_then(variables::unstable_in) {
            return Err(vec![format!(
                "the name of a run must be the same in every attempt, and `{{{{ {variable} }}}}` \
                 is not: remove it from the name"
            )]);
        }
        let identity = RunIdentity {
            path: &entry.path,
            ordinal: entry.document,
            kind: &subject.kind,
            base: &subject.base,
        };
        let key = identity.key(self.context);
        let name = naming::run_name(&subject.base, &self.context.revision.sha, &key);
        Ok((name, Operation::Create { key }))
    }

    /// Inlines what the tree holds into a run, and returns what it does not hold.
    fn resolve<'d>(
        &mut self,
        entry: &Entry,
        work: &Work<'_>,
        object: &mut Value,
        (library, elsewhere): (&Library<'d>, &Overlay<'d>),
    ) -> Result<(), Vec<String>> {
        let reading = &self.context.watch.reading;
        let (namespace, inline) = (work.namespace(), reading.inline);
        let room = &mut self.room_in_runs;
        let mut inliner = Inliner { library, elsewhere, namespace, inline, room };
        let mut resolved = inliner.resolve(object);
        for note in elsewhere.notes.iter().chain(&resolved.notes) {
            self.notes.note(entry, note);
        }
        let uses = elsewhere.uses.iter().map(|one| one.told(&entry.path, entry.document));
        self.set.remotes.extend(uses);
        let unasked = elsewhere.wanted.iter().map(|wanted| format!("{wanted} was not fetched"));
        resolved.problems.extend(elsewhere.problems.iter().cloned().chain(unasked));
        for (kind, name) in resolved.missing {
            if reading.allow_missing_refs {
                self.notes.note(
                    entry,
                    &format!("{kind} {name} is not in the directory: the cluster must have it"),
                );
                continue;
            }
            let is_unasked = matches!(self.context.remote, Remote::Unasked);
            if is_unasked && elsewhere.may_hold(kind, &name) || !elsewhere.problems.is_empty() {
                continue;
            }
            let hint = elsewhere.likely(kind, &name).map(|one| remotes::remedy(one).to_owned());
            self.set.missing.push(MissingRef {
                path: entry.path.clone(),
                document: entry.document,
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name,
                hint,
            });
        }
        if resolved.problems.is_empty() {
            Ok(())
        } else {
            Err(resolved.problems.into_iter().collect())
        }
    }

    /// A name is a run's own, as in Pipelines-as-Code (`pkg/resolve`): by it a person asks for a run, older ones are
    /// cancelled and ended ones are kept. A `generateName` of other kinds than PipelineRun promises no name.
    fn claim_run(
        &mut self,
        entry: &Entry,
        object: &Value,
        subject: &Subject,
    ) -> Result<(), Vec<String>> {
        let metadata = object.get("metadata").and_then(Value::as_object);
        let named = |field| metadata.and_then(|metadata| policy::text(metadata, field));
        let generated = named("generateName").filter(|_| subject.is_pipeline_run());
        let names: BTreeSet<&str> = named("name").into_iter().chain(generated).collect();
        names.into_iter().try_for_each(|name| self.claim(entry, subject, name))
    }

    /// An object may stand in the tree once: of two, the later would silently win.
    fn claim(&mut self, entry: &Entry, subject: &Subject, name: &str) -> Result<(), Vec<String>> {
        let namespace = subject.namespace.clone().unwrap_or_default();
        let id = [subject.group.clone(), subject.kind.clone(), namespace, name.to_owned()];
        let place = format!("{} (document {})", entry.path, entry.document);
        if let Some(first) = self.seen.get(&id) {
            return Err(vec![format!(
                "{} {name} is already in {first}: remove or rename one of the two",
                subject.kind
            )]);
        }
        self.seen.insert(id, place);
        Ok(())
    }

    /// What is put into runs can make a small tree a large plan.
    fn weigh(&mut self, object: &Value) -> Result<(), Vec<String>> {
        let size = Size::of(object);
        if size.bytes > MAX_OBJECT_BYTES {
            return Err(vec![format!(
                "the object has {} bytes as JSON, a cluster accepts {MAX_OBJECT_BYTES}: split it",
                size.bytes
            )]);
        }
        if self.room.take(size) { Ok(()) } else { Err(vec![budget::too_large()]) }
    }

    fn metadata(
        &mut self,
        entry: &Entry,
        metadata: &mut Map<String, Value>,
        subject: &Subject,
        name: &str,
        key: Option<&str>,
    ) {
        let dropped = policy::drop_server_set(metadata);
        if !dropped.is_empty() {
            self.notes.note(
                entry,
                &format!(
                    "metadata.{} left out: only the server sets that",
                    dropped.join(", metadata.")
                ),
            );
        }
        if let Some((mark, tool)) = ownership::other_tool(metadata) {
            self.notes.note(
                entry,
                &format!(
                    "`{mark}` shows that {tool} manages it: two tools would write this object"
                ),
            );
        }
        metadata.remove("generateName");
        metadata.insert("name".to_owned(), name.into());
        let written = match &subject.namespace {
            Some(namespace) => metadata.insert("namespace".to_owned(), namespace.as_str().into()),
            None => metadata.remove("namespace"),
        };
        if let (Some(Value::String(written)), Some(namespace)) = (written, &subject.namespace)
            && !written.is_empty()
            && written != *namespace
        {
            self.notes.note(
                entry,
                &format!("namespace {written} is replaced by the watch's {namespace}"),
            );
        }
        if naming::mark(metadata, self.context, key) {
            self.notes.note(entry, "pipelinesascode.tekton.dev/state left out: Pipelines-as-Code would take the run over");
        }
        if subject.group == policy::PAC_GROUP {
            self.notes
                .note(entry, "Pipelines-as-Code on this cluster may start the same runs again");
        }
    }
}

/// Why a task or pipeline is left out: only runs that do not start refer to it, or could, since it needs what a push to
/// a watched branch does not have. What nobody refers to is for other runs than B's.
fn needed_by_none(work: &Work<'_>, needs: &Needs) -> Option<String> {
    let wanted = (refs::referable(&work.object)?, policy::name_in(&work.object)?.to_owned());
    if needs.used.contains(&wanted) {
        return None;
    }
    let none = "no run that starts here refers to it";
    match work.findings.problems.first().filter(|_| work.subject.is_some()) {
        Some(why) => Some(format!("{none}, and {why}")),
        None if needs.idle.contains(&wanted) => {
            Some(format!("{none}, only one that does not start"))
        }
        None => None,
    }
}
