//! 59: nothing says that it passed because nothing ran: every way in which no run starts has its own state and cause in
//! `why`, in the history, on the page and on the commit, and a missing directory is an error.

use std::sync::Arc;

use sentry_api::query::{HistoryQuery, StatusQuery, WhyQuery};
use sentry_api::shape::{Delivery, Status, WhyAnswer};
use sentry_api::words::{BranchState, DeliveryState, Word};
use sentry_api::{Answers as _, Local, VERSION};
use sentry_core::delivery::{Cause, Selection, Trigger, TriggerKind, TriggerState};
use sentry_core::forge::{CommitStatus, StatusState};
use sentry_core::ids::TriggerId;
use sentry_core::repo::CommitSha;
use sentry_core::store::{Hold, Inbox as _, Suspension};
use sentry_core::subject::EventName;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::sample;
use sentry_core::watch::{NothingRan, Refusals, Unannotated};
use sentry_tests::promise::kept;
use sentry_tests::stage::{READ, Script, Stage};

use crate::p40_page_and_api::{ask, session};
use crate::world::{A, B, World, seconds};

const TASK: &str = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";

/// How one head comes to start no run.
struct Way {
    name: String,
    /// What B's directory holds; `None` if there is no directory.
    files: Option<Vec<(String, String)>>,
    message: &'static str,
    selection: Option<Selection>,
    lenient: bool,
    unannotated: Unannotated,
    /// What the delivery comes to, and what must be said of it.
    ends: Ends,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// Nothing ran, for this cause.
    Nothing(&'static str),
    /// It is an error, whose text holds this.
    Error(&'static str),
}

fn way(name: impl Into<String>, files: &[(&str, &str)], ends: Ends) -> Way {
    let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    Way {
        name: name.into(),
        files: Some(files.iter().map(owned).collect()),
        message: "work",
        selection: None,
        lenient: false,
        unannotated: Unannotated::Run,
        ends,
    }
}

/// A run that these annotations keep from starting.
fn run(kind: &str, annotations: &[(&str, &str)]) -> String {
    let api = if kind == "Job" { "batch/v1" } else { "tekton.dev/v1" };
    let mut text = format!("apiVersion: {api}\nkind: {kind}\nmetadata:\n  generateName: qa-\n");
    if !annotations.is_empty() {
        text.push_str("  annotations:\n");
    }
    for (name, value) in annotations {
        text.push_str(&format!("    pipelinesascode.tekton.dev/{name}: '{value}'\n"));
    }
    text
}

/// Directories without a run that could start.
fn directories() -> Vec<Way> {
    let file = Ends::Nothing("no file");
    let mut ways = vec![
        way("an empty directory", &[], file),
        way("an empty file", &[("a.yaml", "")], file),
        way("comments alone", &[("a.yaml", "# later\n")], file),
        way("separators alone", &[("a.yaml", "---\n---\n")], file),
        way("a kustomization", &[("kustomization.yaml", "resources: []\n")], file),
        way("a task", &[("task.yaml", TASK)], Ends::Nothing("only objects")),
        way("a map", &[("map.yaml", MAP)], Ends::Nothing("only objects")),
        way("both", &[("map.yaml", MAP), ("t.yaml", TASK)], Ends::Nothing("only objects")),
    ];
    let missing = Ends::Error("no directory");
    ways.push(Way { files: None, ..way("no directory", &[], missing) });
    ways.push(Way { files: None, lenient: true, ..way("no directory, lenient", &[], missing) });
    ways
}

/// Runs that are not meant for the head: every kind of run, every annotation, alone and beside an object.
fn unmatched() -> Vec<Way> {
    let annotations: [&[(&str, &str)]; 7] = [
        &[("on-event", "[pull_request]"), ("on-target-branch", "[main]")],
        &[("on-event", "[push]"), ("on-target-branch", "[develop]")],
        &[("on-cel-expression", "event == \"nightly\"")],
        &[("on-comment", "^/test")],
        &[("on-event", "[push]"), ("on-target-branch", "[main]"), ("on-label", "[qa]")],
        &[("on-event", "[push]"), ("on-target-branch", "[main]"), ("on-moon", "[full]")],
        &[("on-event", "[nightly]"), ("on-target-branch", "[main]")],
    ];
    let mut ways = Vec::new();
    for kind in ["PipelineRun", "TaskRun", "CustomRun", "Job"] {
        for annotations in annotations {
            let run = run(kind, annotations);
            for (with, more) in [("", &[][..]), (" beside a map", &[("map.yaml", MAP)][..])] {
                let name = format!("a {kind} with {annotations:?}{with}");
                let files: Vec<_> =
                    more.iter().copied().chain([("run.yaml", run.as_str())]).collect();
                ways.push(way(name, &files, Ends::Nothing("no run matched")));
            }
        }
        let name = format!("a {kind} without annotations, which the watch skips");
        let plain = run(kind, &[]);
        let skipped = way(name, &[("run.yaml", &plain)], Ends::Nothing("no run matched"));
        ways.push(Way { unannotated: Unannotated::Skip, ..skipped });
    }
    ways
}

/// Runs that are refused: a lenient watch leaves them out, a strict one stops.
fn refused() -> Vec<Way> {
    let elsewhere =
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: a, namespace: other}\n";
    let broken = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: [\n";
    let nameless = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {}\n";
    let mut ways = Vec::new();
    for (name, text) in [("elsewhere", elsewhere), ("broken", broken), ("nameless", nameless)] {
        for (with, more) in [("", &[][..]), (" beside a map", &[("map.yaml", MAP)][..])] {
            let files: Vec<_> = more.iter().copied().chain([("run.yaml", text)]).collect();
            let out = Ends::Nothing("runs left out");
            let lenient = way(format!("a run {name}{with}, lenient"), &files, out);
            ways.push(Way { lenient: true, ..lenient });
            ways.push(way(format!("a run {name}{with}"), &files, Ends::Error("refused")));
        }
    }
    ways
}

/// What the commit's message or a person's own wish keeps from starting.
fn asked() -> Vec<Way> {
    let plain = run("PipelineRun", &[]);
    let files = [("run.yaml", plain.as_str())];
    let markers = ["[skip ci]", "[ci skip]", "[skip tkn]", "[tkn skip]"];
    let marked = markers.map(|message| {
        let ends = Ends::Nothing("skipped by marker");
        Way { message, ..way(format!("the marker {message}"), &files, ends) }
    });
    let event = Selection { event: Some(EventName::new("nightly")), run: None };
    let event =
        Way { selection: Some(event), ..way("an event", &files, Ends::Nothing("no run matched")) };
    let name = Selection { event: None, run: Some("nope".to_owned()) };
    let name = Way { selection: Some(name), ..way("a name", &files, Ends::Error("no run nope")) };
    marked.into_iter().chain([event, name]).collect()
}

/// What was told of the way in the end.
struct Told {
    status: Status,
    history: Vec<Delivery>,
    why: WhyAnswer,
    show: sentry_api::shape::Show,
    posted: Vec<CommitStatus>,
}

async fn story(way: &Way, when: NothingRan) -> Told {
    let mut world = World::new(FakeDeployer::new().following());
    let watch = &mut world.watches[0];
    watch.reporting.when_nothing_runs = when;
    watch.reading.unannotated = way.unannotated;
    if way.lenient {
        watch.refusals = Refusals::Lenient;
    }
    match &way.files {
        Some(files) => {
            let files: Vec<_> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
            world.forge.commit(B, "main", "what there is", &files);
        }
        None => drop(world.forge.commit_nothing(B, "main", "moved")),
    }
    world.start();
    seconds(20).await;
    let sha = match &way.selection {
        None => world.forge.commit(A, "main", way.message, &[]),
        Some(selection) => chosen(&world, selection).await,
    };
    seconds(300).await;
    assert_eq!(world.deployer.created(), [], "{}: something ran", way.name);
    told(&world, &sha).await
}

/// A person asks for the baselined head, with a selection.
async fn chosen(world: &World, selection: &Selection) -> CommitSha {
    let at = world.clock.now();
    let (id, key) = (TriggerId::new(at, 7), "asked".to_owned());
    let kind = TriggerKind::Deliver {
        subject: sample::subject("main"),
        sha: None,
        selection: selection.clone(),
    };
    let watch = world.watches[0].name.clone();
    let (cause, state) = (Cause::Manual, TriggerState::Pending);
    world
        .store
        .request(&Trigger { id, key, watch, kind, cause, by: None, at, state })
        .await
        .unwrap();
    world.branch("main").await.unwrap().observed.sha
}

async fn told(world: &World, sha: &CommitSha) -> Told {
    let local = Local::new(Arc::clone(&world.store), Vec::new());
    let history = local.history(&HistoryQuery::default()).await.unwrap().deliveries;
    let show = local.show(&history[0].id).await.unwrap();
    let mut why = local.why(sha.as_str(), &WhyQuery::default()).await.unwrap().answers;
    let posted = world.forge.statuses().into_iter().filter(|s| s.revision.sha == *sha).collect();
    let status = local.status(&StatusQuery::default()).await.unwrap();
    Told { status, history, why: why.remove(0), show, posted }
}

fn judge(way: &Way, when: NothingRan, told: &Told) {
    let (name, delivery) = (&way.name, &told.history[0]);
    let last = told.posted.last().map(|s| (s.state, s.description.as_str()));
    assert!(told.posted.iter().all(|s| s.state != StatusState::Success), "{name}: green");
    let branch = &told.status.watches[0].branches[0];
    assert!(delivery.manifests_revision.is_some() || way.message != "work", "{name}: B's commit");
    match way.ends {
        Ends::Nothing(cause) => {
            assert_eq!(delivery.state, DeliveryState::NothingRan, "{name}: {:?}", delivery.error);
            assert_eq!(delivery.nothing_ran.unwrap().as_str(), cause, "{name}");
            assert_eq!(told.why.reason.as_str(), cause, "{name}");
            if way.selection.is_none() {
                let of_branch = (branch.state, branch.nothing_ran.unwrap().as_str());
                assert_eq!(of_branch, (BranchState::NothingRan.into(), cause), "{name}");
            }
            let text = format!("nothing ran: {cause}");
            let expected = match when {
                NothingRan::Neutral => Some((StatusState::Neutral, text.as_str())),
                NothingRan::Error => Some((StatusState::Error, text.as_str())),
                NothingRan::Nothing => None,
            };
            assert_eq!(last, expected, "{name}");
        }
        Ends::Error(text) => {
            let ended = matches!(
                delivery.state,
                Word::Known(DeliveryState::Parked | DeliveryState::Failed)
            );
            assert!(ended, "{name}: {}", delivery.state);
            let error = delivery.error.as_deref().unwrap();
            assert!(error.contains(text), "{name}: {error}");
            assert_eq!(told.why.reason.as_str(), "parked", "{name}");
            assert!(told.why.detail.as_deref().unwrap().contains(text), "{name}");
            assert_eq!(last.unwrap().0, StatusState::Error, "{name}");
            assert_eq!(told.show.attempts, 1, "{name}: it is definite");
        }
    }
}

/// How the page says a cause.
fn in_words(cause: &str) -> &'static str {
    match cause {
        "no file" => "there is no file",
        "no run matched" => "no run matched",
        "only objects" => "there are only other objects",
        "runs left out" => "its runs were refused and left out",
        "skipped by marker" => "the commit has a skip marker",
        other => panic!("{other} is no cause"),
    }
}

/// What a browser is told: of the first page, the watch's, and the delivery's.
fn pages(stage: &Stage, cookie: &str, told: Told) -> [String; 3] {
    let watch = format!("/watches/{}", told.history[0].watch);
    let delivery = format!("/deliveries/{}", told.history[0].id);
    stage.answers.play(Script { status: Some(told.status), shows: vec![told.show] });
    ["/", &watch, &delivery].map(|path| ask(stage, "GET", path, &[cookie], "").body)
}

#[test]
fn every_way_in_which_no_run_starts_is_told_as_what_it_is() {
    let ways: Vec<Way> =
        [directories(), unmatched(), refused(), asked()].into_iter().flatten().collect();
    let stage = Stage::start(Vec::new());
    let (watches, queue, notifications) = (Vec::new(), Vec::new(), Vec::new());
    let status = Status {
        version: VERSION,
        watches,
        queue,
        notifications,
        next: None,
        agent: None,
        fleet: None,
    };
    stage.answers.play(Script { status: Some(status), shows: Vec::new() });
    let (cookie, _) = session(&stage, READ);
    let (mut idle, mut errors) = (0, 0);
    for way in &ways {
        for when in [NothingRan::Neutral, NothingRan::Nothing, NothingRan::Error] {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().start_paused(true).build().unwrap();
            let told = runtime.block_on(story(way, when));
            judge(way, when, &told);
            if when != NothingRan::Neutral {
                continue;
            }
            let wanted = match way.ends {
                Ends::Nothing(cause) => vec![">nothing ran<", in_words(cause)],
                Ends::Error(text) => vec![text],
            };
            for (page, at) in pages(&stage, &cookie, told).iter().zip(0..) {
                // A person's own delivery is not the branch's: it is told on its own page.
                if at == 2 || way.selection.is_none() {
                    let has_all = wanted.iter().all(|text| page.contains(text));
                    assert!(has_all, "{}, {wanted:?}: {page}", way.name);
                }
                // A filter offers every state; a state that is told stands beside its sign.
                let is_green =
                    ["<span>succeeded<", "\"word\">succeeded<"].iter().any(|it| page.contains(it));
                assert!(!is_green, "{}: green", way.name);
            }
        }
        *(if matches!(way.ends, Ends::Nothing(_)) { &mut idle } else { &mut errors }) += 1;
    }
    let seen = format!(
        "{} ways × 3 settings: {idle} told as nothing ran with their own cause and {errors} as errors, in why, history, \
         status, page and on the commit; 0 successes",
        ways.len()
    );
    kept(59, "ways", &seen);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_carried_out_has_no_success_either() {
    let mut world = World::new(FakeDeployer::new().following());
    world.start();
    seconds(20).await;
    let baseline = world.branch("main").await.unwrap().observed.sha;
    let since = world.clock.now();
    let (watch, until) = (world.watches[0].name.clone(), None);
    let suspension = Suspension { watch: watch.clone(), reason: None, since, until, by: None };
    world.store.hold(&Hold::Suspend(suspension)).await.unwrap();
    let (suspended, newer) = (world.push(), world.push());
    seconds(200).await;
    world.store.hold(&Hold::Resume(sample::resumption(watch.as_str()))).await.unwrap();
    seconds(200).await;
    let local = Local::new(Arc::clone(&world.store), Vec::new());
    let mut reasons = Vec::new();
    for sha in [&baseline, &suspended] {
        let why = local.why(sha.as_str(), &WhyQuery::default()).await.unwrap();
        reasons.push(why.answers[0].reason.as_str());
        let of_it = world.forge.statuses().into_iter().filter(|s| s.revision.sha == *sha);
        assert!(of_it.into_iter().all(|s| s.state != StatusState::Success), "{sha}");
    }
    assert_eq!(reasons[0], "baseline");
    assert_ne!(reasons[1], "delivered");
    let after = world.forge.statuses().into_iter().filter(|s| s.revision.sha == newer);
    assert!(after.count() > 0, "the newest head was delivered");
    kept(59, "not carried out", "a baseline and a head that was passed over: 0 successes");
}
