//! How an engine ends when it is told to, and what it says of itself until then.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sentry_core::engine::Vitals;
use sentry_core::event::EventKind;
use sentry_core::forge::ForgeErrorKind;
use sentry_core::store::{Claim, Journal, Snapshot, StoreError, StoreErrorKind, Write};
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};
use tokio::time::Instant;

use super::*;

/// A state that takes writes while it is told to.
#[derive(Debug, Clone)]
struct Disk<T> {
    inner: T,
    is_full: Arc<AtomicBool>,
    commits: Arc<std::sync::Mutex<Vec<Vec<Write>>>>,
}

#[async_trait]
impl Journal for Disk<Arc<MemoryStore>> {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let inner = self.inner.claim(holder).await?;
        let (is_full, commits) = (Arc::clone(&self.is_full), Arc::clone(&self.commits));
        Ok(Box::new(Disk { inner, is_full, commits }))
    }
}

#[async_trait]
impl Claim for Disk<Box<dyn Claim>> {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.inner.load().await
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the disk is full"));
        }
        self.commits.lock().unwrap().push(writes.to_vec());
        self.inner.commit(writes).await
    }
}

impl World {
    /// Starts an engine on a disk that may be full.
    fn on_a_disk(&mut self, options: Options) -> (Engine, Disk<Arc<MemoryStore>>) {
        let inner = Arc::clone(&self.store);
        let disk = Disk { inner, is_full: Arc::default(), commits: Arc::default() };
        let state = State { journal: Arc::new(disk.clone()), ..Arc::clone(&self.store).into() };
        let engine = self.builder_on(state).options(options).build().unwrap();
        self.events = engine.events();
        let (agent, stop) = (engine.clone(), self.stop.clone());
        self.agent.spawn(async move { agent.run(&stop).await });
        (engine, disk)
    }

    /// How long the engine goes on once it is told to stop, and how it ends.
    async fn ends(&mut self, stop: impl FnOnce(&Stop)) -> (u64, Result<(), EngineError>) {
        let told = Instant::now();
        stop(&self.stop);
        let ended = self.agent.join_next().await.unwrap().unwrap();
        self.stop = Stop::new();
        (told.elapsed().as_secs(), ended)
    }
}

#[tokio::test(start_paused = true)]
async fn what_outlasts_the_grace_is_cut_off_at_its_end_and_an_idle_engine_ends_at_once() {
    let mut world = World::with(FakeDeployer::new().taking(Duration::from_secs(3_600)));
    world.start();
    minutes(1).await;
    let (after, ended) = world.ends(Stop::soft).await;
    assert!(after == 0 && ended.is_ok(), "{after} s");
    assert!(world.store.snapshot().agent.unwrap().ended.is_some());
    world.start();
    seconds(5).await;
    world.push();
    seconds(62).await;
    assert!(world.store.snapshot().agent.unwrap().ended.is_none());
    let (after, ended) = world.ends(Stop::soft).await;
    assert!((25..27).contains(&after) && ended.is_ok(), "{after} s");
    world.start();
    seconds(62).await;
    assert_eq!(world.deployer.applies().0, 2);
    let (after, _) = world.ends(Stop::hard).await;
    assert_eq!(after, 0);
}

#[tokio::test(start_paused = true)]
async fn while_the_state_takes_no_writes_a_soft_stop_waits_for_it_as_long_as_the_grace_lasts() {
    for (stopped_by, back_after, least, most, is_kept) in [
        (Stop::soft as fn(&Stop), None, 20, 28, false),
        (Stop::soft, Some(10), 9, 14, true),
        (Stop::hard, None, 0, 0, false),
    ] {
        let mut world = World::new();
        let (_, disk) = world.on_a_disk(Options::default());
        minutes(1).await;
        disk.is_full.store(true, Ordering::SeqCst);
        let sha = world.push();
        seconds(70).await;
        let is_full = Arc::clone(&disk.is_full);
        let mut repair = JoinSet::new();
        repair.spawn(async move {
            if let Some(wait) = back_after {
                seconds(wait).await;
                is_full.store(false, Ordering::SeqCst);
            }
        });
        let (after, ended) = world.ends(stopped_by).await;
        assert!((least..=most).contains(&after) && ended.is_ok(), "{after} s");
        let observed = world.branch("main").await.unwrap().observed.sha;
        assert_eq!(observed == sha, is_kept, "{back_after:?}");
        let mut told = 0;
        while let Ok(event) = world.events.try_recv() {
            told += usize::from(matches!(event.kind, EventKind::StateUnavailable { .. }));
        }
        assert_eq!(told, 1, "an outage of the state is told once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_and_a_command_that_are_stopped_say_so() {
    let world = World::with(FakeDeployer::new().taking(Duration::from_secs(3_600)));
    world.engine().once(&Stop::new()).await.unwrap();
    world.push();
    for stop_it in [Stop::soft as fn(&Stop), Stop::hard] {
        let (engine, stop) = (world.engine(), Stop::new());
        let (pass, pass_stop) = (engine.clone(), stop.clone());
        let mut command = JoinSet::new();
        command.spawn(async move { pass.once(&pass_stop).await.map(drop) });
        seconds(10).await;
        stop_it(&stop);
        let ended = command.join_next().await.unwrap().unwrap();
        assert!(matches!(ended, Err(EngineError::Stopped)), "{ended:?}");

        let (id, stop) = (world.ask(deliver(None)).await, Stop::new());
        let settle_stop = stop.clone();
        command.spawn(async move { engine.settle(&[id], &settle_stop).await.map(drop) });
        seconds(10).await;
        stop_it(&stop);
        let ended = command.join_next().await.unwrap().unwrap();
        assert!(matches!(ended, Err(EngineError::Stopped)), "{ended:?}");
    }
    let unknown = TriggerId::new(sample::time(1), 7);
    let ended = world.engine().settle(std::slice::from_ref(&unknown), &Stop::new()).await;
    let text = format!("there is no record of trigger {unknown}");
    assert_eq!(ended.unwrap_err().to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn that_it_lives_is_kept_each_ten_seconds_and_what_is_old_is_looked_for_each_six_hours() {
    let mut world = World::new();
    let options = Options { inbox_interval: Duration::from_secs(3), ..Options::default() };
    let (_, disk) = world.on_a_disk(options);
    minutes(12 * 60 + 30).await;
    let commits = disk.commits.lock().unwrap().clone();
    let count = |is: fn(&Write) -> bool| commits.iter().flatten().filter(|write| is(write)).count();
    assert_eq!(count(|write| matches!(write, Write::Prune { .. })), 3);
    let beats = count(|write| matches!(write, Write::Agent(_)));
    let of_ten_seconds = 750 * 6;
    assert!((of_ten_seconds * 3 / 4..=of_ten_seconds + 2).contains(&beats), "{beats}");
    // While it can't be told so, it is tried again soon.
    disk.is_full.store(true, Ordering::SeqCst);
    seconds(60).await;
    let before = disk.commits.lock().unwrap().len();
    disk.is_full.store(false, Ordering::SeqCst);
    seconds(4).await;
    assert!(disk.commits.lock().unwrap().len() > before);
}

/// Nobody is answered about heads while it is told so.
#[derive(Debug, Default)]
struct Hangs(AtomicBool);

#[async_trait]
impl Hook for Hangs {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        if matches!(call, Call::Heads(_)) && self.0.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_a_running_engine_is_told_how_it_is() {
    let mut world = World::new();
    world.forge.commit("https://example.com/product/never", "main", "first", &[]);
    let mut never = watch("never", &["main"]);
    never.source.repo = "https://example.com/product/never".parse().unwrap();
    never.timing.polling_interval = Duration::from_secs(30);
    let hangs: Arc<Hangs> = Arc::default();
    let forge = ForgePorts::with_statuses(Hooked::new(&world.forge, &hangs));
    let builder = world.builder().watch(never).forge("forge", forge).holder("process 7 on h");
    let engine = builder.build().unwrap();
    assert!(engine.vitals().is_none(), "it does not work yet");
    let (agent, stop) = (engine.clone(), world.stop.clone());
    world.agent.spawn(async move { agent.run(&stop).await });
    seconds(95).await;
    let now = || engine.vitals().unwrap();
    let Vitals { pace, agent, unwritable, watches, slots, asked, .. } = now();
    assert_eq!((pace, unwritable, slots), (Duration::from_secs(10), None, 0));
    assert_eq!(agent.holder, "process 7 on h");
    let names: Vec<_> = watches.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["never", "qa"]);
    assert_eq!(asked.len(), 2);
    for (watch, asked) in &asked {
        assert_eq!(asked.answered, Some(asked.ended), "{watch}");
        assert!(asked.ended <= Duration::from_secs(64), "{watch}: {asked:?}");
    }
    // Timers wake at the next millisecond.
    assert!(now().late(&agent.loops[0]) <= Duration::from_millis(1));

    // It lives, and is told so twice a second at most.
    let repo = world.watch.source.repo.path();
    let mut beats = std::collections::BTreeSet::new();
    for _ in 0..100 {
        assert!(engine.hint("forge", &repo));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(now().silent <= Duration::from_millis(1_100), "{:?}", now().silent);
        beats.insert(now().agent.beat);
    }
    assert!((9..=21).contains(&beats.len()), "{}", beats.len());

    // A forge that fails is asked, and gives no answer; one that hangs makes its loop late.
    world.forge.fail(Some(ForgeErrorKind::Unauthorized));
    minutes(10).await;
    for (watch, asked) in now().asked {
        assert!(asked.ended <= Duration::from_secs(64), "{watch}: {asked:?}");
        assert!(asked.answered.unwrap() >= Duration::from_secs(540), "{watch}: {asked:?}");
    }
    world.forge.fail(None);
    hangs.0.store(true, Ordering::SeqCst);
    minutes(10).await;
    let vitals = now();
    assert_eq!(vitals.agent.loops.len(), 1);
    let late = vitals.late(&vitals.agent.loops[0]).as_secs();
    assert!((540..=605).contains(&late), "{late} s");
    assert!(vitals.silent <= Duration::from_millis(1_100));
}
