//! What A's commit shows of a watch: one line for each subject that was delivered at it, and the worst of them under the
//! short name. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::machine::Undelivered;
use super::verdict::{self, Line};
use crate::delivery::{Delivery, counted};
use crate::forge::{CommitStatus, StatusState};
use crate::subject::{EventName, Subject};
use crate::text;
use crate::watch::{ReportDetail, ReportMode, Watch};

/// What GitHub takes of a description (REST API, "Create a commit status"); GitLab takes more.
const DESCRIPTION_CHARS: usize = 140;
/// What GitLab takes of a name (REST API, "Set commit pipeline status").
const CONTEXT_CHARS: usize = 255;

/// Whose head the commit was, and for which event: of several deliveries for one, the newest counts, with what it did not
/// repeat of those before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Owner<'a> {
    subject: &'a Subject,
    event: &'a EventName,
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, event } = self;
        let label = subject.label();
        if **event == subject.event() {
            f.write_str(&label)
        } else {
            // No subject's name holds a space: nothing else is called so.
            write!(f, "{label}, {event}")
        }
    }
}

/// Lines by what follows the watch's context in their names; for each, whose they are.
type Lines<'a> = BTreeMap<String, BTreeMap<Owner<'a>, Line<'a>>>;

/// Every status of one commit, from all deliveries of the watch at it, oldest first. What it says depends on nothing
/// else, and no name on which subject came first.
pub(super) fn statuses(watch: &Watch, deliveries: &[Delivery]) -> Vec<CommitStatus> {
    if watch.reporting.mode == ReportMode::Off {
        return Vec::new();
    }
    let context = context_of(watch);
    let mut statuses = Vec::new();
    let counted = counted(deliveries);
    for (suffix, owners) in &lines(watch, deliveries, &counted) {
        let name = format!("{context}{}", inert(suffix));
        let all: Vec<_> = owners.iter().collect();
        statuses.extend(together(watch, name.clone(), &all));
        if let [_, _, ..] = all.as_slice() {
            let own = all.iter().filter_map(|(owner, _)| own(watch, &name, owner, &all));
            statuses.extend(own);
        }
    }
    statuses
}

/// What a head without a delivery shows. Where it must not speak for the watch it has the name that it has beside others.
pub(super) fn undelivered(watch: &Watch, head: &Undelivered, is_alone: bool) -> CommitStatus {
    let Undelivered { revision, state, text, .. } = head;
    let mut context = context_of(watch);
    if !is_alone {
        context = format!("{context} ({})", inert(&revision.subject.label()));
    }
    CommitStatus {
        revision: revision.clone(),
        context: fitted(context),
        state: *state,
        description: (*text).to_owned(),
        link: None,
        delivery: None,
        subjects: vec![revision.subject.clone()],
    }
}

fn context_of(watch: &Watch) -> String {
    let context = watch.reporting.context.clone();
    context.unwrap_or_else(|| format!("sentry-gitops/{}", watch.name))
}

/// `counted` is how each of them counts.
fn lines<'a>(
    watch: &Watch,
    deliveries: &'a [Delivery],
    counted: &'a [Cow<'_, Delivery>],
) -> Lines<'a> {
    let mut lines = Lines::new();
    let real = deliveries.iter().zip(counted).filter(|(delivery, _)| !delivery.asked.dry_run);
    for (delivery, counted) in real {
        let owner = Owner { subject: &delivery.revision.subject, event: &delivery.asked.event };
        let whole = lines.entry(String::new()).or_default();
        // That it waited for an approval was shown.
        let pull = delivery.pull.as_deref();
        let selector = watch.source.subjects.pulls.as_ref();
        let waited = selector.zip(pull).is_some_and(|(s, pull)| s.needs_approval(pull));
        if let Some(line) = verdict::whole(watch, counted, waited || whole.contains_key(&owner)) {
            whole.insert(owner.clone(), line);
        }
        // The name of a run is a part of its line's.
        let says_reasons = verdict::detail(watch, delivery) == ReportDetail::Reasons;
        if watch.reporting.mode == ReportMode::PerRun && says_reasons {
            for (name, line) in verdict::each_run(delivery, counted) {
                lines.entry(format!("/{name}")).or_default().insert(owner.clone(), line);
            }
        }
    }
    lines
}

/// The owner's own line. Forges that ignore case show one for those that differ in nothing
/// else: it is the worst of them, whichever is sent last.
fn own(
    watch: &Watch,
    name: &str,
    owner: &Owner<'_>,
    all: &[(&Owner<'_>, &Line<'_>)],
) -> Option<CommitStatus> {
    let label = owner.to_string();
    let alike = |other: &Owner<'_>| other.to_string().to_lowercase() == label.to_lowercase();
    let lines = all.iter().filter(|(other, _)| alike(other)).map(|(_, line)| *line);
    let worst = lines.max_by_key(|line| line.badness())?;
    let subjects = vec![owner.subject.clone()];
    Some(status(watch, format!("{name} ({})", inert(&label)), worst, &worst.text, subjects))
}

/// The worst of all subjects, with what each of the worst says.
fn together(watch: &Watch, name: String, all: &[(&Owner<'_>, &Line<'_>)]) -> Option<CommitStatus> {
    let (_, worst) = all.iter().max_by_key(|(_, line)| line.badness())?;
    let text = if let [(_, only)] = all {
        only.text.clone()
    } else {
        let same = all.iter().filter(|(_, line)| line.state == worst.state);
        same.map(|(owner, line)| format!("{owner}: {}", line.text)).collect::<Vec<_>>().join("; ")
    };
    let mut subjects: Vec<Subject> = all.iter().map(|(owner, _)| owner.subject.clone()).collect();
    subjects.dedup();
    Some(status(watch, name, worst, &text, subjects))
}

fn status(
    watch: &Watch,
    context: String,
    line: &Line<'_>,
    text: &str,
    subjects: Vec<Subject>,
) -> CommitStatus {
    CommitStatus {
        revision: line.delivery.revision.clone(),
        context: fitted(context),
        state: line.state,
        description: shortened(text),
        link: verdict::link(watch, line.delivery, line.run),
        delivery: Some(line.delivery.id.clone()),
        subjects,
    }
}

impl Line<'_> {
    /// The more, the worse; of two that are as bad, the newer one is shown.
    fn badness(&self) -> impl Ord + use<> {
        let rank = match self.state {
            StatusState::Neutral => 0,
            StatusState::Success => 1,
            StatusState::Pending => 2,
            StatusState::Cancelled => 3,
            StatusState::Error => 4,
            StatusState::Failure => 5,
        };
        (rank, self.delivery.id.clone())
    }
}

/// One line of at most so many characters.
fn shortened(text: &str) -> String {
    text::cut(&text::line(text), DESCRIPTION_CHARS)
}

/// A name that forges take: what is too long ends in a digest of all of it.
fn fitted(name: String) -> String {
    if name.chars().count() <= CONTEXT_CHARS {
        return name;
    }
    let digest = digest(&name);
    let kept: String = name.chars().take(CONTEXT_CHARS - digest.len() - 1).collect();
    format!("{kept}~{digest}")
}

/// A part of a name without what is hidden in it. It then ends in a digest: what differs in nothing else stays two lines,
/// and no branch holds a `~`.
fn inert(part: &str) -> String {
    let clean = text::clean(part);
    if clean == part { clean } else { format!("{clean}~{}", digest(part)) }
}

fn digest(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..4])
}

#[cfg(test)]
mod disclosing;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::delivery::{Asked, AttemptCounts, DeliveryState, RunRecord, RunState, Verdict};
    use crate::plan::{Action, ObjectOutcome};
    use crate::testing::sample;
    use crate::watch::sample::watch;

    /// The `n`th delivery, of commit 1, with runs of these names that stand so.
    fn delivery(n: u32, branch: &str, runs: &[(&str, RunState)]) -> Delivery {
        let runs: Vec<RunRecord> = runs
            .iter()
            .map(|(name, state)| {
                let mut run = RunRecord { message: None, reason: None, ..sample::run(*state) };
                run.object.name = format!("{name}-0a1b2c3d-abcdefghijklmnop");
                run
            })
            .collect();
        let made = |run: &RunRecord| ObjectOutcome {
            object: run.object.clone(),
            run: true,
            ..sample::outcome(Action::Created)
        };
        let failed = runs.iter().any(|run| run.state == RunState::Failed);
        let goes_on = runs.iter().any(|run| run.state == RunState::Running);
        let (state, verdict) = match (goes_on, failed) {
            (true, _) => (DeliveryState::Following, None),
            (_, true) => (DeliveryState::Failed, Some(Verdict::Failure)),
            (_, false) => (DeliveryState::Succeeded, Some(Verdict::Success)),
        };
        let mut revision = sample::revision(1);
        revision.subject = sample::subject(branch);
        Delivery {
            asked: Asked {
                event: revision.subject.event(),
                dry_run: false,
                only: None,
                repeats: None,
                ..sample::asked(n)
            },
            id: sample::id(n),
            revision,
            state,
            verdict,
            passed: None,
            superseded_by: None,
            attempts: AttemptCounts::default(),
            objects: runs.iter().map(made).collect(),
            runs,
            ..sample::delivery(1)
        }
    }

    fn shown(watch: &Watch, deliveries: &[Delivery]) -> Vec<(String, StatusState)> {
        statuses(watch, deliveries).into_iter().map(|s| (s.context, s.state)).collect()
    }

    fn named(lines: &[(&str, StatusState)]) -> Vec<(String, StatusState)> {
        lines.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect()
    }

    #[test]
    fn one_subject_has_the_short_name_and_several_have_one_each_and_the_worst_under_it() {
        use StatusState::{Failure, Pending, Success};
        let qa = watch("qa", &["main", "release/*"]);
        let main = delivery(1, "main", &[("ci", RunState::Succeeded)]);
        let release = delivery(2, "release/1.4", &[("ci", RunState::Failed)]);
        assert_eq!(
            shown(&qa, std::slice::from_ref(&main)),
            named(&[("sentry-gitops/qa", Success)])
        );
        let both = named(&[
            ("sentry-gitops/qa", Failure),
            ("sentry-gitops/qa (main)", Success),
            ("sentry-gitops/qa (release/1.4)", Failure),
        ]);
        assert_eq!(shown(&qa, &[main.clone(), release.clone()]), both);
        let text = &statuses(&qa, &[main.clone(), release.clone()])[0].description;
        assert!(text.starts_with("release/1.4: 1 of 1 run failed"), "{text}");
        // The other order of time, the same names.
        let (later, earlier) = (Delivery { id: sample::id(3), ..main.clone() }, release);
        assert_eq!(shown(&qa, &[earlier.clone(), later.clone()]), both);
        let again = delivery(4, "release/1.4", &[("ci", RunState::Running)]);
        let lines = shown(&qa, &[earlier.clone(), later.clone(), again]);
        assert_eq!((lines[0].1, lines[2].1), (Pending, Pending), "the newest of a subject counts");
        let asked = Asked { event: EventName::new("nightly"), ..later.asked.clone() };
        let nightly = Delivery { asked, id: sample::id(5), ..later };
        let lines = shown(&qa, &[main, earlier, nightly]);
        let names: BTreeSet<&str> = lines[1..].iter().map(|(name, _)| name.as_str()).collect();
        let own = ["main", "main, nightly", "release/1.4"];
        assert_eq!(
            names,
            own.map(|own| format!("sentry-gitops/qa ({own})")).iter().map(String::as_str).collect()
        );
    }

    #[test]
    fn a_rerun_of_what_failed_makes_the_commit_good_and_each_run_keeps_its_name() {
        use StatusState::{Failure, Pending, Success};
        let mut qa = watch("qa", &["main"]);
        qa.reporting.mode = ReportMode::PerRun;
        let mut first =
            delivery(1, "main", &[("ci", RunState::Succeeded), ("ci", RunState::Failed)]);
        first.runs[1].object.document = 9;
        first.runs[1].object.name.push('2');
        first.objects[1].object = first.runs[1].object.clone();
        let again = |state| {
            let mut again = delivery(2, "main", &[("ci", state)]);
            again.runs[0].object.document = 9;
            again.runs[0].object.name.push('3');
            again.objects[0].object = again.runs[0].object.clone();
            again.asked.repeats = Some(first.id.clone());
            again
        };
        let names = ["", "/ci (runs/ci.yaml, document 2)", "/ci (runs/ci.yaml, document 9)"];
        let named = |states: [StatusState; 3]| {
            let lines = names.iter().map(|name| format!("sentry-gitops/qa{name}")).zip(states);
            lines.collect::<Vec<_>>()
        };
        assert_eq!(shown(&qa, std::slice::from_ref(&first)), named([Failure, Success, Failure]));
        for (state, whole) in [
            (RunState::Running, Pending),
            (RunState::Succeeded, Success),
            (RunState::Failed, Failure),
        ] {
            let lines = shown(&qa, &[first.clone(), again(state)]);
            assert_eq!(lines, named([whole, Success, whole]));
        }
        let text = &statuses(&qa, &[first.clone(), again(RunState::Succeeded)])[0].description;
        assert_eq!(text, "2 runs succeeded");
    }

    #[test]
    fn a_name_holds_nothing_hidden_and_branches_that_differ_in_that_alone_have_a_line_each() {
        let qa = watch("qa", &["main"]);
        let ended = |n, branch| delivery(n, branch, &[("ci", RunState::Succeeded)]);
        let all = ["x", "x\u{202e}", "x\u{2066}"];
        let deliveries: Vec<_> = (1..).zip(all).map(|(n, branch)| ended(n, branch)).collect();
        let lines = shown(&qa, &deliveries);
        let names: BTreeSet<&str> = lines[1..].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.contains("sentry-gitops/qa (x)"), "{names:?}");
        let marked = names.iter().filter(|name| name.starts_with("sentry-gitops/qa (x\u{fffd}~"));
        assert_eq!(marked.count(), 2, "{names:?}");
    }

    #[test]
    fn each_run_has_a_line_of_its_own_when_asked_for_and_a_link_names_it() {
        use StatusState::{Failure, Pending, Success};
        let mut qa = watch("qa", &["main"]);
        qa.reporting.mode = ReportMode::PerRun;
        qa.reporting.link = Some("https://dash.example/{namespace}/{run}?b={branch}".to_owned());
        let runs = [("ci", RunState::Running), ("smoke", RunState::Succeeded)];
        let one = delivery(1, "fix/#1", &runs);
        let two = delivery(2, "main", &[("ci", RunState::Failed)]);
        let lines = shown(&qa, std::slice::from_ref(&one));
        assert_eq!(
            lines,
            named(&[
                ("sentry-gitops/qa", Pending),
                ("sentry-gitops/qa/ci", Pending),
                ("sentry-gitops/qa/smoke", Success)
            ])
        );
        let link = statuses(&qa, std::slice::from_ref(&one))[2].link.clone().unwrap();
        assert!(link.starts_with("https://dash.example/qa/smoke-0a1b2c3d"), "{link}");
        assert!(link.ends_with("?b=fix%2F%231"), "{link}");
        assert_eq!(
            shown(&qa, &[one, two])[3..],
            named(&[
                ("sentry-gitops/qa/ci", Failure),
                ("sentry-gitops/qa/ci (fix/#1)", Pending),
                ("sentry-gitops/qa/ci (main)", Failure),
                ("sentry-gitops/qa/smoke", Success)
            ])
        );
    }

    #[test]
    fn a_run_that_shares_its_name_is_called_alike_before_and_after_the_other_has_room() {
        let mut qa = watch("qa", &["main"]);
        qa.reporting.mode = ReportMode::PerRun;
        let mut full = delivery(1, "main", &[("ci", RunState::Running), ("ci", RunState::Running)]);
        full.runs[1].object.name.push('2');
        full.objects[1].object = full.runs[1].object.clone();
        full.objects[1].object.document = 3;
        full.runs[1].object.document = 3;
        let mut waits = full.clone();
        waits.objects[1].action = Action::Queued;
        waits.runs.pop();
        let names = |d: &Delivery| {
            let lines = shown(&qa, std::slice::from_ref(d));
            lines.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&waits)[..2], names(&full)[..2]);
        assert_eq!(names(&waits)[1], "sentry-gitops/qa/ci (runs/ci.yaml, document 2)");
    }

    #[test]
    fn branches_that_differ_in_capitals_alone_both_show_the_worse_of_them() {
        let qa = watch("qa", &["*"]);
        let one = delivery(1, "Fix", &[("ci", RunState::Failed)]);
        let two = delivery(2, "fix", &[("ci", RunState::Succeeded)]);
        assert!(shown(&qa, &[one, two]).iter().all(|(_, state)| *state == StatusState::Failure));
    }

    #[test]
    fn a_name_that_is_too_long_ends_in_a_digest_and_a_dry_run_shows_nothing() {
        let qa = watch("qa", &["*"]);
        let long = |end: &str| format!("{}{end}", "x/".repeat(120));
        let runs = [("ci", RunState::Succeeded)];
        let two = [delivery(1, &long("a"), &runs), delivery(2, &long("b"), &runs)];
        let names: Vec<String> = shown(&qa, &two).into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| name.chars().count() <= CONTEXT_CHARS));
        assert_ne!(names[1], names[2]);
        let dry = Delivery { asked: sample::asked(1), ..two[0].clone() };
        assert_eq!(shown(&qa, &[dry]), []);
    }

    #[test]
    fn a_description_is_one_line_of_at_most_140_characters() {
        let text = shortened(&"ünï\n".repeat(200));
        assert_eq!(text.chars().count(), 140);
        assert!(text.ends_with('…') && !text.contains('\n'));
    }
}
