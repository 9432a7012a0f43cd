//! The answers and requests of [`Local`] over a real store.

use std::sync::Arc;

use sentry_api::query::{AuditQuery, ExplainQuery, HistoryQuery, StatusQuery, WhyQuery};
use sentry_api::shape::{ApproveRequest, RerunRequest, Status, SuspendRequest, TriggerRequest};
use sentry_api::words::{ReasonKind, TriggerStateKind};
use sentry_api::{Answers, Asker, ErrorKind, Local, WatchFacts};
use sentry_core::approval::{Approval, Approved};
use sentry_core::clock::{Clock, Timestamp};
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{
    Asked, Delivery, DeliveryState, HeadRecord, Reason, RunRecord, RunState, TriggerKind, Verdict,
};
use sentry_core::plan::Action;
use sentry_core::pull::{PullNumber, PullRequest};
use sentry_core::revision::Revision;
use sentry_core::store::{Hold, Inbox as _, Write};
use sentry_core::subject::EventName;
use sentry_core::testing::sample;
use sentry_core::watch::BranchSelector;
use sentry_store::MemoryStore;

/// Stands still: answers tell ages, and are compared.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    /// Some minutes after what the samples tell of.
    fn now(&self) -> Timestamp {
        sample::time(600)
    }
}

fn facts(name: &str, branches: &[&str]) -> WatchFacts {
    let branches = BranchSelector::new(branches.iter().copied()).expect("patterns");
    WatchFacts { name: sample::watch(name), subjects: branches.into(), has_statuses: true }
}

async fn local(writes: &[Write]) -> (Arc<MemoryStore>, Local) {
    let store = Arc::new(MemoryStore::new());
    sentry_core::testing::commit(store.as_ref(), writes).await.expect("memory takes all");
    let local = Local::new(store.clone(), vec![facts("app", &["main"]), facts("web", &["v*"])]);
    (store, local.with_clock(Arc::new(Standing)))
}

fn delivery(state: DeliveryState) -> Write {
    Write::Delivery(Box::new(Delivery { state, verdict: None, ..sample::delivery(1) }))
}

fn on(watch: &str) -> TriggerRequest {
    TriggerRequest { watch: Some(watch.into()), ..TriggerRequest::default() }
}

#[tokio::test]
async fn a_trigger_is_kept_once_per_key_and_tells_where_it_stands() {
    let (store, local) = local(&[]).await;
    let request = TriggerRequest { event: Some("nightly".into()), ..on("app") };
    let first = local.trigger(&request, Asker { by: Some("ada"), key: Some("k") }).await.unwrap();
    assert_eq!((first.state, first.delivery.as_deref()), (TriggerStateKind::Pending.into(), None));
    let again = local.trigger(&request, Asker { by: Some("ada"), key: Some("k") }).await.unwrap();
    assert_eq!(again, first, "the same key made another trigger");
    assert_ne!(local.trigger(&request, Asker::default()).await.unwrap().trigger, first.trigger);
    let kept = store.trigger(&first.trigger.parse().unwrap()).await.unwrap().unwrap();
    let TriggerKind::Deliver { subject, selection, .. } = kept.kind else { panic!("{kept:?}") };
    assert_eq!(kept.by.as_deref(), Some("ada"));
    assert_eq!((subject.name(), selection.event.unwrap().as_str()), ("main", "nightly"));
    assert_eq!(local.trigger_state(&first.trigger).await.unwrap(), first);
}

#[tokio::test]
async fn what_can_not_be_triggered_is_refused_with_its_kind_and_nothing_is_kept() {
    let (store, local) = local(&[]).await;
    let branch = |watch, branch: &str| TriggerRequest { branch: Some(branch.into()), ..on(watch) };
    for (request, key, kind) in [
        (TriggerRequest::default(), None, ErrorKind::Ambiguous),
        (on("nope"), None, ErrorKind::UnknownWatch),
        (on("No Name"), None, ErrorKind::BadRequest),
        (on("web"), None, ErrorKind::Ambiguous),
        (branch("app", "other"), None, ErrorKind::UnknownBranch),
        (
            TriggerRequest { revision: Some("1a2b".into()), ..on("app") },
            None,
            ErrorKind::BadRequest,
        ),
        (TriggerRequest { event: Some(String::new()), ..on("app") }, None, ErrorKind::BadRequest),
        (on("app"), Some(""), ErrorKind::BadRequest),
    ] {
        let error = local.trigger(&request, Asker { by: None, key }).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{request:?}: {error}");
    }
    assert!(store.requests().await.unwrap().triggers.is_empty());
    local.trigger(&branch("web", "v1"), Asker::default()).await.unwrap();
}

#[tokio::test]
async fn only_what_ended_badly_is_retried_and_only_what_ended_is_rerun() {
    let (_, local) = self::local(&[delivery(DeliveryState::Applying)]).await;
    let id = sample::id(1).to_string();
    let rerun = RerunRequest { failed: true };
    assert_eq!(local.retry(&id, Asker::default()).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(
        local.rerun(&id, &rerun, Asker::default()).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    let unknown = local.retry("zzzz", Asker::default()).await.unwrap_err();
    assert_eq!(
        (unknown.kind(), unknown.kind().http_status()),
        (ErrorKind::UnknownDelivery.into(), 404)
    );
    let (store, local) = self::local(&[delivery(DeliveryState::Parked)]).await;
    local.retry(&id[..20], Asker::default()).await.unwrap();
    local.rerun(&id, &rerun, Asker::default()).await.unwrap();
    local.cancel(&id, Asker::default()).await.unwrap();
    let kinds: Vec<_> =
        store.requests().await.unwrap().triggers.into_iter().map(|t| t.kind).collect();
    assert!(kinds.contains(&TriggerKind::Retry(sample::id(1))), "{kinds:?}");
    let again = TriggerKind::Rerun { delivery: sample::id(1), failed_only: true };
    assert!(kinds.contains(&again), "{kinds:?}");
    assert!(kinds.contains(&TriggerKind::Cancel(sample::id(1))), "{kinds:?}");
}

#[tokio::test]
async fn what_may_still_go_on_can_be_cancelled_and_what_has_ended_is_a_conflict_that_says_how() {
    use DeliveryState as S;
    let id = sample::id(1).to_string();
    for state in [S::Pending, S::Fetching, S::Checking, S::Applying, S::Following, S::Parked] {
        let (_, local) = self::local(&[delivery(state)]).await;
        local.cancel(&id, Asker::default()).await.unwrap();
    }
    for state in [S::Succeeded, S::NothingRan, S::Failed, S::Superseded, S::Cancelled] {
        let (store, local) = self::local(&[delivery(state)]).await;
        let error = local.cancel(&id, Asker::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().ends_with(&format!("has ended: {}", state.as_str())), "{error}");
        assert_eq!(store.requests().await.unwrap().triggers.len(), 0);
    }
}

/// A fork's pull request whose head is the first commit, as it waits or after it was approved.
fn strange(approval: Option<Approval>) -> Cursors {
    let number = 12;
    let pull = PullRequest { is_fork: true, ..sample::pull(number) };
    let (watch, head) = (sample::watch("app"), sample::mark(1));
    let state = Cursors::first_seen(watch, pull.number.clone().into(), head);
    Cursors { pull: Some(Box::new(pull)), approval: approval.map(Box::new), ..state }
}

#[tokio::test]
async fn a_head_of_a_fork_is_approved_as_it_was_looked_at_or_not_at_all() {
    let head = sample::sha(1).to_string();
    let on = |revision: &str, base: Option<&str>| ApproveRequest {
        revision: revision.to_owned(),
        base: base.map(str::to_owned),
    };
    let (store, local) = local(&[Write::Cursors(strange(Some(Approval::Needed)))]).await;
    let other = sample::sha(2).to_string();
    for (watch, number, request, kind, part) in [
        ("nope", "12", on(&head, None), ErrorKind::UnknownWatch, "no watch nope"),
        ("app", "x", on(&head, None), ErrorKind::BadRequest, "`number` can't be read"),
        ("app", "12", on("1a2b", None), ErrorKind::BadRequest, "`revision` can't be read"),
        ("app", "12", on("", None), ErrorKind::BadRequest, "`revision` can't be read"),
        ("app", "12", on(&head, Some("a b")), ErrorKind::BadRequest, "`base` can't be read"),
        ("app", "13", on(&head, None), ErrorKind::UnknownBranch, "no pull request 13"),
        ("app", "13", on(&head, Some("main")), ErrorKind::Conflict, "was not seen"),
        ("app", "12", on(&other, None), ErrorKind::Conflict, &head),
        ("app", "12", on(&head, Some("dev")), ErrorKind::Conflict, "into main, not into dev"),
    ] {
        let error = local.approve(watch, number, &request, Asker::default()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{watch} {number} {request:?}: {error}");
        assert!(error.to_string().contains(part), "{watch} {number} {request:?}: {error}");
    }
    assert!(store.requests().await.unwrap().triggers.is_empty());
    let asker = Asker { by: Some("ada"), key: Some("k") };
    let kept = local.approve("app", "12", &on(&head, None), asker).await.unwrap();
    assert_eq!(local.approve("app", "12", &on(&head, None), asker).await.unwrap(), kept);
    let requests = store.requests().await.unwrap().triggers;
    let base = sample::parse("main");
    let kind = TriggerKind::Approve { number: 12.into(), sha: sample::sha(1), base };
    assert_eq!(requests.iter().map(|it| &it.kind).collect::<Vec<_>>(), [&kind]);
    let acts = local.audit(&AuditQuery::default()).await.unwrap().acts;
    let act = &acts[0];
    assert_eq!((acts.len(), act.act.as_str(), act.by.as_deref()), (1, "approve", Some("ada")));
    let said = (act.branch.as_deref(), act.revision.as_deref(), act.detail.as_deref());
    assert_eq!(said, (Some("refs/pull/12"), Some(&*head), Some("into main")));
}

#[tokio::test]
async fn status_and_why_say_what_waits_for_an_approval_and_who_gave_it() {
    let given = Approved {
        head: sample::sha(1),
        base: sample::parse("main"),
        by: Some("ada".to_owned()),
        at: sample::time(5),
        delivery: sample::id(1),
    };
    let record = HeadRecord {
        watch: sample::watch("app"),
        revision: Revision { subject: PullNumber::from(12).into(), sha: sample::sha(1) },
        reason: Reason::WaitsForApproval,
        delivery: None,
        detail: None,
        ..sample::head(1)
    };
    for (approval, state, by) in [
        (Some(Approval::Needed), "waits_for_approval", None),
        (Some(Approval::Given(given.clone())), "pending", Some("ada")),
        (
            Some(Approval::Given(Approved { head: sample::sha(2), ..given.clone() })),
            "waits_for_approval",
            None,
        ),
        (
            Some(Approval::Given(Approved { base: sample::parse("dev"), ..given })),
            "waits_for_approval",
            None,
        ),
        (None, "pending", None),
    ] {
        let waits = state == "waits_for_approval";
        let writes = [Write::Cursors(strange(approval)), Write::Head(record.clone())];
        let (_, local) = local(&writes).await;
        let status = local.status(&StatusQuery::default()).await.unwrap();
        let all = status.watches.iter().flat_map(|watch| &watch.branches);
        let branch = all.last().unwrap();
        let pull = branch.pull_request.as_ref().unwrap();
        assert_eq!((branch.state.as_str(), pull.unapproved, pull.fork), (state, waits, true));
        assert_eq!(pull.approved.as_ref().and_then(|it| it.by.as_deref()), by);
        let why = local.why(sample::sha(1).as_str(), &WhyQuery::default()).await.unwrap();
        let answer = &why.answers[0];
        assert_eq!(answer.reason, ReasonKind::WaitsForApproval, "as it is recorded");
        let command = format!("sentry approve app 12 --revision {} --base main`", sample::sha(1));
        assert!(answer.next_step.contains(&command), "{}", answer.next_step);
    }
}

#[tokio::test]
async fn a_suspension_is_told_until_it_ends() {
    let (_, local) = local(&[]).await;
    let request = SuspendRequest { reason: Some("holiday".into()), for_seconds: Some(60) };
    let done = local.suspend("app", &request, Some("ada")).await.unwrap();
    assert!(done.suspended && !done.was_suspended && done.until.is_some());
    let status = local.status(&StatusQuery::default()).await.unwrap();
    assert!(status.watches[0].suspended && !status.watches[1].suspended);
    let reason = status.watches[0].suspension.as_ref().and_then(|s| s.reason.clone());
    assert_eq!(reason.as_deref(), Some("holiday"));
    let done = local.resume("app", Some("ben")).await.unwrap();
    assert!(!done.suspended && done.was_suspended);
    assert_eq!(local.resume("nope", None).await.unwrap_err().kind(), ErrorKind::UnknownWatch);
    let never = SuspendRequest { for_seconds: Some(0), ..SuspendRequest::default() };
    assert_eq!(local.suspend("app", &never, None).await.unwrap_err().kind(), ErrorKind::BadRequest);
}

#[tokio::test]
async fn every_request_that_was_taken_is_in_the_audit_log_with_its_askers_name_and_no_other() {
    let failed = Delivery { state: DeliveryState::Failed, verdict: None, ..sample::delivery(1) };
    let (_, local) = local(&[Write::Delivery(Box::new(failed))]).await;
    let (id, suspend) = (sample::id(1).to_string(), SuspendRequest::default());
    let by = |name, key| Asker { by: Some(name), key };
    let event = Some("nightly".to_owned());
    let nightly = TriggerRequest { event, ..on("app") };
    for _ in 0..2 {
        local.trigger(&nightly, by("bot", Some("push-1"))).await.unwrap();
    }
    local.retry(&id, by("ada", None)).await.unwrap();
    local.rerun(&id, &RerunRequest { failed: true }, by("ben", None)).await.unwrap();
    local.suspend("web", &suspend, Some("ada")).await.unwrap();
    local.resume("web", None).await.unwrap();
    local.retry("0000", by("eve", None)).await.unwrap_err();
    local.suspend("nope", &suspend, Some("eve")).await.unwrap_err();

    let ask = |query: AuditQuery| {
        let local = &local;
        async move {
            let audit = local.audit(&query).await.unwrap();
            let told = audit.acts.iter().map(|act| {
                let by = act.by.as_deref().unwrap_or("-");
                let detail = act.detail.as_deref().unwrap_or("-");
                format!("{by} {} {} {detail}", act.act, act.watch)
            });
            (told.collect::<Vec<_>>(), audit.next)
        }
    };
    let all = [
        "- resume web -",
        "ada suspend web -",
        "ben rerun app only what failed",
        "ada retry app -",
        "bot trigger app event nightly",
    ];
    assert_eq!(ask(AuditQuery::default()).await.0, all);
    let web = AuditQuery { watch: Some("web".into()), ..AuditQuery::default() };
    assert_eq!(ask(web).await.0, all[..2]);
    let ada = AuditQuery { by: Some("ada".into()), limit: Some(1), ..AuditQuery::default() };
    let (first, next) = ask(ada.clone()).await;
    let (second, last) = ask(AuditQuery { before: next, ..ada }).await;
    assert_eq!((first[0].as_str(), second[0].as_str(), last), (all[1], all[3], None));
}

#[tokio::test]
async fn the_status_tells_all_that_people_are_told_and_reads_back() {
    let (store, local) = local(&[
        Write::Watch(sample::watch_state(1)),
        Write::Cursors(sample::cursors(1)),
        Write::Agent(sample::agent(1)),
        Write::Report(sample::report(1)),
        Write::Delivery(Box::new(Delivery {
            state: DeliveryState::Following,
            objects: vec![sample::outcome(Action::Queued)],
            ..sample::delivery(1)
        })),
    ])
    .await;
    store.hold(&Hold::Suspend(sample::suspension("app", 1))).await.unwrap();
    local.trigger(&on("app"), Asker::default()).await.unwrap();
    let status = local
        .status(&StatusQuery { watch: Some("app".into()), ..StatusQuery::default() })
        .await
        .unwrap();
    let app = &status.watches[0];
    assert_eq!((status.watches.len(), app.waiting_triggers), (1, 1));
    assert!(app.unreachable.is_some() && app.reporting.is_some(), "{app:?}");
    assert_eq!(status.queue[0].runs, 1);
    let agent = status.agent.as_ref().unwrap();
    assert!(!agent.healthy && !agent.forges.is_empty(), "{agent:?}");
    assert_eq!(local.agent().await.unwrap().as_ref(), Some(agent));
    let json = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
}

#[tokio::test]
async fn every_question_names_what_it_does_not_know() {
    let (_, local) = local(&[]).await;
    let nope = || Some("nope".to_owned());
    let status =
        local.status(&StatusQuery { watch: nope(), ..StatusQuery::default() }).await.unwrap_err();
    let why = local.why("abcdef1", &WhyQuery { watch: nope() }).await.unwrap_err();
    let unknown = ErrorKind::UnknownWatch.into();
    assert_eq!((status.kind(), why.kind()), (unknown, unknown));
    assert_eq!(status.hint(), Some("the watches are app, web"));
    let why = local.why("main", &WhyQuery::default()).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::BadRequest);
    let why = local.why("ABCDEF1", &WhyQuery::default()).await.unwrap();
    assert_eq!(
        (why.commit.as_str(), why.answers[0].reason),
        ("abcdef1", ReasonKind::NotSeen.into())
    );
    let show = local.show(sample::id(9).as_str()).await.unwrap_err();
    assert_eq!(show.kind(), ErrorKind::UnknownDelivery);
    let state = local.trigger_state(sample::id(9).as_str()).await.unwrap_err();
    assert_eq!(state.kind(), ErrorKind::UnknownTrigger);
    assert!(local.history(&HistoryQuery::default()).await.unwrap().deliveries.is_empty());
    let explain = local.explain(&ExplainQuery::default()).await.unwrap_err();
    assert_eq!(explain.kind(), ErrorKind::Setup);
}

#[tokio::test]
async fn a_history_is_filtered_and_told_page_by_page_to_its_end() {
    let of = |n: u32| {
        let states = [DeliveryState::Failed, DeliveryState::Succeeded, DeliveryState::Parked];
        let mut delivery = Delivery { state: states[n as usize % 3], ..sample::delivery(n) };
        delivery.revision.subject = sample::subject(["main", "pay/1"][n as usize % 2]);
        Write::Delivery(Box::new(delivery))
    };
    let (_, local) = self::local(&(1..=9).map(of).collect::<Vec<_>>()).await;
    let all = async |query: HistoryQuery| {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = HistoryQuery { before, limit: Some(2), ..query.clone() };
            let history = local.history(&page).await.unwrap();
            assert!(history.deliveries.len() <= 2);
            found.extend(history.deliveries.iter().map(|d| d.id.clone()));
            before = history.next;
            if before.is_none() {
                break found;
            }
        }
    };
    let ids =
        |numbers: &[u32]| numbers.iter().map(|n| sample::id(*n).to_string()).collect::<Vec<_>>();
    let text = |text: &str| Some(text.to_owned());
    let none = HistoryQuery::default;
    assert_eq!(all(none()).await, ids(&[9, 8, 7, 6, 5, 4, 3, 2, 1]));
    let at = |n: u32| Some(sample::time(n).to_string());
    for (query, found) in [
        (HistoryQuery { branch: text("pay/1"), ..none() }, ids(&[9, 7, 5, 3, 1])),
        (HistoryQuery { state: text("failed"), ..none() }, ids(&[9, 6, 3])),
        (HistoryQuery { failed: true, ..none() }, ids(&[9, 8, 6, 5, 3, 2])),
        (HistoryQuery { state: text("failed,succeeded"), ..none() }, ids(&[9, 7, 6, 4, 3, 1])),
        (HistoryQuery { q: text("PAY/"), failed: true, ..none() }, ids(&[9, 5, 3])),
        (HistoryQuery { author: text("ada"), since: at(4), until: at(6), ..none() }, ids(&[5, 4])),
        (HistoryQuery { author: text("eve"), ..none() }, ids(&[])),
    ] {
        assert_eq!(all(query.clone()).await, found, "{query:?}");
    }
    for wrong in [
        HistoryQuery { state: text("done"), ..none() },
        HistoryQuery { since: text("yesterday"), ..none() },
        HistoryQuery { before: text("01hf"), ..none() },
        HistoryQuery { author: text(""), ..none() },
    ] {
        let error = local.history(&wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadRequest, "{wrong:?}");
    }
    let short = HistoryQuery { q: text("pa"), ..none() };
    assert_eq!(local.history(&short).await.unwrap_err().kind(), ErrorKind::Ambiguous);
}

#[tokio::test]
async fn a_status_is_that_of_the_branches_that_are_asked_for_page_by_page() {
    use sentry_core::cursor::Cursors;

    let seen = |watch, branch| {
        let (watch, subject) = (sample::watch(watch), sample::subject(branch));
        Write::Cursors(Cursors::first_seen(watch, subject, sample::mark(1)))
    };
    let branches = [("app", "fix/pay"), ("app", "main"), ("web", "main"), ("web", "v1")];
    let (_, local) = self::local(&branches.map(|(watch, branch)| seen(watch, branch))).await;
    let all = async |query: StatusQuery| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = StatusQuery { after, limit: Some(1), ..query.clone() };
            let status = local.status(&page).await.unwrap();
            for watch in &status.watches {
                let names = watch.branches.iter().map(|b| format!("{}/{}", watch.name, b.branch));
                found.extend(names);
            }
            after = status.next;
            if after.is_none() {
                break found;
            }
        }
    };
    let text = |text: &str| Some(text.to_owned());
    let none = StatusQuery::default;
    let every = ["app/fix/pay", "app/main", "web/main", "web/v1"];
    for (query, found) in [
        (none(), every.as_slice()),
        (StatusQuery { watch: text("web"), ..none() }, &every[2..]),
        (StatusQuery { branch: text("main"), ..none() }, &every[1..3]),
        (StatusQuery { branch: text("main"), watch: text("web"), ..none() }, &every[2..3]),
        (StatusQuery { q: text("PAY"), ..none() }, &every[..1]),
        (StatusQuery { q: text("we"), ..none() }, &every[2..]),
        (StatusQuery { state: text("pending,baseline"), ..none() }, &every),
        (StatusQuery { state: text("parked"), ..none() }, &[]),
    ] {
        assert_eq!(all(query.clone()).await, found, "{query:?}");
    }
    let whole = local.status(&none()).await.unwrap();
    assert_eq!((whole.watches.len(), whole.next), (2, None));
    let wrong = StatusQuery { state: text("fine"), ..none() };
    assert_eq!(local.status(&wrong).await.unwrap_err().kind(), ErrorKind::BadRequest);
}

#[tokio::test]
async fn a_delivery_is_shown_with_what_came_before_and_beside_it() {
    let of = |n: u32, sha: u32, seconds: u32| {
        let run = RunRecord {
            started: Some(sample::time(1)),
            completed: Some(sample::time(1 + seconds)),
            ..sample::run(RunState::Succeeded)
        };
        let asked = Asked { dry_run: false, ..sample::asked(n) };
        let (revision, state) = (sample::revision(sha), DeliveryState::Succeeded);
        let (runs, objects) = (vec![run], vec![sample::outcome(Action::Created)]);
        Delivery { asked, revision, state, runs, objects, ..sample::delivery(n) }
    };
    let superseded = Delivery { state: DeliveryState::Superseded, verdict: None, ..of(5, 8, 400) };
    let all = [of(1, 1, 60), of(2, 2, 70), of(3, 3, 90), of(4, 9, 300), superseded, of(6, 9, 80)];
    let writes: Vec<Write> =
        all.iter().map(|delivery| Write::Delivery(Box::new(delivery.clone()))).collect();
    let (_, local) = self::local(&writes).await;
    let shown = local.show(sample::id(6).as_str()).await.unwrap();
    let before = shown.before.unwrap();
    assert_eq!(before.delivery, sample::id(3).to_string(), "neither its own commit nor superseded");
    assert_eq!(before.revision, sample::sha(3).to_string());
    // Of 60, 70, 90, 300 and 400 s.
    assert_eq!(shown.delivery.runs[0].usual_ms, Some(90_000));
    let same: Vec<_> = shown.same_commit.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!(same, [sample::id(6).as_str(), sample::id(4).as_str()]);
    let first = local.show(sample::id(2).as_str()).await.unwrap();
    assert_eq!((first.delivery.runs[0].usual_ms, first.same_commit.len()), (None, 0));
    let watch = Some("app".to_owned());
    let status =
        local.status(&StatusQuery { watch, pace: true, ..StatusQuery::default() }).await.unwrap();
    assert!(status.watches[0].pace.is_some());
    let status = local.status(&StatusQuery { pace: true, ..StatusQuery::default() }).await.unwrap();
    assert!(status.watches.iter().all(|watch| watch.pace.is_none()), "of one watch alone");
}

#[tokio::test]
async fn attempts_at_one_commit_count_together_however_many_there_are() {
    use RunState::{Failed as F, Succeeded as S};

    let of = |n: u32, repeats: Option<u32>, runs: &[(usize, RunState)]| {
        let asked = Asked {
            dry_run: false,
            only: None,
            repeats: repeats.map(sample::id),
            ..sample::asked(1)
        };
        let mut delivery = Delivery { asked, revision: sample::revision(1), ..sample::delivery(n) };
        let failed = runs.iter().any(|(_, state)| *state == F);
        delivery.state = if failed { DeliveryState::Failed } else { DeliveryState::Succeeded };
        delivery.verdict = Some(if failed { Verdict::Failure } else { Verdict::Success });
        (delivery.objects, delivery.runs) = (Vec::new(), Vec::new());
        for (document, state) in runs {
            let (mut outcome, mut record) = (sample::outcome(Action::Created), sample::run(*state));
            (outcome.run, outcome.object.document) = (true, *document);
            outcome.object.name = format!("ci-{document}-{n}");
            record.object = outcome.object.clone();
            delivery.objects.push(outcome);
            delivery.runs.push(record);
        }
        delivery
    };
    let mut all = vec![of(1, None, &[(0, S), (1, F)])];
    all.extend((2..14).map(|n| of(n, Some(n - 1), &[(1, F)])));
    all.push(of(14, Some(13), &[(1, S)]));
    let mut other = of(15, Some(14), &[(1, F)]);
    other.asked.event = EventName::new("pull_request");
    let mut dry = of(16, None, &[(1, F)]);
    dry.asked.dry_run = true;
    all.extend([other, dry]);
    let writes: Vec<Write> =
        all.iter().map(|delivery| Write::Delivery(Box::new(delivery.clone()))).collect();
    let (_, local) = self::local(&writes).await;
    let counted = async |n: u32| {
        let show = local.show(sample::id(n).as_str()).await.unwrap();
        assert_eq!(show.same_commit.len(), 10);
        let counted = show.counted.unwrap();
        (counted.verdict.unwrap(), counted.runs.total, counted.runs.failed)
    };
    for n in [1, 7, 14] {
        assert_eq!(counted(n).await, (Verdict::Success.into(), 2, 0), "seen from attempt {n}");
    }
    assert_eq!(counted(15).await, (Verdict::Failure.into(), 1, 1), "for another event");
    let (_, alone) = self::local(&writes[..1]).await;
    assert!(alone.show(sample::id(1).as_str()).await.unwrap().counted.is_none());
}
