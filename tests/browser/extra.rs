//! What a delivery and a watch can look like on a harder day: tasks that part and meet again, more of them than a screen
//! holds, three attempts at one commit, nothing that ran, and one that waits.

use sentry_api::shape::{Counted, Delivery, Pace, PaceDay, PaceRun, RunTotals, Show, Task};
use sentry_api::words::{
    Cause, DeliveryState, ReasonKind, RunStanding, RunState, TaskState, Verdict,
};
use sentry_core::clock::Timestamp;

use crate::scene::{ago, delivery, id};

fn task(name: &str, after: &[&str], state: TaskState, from: u64, took: u64) -> Task {
    let started = matches!(state, TaskState::Succeeded | TaskState::Failed | TaskState::Started);
    let failed = state == TaskState::Failed;
    Task {
        task: name.to_owned(),
        run: None,
        state: state.into(),
        started: started.then(|| ago(from)),
        ended: (started && state != TaskState::Started).then(|| ago(from - took)),
        retries: usize::from(failed),
        reason: (state == TaskState::Skipped).then(|| "when expressions are false".to_owned()),
        message: failed.then(|| "step playwright: exit code 1".to_owned()),
        after: after.iter().map(|&name| name.to_owned()).collect(),
        finally: name == "report",
    }
}

/// Twelve tasks that part and come together again, one of which failed.
pub(crate) fn diamond() -> Vec<Task> {
    use TaskState::{Failed, Pending, Skipped, Succeeded};
    let preview = "deploy-preview-of-the-checkout";
    vec![
        task("clone", &[], Succeeded, 1480, 9),
        task("install-dependencies", &["clone"], Succeeded, 1470, 41),
        task("lint", &["install-dependencies"], Succeeded, 1428, 12),
        task("unit", &["install-dependencies"], Succeeded, 1428, 74),
        task("typecheck", &["install-dependencies"], Succeeded, 1428, 31),
        task("build-image", &["lint", "unit", "typecheck"], Succeeded, 1350, 58),
        task(preview, &["build-image"], Succeeded, 1290, 22),
        task("e2e-checkout", &[preview], Failed, 1266, 46),
        task("e2e-search", &[preview], Succeeded, 1266, 30),
        task("测试-支付", &[preview], Skipped, 0, 0),
        task("promote", &["e2e-checkout", "e2e-search"], Pending, 0, 0),
        task("report", &[], Succeeded, 1218, 4),
    ]
}

/// More tasks than a screen holds.
pub(crate) fn many() -> Vec<Task> {
    let name = |n: usize| format!("shard-{n}");
    let state = |n: usize| match n {
        0..40 => TaskState::Succeeded,
        40..48 => TaskState::Started,
        _ => TaskState::Pending,
    };
    let mut tasks = vec![task("clone", &[], TaskState::Succeeded, 90, 8)];
    tasks.extend((0..60).map(|n| task(&name(n), &["clone"], state(n), 80, 30)));
    let all: Vec<String> = (0..60).map(name).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    tasks.push(task("merge", &all, TaskState::Pending, 0, 0));
    tasks
}

pub(crate) fn pace() -> Pace {
    let today = ago(0).as_second() / 86_400;
    let day = |n: i64| PaceDay {
        day: Timestamp::from_second((today - 29 + n) * 86_400).unwrap(),
        deliveries: 1 + (n * 7 % 5) as usize,
        failed: usize::from(n % 6 == 4),
        median_ms: 150_000 + n as u64 * 7_919_000 % 190_000,
    };
    let run = |name: &str, minutes: u64| PaceRun {
        name: name.to_owned(),
        path: format!("runs/{name}.yaml"),
        runs: 38,
        median_ms: minutes * 60_000,
        longest_ms: minutes * 97_000,
        delivery: id(31),
    };
    let days: Vec<PaceDay> = (0..30).filter(|n| n % 7 < 5).map(day).collect();
    Pace {
        since: ago(30 * 86_400),
        deliveries: days.iter().map(|day| day.deliveries).sum(),
        failed: days.iter().map(|day| day.failed).sum(),
        days,
        slowest: vec![run("e2e-checkout", 12), run("contract", 7), run("unit", 3)],
    }
}

/// A rerun of some of the runs of another delivery.
fn again(of: &Show, n: usize, state: DeliveryState, keep: &[usize]) -> Show {
    let mut show = delivery(n, "shop", "main", state, 5400 - n as u64 * 20, 200);
    let delivery = &mut show.delivery;
    delivery.revision.clone_from(&of.delivery.revision);
    delivery.commit.clone_from(&of.delivery.commit);
    (delivery.trigger, delivery.asked_by) = (Cause::Rerun.into(), Some("ben".to_owned()));
    delivery.repeats = Some(of.delivery.id.clone());
    delivery.error = None;
    let kept = |at: &mut usize| {
        *at += 1;
        keep.contains(&(*at - 1))
    };
    let (mut of_runs, mut of_objects) = (0, 0);
    delivery.runs.retain(|_| kept(&mut of_runs));
    delivery.objects.retain(|object| !object.run || kept(&mut of_objects));
    show
}

/// A commit that was delivered three times: what failed is run anew until it passes.
fn attempts() -> Show {
    let first = delivery(60, "shop", "main", DeliveryState::Failed, 2 * 3600, 300);
    let mut second = again(&first, 61, DeliveryState::Failed, &[1, 2]);
    second.delivery.runs[1].state = RunStanding::As(RunState::Succeeded).into();
    let mut last = again(&second, 62, DeliveryState::Succeeded, &[1]);
    let runs_of = |show: &Show| -> Delivery {
        let mut delivery = show.delivery.clone();
        delivery.objects.retain(|object| object.run);
        delivery
    };
    last.same_commit = [&last, &second, &first].map(runs_of).into();
    let runs = RunTotals { total: 5, succeeded: 5, ..RunTotals::default() };
    let (state, verdict) = (DeliveryState::Succeeded.into(), Some(Verdict::Success.into()));
    last.counted = Some(Counted { state, verdict, runs });
    last
}

/// Three attempts, nothing that ran, and one that waits.
pub(crate) fn others() -> Vec<Show> {
    let mut nothing = delivery(63, "shop", "main", DeliveryState::NothingRan, 900, 2);
    (nothing.delivery.runs, nothing.delivery.objects) = (Vec::new(), Vec::new());
    nothing.delivery.nothing_ran = Some(ReasonKind::NoRunMatched.into());
    let mut queued = delivery(64, "shop", "release/2.14", DeliveryState::Pending, 30, 30);
    (queued.delivery.runs, queued.delivery.objects) = (Vec::new(), Vec::new());
    (queued.steps, queued.notes) = (Vec::new(), Vec::new());
    vec![attempts(), nothing, queued]
}
