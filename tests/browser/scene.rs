//! Two watches on an ordinary day: what there is to show, with names and errors as they come.

use std::time::Duration;

use sentry_api::VERSION;
use sentry_api::shape::{
    AgentStatus, BranchStatus, Commit, Delivery, Earlier, Mark, Object, OutageStatus, QueueStatus,
    Run, RunTotals, Show, Status, Step, Subject, SuspensionStatus, WatchStatus,
};
use sentry_api::words::{
    Action, BranchState, Cause, DeliveryState, FailureClass, RunStanding, RunState, Verdict, Word,
};
use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_server::page::{Repository, WatchPlace, Web};
use sentry_tests::stage::Script;

use crate::extra;

const LONG: &str =
    "feature/PAY-4711-retry-card-payments-that-timed-out-at-the-acquirer-and-tell-the-customer";
const REFUSED: &str = "the API server refuses PipelineRun e2e-checkout (smoke.yaml:14): admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the request:\nvalidation failed: expected exactly one, got neither: spec.pipelineRef, spec.pipelineSpec";
const FAILED: &str =
    "2 of 5 runs failed: e2e-checkout-1a2b3c4d-k3v9q0x2m4b7n8c5, lint-1a2b3c4d-p0z6w2r8t1y5u3i9";
const LAST_LINE: &str = "task checkout, step playwright: exit code 1\nTimeoutError: page.waitForSelector: Timeout 30000ms exceeded waiting for '[data-test=order-confirmation]'";

const DASHBOARD: &str = "https://tekton.example.com/#/namespaces/{namespace}/{kind}/{run}";

pub(crate) fn ago(seconds: u64) -> Timestamp {
    SystemClock.now() - Duration::from_secs(seconds)
}

fn sha(n: usize) -> String {
    let mut seed = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1a2b_3c4d);
    let digits = (0..40).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:x}", seed >> 60)
    });
    digits.collect()
}

pub(crate) fn id(n: usize) -> String {
    format!("01k9t0{n:0>4}{n:0>16}")
}

pub(crate) fn places() -> Vec<WatchPlace> {
    let repository = |commits, compare, base: &str, path: &str| Repository {
        path: path.to_owned(),
        web: Some(Web { commits, compare, base: base.parse().unwrap() }),
    };
    let place = |name: &str, source: &str, branches: &[&str], target: &str| WatchPlace {
        name: name.to_owned(),
        source: repository(&["commit"], &["compare"], "https://github.com", source),
        branches: branches.iter().map(|&branch| branch.to_owned()).collect(),
        manifests: repository(
            &["-", "commit"],
            &["-", "compare"],
            "https://gitlab.example.com",
            "qa/pipelines",
        ),
        dir: ".tekton".to_owned(),
        target: target.to_owned(),
        dashboard: Some(DASHBOARD.to_owned()),
    };
    vec![
        place("shop", "example/shop", &["main", "release/*", "feature/*"], "prod/qa-shop"),
        place("warehouse", "example/warehouse", &["main"], "prod/qa-warehouse"),
        place("newcomer", "example/newcomer", &["trunk"], "staging/qa-newcomer"),
    ]
}

fn branch(n: usize, name: &str, state: BranchState, at: u64) -> BranchStatus {
    let mark = |n: usize| Some(Mark { sha: sha(n), at: ago(at) });
    BranchStatus {
        pull_request: None,
        branch: name.to_owned(),
        subject: Subject { kind: "branch".to_owned(), name: name.to_owned() },
        observed: Mark { sha: sha(n), at: ago(at) },
        commit: Some(commit(n, at)),
        attempted: mark(n),
        delivered: if state == BranchState::Delivered { mark(n) } else { None },
        delivered_commit: None,
        state: state.into(),
        nothing_ran: None,
        manifests_revision: Some(sha(900)),
        runs: RunTotals::default(),
        verdict: None,
        last_error: None,
        next_attempt: None,
        errors: Vec::new(),
        delivery: Some(id(n)),
    }
}

fn commit(n: usize, at: u64) -> Commit {
    const SAID: [(&str, &str); 4] = [
        ("Count an empty cart as nothing to pay", "ada"),
        ("Merge branch 'release/1.4' into main", "Grace Hopper"),
        ("修复：空购物车的总价", "王芳"),
        (
            "Retry the payment provider once before an order is given up, and say in the log which of them it was",
            "renovate[bot]",
        ),
    ];
    let (title, author) = SAID[n % SAID.len()];
    Commit { title: title.to_owned(), author: author.to_owned(), at: Some(ago(at + 40)) }
}

fn runs(running: usize, succeeded: usize, failed: usize) -> RunTotals {
    RunTotals {
        total: running + succeeded + failed,
        running,
        succeeded,
        failed,
        ..RunTotals::default()
    }
}

fn shop() -> WatchStatus {
    let failed = BranchStatus {
        runs: runs(0, 3, 2),
        verdict: Some(Verdict::Failure.into()),
        errors: vec![FAILED.to_owned()],
        ..branch(1, "release/2.14", BranchState::Delivered, 25 * 60)
    };
    let parked = BranchStatus {
        delivered: Some(Mark { sha: sha(70), at: ago(26 * 3600) }),
        errors: vec![REFUSED.to_owned()],
        ..branch(3, LONG, BranchState::Parked, 3 * 3600)
    };
    let running =
        BranchStatus { runs: runs(2, 3, 0), ..branch(2, "main", BranchState::Delivered, 100) };
    let good = BranchStatus {
        runs: runs(0, 5, 0),
        verdict: Some(Verdict::Success.into()),
        ..branch(4, "release/2.13", BranchState::Delivered, 5 * 86_400)
    };
    let gone = branch(5, "feature/dark-mode", BranchState::Gone, 9 * 86_400);
    WatchStatus {
        name: "shop".into(),
        suspended: false,
        branches: vec![good, gone, parked, running, failed],
        suspension: None,
        unreachable: None,
        reporting: None,
        idle_patterns: Vec::new(),
        waiting_triggers: 1,
        recent: recent("shop"),
        pace: Some(extra::pace()),
    }
}

fn warehouse() -> WatchStatus {
    let retrying = BranchStatus {
        next_attempt: Some(SystemClock.now() + Duration::from_secs(48)),
        delivered: Some(Mark { sha: sha(71), at: ago(2 * 3600) }),
        errors: vec!["can't reach the API server of prod: connection refused".into()],
        ..branch(20, "main", BranchState::Retrying, 7 * 60)
    };
    WatchStatus {
        name: "warehouse".into(),
        suspended: true,
        branches: vec![retrying],
        suspension: Some(SuspensionStatus {
            reason: Some("the staging database is being moved".into()),
            since: ago(40 * 60),
            until: Some(SystemClock.now() + Duration::from_secs(80 * 60)),
            by: Some("grace".into()),
        }),
        unreachable: Some(OutageStatus {
            since: ago(12 * 60),
            error: "github.com does not answer: connection timed out after 30 s".into(),
            next: Some(SystemClock.now() + Duration::from_secs(100)),
        }),
        reporting: None,
        idle_patterns: Vec::new(),
        waiting_triggers: 0,
        recent: recent("warehouse"),
        pace: None,
    }
}

fn newcomer() -> WatchStatus {
    WatchStatus {
        name: "newcomer".into(),
        suspended: false,
        branches: Vec::new(),
        suspension: None,
        unreachable: None,
        reporting: None,
        idle_patterns: Vec::new(),
        waiting_triggers: 0,
        recent: Vec::new(),
        pace: None,
    }
}

fn object(path: &str, kind: &str, name: String, action: Action) -> Object {
    let (path, kind, run) = (path.to_owned(), kind.to_owned(), kind == "PipelineRun");
    let reason = None;
    Object {
        path,
        line: 1,
        kind,
        namespace: Some("qa-shop".into()),
        name,
        run,
        action: action.into(),
        reason,
    }
}

const STEPS: [(&str, u64); 5] =
    [("inspect", 120), ("resolve", 84), ("fetch", 640), ("check", 1_310), ("apply", 890)];

fn run(name: String, state: RunState, end: Timestamp) -> Run {
    let failed = state == RunState::Failed;
    Run {
        name,
        state: RunStanding::As(state).into(),
        reason: failed
            .then(|| "Failed: Tasks Completed: 3 (Failed: 1, Cancelled 0), Skipped: 2".into()),
        message: failed.then(|| LAST_LINE.to_owned()),
        failure: failed.then_some(FailureClass::Step.into()),
        started: Some(end - Duration::from_secs(200)),
        usual_ms: Some(180_000),
        tasks: Vec::new(),
        ended: (state != RunState::Running).then_some(end),
    }
}

pub(crate) fn delivery(
    n: usize,
    watch: &str,
    branch: &str,
    state: DeliveryState,
    at: u64,
    took: u64,
) -> Show {
    let names = ["unit", "lint", "e2e-checkout", "e2e-search", "contract"];
    let run_state = |k: usize| match (state, k) {
        (DeliveryState::Failed, 1 | 2) => RunState::Failed,
        (DeliveryState::Following, 2 | 3) => RunState::Running,
        _ => RunState::Succeeded,
    };
    let name = |k: usize| format!("{}-{}-{}", names[k], &sha(n)[..8], &sha(n + k + 500)[..16]);
    let mut objects = vec![
        object("tasks/playwright.yaml", "Task", "playwright".into(), Action::Unchanged),
        object("pipelines/e2e.yaml", "Pipeline", "e2e".into(), Action::Configured),
    ];
    objects.extend((0..5).map(|k| {
        object(&format!("runs/{}.yaml", names[k]), "PipelineRun", name(k), Action::Created)
    }));
    let end = |k: u64| ago(at.saturating_sub(took / 5 * (k + 1)));
    let runs = (0..5).map(|k| run(name(k), run_state(k), end(k as u64)));
    let (started, finished) = (ago(at), state.is_final().then(|| ago(at - took)));
    let step = |step: &str, took_ms| Step { step: step.into(), started, took_ms };
    let verdict = match state {
        DeliveryState::Failed => Some(Verdict::Failure.into()),
        DeliveryState::Succeeded => Some(Verdict::Success.into()),
        _ => None,
    };
    Show {
        cancelled: None,
        version: VERSION,
        delivery: Delivery {
            id: id(n),
            watch: watch.into(),
            branch: branch.into(),
            subject: Subject { kind: "branch".to_owned(), name: branch.into() },
            trigger: if n % 5 == 4 { Cause::Manual.into() } else { Cause::Change.into() },
            asked_by: (n % 5 == 4).then(|| "ada".to_owned()),
            repeats: None,
            revision: sha(n),
            commit: Some(commit(n, at)),
            manifests_revision: Some(sha(900)),
            state: state.into(),
            dry_run: false,
            started,
            following_since: Some(ago(at - 3)),
            finished,
            objects,
            runs: runs.collect(),
            verdict,
            nothing_ran: None,
            error: (state == DeliveryState::Failed).then(|| FAILED.to_owned()),
        },
        attempts: 1,
        next_attempt: None,
        superseded_by: None,
        steps: STEPS.map(|(name, took)| step(name, took)).into(),
        notes: vec!["runs/nightly.yaml: skipped, it is meant for the event `schedule`".into()],
        manifests_branch: Some("main".into()),
        asked_for: None,
        before: Some(Earlier { delivery: id(n + 1), revision: sha(n + 1) }),
        same_commit: Vec::new(),
        counted: None,
    }
}

/// The deliveries of the days before, the newest first.
const EARLIER: std::ops::Range<usize> = 30..58;

fn earlier(n: usize) -> (&'static str, DeliveryState) {
    match n {
        33 | 41 | 42 => ("shop", DeliveryState::Failed),
        37 => ("shop", DeliveryState::Superseded),
        _ if n.is_multiple_of(4) => ("warehouse", DeliveryState::Succeeded),
        _ => ("shop", DeliveryState::Succeeded),
    }
}

fn recent(watch: &str) -> Vec<Word<DeliveryState>> {
    let of_watch = EARLIER.map(earlier).filter(|(name, _)| *name == watch);
    of_watch.map(|(_, state)| state.into()).take(12).collect()
}

/// Everything at once.
pub(crate) fn day() -> Script {
    let mut shows = vec![
        delivery(2, "shop", "main", DeliveryState::Following, 100, 100),
        delivery(1, "shop", "release/2.14", DeliveryState::Failed, 25 * 60, 260),
        delivery(3, "shop", LONG, DeliveryState::Parked, 3 * 3600, 4),
        delivery(20, "warehouse", "main", DeliveryState::Pending, 7 * 60, 60),
    ];
    let parked = &mut shows[2];
    parked.delivery.error = Some(REFUSED.into());
    (parked.delivery.runs, parked.delivery.objects) = (Vec::new(), Vec::new());
    (parked.delivery.following_since, parked.attempts) = (None, 4);
    parked.steps.truncate(4);
    shows[1].delivery.runs[1].tasks = extra::diamond();
    shows[0].delivery.runs[2].tasks = extra::many();
    shows.extend(extra::others());
    for n in EARLIER {
        let (watch, state) = earlier(n);
        let took = 150 + (n as u64 * 7_919) % 190;
        let branch = if n % 3 == 0 { "release/2.13" } else { "main" };
        shows.push(delivery(n, watch, branch, state, (n as u64 - 26) * 3 * 3600, took));
    }
    let agent = AgentStatus {
        holder: "process 1 on sentry-6d9f7c".into(),
        started: ago(5 * 86_400),
        beat: ago(2),
        healthy: true,
        health: "agent process 1 on sentry-6d9f7c works for 5d".into(),
        forges: Vec::new(),
    };
    let status = Status {
        version: VERSION,
        watches: vec![shop(), warehouse(), newcomer()],
        queue: vec![QueueStatus { namespace: Some("qa-shop".into()), runs: 3 }],
        fleet: None,
        agent: Some(agent),
        notifications: Vec::new(),
        next: None,
    };
    Script { status: Some(status), shows }
}

/// The delivery whose runs failed.
pub(crate) fn failed() -> String {
    format!("/deliveries/{}", id(1))
}

/// The delivery that was given up.
pub(crate) fn parked() -> String {
    format!("/deliveries/{}", id(3))
}

/// The page of the `n`th delivery.
pub(crate) fn page(n: usize) -> String {
    format!("/deliveries/{}", id(n))
}

/// One watch with 20 branches, `b00` to `b19`, each of which stands as it is told. Those told of changed just now.
pub(crate) fn branches(stand: &[(usize, BranchState)]) -> Script {
    let mut script = day();
    let status = script.status.as_mut().unwrap();
    status.watches.truncate(1);
    let shop = &mut status.watches[0];
    (shop.waiting_triggers, shop.recent) = (0, Vec::new());
    let just_now = Timestamp::from_second(ago(1).as_second()).unwrap();
    let one = |n: usize| {
        let told = stand.iter().find(|(known, _)| *known == n);
        let (state, at) = match told {
            Some((_, state)) => (*state, just_now),
            None => (BranchState::Delivered, just_now - Duration::from_secs(9_000)),
        };
        let mut one = branch(n, &format!("b{n:02}"), state, 0);
        for mark in [Some(&mut one.observed), one.attempted.as_mut(), one.delivered.as_mut()] {
            mark.into_iter().for_each(|mark| mark.at = at);
        }
        one.verdict = (state == BranchState::Delivered).then_some(Verdict::Success.into());
        one
    };
    shop.branches = (0..20).map(one).collect();
    status.queue = Vec::new();
    script
}

/// An ordinary day of 200 watches.
pub(crate) fn crowd() -> Script {
    let mut script = day();
    let status = script.status.as_mut().unwrap();
    status.watches = (0..200)
        .map(|n| WatchStatus { name: format!("service-{n}"), waiting_triggers: 0, ..shop() })
        .collect();
    for (n, watch) in status.watches.iter_mut().enumerate() {
        watch.branches.retain(|branch| n % 8 == 0 || branch.branch.starts_with("release/2.13"));
    }
    script
}
