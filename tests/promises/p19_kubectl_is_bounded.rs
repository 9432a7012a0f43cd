//! 19: a cluster that is silent, drips or asks for an hour of patience: no kubectl outlives the watch's `timeout` by
//! more than 2 s, nor does a call that Sentry makes itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sentry_apiserver::ApiServer;
use sentry_core::deployer::{Checked, Deployer as _};
use sentry_core::plan::Plan;
use sentry_core::secret::Redactor;
use sentry_deploy::{Native, NativeSettings};
use sentry_tests::processes;
use sentry_tests::promise::{AtMost, cases, kept};
use sentry_tests::proxy::{FaultProxy, Link};
use sentry_tests::road::Road;
use sentry_tests::sandbox::eventually;

use crate::answers;

/// The watch's `timeout`, in seconds.
const TIMEOUT: u64 = 2;
/// How long a kubectl may live: until its deadline, and the promised 2 s.
const LIMIT: AtMost = AtMost::seconds(4.0);

/// What is wrong with the way to the cluster.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Silent,
    NoAnswer,
    Drip,
    Patience,
    Unavailable,
}

const WRONGS: [Wrong; 5] =
    [Wrong::Silent, Wrong::NoAnswer, Wrong::Drip, Wrong::Patience, Wrong::Unavailable];

impl Wrong {
    fn arrange(self, cluster: &ApiServer, set: impl Fn(Link)) {
        cluster.faults().heal();
        set(match self {
            Self::Silent => Link::Hang,
            Self::Drip => Link::Drip { bytes: 1, every: Duration::from_millis(250) },
            Self::NoAnswer | Self::Patience | Self::Unavailable => Link::Fine,
        });
        match self {
            Self::NoAnswer => cluster.faults().hang(),
            Self::Patience => cluster.faults().answer_all(429, Some(3600)),
            Self::Unavailable => cluster.faults().answer_all(503, Some(3600)),
            Self::Silent | Self::Drip => {}
        }
    }
}

/// Looks at the sandbox's kubectl processes until a condition holds; how long the longest of those lived that were to
/// end by themselves (a watch goes on as long as its runs do), and how many there were.
fn watch_kubectl(road: &Road, mut is_over: impl FnMut() -> bool) -> (Duration, usize) {
    let home = road.sandbox.root().display().to_string();
    let mut lives = BTreeMap::<u32, (Instant, Instant)>::new();
    let begun = Instant::now();
    while !is_over() {
        assert!(begun.elapsed() < Duration::from_secs(180), "it does not come to an end");
        for process in processes::marked(&home) {
            if process.words.contains("--request-timeout=") {
                let now = Instant::now();
                lives.entry(process.id).or_insert((now, now)).1 = now;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let longest = lives.values().map(|(first, last)| *last - *first).max().unwrap_or_default();
    (longest, lives.len())
}

#[test]
fn no_kubectl_outlives_its_deadline_whatever_the_cluster_does() {
    let road = Road::new();
    assert_eq!(road.once().code, Some(0));
    let link = FaultProxy::to(road.cluster.port());
    let kubeconfig = road.cluster.kubeconfig(road.sandbox.root());
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let led = text.replace(&road.cluster.port().to_string(), &link.port().to_string());
    road.configure_watch(&format!("timeout: {TIMEOUT}\n    max_retries: 0"));
    std::fs::write(&kubeconfig, led).unwrap();
    let (mut worst, mut calls) = (Duration::ZERO, 0);
    let mut judge = |wrong: Wrong, (longest, seen): (Duration, usize)| {
        LIMIT.hold_time(&format!("{wrong:?}: the longest life of a kubectl"), longest);
        (worst, calls) = (worst.max(longest), calls + seen);
    };
    // The first question to a cluster, in one pass.
    for wrong in WRONGS.into_iter().cycle().take(cases(10, 1) * WRONGS.len()) {
        wrong.arrange(&road.cluster, |way| link.set(way));
        road.push();
        let mut agent = road.sandbox.spawn(["watch", "--once"]);
        judge(wrong, watch_kubectl(&road, || !agent.is_running()));
        assert_ne!(agent.wait().code, Some(0));
        assert_eq!(road.cluster.writes(), 0, "{wrong:?}");
    }
    // Checks and applies, by an agent that knows the cluster already.
    link.set(Link::Fine);
    road.cluster.faults().heal();
    let mut agent = road.watch();
    eventually("it delivers", || road.runs().len() == 2);
    agent.wait_for_log("delivered");
    for wrong in WRONGS.into_iter().cycle().skip(3).take(cases(10, 1)) {
        wrong.arrange(&road.cluster, |way| link.set(way));
        road.push();
        let failures = agent.stderr_so_far().matches("will be retried").count();
        let over = || agent.stderr_so_far().matches("will be retried").count() > failures;
        judge(wrong, watch_kubectl(&road, over));
    }
    link.set(Link::Fine);
    road.cluster.faults().heal();
    eventually("it recovers", || road.runs().len() == 4);
    assert_eq!(agent.term().code, Some(0));
    assert!(calls > WRONGS.len() / 2, "hardly a kubectl was seen: the judge is blind");
    let seen = format!(
        "{calls} calls with a deadline of {TIMEOUT} s, silent, dripping, 429 and 503 with Retry-After 3600: the longest \
         lived {}",
        LIMIT.told_time(worst)
    );
    kept(19, "", &seen);
}

#[tokio::test]
async fn no_call_that_sentry_makes_itself_outlives_its_deadline_either() {
    let (cluster, home) = (ApiServer::start(), tempfile::tempdir().unwrap());
    let link = FaultProxy::to(cluster.port());
    let server = serde_json::json!({"server": format!("http://127.0.0.1:{}", link.port())});
    let kubeconfig = cluster.kubeconfig_as(home.path(), &server, &serde_json::json!({}));
    let settings = NativeSettings::new(Redactor::new());
    let native = Native::new(NativeSettings { kubeconfig: Some(kubeconfig), ..settings });
    let plan = Plan { timeout: Duration::from_secs(TIMEOUT), ..answers::plan() };
    assert!(native.check(&plan).await.unwrap().refused.is_empty());
    let (mut worst, mut calls) = (Duration::ZERO, 0);
    for wrong in WRONGS.into_iter().cycle().take(cases(10, 1) * WRONGS.len()) {
        // Connections are kept: those of before are cut.
        wrong.arrange(&cluster, |way| link.turn(way));
        let (check, took) = timed(native.check(&plan)).await;
        LIMIT.hold_time(&format!("{wrong:?}: a check"), took);
        let checked = check.map_or_else(Some, |mut checked| Some(checked.refused.remove(0).1));
        assert_eq!(answers::column(&checked.unwrap()), answers::Column::Waits, "{wrong:?}");
        worst = worst.max(took);
        let (applied, took) = timed(native.apply(&plan, &Checked::default())).await;
        LIMIT.hold_time(&format!("{wrong:?}: an apply"), took);
        assert!(applied.map_or(true, |changes| changes.error.is_some()), "{wrong:?}");
        (worst, calls) = (worst.max(took), calls + 2);
    }
    let seen = format!(
        "{calls} calls with a deadline of {TIMEOUT} s, silent, dripping, 429 and 503 with Retry-After 3600: the longest \
         took {}",
        LIMIT.told_time(worst)
    );
    kept(19, "natively", &seen);
}

async fn timed<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    (call.await, begun.elapsed())
}
