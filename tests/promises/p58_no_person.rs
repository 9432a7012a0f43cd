//! 58: a head that was given up for what the cluster's owner may end is delivered within eleven minutes of that, and
//! nobody need ask.

use std::time::Duration;

use sentry_core::delivery::DeliveryState;
use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::forge::ForgePorts;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::{By, Road, TREE};
use tokio::time::Instant;

use crate::answers::{Step, Troubled};
use crate::world::{RUNS, World, commit_of, seconds};

const LIMIT: Duration = Duration::from_secs(11 * 60);

/// What is repaired: a quota is freed, a right granted, a namespace comes back, a kind is installed, a conflict goes.
const KINDS: [(DeployErrorKind, &str); 5] = [
    (DeployErrorKind::Forbidden, "exceeded quota: q"),
    (DeployErrorKind::Forbidden, "User \"sentry\" cannot create resource"),
    (DeployErrorKind::Missing, "namespaces \"qa\" not found"),
    (DeployErrorKind::Missing, "no matches for kind \"PipelineRun\""),
    (DeployErrorKind::Conflict, "Apply failed with 1 conflict"),
];

/// The trouble holds for so long; how long after its end the head had its runs.
async fn repaired(
    kind: DeployErrorKind,
    text: &str,
    step: Step,
    lasts: Duration,
    kill: bool,
) -> Duration {
    let mut world = World::new(FakeDeployer::new());
    let cluster = Troubled::new(&world.deployer, step, DeployError::new(kind, text));
    let start = |world: &mut World| {
        world.start_on(
            ForgePorts::with_statuses(world.forge.clone()),
            cluster.clone(),
            world.store.clone(),
        );
    };
    start(&mut world);
    seconds(70).await;
    let sha = world.push();
    tokio::time::sleep(lasts).await;
    let parked = world.deliveries().await.remove(0);
    if kill {
        world.kill().await;
        start(&mut world);
    }
    cluster.heal();
    let healed = Instant::now();
    while world.deployer.created().len() < RUNS {
        assert!(healed.elapsed() <= LIMIT, "{text} at {step:?} for {lasts:?}: {parked:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = healed.elapsed();
    seconds(900).await;
    let deliveries = world.deliveries().await;
    assert_eq!((deliveries.len(), &deliveries[0].id), (1, &parked.id), "the same delivery");
    assert_eq!(deliveries[0].state, DeliveryState::Succeeded);
    assert!(world.deployer.created().iter().all(|run| commit_of(run) == sha.as_str()));
    assert_eq!(world.deployer.created().len(), RUNS, "nothing runs twice");
    world.kill().await;
    took
}

#[tokio::test(start_paused = true)]
async fn whatever_the_clusters_owner_repairs_the_head_is_delivered_within_eleven_minutes() {
    let (mut tried, mut slowest) = (0, Duration::ZERO);
    for seed in 0..5 {
        for (kind, text) in KINDS {
            for step in [Step::Check, Step::Apply] {
                fastrand::seed(seed);
                let lasts = Duration::from_secs(fastrand::u64(90..3 * 3600));
                slowest = slowest.max(repaired(kind, text, step, lasts, seed % 2 == 1).await);
                tried += 1;
            }
        }
    }
    let seen = format!(
        "{tried} repairs of 5 kinds, 90 s to 3 h after the head was given up, every second with \
         a kill: delivered at most \
         {:.0} s after, by the same delivery, 0 doubled, 0 requests",
        slowest.as_secs_f64()
    );
    kept(58, "any time", &seen);
}

/// A way in which a cluster is broken, and how its owner repairs it.
struct Case {
    name: &'static str,
    breaks: fn(&Road),
    repairs: fn(&Road),
}

const QUOTA: &str = "pipelineruns.tekton.dev \"one\" is forbidden: exceeded quota: q";

const CASES: [Case; 5] = [
    Case {
        name: "quota",
        breaks: |road| road.cluster.faults().refuse_always("PipelineRun", "", 403, QUOTA),
        repairs: |road| road.cluster.faults().heal(),
    },
    Case {
        name: "role",
        breaks: |road| road.cluster.faults().grant_only(&[("get", "pipelineruns.tekton.dev")]),
        repairs: |road| road.cluster.faults().heal(),
    },
    Case {
        name: "namespace",
        breaks: |road| assert!(road.cluster.delete("Namespace", "qa")),
        repairs: |road| road.cluster.add_namespace("qa"),
    },
    Case {
        name: "CRD",
        breaks: |road| {
            let text = "the server could not find the requested resource";
            road.cluster.faults().refuse_always("PipelineRun", "", 404, text);
        },
        repairs: |road| road.cluster.faults().heal(),
    },
    Case {
        name: "conflict",
        breaks: |road| {
            let text = "Apply failed with 1 conflict: conflict with \"argocd\": .spec.steps";
            road.cluster.faults().refuse_always("Task", "", 409, text);
        },
        repairs: |road| road.cluster.faults().heal(),
    },
];

/// Breaks a cluster, lets the program give the head up, repairs it; how long after that the runs were there.
fn really(by: By, case: &Case) -> Duration {
    let road = Road::by(by, TREE);
    road.configure_watch("max_retries: 0");
    assert_eq!(road.once().code, Some(0));
    (case.breaks)(&road);
    let sha = road.push();
    let mut agent = road.watch();
    agent.wait_for_log("parked");
    let why = road.why(&sha);
    assert!(why.contains("it is retried in"), "{}: {why}", case.name);
    assert!(road.runs().is_empty(), "{}", case.name);
    (case.repairs)(&road);
    let repaired = Instant::now();
    while road.runs().len() < RUNS {
        assert!(repaired.elapsed() <= LIMIT, "{}: {}", case.name, agent.stderr_so_far());
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = repaired.elapsed();
    assert_eq!(agent.term().code, Some(0));
    assert!(road.why(&sha).contains("delivered"), "{}", case.name);
    took
}

#[test]
fn the_program_delivers_by_itself_what_the_cluster_refused() {
    let wanted = &CASES[..cases(CASES.len(), 2)];
    let took: Vec<Duration> = std::thread::scope(|scope| {
        let each = By::EACH.into_iter().flat_map(|by| wanted.iter().map(move |case| (by, case)));
        let begun: Vec<_> = each.map(|(by, case)| scope.spawn(move || really(by, case))).collect();
        begun.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let names: Vec<&str> = wanted.iter().map(|case| case.name).collect();
    let slowest = took.iter().max().unwrap().as_secs_f32();
    let seen = format!(
        "{} by the program with the real kubectl and natively: delivered at most {slowest:.0} s after the repair",
        names.join(", ")
    );
    kept(58, "really", &seen);
}
