//! Fifty watches, pushes, faults at random and restarts, for minutes or hours.
//!
//! `SENTRY_SOAK_MINUTES` says how long (`make soak`: 120), else three minutes. It ends when everything is well again and
//! the newest heads had their time; what came of it is judged by what the API server created, and how the process fared
//! by what the kernel says of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod town;
mod vitals;
mod weather;

use std::time::{Duration, Instant};

use sentry_tests::sandbox::Agent;

use town::Town;
use vitals::Vitals;
use weather::Weather;

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// How long it goes on, and the mean time between two restarts.
fn length() -> (Duration, Duration) {
    let few = (Duration::from_secs(180), Duration::from_secs(45));
    std::env::var("SENTRY_SOAK_MINUTES").map_or(few, |minutes| {
        let minutes: u64 = minutes.parse().expect("SENTRY_SOAK_MINUTES is a whole number");
        (Duration::from_secs(60 * minutes), Duration::from_secs(6 * minutes))
    })
}

/// Ends the agent, by a signal or by force, and starts it again.
fn restart(town: &Town, agent: Agent, dice: &mut Dice) -> Agent {
    if dice.below(2) == 0 {
        agent.kill9();
    } else {
        let output = agent.term();
        assert_eq!(output.code, Some(0), "{output:?}");
    }
    town.start()
}

#[test]
fn fifty_watches_under_faults_and_restarts_lose_nothing_double_nothing_and_leak_nothing() {
    let (length, between) = length();
    let mut dice = Dice(11);
    let mut town = Town::build(50);
    let mut agent = town.start();
    town.wait_for_baseline();
    let (mut weather, mut vitals) = (Weather::fair(), Vitals::begin());
    let begun = Instant::now();
    let (mut restarts, mut next_restart, mut next_word) = (0, between, length / 12);
    while begun.elapsed() < length {
        town.push(dice.below(50));
        weather.pass(&town, &mut dice);
        std::thread::sleep(Duration::from_millis(500 + dice.below(1500) as u64));
        vitals.take(&agent, &town.sandbox);
        if begun.elapsed() > next_restart {
            agent = restart(&town, agent, &mut dice);
            restarts += 1;
            vitals.reborn();
            next_restart = begun.elapsed() + between.mul_f64(0.5 + dice.below(100) as f64 / 100.0);
        }
        if begun.elapsed() > next_word {
            println!("{:.0} s: {}", begun.elapsed().as_secs_f64(), vitals.report());
            next_word += length / 12;
        }
        assert!(agent.is_running(), "it ended by itself: {}", agent.stderr_so_far());
    }
    weather.clear(&town);
    let recovered = town.wait_until_delivered();
    let output = agent.term();
    assert_eq!(output.code, Some(0), "{output:?}");
    let (lost, doubled) = town.judge();
    println!(
        "{} min, 50 watches: {} pushes, {} runs, {} faults ({}), {restarts} restarts; lost: {lost}, doubled: {doubled}; \
         all delivered {:.0} s after the last fault\n{}",
        length.as_secs() / 60,
        town.pushes(),
        town.runs(),
        weather.count(),
        weather.kinds(),
        recovered.as_secs_f64(),
        vitals.report()
    );
    assert_eq!((lost, doubled), (0, 0));
    vitals.judge();
}
