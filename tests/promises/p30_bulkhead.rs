//! 30: one poisoned watch of fifty: the others' changes are delivered as fast as without it.
//!
//! The forge answers a round of questions when it has all answers, as the real ones do: a repository that hangs holds the
//! whole round up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::forge::{ForgeError, ForgeErrorKind, ForgePorts, Heads, HeadsAnswer, HeadsQuery};
use sentry_core::plan::COMMIT_LABEL;
use sentry_core::repo::CommitSha;
use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};
use sentry_core::watch::sample::watch;
use sentry_tests::promise::{kept, percentile_95};
use tokio::time::Instant;

use crate::world::{FILES, World, seconds};

const WATCHES: usize = 50;
const MINUTES: u64 = 20;
const PUSHES: usize = 4;
/// How long a forge's own deadline lets one question take.
const HANG: Duration = Duration::from_secs(30);

/// What is wrong with the first watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poison {
    Nothing,
    HeadsHang,
    HeadsPanic,
    HeadsFail,
    TreesHang,
    TreesPanic,
    ApplyHangs,
    ApplyPanics,
    ApplyFails,
    CheckHangs,
}

const POISONS: [Poison; 9] = [
    Poison::HeadsHang,
    Poison::HeadsPanic,
    Poison::HeadsFail,
    Poison::TreesHang,
    Poison::TreesPanic,
    Poison::ApplyHangs,
    Poison::ApplyPanics,
    Poison::ApplyFails,
    Poison::CheckHangs,
];

/// A panic that prints nothing: there are hundreds.
fn breaks_down() -> ! {
    std::panic::resume_unwind(Box::new("poisoned"))
}

fn source(n: usize) -> String {
    format!("https://example.com/product/app-{n}")
}

fn manifests(n: usize) -> String {
    format!("https://example.com/qa/tests-{n}")
}

/// A forge that is poisoned at one of the repositories it is asked for.
#[derive(Debug)]
struct Poisoned {
    inner: Arc<FakeForge>,
    poison: Poison,
}

#[async_trait]
impl Heads for Poisoned {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let mut answers = self.inner.heads(queries).await;
        let hit = queries.iter().position(|query| query.repo.as_str() == source(0));
        let failed = |kind| Err(ForgeError::new(kind, "poisoned"));
        match (hit, self.poison) {
            (Some(hit), Poison::HeadsHang) => {
                tokio::time::sleep(HANG).await;
                answers[hit] = failed(ForgeErrorKind::Unreachable);
            }
            (Some(hit), Poison::HeadsFail) => answers[hit] = failed(ForgeErrorKind::WrongAnswer),
            (Some(_), Poison::HeadsPanic) => breaks_down(),
            _ => {}
        }
        answers
    }
}

impl Poison {
    /// What becomes of a call for the first watch.
    async fn works(self, call: Call<'_>) -> Result<(), Fault> {
        let forge = |kind| Err(Fault::Forge(ForgeError::new(kind, "poisoned")));
        let deploy = |kind| Err(Fault::Deploy(DeployError::new(kind, "poisoned")));
        match (self, call) {
            (Self::TreesHang, Call::Tree(query)) => {
                tokio::time::sleep(query.timeout).await;
                forge(ForgeErrorKind::Unreachable)
            }
            (Self::CheckHangs, Call::Check(plan)) | (Self::ApplyHangs, Call::Apply(plan)) => {
                tokio::time::sleep(plan.timeout).await;
                deploy(DeployErrorKind::Timeout)
            }
            (Self::ApplyFails, Call::Apply(_)) => deploy(DeployErrorKind::Refused),
            (Self::TreesPanic, Call::Tree(_)) | (Self::ApplyPanics, Call::Apply(_)) => {
                breaks_down()
            }
            _ => Ok(()),
        }
    }
}

/// The poison, and when each commit's runs were first on the cluster.
#[derive(Debug)]
struct Ward {
    poison: Poison,
    arrived: Mutex<HashMap<String, Instant>>,
}

#[async_trait]
impl Hook for Ward {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        let is_first = match call {
            Call::Tree(query) => query.repo.as_str() == manifests(0),
            Call::Check(plan) | Call::Apply(plan) => plan.cluster.namespace.as_str() == "qa-0",
            _ => false,
        };
        if is_first { self.poison.works(call).await } else { Ok(()) }
    }

    async fn after(&self, call: Call<'_>) -> Result<(), Fault> {
        let Call::Apply(plan) = call else { return Ok(()) };
        let mut arrived = self.arrived.lock().unwrap();
        for run in plan.objects.iter().filter(|object| object.is_run()) {
            let commit = run.json["metadata"]["labels"][COMMIT_LABEL].as_str().unwrap();
            arrived.entry(commit.to_owned()).or_insert_with(Instant::now);
        }
        Ok(())
    }
}

/// Twenty minutes of fifty watches; each wait, from push to runs, of the forty-nine that are well.
async fn session(poison: Poison) -> Vec<Duration> {
    fastrand::seed(30);
    let mut world = World::new(FakeDeployer::new().taking(Duration::from_secs(1)));
    // As the configuration has it where it says nothing.
    world.options.max_parallel = 4;
    world.options.inbox_interval = Duration::from_secs(60);
    world.watches.clear();
    for n in 0..WATCHES {
        let mut watch = watch(&format!("qa-{n}"), &["main", "release/*"]);
        watch.source.repo = source(n).parse().unwrap();
        watch.manifests.repo = manifests(n).parse().unwrap();
        watch.cluster.namespace = format!("qa-{n}").parse().unwrap();
        world.forge.commit(&source(n), "main", "first", &[]);
        world.forge.commit(&manifests(n), "main", "tests", FILES);
        world.watches.push(watch);
    }
    let ward = Arc::new(Ward { poison, arrived: Mutex::default() });
    let heads = Arc::new(Poisoned { inner: Arc::clone(&world.forge), poison });
    let forge = ForgePorts { heads, ..ForgePorts::new(Hooked::new(&world.forge, &ward)) };
    let (deployer, store) = (Hooked::new(&world.deployer, &ward), Arc::clone(&world.store));
    world.start_on(forge, deployer, store);
    seconds(120).await;
    let pushed = push_to_all(&world).await;
    seconds(300).await;
    let arrived = ward.arrived.lock().unwrap();
    let mut waits = Vec::new();
    for (sha, at) in pushed {
        let there = arrived.get(sha.as_str());
        let there = there.unwrap_or_else(|| panic!("{poison:?}: {sha} never arrived"));
        waits.push(*there - at);
    }
    waits
}

/// Pushes to each watch four times, and to twenty branches of the first one every five minutes; when which commit of the
/// others came.
async fn push_to_all(world: &World) -> Vec<(CommitSha, Instant)> {
    let mut dice = fastrand::Rng::with_seed(7);
    let mut plan: Vec<(u64, usize)> = (1..WATCHES)
        .flat_map(|watch| (0..PUSHES).map(move |n| (watch, n)))
        // Minutes between two: a head that is overtaken has no wait of its own.
        .map(|(watch, n)| (n as u64 * 300_000 + dice.u64(..120_000), watch))
        .collect();
    plan.extend((0..MINUTES / 5).map(|n| (n * 300_000, 0)));
    plan.sort_unstable();
    let begun = Instant::now();
    let mut pushed = Vec::new();
    for (at, n) in plan {
        tokio::time::sleep_until(begun + Duration::from_millis(at)).await;
        if n == 0 {
            for branch in 0..20 {
                world.forge.commit(&source(0), &format!("release/{branch}"), "work", &[]);
            }
        } else {
            let sha = world.forge.commit(&source(n), "main", "work", &[]);
            pushed.push((sha, Instant::now()));
        }
    }
    pushed
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_watch_of_fifty_holds_up_none_of_the_others() {
    let healthy = session(Poison::Nothing).await;
    let usual = percentile_95(healthy.iter().copied());
    let mut worst = (0.0, Poison::Nothing);
    for poison in POISONS {
        let waits = session(poison).await;
        let factor = percentile_95(waits).as_secs_f64() / usual.as_secs_f64();
        assert!(factor < 1.2, "{poison:?}: {factor:.2} times {usual:?}");
        if factor > worst.0 {
            worst = (factor, poison);
        }
    }
    let (factor, poison) = worst;
    let seen = format!(
        "1 of {WATCHES} watches poisoned in {} ways, {} changes of the others each: their p95 of {:.1} s became at most \
         {factor:.2} times that ({poison:?})",
        POISONS.len(),
        healthy.len(),
        usual.as_secs_f64(),
    );
    kept(30, "", &seen);
}
