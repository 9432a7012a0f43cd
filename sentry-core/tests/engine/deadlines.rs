//! What an attempt asks has a deadline: ports that know it end by themselves, and whoever does not is cut off soon after.

use std::sync::Mutex;

use async_trait::async_trait;
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};

use super::comparing::prepare;
use super::*;

const LIMIT: Duration = Duration::from_secs(60);

/// At this step it hangs, or fails when its deadline comes; what an apply was given is noted.
#[derive(Debug)]
struct Hanging {
    at: &'static str,
    knows_its_deadline: bool,
    applied_within: Mutex<Option<Duration>>,
}

#[async_trait]
impl Hook for Hanging {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        let (step, timeout) = match call {
            Call::Tree(query) => ("fetch", query.timeout),
            Call::Changes(query) => ("compare", query.timeout),
            Call::Check(plan) => ("check", plan.timeout),
            Call::Apply(plan) => {
                *self.applied_within.lock().unwrap() = Some(plan.timeout);
                return Ok(());
            }
            _ => return Ok(()),
        };
        if step != self.at {
            return Ok(());
        }
        if !self.knows_its_deadline {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(timeout).await;
        let error = ForgeError::new(ForgeErrorKind::Unreachable, "its own deadline passed");
        if step == "fetch" { Err(Fault::Forge(error)) } else { Ok(()) }
    }
}

/// The first attempt, and how long its apply was given.
async fn attempted(at: &'static str, knows_its_deadline: bool) -> (Delivery, Option<Duration>) {
    let mut world = World::new();
    let baseline = prepare(&world, "*");
    world.watch.timing.timeout = LIMIT;
    let hook = Hanging { at, knows_its_deadline, applied_within: Mutex::default() };
    let hook = Arc::new(hook);
    let deployer = DeployerPorts {
        deployer: Hooked::new(&world.deployer, &hook),
        ..DeployerPorts::new(Arc::clone(&world.deployer))
    };
    let forge = ForgePorts::with_statuses(Hooked::new(&world.forge, &hook));
    let builder = world.builder().forge("forge", forge).deployer("deployer", deployer);
    let (engine, stop) = (builder.build().unwrap(), world.stop.clone());
    world.agent.spawn(async move { engine.run(&stop).await });
    minutes(1).await;
    let head = world.push();
    world.forge.change_paths(&baseline, &head, &["docs/a.md"]);
    let is_begun = |d: &Delivery| d.attempts.tries > 0 || d.state == DeliveryState::Succeeded;
    while !world.deliveries().await.first().is_some_and(is_begun) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let within = *hook.applied_within.lock().unwrap();
    (world.deliveries().await.remove(0), within)
}

fn took(delivery: &Delivery, step: &str) -> Duration {
    delivery.steps.iter().find(|timing| timing.step == step).unwrap().took
}

#[tokio::test(start_paused = true)]
async fn a_port_that_knows_its_deadline_has_the_word_and_one_that_does_not_is_cut_off_after_it() {
    let (delivery, _) = attempted("fetch", true).await;
    assert_eq!(took(&delivery, "fetch"), LIMIT);
    let error = delivery.error.unwrap();
    assert!(error.contains("its own deadline passed"), "{error}");
    for step in ["fetch", "compare", "check"] {
        let (delivery, within) = attempted(step, false).await;
        assert_eq!(took(&delivery, step), LIMIT + Duration::from_secs(2), "{step}");
        let error = delivery.error.unwrap();
        assert_eq!(error, "it took longer than the watch's timeout of 60 s", "{step}");
        assert_eq!(within, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_comparison_gets_half_of_the_time_and_an_apply_what_is_left() {
    let (_, within) = attempted("nothing", true).await;
    assert_eq!(within, Some(LIMIT));
    let (delivery, within) = attempted("compare", true).await;
    assert_eq!(took(&delivery, "compare"), LIMIT / 2);
    assert_eq!((delivery.state, within), (DeliveryState::Succeeded, Some(LIMIT / 2)));
}
