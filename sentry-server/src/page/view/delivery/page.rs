//! The page of one delivery: what failed first, what it is compared with, and Sentry's own steps last.

use askama::Template;
use sentry_api::shape::{Delivery, Object, RunTotals, Show};
use sentry_api::words::Word::{Known, Unknown};
use sentry_api::words::{Action, DeliveryState, RunStanding, RunState};
use sentry_core::clock::Timestamp;

use super::super::{
    Act, Commit, Frame, Moment, Part as _, Prose, Reader, State, Tone, Words, span,
};
use super::attempts::{Attempts, asked, short_id};
use super::runs::{RunCard, cards};
use super::steps::{Stop, timeline};
use super::{nothing_ran, state, title, took};
use crate::page::link::WatchPlace;

/// So many objects are listed; more are folded.
const LISTED: usize = 10;

/// The page.
#[derive(Debug, Template)]
#[template(path = "delivery.html")]
pub(crate) struct DeliveryPage {
    frame: Frame,
    words: Words,
    id: String,
    watch: String,
    branch: String,
    /// What the commit says of itself, else its short id.
    title: String,
    author: Option<String>,
    committed: Option<Moment>,
    state: State,
    summary: String,
    revision: Commit,
    asked: String,
    /// The delivery that it repeats: its id, and the text of the link.
    repeats: Option<(String, String)>,
    /// The page that compares it with the commit before, or that one's delivery.
    compared: Option<(String, String)>,
    manifests: Option<String>,
    manifests_revision: Option<Commit>,
    manifests_branch: Option<String>,
    started: Moment,
    took: String,
    asked_for: Option<String>,
    superseded_by: Option<Commit>,
    error: Option<String>,
    story: Story,
}

/// What stands below the head, each a part of its own.
#[derive(Debug)]
struct Story {
    acts: Vec<Act>,
    runs: Vec<RunCard>,
    attempts: Option<Attempts>,
    objects: Vec<ObjectLine>,
    notes: Vec<Prose>,
    stops: Vec<Stop>,
}

/// An object of the delivery.
#[derive(Debug)]
pub(crate) struct ObjectLine {
    state: State,
    object: Object,
}

impl ObjectLine {
    fn new(words: Words, object: &Object) -> Self {
        let (tone, key) = match object.action {
            Known(Action::Created) => (Tone::Good, "action-created"),
            Known(Action::Configured) => (Tone::Good, "action-configured"),
            Known(Action::Failed) => (Tone::Bad, "state-failed"),
            Known(Action::Queued) => (Tone::Wait, "run-queued"),
            Known(Action::Unchanged) => (Tone::Quiet, "action-unchanged"),
            Known(Action::Exists) => (Tone::Quiet, "action-exists"),
            Known(Action::Skipped) => (Tone::Quiet, "run-skipped"),
            Unknown => (Tone::Quiet, "state-unknown"),
        };
        Self { state: State::new(tone, words.say(key)), object: object.clone() }
    }
}

impl DeliveryPage {
    pub(crate) fn new(
        mut frame: Frame,
        reader: &Reader,
        show: &Show,
        place: Option<&WatchPlace>,
    ) -> Self {
        let (words, delivery) = (reader.words, &show.delivery);
        let (source, manifests) = (place.map(|it| &it.source), place.map(|it| &it.manifests));
        let commit = delivery.commit.as_ref();
        let state = state(words, delivery);
        frame.worst = state.tone;
        let repeats = delivery.repeats.as_ref();
        Self {
            words,
            id: delivery.id.clone(),
            watch: delivery.watch.clone(),
            branch: delivery.branch.clone(),
            title: title(delivery).to_owned(),
            author: commit.map(|commit| commit.author.clone()).filter(|name| !name.is_empty()),
            committed: commit.and_then(|commit| Some(Moment::new(reader, commit.at?))),
            summary: summary(reader, delivery, show.next_attempt),
            revision: Commit::new(&delivery.revision, source),
            asked: asked(reader, delivery),
            repeats: repeats.map(|id| (id.clone(), words.put("rerun-of", "id", short_id(id)))),
            compared: compared(words, show, place),
            manifests: manifests.map(|repository| repository.path.clone()),
            manifests_revision: delivery
                .manifests_revision
                .as_ref()
                .map(|sha| Commit::new(sha, manifests)),
            manifests_branch: show.manifests_branch.clone(),
            started: Moment::new(reader, delivery.started),
            took: span(words, took(delivery, reader.now)),
            asked_for: asked_for(words, show),
            superseded_by: show.superseded_by.as_ref().map(|sha| Commit::new(sha, source)),
            // Which runs failed, and why, is told by the runs themselves.
            error: delivery.error.clone().filter(|_| delivery.verdict.is_none()),
            story: Story::new(reader, show, place),
            state,
            frame,
        }
    }

    /// The runs tell more than the objects that they are: these are folded, unless one failed or they are all there is.
    fn lists_objects(&self) -> bool {
        let failed = self.story.objects.iter().any(|line| line.state.tone == Tone::Bad);
        failed || self.story.runs.is_empty() && self.story.objects.len() <= LISTED
    }
}

impl Story {
    fn new(reader: &Reader, show: &Show, place: Option<&WatchPlace>) -> Self {
        let delivery = &show.delivery;
        let object = |object| ObjectLine::new(reader.words, object);
        Self {
            acts: acts(reader, delivery),
            runs: cards(reader, delivery, place),
            attempts: Attempts::new(reader, show),
            objects: delivery.objects.iter().map(object).collect(),
            notes: show.notes.iter().map(|note| Prose::of(note)).collect(),
            stops: timeline(reader, show),
        }
    }
}

/// Where the commit is compared with the one delivered before: on the forge, if it has such a page, else that delivery.
fn compared(words: Words, show: &Show, place: Option<&WatchPlace>) -> Option<(String, String)> {
    let before = show.before.as_ref()?;
    let text = words.put("compare", "commit", sentry_api::text::short(&before.revision));
    let there = place
        .and_then(|place| place.source.compare(&before.revision, &show.delivery.revision))
        .unwrap_or_else(|| format!("/deliveries/{}", before.delivery));
    Some((there, text))
}

fn asked_for(words: Words, show: &Show) -> Option<String> {
    let asked = show.asked_for.as_ref()?;
    let event = asked.event.as_ref().map(|event| words.put("asked-event", "event", event));
    let run = asked.run.as_ref().map(|run| words.put("asked-run", "run", run));
    Some(words.list(event.into_iter().chain(run)))
}

/// One sentence that says it all.
fn summary(reader: &Reader, delivery: &Delivery, next: Option<Timestamp>) -> String {
    let (words, totals) = (reader.words, RunTotals::of_answer(delivery));
    let time = || span(words, took(delivery, reader.now));
    let timed = |key| words.put(key, "time", time());
    let counted = |key, n: usize| {
        words.with(key, [("n", n.into()), ("all", totals.total.into()), ("time", time().into())])
    };
    match delivery.state {
        Known(DeliveryState::Succeeded) if delivery.dry_run => timed("sum-dry-run"),
        Known(DeliveryState::Succeeded) => counted("sum-delivered", totals.total),
        Known(DeliveryState::NothingRan) => match nothing_ran(words, delivery.nothing_ran) {
            Some(cause) => words.put("sum-nothing-why", "cause", cause),
            None => words.say("sum-nothing"),
        },
        Known(DeliveryState::Failed) if totals.failed > 0 => {
            counted("sum-runs-failed", totals.failed)
        }
        Known(DeliveryState::Failed) => timed("sum-failed"),
        Known(DeliveryState::Parked) => match next {
            Some(at) => {
                words.put("sum-parked-until", "at", super::super::ago(words, reader.now, at))
            }
            None => words.say("sum-parked"),
        },
        Known(DeliveryState::Superseded) if totals.total > 0 => {
            counted("sum-superseded-runs", totals.succeeded + totals.failed)
        }
        Known(DeliveryState::Superseded) => words.say("sum-superseded"),
        Known(DeliveryState::Cancelled) if totals.total > 0 => {
            counted("sum-cancelled-runs", totals.succeeded + totals.failed)
        }
        Known(DeliveryState::Cancelled) => words.say("sum-cancelled"),
        Known(DeliveryState::Following) if totals.total > 0 => {
            counted("sum-running", totals.running + totals.queued)
        }
        Known(DeliveryState::Pending) if delivery.error.is_some() => words.say("sum-retrying"),
        Known(DeliveryState::Pending) => words.say("sum-queued"),
        Known(
            DeliveryState::Fetching
            | DeliveryState::Checking
            | DeliveryState::Applying
            | DeliveryState::Following,
        )
        | Unknown => timed("sum-open"),
    }
}

fn acts(reader: &Reader, delivery: &Delivery) -> Vec<Act> {
    let act = |[label, about]: [&str; 2], what: &str, fields| {
        let [label, about] = [label, about].map(|key| reader.words.say(key));
        reader.act(label, about, format!("/deliveries/{}/{what}", delivery.id), fields)
    };
    let ended = delivery.state.is(DeliveryState::is_final);
    let had_verdict = delivery.verdict.is_some();
    let given_up = matches!(delivery.state, Known(DeliveryState::Failed | DeliveryState::Parked));
    let retry =
        (given_up && !had_verdict).then(|| act(["act-retry", "act-retry-about"], "retry", vec![]));
    let failed = (had_verdict && delivery.state == DeliveryState::Failed).then(|| {
        let fields = vec![("failed", "true".to_owned())];
        act(["act-rerun-failed", "act-rerun-failed-about"], "rerun", fields)
    });
    let again = (ended && !delivery.objects.is_empty())
        .then(|| act(["act-rerun-all", "act-rerun-all-about"], "rerun", vec![]));
    let parked = delivery.state == DeliveryState::Parked;
    // What was given up may have runs that go on.
    let runs_on = delivery.runs.iter().any(|run| run.state == RunStanding::As(RunState::Running));
    let cancel = (parked || runs_on || !ended && delivery.state != Unknown)
        .then(|| act(["act-cancel", "act-cancel-about"], "cancel", vec![]));
    [retry, failed, again, cancel].into_iter().flatten().flatten().collect()
}

#[cfg(test)]
mod tests {
    use sentry_api::shape::{Commit as Said, Earlier};
    use serde_json::json;

    use super::super::super::sample;
    use super::*;

    #[test]
    fn one_sentence_says_what_became_of_a_delivery() {
        let said = |runs: &[&str], said: serde_json::Value, next: Option<&str>| {
            let next = next.map(|at| at.parse().unwrap());
            summary(&sample::reader(), &sample::with_runs(runs, said), next)
        };
        let ended = |state: &str| json!({"state": state, "finished": "2026-01-01T00:00:12Z"});
        let two = ["failed", "succeeded"];
        for (sentence, wanted) in [
            (said(&two[1..], ended("succeeded"), None), "Delivered with 1 run in 12 s."),
            (said(&[], ended("succeeded"), None), "Delivered without a run in 12 s."),
            (
                said(&[], json!({"state": "succeeded", "dry_run": true}), None),
                "A dry run: nothing was written. It took 10 min.",
            ),
            (
                said(&[], json!({"state": "nothing_ran", "nothing_ran": "only objects"}), None),
                "There was no run to start: there are only other objects.",
            ),
            (said(&[], ended("nothing_ran"), None), "There was no run to start."),
            (said(&two, ended("failed"), None), "1 of 2 runs failed, after 12 s."),
            (said(&two[1..], ended("failed"), None), "Failed after 12 s."),
            (
                said(&[], ended("parked"), Some("2026-01-01T00:15:00Z")),
                "Parked for now: checked again in 5 min, or when something changes.",
            ),
            (
                said(&[], ended("parked"), None),
                "Parked until something changes, or somebody retries it.",
            ),
            (
                said(&two, ended("superseded"), None),
                "Superseded by a newer head; 2 of 2 runs ended before.",
            ),
            (said(&[], ended("superseded"), None), "Superseded by a newer head; none of it ran."),
            (
                said(&["cancelled", "succeeded"], ended("cancelled"), None),
                "Cancelled after 12 s; 1 of 2 runs ended before.",
            ),
            (said(&[], ended("cancelled"), None), "Cancelled; none of it ran."),
            (
                said(&["running", "queued", "failed"], json!({"state": "following"}), None),
                "2 of 3 runs still running, for 10 min now.",
            ),
            (said(&[], json!({"state": "following"}), None), "In progress, for 10 min now."),
            (said(&[], json!({"state": "checking"}), None), "In progress, for 10 min now."),
            (
                said(&[], json!({"state": "pending", "error": "no"}), None),
                "An attempt failed; it will be retried.",
            ),
            (said(&[], json!({"state": "pending"}), None), "Queued."),
        ] {
            assert_eq!(sentence, wanted);
        }
    }

    #[test]
    fn a_delivery_offers_what_can_be_done_with_it_and_nothing_to_who_may_only_read() {
        let reader = sample::reader();
        let offered = |reader: &Reader, runs: &[&str], said: serde_json::Value| {
            let acts = acts(reader, &sample::with_runs(runs, said));
            acts.into_iter().map(|act| (act.label, act.action)).collect::<Vec<_>>()
        };
        let (retry, rerun) = ("/deliveries/01k9/retry", "/deliveries/01k9/rerun");
        let cancel = "/deliveries/01k9/cancel";
        for (runs, said, wanted) in [
            (&["running"][..], json!({"state": "following"}), vec![("Cancel", cancel)]),
            (&[], json!({"state": "pending"}), vec![("Cancel", cancel)]),
            (&[], json!({"state": "parked"}), vec![("Retry", retry), ("Cancel", cancel)]),
            (&[], json!({"state": "cancelled"}), vec![]),
            (&[], json!({"state": "of a newer agent"}), vec![]),
            (&[], json!({"state": "superseded"}), vec![]),
            (
                &["planned"],
                json!({"state": "failed"}),
                vec![("Retry", retry), ("Rerun all", rerun)],
            ),
            (
                &["running", "planned"],
                json!({"state": "failed"}),
                vec![("Retry", retry), ("Rerun all", rerun), ("Cancel", cancel)],
            ),
            (
                &["failed"],
                json!({"state": "failed", "verdict": "failure"}),
                vec![("Rerun what failed", rerun), ("Rerun all", rerun)],
            ),
            (
                &["succeeded"],
                json!({"state": "succeeded", "verdict": "success"}),
                vec![("Rerun all", rerun)],
            ),
        ] {
            let shown = offered(&reader, runs, said.clone());
            let shown: Vec<_> =
                shown.iter().map(|(label, to)| (label.as_str(), to.as_str())).collect();
            assert_eq!(shown, wanted, "{said}");
            let reads = Reader { may_act: false, ..sample::reader() };
            assert_eq!(offered(&reads, runs, said), []);
        }
    }

    #[test]
    fn a_page_is_titled_by_its_commit_and_leads_to_what_came_before() {
        let commit = Said { title: "Fix the cart".into(), author: "ada".into(), at: None };
        let page = |commit: Option<Said>, before: Option<Earlier>, place: Option<&WatchPlace>| {
            let delivery = Delivery { commit, ..sample::delivery(json!({})) };
            let show = Show { before, ..sample::show(&delivery, json!({})) };
            let frame = Frame::for_reader("x", "1", &sample::reader());
            DeliveryPage::new(frame, &sample::reader(), &show, place)
        };
        let before = Earlier { delivery: "01k8".into(), revision: "9f8e7d6c5b4a".into() };
        let (place, text) = (sample::place(), "compare with 9f8e7d6c, delivered before".to_owned());
        let shown = page(Some(commit), Some(before.clone()), Some(&place));
        assert_eq!((shown.title.as_str(), shown.author.as_deref()), ("Fix the cart", Some("ada")));
        let there = "https://github.com/product/app/compare/9f8e7d6c5b4a...1a2b3c4d5e6f".to_owned();
        assert_eq!(shown.compared, Some((there, text.clone())));
        let bare = page(None, Some(before), None);
        assert_eq!((bare.title.as_str(), bare.author), ("1a2b3c4d", None));
        assert_eq!(bare.compared, Some(("/deliveries/01k8".to_owned(), text)));
        assert_eq!(page(None, None, None).compared, None);
    }

    #[test]
    fn objects_have_the_tone_of_what_became_of_them() {
        for (action, tone, word) in [
            ("created", Tone::Good, "created"),
            ("configured", Tone::Good, "changed"),
            ("failed", Tone::Bad, "failed"),
            ("queued", Tone::Wait, "queued"),
            ("unchanged", Tone::Quiet, "unchanged"),
        ] {
            let object =
                json!({"path": "a.yaml", "kind": "Task", "name": "unit", "action": action});
            let object = serde_json::from_value(object).unwrap();
            let line = ObjectLine::new(Words::default(), &object);
            assert_eq!(line.state, State::new(tone, word));
        }
    }
}
