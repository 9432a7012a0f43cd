//! Sample records with every field set. Equal numbers give equal records, different numbers different ones;
//! a greater number is a later time and a later id. Change a field by struct update:
//!
//! ```
//! use sentry_core::delivery::{AttemptCounts, Delivery, DeliveryState};
//! use sentry_core::testing::sample;
//!
//! let parked = Delivery { state: DeliveryState::Parked, ..sample::delivery(1) };
//! ```

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::cursor::{Cursors, Mark, Parked, Passed};
use crate::delivery::{
    Asked, AttemptCounts, Cause, CommitNote, Delivery, DeliveryState, FailureClass, HeadRecord,
    Intent, Reason, RunRecord, RunState, Selection, StepTiming, TaskRecord, TaskState, Trigger,
    TriggerKind, TriggerState, Verdict,
};
use crate::forge::{Budget, CommitStatus, StatusState, Validator};
use crate::ids::{DeliveryId, NoticeId, TriggerId};
use crate::names::WatchName;
use crate::notifier::{FailedRun, Notice, RunCounts};
use crate::plan::{Action, ObjectOutcome, ObjectRef, RunRules};
use crate::pull::PullRequest;
use crate::remote::{RemoteKind, RemoteRecord};
use crate::repo::{CommitSha, RepoUrl};
use crate::revision::Revision;
use crate::store::{
    AgentState, InventoryItem, LoopState, Notified, Outage, Outgoing, Overview, Report, Resumption,
    Suspension, Trouble, WatchState, Write,
};
use crate::subject::{EventName, Subject};
use crate::subscription::{Occasion, Route};
use crate::watch::ReportDetail;

/// Parses a text that is known to be valid.
///
/// # Panics
/// If it is not.
pub fn parse<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a valid sample text")
}

/// A watch's name.
#[must_use]
pub fn watch(name: &str) -> WatchName {
    parse(name)
}

/// The branch of this name, or the tag of a whole reference such as `refs/tags/v1`.
#[must_use]
pub fn subject(text: &str) -> Subject {
    match text.strip_prefix("refs/tags/") {
        Some(tag) => Subject::Tag(parse(tag)),
        None => Subject::Branch(parse(text)),
    }
}

/// A subject's head.
#[must_use]
pub fn at(subject: &str, sha: &str) -> Revision {
    Revision { subject: self::subject(subject), sha: parse(sha) }
}

/// The pull request of this number, from the branch `topic` into `main`, with the label `qa`.
#[must_use]
pub fn pull(number: u64) -> PullRequest {
    PullRequest {
        number: number.into(),
        title: format!("Pull {number}"),
        author: "ada".to_owned(),
        is_draft: false,
        labels: ["qa".to_owned()].into(),
        head: sha(1),
        source_branch: parse("topic"),
        target_branch: parse("main"),
        is_fork: false,
    }
}

/// The `n`th commit; ids of neighbours differ in their last digits only.
#[must_use]
pub fn sha(n: u32) -> CommitSha {
    parse(&format!("0a1b2c3d{n:032x}"))
}

/// `n` seconds after a fixed moment, with a fraction that survives only a store that keeps nanoseconds.
#[must_use]
pub fn time(n: u32) -> Timestamp {
    Timestamp::new(1_790_000_000 + i64::from(n), 123_456_789).expect("a time in jiff's range")
}

/// The `n`th id.
#[must_use]
pub fn id(n: u32) -> DeliveryId {
    DeliveryId::new(time(n), u128::from(n))
}

/// The `n`th trigger's id.
#[must_use]
pub fn trigger_id(n: u32) -> TriggerId {
    TriggerId::new(time(n), u128::from(n))
}

/// The `n`th notice's id.
#[must_use]
pub fn notice_id(n: u32) -> NoticeId {
    NoticeId::new(time(n), u128::from(n))
}

/// The `n`th commit of the branch `main`.
#[must_use]
pub fn revision(n: u32) -> Revision {
    Revision { subject: subject("main"), sha: sha(n) }
}

/// The `n`th commit, marked at the `n`th time.
#[must_use]
pub fn mark(n: u32) -> Mark {
    Mark { sha: sha(n), at: time(n) }
}

/// All that can be remembered of the subject `main` of the watch `app`.
#[must_use]
pub fn cursors(n: u32) -> Cursors {
    Cursors {
        watch: watch("app"),
        subject: subject("main"),
        observed: mark(n + 4),
        attempted: Some(mark(n + 3)),
        delivered: Some(mark(n + 1)),
        manifests: Some(parse(&"b".repeat(64))),
        manifests_attempted: Some(sha(n + 9)),
        baseline: Some(sha(n + 8)),
        passed: Some(Passed { mark: mark(n + 2), reason: Reason::SkippedByMarker }),
        parked: Some(Box::new(Parked {
            mark: mark(n + 3),
            delivery: id(n),
            fingerprint: format!("fingerprint-{n}"),
            manifests: Some(sha(n + 9)),
            regardless_of_b: true,
            error: format!("namespace \"team-{n}\" not found"),
            again: Some(time(n + 6)),
        })),
        gone: Some(time(n + 5)),
        pull: None,
        approval: None,
    }
}

/// What can be kept of the watch `app`, its forge being unreachable.
#[must_use]
pub fn watch_state(n: u32) -> WatchState {
    WatchState {
        watch: watch("app"),
        repo: parse::<RepoUrl>("https://git.example/group/sub/app.git"),
        patterns: vec!["main".to_owned(), format!("release/{n}/*")],
        unreachable: Some(Outage {
            since: time(n),
            error: "git.example: connection refused".to_owned(),
            next: Some(time(n + 1)),
        }),
        pulls: None,
    }
}

/// A validator.
#[must_use]
pub fn validator(n: u32) -> Validator {
    Validator(format!("W/\"{n}\""))
}

/// A delivery of the watch `app` that is being applied: open, with every field set.
#[must_use]
pub fn open_delivery(n: u32) -> Delivery {
    Delivery { state: DeliveryState::Applying, finished: None, superseded_by: None, ..delivery(n) }
}

/// A delivery of the watch `app` that was superseded: final, with every field set.
#[must_use]
pub fn delivery(n: u32) -> Delivery {
    Delivery {
        id: id(n),
        watch: watch("app"),
        revision: revision(n),
        pull: None,
        commit: Some(commit_note()),
        asked: asked(n),
        state: DeliveryState::Superseded,
        started: time(n),
        finished: Some(time(n)),
        manifests: Some(Revision { subject: subject("main"), sha: sha(n + 7) }),
        intent: Some(Intent {
            manifests: Revision { subject: subject("main"), sha: sha(n + 7) },
            digest: "d".repeat(64),
            at: time(n),
        }),
        attempts: AttemptCounts { failures: 2, tries: 3, cut_off: 1 },
        next_attempt: Some(time(n + 60)),
        objects: vec![outcome(Action::Exists), outcome(Action::Failed)],
        runs: vec![run(RunState::Failed)],
        following_since: Some(time(n + 2)),
        verdict: Some(Verdict::Failure),
        passed: Some(Reason::NoRunMatched),
        steps: vec![StepTiming {
            step: "apply".to_owned(),
            started: time(n),
            took: Duration::new(1, 234_567_891),
        }],
        notes: vec!["ci.yaml:3: unknown variable {{ ünï }}".to_owned(), String::new()],
        detail: Some(ReportDetail::Reasons),
        remotes: vec![RemoteRecord {
            kind: RemoteKind::Task,
            place: "git-clone:0.9.0".to_owned(),
            sha256: "e".repeat(64),
        }],
        error: Some("line one\nline \"two\" 'x'; -- \u{1b}[31m".to_owned()),
        superseded_by: Some(sha(n + 1)),
        cancelled: None,
    }
}

/// What a commit says of itself, with every field set.
#[must_use]
pub fn commit_note() -> CommitNote {
    CommitNote {
        title: "Fix the \"total\" of an empty cart \u{202e}ünï".to_owned(),
        author: "ada".to_owned(),
        committed: Some(time(1)),
    }
}

/// A dry run that a person asked for, with every field set.
#[must_use]
pub fn asked(n: u32) -> Asked {
    Asked {
        cause: Cause::Manual,
        trigger: Some(trigger_id(n + 1000)),
        by: Some("ci-bot".to_owned()),
        repeats: Some(id(n + 500)),
        event: EventName::new("nightly"),
        only: Some("ci".to_owned()),
        dry_run: true,
    }
}

/// A run as a deployer names it.
#[must_use]
pub fn object() -> ObjectRef {
    ObjectRef {
        path: "runs/ci.yaml".to_owned(),
        document: 2,
        line: 14,
        api_version: "tekton.dev/v1".to_owned(),
        kind: "PipelineRun".to_owned(),
        namespace: Some("qa".to_owned()),
        name: "ci-0a1b2c3d-abcdefghijklmnop".to_owned(),
    }
}

/// A task of a run, with everything that is kept of one.
#[must_use]
pub fn task() -> TaskRecord {
    TaskRecord {
        task: "unit".to_owned(),
        run: Some("ci-0a1b2c3d-abcdefghijklmnop-unit".to_owned()),
        state: TaskState::Failed,
        started: Some(time(4)),
        completed: Some(time(8)),
        retries: 1,
        reason: Some("Failed".to_owned()),
        message: Some("step test: exit code 1".to_owned()),
        after: vec!["build".to_owned()],
        is_finally: false,
    }
}

/// A run that stands so.
#[must_use]
pub fn run(state: RunState) -> RunRecord {
    RunRecord {
        object: object(),
        state,
        reason: Some("PipelineRunTimeout".to_owned()),
        message: Some("task unit, step test: exit code 1".to_owned()),
        failure: Some(FailureClass::Timeout),
        started: Some(time(3)),
        completed: Some(time(9)),
        tasks: vec![task()],
        rules: RunRules { keep: Some(5), cancels_older: true },
        cancelled_by: (state == RunState::Cancelled).then(|| sha(8)),
    }
}

/// A selection of one run for an event of a person's own.
#[must_use]
pub fn selection() -> Selection {
    Selection { event: Some(EventName::new("nightly")), run: Some("ci".to_owned()) }
}

/// A status of the `n`th commit, still to be shown.
#[must_use]
pub fn report(n: u32) -> Report {
    Report {
        watch: watch("app"),
        status: CommitStatus {
            revision: revision(n),
            context: "sentry-gitops/app".to_owned(),
            state: StatusState::Failure,
            description: "1 of 2 runs failed: ci".to_owned(),
            link: Some("https://dash.example/run".to_owned()),
            delivery: Some(id(n)),
            subjects: vec![subject("main"), subject("release/1.4")],
        },
        at: time(n),
        sent: Some(StatusState::Pending),
        tries: 2,
        error: Some("hub: 502".to_owned()),
        given_up: false,
    }
}

/// A notice of the `n`th delivery of the watch `app`, with every field set.
#[must_use]
pub fn notice(n: u32) -> Notice {
    Notice {
        id: notice_id(n),
        at: time(n),
        route: Route::TestsFailed,
        occasion: Occasion::Failure,
        watch: watch("app"),
        repo: parse::<RepoUrl>("https://git.example/group/sub/app.git"),
        revision: revision(n),
        commit: Some(commit_note()),
        manifests: Some(sha(n + 7)),
        namespace: "qa".to_owned(),
        delivery: id(n + 100),
        cause: Cause::Change,
        asked_by: None,
        reason: Some("1 of 2 runs failed: ci <&> *bold* @channel".to_owned()),
        attempts: 1,
        runs: RunCounts { total: 2, succeeded: 1, failed: 1 },
        failed_runs: vec![FailedRun {
            name: "ci-0a1b2c3d-abcdefghijklmnop".to_owned(),
            reason: Some("task unit, step test: exit code 1".to_owned()),
        }],
        link: Some("https://dash.example/run?a=1&b=2".to_owned()),
    }
}

/// The `n`th notice as it waits for a receiver that failed twice.
#[must_use]
pub fn outgoing(receiver: &str, n: u32) -> Outgoing {
    let error = Some("qa-chat did not answer in time".to_owned());
    Outgoing { receiver: receiver.to_owned(), notice: notice(n), tries: 2, error }
}

/// What was told of the subject `main` of the watch `app`.
#[must_use]
pub fn trouble(n: u32) -> Trouble {
    let told = |started| Notified { sha: sha(n), reason: format!("reason {n}"), started };
    let (tests, start) = (Some(told(true)), Some(told(false)));
    Trouble { watch: watch("app"), subject: subject("main"), at: time(n), tests, start }
}

/// A run called `name` that the watch `app` put into its namespace.
#[must_use]
pub fn inventory(name: &str, n: u32) -> InventoryItem {
    InventoryItem {
        watch: watch("app"),
        subject: subject("main"),
        cluster: "prod/qa".to_owned(),
        object: ObjectRef { name: name.to_owned(), ..object() },
        run: true,
        limited: true,
        delivery: id(n),
        at: time(n),
    }
}

/// A run that an action happened to.
#[must_use]
pub fn outcome(action: Action) -> ObjectOutcome {
    ObjectOutcome {
        object: object(),
        run: true,
        action,
        reason: Some(format!("was {}", action.as_str())),
    }
}

/// A pending trigger for the branch `main` of the watch `app`, with a key of its own.
#[must_use]
pub fn trigger(n: u32) -> Trigger {
    Trigger {
        id: trigger_id(n),
        key: format!("key-{n}"),
        watch: watch("app"),
        kind: TriggerKind::Deliver {
            subject: subject("main"),
            sha: Some(sha(n)),
            selection: selection(),
        },
        cause: Cause::Webhook,
        by: Some("ci-bot".to_owned()),
        at: time(n),
        state: TriggerState::Pending,
    }
}

/// What was decided about the `n`th commit of `app`'s branch `main`.
#[must_use]
pub fn head(n: u32) -> HeadRecord {
    HeadRecord {
        watch: watch("app"),
        revision: revision(n),
        reason: Reason::SupersededBy(sha(n + 1)),
        at: time(n),
        delivery: Some(id(n)),
        detail: Some("a newer head came".to_owned()),
    }
}

/// A suspension of a watch with a reason and an end.
#[must_use]
pub fn suspension(name: &str, n: u32) -> Suspension {
    Suspension {
        watch: watch(name),
        reason: Some("cluster upgrade".to_owned()),
        since: time(n),
        until: Some(time(n + 3600)),
        by: Some("ada".to_owned()),
    }
}

/// The end of a suspension.
#[must_use]
pub fn resumption(name: &str) -> Resumption {
    Resumption { watch: watch(name), at: time(3600), by: Some("ben".to_owned()) }
}

/// An agent with one poll loop.
#[must_use]
pub fn agent(n: u32) -> AgentState {
    AgentState {
        holder: format!("pid {n} on host-a"),
        started: time(n),
        beat: time(n + 1),
        ended: n.is_multiple_of(2).then(|| time(n + 4)),
        loops: vec![LoopState {
            forge: "github".to_owned(),
            beat: time(n + 2),
            interval: Duration::from_millis(15_500),
            budget: Some(Budget { left: 4_999, limit: u64::MAX, reset: Some(time(n + 3)) }),
        }],
    }
}

/// One commit of many records that all hold `n`, which is not 0: several pages of a database.
#[must_use]
pub fn generation(n: u32) -> Vec<Write> {
    let notes = vec!["n".repeat(3000)];
    let mut writes = vec![
        Write::Cursors(Cursors { observed: mark(n), ..cursors(1) }),
        Write::Watch(watch_state(n)),
        Write::Agent(agent(n)),
        Write::Validator("n".into(), Some(validator(n))),
    ];
    for slot in 0..8 {
        let delivery = Delivery { id: id(slot), notes: notes.clone(), ..open_delivery(n) };
        writes.push(Write::Delivery(Box::new(delivery)));
    }
    writes
}

/// The one [`generation`] up to `last` that all records of an overview are of, 0 if there are none.
///
/// # Panics
/// If they are of several, or some are missing.
#[must_use]
#[track_caller]
pub fn generation_of(overview: &Overview, last: u32) -> u32 {
    let Some(kept) = &overview.agent else {
        assert_eq!(*overview, Overview::default(), "the first commit is torn");
        return 0;
    };
    let n = (1..=last).find(|n| agent(*n) == *kept).expect("an agent of a generation");
    let subject = &overview.subjects[0];
    assert_eq!(subject.cursors.observed, mark(n), "torn");
    assert_eq!(overview.watches[0].state, Some(watch_state(n)), "torn");
    assert_eq!(subject.open.len(), 8, "torn");
    assert!(subject.open.iter().all(|d| d.revision == revision(n)), "torn");
    n
}
