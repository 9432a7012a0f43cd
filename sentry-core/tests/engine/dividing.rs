//! Engines in parts: members that share one state, each with an engine for every slot that it owns.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sentry_core::delivery::RunState;
use sentry_core::event::EventKind;
use sentry_core::fleet::{Fleet, Member, MemberId, Slot, Slots, Table, Term};
use sentry_core::forge::StatusState;
use sentry_core::names::WatchName;
use sentry_core::store::{StoreError, StoreErrorKind};
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};
use tokio::task::AbortHandle;

use super::*;

const WATCHES: [&str; 2] = ["one", "two"];

fn a_of(watch: &str) -> String {
    format!("https://example.com/product/{watch}")
}

/// A state that can't be reached, or answers no more, while it is told so.
#[derive(Debug)]
struct Far {
    store: Arc<MemoryStore>,
    is_away: AtomicBool,
    is_mute: AtomicBool,
}

impl Far {
    async fn reach(&self) -> Result<(), StoreError> {
        if self.is_mute.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let error = StoreError::new(StoreErrorKind::Unavailable, "no route to the state");
        if self.is_away.load(Ordering::SeqCst) { Err(error) } else { Ok(()) }
    }
}

#[async_trait]
impl Slots for Far {
    async fn renew(&self, me: &Member) -> Result<Table, StoreError> {
        self.reach().await?;
        self.store.renew(me).await
    }

    async fn take(
        &self,
        me: &MemberId,
        slot: Slot,
        seen: Option<&Term>,
    ) -> Result<Term, StoreError> {
        self.reach().await?;
        self.store.take(me, slot, seen).await
    }

    async fn give(&self, slot: Slot, term: &Term) -> Result<(), StoreError> {
        self.reach().await?;
        self.store.give(slot, term).await
    }

    async fn settle(
        &self,
        slot: Slot,
        term: &Term,
        watches: &[WatchName],
    ) -> Result<Vec<WatchName>, StoreError> {
        self.reach().await?;
        self.store.settle(slot, term, watches).await
    }

    fn state(&self, slot: Slot, term: &Term) -> State {
        self.store.state(slot, term)
    }
}

/// The heads of this repository are answered no more, and statuses take this long.
#[derive(Debug, Default)]
struct Slow {
    repo: Mutex<Option<String>>,
    statuses: Mutex<Duration>,
}

#[async_trait]
impl Hook for Slow {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        let hangs = self.repo.lock().unwrap().clone();
        let takes = *self.statuses.lock().unwrap();
        match call {
            Call::Heads(queries)
                if queries.iter().any(|q| Some(q.repo.as_str()) == hangs.as_deref()) =>
            {
                std::future::pending::<()>().await;
            }
            Call::SetStatus(_) => tokio::time::sleep(takes).await,
            _ => {}
        }
        Ok(())
    }
}

/// A process that works for all watches, as far as they are its own.
struct Process {
    engine: Engine,
    far: Arc<Far>,
    slow: Arc<Slow>,
    stop: Stop,
    agent: AbortHandle,
    events: broadcast::Receiver<Event>,
}

impl World {
    /// Each watch has a repository, a namespace, a slot, and its first head.
    fn divided() -> Self {
        let world = Self::with(FakeDeployer::new().following());
        for name in WATCHES {
            world.forge.commit(&a_of(name), "main", "first", &[]);
        }
        world
    }

    fn process(&mut self) -> Process {
        let far = Far {
            store: Arc::clone(&self.store),
            is_away: AtomicBool::default(),
            is_mute: AtomicBool::default(),
        };
        let (far, slow) = (Arc::new(far), Arc::<Slow>::default());
        let forge = ForgePorts::with_statuses(Hooked::new(&self.forge, &slow));
        let watches = WATCHES.map(|name| {
            let mut watch = watch(name, &["main"]);
            watch.source.repo = a_of(name).parse().unwrap();
            watch.cluster.namespace = name.parse().unwrap();
            watch
        });
        let builder = Engine::builder(Arc::clone(&self.store))
            .clock(Arc::clone(&self.clock) as _)
            .forge("forge", forge)
            .deployer("deployer", DeployerPorts::new(Arc::clone(&self.deployer)))
            .holder("a process");
        let engine = watches.into_iter().fold(builder, Builder::watch).build().unwrap();
        let slot_of = |watch: &Watch| {
            let at = WATCHES.iter().position(|name| *name == watch.name.as_str()).unwrap();
            Slot::new(u8::try_from(at).unwrap()).unwrap()
        };
        let fleet = Fleet::new(engine.clone(), Arc::clone(&far) as _, slot_of);
        let (stop, events) = (Stop::new(), engine.events());
        let its_stop = stop.clone();
        let agent = self.agent.spawn(async move { fleet.run(&its_stop).await });
        Process { engine, far, slow, stop, agent, events }
    }

    async fn delivered_of(&self, watch: &str) -> Option<CommitSha> {
        let cursors = self.store.snapshot().cursors;
        let of = cursors.into_iter().find(|cursors| cursors.watch.as_str() == watch)?;
        of.delivered.map(|mark| mark.sha)
    }

    fn push_to(&self, watch: &str) -> CommitSha {
        self.forge.commit(&a_of(watch), "main", "work", &[])
    }

    async fn ask_of(&self, watch: &str, kind: TriggerKind) -> TriggerId {
        let trigger = self.trigger(&format!("key-{}", fastrand::u128(..)), kind);
        let trigger = Trigger { watch: watch.parse().unwrap(), ..trigger };
        self.store.request(&trigger).await.unwrap().id
    }
}

impl Process {
    fn watches(&self) -> Vec<String> {
        let vitals = self.engine.vitals().unwrap();
        assert_eq!(vitals.slots, vitals.watches.len());
        vitals.watches.iter().map(ToString::to_string).collect()
    }

    /// What it told of slots and of the state since.
    fn told(&mut self) -> BTreeMap<&'static str, usize> {
        let mut told = BTreeMap::new();
        while let Ok(event) = self.events.try_recv() {
            let word = match event.kind {
                EventKind::SlotTaken { watches, .. } => {
                    assert_eq!(watches, 1);
                    "taken"
                }
                EventKind::SlotGiven { .. } => "given",
                EventKind::SlotLost { .. } => "lost",
                EventKind::StateUnavailable { .. } => "away",
                _ => continue,
            };
            *told.entry(word).or_default() += 1;
        }
        told
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_alone_works_for_all_and_tells_of_all_its_parts() {
    let mut world = World::divided();
    let mut process = world.process();
    assert!(process.engine.vitals().is_none());
    seconds(30).await;
    assert_eq!(process.watches(), WATCHES);
    let vitals = process.engine.vitals().unwrap();
    assert_eq!((vitals.unwritable, vitals.agent.holder.as_str()), (None, "a process"));
    assert_eq!(vitals.asked.len(), 2);
    assert!(vitals.silent <= Duration::from_secs(2), "{:?}", vitals.silent);
    assert_eq!(process.told(), [("taken", 2)].into());
    // A hint reaches the part that asks this repository.
    for name in WATCHES {
        let sha = world.push_to(name);
        let repo = a_of(name).parse::<sentry_core::repo::RepoUrl>().unwrap().path();
        assert!(process.engine.hint("forge", &repo));
        seconds(2).await;
        assert_eq!(world.delivered_of(name).await, Some(sha), "{name}");
    }
    process.stop.soft();
    world.agent.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(process.told(), [("given", 2)].into());
    assert_eq!(process.watches(), [""; 0]);
    assert!(world.store.requests().await.unwrap().triggers.is_empty(), "all was shown");
}

#[tokio::test(start_paused = true)]
async fn whichever_part_is_most_late_is_told_of_its_forge() {
    for name in WATCHES {
        let mut world = World::divided();
        let process = world.process();
        seconds(90).await;
        let late = || {
            let vitals = process.engine.vitals().unwrap();
            assert_eq!(vitals.agent.loops.len(), 1);
            vitals.late(&vitals.agent.loops[0]).as_secs()
        };
        assert!(late() <= 2, "{} s", late());
        *process.slow.repo.lock().unwrap() = Some(a_of(name));
        minutes(10).await;
        assert!(late() >= 500, "{name}: {} s", late());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_by_the_part_whose_watch_it_is_for() {
    let mut world = World::divided();
    let _process = world.process();
    seconds(30).await;
    let mut asked = Vec::new();
    for name in WATCHES {
        asked.push(world.ask_of(name, deliver(None)).await);
    }
    seconds(10).await;
    for id in &asked {
        assert!(matches!(world.trigger_state(id).await, TriggerState::Taken(_)));
    }
    let names: Vec<_> = world.deliveries().await.iter().map(|d| d.watch.to_string()).collect();
    assert!(WATCHES.iter().all(|name| names.iter().any(|of| of == name)), "{names:?}");
    let there_is_none = world.ask_of("three", deliver(None)).await;
    seconds(10).await;
    assert_eq!(world.trigger_state(&there_is_none).await, TriggerState::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_rerun_of_what_failed_is_limited_in_a_part_as_well() {
    let mut world = World::divided();
    let second =
        ("s.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: other}\n");
    world.forge.commit(B, "main", "two runs", &[TASK, RUN, second]);
    let _process = world.process();
    seconds(30).await;
    world.push_to("one");
    minutes(2).await;
    let delivery = world.deliveries().await.remove(0);
    for run in &delivery.runs {
        let is_other = run.object.name.starts_with("other");
        let state = if is_other { RunState::Failed } else { RunState::Succeeded };
        world.deployer.finish(&run.object.name, state, "Ended");
    }
    minutes(1).await;
    let made = world.deployer.created().len();
    let rerun = TriggerKind::Rerun { delivery: delivery.id, failed_only: true };
    world.ask_of("one", rerun).await;
    minutes(1).await;
    let again: Vec<_> = world.deployer.created().split_off(made);
    let [only] = &again[..] else { panic!("{again:?}") };
    assert!(only.object.name.starts_with("other"));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_away_is_told_once_and_waited_for() {
    let mut world = World::divided();
    let mut process = world.process();
    process.far.is_away.store(true, Ordering::SeqCst);
    seconds(20).await;
    let unwritable = process.engine.vitals().unwrap().unwritable.unwrap();
    assert!(unwritable.contains("no route to the state"), "{unwritable}");
    assert_eq!(process.told(), [("away", 1)].into());
    process.far.is_away.store(false, Ordering::SeqCst);
    seconds(20).await;
    assert_eq!(process.engine.vitals().unwrap().unwritable, None);
    assert_eq!(process.watches(), WATCHES);
    process.far.is_mute.store(true, Ordering::SeqCst);
    seconds(5).await;
    assert_eq!(process.watches(), WATCHES, "its lease lasts still");
    seconds(15).await;
    assert_eq!(process.watches(), [""; 0]);
    assert_eq!(process.told(), [("lost", 2), ("taken", 2)].into());
}

#[tokio::test(start_paused = true)]
async fn what_a_process_had_when_it_died_is_another_ones_once_its_lease_is_over() {
    let mut world = World::divided();
    let first = world.process();
    seconds(15).await;
    let second = world.process();
    seconds(5).await;
    assert_eq!((first.watches(), second.watches()), (WATCHES.map(str::to_owned).into(), vec![]));
    first.agent.abort();
    seconds(25).await;
    assert_eq!(second.watches(), WATCHES);
    let sha = world.push_to("one");
    minutes(2).await;
    assert_eq!(world.delivered_of("one").await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn two_that_live_long_share_and_what_is_given_is_the_others() {
    let mut world = World::divided();
    let mut first = world.process();
    seconds(15).await;
    let mut second = world.process();
    minutes(2).await;
    let (one, other) = (first.watches(), second.watches());
    assert_eq!((one.len(), other.len()), (1, 1));
    assert_ne!(one, other);
    assert_eq!(first.told(), [("given", 1), ("taken", 2)].into());
    assert_eq!(second.told(), [("taken", 1)].into());
    second.stop.soft();
    seconds(15).await;
    assert_eq!(first.watches(), WATCHES);
    assert_eq!(second.told(), [("given", 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_status_that_was_on_its_way_when_its_slot_was_lost_is_shown_once_more_by_the_next_one() {
    for is_on_its_way in [true, false] {
        let mut world = World::divided();
        let first = world.process();
        if is_on_its_way {
            *first.slow.statuses.lock().unwrap() = Duration::from_secs(3_600);
        }
        seconds(30).await;
        let sha = world.push_to("one");
        minutes(2).await;
        let forge = Arc::clone(&world.forge);
        let shown = || {
            let of_sha = forge.statuses().into_iter().filter(|status| status.revision.sha == sha);
            of_sha.map(|status| status.state).collect::<Vec<_>>()
        };
        assert_eq!(shown().len(), usize::from(!is_on_its_way));
        first.far.is_mute.store(true, Ordering::SeqCst);
        seconds(60).await;
        assert_eq!(first.watches(), [""; 0]);
        // A request for it, which whoever is next answers.
        let requests = world.store.requests().await.unwrap().triggers;
        let kinds: Vec<_> = requests.into_iter().map(|request| request.kind).collect();
        let look = is_on_its_way.then(|| TriggerKind::Look(sha.clone()));
        assert_eq!(kinds, look.into_iter().collect::<Vec<_>>());
        let _second = world.process();
        minutes(2).await;
        assert_eq!(shown().last(), Some(&StatusState::Pending));
        assert!(world.store.requests().await.unwrap().triggers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn who_owns_a_whole_state_leaves_no_request_behind() {
    let mut world = World::with(FakeDeployer::new().following());
    let slow: Arc<Slow> = Arc::default();
    *slow.statuses.lock().unwrap() = Duration::from_secs(3_600);
    let forge = ForgePorts::with_statuses(Hooked::new(&world.forge, &slow));
    let engine = world.builder().forge("forge", forge).build().unwrap();
    let stop = world.stop.clone();
    world.agent.spawn(async move { engine.run(&stop).await });
    minutes(1).await;
    world.push();
    minutes(2).await;
    assert!(world.forge.statuses().is_empty());
    world.stop.hard();
    world.agent.join_next().await.unwrap().unwrap().unwrap();
    assert!(world.store.requests().await.unwrap().triggers.is_empty());
}
