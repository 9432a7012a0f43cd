//! The stored form of each record, field by field. A field that the engine's record gains does not compile here
//! until it was decided how it is stored.

mod approval;
pub(super) mod brief;
mod reason;
mod trigger;

use std::collections::BTreeSet;
use std::time::Duration;

use sentry_core::ids::{DeliveryId, NoticeId, TriggerId};
use sentry_core::names::WatchName;
use sentry_core::pull::PullNumber;
use sentry_core::repo::{BranchName, CommitSha, RepoUrl};
use sentry_core::{
    cursor, delivery, forge, notifier, plan, pull, remote, revision, store, subscription, watch,
};
use serde::{Deserialize, Serialize};

use self::approval::Approval;
use self::reason::Reason;
use self::trigger::{TriggerKind, TriggerState};
use super::values::{Event, Reference, Stamp, Text, Word};
use super::{DtoError, Mirror, Record, decode, decode_after, encode, older};

/// A struct whose fields are named as those of the record it mirrors.
macro_rules! mirrors {
    ($($name:ident of $record:path { $($(#[$how:meta])* $field:ident: $kind:ty,)* })*) => {
        $(
            #[derive(Serialize, Deserialize)]
            struct $name { $($(#[$how])* $field: $kind,)* }

            impl Mirror<$record> for $name {
                fn of(value: $record) -> Self {
                    let $record { $($field,)* } = value;
                    Self { $($field: Mirror::of($field),)* }
                }

                fn back(self) -> $record {
                    $record { $($field: self.$field.back(),)* }
                }
            }
        )*
    };
}

macro_rules! records {
    ($($record:path as $name:ident),* $(,)?) => {
        $(impl Record for $record {
            fn encode(&self) -> Result<String, DtoError> {
                encode::<Self, $name>(self)
            }

            fn decode(version: u32, json: &str) -> Result<Self, DtoError> {
                decode::<Self, $name>(version, json)
            }
        })*
    };
}

impl Record for cursor::Cursors {
    fn encode(&self) -> Result<String, DtoError> {
        encode::<Self, Cursors>(self)
    }

    fn decode(version: u32, json: &str) -> Result<Self, DtoError> {
        let mut state = decode::<Self, Cursors>(version, json)?;
        // Before the field was there, a baseline was known as long as no other head was let pass.
        let passed = state.passed.as_ref().filter(|p| p.reason == delivery::Reason::Baseline);
        state.baseline = state.baseline.or_else(|| passed.map(|passed| passed.mark.sha.clone()));
        Ok(state)
    }
}

records! {
    store::WatchState as Watch,
    delivery::Trigger as Trigger,
    delivery::HeadRecord as Head,
    store::Outgoing as Outgoing,
    store::Trouble as Trouble,
    store::InventoryItem as Inventory,
    store::Suspension as Suspension,
    store::Act as Act,
    store::AgentState as Agent,
    plan::ObjectOutcome as Outcome,
    delivery::RunRecord as Run,
    delivery::StepTiming as Step,
}

/// Of a run that was put somewhere before this was kept, it is not known: nothing is forgotten that is to be deleted.
fn unknown() -> bool {
    true
}

impl Record for delivery::Delivery {
    fn encode(&self) -> Result<String, DtoError> {
        encode::<Self, Delivery>(self)
    }

    fn decode(version: u32, json: &str) -> Result<Self, DtoError> {
        let mut delivery = decode_after::<Self, Delivery>(version, json, older::of_events)?;
        if version < 3 {
            forward(&mut delivery);
        }
        Ok(delivery)
    }
}

/// Up to version 2 a delivery without a run had succeeded, and B's commit was kept of what was begun alone.
fn forward(delivery: &mut delivery::Delivery) {
    let begun = delivery.intent.as_ref().map(|intent| intent.manifests.clone());
    delivery.manifests = delivery.manifests.take().or(begun);
    if delivery.state != delivery::DeliveryState::Succeeded || delivery.asked.dry_run {
        return;
    }
    if delivery.passed.is_none() && !delivery.objects.iter().any(|object| object.run) {
        delivery.passed = Some(delivery::Reason::OnlyObjects);
    }
    if delivery.passed.is_some() {
        delivery.state = delivery::DeliveryState::NothingRan;
    }
}

impl Record for store::Report {
    fn encode(&self) -> Result<String, DtoError> {
        encode::<Self, Report>(self)
    }

    /// Up to version 2 a status spoke for one branch.
    fn decode(version: u32, json: &str) -> Result<Self, DtoError> {
        let mut report = decode::<Self, Report>(version, json)?;
        let status = &mut report.status;
        if status.subjects.is_empty() {
            status.subjects.push(status.revision.subject.clone());
        }
        Ok(report)
    }
}

mirrors! {
    Mark of cursor::Mark {
        sha: Text<CommitSha>,
        at: Stamp,
    }
    Passed of cursor::Passed {
        mark: Mark,
        reason: Reason,
    }
    Parked of cursor::Parked {
        mark: Mark,
        delivery: Text<DeliveryId>,
        fingerprint: String,
        manifests: Option<Text<CommitSha>>,
        #[serde(default)]
        regardless_of_b: bool,
        error: String,
        again: Option<Stamp>,
    }
    Cursors of cursor::Cursors {
        watch: Text<WatchName>,
        subject: Reference,
        observed: Mark,
        attempted: Option<Mark>,
        delivered: Option<Mark>,
        manifests: Option<Text<CommitSha>>,
        #[serde(default)]
        manifests_attempted: Option<Text<CommitSha>>,
        baseline: Option<Text<CommitSha>>,
        passed: Option<Passed>,
        parked: Option<Box<Parked>>,
        gone: Option<Stamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pull: Option<Box<Pull>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<Box<Approval>>,
    }
    Pull of pull::PullRequest {
        number: Text<PullNumber>,
        title: String,
        author: String,
        is_draft: bool,
        labels: BTreeSet<String>,
        head: Text<CommitSha>,
        source_branch: Text<BranchName>,
        target_branch: Text<BranchName>,
        is_fork: bool,
    }
    Watch of store::WatchState {
        watch: Text<WatchName>,
        repo: Text<RepoUrl>,
        patterns: Vec<String>,
        unreachable: Option<Outage>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pulls: Option<String>,
    }
    Outage of store::Outage {
        since: Stamp,
        error: String,
        next: Option<Stamp>,
    }
    Revision of revision::Revision {
        subject: Reference,
        sha: Text<CommitSha>,
    }
    Intent of delivery::Intent {
        manifests: Revision,
        digest: String,
        at: Stamp,
    }
    Step of delivery::StepTiming {
        step: String,
        started: Stamp,
        took: Duration,
    }
    Object of plan::ObjectRef {
        path: String,
        document: usize,
        line: usize,
        api_version: String,
        kind: String,
        namespace: Option<String>,
        name: String,
    }
    Rules of plan::RunRules {
        keep: Option<u32>,
        cancels_older: bool,
    }
    Task of delivery::TaskRecord {
        task: String,
        run: Option<String>,
        state: Word<delivery::TaskState>,
        started: Option<Stamp>,
        completed: Option<Stamp>,
        retries: u32,
        reason: Option<String>,
        message: Option<String>,
        after: Vec<String>,
        is_finally: bool,
    }
    Run of delivery::RunRecord {
        object: Object,
        state: Word<delivery::RunState>,
        reason: Option<String>,
        message: Option<String>,
        #[serde(default)]
        failure: Option<Word<delivery::FailureClass>>,
        #[serde(default)]
        started: Option<Stamp>,
        completed: Option<Stamp>,
        #[serde(default)]
        tasks: Vec<Task>,
        rules: Rules,
        cancelled_by: Option<Text<CommitSha>>,
    }
    Status of forge::CommitStatus {
        revision: Revision,
        context: String,
        state: Word<forge::StatusState>,
        description: String,
        link: Option<String>,
        delivery: Option<Text<DeliveryId>>,
        #[serde(default)]
        subjects: Vec<Reference>,
    }
    Report of store::Report {
        watch: Text<WatchName>,
        status: Status,
        at: Stamp,
        sent: Option<Word<forge::StatusState>>,
        tries: u32,
        error: Option<String>,
        given_up: bool,
    }
    RunCounts of notifier::RunCounts {
        total: u32,
        succeeded: u32,
        failed: u32,
    }
    FailedRun of notifier::FailedRun {
        name: String,
        reason: Option<String>,
    }
    Notice of notifier::Notice {
        id: Text<NoticeId>,
        at: Stamp,
        route: Word<subscription::Route>,
        occasion: Word<subscription::Occasion>,
        watch: Text<WatchName>,
        repo: Text<RepoUrl>,
        revision: Revision,
        commit: Option<CommitNote>,
        manifests: Option<Text<CommitSha>>,
        namespace: String,
        delivery: Text<DeliveryId>,
        cause: Word<delivery::Cause>,
        asked_by: Option<String>,
        reason: Option<String>,
        attempts: u32,
        runs: RunCounts,
        failed_runs: Vec<FailedRun>,
        link: Option<String>,
    }
    Outgoing of store::Outgoing {
        receiver: String,
        notice: Notice,
        tries: u32,
        error: Option<String>,
    }
    Notified of store::Notified {
        sha: Text<CommitSha>,
        reason: String,
        started: bool,
    }
    Trouble of store::Trouble {
        watch: Text<WatchName>,
        subject: Reference,
        at: Stamp,
        tests: Option<Notified>,
        start: Option<Notified>,
    }
    Inventory of store::InventoryItem {
        watch: Text<WatchName>,
        subject: Reference,
        cluster: String,
        object: Object,
        run: bool,
        #[serde(default = "unknown")]
        limited: bool,
        delivery: Text<DeliveryId>,
        at: Stamp,
    }
    Outcome of plan::ObjectOutcome {
        object: Object,
        run: bool,
        action: Word<plan::Action>,
        reason: Option<String>,
    }
    AttemptCounts of delivery::AttemptCounts {
        failures: u32,
        tries: u32,
        #[serde(default)]
        cut_off: u32,
    }
    CommitNote of delivery::CommitNote {
        title: String,
        author: String,
        committed: Option<Stamp>,
    }
    Asked of delivery::Asked {
        cause: Word<delivery::Cause>,
        trigger: Option<Text<TriggerId>>,
        by: Option<String>,
        repeats: Option<Text<DeliveryId>>,
        event: Event,
        only: Option<String>,
        dry_run: bool,
    }
    Delivery of delivery::Delivery {
        id: Text<DeliveryId>,
        watch: Text<WatchName>,
        revision: Revision,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pull: Option<Box<Pull>>,
        commit: Option<CommitNote>,
        #[serde(flatten)]
        asked: Asked,
        state: Word<delivery::DeliveryState>,
        started: Stamp,
        finished: Option<Stamp>,
        manifests: Option<Revision>,
        intent: Option<Intent>,
        #[serde(flatten)]
        attempts: AttemptCounts,
        next_attempt: Option<Stamp>,
        objects: Vec<Outcome>,
        #[serde(default)]
        runs: Vec<Run>,
        following_since: Option<Stamp>,
        verdict: Option<Word<delivery::Verdict>>,
        passed: Option<Reason>,
        steps: Vec<Step>,
        notes: Vec<String>,
        #[serde(default)]
        detail: Option<Word<watch::ReportDetail>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remotes: Vec<Elsewhere>,
        error: Option<String>,
        superseded_by: Option<Text<CommitSha>>,
        #[serde(default)]
        cancelled: Option<Cancellation>,
    }
    Elsewhere of remote::RemoteRecord {
        kind: Word<remote::RemoteKind>,
        place: String,
        sha256: String,
    }
    Cancellation of delivery::Cancellation {
        by: Option<String>,
        at: Stamp,
    }
    Trigger of delivery::Trigger {
        id: Text<TriggerId>,
        key: String,
        watch: Text<WatchName>,
        kind: TriggerKind,
        cause: Word<delivery::Cause>,
        by: Option<String>,
        at: Stamp,
        state: TriggerState,
    }
    Head of delivery::HeadRecord {
        watch: Text<WatchName>,
        revision: Revision,
        reason: Reason,
        at: Stamp,
        delivery: Option<Text<DeliveryId>>,
        detail: Option<String>,
    }
    Suspension of store::Suspension {
        watch: Text<WatchName>,
        reason: Option<String>,
        since: Stamp,
        until: Option<Stamp>,
        by: Option<String>,
    }
    Act of store::Act {
        at: Stamp,
        by: Option<String>,
        kind: Word<store::ActKind>,
        watch: Text<WatchName>,
        subject: Option<Reference>,
        revision: Option<Text<CommitSha>>,
        delivery: Option<Text<DeliveryId>>,
        trigger: Option<Text<TriggerId>>,
        detail: Option<String>,
    }
    Agent of store::AgentState {
        holder: String,
        started: Stamp,
        beat: Stamp,
        #[serde(default)]
        ended: Option<Stamp>,
        loops: Vec<Loop>,
    }
    Loop of store::LoopState {
        forge: String,
        beat: Stamp,
        interval: Duration,
        budget: Option<Budget>,
    }
    Budget of forge::Budget {
        left: u64,
        limit: u64,
        reset: Option<Stamp>,
    }
}
