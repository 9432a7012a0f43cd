//! 16: the wall clock jumps by a day or ten years, forth and back: polls go on, and so do waits that had begun.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sentry_core::forge::ForgePorts;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};
use sentry_tests::promise::kept;
use tokio::time::Instant;

use crate::world::{A, RUNS, WallClock, World, commit_of, seconds};

const INTERVAL: Duration = Duration::from_secs(60);
const DAY: i64 = 24 * 3600;
const TEN_YEARS: i64 = 3652 * DAY;
const JUMPS: [i64; 4] = [DAY, -DAY, TEN_YEARS, -TEN_YEARS];

/// Notes when A is asked.
#[derive(Debug, Default)]
struct Watched(Mutex<Vec<Instant>>);

#[async_trait]
impl Hook for Watched {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        if matches!(call, Call::Heads(asked) if asked.iter().any(|query| query.repo.as_str() == A))
        {
            self.0.lock().unwrap().push(Instant::now());
        }
        Ok(())
    }
}

/// What goes on when the clock jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Idle,
    /// A head waits because the cluster is away.
    Waiting,
    /// The same, and the agent is killed before the jump and started after it.
    WaitingWhileDead,
}

/// Jumps forth and back; the longest time between two polls, and until a head was delivered that came after a jump, or
/// waited over it.
async fn life(jump: i64, moment: Moment) -> (Duration, Duration) {
    fastrand::seed(16);
    let mut world = World::new(FakeDeployer::new()).polled_every(INTERVAL);
    let clock = Arc::new(WallClock::new());
    world.clock = Arc::clone(&clock) as _;
    let asked = Arc::new(Watched::default());
    let start = |world: &mut World| {
        let forge = ForgePorts::new(Hooked::new(&world.forge, &asked));
        let (deployer, store) = (Arc::clone(&world.deployer), Arc::clone(&world.store));
        world.start_on(forge, deployer, store);
    };
    start(&mut world);
    seconds(130).await;
    let mut slowest = Duration::ZERO;
    for by in [jump, -jump] {
        let sha = if moment == Moment::Idle {
            clock.jump(by);
            seconds(300).await;
            world.push()
        } else {
            world.deployer.down(true);
            let waits = world.push();
            seconds(300).await;
            if moment == Moment::WaitingWhileDead {
                world.kill().await;
                clock.jump(by);
                start(&mut world);
            } else {
                clock.jump(by);
            }
            world.deployer.down(false);
            waits
        };
        let since = Instant::now();
        let there = |world: &World| {
            let created = world.deployer.created();
            created.iter().filter(|run| commit_of(run) == sha.as_str()).count() == RUNS
        };
        while !there(&world) {
            assert!(since.elapsed() < 2 * INTERVAL, "{moment:?}, {jump} s: not delivered");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slowest = slowest.max(since.elapsed());
        // A trigger is answered at any time of any clock.
        let trigger = world.ask("main", &format!("{jump} {by}")).await;
        seconds(10).await;
        let delivered = world.deliveries().await;
        assert!(
            delivered.iter().any(|d| d.asked.trigger.as_ref() == Some(&trigger.id)),
            "{moment:?}"
        );
    }
    seconds(300).await;
    let asked = asked.0.lock().unwrap();
    let gaps = asked.windows(2).map(|pair| pair[1] - pair[0]);
    (gaps.max().unwrap(), slowest)
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_stops_neither_polls_nor_waits() {
    let (mut jumps, mut widest, mut slowest) = (0, Duration::ZERO, Duration::ZERO);
    for jump in JUMPS {
        for moment in [Moment::Idle, Moment::Waiting, Moment::WaitingWhileDead] {
            let (gap, wait) = life(jump, moment).await;
            assert!(gap <= 2 * INTERVAL, "{moment:?}, {jump} s: {gap:?} without a poll");
            jumps += 2;
            (widest, slowest) = (widest.max(gap), slowest.max(wait));
        }
    }
    let seen = format!(
        "{jumps} jumps by 1 day and 10 years, forth and back, while idle, waiting or dead: never more than {:.1} s without \
         a poll at an interval of {} s, every head delivered within {:.1} s",
        widest.as_secs_f64(),
        INTERVAL.as_secs(),
        slowest.as_secs_f64()
    );
    kept(16, "", &seen);
}
