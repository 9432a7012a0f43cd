//! What one of several processes is told, the one that works for the watch learns at once. An hour lies between two looks.

use sentry_core::fleet::{Fleet, Slot, Wire as _, Word};
use sentry_core::repo::{RepoPath, RepoUrl};
use sentry_store::MemoryWire;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Two processes that share a state; the first one works for the watch.
struct Crew {
    world: World,
    owner: Engine,
    other: Engine,
    way: MemoryWire,
}

impl Crew {
    async fn running() -> Self {
        let mut world = World::new();
        world.watch.timing.polling_interval = HOUR;
        let way = MemoryWire::new();
        let owner = Self::member(&mut world, &way);
        seconds(10).await;
        let other = Self::member(&mut world, &way);
        seconds(10).await;
        let slots = |engine: &Engine| engine.vitals().unwrap().slots;
        assert_eq!((slots(&owner), slots(&other)), (1, 0));
        Self { world, owner, other, way }
    }

    fn member(world: &mut World, way: &MemoryWire) -> Engine {
        let options = Options { inbox_interval: HOUR, ..Options::default() };
        let engine = world.builder().options(options).build().unwrap();
        engine.join(Arc::new(way.another()));
        let slot_of = |watch: &Watch| Slot::of("cluster", &watch.cluster.namespace);
        let fleet = Fleet::new(engine.clone(), Arc::clone(&world.store) as _, slot_of);
        let stop = world.stop.clone();
        world.agent.spawn(async move { fleet.run(&stop).await });
        engine
    }

    /// How often A was asked.
    fn asked(&self) -> usize {
        self.world.forge.asked().iter().filter(|query| query.repo.as_str() == A).count()
    }
}

fn app() -> RepoPath {
    A.parse::<RepoUrl>().unwrap().path()
}

#[tokio::test(start_paused = true)]
async fn a_hint_at_any_process_has_the_owner_ask_once() {
    let crew = Crew::running().await;
    for teller in [&crew.other, &crew.owner] {
        let (sha, before) = (crew.world.push(), crew.asked());
        assert!(teller.hint("forge", &app()));
        seconds(5).await;
        assert_eq!(crew.world.delivered().await, Some(sha));
        assert_eq!(crew.asked() - before, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_taken_as_soon_as_it_is_told_of_by_who_works_for_its_watch() {
    let crew = Crew::running().await;
    let id = crew.world.ask(deliver(None)).await;
    seconds(60).await;
    assert_eq!(
        crew.world.trigger_state(&id).await,
        TriggerState::Pending,
        "it is looked for all the time"
    );
    let tells = crew.way.another();
    tells.send(Word::Inbox(sample::watch("another")));
    seconds(5).await;
    assert_eq!(crew.world.trigger_state(&id).await, TriggerState::Pending, "for another watch");
    tells.send(Word::Inbox(crew.world.watch.name.clone()));
    seconds(1).await;
    assert!(matches!(crew.world.trigger_state(&id).await, TriggerState::Taken(_)));
}

#[tokio::test(start_paused = true)]
async fn who_missed_something_looks_at_everything_that_it_works_for() {
    let crew = Crew::running().await;
    let (sha, id) = (crew.world.push(), crew.world.ask(deliver(None)).await);
    seconds(60).await;
    assert_eq!(crew.world.delivered().await, None);
    crew.way.cut();
    seconds(5).await;
    assert_eq!(crew.world.delivered().await, Some(sha));
    assert!(matches!(crew.world.trigger_state(&id).await, TriggerState::Taken(_)));
}
